"""SPECIFICATION.md and THREAT_MODEL.md against the tests, in both directions.

A promise names its test or is pending; the test it names carries the promise's number; a number
that a test carries is promised, and by that very test.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGES = {"S": "SPECIFICATION.md", "T": "THREAT_MODEL.md"}
LINE = re.compile(r"- \*\*([ST]\d+)\*\* \((?:pending|test: (tests/[\w/]+\.py)::(test_\w+))\) [A-Z`].+\.\*?")


class Promise(NamedTuple):
    """One line of a page; ``test`` is "" while it is pending."""

    number: str
    test: str


def promises() -> list[Promise]:
    found = []
    for letter, name in PAGES.items():
        page = (REPOSITORY / name).read_text(encoding="utf-8")
        for line in re.sub(r"\n  (?=\S)", " ", page).splitlines():  # a promise may go on in the next one
            if not re.match(r"\s*- \*\*", line):
                continue
            match = LINE.fullmatch(line)
            assert match, f"{name}: not a promise: {line}"
            number, path, test = match.groups()
            assert number.startswith(letter), f"{name}: {number}"
            found.append(Promise(number, f"{path}::{test}" if path else ""))
    return found


def markers() -> set[tuple[str, str]]:
    """``(number, test)`` of every promise marker on a test's own decorators."""
    found = set()
    for path in REPOSITORY.glob("tests/**/*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for decorator in node.decorator_list:
                    if ast.unparse(decorator).startswith("pytest.mark.promise("):
                        assert isinstance(decorator, ast.Call)
                        name = f"{path.relative_to(REPOSITORY)}::{node.name}"
                        found.update((ast.literal_eval(argument), name) for argument in decorator.args)
    return found


def test_every_promise_is_held_by_the_test_it_names_and_by_no_other() -> None:
    promised = {(promise.number, promise.test) for promise in promises() if promise.test}
    held = markers()

    assert promised - held == set(), "promised, but the test is not there or does not carry the number"
    assert held - promised == set(), "carried by a test, but not promised by that test"


def test_no_promise_rests_on_a_long_proof_alone() -> None:
    """Those are not among what ``make test`` runs."""
    held = {name for _, name in markers()}
    for path in REPOSITORY.glob("tests/**/test_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and f"{path.relative_to(REPOSITORY)}::{node.name}" in held:
                decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
                assert "pytest.mark.proof" not in decorators, f"{path}: {node.name}"


def test_no_number_is_given_twice_and_none_is_left_out() -> None:
    numbers = Counter(promise.number for promise in promises())

    assert [number for number, times in numbers.items() if times > 1] == []
    for letter in PAGES:
        ours = sorted(int(number[1:]) for number in numbers if number.startswith(letter))
        assert ours == list(range(1, len(ours) + 1))


@pytest.mark.parametrize(
    "line",
    [
        "- **S1** A promise without a test.",
        "- **S1** (test: test_call.py::test_x) A test that is not in tests.",
        "- **S1** (pending) no capital and no full stop",
        "- **X1** (pending) Of no page.",
    ],
)
def test_a_line_that_is_no_promise_is_not_taken_for_one(line: str) -> None:
    assert not LINE.fullmatch(line)
