"""Wrong tokens: counted by address, bounded, and never in the way of a right one."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.front.invoke.callers import credential
from supervisor.front.invoke.callers.credential import Credentials
from supervisor.front.invoke.callers.wrong_tokens import (
    ADDRESSES_MOST,
    BURST,
    EVERY_S,
    LINES_MOST,
    WrongTokens,
    network_of,
)
from supervisor.tenancy.principal import ADMIN

HERE, THERE = "192.0.2.1", "192.0.2.2"


def test_an_address_may_be_wrong_some_times_at_once_and_then_once_in_a_while() -> None:
    guesses = WrongTokens()
    assert [guesses.count(HERE, 0.0) for _ in range(BURST)] == [0.0] * BURST
    assert guesses.count(HERE, 0.0) == EVERY_S
    assert guesses.count(HERE, EVERY_S / 3) == pytest.approx(EVERY_S * 2 / 3)
    assert guesses.count(HERE, EVERY_S) == 0.0
    assert guesses.count(HERE, EVERY_S) > 0
    assert guesses.count(THERE, EVERY_S) == 0.0, "another's is its own"


@settings(derandomize=True, database=None)
@given(st.lists(st.floats(0, 10), max_size=300))
def test_however_they_are_spread_no_more_pass_than_the_limit_says(pauses: list[float]) -> None:
    guesses, now, passed = WrongTokens(), 0.0, 0
    for pause in pauses:
        now += pause
        passed += guesses.count(HERE, now) == 0
    assert passed <= BURST + now / EVERY_S + 1e-6


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "/run/a.sock", True),
        ("", "192.0.2.1", False),
    ],
)
def test_what_is_one_customers_is_counted_together(one: str, other: str, is_same: bool) -> None:
    assert (network_of(one) == network_of(other)) is is_same


def test_a_million_addresses_take_no_more_room_than_the_table_has() -> None:
    guesses = WrongTokens()
    for number in range(3 * ADDRESSES_MOST):
        guesses.count(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
    assert len(guesses._counts) == ADDRESSES_MOST
    assert sys.getsizeof(guesses._counts) < 1 << 20
    assert len(guesses.lines()) == LINES_MOST + 1


def test_each_wrong_token_is_told_once_a_line_for_each_address() -> None:
    guesses = WrongTokens()
    for _ in range(BURST + 5):
        wait_s = guesses.count(HERE, 0.0)
    guesses.count(THERE, 0.0)
    assert wait_s and guesses.line(HERE, 0.0).startswith(f"{BURST + 5} wrong tokens from {HERE}")
    assert guesses.line(HERE, 1.0) == "", "not again within a minute"
    assert guesses.lines() == [f"1 wrong token from {THERE}"]
    assert guesses.lines() == []


def test_a_right_token_from_an_address_above_its_limit_is_recognised_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(credential, "SLOWED_S", 0.05)
    caplog.set_level(logging.WARNING)

    async def scenario() -> None:
        known = Credentials(hashlib.sha256(b"right-token-16-characters").digest())
        wrong = [await known.refusal(b"Bearer wrong", HERE, []) for _ in range(BURST)]
        assert {error.status for error in wrong} == {401}
        began = asyncio.get_running_loop().time()
        late = await asyncio.gather(*(known.refusal(b"Bearer wrong", HERE, []) for _ in range(50)))
        assert asyncio.get_running_loop().time() - began >= 0.05
        assert {error.status for error in late} == {429}
        assert all(1 <= int(error.headers["Retry-After"]) <= EVERY_S + 1 for error in late)
        assert (await known.refusal(None, HERE, [])).status == 401, "without one it is no guess"
        assert (await known.refusal(b"Basic dDBrZW4=", HERE, [])).status == 401
        assert (await known.refusal(b"Bearer wrong", THERE, [])).status == 401
        assert known.principal(b"Bearer right-token-16-characters") is ADMIN

    asyncio.run(scenario())
    assert [record.getMessage().split(",")[0] for record in caplog.records] == [
        f"{BURST + 1} wrong tokens from {HERE}"
    ]


def test_no_more_wait_for_their_refusal_than_a_front_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credential, "SLOWED_S", 30.0)

    async def scenario() -> None:
        known = Credentials(bytes(32))
        for _ in range(BURST):
            await known.refusal(b"Bearer x", HERE, [])
        asked = [
            asyncio.ensure_future(known.refusal(b"Bearer x", HERE, []))
            for _ in range(credential.SLOWED_MOST + 10)
        ]
        await asyncio.sleep(0.05)
        assert sum(one.done() for one in asked) == 10
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        again = asyncio.ensure_future(known.refusal(b"Bearer x", HERE, []))
        await asyncio.sleep(0)
        assert not again.done(), "who has gone makes room"
        again.cancel()

    asyncio.run(scenario())
