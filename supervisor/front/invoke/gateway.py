"""The way of one call: parse, recognise, find a place, send, answer.  No framework and no task on this path.

Each step is a plain function of the exchange, called by its connection, its pool or its instance; only a call
whose function this front has not looked up yet waits for that in a task.  ``_step`` is the door around them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from supervisor.errors import PlatformError
from supervisor.front.functions.directory import Directory
from supervisor.front.http.exchange import Exchange
from supervisor.front.invoke import cors, request
from supervisor.front.invoke.credential import Credentials
from supervisor.front.invoke.origins import Asked
from supervisor.front.invoke.pending_call import PreparedCall
from supervisor.front.outcome import answers, outcomes, refusals
from supervisor.front.outcome.answers import Answer
from supervisor.front.outcome.lost_calls import CallLate, CallLost, CircuitOpen, StartFailed, StartLate
from supervisor.front.outcome.outcomes import Outcome
from supervisor.front.outcome.reports import Report, Reports, now
from supervisor.front.pool.pool import Retired
from worker import wire

log = logging.getLogger("cellblock.front")

# A call that finds its version replaced looks again; each time a deploy has been acknowledged.
RETIRED_MOST = 100
# A call that has ended is reported no later: shorter than anybody looks, and rarely a timer of its own.
REPORT_SECONDS = 0.002

Step = Callable[[Exchange], None]


class Gateway:
    """Answers invocations."""

    def __init__(self, directory: Directory, credentials: Credentials, reports: Reports) -> None:
        self._directory = directory
        self._credentials = credentials
        self._reports = reports
        self._tasks: set[asyncio.Task[None]] = set()
        # Calls that have ended, with the time of day and the seconds that each took.
        self._unreported: list[tuple[Exchange, Outcome, int, str, float, float]] = []
        self._is_report_due = False
        self._loop = asyncio.get_running_loop()

    # ---- what the connection calls ------------------------------------------------------------------

    def begin(self, exchange: Exchange) -> None:
        """The head of a request to a function is there."""
        exchange.gateway = self
        exchange.call_id = request.call_id_of(exchange.headers)
        self._step(exchange, self._recognise)

    def has_body(self, exchange: Exchange) -> None:
        """All of its body is there."""
        if not exchange.is_over:
            self._step(exchange, self._run)

    def hung_up(self, exchange: Exchange) -> None:
        """Its caller is gone: it ends as a call does whose time is up."""
        exchange.is_over = True
        prepared = exchange.prepared
        if prepared is not None and exchange.pool is not None:
            prepared.leave()
            exchange.pool.hang_up(prepared)
            exchange.timing.take(prepared, time.perf_counter())
            exchange.prepared = None
        self._report(exchange, Outcome.CANCELLED, 0, "")

    def refuse(self, exchange: Exchange, error: PlatformError) -> None:
        """Answer with an error of the platform."""
        if exchange.cors is None and not exchange.most and cors.origin_of(exchange.headers) is not None:
            # Perhaps before its function was looked at, whose option says whether a page may read why.
            # Never while a body comes: what was refused for its body would be called with a part of it.
            self._keep(self._loop.create_task(self._refuse_a_page(exchange, error)))
        else:
            self._refuse(exchange, error)

    async def cors_of(self, asked: Asked, request_headers: answers.Headers) -> cors.Cors | None:
        """The option of the function that was called, if it admits the origin that asks.

        Whoever names no origin that it admits learns nothing: to them it may as well not exist.
        """
        space, name, _ = asked.groups()
        try:
            function = await self._directory.find(space.decode("latin-1"), name.decode("latin-1"))
        except PlatformError as leaving:
            log.info("a page cannot read a refusal: %s", leaving)
            return None
        except Exception:  # a door: the refusal itself is given all the same
            log.exception("a page cannot read a refusal: our own mistake")
            return None
        found = function.cors if function is not None else None
        return found if found is not None and found.allows(cors.origin_of(request_headers)) else None

    async def _refuse_a_page(self, exchange: Exchange, error: PlatformError) -> None:
        exchange.cors = await self.cors_of(exchange.match, exchange.headers)
        if not exchange.is_over:
            self._refuse(exchange, error)

    def _refuse(self, exchange: Exchange, error: PlatformError) -> None:
        if exchange.cors is not None and cors.is_preflight(exchange.method, exchange.headers):
            self._answer(exchange, Answer(204), None, "")
        else:
            outcome = outcomes.outcome_of(error.status, error.details)
            self._answer(exchange, answers.refused(error), outcome, error.message)

    # ---- steps --------------------------------------------------------------------------------------

    def _step(self, exchange: Exchange, step: Step) -> None:
        """The door of this path: our bug costs one caller a 500 and nobody a process."""
        try:
            step(exchange)
        except PlatformError as error:
            self.refuse(exchange, error)
        except Exception:
            log.exception("call %s: our own mistake", exchange.call_id)
            message = "the platform made a mistake; its operator finds it in the log by the call id"
            mistake = PlatformError(500, message, {"call_id": exchange.call_id})
            self._answer(exchange, answers.refused(mistake), Outcome.FAULT, message)

    def _recognise(self, exchange: Exchange) -> None:
        call = exchange.call = request.parse(exchange, exchange.call_id)
        principal = self._credentials.principal(call.authorization)
        exchange.is_known = principal is not None
        if principal is not None:
            # A credential that is not ours may be the function's own: only what was consumed is removed.
            call.headers = call.without_credential()
        elif not self._directory.public.may_be((call.space, call.name)):
            # The same answer, by the same way, whether it exists or not: nobody looks.
            self._refuse_stranger(exchange)
            return
        if (call.space, call.name) in self._directory.functions:
            self._admit(exchange)
        else:
            self._look_up(exchange, self._admit)

    def _refuse_stranger(self, exchange: Exchange) -> None:
        self._keep(self._loop.create_task(self._turn_away(exchange)))

    async def _turn_away(self, exchange: Exchange) -> None:
        refusal = await self._credentials.refusal(exchange.call.authorization, exchange.peer)
        if not exchange.is_over:
            self.refuse(exchange, refusal)

    def _admit(self, exchange: Exchange) -> None:
        call = exchange.call
        function = self._directory.functions.get((call.space, call.name))
        if not exchange.is_known and (function is None or not function.limits.public):
            self._refuse_stranger(exchange)
            return
        if function is None:
            raise PlatformError(
                404,
                f"function not found: space {call.space!r} has no function {call.name!r}; "
                "deploy it or look at the list of functions",
            )
        exchange.cors = function.cors
        exchange.limit_s = request.timeout_of(call.timeout, function.limits.timeout)
        if not call.has_body:
            self._run(exchange)
        elif call.content_length is not None and call.content_length > function.request_max_bytes:
            raise refusals.too_large(function.request_max_bytes)
        else:
            exchange.want_body(function.request_max_bytes)

    def _run(self, exchange: Exchange) -> None:
        call = exchange.call
        # Looked up again where a deploy came between: the version that is active now.
        function = self._directory.functions.get((call.space, call.name))
        values = self._directory.values.get(call.space)
        if function is None or values is None:
            self._look_up(exchange, self._run_found)
            return
        try:
            prepared = PreparedCall(
                (call.method, call.path, call.query, call.call_id),
                call.headers,
                exchange.body,
                exchange.limit_s,
                values,
                lambda prepared: self._ended(exchange, prepared),
            )
        except wire.LocalProtocolError as error:
            raise PlatformError(
                431, f"the request's path and headers do not fit into a call: {error}; send less"
            ) from None
        exchange.prepared, exchange.pool = prepared, function.pool
        exchange.timing.version = function.deployment.version
        self._reports.begin(call.space, call.name, call.call_id, call.headers)
        function.pool.submit(prepared)
        # The cell works now, and this front has nothing else to do for the caller.
        self.report_ended()

    def _run_found(self, exchange: Exchange) -> None:
        if (exchange.call.space, exchange.call.name) not in self._directory.functions:
            raise PlatformError(
                404, f"function not found: {exchange.call.name!r} was deleted during the call"
            )
        self._run(exchange)

    def _look_up(self, exchange: Exchange, then: Step) -> None:
        """Have the function and its space's values in the table, then go on."""
        exchange.tries += 1
        if exchange.tries > RETIRED_MOST:
            raise PlatformError(
                503, "the function is being replaced again and again; try again", headers={"Retry-After": "1"}
            )
        self._keep(self._loop.create_task(self._found(exchange, then)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _found(self, exchange: Exchange, then: Step) -> None:
        found: Step = then
        try:
            if await self._directory.find(exchange.call.space, exchange.call.name) is not None:
                await self._directory.values_of(exchange.call.space)
        except Exception as error:  # the door has the answer to it

            def found(_: Exchange, error: Exception = error) -> None:
                raise error

        if not exchange.is_over:
            self._step(exchange, found)

    def _ended(self, exchange: Exchange, prepared: PreparedCall) -> None:
        """The call has a frame, or none."""
        if exchange.is_over:
            return
        exchange.timing.take(prepared, time.perf_counter())
        if isinstance(prepared.error, Retired):
            self._step(exchange, self._run)
        else:
            self._step(exchange, self._give)

    def _give(self, exchange: Exchange) -> None:
        prepared = exchange.prepared
        assert prepared is not None
        answer = _answer_of(prepared, exchange)
        self._answer(exchange, answer, answer.outcome, "")

    # ---- the end ------------------------------------------------------------------------------------

    def _answer(self, exchange: Exchange, answer: Answer, outcome: Outcome | None, told: str) -> None:
        """``outcome`` is None for what is no call: a browser that asks before it calls."""
        exchange.is_over = True
        exchange.prepared = None  # it knows the exchange: neither would be freed for a long time
        headers = answer.complete(exchange.timing.headers(exchange.call_id), exchange.match)
        if exchange.cors is not None:
            headers = cors.dressed(headers, exchange.cors, exchange.method, exchange.headers)
        if exchange.beside is None:
            exchange.reply(answer.status, headers, answer.body)
        else:
            self._keep(self._loop.create_task(self._reply_beside(exchange, answer, headers)))
        if outcome is not None:
            self._report(exchange, outcome, answer.status, told)

    async def _reply_beside(self, exchange: Exchange, answer: Answer, headers: answers.Headers) -> None:
        assert exchange.beside is not None
        headers += await exchange.beside(exchange.call_id)
        exchange.reply(answer.status, headers, answer.body)

    def _report(self, exchange: Exchange, outcome: Outcome, status: int, told: str) -> None:
        """While the next call's cell works, or a little later: a caller's next request would wait for it."""
        total_s = time.perf_counter() - exchange.timing.started
        self._unreported.append((exchange, outcome, status, told, now(), total_s))
        if not self._is_report_due:
            self._is_report_due = True
            self._loop.call_later(REPORT_SECONDS, self._report_due)

    def _report_due(self) -> None:
        self._is_report_due = False
        self.report_ended()

    def report_ended(self) -> None:
        """Report the calls that have ended; also when the front ends."""
        ended, self._unreported = self._unreported, []
        for exchange, outcome, status, told, at, total_s in ended:
            timing = exchange.timing
            space, name = (part.decode("latin-1") for part in exchange.match.groups()[:2])
            self._directory.call_counters.ended(space, name, outcome, total_s)
            whose = (space, name, timing.version, timing.instance, exchange.call_id)
            times = (total_s, timing.queue_s, timing.init_s, timing.execution_s, timing.cpu_s)
            self._reports.take(Report(at, *whose, outcome, status, *times, timing.peak_bytes, told))


def _answer_of(call: PreparedCall, exchange: Exchange) -> Answer:
    """The answer that a call's end stands for; PlatformError."""
    is_known, limit_s, error, frame = exchange.is_known, exchange.limit_s, call.error, call.frame
    if frame is not None:
        if frame.kind == wire.ANSWER:
            return answers.answered(frame.head[0], call.answer_headers, frame.body)
        if frame.kind == wire.RAISED:
            return answers.raised(frame.head, call.call_id, is_known, call.remark)
        raise answers.broke_contract(frame.head[0], call.call_id, is_known)
    assert error is not None and exchange.pool is not None
    memory_mib = exchange.pool.limits.memory
    if isinstance(error, StartFailed):
        return refusals.start_failed(error, memory_mib, call.call_id, is_known)
    if isinstance(error, StartLate):
        raise refusals.import_late(error, call.call_id)
    if isinstance(error, CallLost):
        raise refusals.lost(error, limit_s, memory_mib, call.call_id)
    if isinstance(error, CircuitOpen):
        raise refusals.circuit(error, call.call_id, is_known)
    if isinstance(error, CallLate):
        raise refusals.late(error, limit_s, call.call_id)
    raise error
