"""The tier of a host: with everything allowed, and with each thing refused in turn."""

from __future__ import annotations

import pytest

from supervisor.warden.jail.probes import PROBES, Finding, probe_host
from supervisor.warden.jail.tiers import NEEDS, REMEDIES, Tier, decide, required

ALL = frozenset(name for needs in NEEDS.values() for name in needs)


def findings(*missing: str) -> dict[str, Finding]:
    """The findings of a host that allows everything but these."""
    return {name: Finding(name, name not in missing, f"seen of {name}") for name in ALL}


def decided(*missing: str) -> Tier:
    return decide(findings(*missing)).tier


def test_a_host_that_gives_everything_is_tier_a() -> None:
    verdict = decide(findings())
    assert verdict.tier is Tier.A
    assert not verdict.missing


@pytest.mark.parametrize(
    ("missing", "tier"),
    [
        ("root", Tier.A_USER),
        ("foreign-ids", Tier.A_USER),
        ("mounts-as-root", Tier.A_USER),
        ("namespaces", Tier.B),
        ("mounts", Tier.B),
        ("proc", Tier.B),
        ("user-namespace", Tier.A),
        ("foreign-processes", Tier.A),
        ("landlock-3", Tier.A),
        ("landlock-6", Tier.A),
        ("seccomp", Tier.NONE),
        ("pidfd", Tier.NONE),
    ],
)
def test_one_thing_missing_costs_the_tiers_that_need_it(missing: str, tier: Tier) -> None:
    assert decided(missing) is tier


@pytest.mark.parametrize(
    ("missing", "tier"),
    [
        (("root", "user-namespace"), Tier.C),
        (("root", "proc"), Tier.C),
        (("namespaces", "foreign-processes"), Tier.C),
        (("namespaces", "landlock-3"), Tier.C),  # nothing is inferred: each row is what it says
        (("namespaces", "root", "landlock-6"), Tier.NONE),
        (("namespaces", "landlock-3", "landlock-6"), Tier.NONE),
    ],
)
def test_several_things_missing_cost_the_tiers_that_need_any_of_them(
    missing: tuple[str, ...], tier: Tier
) -> None:
    assert decided(*missing) is tier


@pytest.mark.parametrize(("tier", "need"), [(tier, need) for tier in Tier for need in NEEDS[tier]])
def test_without_any_one_of_its_needs_a_tier_is_not_given(tier: Tier, need: str) -> None:
    verdict = decide(findings(need))
    assert verdict.tier is not tier
    if verdict.tier.strength < tier.strength:
        assert need in verdict.missing[tier]
        why = verdict.why_not(tier, findings(need))
        assert f"seen of {need}" in why
        assert REMEDIES[need] in why


def test_a_finding_that_was_never_made_counts_as_missing() -> None:
    verdict = decide({})
    assert verdict.tier is Tier.NONE
    assert verdict.missing[Tier.A] == NEEDS[Tier.A]
    assert "absent" in verdict.why_not(Tier.A, {})


def test_every_need_has_a_remedy_and_is_probed() -> None:
    assert set(REMEDIES) >= ALL
    assert all(REMEDIES[name].strip() for name in ALL)
    assert set(PROBES) | {"root", "landlock-3", "landlock-6"} >= ALL
    assert set(probe_host()) >= ALL


def test_the_order_of_the_tiers_is_the_order_of_their_strength() -> None:
    strengths = [tier.strength for tier in (Tier.A, Tier.A_USER, Tier.B, Tier.C, Tier.NONE)]
    assert strengths == sorted(strengths, reverse=True)
    assert len(set(strengths)) == len(strengths)
    assert [tier for tier in Tier if tier.has_namespaces] == [Tier.A, Tier.A_USER]


@pytest.mark.parametrize("is_loopback", [True, False])
@pytest.mark.parametrize("tier", [tier for tier in Tier if tier is not Tier.NONE])
def test_a_tier_that_the_operator_names_is_asked_for_wherever_the_server_binds(
    tier: Tier, is_loopback: bool
) -> None:
    assert required(tier.value, is_loopback) is tier


def test_auto_asks_for_namespaces_where_others_can_connect_and_never_for_nothing() -> None:
    assert required("auto", is_loopback=False) is Tier.A_USER
    assert required("auto", is_loopback=True) is Tier.C
