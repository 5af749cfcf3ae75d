"""The examples in the docstrings of ``function`` work."""

from __future__ import annotations

import ast
import doctest
import importlib
from pathlib import Path

import pytest

import function

PACKAGE = Path(function.__file__).parent
MODULES = sorted(
    "function" if path.stem == "__init__" else f"function.{path.stem}" for path in PACKAGE.glob("*.py")
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name: str) -> None:
    module = importlib.import_module(name)
    results = doctest.testmod(module, verbose=False, raise_on_error=True)
    assert results.failed == 0
    is_public = not name.rpartition(".")[2].startswith("_")
    assert results.attempted or not is_public, f"{name} shows no example"


def test_every_module_that_authors_import_says_what_it_exports() -> None:
    for path in PACKAGE.glob("[a-z]*.py"):
        tree = ast.parse(path.read_text())
        names = [target.id for node in tree.body if isinstance(node, ast.Assign)
                 for target in node.targets if isinstance(target, ast.Name)]  # fmt: skip
        assert "__all__" in names, path.name
