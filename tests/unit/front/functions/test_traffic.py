"""Which version serves a call of an alias."""

from __future__ import annotations

import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.front.functions.traffic import KEY_HEADER, PLACES, Traffic

KEYS = st.binary(min_size=1, max_size=100)
SHARES = st.integers(1, PLACES)


def with_key(key: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"accept", b"*/*"), (KEY_HEADER, key)]


@given(KEYS, st.lists(SHARES, min_size=2, max_size=6), st.text(max_size=40))
def test_a_key_that_got_the_canary_keeps_it_while_the_share_grows(
    key: bytes, shares: list[int], salt: str
) -> None:
    got = [Traffic("main", "canary", share, salt).choose(with_key(key)) for share in sorted(shares)]
    assert got == sorted(got, reverse=True), "main first, then canary, and never back"
    assert Traffic("main", "canary", PLACES, salt).choose(with_key(key)) == "canary"


@given(KEYS, SHARES, st.text(max_size=40))
def test_two_fronts_choose_the_same_for_a_key(key: bytes, share: int, salt: str) -> None:
    one, other = (Traffic("main", "canary", share, salt) for _ in range(2))
    for _ in range(3):
        assert one.choose(with_key(key)) == other.choose(with_key(key))


@settings(max_examples=25)
@given(SHARES, st.text(max_size=40), st.integers(0, 10**9))
def test_of_many_keys_the_share_gets_the_canary(share: int, salt: str, first: int) -> None:
    """Numbered callers, as customers have: five standard deviations of a fair choice are allowed."""
    traffic = Traffic("main", "canary", share, salt)
    number = 4000
    got = sum(traffic.choose(with_key(b"user-%d" % (first + each))) == "canary" for each in range(number))
    expected = number * share / PLACES
    spread = math.sqrt(number * share / PLACES * (1 - share / PLACES))
    assert abs(got - expected) <= 5 * spread + 1


def test_the_places_of_keys_are_those_of_every_version_of_this_server() -> None:
    """Two servers of one installation may be of two releases: the hash is a promise between them."""
    traffic = Traffic("main", "canary", 1, "01J0000000000000000000000A.8")
    assert [traffic.place_of(key) for key in (b"a", b"user-1", b"\xff" * 50)] == [3706, 2709, 9509]


def test_a_canary_has_other_callers_than_the_one_before() -> None:
    keys = [b"user-%d" % number for number in range(200)]

    def trying(salt: str) -> list[bytes]:
        traffic = Traffic("main", "canary", PLACES // 2, salt)
        return [key for key in keys if traffic.choose(with_key(key)) == "canary"]

    assert trying("f.7") != trying("f.8")


def test_a_call_without_a_key_is_chosen_at_random(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    traffic = Traffic("main", "canary", 2500)
    for drawn, chosen in ((0.0, "canary"), (0.2499, "canary"), (0.25, "main"), (0.999, "main")):
        monkeypatch.setattr(random, "random", lambda drawn=drawn: drawn)
        assert traffic.choose([(b"accept", b"*/*"), (KEY_HEADER, b"")]) == chosen
        assert traffic.choose([]) == chosen


def test_without_a_canary_nothing_is_chosen() -> None:
    assert Traffic("main").choose(with_key(b"a")) == "main"
