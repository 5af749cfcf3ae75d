"""Whether a server may start, for every tier, bind and setting."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.errors import ConfigurationError
from supervisor.settings.declarations import Settings
from supervisor.warden.jail.probes import Finding
from supervisor.warden.jail.tiers import NEEDS, REMEDIES, Tier
from supervisor.warden.startup.start_check import TIER_WORDS, is_loopback, tier_to_serve_in

ALL = frozenset(name for needs in NEEDS.values() for name in needs)
LOOPBACK, OPEN = "127.0.0.1:8080", "0.0.0.0:8080"
# What a host of each tier lacks.
LACKS: dict[Tier, tuple[str, ...]] = {
    Tier.A: (),
    Tier.A_USER: ("root",),
    Tier.B: ("namespaces",),
    Tier.C: ("namespaces", "root"),
    Tier.NONE: ("namespaces", "root", "landlock-6"),
}
SERVED = [tier for tier in Tier if tier is not Tier.NONE]


def host(tier: Tier) -> dict[str, Finding]:
    return {name: Finding(name, name not in LACKS[tier], f"seen of {name}") for name in ALL}


def settings(bind: str, **more: Any) -> Settings:
    return Settings(bind=bind, **more)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.1", False), ("example.org", False), ("localhost.example.org", False),
     ("", False), ("127.1", False)],
)  # fmt: skip
def test_loopback_is_what_only_this_machine_can_connect_to(name: str, expected: bool) -> None:
    assert is_loopback(name) is expected


@pytest.mark.parametrize("tier", SERVED)
def test_on_loopback_auto_takes_the_best_there_is(tier: Tier) -> None:
    assert tier_to_serve_in(settings(LOOPBACK), host(tier)) is tier


@pytest.mark.parametrize("tier", Tier)
def test_where_others_connect_auto_takes_namespaces_or_nothing(tier: Tier) -> None:
    if tier.has_namespaces:
        assert tier_to_serve_in(settings(OPEN), host(tier)) is tier
        return
    with pytest.raises(ConfigurationError) as refusal:
        tier_to_serve_in(settings(OPEN), host(tier))
    text = str(refusal.value)
    assert "needs tier A-user" in text
    assert f"gives {tier.value}" in text
    assert REMEDIES["namespaces"] in text
    assert "--insecure-dev" not in text, "of no use where others connect"


@pytest.mark.parametrize("bind", [LOOPBACK, OPEN])
@pytest.mark.parametrize("least", SERVED)
@pytest.mark.parametrize("tier", Tier)
def test_a_named_tier_is_the_least_and_not_the_most(tier: Tier, least: Tier, bind: str) -> None:
    chosen = settings(bind, min_tier=least.value)
    if tier.strength >= least.strength:
        assert tier_to_serve_in(chosen, host(tier)) is tier
        return
    with pytest.raises(ConfigurationError) as refusal:
        tier_to_serve_in(chosen, host(tier))
    text = str(refusal.value)
    assert f"needs tier {least.value} (min_tier {least.value})" in text
    missing = [name for name in LACKS[tier] if name in NEEDS[least]]
    assert missing
    assert all(f"{name} (seen of {name}): {REMEDIES[name]}" in text for name in missing)


def test_a_host_that_gives_nothing_is_refused_on_loopback_with_the_way_to_try_things_out() -> None:
    with pytest.raises(ConfigurationError, match="--insecure-dev"):
        tier_to_serve_in(settings(LOOPBACK), host(Tier.NONE))


@pytest.mark.parametrize("tier", Tier)
def test_insecure_dev_is_no_tier_whatever_the_host_gives(tier: Tier) -> None:
    assert tier_to_serve_in(settings(LOOPBACK, insecure_dev=True), host(tier)) is Tier.NONE


@pytest.mark.parametrize("bind", [OPEN, "[::]:8080", "192.0.2.1:80", "example.org:80"])
def test_insecure_dev_refuses_every_bind_but_loopback(bind: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        tier_to_serve_in(settings(bind, insecure_dev=True), host(Tier.A))
    assert "loopback only" in str(refusal.value)
    assert bind in str(refusal.value)


def test_every_tier_says_at_the_start_what_it_is() -> None:
    assert set(TIER_WORDS) == set(Tier)
    assert "INSECURE" in TIER_WORDS[Tier.NONE]
    assert all("INSECURE" not in TIER_WORDS[tier] for tier in SERVED)
