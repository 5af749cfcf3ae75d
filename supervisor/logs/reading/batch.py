"""Records that were read together, and where the reader is before and after them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from supervisor.logs.log_record import Record
from supervisor.logs.reading.cursor import Cursor


@dataclass(frozen=True)
class Batch:
    """What one read or one poll gives.

    ``gap`` counts records that were there and cannot be had any more: deleted by retention before they
    were read, damaged, or dropped when they should have been written.  It is of all records of the
    function, for what is not there cannot be asked whether it fits the query.  ``bad`` counts damaged
    lines among them.  ``more`` says that the batch was full and not all that there is was looked at.
    """

    records: list[Record] = field(default_factory=list)
    gap: int = 0
    bad: int = 0
    more: bool = False
    before: Cursor = field(default_factory=Cursor)
    after: Cursor = field(default_factory=Cursor)

    @property
    def cursor(self) -> str:
        """Where to go on after all of it."""
        return str(self.after)

    def with_cursors(self) -> Iterator[tuple[Record, str]]:
        """Each record with the cursor to go on behind it: the ids of Server-Sent Events."""
        at = self.before
        for record in self.records:
            at = at.after((record,))
            yield record, str(at)
