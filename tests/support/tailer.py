"""Someone who follows logs over a real connection, one event after the other."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from tests.support.server import SPACE, TOKEN, Server

SECONDS = 20.0


class Event(NamedTuple):
    """``kind`` is "" for an entry; ``id`` is "" in NDJSON."""

    kind: str
    id: str
    data: dict[str, Any]

    @property
    def text(self) -> str:
        return str(self.data["text"])


class Tailer:
    """Use as a context manager; ``answer`` has the status and the headers."""

    def __init__(
        self,
        server: Server,
        name: str | None,
        *,
        accept: str = "text/event-stream",
        last_id: str = "",
        receive_bytes: int = 0,
        **query: Any,
    ) -> None:
        """``receive_bytes`` makes the kernel's buffer small, for one that shall not read."""
        where = f"functions/{name}/logs" if name else "logs"
        address = urlsplit(server.url)
        headers = {"Authorization": f"Bearer {TOKEN}", "Accept": accept}
        if last_id:
            headers["Last-Event-ID"] = last_id
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=SECONDS)
        if receive_bytes:
            made = socket.socket()
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            made.settimeout(SECONDS)
            made.connect((address.hostname, address.port))
            self._connection.sock = made
        self._connection.request("GET", f"/spaces/{SPACE}/{where}?{urlencode(query)}", headers=headers)
        self.answer = self._connection.getresponse()
        self.is_sse = accept == "text/event-stream"

    def __enter__(self) -> Tailer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.answer.close()
        self._connection.close()

    def widen(self) -> None:
        """Read on at full speed."""
        self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)

    @property
    def front(self) -> str:
        """What the call ids of the front that answers begin with."""
        return str(self.answer.headers["x-call-id"]).partition("-")[0]

    def next(self) -> Event | None:
        """The next event, a position included; None at the end of the answer."""
        if not self.is_sse:
            line = self.answer.readline()
            data = json.loads(line) if line else None
            return Event(data.pop("event", ""), "", data) if data is not None else None
        kind, at, text = "", "", ""
        while line := self.answer.readline().decode():
            field, _, value = line.rstrip("\n").partition(": ")
            if line == "\n":
                if not (at or text):  # a comment alone
                    continue
                return Event(kind, at, json.loads(text)) if text else Event("position", at, {})
            if field == "event":
                kind = value
            elif field == "id":
                at = value
            elif field == "data":
                text = value
        return None

    def until(self, holds: Callable[[Event], bool]) -> list[Event]:
        """All events up to the first that fits; AssertionError where the answer ends before."""
        found = []
        while True:
            event = self.next()
            assert event is not None, found[-3:]
            found.append(event)
            if holds(event):
                return found

    def until_text(self, text: str) -> list[Event]:
        """All events up to the entry with this text."""
        return self.until(lambda event: not event.kind and event.text == text)

    def until_live(self) -> list[Event]:
        """All events up to where there is nothing new."""
        return self.until(lambda event: event.kind == "position")

    def to_the_end(self) -> list[Event]:
        """All events of an answer that ends."""
        found = []
        while (event := self.next()) is not None:
            found.append(event)
        return found


def texts(events: list[Event]) -> list[str]:
    """What the function said; the server's own entries say it of each call besides."""
    return [event.text for event in events if not event.kind and event.data["stream"] != "platform"]
