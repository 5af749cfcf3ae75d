"""The statements of usage, each on the caller's connection.  Fronts add to it by ``usage_batch``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from ulid import ULID

from supervisor.store.records import ClosedSpace, Page, UsageOfDay
from supervisor.store.schema import AMOUNTS, closed_spaces, quota_spent, space_quotas, usage_days


class UsageKey(NamedTuple):
    """The place of a day's usage in a list: by day, then by space and function."""

    day: str
    space: str
    function: str


def page(
    connection: sa.Connection,
    *,
    space: str | None,
    function: str | None,
    first_day: str,
    last_day: str,
    limit: int,
    after: UsageKey | None,
) -> Page[UsageOfDay]:
    """At most ``limit`` days of functions, the oldest first; both days are part of it.

    ``space`` is None for all spaces, ``function`` for all functions.
    """
    keys = (usage_days.c.day, usage_days.c.space, usage_days.c.function)
    query = sa.select(*keys).where(usage_days.c.day >= first_day, usage_days.c.day <= last_day)
    if space is not None:
        query = query.where(usage_days.c.space == space)
    if function is not None:
        query = query.where(usage_days.c.function == function)
    if after is not None:
        query = query.where(sa.tuple_(*keys) > tuple(after))
    found = [UsageKey(*row) for row in connection.execute(query.distinct().order_by(*keys).limit(limit + 1))]
    wanted = found[:limit]
    if not wanted:
        return Page((), more_before=after is not None, more_after=False)
    rows = sa.select(usage_days).where(
        sa.tuple_(*keys) >= tuple(wanted[0]), sa.tuple_(*keys) <= tuple(wanted[-1])
    )
    if space is not None:
        rows = rows.where(usage_days.c.space == space)
    if function is not None:
        rows = rows.where(usage_days.c.function == function)
    by_key: dict[UsageKey, list[sa.Row[Any]]] = {key: [] for key in wanted}
    for row in connection.execute(rows):
        by_key[UsageKey(row.day, row.space, row.function)].append(row)
    items = tuple(_summed(*key, rows) for key, rows in by_key.items())
    return Page(items, more_before=after is not None, more_after=len(found) > limit)


def close_space(connection: sa.Connection, space: str, now: datetime) -> str:
    """Sum all usage of a space up in one closing record, and delete its rows and its quotas; the record's id.

    Increments that a front has still to write are dropped then, as the space is no more.
    """
    query = sa.select(usage_days).where(usage_days.c.space == space).order_by(usage_days.c.day)
    rows = connection.execute(query).all()
    summed = _summed("", space, "", rows)
    identifier = str(ULID())
    connection.execute(
        closed_spaces.insert().values(
            id=identifier,
            space=space,
            closed_at=now,
            first_day=rows[0].day if rows else "",
            last_day=rows[-1].day if rows else "",
            outcomes=summed.outcomes,
            **{name: sum(getattr(row, name) for row in rows) for name in AMOUNTS},
        )
    )
    for table in (usage_days, quota_spent, space_quotas):
        connection.execute(table.delete().where(table.c.space == space))
    return identifier


def closed(connection: sa.Connection, limit: int, before: str | None) -> Page[ClosedSpace]:
    """At most ``limit`` closing records, the newest first, from before an id."""
    query = sa.select(closed_spaces).order_by(closed_spaces.c.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(closed_spaces.c.id < before)
    rows = connection.execute(query).all()
    items = tuple(
        ClosedSpace(
            row.id,
            row.closed_at,
            row.first_day,
            row.last_day,
            UsageOfDay(row.space, "", "", row.outcomes, *(getattr(row, name) for name in AMOUNTS[1:])),
        )
        for row in rows[:limit]
    )
    return Page(items, more_before=before is not None, more_after=len(rows) > limit)


def _summed(day: str, space: str, function: str, rows: Iterable[Any]) -> UsageOfDay:
    outcomes: dict[str, int] = {}
    totals = dict.fromkeys(AMOUNTS[1:], 0)
    for row in rows:
        if row.calls:
            outcomes[row.outcome] = outcomes.get(row.outcome, 0) + row.calls
        for name in totals:
            totals[name] += getattr(row, name)
    return UsageOfDay(space, day, function, dict(sorted(outcomes.items())), **totals)
