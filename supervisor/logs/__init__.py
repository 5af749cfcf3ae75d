"""The functions' logs on disk: appended by every front at once, read and followed by any.

Reading order: ``record`` and ``encoding`` (what), ``layout`` (where), ``backlog``, ``outlet`` and
``writer`` (in), ``segment``, ``cursor``, ``catalogue``, ``trail``, ``reader`` and ``follower`` (out),
``retention`` and ``sweep`` (away); ``moment`` reads the times that people write.
"""

from supervisor.logs.log_record import LEVELS, STREAMS, Level, Record, Stream, rfc3339
from supervisor.logs.log_sweep import Swept, delete, sweep
from supervisor.logs.moment import moment
from supervisor.logs.reading.batch import Batch
from supervisor.logs.reading.cursor import Cursor
from supervisor.logs.reading.follower import Follower, Followers
from supervisor.logs.reading.query import Query
from supervisor.logs.reading.reader import read
from supervisor.logs.retention import Retention
from supervisor.logs.writing.writer import Writer

__all__ = [
    "LEVELS",
    "STREAMS",
    "Batch",
    "Cursor",
    "Follower",
    "Followers",
    "Level",
    "Query",
    "Record",
    "Retention",
    "Stream",
    "Swept",
    "Writer",
    "delete",
    "moment",
    "read",
    "rfc3339",
    "sweep",
]
