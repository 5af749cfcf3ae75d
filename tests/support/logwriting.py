"""Processes that write logs for tests: ``python -m tests.support.logwriting WHAT FOLDER …``.

Each says on its stdout what it has done, a line at a time, and goes on when it is sent a line.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from supervisor.logs import Query, Writer, read
from tests.support.logrecords import everything, lines

SECONDS = 20.0
SMALL_FILE = 20_000


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def many(folder: str, count: str, mark: str) -> None:
    """Write so many records in batches of 10, small segments, marked in their instance."""
    writer = Writer(Path(folder), segment_bytes=SMALL_FILE)
    sys.stdin.readline()
    for first in range(0, int(count), 10):
        writer.append(lines(10, first, instance=mark))
        writer.flush(SECONDS)
    say(dropped=writer.dropped)
    writer.close()


def until_killed(folder: str) -> None:
    """Write ten records, say so, and wait to be killed."""
    writer = Writer(Path(folder))
    writer.append(lines(10))
    say(written=writer.flush(SECONDS))
    sys.stdin.readline()


def _flood(writer: Writer) -> int:
    """Append until records are dropped; how many were appended."""
    count = 0
    while not writer.dropped:
        writer.append(lines(1000, count, call_id="before"))
        count += 1000
    writer.append(lines(100, count, call_id="before"))
    return count + 100


def refused(folder: str) -> None:
    """Files may not grow, later they may: what was said at each stage."""
    writer = Writer(Path(folder), buffer_bytes=1 << 20)
    writer.append(lines(1, call_id="first"))
    writer.flush(SECONDS)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_FILE, hard))
    appended = _flood(writer)
    is_flushed = writer.flush(SECONDS)
    dropped = writer.dropped_of("default", "hello")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    is_recovered = writer.flush(SECONDS)
    writer.append(lines(5, appended, call_id="after"))
    writer.close()
    say(appended=appended, flushed=is_flushed, dropped=dropped, recovered=is_recovered)


def full(folder: str) -> None:
    """The disk is full, later it is not; with what a reader in the same mount then finds."""
    root, ballast = Path(folder) / "logs", Path(folder) / "ballast"
    writer = Writer(root, buffer_bytes=1 << 20)
    writer.append(lines(1, call_id="first"))
    writer.flush(SECONDS)
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
    appended = _flood(writer)
    is_flushed = writer.flush(SECONDS)
    dropped = writer.dropped
    ballast.unlink()
    is_recovered = writer.flush(SECONDS)
    writer.append(lines(5, appended, call_id="after"))
    writer.close()
    found = everything(root)
    calls = [one.call_id for one in found]
    say(
        appended=appended, flushed=is_flushed, dropped=dropped, recovered=is_recovered, read=len(found),
        torn=read(root, "default", "hello", Query(tail=10_000)).bad, after=calls.count("after"),
        said=[one.text for one in found if one.stream == "platform"],
    )  # fmt: skip


if __name__ == "__main__":
    what, *given = sys.argv[1:]
    {"many": many, "until_killed": until_killed, "refused": refused, "full": full}[what](*given)
    os._exit(0)
