"""What a reader asks for, and whether a record fits."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.logs.log_record import KINDS, LEVELS, REPORT, STREAMS, Level, Record, RecordKind, Stream
from supervisor.logs.record_encoding import (
    LEVEL_AT,
    LEVEL_CODES,
    ORIGIN_MAX_CHARS,
    SEQUENCE_AT,
    STREAM_AT,
    STREAM_CODES,
    TIME_AT,
    TIME_MAX,
    escaped,
    quoted,
)

LIMIT_DEFAULT = 1000
LIMIT_MAX = 10_000  # records of one read: with lines of 16 KiB they bound its memory
Q_MAX_CHARS = 1024
NOT_REPORTS: tuple[RecordKind, ...] = tuple(kind for kind in KINDS if kind != "reports")
# A report of a call that did not fail; up to 0.7.0 it stood in a segment with the function's own lines.
_QUIET = f"{STREAM_CODES['platform']}{LEVEL_CODES['info']}".encode()
_REPORT = f" {REPORT}".encode()


@dataclass(frozen=True)
class Query:
    """Which records a reader asks for; a field that is None excludes nothing.  ValueError names the field.

    ``since`` and ``until`` are ns since the epoch, both included.  ``level`` is the lowest level.  ``tail``
    asks for the last so many records instead of the first ``limit``.  Only ``reports`` includes the reports
    of calls that did not fail.
    """

    since: int | None = None
    until: int | None = None
    tail: int | None = None
    limit: int = LIMIT_DEFAULT
    call_id: str | None = None
    level: Level | None = None
    stream: Stream | None = None
    instance: str | None = None
    q: str | None = None
    reports: bool = False
    versions: frozenset[int] | None = None

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= TIME_MAX:
                raise ValueError(f"{name}: it must be a time between 1970 and 2554")
        if not 1 <= self.limit <= LIMIT_MAX:
            raise ValueError(f"limit: it must be from 1 to {LIMIT_MAX}")
        if self.tail is not None and not 0 <= self.tail <= LIMIT_MAX:
            raise ValueError(f"tail: it must be from 0 to {LIMIT_MAX}")
        if self.level is not None and self.level not in LEVELS:
            raise ValueError(f"level: it must be one of {', '.join(LEVELS)}")
        if self.stream is not None and self.stream not in STREAMS:
            raise ValueError(f"stream: it must be one of {', '.join(STREAMS)}")
        for name in ("call_id", "instance"):
            value = getattr(self, name)
            if value is not None and len(value) > ORIGIN_MAX_CHARS:
                raise ValueError(f"{name}: it has at most {ORIGIN_MAX_CHARS} characters")
        if self.q is not None and len(self.q) > Q_MAX_CHARS:
            raise ValueError(f"q: it has at most {Q_MAX_CHARS} characters")

    @property
    def kinds(self) -> tuple[RecordKind, ...]:
        """The kinds of records to look at; the others cost nothing."""
        return KINDS if self.reports else NOT_REPORTS


class Selection:
    """A prepared query: it compares bytes where it can, before a line is decoded."""

    def __init__(self, query: Query) -> None:
        self.query = query
        least = LEVELS.index(query.level) if query.level else 0
        self._levels = frozenset(LEVELS[least:])
        self._level_bytes = b"".join(LEVEL_CODES[level].encode() for level in LEVELS[least:])
        self._stream_byte = ord(STREAM_CODES[query.stream]) if query.stream else 0
        parts = (
            f" {quoted(query.call_id)} " if query.call_id is not None else "",
            escaped(query.q or ""),
            f" {quoted(query.instance)} " if query.instance is not None else "",
        )
        self._needles = [part.encode("utf-8", "surrogatepass") for part in parts if part]
        # The rarest part first: a block without it is passed over as a whole.
        self.needle = self._needles[0] if self._needles else b""
        self._is_by_bytes = bool(query.stream or least)
        self._reports = query.reports
        # Of one width, so that bytes compare as the numbers do.
        self._since = b"%016x" % (query.since or 0)

    def refuses(self, line: bytes) -> bool:
        """Whether a line cannot fit.  False decides nothing: the line may fit, or be damaged."""
        if len(line) < SEQUENCE_AT:
            return False
        if line[TIME_AT : SEQUENCE_AT - 1] < self._since:
            return True
        if self._is_by_bytes:
            if line[LEVEL_AT] not in self._level_bytes:
                return True
            if self._stream_byte and line[STREAM_AT] != self._stream_byte:
                return True
        if not self._reports and line[STREAM_AT:TIME_AT] == _QUIET and _REPORT in line:
            return True
        return any(needle not in line for needle in self._needles)

    def fits(self, record: Record) -> bool:
        """Whether the query asks for this record."""
        query = self.query
        return (
            record.level in self._levels
            and (self._reports or not record.is_quiet_report)
            and (query.stream is None or record.stream == query.stream)
            and (query.call_id is None or record.call_id == query.call_id)
            and (query.instance is None or record.instance == query.instance)
            and (query.versions is None or record.version in query.versions)
            and (query.since is None or record.timestamp >= query.since)
            and (query.until is None or record.timestamp <= query.until)
            and (not query.q or query.q in record.text)
        )
