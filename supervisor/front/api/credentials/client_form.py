"""What a client sends to ``/oauth2/…``, read as RFC 6749 says; the errors are those of its section 5.2.

The parameters come in the body, form-encoded, each at most once (3.2).  The client's credentials come by
Basic or in the body, and not by both (2.3.1).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from starlette.requests import Request
from starlette.responses import JSONResponse

FORM = "application/x-www-form-urlencoded"
# A request has a secret, a token and a few words.
FORM_MAX_BYTES = 8 * 1024
FIELDS_MOST = 20
# 5.1: no store in between may keep an answer of these routes.
NEVER_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class OAuthError(Exception):
    """An error of RFC 6749: its word, and a sentence for a person."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description

    def answer(self) -> JSONResponse:
        """The answer: 401 for the client's credentials, 400 for all else."""
        headers = dict(NEVER_KEPT)
        is_client = self.error == "invalid_client"
        if is_client:
            headers["WWW-Authenticate"] = 'Basic realm="cellblock", charset="UTF-8"'
        body = {"error": self.error, "error_description": self.description}
        return JSONResponse(body, 401 if is_client else 400, headers)


@dataclass(frozen=True)
class ClientForm:
    """A request: its parameters, and the client's credentials, which have no repr."""

    fields: Mapping[str, str]
    client_id: str
    secret: bytes

    def __repr__(self) -> str:
        return "ClientForm(…)"

    def needed(self, name: str) -> str:
        """A parameter; OAuthError without it."""
        value = self.fields.get(name)
        if value is None:
            raise OAuthError("invalid_request", f"the parameter {name} is missing")
        return value


async def read_form(request: Request) -> ClientForm:
    """A request of a client; OAuthError."""
    if request.url.query:
        raise OAuthError("invalid_request", "parameters belong into the body, never into the address")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM:
        raise OAuthError("invalid_request", f"send the parameters as {FORM}")
    body = await request.body()
    if len(body) > FORM_MAX_BYTES:
        raise OAuthError("invalid_request", f"the body is larger than {FORM_MAX_BYTES} bytes")
    fields = _fields(body)
    given = request.headers.getlist("authorization")
    if len(given) > 1:
        raise OAuthError("invalid_request", "two Authorization headers are nobody's credential; send one")
    if given:
        if "client_secret" in fields:
            raise OAuthError("invalid_request", "the client authenticates twice: use Basic or the body")
        client_id, secret = _basic(given[0])
        if fields.get("client_id", client_id) != client_id:
            raise OAuthError("invalid_request", "client_id is another than that of the Authorization header")
    else:
        client_id, secret = fields.get("client_id", ""), fields.get("client_secret", "")
        if not client_id or not secret:
            raise OAuthError("invalid_client", "send the app's client id and secret, by Basic or in the body")
    return ClientForm(fields, client_id, secret.encode("utf-8", "replace"))


def _fields(body: bytes) -> dict[str, str]:
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MOST)
    except ValueError:  # a UnicodeDecodeError, too
        raise OAuthError(
            "invalid_request", f"the body is not form-encoded UTF-8, or has more than {FIELDS_MOST} fields"
        ) from None
    fields: dict[str, str] = {}
    seen: set[str] = set()
    for name, value in pairs:
        if name in seen:
            raise OAuthError("invalid_request", "a parameter stands there twice")
        seen.add(name)
        if value:  # 3.2: one without a value counts as left out
            fields[name] = value
    return fields


def _basic(header: str) -> tuple[str, str]:
    """Client id and secret of a Basic header, which has both form-encoded."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "basic":
        raise OAuthError("invalid_client", "authenticate with Basic, or in the body")
    try:
        decoded = base64.b64decode(rest.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise OAuthError("invalid_client", "the Basic header cannot be read") from None
    client_id, _, secret = decoded.partition(":")
    return unquote_plus(client_id), unquote_plus(secret)


def answered(body: Mapping[str, Any]) -> JSONResponse:
    """A good answer."""
    return JSONResponse(dict(body), 200, NEVER_KEPT)
