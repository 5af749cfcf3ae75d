"""Whose an instance is."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.front.logs.line_stamps import LogLines
from supervisor.front.logs.recorder import Journal, Recorder


@dataclass
class Identity:
    """Whose instance this is, for frames and log lines."""

    space: str
    function: str
    version: int
    log_bytes: int
    log_lines: int
    response_max_bytes: int
    are_logs_emitted: bool = True
    grace_s: float = 0.5
    # None: its lines are kept nowhere.
    recorder: Recorder | None = None
    memory_mib: int = 0

    @property
    def whose(self) -> tuple[str, str, int]:
        """Space, name and version."""
        return self.space, self.function, self.version

    def lines_of(self, cell: str) -> LogLines:
        """Counts and keeps the lines of one instance."""
        kept = None
        if self.recorder is not None:
            kept = Journal(self.recorder, self.space, self.function, self.version, cell)
        origin = f"{self.space}/{self.function} {cell}"
        return LogLines(origin, self.log_bytes, self.log_lines, self.are_logs_emitted, kept)
