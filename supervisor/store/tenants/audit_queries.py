"""The statements of the audit, each on the caller's connection: a change and its line are one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from ulid import ULID

from supervisor.store.records import Actor, AuditLine, Page
from supervisor.store.schema import audit

# Names and addresses are shorter; what is longer is cut, for no change is refused for its line.
ACTOR_MOST, ADDRESS_MOST, TARGET_MOST = 100, 64, 200


def add(
    connection: sa.Connection,
    actor: Actor,
    now: datetime,
    *,
    space: str | None,
    action: str,
    target: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add a line: ``actor`` did ``action`` to ``target``.

    ``space`` is None for the whole server.  ``details`` is short JSON without any value of a tenant's.
    """
    connection.execute(
        audit.insert().values(
            id=str(ULID()),
            at=now,
            space=space,
            actor=actor.name[:ACTOR_MOST],
            address=actor.address[:ADDRESS_MOST],
            action=action,
            target=target[:TARGET_MOST],
            details=dict(details or {}),
        )
    )


def page(
    connection: sa.Connection,
    limit: int,
    *,
    space: str | None = None,
    before: str | None = None,
    since: datetime | None = None,
    action: str | None = None,
) -> Page[AuditLine]:
    """The newest ``limit`` lines, newest first, or those before a line; ``space`` None is all of them.

    ``action`` is a whole one, or what stands before its dot.
    """
    query = sa.select(audit).order_by(audit.c.id.desc())
    if space is not None:
        query = query.where(audit.c.space == space)
    if before is not None:
        query = query.where(audit.c.id < before)
    if since is not None:
        query = query.where(audit.c.id >= _first_id(since))
    if action is not None:
        query = query.where(
            sa.or_(audit.c.action == action, audit.c.action.startswith(f"{action}.", autoescape=True))
        )
    rows = connection.execute(query.limit(limit + 1)).all()
    items = tuple(AuditLine(*row) for row in rows[:limit])
    return Page(items, more_before=before is not None, more_after=len(rows) > limit)


def delete_old(connection: sa.Connection, before: datetime, most: int) -> int:
    """Delete at most ``most`` of the lines from before then, the oldest first; how many."""
    old = sa.select(audit.c.id).where(audit.c.id < _first_id(before)).order_by(audit.c.id).limit(most)
    return connection.execute(audit.delete().where(audit.c.id.in_(old))).rowcount


def _first_id(moment: datetime) -> str:
    """The least id that a line of this moment can have; a moment before 1970 is that of 1970."""
    return f"{ULID.from_timestamp(max(0.0, moment.replace(tzinfo=UTC).timestamp()))!s:.10}" + "0" * 16
