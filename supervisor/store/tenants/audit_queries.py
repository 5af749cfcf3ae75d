"""The statements of the audit, each on the caller's connection: a change and its line are one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from ulid import ULID

from supervisor.store.records import Actor
from supervisor.store.schema import audit

# Names and addresses are shorter; what is longer is cut, for no change is refused for its line.
ACTOR_MOST, ADDRESS_MOST, TARGET_MOST = 100, 64, 200
# So many of a function's last lines are looked through for who deployed a version.
LINES_LOOKED_AT = 100
_DEPLOYS = ("function.create", "function.update", "function.activate")


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


def deployer(connection: sa.Connection, space: str, name: str, number: int) -> str | None:
    """Who made version ``number`` of a function the active one last; None if no line is left of it."""
    query = (
        sa.select(audit.c.actor, audit.c.details)
        .where(audit.c.space == space, audit.c.target == name, audit.c.action.in_(_DEPLOYS))
        .order_by(audit.c.id.desc())
        .limit(LINES_LOOKED_AT)
    )
    rows = connection.execute(query)
    return next((actor for actor, details in rows if details.get("version") == number), None)
