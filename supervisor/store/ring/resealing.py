"""Values under a newer key, some at a time: each batch is one transaction, and no change is lost to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa

from supervisor.errors import PlatformError
from supervisor.store import database
from supervisor.store.records import Actor
from supervisor.store.schema import space_values as table
from supervisor.store.sealing import Sealer, SealingError
from supervisor.store.tenants import audit_queries

# Other writers wait for a batch: some ten milliseconds, and at most 6 MiB of values.
BATCH = 100


class Resealing:
    """The values of a store, as to which key has sealed them; each method is one transaction and blocks."""

    def __init__(
        self, db: database.Database, sealer: Sealer, now: Callable[[], datetime], actor: Actor
    ) -> None:
        self._db = db
        self._sealer = sealer
        self._now = now
        self._actor = actor

    @property
    def sealer(self) -> Sealer:
        """What opens and seals them."""
        return self._sealer

    def left(self) -> int:
        """How many values another key than the newest has sealed."""
        newest = self._sealer.ring.ids[-1]
        return self._db.read(lambda connection: _count(connection, newest))

    def some(self) -> int:
        """Seal at most BATCH of them with the key that seals now; how many these were.

        PlatformError 500, and none is changed, if one of them does not open.
        """

        def reseal(connection: sa.Connection) -> int:
            database.lock_table(connection, table, keeps_writers_out=True)
            now_sealing = self._sealer.ring.ids[self._sealer.ring.sealing]
            rows = connection.execute(
                sa.select(table.c.space, table.c.kind, table.c.name, table.c.sealed)
                .where(_not_by(now_sealing))
                .limit(BATCH)
            ).all()
            for space, kind, name, sealed in rows:
                plain = self._opened(sealed, space, kind, name)
                again, key = self._sealer.seal_named(plain, space=space, kind=kind, name=name)
                is_it = (table.c.space == space, table.c.kind == kind, table.c.name == name)
                connection.execute(table.update().where(*is_it).values(sealed=again, sealed_by=key))
            return len(rows)

        return self._db.write(reseal)

    def _opened(self, sealed: bytes, space: str, kind: str, name: str) -> bytes:
        try:
            return self._sealer.open(sealed, space=space, kind=kind, name=name)
        except SealingError as error:
            raise PlatformError(
                500, f"cannot rotate the sealing key: {error}; set it again or delete it, and go on then"
            ) from None

    def is_done(self, action: str) -> bool:
        """Whether the newest key has sealed every value, also what was under way; then the audit says so."""
        newest = self._sealer.ring.ids[-1]

        def check(connection: sa.Connection) -> bool:
            database.lock_table(connection, table, keeps_writers_out=True)
            if _count(connection, newest):
                return False
            self._note(connection, action, newest)
            return True

        return self._db.write(check)

    def note(self, action: str) -> None:
        """A line for the audit; it names the newest key, which gives nothing of it away."""
        newest = self._sealer.ring.ids[-1]
        self._db.write(lambda connection: self._note(connection, action, newest))

    def _note(self, connection: sa.Connection, action: str, key: str) -> None:
        audit_queries.add(connection, self._actor, self._now(), space=None, action=action, target=key)


def _not_by(key: str) -> sa.ColumnElement[bool]:
    return sa.or_(table.c.sealed_by.is_(None), table.c.sealed_by != key)


def _count(connection: sa.Connection, key: str) -> int:
    return int(
        connection.execute(sa.select(sa.func.count()).select_from(table).where(_not_by(key))).scalar_one()
    )
