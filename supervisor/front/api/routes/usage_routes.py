"""What spaces used, by day and function."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from supervisor.errors import PlatformError
from supervisor.front.api.context import Context, Given
from supervisor.front.api.routes.function_routes import LimitIn, SpaceIn, cursor_to, read_cursor
from supervisor.front.api.schemas import LABEL, PAGE_DEFAULT, Label, Paging
from supervisor.function_limits import MIB
from supervisor.store.records import ClosedSpace, UsageOfDay
from supervisor.store.tenants.usage_queries import UsageKey

router = APIRouter(tags=["spaces"])

# Without ``from`` the usage of so many days is shown, the day of ``to`` among them.
DAYS_DEFAULT = 31
_NAME = LABEL.strip("^$")
USAGE_CURSOR = rf"^after\.[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}\.{_NAME}\.({_NAME}|\*)$"
CLOSED_CURSOR = r"^before\.[0-9A-Z]{26}$"


def _day(value: object) -> object:
    # A number would be a date, too: pydantic takes it for seconds.
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value) is None:
        raise ValueError("it takes a date, YYYY-MM-DD")
    return value


Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
FromIn = Annotated[Day | None, Query(alias="from", description="the first day, UTC; else 31 days are shown")]
ToIn = Annotated[Day | None, Query(description="the last day, UTC; else today")]
FunctionIn = Annotated[Label | None, Query(description="only this function")]
UsageCursorIn = Annotated[
    Annotated[str, WithJsonSchema({"type": "string", "pattern": USAGE_CURSOR})] | None,
    Query(description="from a list's paging"),
]
ClosedCursorIn = Annotated[
    Annotated[str, WithJsonSchema({"type": "string", "pattern": CLOSED_CURSOR})] | None,
    Query(description="from a list's paging"),
]


class UsageOut(BaseModel):
    """What was used in all."""

    calls: dict[str, int] = Field(description="calls that have ended, by outcome")
    cpu_seconds: float = Field(description="processor time of the calls, by their reports")
    memory_mib_seconds: float = Field(
        description="for each call the highest memory that its instance had touched, MiB, times its run, s"
    )
    bytes_in: int = Field(description="bodies of requests that were read")
    bytes_out: int = Field(description="bodies of answers")
    bytes_logged: int = Field(description="text of log lines that were kept")
    bytes_stored: int = Field(description="the most that the code of its versions took on the day, unpacked")


class DayOut(UsageOut):
    """What a function used on a day."""

    day: date = Field(description="UTC")
    space: str
    function: str = Field(description="* stands for functions that were too many to tell apart")

    @classmethod
    def of(cls, usage: UsageOfDay) -> DayOut:
        """A day as the API shows it."""
        return cls(
            day=date.fromisoformat(usage.day), space=usage.space, function=usage.function, **_amounts(usage)
        )


class ClosedOut(UsageOut):
    """What a space that was deleted used in all; ``bytes_stored`` adds up its days."""

    space: str
    closed_at: datetime
    first_day: date | None
    last_day: date | None

    @classmethod
    def of(cls, closed: ClosedSpace) -> ClosedOut:
        """A closing record as the API shows it."""
        return cls(
            space=closed.usage.space,
            closed_at=closed.closed_at.replace(tzinfo=UTC),
            first_day=date.fromisoformat(closed.first_day) if closed.first_day else None,
            last_day=date.fromisoformat(closed.last_day) if closed.last_day else None,
            **_amounts(closed.usage),
        )


class UsageList(BaseModel):
    """A page of days, the oldest first."""

    data: list[DayOut]
    paging: Paging


class ClosedList(BaseModel):
    """A page of closing records, the newest first."""

    data: list[ClosedOut]
    paging: Paging


@router.get("/spaces/{space}/usage")
async def show_usage(
    context: Given,
    space: SpaceIn,
    first: FromIn = None,
    to: ToIn = None,
    function: FunctionIn = None,
    limit: LimitIn = PAGE_DEFAULT,
    cursor: UsageCursorIn = None,
) -> UsageList:
    """What a space used, by day and function; that of the last seconds comes later."""
    return await _page(context, space, (first, to), function, limit, cursor)


@router.get("/usage")
async def show_all_usage(
    context: Given,
    first: FromIn = None,
    to: ToIn = None,
    function: FunctionIn = None,
    limit: LimitIn = PAGE_DEFAULT,
    cursor: UsageCursorIn = None,
) -> UsageList:
    """What all spaces used, by day, space and function."""
    return await _page(context, None, (first, to), function, limit, cursor)


@router.get("/usage/closed")
async def list_closed_spaces(
    context: Given, limit: LimitIn = PAGE_DEFAULT, cursor: ClosedCursorIn = None
) -> ClosedList:
    """What spaces that were deleted used in all: a record each."""
    _, before = read_cursor(cursor, CLOSED_CURSOR)
    page = await context.blocking(context.store.usage.closed, limit, before)
    following = cursor_to("before", page.items[-1].id) if page.more_after else None
    return ClosedList(data=[ClosedOut.of(one) for one in page.items], paging=Paging(next_cursor=following))


async def _page(
    context: Context,
    space: str | None,
    days: tuple[date | None, date | None],
    function: str | None,
    limit: int,
    cursor: str | None,
) -> UsageList:
    last = days[1] or datetime.now(UTC).date()
    first = days[0] or max(date.min + timedelta(DAYS_DEFAULT), last) - timedelta(DAYS_DEFAULT - 1)
    if first > last:
        raise PlatformError(
            422, f"cannot accept from: {first} is after {last}, the last day", {"field": "from"}
        )
    page = await context.blocking(
        context.store.usage.page, space, function, str(first), str(last), limit, _after(cursor)
    )
    following = None
    if page.more_after:
        end = page.items[-1]
        following = cursor_to("after", f"{end.day}.{end.space}.{end.function}")
    return UsageList(data=[DayOut.of(one) for one in page.items], paging=Paging(next_cursor=following))


def _after(cursor: str | None) -> UsageKey | None:
    _, key = read_cursor(cursor, USAGE_CURSOR)
    return None if key is None else UsageKey(*key.split("."))


def _amounts(usage: UsageOfDay) -> dict[str, Any]:
    return {
        "calls": usage.outcomes,
        "cpu_seconds": round(usage.cpu_us / 1e6, 6),
        "memory_mib_seconds": round(usage.memory_byte_s / MIB, 6),
        "bytes_in": usage.bytes_in,
        "bytes_out": usage.bytes_out,
        "bytes_logged": usage.bytes_logged,
        "bytes_stored": usage.bytes_stored,
    }
