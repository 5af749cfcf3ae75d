"""Puts every refusal of the API into the envelope of ``supervisor.errors``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, get_type_hints

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from supervisor.errors import PlatformError, shown
from supervisor.front.api import option_words
from supervisor.near_names import hint

MAX_FIELDS = 20  # shown of a validation error; a person reads the first


class ErrorBody(BaseModel):
    """What went wrong."""

    status: int = Field(description="the HTTP status again")
    message: str = Field(description="one sentence for a person: what, why, what to do")
    details: dict[str, Any] = Field(description="for a program; possibly empty")


class ErrorEnvelope(BaseModel):
    """The body of every refusal."""

    error: ErrorBody


def respond(error: PlatformError) -> Response:
    """The response of a PlatformError."""
    return Response(
        error.body(), status_code=error.status, headers=error.headers, media_type="application/json"
    )


def install(app: FastAPI, routes: Sequence[APIRoute]) -> None:
    """Answer every exception of the routes in the envelope; ``routes`` are the API's."""

    async def platform(_request: Request, error: Exception) -> Response:
        assert isinstance(error, PlatformError)
        return respond(error)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return respond(_invalid(error, _body_of(request)))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return respond(_http(request, error, routes))

    app.add_exception_handler(PlatformError, platform)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def _body_of(request: Request) -> tuple[str, ...]:
    """The fields of the body that the request's route takes."""
    endpoint = request.scope.get("endpoint")
    body = get_type_hints(endpoint).get("body") if endpoint is not None else None
    return tuple(getattr(body, "model_fields", ()))


def _invalid(error: RequestValidationError, fields_of_body: Sequence[str]) -> PlatformError:
    """A 422 that names the field.  It never shows the value, which may be a secret."""
    found = error.errors()[:MAX_FIELDS]
    first = found[0]
    if first["type"] == "json_invalid":
        why = first.get("ctx", {}).get("error", "")
        return PlatformError(
            422,
            f"cannot read the body: it is not JSON ({why} at character {first['loc'][-1]})",
            {"field": "body"},
        )
    fields = [{"field": _field(one["loc"]), "message": _sentence(one, fields_of_body)} for one in found]
    return PlatformError(
        422,
        f"cannot accept {fields[0]['field']}: {fields[0]['message']}",
        {"field": fields[0]["field"], "errors": fields},
    )


def _field(location: Sequence[int | str]) -> str:
    # The first part is body, path or query.  Other parts may be the caller's, such as a key of env.
    parts = [str(part) for part in location[1:]] or [str(location[0])]
    name = ".".join(parts)
    return name if re.fullmatch(r"[\w.\[\]-]{1,120}", name, re.ASCII) else shown(name)


def _sentence(one: Mapping[str, Any], fields_of_body: Sequence[str]) -> str:
    loc = one["loc"]
    if one["type"] == "extra_forbidden":
        known = {2: fields_of_body, 3: option_words.NAMES if loc[1] == "options" else ()}.get(len(loc), ())
        near = hint(str(loc[-1]), known)
        return "there is no such field" + (near and f"; {near}")
    if loc[:2] == ("body", "options") and len(loc) > 2 and loc[2] in option_words.NAMES:
        return option_words.sentence(str(loc[2]), one)
    message = str(one["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _http(request: Request, error: HTTPException, routes: Sequence[APIRoute]) -> PlatformError:
    if isinstance(error.detail, PlatformError):  # the gate's, on its way through FastAPI
        return error.detail
    path = shown(request.url.path)
    if error.status_code == 404:
        return PlatformError(404, f"there is nothing at {path}; GET /docs shows what there is")
    if error.status_code == 405:
        headers = error.headers or {}
        allow = _allowed(request.url.path, routes) or headers.get("Allow", "")
        return PlatformError(
            405,
            f"{request.method} is not possible at {path}; use {allow or 'another method'}",
            headers={"Allow": allow},
        )
    if error.status_code == 400:
        # FastAPI answers 400 if json refuses a body for another reason than its syntax.
        return PlatformError(
            422,
            "cannot read the body: it is not JSON (not UTF-8, nested too deeply, or a number too long)",
            {"field": "body"},
        )
    phrase = HTTPStatus(error.status_code).phrase
    return PlatformError(error.status_code, f"{phrase}: {request.method} {path}", headers=error.headers)


def _allowed(path: str, routes: Sequence[APIRoute]) -> str:
    # FastAPI names the methods of the first route only.
    methods = {method for route in routes if route.path_regex.match(path) for method in (route.methods or ())}
    return ", ".join(sorted(methods))
