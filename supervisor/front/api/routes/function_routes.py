"""The functions of a space: create, list, show, change, delete, and their code."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query, Response

from supervisor.errors import PlatformError
from supervisor.front.api import deploys
from supervisor.front.api.context import Context, Given
from supervisor.front.api.schemas import (
    LABEL,
    PAGE_DEFAULT,
    PAGE_MAX,
    Code,
    FunctionChange,
    FunctionCreate,
    FunctionList,
    FunctionOut,
    Label,
    Paging,
)
from supervisor.store import StoredFunction

T = TypeVar("T", str, int)

router = APIRouter(prefix="/spaces/{space}/functions", tags=["functions"])

SpaceIn = Annotated[Label, Path(description="the space")]
NameIn = Annotated[Label, Path(description="the function")]
LimitIn = Annotated[int, Query(ge=1, le=PAGE_MAX, description="how many at most")]
CursorIn = Annotated[str | None, Query(max_length=200, description="from a list's paging")]


@router.post("", status_code=201)
async def create_function(context: Given, space: SpaceIn, body: FunctionCreate) -> FunctionOut:
    """Create a function and deploy it as version 1."""
    made = await deploys.create(context, space, body)
    return await described(context, made)


@router.get("")
async def list_functions(
    context: Given, space: SpaceIn, limit: LimitIn = PAGE_DEFAULT, cursor: CursorIn = None
) -> FunctionList:
    """The functions of a space, by name."""
    side, name = read_cursor(cursor, str)
    page = await context.blocking(
        context.store.functions,
        space,
        limit,
        after=name if side == "after" else None,
        before=name if side == "before" else None,
    )
    items = page.items
    return FunctionList(
        data=list(await asyncio.gather(*(described(context, item) for item in items))),
        paging=Paging(
            next_cursor=cursor_to("after", items[-1].name) if page.more_after and items else None,
            previous_cursor=cursor_to("before", items[0].name) if page.more_before and items else None,
        ),
    )


@router.get("/{name}")
async def show_function(context: Given, space: SpaceIn, name: NameIn) -> FunctionOut:
    """A function with its active version."""
    return await described(context, await context.blocking(context.store.function, space, name))


@router.put("/{name}")
async def change_function(context: Given, space: SpaceIn, name: NameIn, body: FunctionChange) -> FunctionOut:
    """Deploy a change as a new version; what is absent stays, and no change makes no version."""
    changed = await deploys.change(context, space, name, body)
    return await described(context, changed)


@router.delete("/{name}", status_code=204, response_class=Response)
async def delete_function(context: Given, space: SpaceIn, name: NameIn) -> None:
    """Delete a function with all its versions.  Calls that run already finish."""
    await deploys.delete(context, space, name)


@router.get("/{name}/code")
async def show_code(context: Given, space: SpaceIn, name: NameIn) -> Code:
    """The code of the active version."""

    def read() -> str:
        function = context.store.function(space, name)
        return base64.b64encode(context.bundles.code(function.active.content.digest)).decode()

    return Code(code=await context.blocking(read))


async def described(context: Context, function: StoredFunction) -> FunctionOut:
    """The function as the API shows it."""
    standing = await context.control.standing(function.space, function.name)
    content = function.active.content
    warnings = await context.warnings_of(content)
    return FunctionOut.of(function, context.limits_in_force(content.options), standing, warnings)


def cursor_to(side: str, key: str | int) -> str:
    """A cursor, opaque so that callers do not build on what is in it."""
    return base64.urlsafe_b64encode(json.dumps([side, key]).encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, kind: type[T]) -> tuple[str, T | None]:
    """The side (after or before) and the key of a cursor; PlatformError 422 for text that is no cursor."""
    if cursor is None:
        return "after", None
    try:
        match json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))):
            case ["after" | "before" as side, key] if type(key) is kind and _is_plain(key):
                return side, key
    except ValueError:  # not base64, or not JSON: refused below, like JSON of another shape
        pass
    raise PlatformError(
        422,
        "cannot accept cursor: take it from the paging of a list, or leave it out to begin",
        {"field": "cursor"},
    )


def _is_plain(key: str | int) -> bool:
    # A key that no cursor of ours has may trouble a database: a NUL, half a surrogate, a long number.
    return re.fullmatch(LABEL, key) is not None if isinstance(key, str) else 0 < key < 1 << 31
