"""From a function's ``write()`` to its followers' sockets, with one follower and with hundreds.

``python -m bench.logtail`` prints p50 and p99.  The followers run on the same cores and cost their part.
"""

from __future__ import annotations

import argparse
import base64
import re
import selectors
import socket
import statistics
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from bench.contestants import TOKEN, cellblock

FOLLOWERS = (1, 500)
LINES = 100
# Beside it the followers have time to read: a flood would measure them.
PAUSE_SECONDS = 0.1
READY_SECONDS = 60.0
SOURCE = """
import os, time
def handle(req):
    os.write(2, b"written %d\\n" % time.time_ns())
    return {}
"""
PATH = "/spaces/demo/functions/says"
WRITTEN = re.compile(rb"written (\d+)")
# What a follower is sent once it is up to date.
POSITION = b'"position"'


def follow(url: str, count: int) -> selectors.BaseSelector:
    """So many connections that follow and are up to date; close each."""
    address = urlsplit(url)
    request = (
        f"GET {PATH}/logs?follow=true&tail=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    )
    selector = selectors.DefaultSelector()
    for _ in range(count):
        connection = socket.create_connection((address.hostname or "", address.port or 0))
        connection.sendall(request.encode())
        selector.register(connection, selectors.EVENT_READ, bytearray())
    waiting = count
    deadline = time.monotonic() + READY_SECONDS
    while waiting:
        if time.monotonic() > deadline:
            raise SystemExit(f"{waiting} followers were not answered")
        for key, _ in selector.select(1.0):
            key.data.extend(key.fileobj.recv(65536))  # type: ignore[union-attr]
            if POSITION in key.data:
                key.data.clear()
                waiting -= 1
    return selector


def measure(url: str, count: int) -> list[float]:
    """Seconds from the write of each line to each socket."""
    selector = follow(url, count)
    found: list[float] = []

    def write() -> None:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            for _ in range(LINES):
                client.post(f"{PATH}/invoke").raise_for_status()
                time.sleep(PAUSE_SECONDS)

    thread = threading.Thread(target=write)
    thread.start()
    deadline = time.monotonic() + READY_SECONDS
    while len(found) < LINES * count and time.monotonic() < deadline:
        for key, _ in selector.select(1.0):
            data = key.fileobj.recv(65536)  # type: ignore[union-attr]
            now = time.time_ns()
            found += [(now - int(one)) / 1e9 for one in WRITTEN.findall(data)]
    thread.join()
    for key in list(selector.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]
    selector.close()
    return found


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(prog="bench.logtail", description=__doc__)
    parser.add_argument("--fronts", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cellblock-bench-") as folder:
        Path(folder).chmod(0o755)
        with cellblock(Path(folder) / "data", given.fronts, function_logs="false") as server:
            body = {"name": "says", "source": {"code": base64.b64encode(SOURCE.encode()).decode()}}
            headers = {"Authorization": f"Bearer {TOKEN}"}
            httpx.post(f"{server.url}/spaces/demo/functions", json=body, headers=headers).raise_for_status()
            for count in FOLLOWERS:
                found = measure(server.url, count)
                p50, p99 = statistics.median(found), statistics.quantiles(found, n=100)[98]
                print(
                    f"{count} followers: {len(found)} of {LINES * count} lines, "
                    f"p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms, max {max(found) * 1e3:.1f} ms"
                )


if __name__ == "__main__":
    main()
