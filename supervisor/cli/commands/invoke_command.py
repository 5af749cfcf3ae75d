"""``cellblock invoke``: calls a function once and prints the body of the answer."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote, urlencode

import typer

from supervisor.cli import arguments, output
from supervisor.cli.command_errors import refused, usage
from supervisor.cli.parameters import Json, Space, Token, Url, connect
from supervisor.errors import shown

if TYPE_CHECKING:
    import httpx

    from supervisor.cli.client.http_client import Client

# The longest call with a server's defaults: 10 s in a queue, 30 s of import, 900 s; and 20 s to spare.
WAIT_SECONDS = 960.0
JSON_BODY_MAX_BYTES = 256 * 1024 * 1024  # --json holds the body in memory

Wait = Annotated[
    float,
    typer.Option("--wait", help="Seconds to wait for the answer.", min=0.1, max=86_400, metavar="SECONDS"),
]

Logs = Annotated[bool, typer.Option("--logs", help="Print the end of the call's log on stderr.")]


def invoke(
    name: Annotated[str, typer.Argument(help="The function.", metavar="NAME", show_default=False)],
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", help="The body: TEXT, @FILE, or @- for standard input.", metavar="DATA"),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", "-X", help="POST, GET, PUT, PATCH or DELETE.", metavar="METHOD")
    ] = "POST",
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", help="A request header; repeatable.", metavar="'NAME: VALUE'"),
    ] = None,
    query: Annotated[
        list[str] | None,
        typer.Option("--query", "-q", help="A query parameter; repeatable.", metavar="KEY=VALUE"),
    ] = None,
    path: Annotated[
        str, typer.Option("--path", "-p", help="The path that the function sees.", metavar="PATH")
    ] = "/",
    include: Annotated[
        bool, typer.Option("--include", "-i", help="Print the status and the headers before the body.")
    ] = False,
    logs: Logs = False,
    wait: Wait = WAIT_SECONDS,
    space: Space = None,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Call a function and print the body of its answer, byte for byte.

    The content type is application/json if the data is JSON, else
    text/plain, unless a --header names one.  --json prints status, headers
    and body as one document.  On a terminal, control characters in the
    answer are shown as escapes.

    A status of 400 or more ends the command with exit code 1.

    Examples:

      cellblock invoke hello -d '{"name": "Ada"}'
      cellblock invoke resize -d @photo.jpg --logs > out.png
      cellblock invoke stock -X GET --path /market/today --query company=Acme
    """
    body = arguments.read_data(data)
    headers = [arguments.header(text) for text in header or ()]
    if body and not any(key.lower() == b"content-type" for key, _ in headers):
        headers.append((b"content-type", arguments.content_type(body)))
    if not method.isascii() or not method.isalpha():
        raise usage(f"cannot use --method {shown(method)}; write POST, GET, PUT, PATCH or DELETE")
    client = connect(url, token, space)
    address = client.in_space("functions", name, "invoke") + call_path(path) + call_query(query or ())
    deadline = time.monotonic() + wait
    headers += [(b"x-cellblock-logs", b"tail")] if logs else []
    with client.stream(method.upper(), address, headers, body, wait) as response:
        start = _write_json(response, deadline) if as_json else _write(response, deadline, include)
    _write_log(response)
    if response.status_code >= 400:
        raise refused(_complaint(client, name, response, start))


def call_path(path: str) -> str:
    """The end of the address after ``…/invoke`` with which the function sees ``path``; "" for ``/``."""
    rooted = path if path.startswith("/") else f"/{path}"
    if rooted == "/":
        return ""
    try:
        segments = [quote(segment, safe="") for segment in rooted.split("/")]
    except UnicodeEncodeError:
        raise usage(f"cannot use --path {shown(path)}: it is not UTF-8") from None
    # As escapes, "." and ".." reach the function and do not lead to another address.
    return "/".join(part.replace(".", "%2E") if part in (".", "..") else part for part in segments)


def call_query(texts: list[str] | tuple[str, ...]) -> str:
    """The query string of ``KEY=VALUE`` texts, in their order, repeats kept; with its ``?``."""
    found = [arguments.pair(text, "--query") for text in texts]
    try:
        return f"?{urlencode(found)}" if found else ""
    except UnicodeEncodeError:
        raise usage("cannot use --query: it is not UTF-8") from None


def _chunks(response: httpx.Response, deadline: float) -> Iterator[bytes]:
    from supervisor.cli.client.http_client import within

    return within(response.iter_raw(), deadline)


def _write(response: httpx.Response, deadline: float, include: bool) -> bytes:
    """Write the answer to stdout; the body's first bytes, which hold the message of a refusal."""
    from supervisor.cli.client.http_client import ERROR_MAX_BYTES

    start = b""
    writer = output.BodyWriter(sys.stdout)
    if include:
        writer.write(_head(response))
    for chunk in _chunks(response, deadline):
        start += chunk[: ERROR_MAX_BYTES - len(start)]
        writer.write(chunk)
    writer.close()
    return start


def _head(response: httpx.Response) -> bytes:
    status = f"{response.http_version} {response.status_code} {response.reason_phrase}".rstrip()
    fields = b"".join(name + b": " + value + b"\n" for name, value in response.headers.raw)
    return status.encode("utf-8") + b"\n" + fields + b"\n"


def _write_json(response: httpx.Response, deadline: float) -> bytes:
    from supervisor.cli.client.http_client import ERROR_MAX_BYTES

    body = bytearray()
    for chunk in _chunks(response, deadline):
        body += chunk
        if len(body) > JSON_BODY_MAX_BYTES:
            raise refused(f"the body is larger than {JSON_BODY_MAX_BYTES} bytes; leave --json out")
    document: dict[str, object] = {
        "status": response.status_code,
        "headers": [
            [name.decode("latin-1"), value.decode("latin-1")] for name, value in response.headers.raw
        ],
    }
    try:
        document["body"] = body.decode("utf-8")
    except UnicodeDecodeError:
        document["body_base64"] = base64.b64encode(body).decode("ascii")
    output.write_json(document)
    return bytes(body[:ERROR_MAX_BYTES])


def _write_log(response: httpx.Response) -> None:
    """Write the end of the call's log to stderr, if the answer brought it."""
    sys.stdout.flush()
    try:
        tail = base64.b64decode(response.headers.get("x-cellblock-log-tail", ""), validate=True)
    except ValueError:
        raise refused("the server's header X-Cellblock-Log-Tail is not base64") from None
    sys.stderr.write(output.safe_lines(tail.decode("utf-8", "backslashreplace")))
    sys.stderr.flush()


def _complaint(client: Client, name: str, response: httpx.Response, start: bytes) -> str:
    """One sentence about an answer of 400 or more: status, message and call."""
    from supervisor.cli.client.http_client import RequestRefused, envelope, retry_hint

    status = response.status_code
    is_own_answer = response.headers.get("x-invoked") == "true"
    if status == 401 and not is_own_answer:
        return client.refusal(response, start).message
    message, _ = envelope(start)
    call = response.headers.get("x-call-id")
    if status == 404 and not is_own_answer:
        try:
            # The API knows the names that may be meant; whoever calls is told none.
            client.get(client.in_space("functions", name))
        except RequestRefused as refusal:
            message = refusal.message if refusal.status == 404 else message
    text = f"invoking {name} ended with {status}" + (f": {message}" if message else "")
    return text + (f" (call {call})" if call else "") + retry_hint(response)
