"""Whose an instance is."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.front.logs.line_stamps import LineStamper
from supervisor.front.logs.recorder import Journal, Recorder


@dataclass(eq=False, repr=False)
class InstanceIdentity:
    """Whose the instances of one version are, with what all of them have in common.

    ``is_emitted``: their lines go to the server's own log too.
    """

    space: str
    function: str
    version: int
    log_bytes: int
    log_lines: int
    response_max_bytes: int
    is_emitted: bool = True
    grace_s: float = 0.5
    recorder: Recorder | None = None  # None: their lines are kept nowhere
    memory_mib: int = 0

    @property
    def whose(self) -> tuple[str, str, int]:
        """Space, name and version."""
        return self.space, self.function, self.version

    def stamper_of(self, cell: str) -> LineStamper:
        """What counts, stamps and keeps the lines of one instance."""
        kept = None
        if self.recorder is not None:
            kept = Journal(self.recorder, self.space, self.function, self.version, cell)
        origin = f"{self.space}/{self.function} {cell}"
        return LineStamper(origin, self.log_bytes, self.log_lines, self.is_emitted, kept)
