"""A call's steps through the gateway, with a directory and a pool that are scripts."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.front.invoke.call_ids import CallIds
from supervisor.front.invoke.credential import Credentials
from supervisor.front.invoke.gateway import LOOKUPS_MOST, Gateway
from supervisor.front.invoke.http_call import HttpCall
from supervisor.front.invoke.origins import recognise_path
from supervisor.front.outcome import refusals
from supervisor.front.outcome.lost_calls import CallLate
from supervisor.front.outcome.outcomes import Outcome
from supervisor.front.outcome.reports import Report
from supervisor.front.pool.pool import Retired
from supervisor.front.quotas.counter_page import CounterPage
from supervisor.front.quotas.space_quota import SpaceQuota
from supervisor.front.usage.usage_book import UsageBook
from supervisor.function_limits import Limits
from supervisor.store import QuotasOfSpace
from worker import wire

TOKEN = "a-token-of-sixteen"
BEARER = (b"authorization", f"Bearer {TOKEN}".encode())
KEY = ("s", "f")
WAIT_SECONDS = 10.0


class Caller:
    """A connection that keeps the answers."""

    def __init__(self) -> None:
        self.peer = "192.0.2.1"
        self.handler: object = None
        self.wants_body = False
        self.answers: list[tuple[int, dict[bytes, bytes], bytes]] = []

    def want_body(self) -> None:
        self.wants_body = True

    def reply(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.answers.append((status, dict(headers), body))


class Pool:
    """Keeps what is submitted; ``is_retired`` as of a real one."""

    def __init__(self) -> None:
        self.limits = Limits()
        self.calls: list[HttpCall] = []
        self.left: list[HttpCall] = []
        self.is_retired = False

    def submit(self, call: HttpCall) -> None:
        self.calls.append(call)
        if self.is_retired:
            call.fail(Retired())

    def hang_up(self, call: HttpCall) -> None:
        self.left.append(call)


class Table(dict[Any, Any]):
    """Counts the look-ups."""

    looked_up = 0

    def get(self, key: Any, default: Any = None) -> Any:
        self.looked_up += 1
        return super().get(key, default)


class Front:
    """A gateway with one function; ``store`` is what ``find`` finds."""

    def __init__(self) -> None:
        self.store = {KEY: self.function()}
        self.functions = Table(self.store)
        self.values: dict[str, Any] = {"s": SimpleNamespace(revision=1, frame=b"")}
        self.finds = 0
        self.reports: list[Report] = []
        directory = SimpleNamespace(
            functions=self.functions,
            values=self.values,
            public=SimpleNamespace(may_be=lambda key: True),
            activity=SimpleNamespace(ended=lambda *_: None),
            call_counters=SimpleNamespace(ended=lambda *_: None),
            call_metrics=SimpleNamespace(ended=lambda *_: None),
            find=self.find,
            values_of=self.values_of,
        )
        reports = SimpleNamespace(on_begin=None, take=self.reports.append)
        credentials = Credentials(hashlib.sha256(TOKEN.encode()).digest())
        self.quotas: dict[str, Any] = {"s": None}
        self.usage = UsageBook("front")
        table = SimpleNamespace(known=self.quotas, of=self.quotas_of)
        self.gateway = Gateway(
            directory,  # type: ignore[arg-type]
            credentials,
            reports,  # type: ignore[arg-type]
            CallIds(),
            SimpleNamespace(quotas=table, usage=self.usage),  # type: ignore[arg-type]
        )

    @staticmethod
    def function(version: int = 1) -> Any:
        """A version of the function."""
        return SimpleNamespace(
            deployment=SimpleNamespace(version=version),
            limits=Limits(),
            pool=Pool(),
            cors=None,
            request_max_bytes=100,
        )

    async def find(self, space: str, name: str) -> Any:
        self.finds += 1
        return self.store.get((space, name))

    async def quotas_of(self, space: str) -> Any:
        return self.quotas.setdefault(space, None)

    async def values_of(self, space: str) -> Any:
        return self.values.setdefault(space, SimpleNamespace(revision=2, frame=b""))

    def call(self, *headers: tuple[bytes, bytes], method: str = "POST") -> tuple[Caller, HttpCall]:
        """A call whose head has come."""
        caller = Caller()
        asked = recognise_path(b"/spaces/s/functions/f/invoke", [])
        assert asked is not None
        call = HttpCall(caller, asked, method, b"", list(headers))
        caller.handler = call
        self.gateway.begin(call)
        return caller, call


def run(scenario: Callable[[Front], Awaitable[None]]) -> None:
    """Run it within a time."""

    async def guarded() -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            await scenario(Front())

    asyncio.run(guarded())


async def turns(number: int = 10) -> None:
    """Let everything that is due happen."""
    for _ in range(number):
        await asyncio.sleep(0)


def answer(body: bytes = b"ok") -> wire.Frame:
    """A function's answer."""
    return wire.Frame(wire.ANSWER, 1, (200, 1, 0, 0), (), body)


def test_a_call_is_submitted_in_the_same_turn_with_one_look_up() -> None:
    async def scenario(front: Front) -> None:
        caller, call = front.call(BEARER)
        pool = front.store[KEY].pool
        assert pool.calls == [call] and front.functions.looked_up == 1 and front.finds == 0
        assert call.event_headers == [], "the credential was consumed"
        call.finish(answer())
        status, headers, body = caller.answers[0]
        assert (status, body, headers[b"x-invoked"]) == (200, b"ok", b"true")
        assert headers[b"x-call-id"] == call.call_id.encode()
        front.gateway.report_ended()
        report = front.reports[0]
        assert (report.outcome, report.version, report.instance) == (Outcome.ANSWERED, 1, "-")

    run(scenario)


def test_a_call_whose_secrets_changed_meanwhile_waits_for_them_and_keeps_its_function() -> None:
    async def scenario(front: Front) -> None:
        front.values.clear()
        _, call = front.call(BEARER)
        pool = front.store[KEY].pool
        assert pool.calls == []
        await turns()
        assert pool.calls == [call] and call.values.revision == 2
        assert front.functions.looked_up == 1 and front.finds == 0

    run(scenario)


def test_a_body_is_read_before_the_call_is_submitted_and_refused_above_its_bound() -> None:
    async def scenario(front: Front) -> None:
        caller, call = front.call(BEARER, (b"transfer-encoding", b"chunked"))
        assert caller.wants_body and front.store[KEY].pool.calls == []
        call.take(b"ab")
        call.take(b"c")
        call.whole()
        assert front.store[KEY].pool.calls == [call] and call.body == b"abc"
        caller, call = front.call(BEARER, (b"transfer-encoding", b"chunked"))
        call.take(b"x" * 101)
        assert [each[0] for each in caller.answers] == [413]
        call.whole()
        assert len(front.store[KEY].pool.calls) == 1, "a call that was answered is not made"

    run(scenario)


def test_a_call_whose_version_was_replaced_is_looked_up_again_and_made_once() -> None:
    async def scenario(front: Front) -> None:
        old, new = front.store[KEY], front.function(2)
        old.pool.is_retired = True
        _, call = front.call(BEARER)
        front.store[KEY] = front.functions[KEY] = new
        await turns()
        assert new.pool.calls == [call] and front.functions.looked_up == 2
        call.finish(answer())
        front.gateway.report_ended()
        assert [(each.version, each.outcome) for each in front.reports] == [(2, Outcome.ANSWERED)]

    run(scenario)


def test_a_function_that_was_deleted_under_its_call_is_not_found() -> None:
    async def scenario(front: Front) -> None:
        front.store[KEY].pool.is_retired = True
        caller, _ = front.call(BEARER)
        front.functions.clear()
        front.store.clear()
        await turns()
        assert [each[0] for each in caller.answers] == [404]
        assert b"deleted during the call" in caller.answers[0][2]

    run(scenario)


def test_a_function_that_is_replaced_again_and_again_is_given_up() -> None:
    async def scenario(front: Front) -> None:
        front.store[KEY].pool.is_retired = True
        front.functions.clear()
        caller, _ = front.call(BEARER)
        await turns(20 * LOOKUPS_MOST)
        assert [each[0] for each in caller.answers] == [503]
        assert front.finds == LOOKUPS_MOST

    run(scenario)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_stranger_is_refused_whether_the_function_exists_or_not(is_there: bool) -> None:
    async def scenario(front: Front) -> None:
        if not is_there:
            front.store.clear()
            front.functions.clear()
        caller, _ = front.call()
        await turns()
        assert [each[0] for each in caller.answers] == [401]

    run(scenario)


def test_an_error_of_the_pool_is_answered_as_it_says() -> None:
    async def scenario(front: Front) -> None:
        for error, status, outcome in (
            (CallLate("handler.py:3 in f", False), 504, Outcome.TIMEOUT),
            (refusals.queue_full(5), 429, Outcome.QUEUE),
            (RuntimeError("a bug"), 500, Outcome.FAULT),
        ):
            caller, call = front.call(BEARER)
            call.fail(error)
            await turns()
            assert [each[0] for each in caller.answers] == [status]
            front.gateway.report_ended()
            report = front.reports.pop()
            assert report.outcome is outcome
            assert report.message == json.loads(caller.answers[0][2])["error"]["message"]

    run(scenario)


def test_a_caller_that_hangs_up_is_reported_once_and_its_call_is_ended() -> None:
    async def scenario(front: Front) -> None:
        caller, call = front.call(BEARER)
        pool = front.store[KEY].pool
        call.lost()
        call.finish(answer())
        call.lost()
        await turns()
        front.gateway.report_ended()
        assert pool.left == [call] and caller.answers == []
        assert [each.outcome for each in front.reports] == [Outcome.CANCELLED]

    run(scenario)


def with_quotas(front: Front, **limits: int) -> SpaceQuota:
    """Quotas of the space of the calls."""
    found = QuotasOfSpace("s", "01A", 0, limits)
    quota = SpaceQuota(CounterPage(1, rows=1), 0, found, front.usage.spent, Counter())
    front.quotas["s"] = quota
    return quota


def test_a_call_above_a_quota_is_refused_before_its_body_is_read_and_runs_nothing() -> None:
    async def scenario(front: Front) -> None:
        quota = with_quotas(front, concurrent_calls=1)
        caller, call = front.call(BEARER)
        assert front.store[KEY].pool.calls == [call] and quota.running == 1
        late, _ = front.call(BEARER, (b"transfer-encoding", b"chunked"))
        assert late.answers[0][0] == 429 and not late.wants_body
        assert front.store[KEY].pool.calls == [call]
        call.finish(answer())
        assert (caller.answers[0][0], quota.running) == (200, 0)
        assert b"ratelimit-policy" in caller.answers[0][1]
        front.gateway.report_ended()
        assert [each.outcome for each in front.reports] == [Outcome.QUOTA, Outcome.ANSWERED]

    run(scenario)


def test_each_end_of_a_call_gives_its_place_back_once() -> None:
    async def scenario(front: Front) -> None:
        quota = with_quotas(front, concurrent_calls=5)
        _, hung_up = front.call(BEARER)
        _, failed = front.call(BEARER)
        _, too_large = front.call(BEARER, (b"transfer-encoding", b"chunked"))
        _, moved = front.call(BEARER)
        assert quota.running == 4
        hung_up.lost()
        failed.fail(CallLate("", False))
        too_large.take(b"x" * 101)
        moved.fail(Retired())
        await turns()
        assert quota.running == 1, "a call whose version was replaced goes on, and was admitted before"
        moved.finish(answer())
        hung_up.lost()
        await turns()
        assert quota.running == 0

    run(scenario)


def test_quotas_that_are_not_known_are_looked_up_once_and_the_call_goes_on() -> None:
    async def scenario(front: Front) -> None:
        front.quotas.clear()
        _, call = front.call(BEARER)
        assert front.store[KEY].pool.calls == []
        await turns()
        assert front.store[KEY].pool.calls == [call] and front.quotas == {"s": None}

    run(scenario)
