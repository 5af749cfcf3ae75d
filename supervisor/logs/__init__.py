"""The functions' logs on disk: all fronts append at once, and each reads and follows what all wrote.

Not here: records from what a function writes (``front.logs``), readers over HTTP (``front.following``), and
the server's own log (``server_log``).

Reading order: ``log_record`` and ``record_encoding`` (what is kept), ``layout`` (where), ``writing`` (from
one process), ``segment_reader`` (one file), ``catalogue`` (which files there are), ``reading`` (all of them),
``retention`` and ``log_sweep`` (what is deleted), ``moment`` (times as people write them).
"""

from supervisor.logs.log_record import LEVELS, STREAMS, Level, Record, Stream, rfc3339
from supervisor.logs.log_sweep import Swept, delete, delete_space, sweep
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
    "delete_space",
    "moment",
    "read",
    "rfc3339",
    "sweep",
]
