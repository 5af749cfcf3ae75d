"""The audit: who changed what, when and from where; of a space, and of the whole server.

No route changes a line.  A follower asks again and again with ``since``: that is right over any number of
fronts and servers, and a line is seen once its transaction is there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, WithJsonSchema

from supervisor.errors import PlatformError
from supervisor.front.api.context import Context, Given
from supervisor.front.api.routes.function_routes import LimitIn, SpaceIn, cursor_to, read_cursor
from supervisor.front.api.schemas import PAGE_DEFAULT, Paging
from supervisor.logs import moment
from supervisor.store import AuditLine

router = APIRouter(tags=["audit"])

LINE_CURSOR = r"^before\.[0-9A-HJKMNP-TV-Z]{26}$"
ACTION = r"^[a-z]{1,20}(\.[a-z_]{1,20})?$"
NS_PER_SECOND = 1_000_000_000
LATEST_S = 32_503_680_000  # the year 3000: what a database and a ULID take

LineCursorIn = Annotated[
    Annotated[str, WithJsonSchema({"type": "string", "pattern": LINE_CURSOR})] | None,
    Query(description="from a list's paging"),
]
SinceIn = Annotated[
    str | None,
    Query(max_length=64, description="only later ones: a time with a zone, or how long ago, such as 10m"),
]
ActionIn = Annotated[
    str | None,
    Query(pattern=ACTION, description="only these: such as function.update, or function for all of its kind"),
]


class AuditOut(BaseModel):
    """A line of the audit."""

    id: str = Field(description="in the order of time")
    at: str
    space: str | None = Field(description="null: of the whole server")
    actor: str = Field(description="admin, or the kind and id of a credential; server is the server itself")
    address: str = Field(description="the caller's, empty where it has none")
    action: str
    target: str
    details: dict[str, Any] = Field(description="never a value of a secret or a variable")

    @classmethod
    def of(cls, line: AuditLine) -> Self:
        """From the store's record."""
        fields = {name: getattr(line, name) for name in cls.model_fields if name != "at"}
        return cls(at=line.at.isoformat(timespec="milliseconds") + "Z", **fields)


class AuditList(BaseModel):
    """A page of the audit, the newest line first."""

    data: list[AuditOut]
    paging: Paging


@router.get("/audit")
async def read_audit(
    context: Given,
    limit: LimitIn = PAGE_DEFAULT,
    cursor: LineCursorIn = None,
    since: SinceIn = None,
    action: ActionIn = None,
) -> AuditList:
    """Who changed what on the whole server, the newest first; the administrator's."""
    return await _page(context, None, limit, cursor, since, action)


@router.get("/spaces/{space}/audit")
async def read_audit_of_space(
    context: Given,
    space: SpaceIn,
    limit: LimitIn = PAGE_DEFAULT,
    cursor: LineCursorIn = None,
    since: SinceIn = None,
    action: ActionIn = None,
) -> AuditList:
    """Who changed what in a space, the newest first."""
    await context.blocking(context.store.spaces.require, space)
    return await _page(context, space, limit, cursor, since, action)


async def _page(
    context: Context, space: str | None, limit: int, cursor: str | None, since: str | None, action: str | None
) -> AuditList:
    _, before = read_cursor(cursor, LINE_CURSOR)
    page = await context.blocking(
        context.store.audit.page, limit, space=space, before=before, since=_time(since), action=action
    )
    return AuditList(
        data=[AuditOut.of(line) for line in page.items],
        paging=Paging(next_cursor=cursor_to("before", page.items[-1].id) if page.more_after else None),
    )


def _time(since: str | None) -> datetime | None:
    if since is None:
        return None
    try:
        seconds = moment(since) / NS_PER_SECOND
    except ValueError as error:
        raise PlatformError(422, f"cannot accept since: {error}", {"field": "since"}) from None
    return datetime.fromtimestamp(min(max(seconds, 0), LATEST_S), UTC).replace(tzinfo=None)
