"""What ``/readyz`` finds wrong: each part that fails, in words.

A part that is ``needed`` fails every call.  Without any other part the server goes on with what it knows, so
a load balancer should keep it: the answer is a 200 that says what is degraded.

Anybody may ask, so the parts are looked at once in FRESH_S, however many ask.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import NamedTuple

from supervisor.errors import BREACHED, PlatformError
from supervisor.front.warden_link import WardenLink
from supervisor.store import Lookups

log = logging.getLogger("cellblock.front")

# An answer is so old at most.
FRESH_S = 1.0
# A part that has not answered by then fails.
PATIENCE_S = 2.0
# Less room on the disk, and the next deploy or log may fail.
ROOM_LEAST_BYTES = 32 << 20
FILES_LEAST = 100


class Problem(NamedTuple):
    """A part that fails."""

    part: str
    message: str
    is_needed: bool

    def as_json(self) -> dict[str, str]:
        """For the answer."""
        return {"part": self.part, "message": self.message}


class Readiness:
    """One front's.  ``is_draining`` is set once the server ends."""

    def __init__(self, warden: WardenLink, lookups: Lookups, front_dir: Path) -> None:
        self._warden = warden
        self._lookups = lookups
        self._front_dir = front_dir
        self._found: list[Problem] = []
        self._looked_at = -FRESH_S
        self._looking: asyncio.Task[None] | None = None
        self.is_draining = False

    async def problems(self) -> list[Problem]:
        """All that fails now."""
        if self.is_draining or not self._warden.is_up:
            return [Problem("server", "the server is draining: it ends once its calls have", True)]
        if any(layer.status == "breached" for layer in self._warden.layers):
            return [Problem("containment", BREACHED, True)]
        if asyncio.get_running_loop().time() - self._looked_at >= FRESH_S:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.get_running_loop().create_task(self._look())
            await asyncio.shield(self._looking)
        return self._found

    async def _look(self) -> None:
        found = await asyncio.gather(self._warden_problem(), self._store_problem(), self._disk_problem())
        self._found = [problem for problem in found if problem is not None]
        self._looked_at = asyncio.get_running_loop().time()

    async def _warden_problem(self) -> Problem | None:
        try:
            await asyncio.wait_for(self._warden.count("-", "-", 0), PATIENCE_S)
        except (TimeoutError, PlatformError):
            why = f"the warden did not answer within {PATIENCE_S:g} s: no new instance can start"
            return Problem("warden", why, True)
        return None

    async def _store_problem(self) -> Problem | None:
        try:
            await asyncio.wait_for(asyncio.to_thread(self._lookups.look), PATIENCE_S)
        except TimeoutError:
            why = f"did not answer within {PATIENCE_S:g} s"
        except PlatformError:  # the store has logged why
            why = "cannot be read"
        else:
            return None
        known = "functions that are known here are served, all others and deploys are not"
        return Problem("store", f"the store {why}: {known}; the server's log has the reason", False)

    async def _disk_problem(self) -> Problem | None:
        try:
            why = await asyncio.wait_for(asyncio.to_thread(_disk_problem, self._front_dir), PATIENCE_S)
        except TimeoutError:
            why = f"did not answer within {PATIENCE_S:g} s"
        return Problem("disk", f"the disk of data_dir {why}: deploys and logs fail", False) if why else None


def _disk_problem(folder: Path) -> str:
    """What is wrong with the disk below a folder; "" if nothing is.  Blocks."""
    try:
        found = os.statvfs(folder)
    except OSError as error:
        return f"cannot be looked at ({error.strerror})"
    if found.f_flag & os.ST_RDONLY or not os.access(folder, os.W_OK):
        return "cannot be written to"
    if found.f_bavail * found.f_frsize < ROOM_LEAST_BYTES:
        return f"has less than {ROOM_LEAST_BYTES >> 20} MiB left"
    if found.f_files and found.f_favail < FILES_LEAST:
        return f"has room for less than {FILES_LEAST} files"
    return ""
