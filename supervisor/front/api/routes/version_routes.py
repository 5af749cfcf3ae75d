"""The versions of a function with their labels, and going back to one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import WithJsonSchema

from supervisor.front.api import deploys
from supervisor.front.api.context import Acting, Context, Given
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
from supervisor.front.api.versions import alias_changes
from supervisor.front.api.versions.alias_schemas import LabelIn
from supervisor.front.api.versions.preconditions import IfMatch, function_tag, version_tag
from supervisor.front.api.versions.version_names import NUMBER_MOST
from supervisor.store import StoredFunction, Version

router = APIRouter(prefix="/spaces/{space}/functions/{name}", tags=["functions"])

VersionIn = Annotated[int, Path(ge=1, le=NUMBER_MOST, description="the version's number")]
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
    _, aliases = await context.blocking(context.store.aliases.of, space, name)
    items = page.items
    return VersionList(
        data=[VersionOut.of(item, function.active.number, aliases) for item in items],
        paging=Paging(next_cursor=cursor_to("before", items[-1].number) if page.more_after else None),
    )


@router.get("/versions/{version}")
async def show_version(
    context: Given, response: Response, space: SpaceIn, name: NameIn, version: VersionIn
) -> VersionOut:
    """A version, with the ETag of its label."""
    found = await context.blocking(context.store.aliases.version, space, name, version)
    return await _labelled(context, response, *found)


@router.put("/versions/{version}/label")
async def put_label(
    context: Given,
    acting: Acting,
    response: Response,
    space: SpaceIn,
    name: NameIn,
    version: VersionIn,
    body: LabelIn,
    if_match: IfMatch,
) -> VersionOut:
    """Set or replace a version's label; one that another version of the function has is a 409."""
    changed = await alias_changes.put_label(context, acting, space, name, version, body.label, if_match)
    return await _labelled(context, response, *changed)


@router.delete("/versions/{version}/label", status_code=204, response_class=Response)
async def delete_label(
    context: Given, acting: Acting, space: SpaceIn, name: NameIn, version: VersionIn, if_match: IfMatch
) -> None:
    """Take a version's label away."""
    await alias_changes.put_label(context, acting, space, name, version, None, if_match)


async def _labelled(
    context: Context, response: Response, function: StoredFunction, version: Version
) -> VersionOut:
    _, aliases = await context.blocking(context.store.aliases.of, function.space, function.name)
    response.headers["ETag"] = version_tag(function, version)
    return VersionOut.of(version, function.active.number, aliases)


@router.post("/rollback")
async def roll_back(
    context: Given,
    acting: Acting,
    response: Response,
    space: SpaceIn,
    name: NameIn,
    if_match: IfMatch,
    body: Rollback | None = None,
) -> FunctionOut:
    """Make an earlier version the active one; nothing is built again, and no alias changes."""
    number = None if body is None else body.version
    made = await deploys.roll_back(context, acting, space, name, number, if_match)
    response.headers["ETag"] = function_tag(made)
    return await described(context, made)
