"""A test that failed beside other work runs again alone; what that comes to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import REPOSITORY

RUN = REPOSITORY / "tests/run"
# Fails at the first of its runs only: what that leaves tells.
FLAKY = """
def test_flaky_{number}():
    mark = pathlib.Path(__file__).with_name("been-{number}")
    been = mark.exists()
    mark.touch()
    assert been
"""
BAD = """
def test_bad_{number}():
    assert not "ever"
"""
CUT = """
def test_cut_{number}():
    raise KeyboardInterrupt
"""


def run(folder: Path, *, flaky: int = 0, bad: int = 0, cut: int = 0) -> tuple[int, list[str]]:
    """The exit code and the last lines of a run of so many of each and a good one, in one lane."""
    source = "import pathlib\ndef test_good():\n    pass\n"
    for text, number in ((FLAKY, flaky), (BAD, bad), (CUT, cut)):
        source += "".join(text.format(number=each) for each in range(number))
    (folder / "test_some.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\n")
    head, _, rest = RUN.read_text().partition("LANES = {")
    other = folder / "run"
    other.write_text(f"{head}LANES = {{'one': [{str(folder)!r}]}}\n{rest[rest.index('# pytest') :]}")
    done = subprocess.run([sys.executable, other], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, [line for line in done.stdout.splitlines() if not line.startswith("one: ")]


@pytest.mark.slow
def test_what_fails_once_has_flaked_and_what_fails_twice_fails_the_run(tmp_path: Path) -> None:
    code, said = run(tmp_path, flaky=2)
    assert code == 0
    assert [line.partition(":")[0] for line in said] == ["flaked", "flaked", "3 passed, 0 failed, 0 skipped"]
    code, said = run(tmp_path, flaky=2, bad=1)
    assert code == 1
    assert "failed: " in said[0] and "test_bad" in said[0]
    assert said[-1] == "3 passed, 1 failed, 0 skipped"


@pytest.mark.slow
def test_the_third_that_flakes_fails_the_run(tmp_path: Path) -> None:
    code, said = run(tmp_path, flaky=3)
    assert code == 1
    assert said[-1] == "1 passed, 3 failed, 0 skipped"


@pytest.mark.slow
def test_a_run_that_was_cut_off_fails_whatever_it_counted(tmp_path: Path) -> None:
    code, said = run(tmp_path, cut=1)
    assert code == 1 and said[-1].startswith("1 passed")
