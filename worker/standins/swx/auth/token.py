"""Access tokens by OAuth 2 client credentials.

    with get_token(client_id, client_secret, ["thing.update"]) as token:
        requests.put(url, headers={"Authorization": f"Bearer {token}"}, json={"temperature": 27}, timeout=3)

``requests`` is imported by the first call: it would be most of what importing this module costs.
"""

import json
import os
from typing import Any, Dict, List, Type, Union

from swx.errors import APIException, OAuth2Error, ResponseError, TokenRevokeError

DEFAULT_HOST = "https://api.swx.altairone.com"
TIMEOUT_S = 3.0  # to connect, and between two pieces of an answer
ANSWER_MAX_BYTES = 1024 * 1024  # a token is a few kilobytes
DEFAULT_EXPIRES_IN_S = 3600  # if the server does not say


class Token:
    """An access token; as a context manager it is revoked at the end of the block.

    ``str(token)`` is the access token; its ``repr`` shows no secret.  ``expires_in`` is in seconds.
    """

    def __init__(
        self,
        host: str,
        access_token: str,
        expires_in: int = DEFAULT_EXPIRES_IN_S,
        id_token: str = "",
        refresh_token: str = "",
        scope: str = "",
        token_type: str = "bearer",  # noqa: S107  a kind, no secret
        *,
        client_id: str = "",
        client_secret: str = "",
    ) -> None:
        self.host = host
        self.access_token = access_token
        self.expires_in = expires_in
        self.id_token = id_token
        self.refresh_token = refresh_token
        self.scope = scope
        self.token_type = token_type
        # A token can be revoked only by the client it was made for.
        self._client_id = client_id
        self._client_secret = client_secret

    def revoke(self) -> None:
        """Make the token invalid; TokenRevokeError if the server refuses."""
        revoke_token(self)

    def __str__(self) -> str:
        return self.access_token

    def __repr__(self) -> str:
        return f"<Token for {self.host}, scope {self.scope!r}>"

    def __enter__(self) -> "Token":
        return self

    def __exit__(self, *exception: object) -> None:
        self.revoke()


def get_token(client_id: str, client_secret: str, scopes: List[str], host: str = "") -> Token:
    """Request a token for ``scopes``.

    ``host`` is the API's URL, the environment variable ``SWX_API_URL`` if empty.  Raises OAuth2Error
    if the server refuses, APIException if it cannot be reached or answers with something else.
    """
    base = _base_url(host)
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": client_secret,
        "scope": " ".join(scopes),
    }
    body = _post(f"{base}/oauth2/token", form, OAuth2Error)
    try:
        answer = json.loads(body)
        access_token = answer["access_token"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise APIException(f"{base}/oauth2/token answered without an access_token") from None
    if not isinstance(access_token, str):
        raise APIException(f"{base}/oauth2/token answered with an access_token that is no text")
    return Token(
        base,
        access_token,
        answer.get("expires_in", DEFAULT_EXPIRES_IN_S),
        answer.get("id_token", ""),
        answer.get("refresh_token", ""),
        answer.get("scope", ""),
        answer.get("token_type", "bearer"),
        client_id=client_id,
        client_secret=client_secret,
    )


def revoke_token(
    access_token: Union[str, Token], client_id: str = "", client_secret: str = "", host: str = ""
) -> None:
    """Make a token invalid; a Token knows its own client and host.

    Raises TokenRevokeError if the server refuses, APIException if it cannot be reached.
    """
    if isinstance(access_token, Token):
        client_id = client_id or access_token._client_id
        client_secret = client_secret or access_token._client_secret
        host = host or access_token.host
    form = {"token": str(access_token), "client_id": client_id, "client_secret": client_secret}
    _post(f"{_base_url(host)}/oauth2/revoke", form, TokenRevokeError)


def _base_url(host: str) -> str:
    base = (host or os.environ.get("SWX_API_URL") or DEFAULT_HOST).rstrip("/")
    return base if "://" in base else f"https://{base}"


def _post(url: str, form: Dict[str, str], refused: Type[ResponseError]) -> bytes:
    """POST ``form``, URL-encoded, and return the answer's body; a status from 300 on raises ``refused``."""
    import requests

    try:
        # A redirect is an answer like another here: following it would send the secret elsewhere.
        with requests.post(url, data=form, timeout=TIMEOUT_S, allow_redirects=False, stream=True) as response:
            status, body = response.status_code, _bounded(response)
    except requests.RequestException as error:
        raise APIException(f"cannot reach {url}: {error}") from error
    if status >= 300:
        raise refused.parse(status, body)
    return body


def _bounded(response: Any) -> bytes:
    body = b""
    for piece in response.iter_content(64 * 1024):
        body += piece
        if len(body) > ANSWER_MAX_BYTES:
            raise APIException(f"{response.url} answered with more than {ANSWER_MAX_BYTES} bytes")
    return body
