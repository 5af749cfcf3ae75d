"""The limits that an instance has met: it serves the calls that it has, and then ends.

What meets its memory, its processes or its descriptors meets them again at every call: nothing that a call
left behind goes away by itself.  The warden says what it sees, the worker what it ran into; of an instance
that lies about it only its own function has fewer calls.
"""

from __future__ import annotations

from collections.abc import Callable

from supervisor.front.logs.line_stamps import LogLines
from supervisor.front.outcome import platform_lines
from worker import wire

MEMORY = "memory"
WORDS = {
    wire.OUT_OF_MEMORY: MEMORY,
    wire.MET_MEMORY: MEMORY,
    wire.MET_PROCESSES: "processes",
    wire.MET_OPEN_FILES: "open_files",
}


class MetLimits:
    """Of one instance; ``whose()`` is the call that runs alone, ``on_first`` follows the first of them."""

    def __init__(
        self, lines: LogLines, memory_mib: int, whose: Callable[[], str], on_first: Callable[[], None]
    ) -> None:
        # The most that all processes of the instance had together, as far as the warden has said.
        self.peak_bytes = 0
        self.met: set[str] = set()
        self._lines = lines
        self._memory_mib = memory_mib
        self._whose = whose
        self._on_first = on_first

    def heard(self, what: str, peak_bytes: int = 0) -> None:
        """Of a limit, or of a peak (``what`` is empty)."""
        self.peak_bytes = max(self.peak_bytes, peak_bytes)
        if not what or what in self.met:
            return
        self.met.add(what)
        self._lines.say("warning", self._words(what), self._whose())
        if len(self.met) == 1:
            self._on_first()

    def ran_out(self, peak_bytes: int) -> None:
        """It was ended for its memory."""
        peak = max(peak_bytes, self.peak_bytes)
        self._lines.say("error", platform_lines.of_no_memory(self._memory_mib, peak), self._whose())

    def _words(self, what: str) -> str:
        return platform_lines.of_a_limit(what, self._memory_mib, self.peak_bytes)

    @property
    def remark(self) -> str:
        """For the answer of a call that raised meanwhile; "" where memory was never short."""
        return self._words(MEMORY) if MEMORY in self.met else ""
