"""The ten steps of a call, as docs/architecture.md counts them in "The way of one call".

No framework and no task is on this path.  Each step is a plain function of the invocation, called by its
connection, its pool or its instance.  Only a call whose function this front has not looked up yet waits in a
task.  ``_step`` is the door around the steps.

Step 1 ends in ``begin``, steps 2 to 6 are methods here, steps 7 to 9 are the pool's, step 10 begins in
``ended``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from supervisor.errors import PlatformError
from supervisor.front.functions.directory import Directory
from supervisor.front.functions.suspended_functions import Suspended
from supervisor.front.invoke import request
from supervisor.front.invoke.call_ids import CallIds
from supervisor.front.invoke.credential import Credentials
from supervisor.front.invoke.http_call import Beside, HttpCall
from supervisor.front.invoke.origins import Asked
from supervisor.front.outcome import answers, cors, refusals
from supervisor.front.outcome.answers import Answer, Headers
from supervisor.front.outcome.lost_calls import CallFailed
from supervisor.front.outcome.outcomes import Outcome
from supervisor.front.outcome.reports import Report, Reports, now
from supervisor.front.pool.pool import Retired
from worker import wire

log = logging.getLogger("cellblock.front")

# A call that finds its version replaced looks it up again; each time, a deploy was acknowledged.
LOOKUPS_MOST = 100
# A call is reported this soon after its end: before anybody looks, and mostly without a timer of its own.
REPORT_SECONDS = 0.002

Step = Callable[[HttpCall], None]


class CallLog(Protocol):
    """The request log, as calls are written to it."""

    def call(self, call: HttpCall, outcome: Outcome, status: int, at: float, seconds: float) -> None:
        """Take an invocation that has ended."""


class Gateway:
    """Takes invocations through their steps."""

    def __init__(
        self,
        directory: Directory,
        credentials: Credentials,
        reports: Reports,
        call_ids: CallIds,
        beside: Callable[[HttpCall], Beside | None] = lambda call: None,
        request_log: CallLog | None = None,
    ) -> None:
        """``beside`` makes the headers of a call that asks for its log."""
        self._request_log = request_log
        self._directory = directory
        self._credentials = credentials
        self._reports = reports
        self._call_ids = call_ids
        self._beside = beside
        self._tasks: set[asyncio.Task[None]] = set()
        # Calls that have ended: outcome, status, the platform's message, the time of day, seconds in all.
        self._unreported: list[tuple[HttpCall, Outcome, int, str, float, float]] = []
        self._is_report_due = False
        self._loop = asyncio.get_running_loop()

    def _step(self, call: HttpCall, step: Step) -> None:
        """The door of this path: a bug of ours costs one caller a 500, and no process ends."""
        try:
            step(call)
        except Exception as error:
            self._fail(call, error)

    def _fail(self, call: HttpCall, error: Exception) -> None:
        """Answer with an error that a step has raised."""
        if isinstance(error, PlatformError):
            self.refuse(call, error)
        else:
            log.error("call %s: our own mistake", call.call_id, exc_info=error)
            self._answer(call, answers.refused(refusals.our_mistake(call.call_id)))

    # ---- 1. the head of an invocation has come ----------------------------------------------------------

    def begin(self, call: HttpCall) -> None:
        """Begin a call whose head has come."""
        call.gateway = self
        call.call_id = self._call_ids.of(call.headers)
        if request.ASKS_FOR_LOGS in call.headers:
            call.beside = self._beside(call)
        self._step(call, self._parse)

    # ---- 2. the request is sorted -----------------------------------------------------------------------

    def _parse(self, call: HttpCall) -> None:
        request.parse(call)
        self._recognise(call)

    # ---- 3. the caller is recognised, the function is found ---------------------------------------------

    def _recognise(self, call: HttpCall) -> None:
        call.is_known = self._credentials.principal(call.authorization) is not None
        if call.is_known:
            # A credential that is not ours may be the function's: only one that was consumed is removed.
            call.event_headers = request.without_credential(call.event_headers)
        elif not self._directory.public.may_be((call.asked.space, call.asked.name)):
            # The same answer in the same time, whether the function exists or not: nobody looks it up.
            self._turn_away(call)
            return
        self._find(call, self._admit)

    def _find(self, call: HttpCall, then: Step) -> None:
        """Find the function's active version: in memory, or in a task in the store."""
        call.function = self._directory.functions.get((call.asked.space, call.asked.name))
        if call.function is not None:
            then(call)
        else:
            self._look_up(call, then)

    def _look_up(self, call: HttpCall, then: Step) -> None:
        call.lookups += 1
        if call.lookups > LOOKUPS_MOST:
            raise refusals.replaced_too_often()
        self._keep(self._loop.create_task(self._found(call, then)))

    async def _found(self, call: HttpCall, then: Step) -> None:
        """Have the function, unless the call has it, and its space's values in memory; then go on."""
        try:
            if call.function is None:
                call.function = await self._directory.find(call.asked.space, call.asked.name)
            if call.function is not None:
                await self._directory.values_of(call.asked.space)
        except Exception as error:  # the door has the answer to it
            if call.is_closed:
                return
            if type(error) is Suspended and not call.is_known and not error.is_public:
                self._turn_away(call)  # as from a private function of any space
            else:
                self._fail(call, error)
        else:
            if not call.is_closed:
                self._step(call, then)

    def _turn_away(self, call: HttpCall) -> None:
        self._keep(self._loop.create_task(self._refuse_stranger(call)))

    async def _refuse_stranger(self, call: HttpCall) -> None:
        refusal = await self._credentials.refusal(call.authorization, call.connection.peer)
        if not call.is_closed:
            self.refuse(call, refusal)

    # ---- 4. the time limit is set, the body is read -----------------------------------------------------

    def _admit(self, call: HttpCall) -> None:
        function = call.function
        if not call.is_known and (function is None or not function.limits.public):
            self._turn_away(call)
            return
        if function is None:
            raise refusals.not_found(call.asked.space, call.asked.name)
        call.cors = function.cors
        call.timeout_s = request.timeout_of(call.timeout, function.limits.timeout)
        if not call.has_body:
            self._encode(call)
        elif call.content_length is not None and call.content_length > function.request_max_bytes:
            raise refusals.too_large(function.request_max_bytes)
        else:
            call.want_body(function.request_max_bytes)

    def body_arrived(self, call: HttpCall) -> None:
        """Go on with a call whose whole body has come."""
        if not call.is_closed:
            self._step(call, self._encode)

    # ---- 5. the call is encoded -------------------------------------------------------------------------

    def _encode(self, call: HttpCall) -> None:
        if call.function is None:
            raise refusals.deleted(call.asked.name)
        values = self._directory.values.get(call.asked.space)
        if values is None:
            self._look_up(call, self._encode)
            return
        try:
            call.encode(call.method, call.path, call.query, call.event_headers, values)
        except wire.LocalProtocolError as error:
            raise refusals.too_much_head(error) from None
        self._queue(call)

    # ---- 6. to 9. a free instance takes the call, or the call waits for one -----------------------------

    def _queue(self, call: HttpCall) -> None:
        function = call.function
        assert function is not None
        call.pool = function.pool
        call.version = function.deployment.version
        if (on_begin := self._reports.on_begin) is not None:
            on_begin(call.asked.space, call.asked.name, call.call_id, call.event_headers)
        function.pool.submit(call)
        # The cell works now, and this front has nothing else to do for the caller.
        self.report_ended()

    # ---- 10. the frame becomes an HTTP answer -----------------------------------------------------------

    def ended(self, call: HttpCall) -> None:
        """Answer a call that has its frame or an error; find its function again if that was replaced."""
        if call.is_closed:
            return
        call.pool = None
        call.settle(time.perf_counter())
        if type(call.error) is Retired:
            self._step(call, self._find_again)
        else:
            self._step(call, self._give)

    def _find_again(self, call: HttpCall) -> None:
        self._find(call, self._encode)

    def _give(self, call: HttpCall) -> None:
        frame, error = call.frame, call.error
        if frame is not None:
            if frame.kind == wire.ANSWER:
                answer = answers.answered(frame.head[0], call.answer_headers, frame.body)
            elif frame.kind == wire.RAISED:
                answer = answers.raised(frame.head, call.call_id, call.is_known, call.remark)
            else:
                answer = answers.broke_contract(frame.head[0], call.call_id, call.is_known)
            self._answer(call, answer)
        elif isinstance(error, CallFailed):
            self._answer(call, error.answer_to(call))
        else:
            assert error is not None
            self._fail(call, error)

    def _answer(self, call: HttpCall, answer: Answer) -> None:
        call.is_closed = True
        call.frame = None  # with the body, while the call waits for its report
        total_s = time.perf_counter() - call.started
        stamps = answers.stamps(call.call_id, total_s, call.queue_s, call.init_s, call.execution_s)
        headers = answer.complete(stamps, call.asked)
        if call.cors is not None:
            headers = cors.dressed(headers, call.cors, call.method, call.headers)
        if call.beside is None:
            call.reply(answer.status, headers, answer.body)
        else:
            self._keep(self._loop.create_task(self._reply_beside(call, answer, headers)))
        if answer.outcome is not None:
            self._report(call, answer.outcome, answer.status, answer.told)

    async def _reply_beside(self, call: HttpCall, answer: Answer, headers: Headers) -> None:
        assert call.beside is not None
        headers += await call.beside(call.call_id)
        call.reply(answer.status, headers, answer.body)

    # ---- refusals at any step, and callers that leave ---------------------------------------------------

    def refuse(self, call: HttpCall, error: PlatformError) -> None:
        """Answer with an error of the platform."""
        if call.cors is None and not call.body_max_bytes and cors.origin_of(call.headers) is not None:
            # The function's option says whether a page may read the refusal, and the function was perhaps not
            # looked up yet.  A call whose body comes was.  It is refused at once: while a task ran, its body
            # could end, and the refused call would be made.
            self._keep(self._loop.create_task(self._refuse_page(call, error)))
        else:
            self._refuse(call, error)

    async def _refuse_page(self, call: HttpCall, error: PlatformError) -> None:
        call.cors = await self.cors_of(call.asked, call.headers)
        if not call.is_closed:
            self._refuse(call, error)

    def _refuse(self, call: HttpCall, error: PlatformError) -> None:
        if call.cors is not None and cors.is_preflight(call.method, call.headers):
            self._answer(call, Answer(204, outcome=None))
        else:
            self._answer(call, answers.refused(error))

    async def cors_of(self, asked: Asked, request_headers: Headers) -> cors.Cors | None:
        """The option ``cors`` of a function, if it admits the origin of a request.

        A caller from any other origin learns nothing: for it the function may as well not exist.
        """
        try:
            function = await self._directory.find(asked.space, asked.name)
        except Suspended as suspended:
            option = suspended.cors
            return option if option is not None and option.allows(cors.origin_of(request_headers)) else None
        except PlatformError as leaving:
            log.info("a page cannot read a refusal: %s", leaving)
            return None
        except Exception:  # a door: the refusal itself is given all the same
            log.exception("a page cannot read a refusal: our own mistake")
            return None
        found = function.cors if function is not None else None
        return found if found is not None and found.allows(cors.origin_of(request_headers)) else None

    def hung_up(self, call: HttpCall) -> None:
        """End a call whose caller is gone, as a call whose time is up."""
        call.is_closed = True
        if call.pool is not None:
            call.leave()
            call.pool.hang_up(call)
            call.settle(time.perf_counter())
        self._report(call, Outcome.CANCELLED, 0, "")

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- the report -------------------------------------------------------------------------------------

    def _report(self, call: HttpCall, outcome: Outcome, status: int, told: str) -> None:
        """Report soon, while the next call's cell works: now the caller's next request would wait for it."""
        total_s = time.perf_counter() - call.started
        self._unreported.append((call, outcome, status, told, now(), total_s))
        if not self._is_report_due:
            self._is_report_due = True
            self._loop.call_later(REPORT_SECONDS, self._report_due)

    def _report_due(self) -> None:
        self._is_report_due = False
        self.report_ended()

    def report_ended(self) -> None:
        """Report the calls that have ended; also when the front ends."""
        ended, self._unreported = self._unreported, []
        directory = self._directory
        for call, outcome, status, told, at, total_s in ended:
            space, name = call.asked.space, call.asked.name
            directory.call_counters.ended(space, name, outcome, total_s)
            spent = (total_s, call.queue_s, call.init_s)
            directory.call_metrics.ended((space, name), outcome, status, call.version, spent)
            if self._request_log is not None:
                self._request_log.call(call, outcome, status, at, total_s)
            instance = call.instance.cell if call.instance is not None else "-"
            whose = (space, name, call.version, instance, call.call_id)
            times = (total_s, call.queue_s, call.init_s, call.execution_s, call.cpu_us / 1e6)
            self._reports.take(Report(at, *whose, outcome, status, *times, call.peak_bytes, told))
