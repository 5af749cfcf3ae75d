"""Completes ``/openapi.json`` with what has no route here, and serves its page ``/docs``; ``/`` leads there.

The credential, invoking and health are added: the gateway and the front's root answer them before the API.

The page holds its user's token, so it runs its own scripts and no others.  Functions answer at the same
origin, so "scripts of this origin" would be theirs too.
"""

from __future__ import annotations

import secrets
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from supervisor.front.api.routes.log_routes import LogEntry, LogEvent
from supervisor.tenancy.route_scopes import INVOKE, ROUTE_SCOPES, needs
from supervisor.tenancy.scopes import SCOPES

_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "the administrator's token, a key of a space, or an access token of an app",
    },
    "oauth2": {
        "type": "oauth2",
        "description": "the access token of an app, as bearer token",
        "flows": {"clientCredentials": {"tokenUrl": "/oauth2/token", "scopes": dict(SCOPES)}},
    },
    "client": {"type": "http", "scheme": "basic", "description": "client id and secret of an app"},
}
METHODS = ("get", "post", "put", "patch", "delete")
SUMMARY = "Host other people's Python functions, each in its own sandboxed process."
# What ``/`` says to whoever is no browser; a browser is led to the page.
ENTRANCE = (
    "Cellblock {version}: GET /docs shows every request to a browser, GET /openapi.json to a program; "
    "'cellblock --help' is the command line.\n"
)
ASSETS = "/docs/assets"
NONCE_BYTES = 16  # 128 bits, as CSP3 asks
# The page's policy: swagger-ui styles its elements in place, and draws with data and blob images.
CSP = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# A time above 0 as ``front.invoke.request`` reads it.
_AMOUNT = r"[0-9]{1,9}(\.[0-9]{1,9})?"
TIMEOUT = rf"^(?=.*[1-9])({_AMOUNT}|\.[0-9]{{1,9}}|({_AMOUNT}(ms|us|s|m|h))+)$"
TIMEOUT_MAX_CHARS = 100
ENVELOPE = {"$ref": "#/components/schemas/ErrorEnvelope"}


def install(app: FastAPI) -> None:
    """Have ``app.openapi()`` give the complete document, and serve the page."""
    of_routes = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = completed(of_routes())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

    @app.get("/", include_in_schema=False)
    async def entrance(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", "").lower():
            return RedirectResponse("/docs", status_code=303)
        return PlainTextResponse(ENTRANCE.format(version=app.version))

    @app.get("/docs", include_in_schema=False)
    async def page() -> HTMLResponse:
        made = get_swagger_ui_html(
            openapi_url=str(app.openapi_url),
            title=f"{app.title} - Swagger UI",
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon.png",
            swagger_ui_parameters=app.swagger_ui_parameters,
        )
        nonce = secrets.token_urlsafe(NONCE_BYTES)
        html = bytes(made.body).decode().replace("<script", f'<script nonce="{nonce}"')
        return HTMLResponse(html, headers={"Content-Security-Policy": CSP.format(nonce=nonce)})


def completed(schema: dict[str, Any]) -> dict[str, Any]:
    """The document of the routes, with the rest of the server added."""
    schema["components"]["securitySchemes"] = _SCHEMES
    schema["security"] = [{"bearer": []}]
    for item in schema["paths"].values():
        for operation in item.values():
            _say_scope(operation, ROUTE_SCOPES[operation["operationId"]])
    # No route returns them as its body: each is one line of a streamed answer.
    for line in (LogEntry, LogEvent):
        schema["components"]["schemas"][line.__name__] = line.model_json_schema()
    base = "/spaces/{space}/functions/{name}/invoke"
    schema["paths"][base] = {
        "parameters": _parameters("space", "name"),
        **{method: _invoke(method, "") for method in METHODS},
    }
    schema["paths"][f"{base}/{{path}}"] = {
        "parameters": _parameters("space", "name", "path"),
        **{method: _invoke(method, "_at_path") for method in METHODS},
    }
    for path, summary in (("/healthz", "Whether the server is alive"), ("/readyz", "Whether it takes calls")):
        schema["paths"][path] = {"get": _health(path.strip("/"), summary)}
    schema["paths"]["/metrics"] = {"get": METRICS_OPERATION}
    return schema


def _say_scope(operation: dict[str, Any], scope: str) -> None:
    """Say which scope an operation needs, to programs (``x-scope``) and to readers."""
    operation["x-scope"] = scope
    if scope in SCOPES:
        operation["security"] = [{"bearer": []}, {"oauth2": [scope]}]
    said = operation.get("description", "")
    operation["description"] = f"{said}\n\n{needs(scope)}".strip()


def _parameters(*names: str) -> list[dict[str, Any]]:
    about = {
        "space": "the space",
        "name": "the function, or FUNCTION@ALIAS or FUNCTION@VERSION for one of its versions",
        "path": "any further path, slashes and all; the function sees it as req.path",
    }
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": about[name],
            "schema": {"type": "string"},
        }
        for name in names
    ]


def _invoke(method: str, suffix: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "tags": ["invoke"],
        "summary": "Call a function",
        "description": "The body, headers and query reach the function as they are. An answer of the "
        "function has the header X-Invoked; every other answer is the server's own, in the error envelope.",
        "operationId": f"invoke_{method}{suffix}",
        "x-scope": INVOKE,
        # The last: a function with the option public needs no credential.
        "security": [{"bearer": []}, {"oauth2": [INVOKE]}, {}],
        "parameters": [
            {
                "name": "X-Timeout",
                "in": "header",
                "description": "a shorter time limit for this call: seconds, or 1.5s",
                "schema": {"type": "string", "maxLength": TIMEOUT_MAX_CHARS, "pattern": TIMEOUT},
            },
            {
                "name": "X-Cellblock-Logs",
                "in": "header",
                "description": "tail: the last 4 KiB of the call's log come beside the answer",
                "schema": {"type": "string", "enum": ["tail"]},
            },
            {
                "name": "X-Canary-Key",
                "in": "header",
                "description": "of an alias with a canary: the same key gets the same version",
                "schema": {"type": "string"},
            },
            {
                "name": "X-Call-Id",
                "in": "header",
                "description": "an id of the caller's own for this call",
                "schema": {"type": "string"},
            },
        ],
        "responses": {
            "2XX": {
                "description": "What the function returned",
                "headers": {
                    "X-Invoked": {"description": "true: the function answered", "schema": {"type": "string"}},
                    "X-Call-Id": {"description": "the id of the call", "schema": {"type": "string"}},
                    "X-Function-Version": {
                        "description": "of FUNCTION@ALIAS and FUNCTION@VERSION: the version that served it",
                        "schema": {"type": "string"},
                    },
                    "X-Cellblock-Log-Tail": {
                        "description": "with X-Cellblock-Logs: tail and a credential; base64 of UTF-8",
                        "schema": {"type": "string"},
                    },
                },
                "content": {"*/*": {}},
            },
            **{status: _refusal(text) for status, text in _REFUSALS.items()},
        },
    }
    if method in ("post", "put", "patch"):
        operation["requestBody"] = {"content": {"*/*": {}}}
    return operation


_REFUSALS = {
    "401": "No credential, or one that is nobody's",
    "403": "The credential may not call this function",
    "404": "No such function, or another space's",
    "413": "The body is larger than the function takes",
    "422": "X-Timeout is not a time above 0",
    "429": "More calls than the function takes at once or a quota of its space allows, or more wrong tokens "
    "than an address may send",
    "500": "The function raised; details say what and where",
    "502": "The function crashed, was killed, or broke the contract",
    "503": "No capacity just now",
    "504": "The function's time was up",
}


def _refusal(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": ENVELOPE}}}


METRICS_OPERATION = {
    "tags": ["server"],
    "summary": "Metrics for Prometheus: the sum over all fronts",
    "description": "The token of the setting metrics_token opens this path and no other; the administrator's "
    "opens it too. The page docs/metrics.md has every metric.",
    "operationId": "metrics",
    "responses": {
        "200": {
            "description": "Prometheus' text format, version 0.0.4",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        "401": _refusal("No credential, or one that is nobody's"),
        "429": _refusal("More wrong tokens than an address may send"),
        "503": _refusal("Too many ask at once, or the server is draining"),
    },
}


def _health(name: str, summary: str) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "type": "object",
        "properties": {"status": {"type": "string"}, "version": {"type": "string"}},
    }
    return {
        "tags": ["server"],
        "summary": summary,
        "operationId": name,
        "security": [],
        "responses": {
            "200": {"description": "Yes", "content": {"application/json": {"schema": answer}}},
            "503": _refusal("No"),
        },
    }
