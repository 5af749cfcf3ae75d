"""Programs by the dozen: each once in plain Python and once in a cell, several of both at a time."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx

from supervisor.runtimes import Runtime
from tests.contract.plain.came import Came
from tests.contract.plain.cell import FUNCTIONS, called, last_words, logged
from tests.contract.plain.plain_python import PlainPython
from tests.contract.plain.program import Run
from tests.support.server import Server

ROOT = Path(__file__).parents[3]
# A deploy and a first call wait for the server most of their time, a plain run takes a core.
CELLS_AT_ONCE = 8
PLAIN_AT_ONCE = os.cpu_count() or 1


class Both(NamedTuple):
    """What came of a program in plain Python and from a cell."""

    plain: Came
    cell: Came


class Suite:
    """Programs that run, a few at a time and in their order, while tests wait for one after the other.

    So no test waits for all of them, however busy the machine is.
    """

    def __init__(
        self, runs: Iterable[Run], server: Server, runtimes: Mapping[str, Runtime], place: Path
    ) -> None:
        """``place`` is a folder for what they need."""
        of_name = {str(run): run for run in runs}
        ours = place / "ours"
        ours.mkdir()
        (ours / "function").symlink_to(ROOT / "function")
        pythons = {
            name: PlainPython.made(place / name, runtimes[name], ours)
            for name in {run.runtime for run in of_name.values()}
        }
        self._clients = [one_connection(server) for _ in range(CELLS_AT_ONCE)]
        self._free: queue.SimpleQueue[httpx.Client] = queue.SimpleQueue()
        for client in self._clients:
            self._free.put(client)
        self._plain_threads = ThreadPoolExecutor(PLAIN_AT_ONCE)
        self._cell_threads = ThreadPoolExecutor(CELLS_AT_ONCE)
        self._running = {
            name: (
                self._plain_threads.submit(pythons[run.runtime].run, run),
                self._cell_threads.submit(self._in_a_cell, f"plain-{number}", run),
            )
            for number, (name, run) in enumerate(of_name.items())
        }

    def of(self, run: Run) -> Both | None:
        """Once it has ended; None for one that was not among them."""
        if str(run) not in self._running:
            return None
        plain, cell = self._running[str(run)]
        return Both(plain.result(), cell.result())

    def close(self) -> None:
        """What has not begun never does."""
        for threads in (self._plain_threads, self._cell_threads):
            threads.shutdown(cancel_futures=True)
        for client in self._clients:
            client.close()

    def _in_a_cell(self, name: str, run: Run) -> Came:
        """What was deployed for it is gone afterwards."""
        client = self._free.get()
        try:
            answers = called(client, name, run)
            log = last_words(client, name) if run.program.ends else logged(client, name)
            client.delete(f"{FUNCTIONS}/{name}")
            return Came.of_a_cell(answers, log)
        finally:
            self._free.put(client)


def one_connection(server: Server) -> httpx.Client:
    """A client like the server's own, with one connection."""
    return httpx.Client(
        base_url=server.url,
        headers=server.client.headers,
        timeout=server.client.timeout,
        limits=httpx.Limits(max_connections=1),
    )
