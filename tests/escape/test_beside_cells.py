"""The second table of docs/attacks.md is that of ``beside_cells``, and each test that it names is there."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.escape.beside_cells import CASES, section
from tests.escape.matrix import PAGE

REPOSITORY = Path(__file__).parents[2]


def test_the_page_has_the_table() -> None:
    assert section() in PAGE.read_text(encoding="utf-8")


def test_every_test_that_is_named_is_there() -> None:
    for named in {name for case in CASES for name in (case.test, case.control) if name}:
        path, _, function = named.partition("::")
        tree = ast.parse((REPOSITORY / path).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, named


def test_every_case_has_a_control() -> None:
    assert [case.name for case in CASES if "::test_control_" not in case.control] == []
