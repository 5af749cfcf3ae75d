"""An answer that goes on: sent as its parts come, freed the moment its reader is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from supervisor.errors import PlatformError
from supervisor.front.following.log_formats import MEDIA_TYPES, SAY, Form
from supervisor.front.following.log_pages import Pages
from supervisor.front.following.subscriptions import Place, Tails
from supervisor.front.http.asgi_cycle import LOST
from supervisor.logs import Batch

# A comment: the headers go out with the first bytes, and a reader wants to know that it is heard.
BEGUN = b": following\n\n"


class LogStream(Response):
    """Sends parts; ``close`` is called once, however it ends.

    Each send waits while the connection has more than the loop's bound to write, so a reader that does
    not read holds one part, and what the parts' source holds.
    """

    def __init__(self, form: Form, parts: AsyncIterator[bytes], close: Callable[[], None]) -> None:
        super().__init__(
            media_type=None,
            headers={
                "content-type": MEDIA_TYPES[form],
                "cache-control": "no-store",
                # nginx would otherwise gather what is to be seen at once.
                "x-accel-buffering": "no",
            },
        )
        self._parts = parts
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; cancelled as soon as the connection is lost, as a call is."""
        if (lost := scope.get("extensions", {}).get(LOST)) is not None:
            lost["seconds"] = 0.0
        try:
            headers = [one for one in self.raw_headers if one[0] != b"content-length"]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async for part in self._parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._close()


def of_parts(form: Form, parts: list[bytes]) -> LogStream:
    """What is all there."""

    async def given() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return LogStream(form, given(), lambda: None)


def of_pages(form: Form, pages: Pages, first: Batch) -> LogStream:
    """One page after the other, the next one read once the last was sent."""

    async def read() -> AsyncIterator[bytes]:
        batch = first
        while True:
            for piece in SAY[form].pieces(batch):
                yield piece.data
            if pages.is_at_limit or not batch.more:
                break
            try:
                batch = await pages.next()
            except PlatformError as error:  # the answer has begun: all that can be said is that there is more
                yield SAY[form].event("more", batch.cursor, cursor=batch.cursor, message=error.message)
                return
        if pages.is_at_limit:
            yield SAY[form].event("more", batch.cursor, cursor=batch.cursor)

    return LogStream(form, read(), pages.close)


def of_tail(form: Form, batch: Batch) -> LogStream:
    """The last so many; ``short`` first where not all could be looked at."""
    parts = [SAY[form].event("short", batch.cursor)] if batch.more else []
    return of_parts(form, parts + [piece.data for piece in SAY[form].tail(batch)])


def of_place(form: Form, tails: Tails, place: Place, history: list[bytes]) -> LogStream:
    """What there was, then what comes, until there is no more."""

    async def follow() -> AsyncIterator[bytes]:
        if form == "sse":
            yield BEGUN
        for part in history:
            yield part
        history.clear()
        tails.begin(place)
        while part := await place.take():
            yield part
        yield SAY[form].event("end", place.cursor, reason=place.ended)

    return LogStream(form, follow(), lambda: tails.close(place))
