"""What the store of the functions' logs does alone: lines written a second, and the time of a tail.

``python -m bench.logstore`` prints the figures; ``--lines`` makes the function of the tail smaller.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from supervisor.logs import Followers, Query, Record, Writer, read

SUSTAINED_SECONDS = 5.0
# Lines of one turn of a front's loop under load.
BATCH_LINES = 50
LINES = 10_000_000
TAIL = 100
ROUNDS = 20
FOLLOWERS = 500
POLLS = 20
TEXT = "2026-11-21 12:00:00 the order was accepted and is going to be delivered by tomorrow, id %08d"


def _records(function: int, count: int, first: int = 0) -> list[Record]:
    now = time.time_ns()
    return [
        Record("bench", f"f{function}", 3, "i-0123456789", f"call-{(first + number) // 20:012d}",
               now + number, "stderr", "info", TEXT % (first + number))
        for number in range(count)
    ]  # fmt: skip


def sustained(root: Path, functions: int, seconds: float = SUSTAINED_SECONDS) -> tuple[float, float, int]:
    """Lines a second taken and written; the share of one core that it took; lines dropped."""
    writer = Writer(root)
    began, cpu_began = time.perf_counter(), time.process_time()
    count = 0
    while time.perf_counter() - began < seconds:
        writer.append(_records(count // BATCH_LINES % functions, BATCH_LINES, count))
        count += BATCH_LINES
    writer.flush()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    dropped = writer.dropped
    writer.close()
    return (count - dropped) / took, cpu / took, dropped


def at_rate(root: Path, lines_a_second: int, seconds: float = SUSTAINED_SECONDS) -> tuple[float, int]:
    """The share of one core at a steady rate, and lines dropped."""
    writer = Writer(root)
    began, cpu_began = time.perf_counter(), time.process_time()
    count = 0
    while (passed := time.perf_counter() - began) < seconds:
        due = int(passed * lines_a_second) - count
        if due >= BATCH_LINES:
            writer.append(_records(0, due, count))
            count += due
        else:
            time.sleep(0.001)
    writer.flush()
    cpu = time.process_time() - cpu_began
    dropped = writer.dropped
    writer.close()
    return cpu / seconds, dropped


def fill(root: Path, lines: int) -> float:
    """Write a function with so many lines; seconds."""
    writer = Writer(root, buffer_bytes=1 << 30)
    began = time.perf_counter()
    for first in range(0, lines, 5000):
        writer.append(_records(0, min(5000, lines - first), first))
        writer.flush()
    writer.close()
    return time.perf_counter() - began


def times(read_once: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Milliseconds of each round, the first one in front."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        read_once()
        found.append((time.perf_counter() - began) * 1e3)
    return found


def idle_followers(root: Path) -> float:
    """Microseconds of one poll that finds nothing, with FOLLOWERS at one function."""
    followers = Followers(root)
    all_of_them = [followers.follow("bench", "f0") for _ in range(FOLLOWERS)]
    for one in all_of_them:
        one.poll()
    began = time.perf_counter()
    for _ in range(POLLS):
        for one in all_of_them:
            one.poll()
    return (time.perf_counter() - began) / FOLLOWERS / POLLS * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.logstore", description=__doc__)
    parser.add_argument("--lines", type=int, default=LINES, help="of the function that is tailed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for functions in (1, 100):
            rate, share, dropped = sustained(Path(scratch) / f"rate-{functions}", functions)
            print(
                f"written, {functions} functions: {rate:,.0f} lines/s on {share:.2f} cores, {dropped} dropped"
            )
        share, dropped = at_rate(Path(scratch) / "steady", 50_000)
        print(f"at 50,000 lines/s: {share:.2f} cores, {dropped} dropped (making the records included)")
        root = Path(scratch) / "large"
        print(f"{given.lines:,} lines written in {fill(root, given.lines):.0f} s")
        print(f"load average {os.getloadavg()[0]:.1f}")
        size = sum(path.stat().st_size for path in root.rglob("*.log"))
        print(f"{size / 2**20:,.0f} MiB in {len(list(root.rglob('*.log')))} segments")
        middle = read(root, "bench", "f0", Query(tail=1)).records[0].timestamp
        first = read(root, "bench", "f0", Query(limit=1)).records[0].timestamp
        middle = (first + middle) // 2
        for name, query in {
            f"tail {TAIL}": Query(tail=TAIL),
            f"tail {TAIL} of a rare text": Query(tail=TAIL, q=f"id {given.lines - 1000:08d}"),
            "100 from the middle": Query(since=middle, limit=100),
        }.items():
            found = times(lambda query=query: read(root, "bench", "f0", query))  # type: ignore[misc]
            print(f"{name}: first {found[0]:.1f} ms, then median {statistics.median(found[1:]):.1f} ms, "
                  f"worst {max(found[1:]):.1f} ms")  # fmt: skip
        print(f"{FOLLOWERS} followers with nothing new: {idle_followers(root):.1f} µs a poll")


if __name__ == "__main__":
    main()
