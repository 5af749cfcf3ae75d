"""What a front has gathered of its calls, written as increments: one transaction, without SQLAlchemy.

Rule 1: a batch has a number of its front's, and is added once, however often it is written: a front writes
one again whose commit was in doubt.
Rule 2: what belongs to a space that there is not is dropped: it was deleted, and closed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from supervisor.store.drivers import Driver, DriverConnection
from supervisor.store.plain_reads import PlainReader
from supervisor.store.tenants.plain_writes import written


class CallsKey(NamedTuple):
    """Which row of ``usage_days`` an increment belongs to; outcome "" is no call's."""

    space: str
    day: str
    function: str
    outcome: str


class SpentKey(NamedTuple):
    """Which row of ``quota_spent`` an increment belongs to."""

    space: str
    quota: str
    part: int


@dataclass(frozen=True)
class UsageBatch:
    """``calls`` has calls, cpu_us, memory_byte_s, bytes_in, bytes_out, bytes_logged of each row."""

    front: str
    number: int
    day: str
    calls: Mapping[CallsKey, list[int]]
    spent: Mapping[SpentKey, int]


# Rows of fronts that ended, and parts of windows that are over, are deleted after this many days.
FORGOTTEN_AFTER_DAYS = 3

_CLAIM = (
    "INSERT INTO usage_batches (front, number, day) VALUES (?, ?, ?) ON CONFLICT (front)"
    " DO UPDATE SET number = excluded.number, day = excluded.day"
    " WHERE usage_batches.number < excluded.number RETURNING number"
)
_ADD = (
    "INSERT INTO usage_days (space, day, function, outcome, calls, cpu_us, memory_byte_s, bytes_in,"
    " bytes_out, bytes_logged, bytes_stored) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)"
    " ON CONFLICT (space, day, function, outcome) DO UPDATE SET"
    " calls = usage_days.calls + excluded.calls,"
    " cpu_us = usage_days.cpu_us + excluded.cpu_us,"
    " memory_byte_s = usage_days.memory_byte_s + excluded.memory_byte_s,"
    " bytes_in = usage_days.bytes_in + excluded.bytes_in,"
    " bytes_out = usage_days.bytes_out + excluded.bytes_out,"
    " bytes_logged = usage_days.bytes_logged + excluded.bytes_logged"
)
_SPEND = (
    "INSERT INTO quota_spent (space, quota, part, amount) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (space, quota, part) DO UPDATE SET amount = quota_spent.amount + excluded.amount"
)
_LIVE = "SELECT name FROM spaces WHERE NOT deleting"
# The most that a day has seen: of each function the code of its versions, each bundle once.
_STORED = (
    "INSERT INTO usage_days (space, day, function, outcome, calls, cpu_us, memory_byte_s, bytes_in,"
    " bytes_out, bytes_logged, bytes_stored)"
    " SELECT held.space, ?, held.name, '', 0, 0, 0, 0, 0, 0, SUM(bundles.size) FROM"
    " (SELECT DISTINCT functions.space, functions.name, versions.digest FROM functions"
    " JOIN versions ON versions.function_id = functions.id) AS held"
    " JOIN bundles ON bundles.digest = held.digest WHERE 1 = 1 GROUP BY held.space, held.name"
    " ON CONFLICT (space, day, function, outcome) DO UPDATE SET bytes_stored ="
    " CASE WHEN excluded.bytes_stored > usage_days.bytes_stored"
    " THEN excluded.bytes_stored ELSE usage_days.bytes_stored END"
)
_FORGET = "DELETE FROM usage_days WHERE day < ?"
_FORGET_FRONTS = "DELETE FROM usage_batches WHERE day < ?"
_FORGET_SPENT = "DELETE FROM quota_spent WHERE quota = ? AND part < ?"
_SPENT = (
    "SELECT space_quotas.id, space_quotas.counter_row, quota_spent.quota, quota_spent.part,"
    " quota_spent.amount FROM quota_spent JOIN space_quotas ON space_quotas.space = quota_spent.space"
)


def write(driver: Driver, batch: UsageBatch) -> bool:
    """Add a batch; False if it was there already.  PlatformError 503 or 507."""

    def add(connection: DriverConnection) -> bool:
        claimed = connection.execute(
            driver.statement(_CLAIM), (batch.front, batch.number, batch.day)
        ).fetchall()
        if not claimed:
            return False
        live = {row[0] for row in connection.execute(_LIVE).fetchall()}
        # In one order in every front: two that write at once wait for each other and do not lock up.
        add_calls, spend = driver.statement(_ADD), driver.statement(_SPEND)
        for key, amounts in sorted(batch.calls.items()):
            if key.space in live:
                connection.execute(add_calls, (*key, *amounts))
        for spent, amount in sorted(batch.spent.items()):
            if spent.space in live:
                connection.execute(spend, (*spent, amount))
        return True

    return written(driver, add)


def note_stored(driver: Driver, day: str) -> None:
    """Note what the code of each function takes now, if that is the most of the day."""
    written(driver, lambda connection: connection.execute(driver.statement(_STORED), (day,)))


def forget(driver: Driver, first_day: str, first_day_of_fronts: str, first_parts: Mapping[str, int]) -> None:
    """Delete usage from before a day, fronts that wrote nothing since another, and parts that are over."""

    def delete(connection: DriverConnection) -> None:
        connection.execute(driver.statement(_FORGET), (first_day,))
        connection.execute(driver.statement(_FORGET_FRONTS), (first_day_of_fronts,))
        for quota, part in first_parts.items():
            connection.execute(driver.statement(_FORGET_SPENT), (quota, part))

    written(driver, delete)


def spent_so_far(driver: Driver) -> list[tuple[str, int, str, int, int]]:
    """What spaces with quotas have spent: id and row of the quotas, the quota, the part, the amount."""
    reader = PlainReader(driver)
    try:
        found: list[Any] = reader.rows(_SPENT)
        return found
    finally:
        reader.close()
