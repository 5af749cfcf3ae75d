"""Decides which tier of containment a host allows, from the findings of ``probes``.  Pure.

Rule 1: nothing here does I/O; the tables are all there is to know.
Rule 2: a tier needs every finding of its row.  No finding is inferred from another one.

| tier   | who                                         | what separates two cells                      |
|--------|---------------------------------------------|-----------------------------------------------|
| A      | root, or delegated as much                  | namespaces, two user ids each, seccomp        |
| A-user | an ordinary user with user namespaces (A')  | namespaces, seccomp; one user id for all      |
| B      | root in a plain container                   | a user id each, Landlock, seccomp, no sockets |
| C      | an ordinary user without namespaces         | Landlock with its scopes, seccomp, no sockets |
| none   | anything else, with --insecure-dev          | nothing at all                                |
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from supervisor.warden.jail.probes import Finding


class Tier(enum.Enum):
    """From the strongest to none: the order of definition is the order of strength."""

    A = "A"
    A_USER = "A-user"
    B = "B"
    C = "C"
    NONE = "none"

    @property
    def strength(self) -> int:
        """Larger is stronger."""
        return -list(Tier).index(self)

    @property
    def has_namespaces(self) -> bool:
        """Whether cells have a root, processes and a network of their own."""
        return self in (Tier.A, Tier.A_USER)


# Tier → the findings that it needs.
NEEDS: dict[Tier, tuple[str, ...]] = {
    Tier.A: ("root", "namespaces", "mounts-as-root", "mounts", "proc", "foreign-ids", "seccomp", "pidfd"),
    Tier.A_USER: ("user-namespace", "namespaces", "mounts", "proc", "seccomp", "pidfd"),
    Tier.B: ("root", "foreign-processes", "landlock-3", "seccomp", "pidfd"),
    Tier.C: ("landlock-6", "seccomp", "pidfd"),
    Tier.NONE: (),
}

# Finding → what the operator can do if it is negative.
REMEDIES: dict[str, str] = {
    "root": "start the server as root (its fronts and cells do not keep it), without User= and "
    "DynamicUser= in its unit",
    "user-namespace": "allow user namespaces: sysctl user.max_user_namespaces above 0, "
    "kernel.unprivileged_userns_clone = 1 on Debian kernels, and on Ubuntu an AppArmor profile with userns",
    "namespaces": "allow all namespaces: a container needs seccomp/container.json and CAP_SYS_ADMIN",
    "mounts": "let user namespaces mount: on Ubuntu set kernel.apparmor_restrict_unprivileged_userns = 0, "
    "or give the server an AppArmor profile with userns; in a container use seccomp/container.json",
    "mounts-as-root": "give a container CAP_SYS_ADMIN and seccomp/container.json",
    "proc": "give a container CAP_SYS_ADMIN, or unmask /proc: --security-opt systempaths=unconfined, "
    "in podman unmask=ALL, procMount: Unmasked in Kubernetes",
    "foreign-ids": "give the server CAP_SETUID and CAP_SETGID",
    "seccomp": "use a kernel with CONFIG_SECCOMP_FILTER, 4.14 or later",
    "pidfd": "use a kernel of 5.12 or later",
    "foreign-processes": "give the server CAP_SETUID and CAP_SETGID",
    "landlock-3": "boot with lsm=landlock,… a kernel of 6.2 or later, whose Landlock knows truncation",
    "landlock-6": "boot with lsm=landlock,… a kernel of 6.12 or later, whose Landlock knows signals",
    "landlock": "boot with lsm=landlock,… where the kernel has it (5.13 and later)",
}


@dataclass(frozen=True)
class TierVerdict:
    """The best tier of a host, and for each better tier the findings that are missing."""

    tier: Tier
    missing: Mapping[Tier, tuple[str, ...]]

    def why_not(self, wanted: Tier, findings: Mapping[str, Finding]) -> str:
        """What is missing for ``wanted``, with evidence and remedy."""
        lines = []
        for name in self.missing.get(wanted, ()):
            seen = findings[name].evidence if name in findings else "absent"
            lines.append(f"{name} ({seen}): {REMEDIES[name]}")
        return "; ".join(lines)


def decide(findings: Mapping[str, Finding]) -> TierVerdict:
    """The strongest tier for which every needed finding is positive."""
    missing: dict[Tier, tuple[str, ...]] = {}
    for tier in Tier:
        lacking = tuple(name for name in NEEDS[tier] if name not in findings or not findings[name].works)
        if not lacking:
            return TierVerdict(tier, missing)
        missing[tier] = lacking
    raise AssertionError("tier none needs nothing")


def required(min_tier: str, is_loopback: bool) -> Tier:
    """The weakest tier that the setting ``min_tier`` allows.

    ``auto`` means A-user where other machines can connect, and C on loopback.
    """
    if min_tier != "auto":
        return Tier(min_tier)
    return Tier.C if is_loopback else Tier.A_USER
