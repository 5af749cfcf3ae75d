"""The statements of quotas, each on the caller's connection.

A deploy asks ``check_functions`` and ``check_stored`` in its own transaction.  Transactions are serialisable,
so of two deploys at once that would only fit one by one, one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from ulid import ULID

from supervisor.errors import PlatformError, shown
from supervisor.store.records import QuotasOfSpace, StoredNow
from supervisor.store.schema import (
    bundles,
    functions,
    quota_spent,
    space_quotas,
    versions,
)
from supervisor.store.tenants.counter_rows import ROWS_MOST
from supervisor.tenancy.quota_names import FUNCTIONS, STORED_BYTES, VERSIONS_KEPT

# A quota of what is there does not come back by itself; a caller that asks again asks this much later.
RETRY_S = 60


def get(connection: sa.Connection, space: str) -> QuotasOfSpace | None:
    """The quotas of a space, None if it has none."""
    row = connection.execute(sa.select(space_quotas).where(space_quotas.c.space == space)).one_or_none()
    return None if row is None else QuotasOfSpace(row.space, row.id, row.counter_row, row.limits)


def put(connection: sa.Connection, space: str, limits: Mapping[str, int], now: datetime) -> None:
    """Give a space these quotas and no others; PlatformError 409 when too many spaces have some."""
    mine = space_quotas.c.space == space
    if not limits:
        connection.execute(space_quotas.delete().where(mine))
        connection.execute(quota_spent.delete().where(quota_spent.c.space == space))
        return
    changed = connection.execute(
        space_quotas.update().where(mine).values(limits=dict(limits), updated_at=now)
    )
    if changed.rowcount:
        return
    row = {"space": space, "id": str(ULID()), "limits": dict(limits), "updated_at": now}
    try:
        connection.execute(space_quotas.insert().values(**row, counter_row=_free_row(connection)))
    except exc.IntegrityError:  # another server gave quotas to a space meanwhile
        raise PlatformError(
            409, f"the quotas of space {shown(space)} were changed at the same moment; send them again"
        ) from None


def begin_space(connection: sa.Connection, space: str, limits: Mapping[str, int], now: datetime) -> None:
    """Give a space that is created its first quotas; PlatformError 409 when too many spaces have some."""
    if limits:
        put(connection, space, limits, now)


def _taken_rows(connection: sa.Connection) -> set[int]:
    return set(connection.execute(sa.select(space_quotas.c.counter_row)).scalars())


def _free_row(connection: sa.Connection) -> int:
    taken = _taken_rows(connection)
    free = next((row for row in range(ROWS_MOST) if row not in taken), None)
    if free is None:
        raise PlatformError(
            409,
            f"{ROWS_MOST} spaces have quotas, as many as may; remove those of another space first",
            {"spaces_most": ROWS_MOST},
        )
    return free


def stored_now(connection: sa.Connection, space: str) -> StoredNow:
    """What a space holds of what quotas bound."""
    return StoredNow(_functions(connection, space), _bytes(connection, space))


def check_functions(connection: sa.Connection, space: str) -> None:
    """PlatformError 429 if the space has more functions than its quota, with the one that is being made."""
    limit = _limit(connection, space, FUNCTIONS)
    if limit is None:
        return
    used = _functions(connection, space)
    if used > limit:
        raise _refusal(FUNCTIONS, limit, used - 1, "delete one that is not needed")


def bytes_before(connection: sa.Connection, space: str) -> int | None:
    """The bytes of a space's code before a deploy, for ``check_stored``; None without such a quota."""
    return None if _limit(connection, space, STORED_BYTES) is None else _bytes(connection, space)


def check_stored(connection: sa.Connection, space: str, before: int | None) -> None:
    """PlatformError 429 if the deploy makes the space's code larger, and larger than its quota."""
    if before is None:
        return
    limit = _limit(connection, space, STORED_BYTES)
    after = _bytes(connection, space)
    if limit is not None and after > max(limit, before):
        why = f"it would hold {after}; deploy less, or delete a function that is not needed"
        raise _refusal(STORED_BYTES, limit, before, why)


def check_room(connection: sa.Connection, space: str, is_new: bool) -> None:
    """What a deploy can know before its code is stored: PlatformError 429 if it cannot end well."""
    if is_new:
        limit = _limit(connection, space, FUNCTIONS)
        if limit is not None and (used := _functions(connection, space)) >= limit:
            raise _refusal(FUNCTIONS, limit, used, "delete one that is not needed")


def versions_kept(connection: sa.Connection, space: str, kept: int) -> int:
    """How many versions of each function of a space are kept, where the setting says ``kept``."""
    limit = _limit(connection, space, VERSIONS_KEPT)
    return kept if limit is None else max(1, min(kept, limit))


def kept_by_function(connection: sa.Connection, kept: int) -> dict[str, int]:
    """The ids of functions that have more versions than are kept, and how many are."""
    counted = (
        sa.select(versions.c.function_id, functions.c.space, sa.func.count().label("number"))
        .join_from(versions, functions, versions.c.function_id == functions.c.id)
        .group_by(versions.c.function_id, functions.c.space)
        .having(sa.func.count() > 1)
    )
    limits: dict[str, int] = {
        space: max(1, min(kept, of_space[VERSIONS_KEPT]))
        for space, of_space in connection.execute(sa.select(space_quotas.c.space, space_quotas.c.limits))
        if VERSIONS_KEPT in of_space
    }
    return {
        identifier: limits.get(space, kept)
        for identifier, space, number in connection.execute(counted)
        if number > limits.get(space, kept)
    }


def _limit(connection: sa.Connection, space: str, quota: str) -> int | None:
    found = get(connection, space)
    return None if found is None else found.limits.get(quota)


def _functions(connection: sa.Connection, space: str) -> int:
    counted = sa.select(sa.func.count()).select_from(functions).where(functions.c.space == space)
    return int(connection.execute(counted).scalar_one())


def _bytes(connection: sa.Connection, space: str) -> int:
    named = (
        sa.select(versions.c.digest)
        .join_from(versions, functions, versions.c.function_id == functions.c.id)
        .where(functions.c.space == space)
    )
    total = sa.select(sa.func.coalesce(sa.func.sum(bundles.c.size), 0)).where(bundles.c.digest.in_(named))
    return int(connection.execute(total).scalar_one())


def _refusal(quota: str, limit: int, used: int, what_to_do: str) -> PlatformError:
    details: dict[str, Any] = {"quota": quota, "limit": limit, "used": used, "resets_in_s": None}
    return PlatformError(
        429,
        f"the space's quota {quota} is {limit} and {used} are used; {what_to_do}, "
        "or ask the operator for more",
        {"reason": "quota", **details},
        {"Retry-After": str(RETRY_S)},
    )
