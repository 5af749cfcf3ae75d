"""A line of JSON for each request, for whoever has to say later who asked what (``request_log``).

Lines are gathered for a moment and written by a thread: no call waits for a disk.  What finds no room is
dropped, counted and told.  A path is written without its query, which may hold a secret.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

from supervisor.front.invoke.callers.credential import Credentials
from supervisor.front.invoke.http_call import HttpCall
from supervisor.front.outcome.outcomes import Outcome
from supervisor.front.outcome.reports import now
from supervisor.front.telemetry.request_files import RequestFiles
from supervisor.server_log import Complaint, timestamp_of
from supervisor.settings.front_settings import FrontSettings

log = logging.getLogger("cellblock.front")

FLUSH_SECONDS = 0.1
# More lines in that time, or while a disk does not take them, are only counted: some MiB.
PENDING_MOST = 10_000
# A path may be as long as a request's head; this much of it says what was asked.
PATH_MOST_CHARS = 1024


class RequestLog:
    """One front's."""

    def __init__(self, write: Callable[[bytes], None], credentials: Credentials) -> None:
        """``write`` blocks; OSError."""
        self._write = write
        self._credentials = credentials
        self._pending: list[dict[str, Any]] = []
        self._writing: asyncio.Task[None] | None = None
        self._complaint = Complaint(log)
        self.dropped = 0

    def call(self, call: HttpCall, outcome: Outcome, status: int, at: float, seconds: float) -> None:
        """Take an invocation that has ended."""
        asked = call.asked
        path = (asked.tail or b"").decode("latin-1")
        if asked.domain is None:
            path = f"/spaces/{asked.space}/functions/{asked.name}/invoke{path}"
        self._take(
            at=at,
            credential=call.principal.name if call.principal is not None else None,
            address=self._credentials.callers.address(call.connection.peer, call.headers),
            method=call.method,
            path=path,
            status=status,
            outcome=outcome.value,
            seconds=seconds,
            call_id=call.call_id,
            function=f"{asked.space}/{asked.name}"[:PATH_MOST_CHARS],
        )

    def request(self, scope: dict[str, Any], call_id: str, status: int, seconds: float) -> None:
        """Take any other request, once it was answered; ``status`` is 0 if its caller was gone before."""
        whose = scope.get("state", {}).get("principal")  # the gate of the API has recognised it
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if whose is None and len(given) == 1:
            whose = self._credentials.principal(given[0])
        self._take(
            at=now(),
            address=self._credentials.callers.of(scope),
            credential=whose.name if whose is not None else None,
            method=scope["method"],
            path=scope["raw_path"].decode("latin-1"),
            status=status,
            outcome=None,
            seconds=seconds,
            call_id=call_id,
            function=None,
        )

    def _take(self, *, at: float, path: str, seconds: float, **rest: Any) -> None:
        if len(self._pending) >= PENDING_MOST:
            self._lost(1, "more requests than can be written")
            return
        self._pending.append(
            {
                "timestamp": timestamp_of(at),
                "logger": "cellblock.request",
                **rest,
                "path": path[:PATH_MOST_CHARS],
                "duration_s": round(seconds, 6),
            }
        )
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_soon())

    async def _write_soon(self) -> None:
        while self._pending:
            await asyncio.sleep(FLUSH_SECONDS)
            await self._write_now()
        self._writing = None

    async def _write_now(self) -> None:
        batch, self._pending = self._pending, []
        try:
            await asyncio.to_thread(self._write_lines, batch)
        except OSError as error:
            self._lost(len(batch), str(error))

    def _write_lines(self, batch: Sequence[dict[str, Any]]) -> None:
        self._write("".join(json.dumps(entry) + "\n" for entry in batch).encode())

    def _lost(self, lines: int, why: str) -> None:
        self.dropped += lines
        self._complaint.warn("the request log loses lines: %s; %d so far", why, self.dropped)

    async def close(self) -> None:
        """Write what waits."""
        if self._writing is not None:
            self._writing.cancel()
        if self._pending:
            await self._write_now()


def log_of(settings: FrontSettings, credentials: Credentials) -> RequestLog:
    """The request log of the settings, which is not off."""
    if settings.request_log == "stderr":
        return RequestLog(_to_stderr, credentials)
    files = RequestFiles(settings.front_dir / "requests", settings.request_log_max_bytes)
    return RequestLog(files.write, credentials)


def _to_stderr(data: bytes) -> None:
    sys.stderr.write(data.decode())
    sys.stderr.flush()
