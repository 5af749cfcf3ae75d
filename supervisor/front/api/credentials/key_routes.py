"""The keys of a space: made, listed, removed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import WithJsonSchema

from supervisor.front.api.context import Acting, Given
from supervisor.front.api.credentials.credential_schemas import KeyCreate, KeyList, KeyMade, KeyOut
from supervisor.front.api.routes.function_routes import LimitIn, SpaceIn, paging_of, read_cursor
from supervisor.front.api.schemas import PAGE_DEFAULT

# A ULID; another text names nothing.
ID_CHARS = 26
ID_CURSOR = r"^(after|before)\.[0-9A-Z]{26}$"

router = APIRouter(prefix="/spaces/{space}/keys", tags=["credentials"])

CredentialCursorIn = Annotated[
    Annotated[str, WithJsonSchema({"type": "string", "pattern": ID_CURSOR})] | None,
    Query(description="from a list's paging"),
]
KeyIdIn = Annotated[str, Path(max_length=ID_CHARS, description="the key")]


@router.post("", status_code=201)
async def create_key(context: Given, acting: Acting, space: SpaceIn, body: KeyCreate) -> KeyMade:
    """Make a key.  The answer has it, and nothing shows it again."""
    await context.blocking(context.store.spaces.require, space)
    create = acting.credentials.create_key
    made, secret = await context.blocking(create, space, body.name, body.grant, body.expires_at)
    return KeyMade.of(made).model_copy(update={"key": secret})


@router.get("")
async def list_keys(
    context: Given, space: SpaceIn, limit: LimitIn = PAGE_DEFAULT, cursor: CredentialCursorIn = None
) -> KeyList:
    """The keys of a space in the order they were made, without what their holders send."""
    side, key = read_cursor(cursor, ID_CURSOR)
    await context.blocking(context.store.spaces.require, space)
    page = await context.blocking(
        context.store.credentials.keys,
        space,
        limit,
        after=key if side == "after" else None,
        before=key if side == "before" else None,
    )
    return KeyList(
        data=[KeyOut.of(item) for item in page.items], paging=paging_of(page, lambda item: item.id)
    )


@router.delete("/{id}", status_code=204, response_class=Response)
async def delete_key(
    context: Given, acting: Acting, space: SpaceIn, identifier: Annotated[KeyIdIn, Path(alias="id")]
) -> None:
    """Remove a key.  When the answer comes, every front refuses it."""

    async def commit() -> None:
        try:
            await context.blocking(acting.credentials.delete_key, space, identifier)
        finally:  # also if it is gone: a caller may repeat a DELETE whose announcement failed
            await context.control.changed("credentials", space)

    await context.to_its_end(commit())
