"""What a program does under plain Python it does in a cell: what it returns, raises, writes and logs.

Each program runs in a process of plain Python and in a cell of a real server, and both must have come to
the same but for the differences that docs/functions.md states, each with its reason.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from supervisor.runtimes import RUNTIME_NAMES
from supervisor.runtimes.interpreters import own_runtime_name
from tests.contract.plain.both import Both, Suite
from tests.contract.plain.came import Came, fits
from tests.contract.plain.differences import DIFFERENCES
from tests.contract.plain.families import CALLED_EITHER_WAY, FAMILIES
from tests.contract.plain.program import Program, Run, runs

ROOT = Path(__file__).parents[3]
DEFAULT = own_runtime_name()
OTHERS = [name for name in RUNTIME_NAMES if name != DEFAULT]
RUNS = runs(FAMILIES, CALLED_EITHER_WAY, DEFAULT, OTHERS)
PROGRAMS_LEAST = 200
# How a record begins where a program asks for its level.
LEVEL = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
# Modules and rooms of the worker; of a package's own file the folder is the name.
MODULES = "|".join(
    sorted({path.stem for path in (ROOT / "worker").rglob("[a-z]*") if path.suffix in (".py", "")})
)
# Frames, paths and names that no author and no caller has a use for.
OURS = re.compile(
    rf"{re.escape(str(ROOT))}|/opt/cellblock|\bworker[./](?:{MODULES}|standins)\b|\bsupervisor[./]\w|"
    r"\bfunction[./]_seam|\b_?cellblock[./]\w|<frozen (?:worker|supervisor)|<string>"
)

every_run = pytest.mark.parametrize("run", RUNS, ids=str)


def of(suite: Suite, run: Run) -> Both:
    both = suite.of(run)
    if both is None:
        pytest.skip(f"runtime {run.runtime} is not installed")
    return both


def programs() -> list[Program]:
    return [run.program for run in RUNS if run.runtime == DEFAULT and run.form == "as written"]


def loose_lines(run: Run, cell: Came) -> list[str]:
    """Lines that name no call, though the program gives no reason for it."""
    return [] if run.program.loose else [entry["text"] for entry in cell.log if not entry["call_id"]]


def wrong_levels(cell: Came) -> list[dict[str, Any]]:
    """Entries that begin with the word of a level and have another."""
    words = ((LEVEL.match(entry["text"]), entry) for entry in cell.log)
    return [entry for word, entry in words if word and entry["level"] != word[1].lower()]


@pytest.mark.promise("S154")
@every_run
def test_a_cell_does_what_plain_python_does(suite: Suite, run: Run) -> None:
    plain, cell = of(suite, run)
    expected = plain.compared()
    if run.program.differs:
        expected |= run.program.differs.instead
        assert expected != plain.compared(), "the difference that is stated is none"
    if not fits(expected, cell.compared()):
        assert cell.compared() == expected


@every_run
def test_every_line_names_the_call_that_wrote_it(suite: Suite, run: Run) -> None:
    assert loose_lines(run, of(suite, run).cell) == []


@every_run
def test_an_entry_has_the_level_of_its_record(suite: Suite, run: Run) -> None:
    assert wrong_levels(of(suite, run).cell) == []


@pytest.mark.promise("S155")
@every_run
def test_nothing_of_the_platform_is_seen(suite: Suite, run: Run) -> None:
    cell = of(suite, run).cell
    for text in (json.dumps(cell.answers), *(entry["text"] for entry in cell.log)):
        assert not OURS.search(text), text


@pytest.mark.parametrize(
    "text",
    [
        'File "/opt/cellblock/worker/serve/loop.py", line 203, in _serve_sync',
        "coro=<_call() running at worker/serve/async_calls.py:70>",
        "AttributeError: module 'worker.serve.loop' has no attribute 'jobs'",
        "from supervisor.front import pool",
        f'File "{ROOT}/function/testing.py", line 1',
        'File "<string>", line 1, in <module>',
    ],
)
def test_what_is_looked_for_would_be_found(text: str) -> None:
    assert OURS.search(text)


@pytest.mark.parametrize(
    ("expected", "came"),
    [
        ("text", "text "),
        ("a…c", "ab"),
        ({"answers": ["a"]}, {"answers": ["a", "b"]}),
        ({"answers": ["a"]}, {"answers": ["a"], "more": ""}),
        ([{"status": 200}], [{"status": 500}]),
        ("1", 1),
    ],
)
def test_what_is_not_the_same_does_not_fit(expected: Any, came: Any) -> None:
    assert fits(expected, expected)
    assert not fits(expected, came)


def test_there_are_many_programs() -> None:
    assert len(programs()) >= PROGRAMS_LEAST


def test_every_difference_is_stated_and_shown_by_a_program() -> None:
    assert {program.differs.name for program in programs() if program.differs} == set(DIFFERENCES)
