"""Programs by the dozen: each once in plain Python and once in a cell, several of both at a time."""

from __future__ import annotations

import contextlib
import os
import queue
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx

from supervisor.runtimes import Runtime
from tests.contract.plain.came import Came
from tests.contract.plain.cell import FUNCTIONS, called, logged
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


def both_of(
    runs: Iterable[Run], server: Server, runtimes: Mapping[str, Runtime], place: Path
) -> dict[str, Both]:
    """By the name of the run; ``place`` is a folder for what they need, and what was deployed is gone."""
    of_name = {str(run): run for run in runs}
    ours = place / "ours"
    ours.mkdir()
    (ours / "function").symlink_to(ROOT / "function")
    pythons = {
        name: PlainPython.made(place / name, runtimes[name], ours)
        for name in {run.runtime for run in of_name.values()}
    }
    clients = [one_connection(server) for _ in range(CELLS_AT_ONCE)]
    free: queue.SimpleQueue[httpx.Client] = queue.SimpleQueue()
    for client in clients:
        free.put(client)
    with (
        contextlib.ExitStack() as closing,
        ThreadPoolExecutor(PLAIN_AT_ONCE) as plain_threads,
        ThreadPoolExecutor(CELLS_AT_ONCE) as cell_threads,
    ):
        for client in clients:
            closing.enter_context(client)
        plain = {name: plain_threads.submit(pythons[run.runtime].run, run) for name, run in of_name.items()}
        # Those first whose instances shall have ended by themselves when their logs are read, which is last.
        ordered = sorted(of_name.items(), key=lambda item: not item[1].program.ends)
        cells = {
            name: cell_threads.submit(in_a_cell, free, f"plain-{number}", run)
            for number, (name, run) in enumerate(ordered)
        }
        return {name: Both(plain[name].result(), cells[name].result()()) for name in of_name}


def one_connection(server: Server) -> httpx.Client:
    """A client like the server's own, with one connection."""
    return httpx.Client(
        base_url=server.url,
        headers=server.client.headers,
        timeout=server.client.timeout,
        limits=httpx.Limits(max_connections=1),
    )


def in_a_cell(free: queue.SimpleQueue[httpx.Client], name: str, run: Run) -> Callable[[], Came]:
    """What gives what came of it, once its instance is of no more use."""

    @contextlib.contextmanager
    def client() -> Iterator[httpx.Client]:
        one = free.get()
        try:
            yield one
        finally:
            free.put(one)

    with client() as one:
        answers = called(one, name, run)

    def came() -> Came:
        with client() as one:
            log = logged(one, name)
            one.delete(f"{FUNCTIONS}/{name}")
        return Came.of_a_cell(answers, log)

    if run.program.ends:
        return came
    found = came()
    return lambda: found
