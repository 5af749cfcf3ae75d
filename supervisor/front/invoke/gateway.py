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
from functools import partial
from typing import Protocol

from supervisor.errors import PlatformError
from supervisor.front.functions.directory import Directory
from supervisor.front.functions.function_entry import FunctionEntry
from supervisor.front.functions.suspended_functions import Suspended
from supervisor.front.invoke import page_access, request
from supervisor.front.invoke.call_ids import CallIds
from supervisor.front.invoke.callers.credential import Credentials
from supervisor.front.invoke.ended_calls import CallLog, EndedCalls
from supervisor.front.invoke.http_call import Beside, HttpCall
from supervisor.front.invoke.origins import Asked
from supervisor.front.outcome import answers, cors, refusals
from supervisor.front.outcome.answers import Answer, Headers
from supervisor.front.outcome.lost_calls import CallFailed
from supervisor.front.outcome.outcomes import Outcome
from supervisor.front.outcome.reports import Reports
from supervisor.front.pool.pool import Retired
from supervisor.front.quotas.quota_table import QuotaTable
from supervisor.front.usage.usage_book import UsageBook
from supervisor.tenancy import permissions
from supervisor.tenancy.principal import Principal
from supervisor.tenancy.route_scopes import INVOKE
from supervisor.tenancy.token_format import is_ours
from worker import wire

log = logging.getLogger("cellblock.front")

# A call that finds its version replaced looks it up again; each time, a deploy was acknowledged.
LOOKUPS_MOST = 100

Step = Callable[[HttpCall], None]


class Meters(Protocol):
    """What counts calls for their spaces."""

    quotas: QuotaTable
    usage: UsageBook


class Gateway:
    """Takes invocations through their steps."""

    def __init__(
        self,
        directory: Directory,
        credentials: Credentials,
        reports: Reports,
        call_ids: CallIds,
        meters: Meters,
        beside: Callable[[HttpCall], Beside | None] = lambda call: None,
        request_log: CallLog | None = None,
    ) -> None:
        """``beside`` makes the headers of a call that asks for its log."""
        self._directory = directory
        self._credentials = credentials
        self._reports = reports
        self._call_ids = call_ids
        self._quotas = meters.quotas
        self._beside = beside
        self._tasks: set[asyncio.Task[None]] = set()
        self.ended_calls = EndedCalls(directory, reports, meters.usage, request_log)
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
        self._step(call, self._parse)

    # ---- 2. the request is sorted -----------------------------------------------------------------------

    def _parse(self, call: HttpCall) -> None:
        request.parse(call)
        self._recognise(call)

    # ---- 3. the caller is recognised, the function is found ---------------------------------------------

    def _recognise(self, call: HttpCall) -> None:
        principal = self._credentials.principal(call.authorization)
        if principal is not None:
            self._enter(call, principal)
        elif call.authorization is not None and is_ours(call.authorization):
            self._keep(self._loop.create_task(self._recognise_in_store(call)))
        elif not self._may_be_public(call.asked):
            # The same answer in the same time, whether the function exists or not: nobody looks it up.
            self._turn_away(call)
        else:
            # A credential that is not ours may be the function's.
            self._find(call, self._admit)

    def _enter(self, call: HttpCall, principal: Principal) -> None:
        """Go on for a caller who is known, if it may call the function."""
        call.principal = principal
        if principal.space is not None:
            if principal.space != call.asked.space:
                # The same answer in the same time, whatever there is in another space.
                raise refusals.not_found(call.asked.space, call.asked.name)
            if not principal.may(INVOKE, call.asked.name):
                raise permissions.lacking(principal, INVOKE)
        call.is_known = True
        call.event_headers = request.without_credential(call.event_headers)
        if request.ASKS_FOR_LOGS in call.headers:
            call.beside = self._beside(call)
        self._find(call, self._admit)

    async def _recognise_in_store(self, call: HttpCall) -> None:
        """Look up a credential of ours that this front does not know: no function ever sees one."""
        try:
            principal = await self._credentials.recognised(call.authorization, self._address(call))
        except PlatformError as error:
            call.unchecked = error
            call.event_headers = request.without_credential(call.event_headers)
            is_worth_a_look = self._may_be_public(call.asked)
            then = partial(self._find, then=self._admit) if is_worth_a_look else self._turn_away
        except Exception as error:  # the door has the answer to it
            if not call.is_closed:
                self._fail(call, error)
            return
        else:
            then = partial(self._enter, principal=principal) if principal is not None else self._turn_away
        if not call.is_closed:
            self._step(call, then)

    def _address(self, call: HttpCall) -> str:
        return self._credentials.callers.address(call.connection.peer, call.headers)

    def _may_be_public(self, asked: Asked) -> bool:
        public, key = self._directory.public, (asked.space, asked.name)
        return public.may_be_alias(key, asked.qualifier) if asked.qualifier else public.may_be(key)

    def _find(self, call: HttpCall, then: Step) -> None:
        """Find the version that serves the call: in memory, or in a task in the store."""
        asked = call.asked
        if asked.qualifier:
            known = self._directory.versions.traffic.get((asked.space, asked.name))
            traffic = known.get(asked.qualifier) if known is not None else None
            call.function = traffic.choose(call.headers) if traffic is not None else None
        else:
            call.function = self._directory.functions.get((asked.space, asked.name))
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
        """Have the function, unless the call has it, and its values in memory; then go on."""
        try:
            if call.function is None:
                call.function = await self._version_for(call)
            if call.function is not None:
                await self._directory.values_of(call.asked.space, call.asked.name)
                await self._quotas.of(call.asked.space)
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

    async def _version_for(self, call: HttpCall) -> FunctionEntry | None:
        asked = call.asked
        if not asked.qualifier:
            return await self._directory.find(asked.space, asked.name)
        traffic = await self._directory.traffic(asked.space, asked.name, asked.qualifier)
        return traffic.choose(call.headers) if traffic is not None else None

    def _turn_away(self, call: HttpCall) -> None:
        if call.unchecked is not None:
            raise call.unchecked
        self._keep(self._loop.create_task(self._refuse_stranger(call)))

    async def _refuse_stranger(self, call: HttpCall) -> None:
        refusal = await self._credentials.refusal(call.authorization, self._address(call))
        if not call.is_closed:
            self.refuse(call, refusal)

    # ---- 4. the time limit is set, the body is read -----------------------------------------------------

    def _admit(self, call: HttpCall) -> None:
        function = call.function
        if not call.is_known and (function is None or not function.limits.public):
            self._turn_away(call)
            return
        if function is None:
            raise self._not_found(call.asked)
        call.cors = function.cors
        try:
            quota = self._quotas.known[call.asked.space]
        except KeyError:  # no call of the space has come since its quotas changed
            self._look_up(call, self._admit)
            return
        if quota is not None:
            if (refusal := quota.take()) is not None:
                raise refusal
            call.quota = quota
        call.timeout_s = request.timeout_of(call.timeout, function.limits.timeout)
        if not call.has_body:
            self._encode(call)
        elif call.content_length is not None and call.content_length > function.request_max_bytes:
            raise refusals.too_large(function.request_max_bytes)
        else:
            call.want_body(function.request_max_bytes)

    def _not_found(self, asked: Asked) -> PlatformError:
        key = (asked.space, asked.name)
        if asked.qualifier and key in self._directory.functions:
            return refusals.no_version(asked.name, asked.qualifier, self._directory.versions.aliases(key))
        return refusals.not_found(*key)

    def body_arrived(self, call: HttpCall) -> None:
        """Go on with a call whose whole body has come."""
        if not call.is_closed:
            self._step(call, self._encode)

    # ---- 5. the call is encoded -------------------------------------------------------------------------

    def _encode(self, call: HttpCall) -> None:
        if call.function is None:
            raise refusals.deleted(call.asked.called)
        of_space = self._directory.values.get(call.asked.space)
        values = of_space.get(call.asked.name) if of_space is not None else None
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
        self.ended_calls.report()

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
        if call.asked.qualifier and call.version:
            stamps.append((b"x-function-version", b"%d" % call.version))
        headers = answer.complete(stamps, call.asked)
        if call.quota is not None:
            call.quota.give_back()
            headers += call.quota.headers()
        if call.cors is not None:
            headers = cors.dressed(headers, call.cors, call.method, call.headers)
        if call.beside is None:
            call.reply(answer.status, headers, answer.body)
        else:
            self._keep(self._loop.create_task(self._reply_beside(call, answer, headers)))
        if answer.outcome is not None:
            self.ended_calls.add(call, answer.outcome, answer.status, answer.told, len(answer.body))

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
        call.cors = await page_access.cors_of(self._directory, call.asked, call.headers)
        if not call.is_closed:
            self._refuse(call, error)

    def _refuse(self, call: HttpCall, error: PlatformError) -> None:
        if call.cors is not None and cors.is_preflight(call.method, call.headers):
            self._answer(call, Answer(204, outcome=None))
        else:
            self._answer(call, answers.refused(error))

    def hung_up(self, call: HttpCall) -> None:
        """End a call whose caller is gone, as a call whose time is up."""
        call.is_closed = True
        if call.pool is not None:
            call.leave()
            call.pool.hang_up(call)
            call.settle(time.perf_counter())
        if call.quota is not None:
            call.quota.give_back()
        self.ended_calls.add(call, Outcome.CANCELLED, 0, "", 0)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
