"""The usage of spaces as the API reads it: each method is one transaction, and blocks as Store's do."""

from __future__ import annotations

import sqlalchemy as sa

from supervisor.store.database import Database
from supervisor.store.records import ClosedSpace, Page, UsageOfDay
from supervisor.store.tenants import space_queries, usage_queries
from supervisor.store.tenants.usage_queries import UsageKey


class UsageStore:
    """One per Store."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def page(
        self,
        space: str | None,
        function: str | None,
        first_day: str,
        last_day: str,
        limit: int,
        after: UsageKey | None = None,
    ) -> Page[UsageOfDay]:
        """The days of a space, or of all spaces, the oldest first; PlatformError 404."""

        def read(connection: sa.Connection) -> Page[UsageOfDay]:
            if space is not None and not space_queries.exists(connection, space):
                raise space_queries.not_found(connection, space)
            return usage_queries.page(
                connection,
                space=space,
                function=function,
                first_day=first_day,
                last_day=last_day,
                limit=limit,
                after=after,
            )

        return self._db.read(read)

    def closed(self, limit: int, before: str | None = None) -> Page[ClosedSpace]:
        """The closing records of spaces that were deleted, the newest first."""
        return self._db.read(lambda connection: usage_queries.closed(connection, limit, before))
