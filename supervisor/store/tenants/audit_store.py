"""The audit as the API uses it: it is read, added to, and loses what is old; nothing changes a line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from supervisor.store.database import Database
from supervisor.store.records import Actor, AuditLine, Page
from supervisor.store.tenants import audit_queries

# So many old lines go in one transaction: others wait a few milliseconds for it.
BATCH_LINES = 1000
# So many batches at one time: a bound, and the next time goes on.
BATCHES_MOST = 100


class AuditStore:
    """PlatformError 503 from any method when the database cannot be used within its deadline."""

    def __init__(self, db: Database, now: Callable[[], datetime], actor: Actor) -> None:
        self._db = db
        self._now = now
        self._actor = actor

    def page(
        self,
        limit: int,
        *,
        space: str | None = None,
        before: str | None = None,
        since: datetime | None = None,
        action: str | None = None,
    ) -> Page[AuditLine]:
        """The newest ``limit`` lines that are selected, newest first; ``before`` a line's id."""
        wanted = partial(
            audit_queries.page, limit=limit, space=space, before=before, since=since, action=action
        )
        return self._db.read(wanted)

    def record(self, action: str, target: str) -> None:
        """Add a line for what changes nothing in the store."""
        add = partial(audit_queries.add, actor=self._actor, now=self._now(), space=None)
        self._db.write(partial(add, action=action, target=target))

    def forget_old(self, keep_s: float) -> int:
        """Delete the lines that are older than ``keep_s``; how many."""
        before = self._now() - timedelta(seconds=keep_s)
        deleted = 0
        for _ in range(BATCHES_MOST):
            found = self._db.write(partial(audit_queries.delete_old, before=before, most=BATCH_LINES))
            deleted += found
            if found < BATCH_LINES:
                break
        return deleted
