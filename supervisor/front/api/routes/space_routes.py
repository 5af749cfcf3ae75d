"""The spaces: create, list, show, title, suspend and delete them."""

from __future__ import annotations

from typing import Annotated, Self, cast

from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, WithJsonSchema

from supervisor.errors import PlatformError, shown
from supervisor.front.api.context import Acting, Given
from supervisor.front.api.routes.function_routes import LimitIn, SpaceIn, cursor_to, read_cursor
from supervisor.front.api.schemas import (
    LABEL,
    PAGE_DEFAULT,
    WITHOUT_NUL,
    Label,
    Paging,
    checked_text,
    stamp,
)
from supervisor.store import SpaceRecord
from supervisor.tenancy.principal import Principal

router = APIRouter(prefix="/spaces", tags=["spaces"])

TITLE_MAX_CHARS = 200
SPACE_CURSOR = rf"^after\.{LABEL.strip('^$')}$"

Title = Annotated[
    str,
    AfterValidator(checked_text),
    Field(max_length=TITLE_MAX_CHARS, json_schema_extra={"pattern": WITHOUT_NUL}),
]
SpaceCursorIn = Annotated[
    Annotated[str, WithJsonSchema({"type": "string", "pattern": SPACE_CURSOR})] | None,
    Query(description="from a list's paging"),
]

ConfirmIn = Annotated[
    str | None, Query(max_length=63, description="the name of the space again: everything of it goes")
]


class SpaceCreate(BaseModel):
    """A space to create."""

    model_config = ConfigDict(extra="forbid")

    name: Label = Field(description="unique on the server; a space keeps it")
    title: Title = Field("", description="for people")


class SpaceChange(BaseModel):
    """What to change of a space; what is absent stays."""

    model_config = ConfigDict(extra="forbid")

    title: Title | None = None
    suspended: StrictBool | None = Field(
        None, description="true: its functions answer no call, and nothing is lost; false: they do again"
    )


class SpaceOut(BaseModel):
    """A space."""

    name: str
    title: str
    suspended: bool
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, space: SpaceRecord) -> Self:
        """From the store's record."""
        return cls(
            name=space.name,
            title=space.title,
            suspended=space.suspended,
            created_at=stamp(space.created_at),
            updated_at=stamp(space.updated_at),
        )


class SpaceList(BaseModel):
    """A page of spaces, by name."""

    data: list[SpaceOut]
    paging: Paging = Paging()


@router.post("", status_code=201)
async def create_space(context: Given, acting: Acting, body: SpaceCreate) -> SpaceOut:
    """Create a space, with the quotas of the setting ``space_quotas``; the administrator's."""
    quotas = context.quotas_of_a_new_space()
    return SpaceOut.of(await context.blocking(acting.spaces.create, body.name, body.title, quotas))


@router.get("")
async def list_spaces(
    context: Given, request: Request, limit: LimitIn = PAGE_DEFAULT, cursor: SpaceCursorIn = None
) -> SpaceList:
    """The spaces that the caller may see, by name."""
    _, after = read_cursor(cursor, SPACE_CURSOR)
    only = cast(Principal, request.state.principal).space
    page = await context.blocking(context.store.spaces.page, limit, after, only)
    items = page.items
    return SpaceList(
        data=[SpaceOut.of(item) for item in items],
        paging=Paging(next_cursor=cursor_to("after", items[-1].name) if page.more_after else None),
    )


@router.get("/{space}")
async def show_space(context: Given, space: SpaceIn) -> SpaceOut:
    """A space."""
    return SpaceOut.of(await context.blocking(context.store.spaces.one, space))


@router.put("/{space}")
async def change_space(context: Given, acting: Acting, space: SpaceIn, body: SpaceChange) -> SpaceOut:
    """Give a space another title, suspend it or resume it; the administrator's.

    A suspended space answers no call and loses nothing.  It answers again at once when it is resumed.
    """

    async def commit() -> SpaceRecord:
        _, after = await context.blocking(acting.spaces.change, space, body.title, body.suspended)
        # Announced even if nothing changed: a caller may repeat a PUT whose announcement failed.
        if body.suspended is not None:
            await context.control.changed("space", space)
        return after

    return SpaceOut.of(await context.to_its_end(commit()))


@router.delete(
    "/{space}",
    status_code=204,
    response_class=Response,
    responses={202: {"description": "Deleted; what is left of it on disk is removed later"}},
)
async def delete_space(context: Given, acting: Acting, space: SpaceIn, confirm: ConfirmIn = None) -> Response:
    """Delete a space with everything of it: functions, code, values, logs, instances; the administrator's.

    Calls that run are ended.  What is left is its lines in the audit.
    """
    if confirm != space:
        raise PlatformError(
            422,
            f"cannot delete space {shown(space)} without its name twice: everything of it goes, and nothing "
            f"brings it back; add ?confirm={space}",
            {"field": "confirm"},
        )
    is_done = await context.to_its_end(context.space_deletion.delete(acting, space))
    return Response(status_code=204 if is_done else 202)
