"""Talking to the server: every request has a deadline, every answer a bound, every failure a sentence.

Rule 1: only a GET of the management interface is tried again after a broken connection.  A deploy or an
invocation that was cut off may have happened, and the message says so.
Rule 2: no redirect is followed, because it would carry the token elsewhere.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from supervisor import __version__
from supervisor.cli.client.connection_config import ServerTarget
from supervisor.cli.command_errors import REFUSED, CommandFailure, refused, unreachable, usage
from supervisor.errors import shown

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0  # reading and writing rows
DEPLOY_SECONDS = 180.0  # the upload, and the check of the bundle in a cell, which may wait for room
RETRY_PAUSES_SECONDS = (
    0.1,
    0.3,
)  # for a server that is being restarted; longer ones would hide a dead server
ANSWER_MAX_BYTES = 16 * 1024 * 1024
CODE_MAX_BYTES = 512 * 1024 * 1024  # base64 of the largest bundle that ``deploy`` sends
ERROR_MAX_BYTES = 64 * 1024  # of a refusal, read for its message
USER_AGENT = f"cellblock/{__version__}"


class RequestRefused(CommandFailure):
    """The server refused: its ``status`` and the ``details`` of its envelope."""

    def __init__(self, message: str, status: int, details: Mapping[str, Any]) -> None:
        super().__init__(message, REFUSED)
        self.status = status
        self.details = dict(details)


class Client:
    """One command's connection to the server."""

    def __init__(self, target: ServerTarget, pause: Callable[[float], None] = time.sleep) -> None:
        self.target = target
        self._pause = pause

    def url(self, *segments: str) -> str:
        """The address of a resource; each segment is percent-encoded whole."""
        return "/".join((self.target.url, *(_encoded(segment) for segment in segments)))

    def in_space(self, *segments: str) -> str:
        """The address of a resource of the chosen space."""
        return self.url("spaces", self.target.space, *segments)

    def get(self, url: str, query: Mapping[str, str] | None = None, max_bytes: int = ANSWER_MAX_BYTES) -> Any:
        """The JSON at ``url``.  RequestRefused, or CommandFailure when the server cannot be reached."""
        return self.get_tagged(url, query, max_bytes)[0]

    def get_tagged(
        self, url: str, query: Mapping[str, str] | None = None, max_bytes: int = ANSWER_MAX_BYTES
    ) -> tuple[Any, str | None]:
        """The JSON at ``url`` and its ETag.  Raises what :meth:`get` raises."""
        import httpx

        deadline = time.monotonic() + ANSWER_SECONDS
        for pause_s in (*RETRY_PAUSES_SECONDS, None):
            try:
                return self._request("GET", url, query, None, deadline, max_bytes)
            except (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError) as error:
                if pause_s is None or time.monotonic() + pause_s >= deadline:
                    raise self._unreachable(error, "GET") from error
                # Random, because many commands may wait for one restarted server.
                self._pause(pause_s * random.uniform(0.8, 1.2))  # noqa: S311
            except httpx.TransportError as error:
                raise self._unreachable(error, "GET") from error
        raise AssertionError("the last attempt returns or raises")

    def send(
        self,
        method: str,
        url: str,
        content: Any = None,
        seconds: float = ANSWER_SECONDS,
        if_match: str | None = None,
    ) -> Any:
        """Ask for a change, once; the JSON of the answer or ``None``.  Raises what :meth:`get` raises.

        ``if_match`` is the ETag that what is changed must still have.
        """
        import httpx

        deadline = time.monotonic() + seconds
        try:
            return self._request(method, url, None, content, deadline, ANSWER_MAX_BYTES, if_match)[0]
        except httpx.TransportError as error:
            raise self._unreachable(error, method) from error

    @contextmanager
    def stream(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[bytes, bytes]],
        content: bytes | None,
        seconds: float,
    ) -> Iterator[httpx.Response]:
        """An answer whose body is still to be read; ``Authorization`` in ``headers`` replaces the token."""
        import httpx

        own = [] if any(name.lower() == b"authorization" for name, _ in headers) else self._authorization()
        try:
            with self._http(seconds) as http:
                request = self._build(http, method, url, headers=[*own, *headers], content=content)
                response = http.send(request, stream=True)
                try:
                    yield response
                finally:
                    response.close()
        except httpx.TransportError as error:
            raise self._unreachable(error, method) from error

    def _request(
        self,
        method: str,
        url: str,
        query: Mapping[str, str] | None,
        content: Any,
        deadline: float,
        max_bytes: int,
        if_match: str | None = None,
    ) -> tuple[Any, str | None]:
        headers = [*self._authorization(), (b"accept", b"application/json")]
        if if_match is not None:
            headers.append((b"if-match", if_match.encode("latin-1", "replace")))
        body = None
        if content is not None:
            body = json.dumps(content, allow_nan=False).encode()
            headers.append((b"content-type", b"application/json"))
        with self._http(max(0.1, deadline - time.monotonic())) as http:
            request = self._build(http, method, url, params=query, headers=headers, content=body)
            response = http.send(request, stream=True)
            try:
                answer = _bounded(response, max_bytes, deadline)
            finally:
                response.close()
        if not response.is_success:
            raise self.refusal(response, answer)
        content = None if response.status_code == 204 or not answer else self._json(answer)
        return content, response.headers.get("etag")

    def refusal(self, response: httpx.Response, answer: bytes) -> RequestRefused:
        """The server's refusal as a failure with one sentence."""
        status = response.status_code
        message, details = envelope(answer)
        if status == 401:
            how = "does not know this token" if self.target.token else "wants a token"
            message = (
                f"the server at {self.target.url} {how}; keep one by 'cellblock login', or set one: "
                "CELLBLOCK_TOKEN=$(sudo cat DATA_DIR/admin-token) with the server's --data-dir as DATA_DIR"
            )
        elif message is None:
            where = f" to {shown(response.headers['location'])}" if "location" in response.headers else ""
            message = (
                f"{self.target.url} answered {status}{where} without a message; "
                "check that this is the URL of a Cellblock server"
            )
        return RequestRefused(message + retry_hint(response), status, details)

    def _http(self, seconds: float) -> httpx.Client:
        import httpx

        try:
            return httpx.Client(
                timeout=httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS)),
                # Bodies come as they are: nothing is unpacked, so there is no decompression bomb.
                headers={"user-agent": USER_AGENT, "accept-encoding": "identity"},
                follow_redirects=False,
                # A server on this machine is not behind the environment's proxy.
                trust_env=not self.target.is_loopback,
                # Without TLS no certificate is checked, and loading the authorities costs 20 ms.
                verify=self.target.url.startswith("https:"),
            )
        except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
            raise usage(
                f"cannot use the environment's proxy or certificates: {error}; "
                "correct HTTP_PROXY, HTTPS_PROXY, ALL_PROXY or SSL_CERT_FILE"
            ) from None

    def _build(self, http: httpx.Client, method: str, url: str, **parts: Any) -> httpx.Request:
        import httpx

        try:
            return http.build_request(method, url, **parts)
        except httpx.InvalidURL as error:
            raise usage(f"cannot use the address {shown(url)}: {error}; check --url and the names") from None

    def _authorization(self) -> list[tuple[bytes, bytes]]:
        token = self.target.token
        return [(b"authorization", f"Bearer {token}".encode("ascii"))] if token else []

    def _json(self, answer: bytes) -> Any:
        try:
            return json.loads(answer)
        except (ValueError, RecursionError):
            raise refused(
                f"{self.target.url} answered something that is not JSON; "
                "check that this is the URL of a Cellblock server"
            ) from None

    def _unreachable(self, error: httpx.TransportError, method: str) -> CommandFailure:
        import httpx

        url = self.target.url
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
            reason = str(error) or "no connection in time"
            if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason.upper().replace(" ", "_"):
                return unreachable(
                    f"cannot reach the server at {url}: it does not speak TLS there; "
                    f"write http:{url.partition(':')[2]}"
                )
            return unreachable(
                f"cannot reach the server at {url}: {reason}; "
                "start it with 'cellblock serve', or name another by --url or CELLBLOCK_URL"
            )
        unknown = "" if method == "GET" else "; what was asked may have happened: look before you try again"
        if isinstance(error, httpx.TimeoutException):
            return unreachable(f"the server at {url} did not answer in time{unknown or '; try again'}")
        reason = str(error) or type(error).__name__
        return unreachable(f"the connection to {url} broke: {reason}{unknown or '; try again'}")


def _encoded(segment: str) -> str:
    if not segment:
        raise usage("a name cannot be empty; see --help")
    try:
        encoded = quote(segment, safe="")
    except UnicodeEncodeError:
        raise usage(f"cannot use the name {shown(segment)}: it is not UTF-8") from None
    # HTTP clients resolve "." and ".." in a path; as a name they must stay.
    return encoded.replace(".", "%2E") if encoded in (".", "..") else encoded


def _bounded(response: httpx.Response, max_bytes: int, deadline: float) -> bytes:
    parts: list[bytes] = []
    total = 0
    for chunk in within(response.iter_raw(), deadline):
        total += len(chunk)
        if total > max_bytes:
            raise refused(f"the server's answer is larger than {max_bytes} bytes; ask for less of it")
        parts.append(chunk)
    return b"".join(parts)


def within(chunks: Iterator[bytes], deadline: float) -> Iterator[bytes]:
    """``chunks`` until ``time.monotonic()`` passes ``deadline``, so that a trickle ends, too."""
    for chunk in chunks:
        if time.monotonic() > deadline:
            raise unreachable("the server did not finish its answer in time; try again")
        yield chunk


def envelope(answer: bytes) -> tuple[str | None, dict[str, Any]]:
    """Message and details of ``{"error": {...}}``; ``(None, {})`` for anything else."""
    try:
        document = json.loads(answer)
    except (ValueError, RecursionError):
        return None, {}
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return None, {}
    details = error.get("details")
    return error["message"], details if isinstance(details, dict) else {}


def retry_hint(response: httpx.Response) -> str:
    """``; try again in N s`` if the server sent Retry-After, else ""."""
    after = response.headers.get("retry-after", "")
    return f"; try again in {after} s" if after.isascii() and after.isdigit() and len(after) < 7 else ""


def server_version(target: ServerTarget, seconds: float) -> str | None:
    """The version of the server at ``target``, or ``None`` without an answer in time.

    It uses the standard library: importing httpx takes longer than the rest of ``cellblock version``.
    """
    import http.client
    import urllib.error
    import urllib.request

    request = urllib.request.Request(f"{target.url}/healthz", headers={"User-Agent": USER_AGENT})  # noqa: S310
    handlers = [urllib.request.ProxyHandler({})] if target.is_loopback else []
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=seconds) as response:
            document = json.loads(response.read(ERROR_MAX_BYTES))
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return None
    version = document.get("version") if isinstance(document, dict) else None
    return version if isinstance(version, str) else None
