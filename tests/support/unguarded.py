"""A proxy that takes away what a server tells browsers: for the controls of the browser tests.

A layer that is not kept is taken out of answers on their way, or put back as the function sent it: the
hostile functions send a header that the server drops a second time, as ``X-Raw-NAME``, which is ``NAME``
again here.
"""

from __future__ import annotations

import http.client
from collections.abc import Collection
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.support.http_recorder import Local

LAYERS = ("sandbox", "sniff", "frame", "script", "opener", "worker", "dropped", "scoped")
SANDBOX = "sandbox allow-scripts allow-forms allow-popups"
# Of what the proxy passes on itself.
OF_A_HOP = ("connection", "transfer-encoding", "content-length", "keep-alive")
SCOPED = ("set-cookie",)
DEADLINE_SECONDS = 60.0


class Unguarded(Local):
    """Its address is an origin of its own; ``keep`` are the layers that it leaves."""

    def __init__(self, server_url: str, keep: Collection[str] = ()) -> None:
        assert set(keep) <= set(LAYERS), keep
        super().__init__(self._pass_on)
        self._address = urlsplit(server_url).netloc
        self._kept = frozenset(keep)

    def _pass_on(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=DEADLINE_SECONDS)
        connection.putrequest(handler.command, handler.path, skip_accept_encoding=True)
        for name, value in handler.headers.items():
            lowered = name.lower()
            if lowered not in ("host", *OF_A_HOP) and (lowered != "service-worker" or "worker" in self._kept):
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        handler.send_response_only(answer.status)
        for name, value in without(answer.getheaders(), self._kept):
            if name.lower() not in OF_A_HOP:
                handler.send_header(name, value)
        if answer.status not in (204, 304):
            handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)


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
