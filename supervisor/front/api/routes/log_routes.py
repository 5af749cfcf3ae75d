"""The logs of a function or a space: read and followed, as NDJSON or Server-Sent Events."""

from __future__ import annotations

import dataclasses
import time
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Header, Request, Response
from fastapi import Query as InQuery
from pydantic import BaseModel, ConfigDict, Field

from supervisor.errors import PlatformError
from supervisor.front.api import streaming
from supervisor.front.api.context import Context, Given
from supervisor.front.api.routes.function_routes import CalledIn, SpaceIn
from supervisor.front.api.versions.called_versions import called_version
from supervisor.front.following.follower_thread import FollowRequest
from supervisor.front.following.log_formats import FORMATS, MEDIA_TYPES, Form
from supervisor.front.following.log_pages import Pages
from supervisor.front.following.subscriptions import Subscription
from supervisor.logs import Cursor, Level, Query, Stream, moment
from supervisor.logs.moment import MOMENT_MAX_CHARS
from supervisor.logs.reading.cursor import CURSOR_MAX_CHARS
from supervisor.logs.reading.query import LIMIT_MAX, Q_MAX_CHARS
from supervisor.logs.record_encoding import ORIGIN_MAX_CHARS
from supervisor.tenancy.principal import Principal

# The records of a query without since, cursor and tail: a screen or two.
TAIL_DEFAULT = 100
RESUME = "Last-Event-ID"

# What ``moment`` takes of the years of people who read logs, and of each February 29 days.
_DAY = (
    r"(197[1-9]|19[89][0-9]|2[01][0-9]{2})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])"
    r"|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-9]))"
)
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
MOMENT = rf"^(([0-9]{{1,9}}(ms|s|m|h|d))+|{_DAY}[Tt ]{_CLOCK})$"

router = APIRouter(tags=["logs"])


class LogQuery(BaseModel):
    """What of the logs is asked for."""

    model_config = ConfigDict(extra="forbid")

    since: str | None = Field(
        None,
        max_length=MOMENT_MAX_CHARS,
        json_schema_extra={"pattern": MOMENT},
        description="not before: RFC 3339, or how long ago, such as 90s, 10m, 1h30m, 2d",
    )
    until: str | None = Field(
        None,
        max_length=MOMENT_MAX_CHARS,
        json_schema_extra={"pattern": MOMENT},
        description="not after: as since; not with follow",
    )
    tail: int | None = Field(
        None,
        ge=0,
        le=LIMIT_MAX,
        description=f"the last so many; {TAIL_DEFAULT} where neither since nor cursor is given",
    )
    limit: int = Field(
        LIMIT_MAX, ge=1, le=LIMIT_MAX, description="how many at most, where neither tail nor follow is given"
    )
    follow: bool = Field(False, description="go on with what is written from now on")
    cursor: str | None = Field(
        None,
        max_length=CURSOR_MAX_CHARS,
        description=f"go on behind it: from a position or a more, or an id; as the header {RESUME}",
    )
    call_id: str | None = Field(None, max_length=ORIGIN_MAX_CHARS, description="of this call only")
    level: Level | None = Field(None, description="of this level at least")
    stream: Stream | None = Field(None, description="of this stream only")
    instance: str | None = Field(None, max_length=ORIGIN_MAX_CHARS, description="of this instance only")
    q: str | None = Field(None, max_length=Q_MAX_CHARS, description="with this in the text, as it stands")
    reports: bool = Field(False, description="with the reports of calls that did not fail")


class LogEntry(BaseModel):
    """A line of NDJSON, or the data of an event without a name."""

    name: str = Field(description="the function")
    space: str
    version: int = Field(description="of the function")
    instance: str = Field(description="the process that wrote it")
    call_id: str = Field(description="the call it belongs to; empty where no single one can be named")
    timestamp: str = Field(description="RFC 3339 in UTC, with nine digits of a second")
    stream: Stream
    level: Level
    text: str = Field(description="what was written; a traceback is one entry")


class LogEvent(BaseModel):
    """A line of NDJSON that is no entry: it has an ``event``, and what that event says."""

    model_config = ConfigDict(extra="allow")

    event: Literal["gap", "position", "more", "short", "end"]
    cursor: str | None = Field(None, description="to go on from: of position and more")


QueryIn = Annotated[LogQuery, InQuery()]
ResumeIn = Annotated[
    str | None, Header(alias=RESUME, description="the id of the last event that was had; wins over cursor")
]
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Entries, oldest first. What has an event (in NDJSON a field, in Server-Sent Events "
        "the event's name) is none: gap, position, more, short, end.",
        "content": {
            MEDIA_TYPES["ndjson"]: {
                "schema": {
                    "description": "any number of lines, each of them JSON of one of these",
                    "anyOf": [
                        {"$ref": "#/components/schemas/LogEntry"},
                        {"$ref": "#/components/schemas/LogEvent"},
                    ],
                }
            },
            MEDIA_TYPES["sse"]: {"schema": {"type": "string"}},
        },
    }
}


@router.get(
    "/spaces/{space}/functions/{name}/logs",
    responses=_RESPONSES,
    response_class=Response,
    response_model=None,
)
async def read_logs(
    context: Given,
    request: Request,
    space: SpaceIn,
    name: CalledIn,
    query: QueryIn,
    last_event_id: ResumeIn = None,
) -> Response:
    """Read a function's logs, and follow them; of an alias those of the versions that it names now."""
    function, versions = await context.blocking(called_version, context.store, space, name)
    return await _answer(context, request, space, function.name, query, last_event_id, versions)


@router.get("/spaces/{space}/logs", responses=_RESPONSES, response_class=Response, response_model=None)
async def read_space_logs(
    context: Given, request: Request, space: SpaceIn, query: QueryIn, last_event_id: ResumeIn = None
) -> Response:
    """Read the logs of all functions of a space, and follow them."""
    await context.blocking(context.store.spaces.require, space)
    return await _answer(context, request, space, None, query, last_event_id)


async def _answer(
    context: Context,
    request: Request,
    space: str,
    name: str | None,
    asked: LogQuery,
    resumed: str | None,
    versions: frozenset[int] | None = None,
) -> Response:
    form: Form = "sse" if MEDIA_TYPES["sse"] in request.headers.get("accept", "").lower() else "ndjson"
    query, cursor = _checked(request, asked, resumed)
    query = dataclasses.replace(query, versions=versions)
    if asked.follow:
        context.subscriptions.check_room(space)
        history: list[bytes] = []
        if query.tail:
            batch = await context.reads.tail(space, name, query)
            history, cursor = [piece.data for piece in FORMATS[form].tail(batch)], batch.cursor
        since = query.since
        is_over = since is not None and since <= moment("0s")
        plain = dataclasses.replace(query, tail=None, since=None if is_over else since)
        subscription = context.subscriptions.open(FollowRequest(space, name, plain, form), cursor, since)
        _end_with_its_credential(context, request, subscription)
        return streaming.of_subscription(form, context.subscriptions, subscription, history)
    if query.tail is not None:
        return streaming.of_tail(form, await context.reads.tail(space, name, query))
    pages = Pages(context.reads, space, name, query, cursor)
    try:
        return streaming.of_pages(form, pages, await pages.next())
    except BaseException:
        pages.close()
        raise


def _end_with_its_credential(context: Context, request: Request, subscription: Subscription) -> None:
    """End a subscription when its credential expires, or now if that was taken back since the gate."""
    principal = cast(Principal, request.state.principal)
    if principal.expires_at is not None:
        subscription.until = time.monotonic() + principal.expires_at - time.time()
    # It is told to those that are open (``Subscriptions.end_space``); this one was not until now.
    if context.credentials.principal(request.headers["authorization"].encode("latin-1")) is None:
        subscription.end("draining")


def _checked(request: Request, asked: LogQuery, resumed: str | None) -> tuple[Query, str | None]:
    """The query for the store and the cursor to begin at; PlatformError 422 names a bad parameter."""
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if given.count(name) > 1:
            raise _invalid(name, "it is given twice")
    cursor = resumed if resumed is not None else asked.cursor
    tail = asked.tail
    if resumed is not None:
        tail = None  # an EventSource that connects again sends its first address again
    elif asked.cursor is not None and tail is not None:
        raise _invalid("tail", "it cannot be combined with cursor")
    elif asked.cursor is None and tail is None and asked.since is None and "limit" not in given:
        tail = TAIL_DEFAULT
    if "limit" in given and (asked.follow or asked.tail is not None):
        raise _invalid("limit", "it cannot be combined with follow or tail")
    if asked.follow and asked.until is not None:
        raise _invalid("until", "it cannot be combined with follow")
    if cursor is not None:
        try:
            Cursor.parse(cursor)
        except ValueError as error:
            raise _invalid(RESUME if resumed is not None else "cursor", _reason(error)) from None
    try:
        return Query(
            since=_moment("since", asked.since),
            until=_moment("until", asked.until),
            tail=tail,
            limit=asked.limit,
            call_id=asked.call_id,
            level=asked.level,
            stream=asked.stream,
            instance=asked.instance,
            q=asked.q,
            reports=asked.reports,
        ), cursor
    except ValueError as error:  # from ``Query``: its message begins with the parameter's name
        name, _, why = str(error).partition(": ")
        raise _invalid(name, why) from None


def _moment(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return moment(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _reason(error: ValueError) -> str:
    return str(error).partition(": ")[2]


def _invalid(name: str, why: str) -> PlatformError:
    return PlatformError(422, f"cannot accept {name}: {why}", {"field": name})
