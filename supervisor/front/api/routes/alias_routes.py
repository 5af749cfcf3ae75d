"""The aliases of a function's versions: list, show, set, delete."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from supervisor.front.api.context import Acting, Given
from supervisor.front.api.routes.function_routes import NameIn, SpaceIn
from supervisor.front.api.versions import alias_changes
from supervisor.front.api.versions.alias_schemas import AliasIn, AliasList, AliasOut
from supervisor.front.api.versions.preconditions import IfMatch, alias_tag
from supervisor.front.api.versions.version_names import AliasName
from supervisor.store import WantedAlias

router = APIRouter(prefix="/spaces/{space}/functions/{name}/aliases", tags=["functions"])

AliasNameIn = Annotated[AliasName, Path(description="the alias")]
MADE: dict[int | str, dict[str, Any]] = {201: {"description": "Created", "model": AliasOut}}


@router.get("")
async def list_aliases(context: Given, space: SpaceIn, name: NameIn) -> AliasList:
    """The aliases of a function, by name."""
    function, found = await context.blocking(context.store.aliases.of, space, name)
    return AliasList(data=[AliasOut.of(function.name, alias) for alias in found])


@router.get("/{alias}")
async def show_alias(
    context: Given, response: Response, space: SpaceIn, name: NameIn, alias: AliasNameIn
) -> AliasOut:
    """An alias, with its ETag."""
    function, found = await context.blocking(context.store.aliases.one, space, name, alias)
    response.headers["ETag"] = alias_tag(function, found)
    return AliasOut.of(name, found)


@router.put("/{alias}", responses=MADE)
async def put_alias(
    context: Given,
    acting: Acting,
    response: Response,
    space: SpaceIn,
    name: NameIn,
    alias: AliasNameIn,
    body: AliasIn,
    if_match: IfMatch,
) -> AliasOut:
    """Have the alias name a version, and perhaps a second one for a share of the calls.

    The first call after the answer is served so.  A version that an alias names is kept.
    """
    canary = None if body.canary is None else body.canary.version
    wanted = WantedAlias(alias, body.version, canary, body.share)
    made = await alias_changes.put_alias(context, acting, space, name, wanted, if_match)
    function, found, is_new = made
    response.headers["ETag"] = alias_tag(function, found)
    if is_new:
        response.status_code = 201
    return AliasOut.of(name, found)


@router.delete("/{alias}", status_code=204, response_class=Response)
async def delete_alias(
    context: Given, acting: Acting, space: SpaceIn, name: NameIn, alias: AliasNameIn, if_match: IfMatch
) -> None:
    """Delete an alias; calls of it are a 404 then."""
    await alias_changes.delete_alias(context, acting, space, name, alias, if_match)
