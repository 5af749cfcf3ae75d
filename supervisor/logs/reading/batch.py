"""Records that were read together, and where the reader is before and after them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from supervisor.logs.log_record import Record
from supervisor.logs.reading.cursor import Cursor


@dataclass(frozen=True)
class Batch:
    """The result of one read or one poll.

    ``gap`` counts the records that are lost: deleted by retention before they were read, damaged, or dropped
    before they were written.  It counts all of the function's, because nobody can tell whether a lost record
    fits the query.  ``bad`` counts the damaged lines among them.  ``more`` says that the batch ended before
    the end of the logs.
    """

    records: list[Record] = field(default_factory=list)
    gap: int = 0
    bad: int = 0
    more: bool = False
    before: Cursor = field(default_factory=Cursor)
    after: Cursor = field(default_factory=Cursor)

    @property
    def cursor(self) -> str:
        """Where to go on behind the batch."""
        return str(self.after)

    def with_cursors(self) -> Iterator[tuple[Record, str]]:
        """Each record with the cursor behind it: the ids of Server-Sent Events."""
        at = self.before
        for record in self.records:
            at = at.after((record,))
            yield record, str(at)
