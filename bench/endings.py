"""How soon a cell is gone, from the kill to the end of its last process, and what a neighbour notices.

The warden says when it killed a cell; that everything of it is gone is seen from outside: pid 1 ends after
every other process of its pid namespace (the kernel waits for them), and nothing may be left that is in it.
"""

from __future__ import annotations

import http.client
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.contestants import TOKEN, Cellblock, StartError, cellblock
from bench.processes import tree_of
from bench.workloads import FUNCTIONS

NEIGHBOUR = "neighbour"
CALL_SECONDS = 30.0
# A call's limit here: long enough for the fork bomb to have all its processes.
LIMIT_MS = 400
GRACE_SECONDS = "0.05"
# The neighbour's calls just before the kill are compared with those from the kill to a little after it.
BEFORE_SECONDS, AFTER_SECONDS = 0.25, 0.05
# From one to the next: another blank cell is made.
SETTLE_SECONDS = 0.3
TRIES = 3
# 502 where the cell took longer to end than the front waits to hear how.
ENDED = (504, 502)
_KILLED = re.compile(r"cell \w+ was killed \(timeout\) at ([\d.]+)")
_CELL = re.compile(r"cell is (pid:\[\d+\])")


@dataclass(frozen=True)
class Case:
    """A function that does not end by itself, and the time in which all of it should be gone (p99).

    ``bare`` is a program that does the same in no cell, and says a line when it is at it.
    """

    name: str
    title: str
    goal_ms: float
    options: dict[str, Any]
    bare: str

    @property
    def source(self) -> Path:
        """The function."""
        return FUNCTIONS / f"{self.name}.py"


CASES = (
    Case("busy", "a busy loop", 10.0, {}, "print(flush=True)\nwhile True: pass"),
    Case(
        "bomb",
        "a fork bomb of 64 processes",
        50.0,
        {},
        "import os\nfor _ in range(63):\n    if not os.fork(): break\nelse: print(flush=True)\n"
        "while True: pass",
    ),
    Case(
        "hoard",
        "1 GiB of memory",
        100.0,
        {"memory": 1200},
        "import time\nkept = bytearray(b'x') * (1 << 30)\nprint(flush=True)\ntime.sleep(60)",
    ),
)


@dataclass(frozen=True)
class Ending:
    """One cell's end.  ``before_us`` and ``meanwhile_us`` are the neighbour's latencies around it.

    ``bare_ms`` is what the same took a moment later for processes in no cell, killed as a group.
    """

    case: str
    gone_ms: float
    bare_ms: float
    processes: int
    before_us: list[float]
    meanwhile_us: list[float]

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        return asdict(self)


class Neighbour:
    """Another function, called all the while over one connection."""

    def __init__(self, server: Cellblock) -> None:
        parts = urlsplit(server.url_of(NEIGHBOUR))
        assert parts.hostname is not None
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=CALL_SECONDS)
        self._is_over = threading.Event()
        self._calls: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Neighbour:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(CALL_SECONDS)
        self._connection.close()

    def _run(self) -> None:
        while not self._is_over.is_set():
            began = time.perf_counter()
            self._connection.request("POST", self._path, headers={"Authorization": f"Bearer {TOKEN}"})
            answer = self._connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"the neighbour was answered {answer.status}")
            self._calls.append((began, time.perf_counter()))

    def latencies_us(self, since: float, until: float) -> list[float]:
        """Of the calls that ran at some time between."""
        return [(end - begin) * 1e6 for begin, end in list(self._calls) if end >= since and begin <= until]


def measure(scratch: Path, count: int) -> list[Ending]:
    """``count`` ends of each case, in turns."""
    found = []
    with cellblock(
        scratch / "endings", 1, log_level="debug", function_logs="true", grace_seconds=GRACE_SECONDS
    ) as server:
        server.deploy(NEIGHBOUR, FUNCTIONS / "noop.py")
        for case in CASES:
            server.deploy(case.name, case.source, **case.options)
        with Neighbour(server) as neighbour:
            for _ in range(count):
                for case in CASES:
                    time.sleep(SETTLE_SECONDS)
                    found.append(_found_end(server, neighbour, case))
    return found


def _found_end(server: Cellblock, neighbour: Neighbour, case: Case) -> Ending:
    """On a slow machine a call's limit may come before its processes are found: then another call's."""
    for _ in range(TRIES):
        try:
            return _end(server, neighbour, case)
        except ProcessLookupError as error:
            last = error
            time.sleep(SETTLE_SECONDS)
    raise StartError(f"{case.title}: it ended before it was found, {TRIES} times") from last


def _end(server: Cellblock, neighbour: Neighbour, case: Case) -> Ending:
    """Call it, find its cell, wait until pid 1 has ended, and see that nothing is left."""
    offset = server.log.stat().st_size
    call = threading.Thread(target=_call, args=(server.url_of(case.name),))
    call.start()
    namespace = _awaited(server.log, offset, _CELL)
    members = [pid for pid in tree_of(server.pid) if _namespace(pid) == namespace]
    watch = os.pidfd_open(members[0])
    try:
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        # Near the limit, when all of them are there.
        if not poll.poll(LIMIT_MS / 2):
            members = [pid for pid in tree_of(server.pid) if _namespace(pid) == namespace]
        if not poll.poll(CALL_SECONDS * 1e3):
            raise StartError(f"{case.title}: it was not ended")
        gone = time.perf_counter()
    finally:
        os.close(watch)
    # But for pid 1 itself, which the warden may not have reaped yet.
    left = [pid for pid in tree_of(server.pid) if _namespace(pid) == namespace and pid != members[0]]
    if left:
        raise StartError(f"{case.title}: {len(left)} processes are left of it")
    killed = float(_awaited(server.log, offset, _KILLED))
    time.sleep(AFTER_SECONDS)
    call.join(CALL_SECONDS)
    return Ending(
        case.name,
        (gone - killed) * 1e3,
        _bare_ms(case),
        len(members),
        neighbour.latencies_us(killed - BEFORE_SECONDS, killed - 1e-3),
        neighbour.latencies_us(killed, gone + AFTER_SECONDS),
    )


def _call(url: str) -> None:
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=CALL_SECONDS)
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Timeout": f"{LIMIT_MS}ms"}
    connection.request("POST", parts.path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status not in ENDED:
        raise RuntimeError(f"{url} was answered {answer.status}: {body[:300]!r}")


def _bare_ms(case: Case) -> float:
    """From the signal to the last process's end, without any cell."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", case.bare], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    watches = [os.pidfd_open(pid) for pid in tree_of(process.pid)]
    began = time.perf_counter()
    os.killpg(process.pid, signal.SIGKILL)
    for watch in watches:
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        poll.poll(CALL_SECONDS * 1e3)
        os.close(watch)
    elapsed_ms = (time.perf_counter() - began) * 1e3
    process.stdout.close()
    process.wait()
    return elapsed_ms


def _awaited(log: Path, offset: int, what: re.Pattern[str]) -> str:
    deadline = time.monotonic() + CALL_SECONDS
    while time.monotonic() < deadline:
        with log.open("rb") as file:
            file.seek(offset)
            if found := what.search(file.read().decode(errors="replace")):
                return found[1]
        time.sleep(0.01)
    raise StartError(f"the server's log has no {what.pattern!r}")


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""
