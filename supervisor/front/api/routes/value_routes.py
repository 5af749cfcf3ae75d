"""The secrets (write-only) and variables of a space."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from supervisor.front.api.context import Acting, Context, Given
from supervisor.front.api.routes.function_routes import SpaceIn
from supervisor.front.api.value_schemas import (
    SecretIn,
    SecretList,
    SecretOut,
    ValueName,
    VariableIn,
    VariableList,
    VariableOut,
)
from supervisor.store import ValueKind
from supervisor.store.store import Store

router = APIRouter(prefix="/spaces/{space}", tags=["values"])

ValueNameIn = Annotated[ValueName, Path(description="the name functions get it by")]
CREATED: dict[int | str, dict[str, Any]] = {201: {"description": "Created"}}


@router.get("/secrets")
async def list_secrets(context: Given, space: SpaceIn) -> SecretList:
    """The names of a space's secrets, never their values."""
    await context.blocking(context.store.spaces.require, space)
    found = await context.blocking(context.store.list_values, space, "secret")
    return SecretList(data=[SecretOut.of(value) for value in found])


@router.get("/secrets/{name}")
async def show_secret(context: Given, space: SpaceIn, name: ValueNameIn) -> SecretOut:
    """That a secret exists, never its value."""
    return SecretOut.of(await context.blocking(context.store.value, space, "secret", name))


@router.put("/secrets/{name}", status_code=204, response_class=Response, responses=CREATED)
async def put_secret(
    context: Given,
    acting: Acting,
    space: SpaceIn,
    name: ValueNameIn,
    body: SecretIn,
) -> Response:
    """Set a secret; the next call of the functions that get it sees it."""
    return await _put(context, acting, space, "secret", name, body)


@router.delete("/secrets/{name}", status_code=204, response_class=Response)
async def delete_secret(context: Given, acting: Acting, space: SpaceIn, name: ValueNameIn) -> None:
    """Delete a secret."""
    await _delete(context, acting, space, "secret", name)


@router.get("/variables")
async def list_variables(context: Given, space: SpaceIn) -> VariableList:
    """The variables of a space, with their values."""
    await context.blocking(context.store.spaces.require, space)
    found = await context.blocking(context.store.list_values, space, "variable")
    return VariableList(data=[VariableOut.of(value) for value in found])


@router.get("/variables/{name}")
async def show_variable(context: Given, space: SpaceIn, name: ValueNameIn) -> VariableOut:
    """A variable with its value."""
    return VariableOut.of(await context.blocking(context.store.value, space, "variable", name))


@router.put("/variables/{name}", status_code=204, response_class=Response, responses=CREATED)
async def put_variable(
    context: Given,
    acting: Acting,
    space: SpaceIn,
    name: ValueNameIn,
    body: VariableIn,
) -> Response:
    """Set a variable; the next call of the functions that get it sees it."""
    return await _put(context, acting, space, "variable", name, body)


@router.delete("/variables/{name}", status_code=204, response_class=Response)
async def delete_variable(context: Given, acting: Acting, space: SpaceIn, name: ValueNameIn) -> None:
    """Delete a variable."""
    await _delete(context, acting, space, "variable", name)


async def _put(
    context: Context, store: Store, space: str, kind: ValueKind, name: str, body: SecretIn | VariableIn
) -> Response:
    async def commit() -> bool:
        made = await context.blocking(store.put_value, space, kind, name, body.value, body.allowed)
        await context.control.values_changed(space)
        return made

    return Response(status_code=201 if await context.to_its_end(commit()) else 204)


async def _delete(context: Context, store: Store, space: str, kind: ValueKind, name: str) -> None:
    async def commit() -> None:
        await context.blocking(store.delete_value, space, kind, name)
        await context.control.values_changed(space)

    await context.to_its_end(commit())
