"""Access tokens: given to an app for its client id and secret (RFC 6749, 4.4), taken back (RFC 7009).

Rule 1: who is no client learns nothing: an unknown app and a wrong secret get the same answer.
Rule 2: errors have the form of RFC 6749, 5.2; only what HTTP refuses, too much or too slow, has the API's.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from supervisor.front.api.context import Context, Given
from supervisor.front.api.credentials.client_form import FORM, ClientForm, OAuthError, answered, read_form
from supervisor.store import Actor
from supervisor.store.credentials.credential_records import App
from supervisor.store.credentials.credential_store import ACCESS_TOKEN_SECONDS, ForeignTokenError
from supervisor.tenancy.principal import Principal
from supervisor.tenancy.scopes import WORDS, expanded
from supervisor.tenancy.token_format import kind_of

NO_CLIENT = "no app has this client id and secret"

router = APIRouter(tags=["credentials"])

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}
_TOKEN = {
    "type": "object",
    "required": ["access_token", "token_type", "expires_in", "scope"],
    "properties": {
        "access_token": {"type": "string"},
        "token_type": {"type": "string", "enum": ["bearer"]},
        "expires_in": {"type": "integer", "description": "seconds"},
        "scope": {"type": "string", "description": "words with blanks between them"},
    },
}


def _described(good: dict[str, Any], *needed: str, **others: str) -> dict[str, Any]:
    """What the document says of a route whose body and errors are not the API's."""
    about = {
        "client_id": "of the app, unless Basic has it",
        "client_secret": "of the app, unless Basic has it",
        **others,
    }
    return {
        "security": [{"client": []}, {}],
        "requestBody": {
            "required": True,
            "content": {
                FORM: {
                    "schema": {
                        "type": "object",
                        "required": list(needed),
                        "properties": {
                            name: {"type": "string", "description": text} for name, text in about.items()
                        },
                    }
                }
            },
        },
        "responses": {
            "200": good,
            **{
                status: {"description": text, "content": {"application/json": {"schema": _ERROR}}}
                for status, text in (("400", "Refused (RFC 6749, 5.2)"), ("401", "Nobody's client"))
            },
        },
    }


@router.post(
    "/oauth2/token",
    response_class=Response,
    openapi_extra=_described(
        {"description": "A token", "content": {"application/json": {"schema": _TOKEN}}},
        "grant_type",
        grant_type="client_credentials",
        scope="words with blanks between them, some of the app's; all of them if it is left out",
    ),
)
async def issue_token(context: Given, request: Request) -> Response:
    """Get an access token for an app's client id and secret."""
    try:
        form = await read_form(request)
        grant_type = form.needed("grant_type")
        app = await _authenticated(context, request, form)
        if grant_type != "client_credentials":
            raise OAuthError("unsupported_grant_type", "the one grant type here is client_credentials")
        scopes = _granted(app, form.fields.get("scope"))
        token = await context.blocking(context.store.credentials.issue_token, app, scopes)
        if token is None:  # deleted in this moment
            raise OAuthError("invalid_client", NO_CLIENT)
    except OAuthError as error:
        return error.answer()
    return answered(
        {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": ACCESS_TOKEN_SECONDS,
            "scope": " ".join(scopes),
        }
    )


@router.post(
    "/oauth2/revoke",
    response_class=Response,
    openapi_extra=_described(
        {"description": "It is no token any more, if it was one"},
        "token",
        token="an access token of the app",  # noqa: S106 - a description
        token_type_hint="is not needed, and does nothing",  # noqa: S106
    ),
)
async def revoke_token(context: Given, request: Request) -> Response:
    """Take an access token back.  When the answer comes, every front refuses it."""
    try:
        form = await read_form(request)
        app = await _authenticated(context, request, form)
        token = form.needed("token").encode("utf-8", "replace")
        if kind_of(token) in ("key", "app"):
            raise OAuthError("unsupported_token_type", "only access tokens are revoked here")
        await context.to_its_end(_revoke(context, request, app, token))
    except OAuthError as error:
        return error.answer()
    return Response(status_code=200, headers={"Cache-Control": "no-store"})


async def _revoke(context: Context, request: Request, app: App, token: bytes) -> None:
    store = context.store.acting_for(
        Actor(f"app:{app.client_id}", context.credentials.callers.of(request.scope))
    )
    try:
        was_one = await context.blocking(store.credentials.revoke_token, app, token)
    except ForeignTokenError:
        raise OAuthError("invalid_grant", "this token was given to another app") from None
    if was_one:
        await context.control.changed("credentials", app.space)


async def _authenticated(context: Context, request: Request, form: ClientForm) -> App:
    """The app that the request is from; OAuthError, or PlatformError 429 after too many wrong secrets."""
    app = await context.blocking(context.store.credentials.authenticated, form.client_id, form.secret)
    if app is None:
        refusal = await context.credentials.wrong_secret(
            form.client_id, context.credentials.callers.of(request.scope)
        )
        raise refusal or OAuthError("invalid_client", NO_CLIENT)
    # For the request log.
    request.state.principal = Principal(f"app:{app.client_id}", app.space)
    return app


def _granted(app: App, wanted: str | None) -> tuple[str, ...]:
    """The scopes of a token: those that are wanted, of those that the app has."""
    if wanted is None:
        return app.grant.scopes
    words = wanted.split(" ")
    has = expanded(app.grant.scopes)
    if not all(word in WORDS and expanded([word]) <= has for word in words):
        raise OAuthError("invalid_scope", f"the app has these scopes: {' '.join(app.grant.scopes)}")
    return tuple(word for word in WORDS if word in words)
