"""Answers of logs: sent part by part as they come, freed the moment their reader is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from supervisor.errors import PlatformError
from supervisor.front.following.log_formats import FORMATS, MEDIA_TYPES, Form
from supervisor.front.following.log_pages import Pages
from supervisor.front.following.subscriptions import Subscription, Subscriptions
from supervisor.front.http.api_request import LOST
from supervisor.logs import Batch

# A comment, sent at once: the headers go out with the first bytes, and tell the reader that it is connected.
BEGUN = b": following\n\n"


class LogResponse(Response):
    """Sends parts; ``close`` is called once, however the answer ends.

    Each send waits while the connection's write buffer is over its bound.  So a reader that does not read
    holds one part, and what the source of the parts holds.
    """

    def __init__(self, form: Form, parts: AsyncIterator[bytes], close: Callable[[], None]) -> None:
        super().__init__(
            media_type=None,
            headers={
                "content-type": MEDIA_TYPES[form],
                "cache-control": "no-store",
                # Else nginx buffers what should be seen at once.
                "x-accel-buffering": "no",
            },
        )
        self._parts = parts
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; cancelled as soon as the connection is lost."""
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


def of_parts(form: Form, parts: list[bytes]) -> LogResponse:
    """Parts that are all there already."""

    async def given() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return LogResponse(form, given(), lambda: None)


def of_pages(form: Form, pages: Pages, first: Batch) -> LogResponse:
    """Page after page; the next one is read once the last was sent."""

    async def read() -> AsyncIterator[bytes]:
        batch = first
        while True:
            for piece in FORMATS[form].pieces(batch):
                yield piece.data
            if pages.is_at_limit or not batch.more:
                break
            try:
                batch = await pages.next()
            except PlatformError as error:  # the answer has begun, and can only say that there is more
                yield FORMATS[form].event("more", batch.cursor, cursor=batch.cursor, message=error.message)
                return
        if pages.is_at_limit:
            yield FORMATS[form].event("more", batch.cursor, cursor=batch.cursor)

    return LogResponse(form, read(), pages.close)


def of_tail(form: Form, batch: Batch) -> LogResponse:
    """A tail; the event ``short`` comes first if not all of it could be looked at."""
    parts = [FORMATS[form].event("short", batch.cursor)] if batch.more else []
    return of_parts(form, parts + [piece.data for piece in FORMATS[form].tail(batch)])


def of_subscription(
    form: Form, subscriptions: Subscriptions, subscription: Subscription, history: list[bytes]
) -> LogResponse:
    """The history, then what comes, until the subscription ends."""

    async def follow() -> AsyncIterator[bytes]:
        if form == "sse":
            yield BEGUN
        for part in history:
            yield part
        history.clear()
        subscriptions.begin(subscription)
        while part := await subscription.take():
            yield part
        yield FORMATS[form].event("end", subscription.cursor, reason=subscription.ended)

    return LogResponse(form, follow(), lambda: subscriptions.close(subscription))
