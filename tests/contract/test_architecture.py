"""docs/architecture.md against the code: lists of steps, states, imports, places and rooms."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from supervisor.warden.cells.cell_states import TRANSITIONS
from supervisor.warden.launch import launcher
from worker.sandbox import lockdown

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
SOURCES = ("supervisor/**/*.py", "worker/**/*.py", "function/*.py", "seccomp/*.py")


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
    assert numbered("BUILD of `worker/sandbox/lockdown.py`") == [name for name, _ in lockdown.BUILD]
    assert numbered("PREPARE of `worker/sandbox/lockdown.py`") == [name for name, _ in lockdown.PREPARE]
    assert numbered("PLACE of `worker/sandbox/lockdown.py`") == [name for name, _ in lockdown.PLACE]
    assert numbered("TIE of `worker/sandbox/lockdown.py`") == [name for name, _ in lockdown.TIE]


def test_the_steps_of_the_launcher_are_the_ones_that_run() -> None:
    names = [step.__name__.lstrip("_") for step in launcher.STEPS]
    assert numbered("STEPS of `supervisor/warden/launch/launcher.py`") == names


def test_the_way_of_a_call_has_ten_steps() -> None:
    numbers = re.findall(r"^(\d+)\. ", section("The way of one call"), flags=re.MULTILINE)
    assert [int(number) for number in numbers] == list(range(1, 11))


def test_the_states_are_the_ones_of_the_table() -> None:
    expected = [
        [state.value, "; ".join(f"{event.value} → {after.value}" for event, after in edges.items())]
        for state, edges in TRANSITIONS.items()
    ]
    assert rows("States") == expected


# What both sides of a channel import.
SHARED = (
    "worker.wire", "worker.logwire", "worker.message_fields", "worker.message_table",
    "worker.setup_messages", "worker.zygote_messages",
)  # fmt: skip
# A room is a folder so deep; what is deeper is a part of it.
ROOM_DEPTH = {"supervisor": 3, "worker": 2}


def part_of(module: str) -> str:
    """The row of the import table that a module of ours belongs to; a foreign one is its own."""
    parts = module.split(".")
    if parts[0] not in ("supervisor", "worker"):
        return parts[0]
    if module.startswith(SHARED):
        return ".".join(parts[:2])
    most = ROOM_DEPTH[parts[0]]
    rooms = [parts[:deep] for deep in range(1, most + 1) if (REPOSITORY / Path(*parts[:deep])).is_dir()]
    return ".".join(rooms[-1])


def base_of(node: ast.ImportFrom, path: Path) -> str:
    """What it imports from, in full.  In cells the worker's package has another name, so that never does."""
    if path.is_relative_to(REPOSITORY / "worker/standins"):
        return node.module or ""
    is_own = node.level > 0 or (node.module or "").partition(".")[0] == "worker"
    assert not path.is_relative_to(REPOSITORY / "worker") or is_own == (node.level > 0), path
    package = path.relative_to(REPOSITORY).parent.parts
    above = package[: len(package) - node.level + 1] if node.level else ()
    return ".".join(filter(None, (*above, node.module)))


def imported_by(path: Path) -> Iterator[tuple[str, str]]:
    """What a file imports: a package or module, and a name of it or ""."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert alias.name != "worker", path
                yield alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            base = base_of(node, path)
            yield from ((base, alias.name) for alias in node.names)


def module_of(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for pattern in SOURCES for path in REPOSITORY.glob(pattern)}


def imports() -> dict[str, set[str]]:
    """Of each room: the others, and the foreign packages, that its modules import."""
    found: dict[str, set[str]] = defaultdict(set)
    for module, path in MODULES.items():
        importer = part_of(module)
        for base, name in imported_by(path):
            if base.partition(".")[0] not in sys.stdlib_module_names:
                found[importer].add(part_of(f"{base}.{name}".strip(".")))
    return {part: names - {part} for part, names in found.items() if names - {part}}


def test_no_modules_import_each_other_in_a_circle() -> None:
    left: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        # ``from worker import wire`` imports a module, ``from supervisor import __version__`` none.
        names = {
            f"{base}.{name}" if f"{base}.{name}" in MODULES else base for base, name in imported_by(path)
        }
        left[module] = names & MODULES.keys() - {module}
    while free := {module for module, others in left.items() if not others & left.keys()}:
        left = {module: others for module, others in left.items() if module not in free}
    assert not left, "in a circle, or importing one: " + ", ".join(sorted(left))


def test_the_import_table_is_exactly_what_is_imported() -> None:
    stated = {
        part.strip("`"): {name.strip() for column in others for name in column.split(",") if name.strip()}
        for part, *others in rows("Who may import whom")
    }
    assert imports() == stated


# So many questions a newcomer asks; fewer would leave somebody to search.
QUESTIONS_LEAST = 40


def defined_in(path: Path) -> Iterator[str]:
    """The functions, methods, classes and constants of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_what_is_asked_for_is_where_the_page_says() -> None:
    places = [row for row in rows("Where is X?") if row[1]]
    assert len(places) >= QUESTIONS_LEAST
    for question, file, name in places:
        path = REPOSITORY / file.strip("`")
        assert path.is_file(), f"{question} {file}"
        assert name.strip("`") in set(defined_in(path)), f"{question} {file} has no {name}"


def test_every_room_has_a_row_and_a_file_to_read_first() -> None:
    rooms = {str(path.relative_to(REPOSITORY).parent) for path in MODULES.values()}
    stated = {folder.strip("`"): first.strip("`") for folder, _, first in rows("The rooms")}
    assert set(stated) == {room for room in rooms if (REPOSITORY / room / "__init__.py").is_file()}
    for folder, first in stated.items():
        assert (REPOSITORY / folder / first).is_file(), f"{folder}: {first}"
