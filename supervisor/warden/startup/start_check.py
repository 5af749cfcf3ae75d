"""Decides whether the server may start on this host.

If not, the error says what is missing and the remedy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from supervisor.errors import ConfigurationError
from supervisor.settings.declarations import Settings
from supervisor.warden.jail import tiers
from supervisor.warden.jail.probes import Finding
from supervisor.warden.jail.tiers import Tier

# The line about the tier that each start prints.
TIER_WORDS = {
    Tier.A: "each cell has namespaces, two user ids of its own, a seccomp filter; see cellblock layers",
    Tier.A_USER: "each cell has namespaces and a seccomp filter; all share this user's id "
    "(root would give each its own); see cellblock layers",
    Tier.B: "each cell has a user id of its own, Landlock and a seccomp filter, but no "
    "namespaces: weaker than A; see cellblock check",
    Tier.C: "each cell has Landlock and a seccomp filter, and nothing else: for one tenant only; "
    "see cellblock check",
    Tier.NONE: "INSECURE: functions run unconfined, as this server's own user; for development only",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to ``host``.  No name but ``localhost`` counts as loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def tier_to_serve_in(settings: Settings, findings: Mapping[str, Finding]) -> Tier:
    """The tier to serve in.  Raises ConfigurationError if it is below what the settings allow.

    ``min_tier`` is a lower bound: ``min_tier`` B on a host that gives A still serves in A.
    """
    on_loopback = is_loopback(settings.host_and_port[0])
    if settings.insecure_dev:
        if not on_loopback:
            raise ConfigurationError(
                f"cannot serve: insecure_dev binds to loopback only, and bind is {settings.bind}; "
                "use 127.0.0.1, or leave insecure_dev out"
            )
        return Tier.NONE
    verdict = tiers.decide(findings)
    wanted = tiers.required(settings.min_tier, on_loopback)
    if verdict.tier.strength >= wanted.strength:
        return verdict.tier
    hint = "; or, to try things out on loopback: --insecure-dev" if on_loopback else ""
    raise ConfigurationError(
        f"cannot serve on {settings.bind}: it needs tier {wanted.value} (min_tier {settings.min_tier}), "
        f"and this host gives {verdict.tier.value}; missing: {verdict.why_not(wanted, findings)}{hint}"
    )
