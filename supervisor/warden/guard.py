"""The guard of memory where the host gives no memory cgroup: a thread looks, ``memory`` decides.

It is soft: between two looks a function can take more than its limit, and the host has to stand that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from supervisor.warden import memory
from supervisor.warden.jail import resident
from supervisor.warden.memory import Look, Watched

log = logging.getLogger("cellblock.memory")

EVIDENCE = f"looked at every {memory.LOOK_EVERY_S:g} s, so a function may have more for a moment"


NOTHING = Look(0, 0)


@dataclass
class _Cell:
    pid: int
    base: Look | None = None
    watched: Watched | None = None
    on_over: Callable[[int], None] = lambda peak: None


class Guard:
    """Cells by name, from blank to their end."""

    def __init__(self) -> None:
        self._cells: dict[str, _Cell] = {}
        # One: who is looked at next waits until the last ones were.
        self._thread = ThreadPoolExecutor(1, "memory")
        self._timer: asyncio.TimerHandle | None = None
        self._is_looking = False
        # Why it sees nothing; "" while it does.
        self.blindness = "" if resident.is_here() else "this kernel does not tell a process's children"

    def blank(self, name: str, pid: int) -> None:
        """A cell is complete but for its function: what it has now is not the function's."""
        cell = self._cells[name] = _Cell(pid)
        loop = asyncio.get_running_loop()
        loop.run_in_executor(self._thread, _looks, [(name, pid, -1)]).add_done_callback(
            lambda done: self._has_base(cell, done.result().get(name, NOTHING))
        )

    def _has_base(self, cell: _Cell, base: Look) -> None:
        cell.base = cell.base or base
        if not cell.base.resident:
            self.blindness = "the host's /proc hides the cells' processes from the server"

    def watch(self, name: str, limit_bytes: int, on_over: Callable[[int], None]) -> None:
        """It is leased; ``on_over(peak bytes)`` when it passes the limit."""
        cell = self._cells[name]
        if cell.base is None:  # it became blank this very moment
            self._has_base(cell, _looks([(name, cell.pid, -1)]).get(name, NOTHING))
        assert cell.base is not None
        loop = asyncio.get_running_loop()
        cell.watched = memory.begin(limit_bytes, cell.base, loop.time())
        cell.on_over = on_over
        self._look_later()

    def freeze(self, name: str, is_frozen: bool) -> None:
        """Its front stops it while it is idle, or lets it go on."""
        cell = self._cells.get(name)
        if cell is not None and cell.watched is not None:
            now = asyncio.get_running_loop().time()
            cell.watched = memory.frozen(cell.watched, is_frozen, now)
            self._look_later()

    def peak(self, name: str) -> int:
        """The most that was seen, bytes; 0 for a cell that was never looked at."""
        watched = self._cells[name].watched if name in self._cells else None
        return watched.peak if watched is not None else 0

    def forget(self, name: str) -> None:
        """It has ended."""
        self._cells.pop(name, None)

    def _look_later(self) -> None:
        """While any cell may be taking memory; a server whose cells are all frozen does nothing."""
        is_any = any(cell.watched and not cell.watched.is_frozen for cell in self._cells.values())
        if is_any and self._timer is None and not self._is_looking:
            self._timer = asyncio.get_running_loop().call_later(memory.LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        due = [
            (name, cell.pid, cell.watched.suspicious_from)
            for name, cell in self._cells.items()
            if cell.watched is not None and memory.is_due(cell.watched, loop.time())
        ]
        self._is_looking = True
        loop.run_in_executor(self._thread, _looks, due).add_done_callback(self._looked)

    def _looked(self, done: asyncio.Future[dict[str, Look]]) -> None:
        self._is_looking = False
        now = asyncio.get_running_loop().time()
        for name, look in done.result().items():
            cell = self._cells.get(name)
            if cell is None or cell.watched is None:
                continue  # it ended meanwhile
            cell.watched = memory.after_look(cell.watched, look, now)
            if cell.watched.is_over:
                cell.on_over(cell.watched.peak)
        self._look_later()


def _looks(due: Sequence[tuple[str, int, int]]) -> dict[str, Look]:
    """Of those that cannot be looked at now there is no answer: they stay due."""
    found = {}
    for name, pid, suspicious_from in due:
        try:
            found[name] = resident.look(pid, suspicious_from)
        except OSError as error:
            log.warning("the memory of cell %s was not looked at: %s", name, error)
    return found
