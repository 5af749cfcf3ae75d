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
