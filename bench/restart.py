"""Restarts: everything is killed at once, and the next server's first answers are waited for.

Beside it what nobody can be quicker than: a new process that imports what a front is made of, and one that
imports pandas, as the zygote does.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import contestants
from bench.contestants import ROOT, SPACE, TOKEN, StartError
from bench.workloads import FUNCTIONS

HEALTH, FUNCTION = "first answer of `/healthz`", "first answer of a function"
# Nothing of a start can be quicker than this one process, which answers nothing yet.
IMPORTS = "a new process that imports gunicorn, uvloop and fastapi"
IMPORTED = "import gunicorn.app.base, gunicorn.arbiter, gunicorn.workers.gasgi, uvloop, fastapi"
GOAL_MS = 300.0
ANSWER_SECONDS = 30.0
POLL_SECONDS = 0.005
# Between two rounds: the killed server's memory is given back in the background.
SETTLE_SECONDS = 0.5


@dataclass(frozen=True)
class Restart:
    """From the start of a process to what it is about, ``samples_ms``."""

    what: str
    samples_ms: list[float]

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        return asdict(self)


def measure(scratch: Path, count: int) -> list[Restart]:
    """``count`` restarts after kill -9 of everything, in turns with the bare imports."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CELLBLOCK_")}
    environment["CELLBLOCK_ADMIN_TOKEN"] = TOKEN
    port = contestants._free_port()
    data_dir = scratch / "restart"
    with contestants.cellblock(data_dir, 2) as server:
        server.deploy("restarted", FUNCTIONS / "noop.py")
    found = {what: Restart(what, []) for what in (HEALTH, FUNCTION, IMPORTS)}
    for _ in range(count):
        for what, milliseconds in _one(data_dir, port, environment).items():
            found[what].samples_ms.append(milliseconds)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", IMPORTED], check=True)
        found[IMPORTS].samples_ms.append((time.perf_counter() - began) * 1e3)
        time.sleep(SETTLE_SECONDS)
    return list(found.values())


def _one(data_dir: Path, port: int, environment: Mapping[str, str]) -> dict[str, float]:
    command = [sys.executable, "-m", "supervisor.cli", "serve", "--data-dir", str(data_dir)]
    command += ["--bind", f"127.0.0.1:{port}"]
    took: dict[str, float] = {}
    with data_dir.with_suffix(".log").open("ab") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=dict(environment), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=log, start_new_session=True,
        )  # fmt: skip
    waiting = [
        threading.Thread(target=_until_answered, args=(what, port, method, path, began, took))
        for what, method, path in (
            (HEALTH, "GET", "/healthz"),
            (FUNCTION, "POST", f"/spaces/{SPACE}/functions/restarted/invoke"),
        )
    ]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()
    _kill_all(process)
    if len(took) != len(waiting):
        raise StartError(
            f"a restarted server does not answer{contestants._tail(data_dir.with_suffix('.log'))}"
        )
    return took


def _until_answered(
    what: str, port: int, method: str, path: str, began: float, took: dict[str, float]
) -> None:
    while time.perf_counter() - began < ANSWER_SECONDS:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {TOKEN}"})
            if connection.getresponse().status == 200:
                took[what] = (time.perf_counter() - began) * 1e3
                return
        except (OSError, http.client.HTTPException):
            pass  # nobody listens yet: that is what is waited for
        finally:
            connection.close()
        time.sleep(POLL_SECONDS)


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for the warden and all below it, at once and by their pids."""
    found = [process.pid]
    for pid in found:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children") as children:
            found += map(int, children.read().split())
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
