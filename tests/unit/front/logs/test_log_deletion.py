"""Old logs are deleted by one front at a time, and not again by the next that looks."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from supervisor.front.logs.log_deletion import LOCK_NAME, SWEPT_LATELY_S, sweep_alone
from supervisor.logs import Record, Retention, Swept, Writer

NOTHING = Swept(0, 0)
LIMITS = Retention(3600.0, 4096, 1 << 30)
KNOWN = {("demo", "f")}


def write(root: Path) -> None:
    """Two segments of a function, of which one is above LIMITS."""
    writer = Writer(root, segment_bytes=1)
    for _ in range(2):
        writer.append([Record("demo", "f", 1, "i", "", time.time_ns(), "stdout", "info", "text")])
        assert writer.flush()
    writer.close()


def test_what_is_over_a_limit_is_deleted_once_and_the_next_front_leaves_it(tmp_path: Path) -> None:
    root = tmp_path / "logs"
    assert sweep_alone(root, LIMITS, lambda: KNOWN) == NOTHING, "there is nothing yet"
    os.utime(tmp_path / LOCK_NAME, (0, 0))
    write(root)
    swept = sweep_alone(root, LIMITS, lambda: KNOWN)
    assert swept is not None and swept.segments == 1
    write(root)
    assert sweep_alone(root, LIMITS, lambda: KNOWN) is None
    long_ago = time.time() - SWEPT_LATELY_S - 1
    os.utime(tmp_path / LOCK_NAME, (long_ago, long_ago))
    swept = sweep_alone(root, LIMITS, lambda: KNOWN)
    assert swept is not None and swept.segments == 2


def test_while_one_sweeps_no_other_does(tmp_path: Path) -> None:
    root = tmp_path / "logs"
    with (tmp_path / LOCK_NAME).open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert sweep_alone(root, LIMITS, lambda: KNOWN) is None
    assert sweep_alone(root, LIMITS, lambda: KNOWN) == NOTHING


def test_a_clock_that_was_set_back_does_not_keep_logs_for_ever(tmp_path: Path) -> None:
    root = tmp_path / "logs"
    assert sweep_alone(root, LIMITS, lambda: KNOWN) == NOTHING
    ahead = time.time() + 86_400
    os.utime(tmp_path / LOCK_NAME, (ahead, ahead))
    assert sweep_alone(root, LIMITS, lambda: KNOWN) == NOTHING
