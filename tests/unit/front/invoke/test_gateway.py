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

from supervisor.errors import PlatformError
from supervisor.front.functions.traffic import Traffic
from supervisor.front.invoke.call_ids import CallIds
from supervisor.front.invoke.callers.credential import Credentials
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
from supervisor.store.credentials.credential_records import FoundCredential, Grant
from supervisor.tenancy.token_format import minted, stored_digest
from worker import wire

TOKEN = "a-token-of-sixteen"
BEARER = (b"authorization", f"Bearer {TOKEN}".encode())
KEY = ("s", "f")
WAIT_SECONDS = 10.0
# With the share and the salt of these tests.
OF_MAIN, OF_CANARY = b"caller-0", b"caller-2"


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


class Source:
    """The store's keys; ``is_gone``: it cannot be asked."""

    def __init__(self) -> None:
        self.rows: dict[str, FoundCredential] = {}
        self.is_gone = False

    def key(self, space: str = "s", *scopes: str) -> tuple[bytes, bytes]:
        """The header of a new key."""
        token = minted("key").encode()
        grant = Grant(scopes or ("function",))
        self.rows[stored_digest(token)] = FoundCredential("key:1", space, grant, None)
        return b"authorization", b"Bearer " + token

    def find(self, kind: str, digest: str) -> FoundCredential | None:
        if self.is_gone:
            raise PlatformError(503, "The server's store cannot be used just now")
        return self.rows.get(digest)


class Front:
    """A gateway with one function; ``store`` is what ``find`` finds."""

    def __init__(self) -> None:
        self.store = {KEY: self.function()}
        self.functions = Table(self.store)
        self.values: dict[str, Any] = {KEY[0]: {KEY[1]: SimpleNamespace(revision=1, frame=b"", masker=None)}}
        self.finds = 0
        self.named: dict[Any, dict[str, Traffic[Any]]] = {}  # by function and alias
        self.stored: dict[str, Traffic[Any]] = {}  # what ``traffic`` finds
        self.reports: list[Report] = []
        directory = SimpleNamespace(
            functions=self.functions,
            values=self.values,
            public=SimpleNamespace(may_be=lambda key: True, may_be_alias=lambda key, qualifier: True),
            activity=SimpleNamespace(ended=lambda *_: None),
            call_counters=SimpleNamespace(ended=lambda *_: None),
            call_metrics=SimpleNamespace(ended=lambda *_: None),
            find=self.find,
            traffic=self.traffic,
            versions=SimpleNamespace(traffic=self.named, aliases=lambda key: ("prod",)),
            values_of=self.values_of,
        )
        reports = SimpleNamespace(on_begin=None, take=self.reports.append)
        self.source = Source()
        self.credentials = Credentials(hashlib.sha256(TOKEN.encode()).digest(), source=self.source)
        self.quotas: dict[str, Any] = {"s": None}
        self.usage = UsageBook("front")
        table = SimpleNamespace(known=self.quotas, of=self.quotas_of)
        self.gateway = Gateway(
            directory,  # type: ignore[arg-type]
            self.credentials,
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

    async def values_of(self, space: str, name: str) -> Any:
        others = SimpleNamespace(revision=2, frame=b"", masker=None)
        return self.values.setdefault(space, {}).setdefault(name, others)

    async def quotas_of(self, space: str) -> Any:
        return self.quotas.setdefault(space, None)

    async def traffic(self, space: str, name: str, qualifier: str) -> Any:
        self.finds += 1
        found = self.stored.get(qualifier)
        if found is not None:
            self.named.setdefault((space, name), {})[qualifier] = found
        return found

    def call(
        self, *headers: tuple[bytes, bytes], method: str = "POST", name: bytes = b"f"
    ) -> tuple[Caller, HttpCall]:
        """A call whose head has come."""
        caller = Caller()
        asked = recognise_path(b"/spaces/s/functions/%s/invoke" % name, [])
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
        front.gateway.ended_calls.report()
        report = front.reports[0]
        assert (report.outcome, report.version, report.instance) == (Outcome.ANSWERED, 1, "-")

    run(scenario)


def test_a_call_of_an_alias_is_looked_up_once_and_says_which_version_served() -> None:
    async def scenario(front: Front) -> None:
        old, new = front.function(3), front.function(4)
        front.stored["prod"] = Traffic(old, new, 5000, "salt")
        for served, version, key in ((old, b"3", OF_MAIN), (new, b"4", OF_CANARY)):
            caller, call = front.call(BEARER, (b"x-canary-key", key), name=b"f@prod")
            await turns()
            assert served.pool.calls == [call] and front.finds == 1
            call.finish(answer())
            status, headers, _ = caller.answers[0]
            assert (status, headers[b"x-function-version"]) == (200, version)
        front.gateway.ended_calls.report()
        assert [(each.function, each.version) for each in front.reports] == [("f", 3), ("f", 4)]
        caller, call = front.call(BEARER)
        call.finish(answer())
        assert b"x-function-version" not in caller.answers[0][1], "the name alone says nothing"

    run(scenario)


def test_a_call_of_an_alias_whose_version_was_retired_is_chosen_again() -> None:
    async def scenario(front: Front) -> None:
        old, new = front.function(3), front.function(4)
        old.pool.is_retired = True
        front.stored["prod"] = Traffic(new)
        front.named[KEY] = {"prod": Traffic(old)}
        retire = old.pool.submit

        def submit(call: HttpCall) -> None:
            front.named.clear()  # as a change does before it retires a pool
            retire(call)

        old.pool.submit = submit
        caller, call = front.call(BEARER, name=b"f@prod")
        await turns()
        assert new.pool.calls == [call] and front.finds == 1
        call.finish(answer())
        assert caller.answers[0][1][b"x-function-version"] == b"4"

    run(scenario)


def test_what_no_alias_is_called_is_a_404_for_who_may_call_and_a_401_for_a_stranger() -> None:
    async def scenario(front: Front) -> None:
        caller, _ = front.call(BEARER, name=b"f@prd")
        await turns()
        assert caller.answers[0][0] == 404 and b"did you mean 'prod'?" in caller.answers[0][2]
        caller, _ = front.call(name=b"f@prd")
        await turns()
        assert caller.answers[0][0] == 401

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
        front.gateway.ended_calls.report()
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


async def until(holds: Callable[[], object]) -> None:
    """A look-up goes through a thread."""
    while not holds():
        await asyncio.sleep(0)


def test_a_call_with_a_known_key_is_submitted_in_the_same_turn_and_a_new_one_after_a_question() -> None:
    async def scenario(front: Front) -> None:
        header = front.source.key()
        _, first = front.call(header)
        pool = front.store[KEY].pool
        assert pool.calls == []
        await until(lambda: pool.calls)
        front.source.rows.clear()
        _, second = front.call(header)
        assert pool.calls == [first, second]
        assert [call.event_headers for call in pool.calls] == [[], []]
        assert second.principal is not None and second.principal.name == "key:1" and second.is_known

    run(scenario)


@pytest.mark.parametrize(
    ("space", "scope", "status"),
    [("other", "function", 404), ("s", "log.read", 403), ("s", "function", None)],
)
def test_a_key_that_may_not_call_is_refused_before_the_function_is_looked_up(
    space: str, scope: str, status: int | None
) -> None:
    async def scenario(front: Front) -> None:
        front.functions.clear()
        header = front.source.key(space, scope)
        for _ in range(2):  # the second time from memory
            caller, call = front.call(header)
            await until(lambda: caller.answers or front.store[KEY].pool.calls)  # noqa: B023
            assert [each[0] for each in caller.answers] == ([status] if status else [])
            assert front.finds == (0 if status else front.finds)
            assert call.is_known is (status is None)

    run(scenario)


@pytest.mark.parametrize("is_public", [True, False])
def test_where_the_store_cannot_be_asked_a_public_function_goes_on_without_the_credential(
    is_public: bool,
) -> None:
    async def scenario(front: Front) -> None:
        header = front.source.key()
        front.source.is_gone = True
        front.store[KEY].limits = Limits(public=is_public)
        caller, call = front.call(header, (b"x-own", b"1"))
        await until(lambda: caller.answers or front.store[KEY].pool.calls)
        assert [each[0] for each in caller.answers] == ([] if is_public else [503])
        assert call.event_headers == [("x-own", "1")] and not call.is_known

    run(scenario)


@pytest.mark.parametrize("is_public", [True, False])
def test_a_credential_of_ours_that_is_nobodys_is_refused_by_public_functions_too(is_public: bool) -> None:
    async def scenario(front: Front) -> None:
        front.store[KEY].limits = Limits(public=is_public)
        for value in (b"Bearer " + minted("key").encode(), b"Token cb_key_x", b"Bearer cb_" + b"a" * 43):
            caller, _ = front.call((b"authorization", value))
            await until(lambda: caller.answers)  # noqa: B023
            assert [each[0] for each in caller.answers] == [401]
        assert front.store[KEY].pool.calls == []
        if is_public:
            front.call((b"authorization", b"Bearer of-the-function"))
            assert front.store[KEY].pool.calls[0].event_headers == [
                ("authorization", "Bearer of-the-function")
            ]

    run(scenario)


def test_a_caller_that_hangs_up_while_its_key_is_looked_up_makes_no_call() -> None:
    async def scenario(front: Front) -> None:
        caller, call = front.call(front.source.key())
        call.lost()
        await until(lambda: call.principal is not None or not front.gateway._tasks)
        await turns()
        assert front.store[KEY].pool.calls == [] and caller.answers == []

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
            front.gateway.ended_calls.report()
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
        front.gateway.ended_calls.report()
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
        front.gateway.ended_calls.report()
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
