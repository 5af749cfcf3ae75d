"""Whose an instance is, and what of it its next front has to know."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.datagrams import Message
from supervisor.front.logs.line_stamps import LogLines
from supervisor.front.logs.recorder import Journal, Recorder


@dataclass
class Memory:
    """What travels with a returned cell to its next front."""

    is_async: int
    next_call: int
    served: int

    def as_message(self) -> Message:
        """For the warden to carry."""
        return dict(self.__dict__)


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
