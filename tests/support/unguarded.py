"""A proxy that takes away what a server tells browsers: for the controls of the browser tests.

A layer that is not kept is taken out of answers on their way, or put back as the function sent it: the
hostile functions send a header that the server drops a second time, as ``X-Raw-NAME``, which is ``NAME``
again here.
"""

from __future__ import annotations

import http.client
import sys
import threading
from collections.abc import Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

LAYERS = ("sandbox", "sniff", "frame", "script", "opener", "worker", "dropped", "scoped")
SANDBOX = "sandbox allow-scripts allow-forms allow-popups"
# Of what the proxy passes on itself.
OF_A_HOP = ("connection", "transfer-encoding", "content-length", "keep-alive")
SCOPED = ("set-cookie",)
DEADLINE_SECONDS = 60.0


class Proxy(ThreadingHTTPServer):
    """One whose browser may leave at any time."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A thread of ours failed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Unguarded:
    """Use as a context manager; ``url`` is its address, an origin of its own."""

    def __init__(self, server_url: str, keep: Collection[str] = ()) -> None:
        assert set(keep) <= set(LAYERS), keep
        address = urlsplit(server_url).netloc
        kept = frozenset(keep)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self._any
                raise AttributeError(name)

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                asked = [
                    (name, value)
                    for name, value in self.headers.items()
                    if name.lower() not in ("host", *OF_A_HOP)
                    and (name.lower() != "service-worker" or "worker" in kept)
                ]
                connection = http.client.HTTPConnection(address, timeout=DEADLINE_SECONDS)
                connection.putrequest(self.command, self.path, skip_accept_encoding=True)
                for name, value in [*asked, ("Content-Length", str(len(body)))]:
                    connection.putheader(name, value)
                connection.endheaders(body)
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                self.send_response_only(answer.status)
                for name, value in without(answer.getheaders(), kept):
                    if name.lower() not in OF_A_HOP:
                        self.send_header(name, value)
                if answer.status not in (204, 304):
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *arguments: Any) -> None: ...

        self._server = Proxy(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Unguarded:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def without(headers: list[tuple[str, str]], kept: Collection[str]) -> list[tuple[str, str]]:
    """An answer's headers with the layers of ``kept`` only; pure."""
    raw = {name.lower().removeprefix("x-raw-") for name, _ in headers if name.lower().startswith("x-raw-")}
    put_back = {name for name in raw if ("scoped" if name in SCOPED else "dropped") not in kept}
    left = []
    for name, value in headers:
        lowered = name.lower()
        original = lowered.removeprefix("x-raw-")
        if lowered != original:
            if original in put_back:
                left.append((original, value))
            continue
        if lowered in put_back:
            continue
        if lowered == "content-security-policy":
            value = _policy(value, kept)
        gone = (
            not value
            or (lowered == "x-content-type-options" and "sniff" not in kept)
            or (lowered == "x-frame-options" and "frame" not in kept)
            or (lowered == "cross-origin-opener-policy" and "opener" not in kept)
            # What nobody would miss in these attacks goes with the sandbox.
            or (lowered == "cross-origin-resource-policy" and "sandbox" not in kept)
        )
        if not gone:
            left.append((name, value))
    return left


def _policy(policy: str, kept: Collection[str]) -> str:
    if policy == SANDBOX:
        return policy if "sandbox" in kept else ""
    if "frame-ancestors" not in policy:  # a function's own
        return policy
    directives = [directive.strip() for directive in policy.split(";")]
    of_frames = [each for each in directives if each.startswith("frame-ancestors") and "frame" in kept]
    of_scripts = [each for each in directives if not each.startswith("frame-ancestors") and "script" in kept]
    return "; ".join(of_scripts + of_frames)
