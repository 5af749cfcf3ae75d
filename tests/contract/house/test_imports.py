"""Who may import whom: the table of the design, read out of the source and not out of a running program."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OURS = ("supervisor", "worker", "function", "seccomp")

# The longest prefix that fits decides: what a module may import of ours, and of others.
FIRST_PARTY: dict[str, tuple[str, ...]] = {
    "function": ("function",),
    "worker": ("worker", "function"),
    "worker.wire": (),  # shared with the trusted side: it may know nothing of either
    "worker.logwire": (),
    "worker.message_fields": (),
    "worker.message_table": ("worker.message_fields",),
    "worker.setup_messages": ("worker.message_fields", "worker.message_table"),
    "worker.zygote_messages": ("worker.message_fields", "worker.message_table"),
    "worker.answer.response": (
        "worker.answer.likely_mistakes",
        "worker.answer.json_body",
        "worker.answer.mistake",
        "worker.wire",
    ),
    "worker.answer.likely_mistakes": ("worker.answer.mistake",),
    "worker.answer.json_body": ("worker.answer.mistake",),
    "worker.answer.mistake": (),
    "worker.standins": (),
    # No cell sees it: a filter is compiled outside and handed in.
    "seccomp": ("seccomp",),
    "supervisor": (
        "supervisor",
        "worker.wire",
        "worker.logwire",
        "worker.message_fields",
        "worker.message_table",
        "worker.setup_messages",
        "worker.zygote_messages",
        "seccomp",
    ),
}
THIRD_PARTY: dict[str, tuple[str, ...]] = {
    "function": ("werkzeug",),
    "worker": ("msgpack", "werkzeug"),
    "worker.wire": ("msgpack",),
    "worker.logwire": (),
    "worker.message_fields": (),
    "worker.message_table": (),
    "worker.setup_messages": (),
    "worker.zygote_messages": (),
    # Stand-ins are on the path of functions, not of ours, and use what functions have.
    "worker.standins": ("requests", "swx"),
}
# The rooms that what they share may not know.
ROOMS = ("supervisor.front", "supervisor.warden", "supervisor.store", "supervisor.cli")
# Within supervisor: a room and the rooms it may not know.
WALLS: dict[str, tuple[str, ...]] = {
    "supervisor.front": ("supervisor.warden", "supervisor.cli"),
    "supervisor.warden": ("supervisor.front", "supervisor.store", "supervisor.cli"),
    "supervisor.store": ("supervisor.front", "supervisor.warden", "supervisor.cli", "supervisor.runtimes"),
    "supervisor.runtimes": ("supervisor.front", "supervisor.warden", "supervisor.store"),
    # The command line is a client like any other; ``serve`` starts a server, ``check`` tries what it would.
    "supervisor.cli": ("supervisor.front", "supervisor.warden", "supervisor.store"),
    "supervisor.cli.__main__": ("supervisor.front", "supervisor.store"),
    "supervisor.cli.checking.attempts": ("supervisor.front", "supervisor.store"),
    "supervisor.cli.checking.restrictions": ("supervisor.front", "supervisor.store"),
    "supervisor.cli.checking.trial": ("supervisor.front", "supervisor.store"),
    # It reads the database that the server is to use.
    "supervisor.cli.checking.store_check": ("supervisor.front",),
    "supervisor.cli.checking.check_command": ("supervisor.front", "supervisor.store"),
    "supervisor.cli.commands.token_command": ("supervisor.front", "supervisor.store"),
    # It reads and makes the files of a data directory, and asks no server.
    "supervisor.cli.commands.backup_commands": ("supervisor.front", "supervisor.warden"),
    "supervisor.cli.serving.serve": ("supervisor.front", "supervisor.store"),
    "supervisor.settings": ROOMS,
    "supervisor.bundles": ROOMS,
    "supervisor.function_limits": ROOMS,
    "supervisor.function_options": ROOMS,
    "supervisor.datagrams": ROOMS,
    "supervisor.front_start": ROOMS,
    "supervisor.join_messages": ROOMS,
    "supervisor.link_messages": ROOMS,
    "supervisor.link_records": ROOMS,
    "supervisor.errors": ("supervisor",),
}
# Decisions are pure: they are given times and bytes, and can be tested without either.
PURE = (
    "worker.wire", "worker.logwire", "worker.message_fields", "worker.message_table", "worker.setup_messages",
    "worker.zygote_messages", "worker.answer.response", "worker.answer.likely_mistakes",
    "worker.answer.json_body", "worker.answer.mistake",
    "supervisor.warden.cells.cell_states", "supervisor.warden.supply.blank_target",
    "supervisor.warden.leases.fairness", "supervisor.warden.memory.cell_memory_policy",
    "supervisor.warden.supply.recent_demand",
    "supervisor.front.pool.growth", "supervisor.front.pool.eviction", "supervisor.front.outcome.answers",
    "supervisor.front.functions.deployed_limits", "supervisor.function_limits",
    "supervisor.settings.front_settings", "supervisor.function_options",
    "supervisor.errors", "supervisor.front_start", "supervisor.join_messages", "supervisor.link_messages",
    "supervisor.link_records", "function.request", "seccomp.compiler", "seccomp.tables",
)  # fmt: skip
IMPURE = (
    "os",
    "socket",
    "time",
    "random",
    "select",
    "secrets",
    "subprocess",
    "asyncio",
    "threading",
    "signal",
)

# Distributions whose modules are named otherwise; what a dependency is made of may be imported too.
MODULES_OF = {
    "fastapi": ("fastapi", "starlette"),
    "python-ulid": ("ulid",),
    "psycopg[binary]": ("psycopg",),
}


def module_of(path: Path) -> str:
    """The dotted name of a file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_of(path): path for name in OURS for path in sorted((ROOT / name).rglob("*.py"))}


def imports_of(module: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a module imports anywhere in it."""
    path = SOURCES[module]
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            for alias in node.names:
                # ``from worker import wire`` names the module worker.wire, or something in worker.
                yield node.lineno, f"{base}.{alias.name}"


def rule_for(table: dict[str, tuple[str, ...]], module: str) -> tuple[str, ...] | None:
    """The row of the longest prefix of ``module``."""
    parts = module.split(".")
    for end in range(len(parts), 0, -1):
        if ".".join(parts[:end]) in table:
            return table[".".join(parts[:end])]
    return None


def is_below(name: str, prefix: str) -> bool:
    """Whether a dotted name is that module or something in it."""
    return name == prefix or name.startswith(prefix + ".")


def declared() -> set[str]:
    """The modules of the distributions that pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["postgres"]]
    names = {re.split(r"[<>=!~; ]", entry)[0] for entry in wanted}
    return {module for name in names for module in MODULES_OF.get(name, (name.replace("-", "_"),))}


def is_allowed(module: str, name: str, first_party: tuple[str, ...], others: set[str]) -> bool:
    """Whether a module of that row may import that name."""
    top = name.partition(".")[0]
    if top in OURS:
        return any(is_below(name, allowed) for allowed in first_party)
    return top in sys.stdlib_module_names or top in others


def test_a_module_imports_only_what_its_side_of_the_wall_may() -> None:
    distributions, offenders = declared(), []
    for module in SOURCES:
        first_party, third_party = rule_for(FIRST_PARTY, module), rule_for(THIRD_PARTY, module)
        assert first_party is not None, module
        others = distributions if third_party is None else set(third_party)
        offenders += [f"{module}:{line} imports {name}" for line, name in imports_of(module)
                      if not is_allowed(module, name, first_party, others)]  # fmt: skip
    assert offenders == []


def test_a_room_of_the_supervisor_does_not_know_the_rooms_behind_the_wall() -> None:
    assert [
        f"{module}:{line} imports {name}"
        for module in SOURCES
        for line, name in imports_of(module)
        if any(is_below(name, wall) for wall in rule_for(WALLS, module) or ())
    ] == []


def test_what_decides_touches_no_clock_no_socket_and_no_process() -> None:
    assert [
        f"{module}:{line} imports {name}"
        for module in PURE
        for line, name in imports_of(module)
        if name.partition(".")[0] in IMPURE
    ] == []


def test_nothing_that_a_cell_sees_names_the_trusted_side() -> None:
    assert [
        f"{module}:{node.lineno} names {node.value!r}"
        for module in SOURCES
        if not module.startswith("supervisor")
        for node in ast.walk(ast.parse(SOURCES[module].read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value
        if node.value.startswith("supervisor")
    ] == []


def test_every_row_of_these_tables_is_of_something_that_exists() -> None:
    packages = {name.rpartition(".")[0] for name in SOURCES} | set(SOURCES)
    for table in (FIRST_PARTY, THIRD_PARTY, WALLS):
        assert set(table) <= packages
    assert set(PURE) <= set(SOURCES)


def test_every_declared_dependency_is_used() -> None:
    used = {name.partition(".")[0] for module in SOURCES for _, name in imports_of(module)}
    # Named in a setting of gunicorn, and the driver of a store's URL.
    by_name = {"uvloop": "asgi_loop", "psycopg": "postgresql"}
    source = "".join(path.read_text() for path in SOURCES.values())
    for module in declared() - used:
        assert by_name.get(module, "\0") in source, f"{module} is declared and not used"
