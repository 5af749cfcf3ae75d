"""The apps of a space: made, listed, given another secret, removed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from supervisor.front.api.context import Acting, Given
from supervisor.front.api.credentials.credential_schemas import (
    OVERLAP_DEFAULT_S,
    AppCreate,
    AppList,
    AppMade,
    AppOut,
    AppRotated,
    Rotation,
)
from supervisor.front.api.credentials.key_routes import ID_CHARS, ID_CURSOR, CredentialCursorIn
from supervisor.front.api.routes.function_routes import LimitIn, SpaceIn, paging_of, read_cursor
from supervisor.front.api.schemas import PAGE_DEFAULT, stamp

router = APIRouter(prefix="/spaces/{space}/apps", tags=["credentials"])

ClientIdIn = Annotated[str, Path(max_length=ID_CHARS, description="the app")]


@router.post("", status_code=201)
async def create_app(context: Given, acting: Acting, space: SpaceIn, body: AppCreate) -> AppMade:
    """Make an app.  The answer has its secret, and nothing shows it again."""
    await context.blocking(context.store.spaces.require, space)
    made, secret = await context.blocking(acting.credentials.create_app, space, body.name, body.grant)
    return AppMade.of(made).model_copy(update={"client_secret": secret})


@router.get("")
async def list_apps(
    context: Given, space: SpaceIn, limit: LimitIn = PAGE_DEFAULT, cursor: CredentialCursorIn = None
) -> AppList:
    """The apps of a space in the order they were made, without their secrets."""
    side, key = read_cursor(cursor, ID_CURSOR)
    await context.blocking(context.store.spaces.require, space)
    page = await context.blocking(
        context.store.credentials.apps,
        space,
        limit,
        after=key if side == "after" else None,
        before=key if side == "before" else None,
    )
    return AppList(
        data=[AppOut.of(item) for item in page.items], paging=paging_of(page, lambda item: item.client_id)
    )


@router.delete("/{client_id}", status_code=204, response_class=Response)
async def delete_app(context: Given, acting: Acting, space: SpaceIn, client_id: ClientIdIn) -> None:
    """Remove an app.  When the answer comes, every front refuses its access tokens."""

    async def commit() -> None:
        try:
            await context.blocking(acting.credentials.delete_app, space, client_id)
        finally:  # also if it is gone: a caller may repeat a DELETE whose announcement failed
            await context.control.changed("credentials", space)

    await context.to_its_end(commit())


@router.post("/{client_id}/rotate")
async def rotate_app(
    context: Given, acting: Acting, space: SpaceIn, client_id: ClientIdIn, body: Rotation | None = None
) -> AppRotated:
    """Give an app another secret.  The one before works for a while, so that nothing has to stop.

    Access tokens that the app has go on until they expire; revoke them, or remove the app, to end them.
    """
    overlap_s = OVERLAP_DEFAULT_S if body is None else body.overlap_seconds
    rotate = acting.credentials.rotate_app
    app, secret, until = await context.blocking(rotate, space, client_id, overlap_s)
    return AppRotated(client_id=app.client_id, client_secret=secret, previous_until=stamp(until))
