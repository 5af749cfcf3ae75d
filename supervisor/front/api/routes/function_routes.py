"""The functions of a space: create, list, show, change, delete, and their code."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query, Response
from pydantic import WithJsonSchema

from supervisor.errors import PlatformError
from supervisor.front.api import deploys
from supervisor.front.api.context import Acting, Context, Given
from supervisor.front.api.gate import MERGE_PATCH
from supervisor.front.api.schemas import (
    LABEL,
    PAGE_DEFAULT,
    PAGE_MAX,
    Code,
    DeployedOut,
    FunctionChange,
    FunctionCreate,
    FunctionList,
    FunctionOut,
    FunctionPatch,
    Label,
    Paging,
)
from supervisor.front.api.versions.called_versions import called_version
from supervisor.front.api.versions.preconditions import IfMatch, function_tag
from supervisor.front.api.versions.version_names import CalledName
from supervisor.front.api_control import DEFAULT_TEMPLATE
from supervisor.store import Page, StoredFunction

# The key after which, or before which, a page begins; a number has few enough digits for any database.
FUNCTION_CURSOR = rf"^(after|before)\.{LABEL.strip('^$')}$"
VERSION_CURSOR = r"^before\.[1-9][0-9]{0,8}$"

T = TypeVar("T")

router = APIRouter(prefix="/spaces/{space}/functions", tags=["functions"])

SpaceIn = Annotated[Label, Path(description="the space")]
NameIn = Annotated[Label, Path(description="the function")]
CalledIn = Annotated[CalledName, Path(description="the function, or FUNCTION@ALIAS or FUNCTION@VERSION")]
LimitIn = Annotated[int, Query(ge=1, le=PAGE_MAX, description="how many at most")]
CursorIn = Annotated[
    Annotated[str, WithJsonSchema({"type": "string", "pattern": FUNCTION_CURSOR})] | None,
    Query(description="from a list's paging"),
]


@router.post("", status_code=201)
async def create_function(
    context: Given,
    acting: Acting,
    response: Response,
    space: SpaceIn,
    body: FunctionCreate,
) -> FunctionOut:
    """Create a function and deploy it as version 1."""
    made = await deploys.create(context, acting, space, body)
    response.headers["ETag"] = function_tag(made)
    return await described(context, made)


@router.get("")
async def list_functions(
    context: Given, space: SpaceIn, limit: LimitIn = PAGE_DEFAULT, cursor: CursorIn = None
) -> FunctionList:
    """The functions of a space, by name."""
    side, name = read_cursor(cursor, FUNCTION_CURSOR)
    await context.blocking(context.store.spaces.require, space)
    page = await context.blocking(
        context.store.functions,
        space,
        limit,
        after=name if side == "after" else None,
        before=name if side == "before" else None,
    )
    return FunctionList(
        data=list(await asyncio.gather(*(described(context, item) for item in page.items))),
        paging=paging_of(page, lambda item: item.name),
    )


@router.get("/{name}")
async def show_function(context: Given, response: Response, space: SpaceIn, name: CalledIn) -> FunctionOut:
    """A function with its active version, or with the one that an alias or a number names."""
    function, _ = await context.blocking(called_version, context.store, space, name)
    response.headers["ETag"] = function_tag(function)
    return await described(context, function)


@router.put("/{name}")
async def change_function(
    context: Given,
    acting: Acting,
    response: Response,
    space: SpaceIn,
    name: NameIn,
    body: FunctionChange,
    if_match: IfMatch,
) -> DeployedOut:
    """Deploy a change as a new version; what is absent stays, and no change makes no version.

    What is given replaces the whole field: ``options`` and ``env`` too (PATCH merges them).  Of two deploys
    of code at once the loser is a 409 that names the winner.
    """
    changed = await deploys.change(context, acting, space, name, body, if_match)
    return await _deployed(context, response, *changed)


@router.patch(
    "/{name}",
    openapi_extra={
        "requestBody": {
            "content": {MERGE_PATCH: {"schema": {"$ref": "#/components/schemas/FunctionPatch"}}},
        }
    },
)
async def patch_function(
    context: Given,
    acting: Acting,
    response: Response,
    space: SpaceIn,
    name: NameIn,
    body: FunctionPatch,
    if_match: IfMatch,
) -> DeployedOut:
    """Deploy a change as PUT does, but merge ``options`` and ``env`` with what is there (RFC 7396)."""
    changed = await deploys.change(context, acting, space, name, body, if_match)
    return await _deployed(context, response, *changed)


@router.delete("/{name}", status_code=204, response_class=Response)
async def delete_function(
    context: Given, acting: Acting, space: SpaceIn, name: NameIn, if_match: IfMatch
) -> None:
    """Delete a function with all its versions and aliases.  Calls that run already finish."""
    await deploys.delete(context, acting, space, name, if_match)


@router.get("/{name}/code")
async def show_code(context: Given, space: SpaceIn, name: CalledIn) -> Code:
    """The code of the active version, or of the one that an alias or a number names."""

    def read() -> str:
        function, _ = called_version(context.store, space, name)
        return base64.b64encode(context.bundles.code(function.active.content.digest)).decode()

    return Code(code=await context.blocking(read))


async def _deployed(
    context: Context, response: Response, function: StoredFunction, is_new: bool
) -> DeployedOut:
    response.headers["ETag"] = function_tag(function)
    shown = await described(context, function)
    return DeployedOut(**shown.model_dump(), unchanged=not is_new)


async def described(context: Context, function: StoredFunction) -> FunctionOut:
    """The function as the API shows it."""
    standing = await context.control.standing(function.space, function.name, function.active.number)
    content = function.active.content
    if content.template not in (DEFAULT_TEMPLATE, *context.control.runtimes()):
        why = f"this server has no runtime {content.template}; deploy with another, or have it installed"
        standing = standing._replace(failed_version=function.active.number, reason=why)
    warnings = await context.warnings_of(content)
    return FunctionOut.of(function, context.limits_in_force(content.options), standing, warnings)


def cursor_to(side: str, key: str | int) -> str:
    """A cursor.  Callers pass it on as it came."""
    return f"{side}.{key}"


def paging_of(page: Page[T], key: Callable[[T], str]) -> Paging:
    """Where a list goes on, both ways; ``key`` is what its items are ordered by."""
    items = page.items
    return Paging(
        next_cursor=cursor_to("after", key(items[-1])) if page.more_after and items else None,
        previous_cursor=cursor_to("before", key(items[0])) if page.more_before and items else None,
    )


def read_cursor(cursor: str | None, form: str) -> tuple[str, str | None]:
    """The side (after or before) and the key of a cursor; PlatformError 422 for text that is no cursor."""
    if cursor is None:
        return "after", None
    if re.fullmatch(form.strip("^$"), cursor) is None:
        raise PlatformError(
            422,
            "cannot accept cursor: take it from the paging of a list, or leave it out to begin",
            {"field": "cursor"},
        )
    side, _, key = cursor.partition(".")
    return side, key
