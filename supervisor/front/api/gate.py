"""The gate of the API: who may enter, how large and slow a body may be, and what nothing else answers.

It is pure ASGI around FastAPI, so a caller who may not do this is refused before a byte of its body is read,
and a body is counted while it is read.  This is the one place that asks ``ROUTE_SCOPES``.

Every answer gets headers that keep pages of other origins, above all functions' pages, from framing, opening,
embedding or sniffing it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import MutableMapping, Sequence

from fastapi import HTTPException
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from supervisor.errors import PlatformError
from supervisor.front.api.error_answers import respond
from supervisor.front.invoke.callers.credential import Credentials
from supervisor.front.outcome.browser_headers import CSP_NOTHING, OF_THE_SERVER
from supervisor.tenancy import permissions
from supervisor.tenancy.principal import Principal
from supervisor.tenancy.route_scopes import ADMINISTRATOR, ROUTE_SCOPES
from supervisor.tenancy.scopes import NARROWED

# The last two ask for the credentials of an app themselves (``credentials.oauth_routes``).
OPEN_PATHS = frozenset(
    {"/", "/healthz", "/readyz", "/openapi.json", "/docs", "/oauth2/token", "/oauth2/revoke"}
)
OPEN_FOLDER = "/docs/"  # the scripts and styles of the page
JSON_TYPE, MERGE_PATCH = "application/json", "application/merge-patch+json"
MIB = 1 << 20
BODY_MAX_BYTES = 1 << 20  # of every resource but functions: holds a value of 64 KiB, however it is escaped
SLACK_BYTES = 1 << 20  # for what is beside the source in a function: env, description, options
_WITH_SOURCE = re.compile(r"/spaces/[^/]*/functions(/[^/]*)?")

log = logging.getLogger(__name__)


class Gate:
    """Checks a request's credential, bounds its body, and answers 500 for a bug of ours."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        credentials: Credentials,
        routes: Sequence[APIRoute],
        source_max_bytes: int,
        body_seconds: float,
    ) -> None:
        """``source_max_bytes`` bounds a function's source before base64, ``body_seconds`` any body."""
        self._app = app
        self._credentials = credentials
        self._routes = routes
        self._source_bytes = source_max_bytes
        self._with_source_bytes = (source_max_bytes + 2) // 3 * 4 + SLACK_BYTES
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request; let other kinds of connection pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False
        send = _guarded(send)

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._check_credential(scope)
            await self._app(scope, self._bounded(scope, receive), watched)
        except PlatformError as error:  # of the two lines above; FastAPI answers those of the routes
            await respond(error)(scope, receive, send)
        except Exception:
            # One of the server's three last resorts: no detail of a bug of ours reaches a caller.
            reference = str(ULID())
            log.exception("error %s in %s %s", reference, scope["method"], scope["path"])
            if started:
                raise  # the answer cannot be taken back; the connection is cut
            failure = PlatformError(
                500,
                f"The server failed at this request; its log has the reason under {reference}",
                {"reference": reference},
            )
            await respond(failure)(scope, receive, send)

    async def _check_credential(self, scope: Scope) -> None:
        path = scope["path"]
        if path in OPEN_PATHS or path.startswith(OPEN_FOLDER):
            return
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        # Two credentials are refused: a server in between may have checked the other one.
        header = given[0] if len(given) == 1 else None
        principal = await self._credentials.recognised(header, self._credentials.callers.of(scope))
        if principal is None:
            raise await self._credentials.refusal(
                given[0] if given else None, self._credentials.callers.of(scope)
            )
        scope.setdefault("state", {})["principal"] = principal
        if not principal.is_admin:
            self._check_scope(scope, principal)

    def _check_scope(self, scope: Scope, principal: Principal) -> None:
        for route in self._routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                given = found["path_params"]
                needed = ROUTE_SCOPES.get(route.name, ADMINISTRATOR)
                function = given.get("name") if needed in NARROWED else None
                if function is not None:
                    function, _, _ = function.partition("@")  # of NAME@ALIAS
                permissions.require(principal, needed, given.get("space"), function)
                return
        # What is no route is the same 404 or 405 for everybody.

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        has_source = _WITH_SOURCE.fullmatch(scope["path"]) is not None
        limit = self._with_source_bytes if has_source else BODY_MAX_BYTES
        too_large = _source_too_large(self._source_bytes) if has_source else _too_large(limit)
        declared = dict(scope["headers"]).get(b"content-length", b"")
        if declared.isdigit() and (len(declared) > 18 or int(declared) > limit):
            raise too_large
        deadline = asyncio.get_running_loop().time() + self._body_seconds
        used = 0
        complete = False

        async def bounded() -> MutableMapping[str, object]:
            nonlocal used, complete
            if complete:  # FastAPI only waits for the caller to hang up
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, _too_slow(self._body_seconds)) from None
            complete = not message.get("more_body", False)
            used += len(message.get("body", b""))
            if used > limit:
                # FastAPI lets only an HTTPException through while it reads a body.
                raise HTTPException(413, too_large)
            return message

        return bounded


def _guarded(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), *OF_THE_SERVER]
            if all(name != CSP_NOTHING[0] for name, _ in headers):  # ``/docs`` has its own policy
                headers.append(CSP_NOTHING)
            message = {**message, "headers": headers}
        await send(message)

    return guarded


async def json_only(request: Request) -> None:
    """A dependency of every route: PlatformError 415 for a body that does not say it is JSON."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = request.url.path in OPEN_PATHS  # RFC 6749 says form, and has errors of its own
    if request.method not in ("POST", "PUT", "PATCH") or media_type == JSON_TYPE or is_form:
        return
    if not (media_type == MERGE_PATCH and request.method == "PATCH") and await request.body():
        raise PlatformError(
            415, "cannot read the body: send JSON, with the header 'Content-Type: application/json'"
        )


def _too_large(limit: int) -> PlatformError:
    return PlatformError(
        413, f"The body is larger than the {limit} bytes that this resource takes", {"limit": limit}
    )


def _source_too_large(limit: int) -> PlatformError:
    return PlatformError(
        413,
        f"The code is larger than the {limit / MIB:g} MiB that a bundle may have on this server; leave out "
        "what the function does not need, or ask the operator to raise bundle_max_bytes",
        {"limit": limit},
    )


def _too_slow(seconds: float) -> PlatformError:
    return PlatformError(
        408, f"The body did not arrive within {seconds:g} s; send it again", headers={"Connection": "close"}
    )
