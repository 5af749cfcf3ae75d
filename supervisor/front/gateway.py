"""The way of one call: parse, recognise, find a place, send, answer.  No framework on this path."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

from supervisor.errors import PlatformError
from supervisor.front import answers, calls
from supervisor.front.answers import Answer
from supervisor.front.auth import Credentials, Principal, unauthenticated
from supervisor.front.directory import Directory
from supervisor.front.lost import CallLate, CallLost, StartFailed
from supervisor.front.patience import Patience
from supervisor.front.pool import Retired
from supervisor.front.prepared import PreparedCall
from supervisor.front.warden_link import Ending
from worker import wire

log = logging.getLogger("cellblock.front")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# A call that finds its version replaced looks again; each time a deploy has been acknowledged.
RETIRED_MOST = 100

# The tasks that answer a call now: whose connection is lost is cancelled.
calling: set[asyncio.Task[Any] | None] = set()


class Timing:
    """Where the time of one call went; perf_counter seconds."""

    __slots__ = ("execution_s", "init_s", "queue_s", "started")

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.queue_s = self.init_s = self.execution_s = 0.0

    def take(self, call: PreparedCall, now: float) -> None:
        """What a call says of its own way; ``now`` on its clock."""
        sent = call.sent_at or now
        self.init_s = call.init_s
        self.queue_s += max(0.0, sent - call.queued_at - call.init_s)
        if call.sent_at:
            self.execution_s = (call.answered_at or now) - sent

    def headers(self, call_id: str) -> answers.Headers:
        """``X-Call-Id``, ``X-Duration-Seconds`` and ``Server-Timing`` (milliseconds)."""
        return [
            (b"x-call-id", call_id.encode("latin-1")),
            (b"x-duration-seconds", b"%.6f" % (time.perf_counter() - self.started)),
            (
                b"server-timing",
                b"queue;dur=%.3f, init;dur=%.3f, exec;dur=%.3f"
                % (self.queue_s * 1e3, self.init_s * 1e3, self.execution_s * 1e3),
            ),
        ]


class Gateway:
    """Answers invocations."""

    def __init__(self, directory: Directory, credentials: Credentials, body_seconds: float) -> None:
        self._directory = directory
        self._credentials = credentials
        self._body_seconds = body_seconds
        self._loop = asyncio.get_running_loop()
        self._patience = Patience(body_seconds)

    async def __call__(self, scope: Scope, match: re.Match[bytes], receive: Receive, send: Send) -> None:
        """One HTTP request whose raw path matched ``calls.INVOKE``."""
        timing = Timing()
        call_id = calls.call_id_of(scope["headers"])
        task = asyncio.current_task()
        calling.add(task)
        try:
            answer = await self._answer(scope, match, receive, call_id, timing)
        except PlatformError as error:
            answer = answers.refused(error)
        except Exception:
            # The door of this path: our bug costs one caller a 500 and nobody a process.
            log.exception("call %s: our own mistake", call_id)
            message = "the platform made a mistake; its operator finds it in the log by the call id"
            answer = answers.refused(PlatformError(500, message, {"call_id": call_id}))
        finally:
            calling.discard(task)
        await _send(answer, call_id, timing, send)

    async def _answer(
        self, scope: Scope, match: re.Match[bytes], receive: Receive, call_id: str, timing: Timing
    ) -> Answer:
        call = calls.parse(scope, match, call_id)
        principal = self._credentials.principal(call.authorization)
        function = self._directory.functions.get((call.space, call.name)) or await self._directory.find(
            call.space, call.name
        )
        if principal is None and (function is None or not function.limits.public):
            # The same answer whether it exists or not.
            raise unauthenticated()
        if function is None:
            raise PlatformError(
                404,
                f"function not found: space {call.space!r} has no function {call.name!r}; "
                "deploy it or look at the list of functions",
            )
        limit_s = calls.timeout_of(call.timeout, function.limits.timeout)
        body = await self._body(call, function.request_max_bytes, receive) if call.has_body else b""
        # A credential that is not ours may be the function's own: only what was consumed is removed.
        headers = call.headers if principal is None else call.without_credential()
        return await self._run(call, principal, headers, body, limit_s, timing)

    async def _body(self, call: calls.Call, most: int, receive: Receive) -> bytes:
        """The request's body, bounded before it is believed; 413, 408."""
        if call.content_length is not None and call.content_length > most:
            raise _too_large(most)
        chunks = []
        size = 0
        with self._patience.limit() as limit:
            while True:
                try:
                    message = await receive()
                except asyncio.CancelledError:
                    if not limit.is_over:
                        raise
                    raise _too_slow(
                        f"the request's body did not arrive within {self._body_seconds:g} s"
                    ) from None
                if message["type"] != "http.request":
                    # The caller hung up and nobody hears this, or gunicorn had no more patience.
                    raise _too_slow("the request's body stopped arriving")
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > most:
                    raise _too_large(most)
                chunks.append(chunk)
                if not message.get("more_body"):
                    return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _run(
        self,
        call: calls.Call,
        principal: Principal | None,
        headers: list[tuple[str, str]],
        body: bytes,
        limit_s: float,
        timing: Timing,
    ) -> Answer:
        values = self._directory.values.get(call.space) or await self._directory.values_of(call.space)
        head = (call.method, call.path, call.query, call.call_id)
        is_known = principal is not None
        for _ in range(RETIRED_MOST):
            # Looked up again where a deploy came between: the version that is active now.
            function = self._directory.functions.get((call.space, call.name)) or await self._directory.find(
                call.space, call.name
            )
            if function is None:
                raise PlatformError(404, f"function not found: {call.name!r} was deleted during the call")
            try:
                prepared = PreparedCall(head, headers, body, limit_s, values, self._loop)
            except wire.LocalProtocolError as error:
                raise PlatformError(
                    431, f"the request's path and headers do not fit into a call: {error}; send less"
                ) from None
            function.pool.submit(prepared)
            try:
                frame = await prepared.future
            except Retired:
                continue
            except StartFailed as failed:
                return _start_failed(failed, call.call_id, is_known)
            except CallLost as lost:
                raise _lost(lost, limit_s, call.call_id) from None
            except CallLate as late:
                raise _late(late, limit_s, call.call_id) from None
            except asyncio.CancelledError:
                function.pool.hang_up(prepared)
                raise
            finally:
                timing.take(prepared, time.perf_counter())
            return _from_frame(frame, prepared, is_known)
        raise PlatformError(
            503, "the function is being replaced again and again; try again", headers={"Retry-After": "1"}
        )


def _too_slow(what: str) -> PlatformError:
    return PlatformError(408, f"{what}; send it faster", headers={"Connection": "close"})


def _too_large(most: int) -> PlatformError:
    return PlatformError(
        413,
        f"the request's body is larger than {most} bytes, the function's max_request; send less or raise it",
        {"max_request_bytes": most},
    )


def _from_frame(frame: wire.Frame, call: PreparedCall, is_known: bool) -> Answer:
    """The answer that a call's frame stands for."""
    if frame.kind == wire.ANSWER:
        return answers.answered(frame.head[0], call.answer_headers, frame.body)
    if frame.kind == wire.RAISED:
        return answers.raised(frame.head, call.call_id, is_known)
    raise answers.broke_contract(frame.head[0], call.call_id, is_known)


def _start_failed(failed: StartFailed, call_id: str, is_known: bool) -> Answer:
    """Why there is no instance: the module raised, has no entry point, or its cell died."""
    if failed.failed is not None:
        stage, *exception = failed.failed.head
        if stage == "import":
            return answers.raised(tuple(exception), call_id, is_known)
        raise answers.broke_contract(exception[1], call_id, is_known)
    ending = failed.ending or Ending("exited", 0, 0, "")
    if (ours := ending.platform_error()) is not None:
        raise ours
    raise PlatformError(
        502,
        f"the function's instance ended while it was starting: {_how(ending)}",
        {"reason": _reason(ending), "signal": ending.signal, "exit_code": ending.code, "call_id": call_id},
    )


def _reason(ending: Ending) -> str:
    return "protocol" if ending.cause == "protocol" else "crashed"


def _how(ending: Ending) -> str:
    if ending.cause == "protocol":
        return f"it broke the protocol ({ending.reason})"
    if ending.cause == "memory":
        return ending.reason
    if ending.signal:
        try:
            name = signal.Signals(ending.signal).name
        except ValueError:
            name = f"signal {ending.signal}"
        return f"it was ended by {name}"
    if ending.cause == "exited" and not ending.reason:
        return f"its process exited with code {ending.code}"
    return ending.reason or ending.cause


def _late(late: CallLate, limit_s: float, call_id: str) -> PlatformError:
    """The call was ended at its limit, or for keeping others waiting, and its instance goes on."""
    if not late.is_blocking:
        return _timeout(late.where, limit_s, call_id, "the call was ended")
    return PlatformError(
        504,
        f"the call kept the event loop from all other calls of its instance, at {late.where}; "
        "await what takes long, or make it run in a thread",
        {"reason": "blocking", "where": late.where, "call_id": call_id},
    )


def _timeout(where: str, limit_s: float, call_id: str, what: str) -> PlatformError:
    at = f" at {where}" if where else ""
    return PlatformError(
        504,
        f"the call's time was up: its limit is {limit_s:g} s; {what}{at}",
        {"reason": "timeout", "limit_s": limit_s, "where": where, "call_id": call_id},
    )


def _lost(lost: CallLost, limit_s: float, call_id: str) -> PlatformError:
    """What a caller is told whose instance ended under its call."""
    ending = lost.ending
    if (ours := ending.platform_error()) is not None:
        return ours
    if ending.cause == "timeout" and lost.is_culprit:
        return _timeout(lost.where, limit_s, call_id, "the code was ended")
    if not lost.is_culprit:
        return PlatformError(
            503,
            "the instance was ended because of another call that ran on it; try again",
            {"reason": "neighbour", "call_id": call_id},
            {"Retry-After": "0"},
        )
    return PlatformError(
        502,
        f"the function crashed: {_how(ending)}",
        {"reason": _reason(ending), "signal": ending.signal, "exit_code": ending.code, "call_id": call_id},
    )


async def _send(answer: Answer, call_id: str, timing: Timing, send: Send) -> None:
    headers = answer.headers
    if answer.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(answer.body)))
    if answer.is_invoked:
        headers.append((b"x-invoked", b"true"))
    headers += timing.headers(call_id)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
