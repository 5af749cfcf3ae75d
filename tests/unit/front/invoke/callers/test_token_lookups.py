"""A front asks the store once for each token, and for none that it need not ask about."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from supervisor.errors import PlatformError
from supervisor.front.invoke.callers import credential, token_lookups
from supervisor.front.invoke.callers.credential import Credentials
from supervisor.front.invoke.callers.wrong_tokens import BURST
from supervisor.store.credentials.credential_records import FoundCredential, Grant
from supervisor.tenancy.principal import ADMIN
from supervisor.tenancy.token_format import minted, stored_digest

HERE = "192.0.2.1"
SECONDS = 20.0


class Source:
    """A store as a dict, whose questions a test may hold up."""

    def __init__(self) -> None:
        self.rows: dict[str, FoundCredential] = {}
        self.asked: list[str] = []
        self.fails = False
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()

    def make(self, space: str = "a", expires_at: datetime | None = None) -> bytes:
        token = minted("key").encode()
        self.rows[stored_digest(token)] = FoundCredential(
            "key:1", space, Grant(("function",), ("f",)), expires_at
        )
        return token

    def find(self, kind: str, digest: str) -> FoundCredential | None:
        self.asked.append(digest)
        if self.fails:
            raise PlatformError(503, "The server's store cannot be used just now; try again in a moment")
        row = self.rows.get(digest)
        self.began.set()
        assert self.gate.wait(SECONDS)
        return row


def run(scenario: Callable[[Source, Credentials], Awaitable[None]]) -> None:
    async def guarded() -> None:
        source = Source()
        known = Credentials(hashlib.sha256(b"admin-token-0123456").digest(), source=source)
        async with asyncio.timeout(SECONDS):
            await scenario(source, known)

    asyncio.run(guarded())


def test_a_token_is_looked_up_once_and_then_known_without_waiting() -> None:
    async def scenario(source: Source, known: Credentials) -> None:
        header = b"Bearer " + source.make()
        assert known.principal(header) is None
        found = await known.recognised(header, HERE)
        assert found is not None and (found.name, found.space, found.functions) == ("key:1", "a", {"f"})
        for spelling in (header, header.replace(b"Bearer ", b"bearer   "), header + b" "):
            assert known.principal(spelling) is found
        assert len(source.asked) == 1

    run(scenario)


def test_many_callers_at_once_cost_one_question() -> None:
    async def scenario(source: Source, known: Credentials) -> None:
        header = b"Bearer " + source.make()
        found = await asyncio.gather(*(known.recognised(header, HERE) for _ in range(50)))
        assert None not in found and len(source.asked) == 1

    run(scenario)


def test_what_cannot_be_a_token_costs_no_question_and_what_is_nobodys_one() -> None:
    async def scenario(source: Source, known: Credentials) -> None:
        token = source.make()
        for wrong in (b"x", token[:-1] + b"-", token[1:], token + b"x", minted("app").encode()):
            assert await known.recognised(b"Bearer " + wrong, HERE) is None
        assert await known.recognised(b"Basic " + token, HERE) is None
        assert await known.recognised(token, HERE) is None
        assert await known.recognised(None, HERE) is None
        assert source.asked == []
        unknown = b"Bearer " + minted("tok").encode()
        for _ in range(3):
            assert await known.recognised(unknown, HERE) is None
        assert len(source.asked) == 1

    run(scenario)


def test_nobodys_tokens_are_remembered_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_lookups, "NOBODYS_MOST", 2)

    async def scenario(source: Source, known: Credentials) -> None:
        headers = [b"Bearer " + minted("key").encode() for _ in range(3)]
        for header in headers:
            await known.recognised(header, HERE)
        await known.recognised(headers[2], HERE)
        assert len(source.asked) == 3
        await known.recognised(headers[0], HERE)
        assert len(source.asked) == 4, "the oldest was forgotten"

    run(scenario)


def test_a_token_is_refused_from_the_moment_it_expires() -> None:
    async def scenario(source: Source, known: Credentials) -> None:
        now = datetime.now(UTC).replace(tzinfo=None)
        past = b"Bearer " + source.make(expires_at=now - timedelta(seconds=1))
        later = b"Bearer " + source.make(expires_at=now + timedelta(hours=1))
        for _ in range(3):
            assert await known.recognised(past, HERE) is None
        assert len(source.asked) == 1, "an expired one is known as such"
        found = await known.recognised(later, HERE)
        assert found is not None and found.expires_at is not None
        assert abs(found.expires_at - datetime.now(UTC).timestamp() - 3600) < 60

    run(scenario)


def test_a_change_of_a_space_forgets_its_tokens_and_no_other() -> None:
    async def scenario(source: Source, known: Credentials) -> None:
        ours, theirs = source.make("a"), source.make("b")
        for token in (ours, theirs):
            await known.recognised(b"Bearer " + token, HERE)
        del source.rows[stored_digest(ours)]
        assert known.lookups is not None
        known.lookups.changed("a")
        assert known.principal(b"Bearer " + ours) is None
        assert known.principal(b"Bearer " + theirs) is not None
        assert await known.recognised(b"Bearer " + ours, HERE) is None

    run(scenario)


@pytest.mark.parametrize("whose", ["a", None])
def test_a_token_that_is_taken_back_while_its_question_runs_is_not_let_in(whose: str | None) -> None:
    """The question has seen the row; then the change is announced; then the answer comes."""

    async def scenario(source: Source, known: Credentials) -> None:
        token = source.make("a")
        source.gate.clear()
        asking = asyncio.ensure_future(known.recognised(b"Bearer " + token, HERE))
        assert await asyncio.to_thread(source.began.wait, SECONDS)
        del source.rows[stored_digest(token)]
        assert known.lookups is not None
        known.lookups.changed(whose) if whose else known.lookups.changed_somewhere()
        source.gate.set()
        assert await asking is None
        assert len(source.asked) == 2

    run(scenario)


def test_a_store_that_fails_is_a_503_and_no_verdict() -> None:
    async def scenario(source: Source, known: Credentials) -> None:
        header = b"Bearer " + source.make()
        source.fails = True
        with pytest.raises(PlatformError) as caught:
            await known.recognised(header, HERE)
        assert caught.value.status == 503
        source.fails = False
        assert await known.recognised(header, HERE) is not None

    run(scenario)


def test_a_front_that_is_cut_off_trusts_no_token_but_the_administrators() -> None:
    async def scenario(source: Source, known: Credentials) -> None:
        header = b"Bearer " + source.make()
        assert await known.recognised(header, HERE) is not None
        assert known.lookups is not None
        known.lookups.cut_off = "the store cannot be reached"
        known.lookups.changed_somewhere()
        with pytest.raises(PlatformError) as caught:
            await known.recognised(header, HERE)
        assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "2")
        assert await known.recognised(b"Bearer admin-token-0123456", HERE) is ADMIN
        assert await known.recognised(b"Bearer cb_key_wrong", HERE) is None, (
            "is wrong whatever the store says"
        )

    run(scenario)


def test_no_more_tokens_wait_to_be_looked_up_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_lookups, "WAITING_MOST", 3)

    async def scenario(source: Source, known: Credentials) -> None:
        source.gate.clear()
        waiting = [
            asyncio.ensure_future(known.recognised(b"Bearer " + minted("key").encode(), HERE))
            for _ in range(3)
        ]
        await asyncio.sleep(0)
        with pytest.raises(PlatformError) as caught:
            await known.recognised(b"Bearer " + source.make(), HERE)
        assert caught.value.status == 503
        source.gate.set()
        assert await asyncio.gather(*waiting) == [None] * 3

    run(scenario)


def test_an_address_above_its_limit_waits_for_its_lookups_and_a_right_token_comes_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(credential, "SLOWED_S", 0.05)

    async def scenario(source: Source, known: Credentials) -> None:
        for _ in range(BURST):
            assert (await known.refusal(b"Bearer cb_key_x", HERE)).status == 401
        began = asyncio.get_running_loop().time()
        assert await known.recognised(b"Bearer " + source.make(), HERE) is not None
        assert asyncio.get_running_loop().time() - began >= 0.05
        assert (await known.refusal(b"Bearer cb_key_x", HERE)).status == 429

    run(scenario)


def test_wrong_secrets_of_an_app_are_counted_by_address_and_by_app_and_told_for_the_audit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(credential, "SLOWED_S", 0.0)
    monkeypatch.setattr(credential, "LINE_EVERY_S", 0.02)

    async def scenario(source: Source, known: Credentials) -> None:
        told = asyncio.get_running_loop().create_future()
        known.on_wrong = lambda wrong: told.done() or told.set_result(dict(wrong))
        for number in range(BURST):  # from as many addresses
            assert await known.wrong_secret("01ABC", f"192.0.2.{number}") is None
        refusal = await known.wrong_secret("01ABC", "192.0.2.200")
        assert refusal is not None and refusal.status == 429
        assert await known.wrong_secret("another", "192.0.2.201") is None
        wrong = await told
        assert wrong["app:01ABC"] == BURST + 1
        assert len(wrong) <= 24, "some addresses, and one sum for the others"
        assert sum(count for source, count in wrong.items() if not source.startswith("app:")) == BURST + 2

    run(scenario)
