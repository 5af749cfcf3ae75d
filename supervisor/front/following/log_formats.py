"""Log records as bytes for a reader: NDJSON or Server-Sent Events.  Pure.

What is not a record has an ``event``: ``gap`` (so many records are missing: deleted already, or not taken in
time), ``position`` (everything there is has been sent), ``more`` (a limit was reached), ``short`` (the tail
would have had to look too far back), ``end`` (no more will come, and why).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from supervisor.logs import Batch, Cursor, Record
from supervisor.logs.reading.cursor import LastRead

Form = Literal["ndjson", "sse"]

MEDIA_TYPES: dict[Form, str] = {"ndjson": "application/x-ndjson", "sse": "text/event-stream"}
# A piece is at most this large, unless it is one record; a connection may buffer a piece over its bound.
PIECE_BYTES = 64 * 1024
# How soon an EventSource connects again; a front that restarts is back within a second.
RETRY_MS = 1000

# ASCII: U+2028, a line end to some readers, stays an escape, so a record is one line to all readers.
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Piece(NamedTuple):
    """Bytes that are sent together, the records in them, and the cursor behind the last one."""

    data: bytes
    records: int
    cursor: str


class RecordFormat(NamedTuple):
    """Encodes records and events in one form."""

    form: Form

    def record(self, record: Record, cursor: str) -> bytes:
        """A record; ``cursor`` is behind it."""
        text = _encode(record.as_json())
        return f"id: {cursor}\ndata: {text}\n\n".encode() if self.form == "sse" else f"{text}\n".encode()

    def event(self, event: str, at: str, /, **fields: Any) -> bytes:
        """An event that is not a record; ``at`` is the cursor to go on from."""
        if self.form == "sse":
            return f"event: {event}\nid: {at}\ndata: {_encode(fields)}\n\n".encode()
        return f"{_encode({'event': event, **fields})}\n".encode()

    def gap(self, count: int, reason: str, cursor: str) -> bytes:
        """``count`` records are missing here: ``lost`` before anybody could read them, or ``slow``."""
        return self.event("gap", cursor, count=count, reason=reason)

    def position(self, cursor: str) -> bytes:
        """Everything until ``cursor`` was sent; also keeps a silent connection alive."""
        if self.form == "sse":
            # A comment and an id without data: an EventSource remembers the id and shows nothing.
            return f": nothing new\nretry: {RETRY_MS}\nid: {cursor}\n\n".encode()
        return self.event("position", cursor, cursor=cursor)

    def pieces(self, batch: Batch) -> list[Piece]:
        """A batch that was read forwards, its gap first."""
        found = [Piece(self.gap(batch.gap, "lost", batch.cursor), 0, str(batch.before))] if batch.gap else []
        with_cursors = batch.with_cursors() if self.form == "sse" else ((one, "") for one in batch.records)
        return found + list(self._joined(with_cursors, batch.cursor))

    def tail(self, batch: Batch) -> list[Piece]:
        """A batch that was read backwards."""
        return list(self._joined(zip(batch.records, tail_cursors(batch), strict=True), batch.cursor))

    def _joined(self, records: Iterable[tuple[Record, str]], end: str) -> Iterator[Piece]:
        parts: list[bytes] = []
        size = 0
        last = end
        for record, cursor in records:
            part = self.record(record, cursor)
            if parts and size + len(part) > PIECE_BYTES:
                yield Piece(b"".join(parts), len(parts), last)
                parts, size = [], 0
            parts.append(part)
            size += len(part)
            last = cursor
        if parts:
            yield Piece(b"".join(parts), len(parts), end)


FORMATS: dict[Form, RecordFormat] = {"ndjson": RecordFormat("ndjson"), "sse": RecordFormat("sse")}


def tail_cursors(batch: Batch) -> Iterator[str]:
    """The cursor behind each record of a tail, from which the rest of the tail comes again.

    The batch has only the cursor at its end, because it was read from there.
    """
    first: dict[str, LastRead] = {}
    for record in batch.records:
        first.setdefault(record.writer, LastRead(record.sequence - 1, record.timestamp))
    at = Cursor(batch.after.floor_ns, {**batch.after.last_read, **first})
    for record in batch.records[:-1]:
        at = at.after((record,))
        yield str(at)
    if batch.records:
        yield batch.cursor
