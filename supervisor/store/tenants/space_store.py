"""Spaces as the API uses them: each method is one transaction, as in ``Store``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from supervisor.store.database import Database
from supervisor.store.records import Actor, Page, SpaceRecord
from supervisor.store.tenants import audit_queries, quota_queries, space_queries


class SpaceStore:
    """The spaces; PlatformError 503 from any method when the database cannot be used within its deadline."""

    def __init__(self, db: Database, now: Callable[[], datetime], actor: Actor) -> None:
        self._db = db
        self._now = now
        self._actor = actor

    def require(self, name: str) -> None:
        """PlatformError 404, with the names that may be meant, if there is no such space."""

        def required(connection: sa.Connection) -> None:
            if not space_queries.exists(connection, name):
                raise space_queries.not_found(connection, name)

        self._db.read(required)

    def create(self, name: str, title: str, quotas: Mapping[str, int] | None = None) -> SpaceRecord:
        """A new space with these quotas; PlatformError 409 when the name is not free."""
        now = self._now()

        def create(connection: sa.Connection) -> SpaceRecord:
            made = space_queries.create(connection, name, title, now)
            quota_queries.begin_space(connection, name, quotas or {}, now)
            self._audit(connection, now, name, "space.create")
            return made

        try:
            return self._db.write(create)
        except exc.IntegrityError:  # another server committed it since we looked
            raise space_queries.taken(name) from None

    def one(self, name: str) -> SpaceRecord:
        """A space; PlatformError 404."""
        return self._db.read(lambda connection: space_queries.find(connection, name))

    def page(self, limit: int, after: str | None = None, only: str | None = None) -> Page[SpaceRecord]:
        """At most ``limit`` spaces by name, after a name; ``only`` is the one that the caller may see."""
        return self._db.read(lambda connection: space_queries.page(connection, limit, after, only))

    def change(
        self, name: str, title: str | None = None, is_suspended: bool | None = None
    ) -> tuple[SpaceRecord, SpaceRecord]:
        """Change what is not None; the space before and after.  PlatformError 404."""
        now = self._now()

        def change(connection: sa.Connection) -> tuple[SpaceRecord, SpaceRecord]:
            before, after = space_queries.change(connection, name, title, is_suspended, now)
            if after.title != before.title:
                self._audit(connection, now, name, "space.update")
            if after.suspended != before.suspended:
                self._audit(connection, now, name, f"space.{'suspend' if after.suspended else 'resume'}")
            return before, after

        return self._db.write(change)

    def begin_delete(self, name: str) -> tuple[str, ...]:
        """Delete the rows of a space: from now on it is not there.  The names of its functions.

        ``end_delete`` frees its name.  PlatformError 404.
        """
        now = self._now()

        def begin(connection: sa.Connection) -> tuple[str, ...]:
            names = space_queries.begin_delete(connection, name, now)
            self._audit(connection, now, name, "space.delete", {"functions": len(names)})
            return names

        return self._db.write(begin)

    def deleting(self) -> tuple[str, ...]:
        """The spaces whose delete has begun and not ended."""
        return self._db.read(space_queries.deleting)

    def marked_bundles(self) -> tuple[str, ...]:
        """The digests of the bundles of deleted spaces that no version names."""
        return self._db.read(space_queries.marked_bundles)

    def delete_bundles(self, digests: Iterable[str]) -> None:
        """Delete those of them that a deploy has not taken meanwhile."""
        for digest in digests:  # a transaction each, because one may have many mebibytes
            self._db.write(partial(space_queries.delete_bundle, digest=digest))

    def end_delete(self, name: str) -> None:
        """Free the name of a space: nothing of it is left."""
        self._db.write(lambda connection: space_queries.end_delete(connection, name))

    def shred(self) -> bool:
        """Leave nothing of deleted rows in the store's files; False when it has to be tried again."""
        return self._db.shred()

    def _audit(
        self,
        connection: sa.Connection,
        now: datetime,
        name: str,
        action: str,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        audit_queries.add(
            connection, self._actor, now, space=name, action=action, target=name, details=details
        )
