"""The server's stream of log events: read within bounds, and taken up again where it broke."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from supervisor.cli.command_errors import REFUSED, UNREACHABLE, CommandFailure, refused

if TYPE_CHECKING:
    import httpx

    from supervisor.cli.client.http_client import Client

# The server sends something every 15 s: a connection that is silent for three times that is dead.
SILENT_SECONDS = 45.0
# Between two attempts, doubling; a restarted server is back within a second or two.
PAUSE_FIRST_SECONDS = 0.25
PAUSE_MOST_SECONDS = 10.0
# How long a server may be away before the command gives up.
AWAY_SECONDS = 300.0
# An entry is at most some 400 KiB as JSON; a longer event is no entry.
EVENT_MAX_BYTES = 4 << 20
# Refusals that pass: a limit, a draining server, a front that is just starting.
RETRIED_STATUSES = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class LogEvent:
    """``kind`` is "" for an entry, else ``gap``, ``more``, ``short`` or ``end``; ``data`` is its JSON."""

    kind: str
    data: dict[str, Any]


class Feed:
    """One command's reading of logs; ``cursor`` is behind the last event."""

    def __init__(
        self,
        client: Client,
        url: str,
        query: Mapping[str, str | None],
        *,
        on_broken: Callable[[], None],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Parameters of ``query`` that are None are left out.

        ``on_broken`` is called once each time the server goes away.
        """
        self._client = client
        self._url = url
        self._query = {name: value for name, value in query.items() if value is not None}
        self._on_broken = on_broken
        self._pause = pause
        self.cursor = ""

    def read(self) -> Iterator[LogEvent]:
        """The events that there are.  Raises CommandFailure."""
        while True:
            more = False
            for event in self._once():
                more = more or event.kind == "more"
                if event.kind != "more":
                    yield event
            if not more:
                return
            self._query.pop("tail", None)

    def follow(self) -> Iterator[LogEvent]:
        """The events that there are and those that come, until the function is deleted.  CommandFailure."""
        self._query["follow"] = "true"
        has_begun = False
        away_since: float | None = None
        pause_s = PAUSE_FIRST_SECONDS
        while True:
            try:
                for event in self._once():
                    has_begun, away_since, pause_s = True, None, PAUSE_FIRST_SECONDS
                    if event.kind == "end" and event.data.get("reason") == "deleted":
                        yield event
                        return
                    if event.kind not in ("end", "position"):
                        yield event
            except CommandFailure as failure:
                if not has_begun or not _may_pass(failure):
                    raise
                now = time.monotonic()
                if away_since is not None and now - away_since > AWAY_SECONDS:
                    raise
            if away_since is None:
                away_since = time.monotonic()
                self._on_broken()
            # Random, because many commands may wait for one restarted server.
            self._pause(pause_s * random.uniform(0.5, 1.0))  # noqa: S311
            pause_s = min(2 * pause_s, PAUSE_MOST_SECONDS)

    def _once(self) -> Iterator[LogEvent]:
        """The events of one answer; remembers the cursor behind each."""
        query = {name: value for name, value in self._query.items() if not (self.cursor and name == "tail")}
        headers = [(b"accept", b"text/event-stream")]
        if self.cursor:
            headers.append((b"last-event-id", self.cursor.encode("latin-1", "replace")))
        address = f"{self._url}?{urlencode(query)}" if query else self._url
        with self._client.stream("GET", address, headers, None, SILENT_SECONDS) as response:
            if response.status_code != 200:
                raise self._client.refusal(response, _start(response))
            kind, data = "", ""
            for line in _lines(response):
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if not line:
                    if data:
                        yield LogEvent(kind, _object(data))
                    elif kind == "":
                        yield LogEvent("position", {})
                    kind, data = "", ""
                elif field == "id":
                    self.cursor = value
                elif field == "event":
                    kind = value
                elif field == "data":
                    data = value


def _start(response: httpx.Response) -> bytes:
    from supervisor.cli.client.http_client import ERROR_MAX_BYTES

    start = b""
    for chunk in response.iter_raw():
        start += chunk
        if len(start) >= ERROR_MAX_BYTES:
            break
    return start


def _lines(response: httpx.Response) -> Iterator[str]:
    """Lines of the body without their ends; CommandFailure for a line that does not end."""
    rest = b""
    for chunk in response.iter_raw():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace").removesuffix("\r")
        if len(rest) > EVENT_MAX_BYTES:
            raise refused(
                f"the server sent an event of more than {EVENT_MAX_BYTES} bytes; it is no log entry"
            )


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise refused("the server sent something that is no log entry; check that it is a Cellblock server")
    return value


def _may_pass(failure: CommandFailure) -> bool:
    if failure.exit_code == UNREACHABLE:
        return True
    return failure.exit_code == REFUSED and getattr(failure, "status", 0) in RETRIED_STATUSES
