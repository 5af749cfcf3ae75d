"""The limits that an instance has met.  Such an instance finishes its calls and then ends.

An instance that meets its memory, process or descriptor limit meets it again at every call, because nothing
that a call left behind goes away by itself.  The warden reports what it sees, the worker what it ran into.
A worker that lies about it costs its own function calls, and nobody else.
"""

from __future__ import annotations

from collections.abc import Callable

from supervisor.front.logs.line_stamps import LineStamper
from supervisor.front.outcome import platform_lines
from worker import wire

MEMORY = "memory"
# The worker's words for a limit, and the option that it is.
LIMITS_OF_WORDS = {
    wire.OUT_OF_MEMORY: MEMORY,
    wire.MET_MEMORY: MEMORY,
    wire.MET_PROCESSES: "processes",
    wire.MET_OPEN_FILES: "open_files",
}


class LimitsMet:
    """The limits that one instance has met.

    ``whose()`` is the id of the call that runs alone, or ""; ``on_first`` is called at the first limit.
    """

    def __init__(
        self, lines: LineStamper, memory_mib: int, whose: Callable[[], str], on_first: Callable[[], None]
    ) -> None:
        # The most memory that all its processes had together, as far as the warden has reported.
        self.peak_bytes = 0
        self.met: set[str] = set()
        self._lines = lines
        self._memory_mib = memory_mib
        self._whose = whose
        self._on_first = on_first

    def heard(self, what: str, peak_bytes: int = 0) -> None:
        """Take a report of a limit, or (with ``what`` empty) of a memory peak alone."""
        self.peak_bytes = max(self.peak_bytes, peak_bytes)
        if not what or what in self.met:
            return
        self.met.add(what)
        self._lines.say("warning", self._words(what), self._whose())
        if len(self.met) == 1:
            self._on_first()

    def ran_out(self, peak_bytes: int) -> None:
        """Log that the instance was ended for its memory."""
        peak = max(peak_bytes, self.peak_bytes)
        self._lines.say("error", platform_lines.of_no_memory(self._memory_mib, peak), self._whose())

    def _words(self, what: str) -> str:
        return platform_lines.of_a_limit(what, self._memory_mib, self.peak_bytes)

    @property
    def remark(self) -> str:
        """What a caller is told whose call raised after memory was short; "" where it never was."""
        return self._words(MEMORY) if MEMORY in self.met else ""
