"""Whatever ended a process has a name: no number raises, and every status says one of three things."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.signals import how_ended, name_of

REPOSITORY = Path(__file__).parents[2]
# Look-ups by number that raise for one that they do not know.
RAISING = re.compile(r"signal\.Signals\(|os\.strsignal|signal\.strsignal|errorcode\[|waitstatus_to_exitcode")


def test_every_signal_has_a_name_and_two_never_share_one() -> None:
    names = [name_of(number) for number in range(1, 65)]
    assert len(set(names)) == 64
    assert (names[8], names[31], names[32], names[33], names[63]) == (
        "SIGKILL", "signal 32", "signal 33", "SIGRTMIN", "SIGRTMAX",
    )  # fmt: skip
    assert name_of(40) == "SIGRTMIN+6"


@given(st.integers())
def test_any_number_has_a_name(number: int) -> None:
    assert re.fullmatch(r"SIG[A-Z0-9+]+|signal -?\d+", name_of(number))


@pytest.mark.promise("S89")
def test_every_wait_status_is_a_signal_or_a_code_or_no_end() -> None:
    for status in range(1 << 16):
        ended = how_ended(status)
        if ended is None:
            assert os.WIFSTOPPED(status) or os.WIFCONTINUED(status)
        else:
            number, code = ended
            assert 0 <= number < 128 and 0 <= code < 256 and not (number and code)
    assert how_ended(signal.SIGSEGV | 0x80) == (signal.SIGSEGV, 0), "with a core file"
    assert how_ended(64) == (64, 0)
    assert how_ended(255 << 8) == (0, 255)
    assert how_ended(0xFFFF) is None and how_ended(0x137F) is None


def test_nobody_else_looks_a_number_up_in_a_way_that_can_raise() -> None:
    for folder in ("supervisor", "worker", "function"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            if path.name != "signals.py":
                assert not RAISING.search(path.read_text()), path
