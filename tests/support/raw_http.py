"""One HTTP exchange byte by byte, for what a client library would tidy up before it is sent or read."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.support.server import SPACE, TOKEN, Server

DEADLINE_SECONDS = 30.0
BEARER = ("Authorization", f"Bearer {TOKEN}")

Pairs = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class RawAnswer:
    """An answer with its headers as they came: order, case and repeats."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name: str) -> str:
        """The value of a header that is there exactly once."""
        (value,) = self.all(name)
        return value


def target(name: str, tail: str = "") -> str:
    """The request target that invokes a function of the tests' space."""
    return f"/spaces/{SPACE}/functions/{name}/invoke{tail}"


def exchange(
    server: Server,
    method: str,
    path: str,
    headers: Pairs = (),
    body: bytes | None = None,
    *,
    chunks: Iterable[bytes] | None = None,
    token: bool = True,
) -> RawAnswer:
    """Send exactly this on a connection of its own and read one answer.

    ``path`` is sent as Latin-1, so any byte can be written.  ``chunks`` sends a body without its length.
    """
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(server.url).netloc}"]
    lines += [f"{name}: {value}" for name, value in ([BEARER] if token else [])]
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    if chunks is not None:
        lines.append("Transfer-Encoding: chunked")
    data = "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
    return send(server, data, method, chunks)


def send(
    server: Server, data: bytes, method: str = "POST", chunks: Iterable[bytes] | None = None
) -> RawAnswer:
    """Send these bytes, then ``chunks`` in chunked coding, and read one answer."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), DEADLINE_SECONDS) as connection:
        # A server that has heard enough may answer and hang up before everything is sent.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
            for chunk in chunks or ():
                connection.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            if chunks is not None:
                connection.sendall(b"0\r\n\r\n")
        return read_answer(connection, method)


def read_answer(connection: socket.socket, method: str) -> RawAnswer:
    """The answer that comes over a connection to a request of this method."""
    with contextlib.closing(http.client.HTTPResponse(connection, method=method)) as answer:
        answer.begin()
        return RawAnswer(answer.status, answer.getheaders(), answer.read())
