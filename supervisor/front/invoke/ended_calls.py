"""Reports calls a moment after their end: to counters, usage, the request log and the function's log."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from supervisor.front.functions.directory import Directory
from supervisor.front.invoke.http_call import HttpCall
from supervisor.front.outcome.outcomes import Outcome
from supervisor.front.outcome.reports import Report, Reports, now
from supervisor.front.usage.usage_book import UsageBook, cpu_us_of

# A call is reported this soon after its end: before anybody looks, and mostly without a timer of its own.
REPORT_SECONDS = 0.002


class CallLog(Protocol):
    """The request log, as calls are written to it."""

    def call(self, call: HttpCall, outcome: Outcome, status: int, at: float, seconds: float) -> None:
        """Take an invocation that has ended."""


class EndedCalls:
    """One front's."""

    def __init__(
        self, directory: Directory, reports: Reports, usage: UsageBook, request_log: CallLog | None
    ) -> None:
        self._directory = directory
        self._reports = reports
        self._usage = usage
        self._request_log = request_log
        # Outcome, status, the platform's message, time of day, seconds, bytes out.
        self._unreported: list[tuple[HttpCall, Outcome, int, str, float, float, int]] = []
        self._is_due = False
        self._loop = asyncio.get_running_loop()

    def add(self, call: HttpCall, outcome: Outcome, status: int, told: str, bytes_out: int) -> None:
        """Report soon, while the next call's cell works: now the caller's next request would wait for it."""
        total_s = time.perf_counter() - call.started
        self._unreported.append((call, outcome, status, told, now(), total_s, bytes_out))
        if not self._is_due:
            self._is_due = True
            self._loop.call_later(REPORT_SECONDS, self._due)

    def _due(self) -> None:
        self._is_due = False
        self.report()

    def report(self) -> None:
        """Report the calls that have ended by now."""
        ended, self._unreported = self._unreported, []
        directory = self._directory
        for call, outcome, status, told, at, total_s, bytes_out in ended:
            space, name = call.asked.space, call.asked.name
            directory.call_counters.ended(space, name, outcome, total_s)
            spent = (total_s, call.queue_s, call.init_s)
            directory.call_metrics.ended((space, name), outcome, status, call.version, spent)
            self._use(call, outcome, at, bytes_out)
            if self._request_log is not None:
                self._request_log.call(call, outcome, status, at, total_s)
            instance = call.instance.cell if call.instance is not None else "-"
            whose = (space, name, call.version, instance, call.call_id)
            times = (total_s, call.queue_s, call.init_s, call.execution_s, call.cpu_us / 1e6)
            self._reports.take(Report(at, *whose, outcome, status, *times, call.peak_bytes, told))

    def _use(self, call: HttpCall, outcome: Outcome, at: float, bytes_out: int) -> None:
        """Count what a call took: as usage, and for the space's quota of processor time."""
        whose = (call.asked.space, call.asked.name)
        function = call.function or self._directory.functions.get(whose)
        if function is None:
            return  # callers may invent names without end
        cpu_us = cpu_us_of(call.cpu_us, call.execution_s)
        took = (cpu_us, call.execution_s, call.peak_bytes, function.limits.memory)
        self._usage.ended(whose, outcome.value, at, took, (len(call.body), bytes_out))
        if call.quota is not None:
            call.quota.ended(cpu_us, call.asked.space)
