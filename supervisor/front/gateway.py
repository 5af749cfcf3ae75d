"""The way of one call: parse, recognise, find a place, send, answer.  No framework on this path."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from supervisor.errors import PlatformError
from supervisor.front import answers, calls, outcomes, refusals
from supervisor.front.answers import Answer
from supervisor.front.auth import Credentials, Principal, unauthenticated
from supervisor.front.directory import Directory
from supervisor.front.exchange import Exchange, Receive, Reply
from supervisor.front.lost import CallLate, CallLost, CircuitOpen, StartFailed
from supervisor.front.outcomes import Outcome
from supervisor.front.patience import Patience
from supervisor.front.pool import Retired
from supervisor.front.prepared import PreparedCall
from supervisor.front.reports import Report, Reports, now
from worker import wire

log = logging.getLogger("cellblock.front")

# A call that finds its version replaced looks again; each time a deploy has been acknowledged.
RETIRED_MOST = 100

_LATE_BODY = "the request's body did not arrive within {:g} s"

# What every answer carries besides, whoever gives it: the drain says that the connection ends.
every_answer: answers.Headers = []

# The tasks that answer a call now: whose connection is lost is cancelled.
calling: set[asyncio.Task[Any] | None] = set()


class Timing:
    """Where the time of one call went; perf_counter seconds."""

    __slots__ = (
        "cpu_s",
        "execution_s",
        "init_s",
        "instance",
        "is_body_read",
        "peak_bytes",
        "queue_s",
        "started",
        "version",
    )

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.queue_s = self.init_s = self.execution_s = self.cpu_s = 0.0
        self.peak_bytes = self.version = 0
        self.instance = "-"
        self.is_body_read = False

    def take(self, call: PreparedCall, now: float) -> None:
        """What a call says of its own way; ``now`` on its clock."""
        sent = call.sent_at or now
        self.init_s = call.init_s
        self.queue_s += max(0.0, sent - call.queued_at - call.init_s)
        if call.sent_at:
            self.execution_s = (call.answered_at or now) - sent
            self.instance = call.instance.cell if call.instance is not None else "-"
            self.cpu_s, self.peak_bytes = call.cpu_us / 1e6, call.peak_bytes

    def closing(self, request_headers: answers.Headers) -> answers.Headers:
        """``Connection: close`` where the request's body was not read: gunicorn does not read it either."""
        is_left = not self.is_body_read and calls.announces_body(request_headers)
        return [(b"connection", b"close")] if is_left else []

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
            *every_answer,
        ]


class Gateway:
    """Answers invocations."""

    def __init__(
        self, directory: Directory, credentials: Credentials, reports: Reports, body_seconds: float
    ) -> None:
        self._directory = directory
        self._credentials = credentials
        self._reports = reports
        self._body_seconds = body_seconds
        self._loop = asyncio.get_running_loop()
        self._patience = Patience(body_seconds)

    async def __call__(self, request: Exchange, receive: Receive, reply: Reply) -> None:
        """One HTTP request to a function, to the end of its answer."""
        timing = Timing()
        told = ""
        call_id = calls.call_id_of(request.headers)
        task = asyncio.current_task()
        calling.add(task)
        try:
            answer = await self._answer(request, receive, call_id, timing)
            outcome = answer.outcome
        except PlatformError as error:
            answer = answers.refused(error)
            answer.headers += timing.closing(request.headers)
            outcome, told = outcomes.outcome_of(error.status, error.details), error.message
        except asyncio.CancelledError:
            self._report(request, call_id, timing, Outcome.CANCELLED, 0, "")
            raise
        except Exception:
            # The door of this path: our bug costs one caller a 500 and nobody a process.
            log.exception("call %s: our own mistake", call_id)
            message = "the platform made a mistake; its operator finds it in the log by the call id"
            answer = answers.refused(PlatformError(500, message, {"call_id": call_id}))
            outcome, told = Outcome.FAULT, message
        finally:
            calling.discard(task)
        await reply(answer.status, answer.complete(timing.headers(call_id)), answer.body)
        self._report(request, call_id, timing, outcome, answer.status, told)

    def _report(
        self, request: Exchange, call_id: str, timing: Timing, outcome: Outcome, status: int, told: str
    ) -> None:
        space, name, _ = request.match.groups()
        whose = (space.decode("latin-1"), name.decode("latin-1"), timing.version, timing.instance, call_id)
        total_s = time.perf_counter() - timing.started
        self._directory.activity.ended(whose[0], whose[1], outcome, total_s)
        times = (total_s, timing.queue_s, timing.init_s, timing.execution_s, timing.cpu_s)
        self._reports.take(Report(now(), *whose, outcome, status, *times, timing.peak_bytes, told))

    async def _answer(self, request: Exchange, receive: Receive, call_id: str, timing: Timing) -> Answer:
        call = calls.parse(request, call_id)
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
        timing.is_body_read = True
        # A credential that is not ours may be the function's own: only what was consumed is removed.
        headers = call.headers if principal is None else call.without_credential()
        return await self._run(call, principal, headers, body, limit_s, timing)

    async def _body(self, call: calls.Call, most: int, receive: Receive) -> bytes:
        """The request's body, bounded before it is believed; 413, 408."""
        if call.content_length is not None and call.content_length > most:
            raise refusals.too_large(most)
        chunks = []
        size = 0
        with self._patience.limit() as limit:
            while True:
                try:
                    message = await receive()
                except asyncio.CancelledError:
                    if not limit.is_over:
                        raise
                    raise refusals.too_slow(_LATE_BODY.format(self._body_seconds)) from None
                if limit.is_over:  # a cancellation that met a byte is lost on its way
                    raise refusals.too_slow(_LATE_BODY.format(self._body_seconds))
                if message["type"] != "http.request":
                    # The caller hung up and nobody hears this, or gunicorn had no more patience.
                    raise refusals.too_slow("the request's body stopped arriving")
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > most:
                    raise refusals.too_large(most)
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
            timing.version = function.deployment.version
            self._reports.begin(call.space, call.name, call.call_id, headers)
            function.pool.submit(prepared)
            try:
                frame = await prepared.future
            except Retired:
                continue
            except StartFailed as failed:
                return refusals.start_failed(failed, function.limits.memory, call.call_id, is_known)
            except CallLost as lost:
                raise refusals.lost(lost, limit_s, function.limits.memory, call.call_id) from None
            except CircuitOpen as refused:
                raise refusals.circuit(refused, call.call_id, is_known) from None
            except CallLate as late:
                raise refusals.late(late, limit_s, call.call_id) from None
            except asyncio.CancelledError:
                function.pool.hang_up(prepared)
                raise
            finally:
                timing.take(prepared, time.perf_counter())
            return _from_frame(frame, prepared, is_known)
        raise PlatformError(
            503, "the function is being replaced again and again; try again", headers={"Retry-After": "1"}
        )


def _from_frame(frame: wire.Frame, call: PreparedCall, is_known: bool) -> Answer:
    """The answer that a call's frame stands for."""
    if frame.kind == wire.ANSWER:
        return answers.answered(frame.head[0], call.answer_headers, frame.body)
    if frame.kind == wire.RAISED:
        return answers.raised(frame.head, call.call_id, is_known, call.remark)
    raise answers.broke_contract(frame.head[0], call.call_id, is_known)
