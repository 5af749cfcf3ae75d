"""The quotas of spaces as the API uses them: each method is one transaction, and blocks as Store's do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import sqlalchemy as sa

from supervisor.store.database import Database
from supervisor.store.records import Actor, StoredNow
from supervisor.store.tenants import audit_queries, quota_queries, space_queries


class QuotaStore:
    """One per Store."""

    def __init__(self, db: Database, now: Callable[[], datetime], actor: Actor) -> None:
        self._db = db
        self._now = now
        self._actor = actor

    def limits(self, space: str) -> tuple[dict[str, int], StoredNow]:
        """The quotas of a space, and what it holds; PlatformError 404."""

        def read(connection: sa.Connection) -> tuple[dict[str, int], StoredNow]:
            if not space_queries.exists(connection, space):
                raise space_queries.not_found(connection, space)
            found = quota_queries.get(connection, space)
            return found.limits if found else {}, quota_queries.stored_now(connection, space)

        return self._db.read(read)

    def put(self, space: str, limits: Mapping[str, int]) -> None:
        """Give a space these quotas and no others; PlatformError 404, or 409 if too many spaces have some."""
        now = self._now()

        def put(connection: sa.Connection) -> None:
            space_queries.require_for_change(connection, space, self._actor)
            quota_queries.put(connection, space, limits, now)
            audit_queries.add(
                connection,
                self._actor,
                now,
                space=space,
                action="quotas.update",
                target=space,
                details=limits,
            )

        self._db.write(put)

    def check_room(self, space: str, is_new: bool) -> None:
        """PlatformError 429 if a deploy cannot end well whatever its code is."""
        self._db.read(lambda connection: quota_queries.check_room(connection, space, is_new))
