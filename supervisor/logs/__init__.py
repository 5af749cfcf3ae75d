"""The functions' logs on disk: appended by every front at once, read and followed by any.

Reading order: ``record`` and ``encoding`` (what), ``layout`` (where), ``backlog``, ``outlet`` and
``writer`` (in), ``segment``, ``cursor``, ``catalogue``, ``trail``, ``reader`` and ``follower`` (out),
``retention`` and ``sweep`` (away); ``moment`` reads the times that people write.
"""

from supervisor.logs.batch import Batch
from supervisor.logs.cursor import Cursor
from supervisor.logs.follower import Follower, Followers
from supervisor.logs.moment import moment
from supervisor.logs.query import Query
from supervisor.logs.reader import read
from supervisor.logs.record import LEVELS, STREAMS, Level, Record, Stream, rfc3339
from supervisor.logs.retention import Retention
from supervisor.logs.sweep import Swept, delete, sweep
from supervisor.logs.writer import Writer

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
