"""One request for ``/metrics``: it asks the warden for the sums over all fronts, and writes them as text."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from typing import Any

from supervisor import __version__
from supervisor.errors import PlatformError
from supervisor.front.invoke.callers.credential import Credentials
from supervisor.front.outcome import answers
from supervisor.front.telemetry.metrics import metric_table as table
from supervisor.front.warden_link import WardenLink
from supervisor.link_records import CallsRow

PATH = "/metrics"
WHY = "/metrics is shown to the administrator, and to whoever has the token of the setting metrics_token"
STATUSES = ("enforced", "degraded", "absent", "breached")


class Scrapes:
    """One front's.  Requests that come while one is answered get the same text."""

    def __init__(self, warden: WardenLink, credentials: Credentials, tier: str) -> None:
        self._warden = warden
        self._credentials = credentials
        self._tier = tier
        self._running: asyncio.Task[bytes] | None = None

    async def answer(self, scope: dict[str, Any]) -> answers.Answer:
        """The answer to a request for PATH."""
        if scope["method"] not in ("GET", "HEAD"):
            error = PlatformError(
                405, f"method {scope['method']} is not allowed here; use GET", headers={"Allow": "GET, HEAD"}
            )
            return answers.refused(error)
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        # Two credentials are refused: a server in between may have checked the other one.
        header = given[0] if len(given) == 1 else None
        if header is None or not self._credentials.is_for_metrics(header):
            try:
                await self._credentials.require_admin(header, self._credentials.callers.of(scope), WHY)
            except PlatformError as refusal:
                return answers.refused(refusal)
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._text())
        try:
            # Shielded: the one that asked first may hang up, the others still wait.
            text = await asyncio.shield(self._running)
        except PlatformError as error:
            return answers.refused(error)
        return answers.Answer(200, [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")], text)

    async def _text(self) -> bytes:
        # Imported here, in a thread, because a server that nobody scrapes has no use for it.
        exposition = await asyncio.to_thread(_exposition)
        last, pages = await self._warden.survey("", "metrics")
        scraped = exposition.Scraped([row for _, rows in pages for row in rows])
        if not any(isinstance(row, CallsRow) for row in scraped.rows):
            raise PlatformError(
                503, "too many ask for /metrics at once; ask again", headers={"Retry-After": "2"}
            )
        layers = Counter(layer.status for layer in self._warden.layers)
        scraped.numbers += [(table.LAYERS, (status,), layers[status]) for status in STATUSES]
        scraped.numbers += [
            (table.FRONTS, ("answered",), last.fronts),
            (table.FRONTS, ("missing",), last.missing),
            (table.BUILD, (__version__, sys.version.split()[0], self._tier), 1),
        ]
        text = []
        for piece in exposition.pieces(scraped):
            text.append(piece)
            await asyncio.sleep(0)  # calls go on in between
        return b"".join(text)


def _exposition() -> Any:
    from supervisor.front.telemetry.metrics import exposition

    return exposition
