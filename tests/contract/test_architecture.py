"""docs/architecture.md against the code: lists of steps, states, imports, files."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path

from supervisor.warden.jail import launch
from supervisor.warden.states import TRANSITIONS
from worker import lockdown

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
SOURCES = ("supervisor/**/*.py", "worker/*.py", "function/*.py", "seccomp/*.py")


def section(title: str) -> str:
    return re.split(r"^#+ ", PAGE.split(f" {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def numbered(title: str) -> list[str]:
    """The names at the heads of a numbered list, whose numbers have to count."""
    found = re.findall(r"^(\d+)\. `([\w-]+)`: \S", section(title), flags=re.MULTILINE)
    assert [int(number) for number, _ in found] == list(range(1, len(found) + 1))
    return [name for _, name in found]


def rows(title: str) -> list[list[str]]:
    lines = [line for line in section(title).splitlines() if line.startswith("|")][2:]
    return [[column.strip() for column in line.strip("|").split("|")] for line in lines]


def test_the_steps_of_a_cell_are_the_ones_that_run() -> None:
    assert numbered("BUILD of `worker/lockdown.py`") == [name for name, _ in lockdown.BUILD]
    assert numbered("PREPARE of `worker/lockdown.py`") == [name for name, _ in lockdown.PREPARE]
    assert numbered("PLACE of `worker/lockdown.py`") == [name for name, _ in lockdown.PLACE]
    assert numbered("TIE of `worker/lockdown.py`") == [name for name, _ in lockdown.TIE]


def test_the_steps_of_the_launcher_are_the_ones_that_run() -> None:
    names = [step.__name__.lstrip("_") for step in launch.STEPS]
    assert numbered("STEPS of `supervisor/warden/jail/launch.py`") == names


def test_the_way_of_a_call_has_ten_steps() -> None:
    numbers = re.findall(r"^(\d+)\. ", section("The way of one call"), flags=re.MULTILINE)
    assert [int(number) for number in numbers] == list(range(1, 11))


def test_the_states_are_the_ones_of_the_table() -> None:
    expected = [
        [state.value, "; ".join(f"{event.value} → {after.value}" for event, after in edges.items())]
        for state, edges in TRANSITIONS.items()
    ]
    assert rows("States") == expected


def part_of(module: str) -> str:
    """The row of the import table that a module of ours belongs to; a foreign one is its own."""
    first, _, rest = module.partition(".")
    if first == "supervisor":
        folder = rest.partition(".")[0]
        return f"supervisor.{folder}" if folder and (REPOSITORY / "supervisor" / folder).is_dir() else first
    shared = ".".join(module.split(".")[:2])
    return shared if shared in ("worker.wire", "worker.logwire") else first


def is_other(node: ast.ImportFrom) -> bool:
    """Whether it names what it imports from in full, and that is not the worker's package."""
    return node.level == 0 and (node.module or "").partition(".")[0] != "worker"


def imports() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for path in (path for pattern in SOURCES for path in REPOSITORY.glob(pattern)):
        importer = part_of(".".join(path.relative_to(REPOSITORY).with_suffix("").parts))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
                assert "worker" not in names, path
            elif isinstance(node, ast.ImportFrom):
                package = "worker" if node.level else ""
                # In cells the worker's package has another name, so it never calls itself by one.
                assert node.level == int(path.is_relative_to(REPOSITORY / "worker") and not is_other(node))
                base = ".".join(filter(None, (package, node.module)))
                # ``from worker import wire`` imports a module, ``from supervisor import __version__`` none.
                names = [f"{base}.{alias.name}" for alias in node.names]
            found[importer].update(
                part_of(name) for name in names if name.partition(".")[0] not in sys.stdlib_module_names
            )
    return {part: names - {part} for part, names in found.items() if names - {part}}


def test_the_import_table_is_exactly_what_is_imported() -> None:
    stated = {
        part.strip("`"): {name.strip() for column in others for name in column.split(",") if name.strip()}
        for part, *others in rows("Who may import whom")
    }
    assert imports() == stated


def test_every_file_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:\w+/)+[\w.-]+\.\w+)`", PAGE))
    assert len(named) > 30
    for name in named:
        short = name.startswith(("front/", "warden/"))
        assert (REPOSITORY / ("supervisor" if short else "") / name).is_file(), name


def test_every_file_of_the_call_path_and_the_sandbox_is_in_the_reading_order() -> None:
    order = section("Files in reading order")
    for folder in ("worker", "supervisor/warden", "supervisor/warden/jail", "supervisor/front"):
        for path in (REPOSITORY / folder).glob("*.py"):
            if path.name != "__init__.py":
                assert f"`{path.relative_to(REPOSITORY)}`" in order, path
