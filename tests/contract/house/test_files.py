"""The shape of our files: one subject each, short enough to be read, said in words.

Each test reads every file and names all that offend.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FILE_MOST_LINES = 400
FUNCTION_MOST_LINES = 60
# A file under one of these names has no subject, so everything ends up in it.
NO_SUBJECT = {"utils", "util", "common", "misc", "base", "helpers", "helper", "stuff", "shared", "tools"}

SOURCES = [
    path
    for name in ("supervisor", "worker", "function", "seccomp")
    for path in sorted((ROOT / name).rglob("*.py"))
]
EVERYWHERE = [path for name in ("supervisor", "worker", "function", "seccomp", "tests", "bench", "examples")
              for path in sorted((ROOT / name).rglob("*.py"))]  # fmt: skip

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public_definitions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Functions, classes and their methods that are there to be used by others, with their names."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Definition):
            if not isinstance(child, ast.expr):
                yield from public_definitions(child, prefix)
        elif not child.name.startswith("_"):
            yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from public_definitions(child, f"{prefix}{child.name}.")


def named(path: Path) -> str:
    """As it is said in a failure."""
    return str(path.relative_to(ROOT))


def test_a_file_is_short_enough_to_be_read_in_one_sitting() -> None:
    lines = {named(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: number for name, number in lines.items() if number > FILE_MOST_LINES} == {}


def test_a_function_is_short_enough_to_be_seen_at_once() -> None:
    too_long = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                lines = node.end_lineno - node.lineno + 1
                if lines > FUNCTION_MOST_LINES:
                    too_long.append(f"{named(path)}:{node.lineno} {node.name} has {lines} lines")
    assert too_long == []


def test_everything_public_says_what_it_is() -> None:
    silent = []
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        silent += [] if ast.get_docstring(tree) else [named(path)]
        silent += [f"{named(path)}:{node.lineno} {name}" for name, node in public_definitions(tree)
                   if not ast.get_docstring(node)]  # fmt: skip
    assert silent == []


def test_a_file_has_a_subject() -> None:
    parts = {named(path): {part.removesuffix(".py") for part in path.relative_to(ROOT).parts}
             for path in EVERYWHERE}  # fmt: skip
    assert [name for name, found in parts.items() if NO_SUBJECT & found] == []
