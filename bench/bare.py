"""The floor: gunicorn's ``asgi`` worker under the front's own settings, and nothing behind it.

``python -m bench.bare PORT``.  It answers with the bytes it was sent, so whatever a front costs
beyond it is what recognising, handing over and isolating a call cost.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from gunicorn.app.base import BaseApplication

from supervisor.front.server import HEARTBEAT_SECONDS
from supervisor.settings.declarations import Settings

Message = dict[str, Any]


async def echo(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """An ASGI application that gives the body back."""
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = b"".join(chunks)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class BareServer(BaseApplication):
    """gunicorn with the settings of ``supervisor.front.server`` that touch a request."""

    def __init__(self, port: int) -> None:
        self._port = port
        super().__init__()

    def load_config(self) -> None:
        """Every setting that is not gunicorn's default."""
        for name, value in {
            "bind": [f"127.0.0.1:{self._port}"],
            "workers": 1,
            "worker_class": "asgi",
            "asgi_loop": "uvloop",
            "asgi_lifespan": "off",
            "timeout": HEARTBEAT_SECONDS,
            "keepalive": math.ceil(Settings().keepalive_seconds),
            "worker_connections": Settings().connections_most,
            "control_socket_disable": True,
            "loglevel": "warning",
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """The application."""
        return echo


if __name__ == "__main__":
    BareServer(int(sys.argv[1])).run()
