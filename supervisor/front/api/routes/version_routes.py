"""The versions of a function, and going back to one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import WithJsonSchema

from supervisor.front.api import deploys
from supervisor.front.api.context import Acting, Given
from supervisor.front.api.routes.function_routes import (
    VERSION_CURSOR,
    LimitIn,
    NameIn,
    SpaceIn,
    cursor_to,
    described,
    read_cursor,
)
from supervisor.front.api.schemas import PAGE_DEFAULT, FunctionOut, Paging, Rollback, VersionList, VersionOut

router = APIRouter(prefix="/spaces/{space}/functions/{name}", tags=["functions"])


VersionCursorIn = Annotated[
    Annotated[str, WithJsonSchema({"type": "string", "pattern": VERSION_CURSOR})] | None,
    Query(description="from a list's paging"),
]


@router.get("/versions")
async def list_versions(
    context: Given,
    space: SpaceIn,
    name: NameIn,
    limit: LimitIn = PAGE_DEFAULT,
    cursor: VersionCursorIn = None,
) -> VersionList:
    """The versions of a function, the newest first."""
    _, key = read_cursor(cursor, VERSION_CURSOR)
    before = None if key is None else int(key)
    function, page = await context.blocking(context.store.versions, space, name, limit, before=before)
    items = page.items
    return VersionList(
        data=[VersionOut.of(item, function.active.number) for item in items],
        paging=Paging(next_cursor=cursor_to("before", items[-1].number) if page.more_after else None),
    )


@router.post("/rollback")
async def roll_back(
    context: Given, acting: Acting, space: SpaceIn, name: NameIn, body: Rollback | None = None
) -> FunctionOut:
    """Make an earlier version the active one; nothing is built again."""
    number = None if body is None else body.version
    return await described(context, await deploys.roll_back(context, acting, space, name, number))
