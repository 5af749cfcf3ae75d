"""What logging costs a call: functions that print beside one that does not, a quiet one beside a loud one.

``python -m bench.logcalls`` prints the figures; ``--seconds`` is the time of each measurement.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench.contestants import SPACE, TOKEN, Cellblock, cellblock
from bench.load import measure
from bench.workloads import Workload

FUNCTIONS = {
    "silent": "def handle(req):\n    return None\n",
    "print-1": "def handle(req):\n    print('a line of usual length, as they are written everywhere')\n",
    "print-10": "def handle(req):\n    for n in range(10): print('a line of usual length, of many', n)\n",
    "logging-10": (
        "import logging\nlog = logging.getLogger('shop')\nlog.setLevel(logging.INFO)\n"
        "def handle(req):\n    for n in range(10): log.info('a line of usual length, number %d', n)\n"
    ),
    "async-print-10": (
        "async def handle(req):\n    for n in range(10): print('a line of usual length, of many', n)\n"
    ),
}
LOUD_LINES = 500
LOUD = f"def handle(req):\n    for n in range({LOUD_LINES}): print('a line of usual length, of many', n)\n"
# Together: what the store has to take while others are called.
LINES_A_SECOND = 50_000
CALLERS = 4
QUIET_EVERY_S = 0.005


def _url(server: Cellblock, name: str) -> str:
    return f"{server.url}/spaces/{SPACE}/functions/{name}/invoke"


def _deploy(server: Cellblock, scratch: Path, name: str, source: str) -> None:
    path = scratch / f"{name}.py"
    path.write_text(source)
    server.deploy(name, path)


def of_calls(server: Cellblock, seconds: int) -> None:
    """Each function alone, on one connection."""
    for name in FUNCTIONS:
        workload = Workload(name, name, "")
        measure(_url(server, name), workload, 1, 1, TOKEN, server.pid)
        sample = measure(_url(server, name), workload, 1, seconds, TOKEN, server.pid)
        print(
            f"{name}: {sample.requests_per_s:,.0f} calls/s, p50 {sample.p50_us} µs, "
            f"server {sample.server_cpu_us:.0f} µs of processor a call, others {sample.others:.2f}"
        )


@contextmanager
def _callers(call: Callable[[httpx.Client], None], count: int) -> Iterator[None]:
    """So many threads that call until the end."""
    over = threading.Event()

    def run() -> None:
        with httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            while not over.is_set():
                call(client)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def quiet_ms(server: Cellblock, seconds: int) -> list[float]:
    """Milliseconds of calls of the silent function, one each QUIET_EVERY_S."""
    found = []
    with httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            client.post(_url(server, "silent")).raise_for_status()
            found.append((time.perf_counter() - began) * 1e3)
            time.sleep(max(0.0, QUIET_EVERY_S - (time.perf_counter() - began)))
    return found


def beside(server: Cellblock, name: str, seconds: int) -> None:
    """The silent function beside callers of another at a steady rate."""
    pause_s = CALLERS * LOUD_LINES / LINES_A_SECOND
    calls = 0

    def loud(client: httpx.Client) -> None:
        nonlocal calls
        began = time.perf_counter()
        client.post(_url(server, name)).raise_for_status()
        calls += 1
        time.sleep(max(0.0, pause_s - (time.perf_counter() - began)))

    with _callers(loud, CALLERS):
        quiet_ms(server, 1)
        before, began = calls, time.perf_counter()
        found = quiet_ms(server, seconds)
        rate = (calls - before) / (time.perf_counter() - began)
    print(
        f"silent beside {rate:.0f} calls/s of {name} ({rate * LOUD_LINES:,.0f} lines/s where it prints): "
        f"median {statistics.median(found):.2f} ms, p95 {statistics.quantiles(found, n=20)[-1]:.2f} ms"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.logcalls", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        scratch.chmod(0o755)
        with cellblock(scratch / "data", 2, call_reports="false") as server:
            # The control: the same calls, which print nothing.
            as_busy = LOUD.replace("print(", "repr((").replace(", n)", ", n))")
            for name, source in {**FUNCTIONS, "loud": LOUD, "as-busy": as_busy}.items():
                _deploy(server, scratch, name, source)
            of_calls(server, given.seconds)
            for name in ("as-busy", "loud"):
                beside(server, name, given.seconds)
            print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
