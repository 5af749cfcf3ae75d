"""docs/operations.md against the source and a running server: lines, numbers, commands."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from supervisor.front.following.subscriptions import ALL_MAX_BYTES
from supervisor.function_limits import MIB, Limits
from supervisor.logs.writing.writer import BUFFER_MAX_BYTES
from supervisor.settings.declarations import Settings
from supervisor.warden.cells.uid_pool import IDS_PER_CELL
from supervisor.warden.startup.descriptor_limit import DESCRIPTORS_BESIDES, DESCRIPTORS_PER_CELL
from supervisor.warden.startup.resource_budget import UNLIMITED, HostResources, budget_for
from tests.conftest import MakeServer
from tests.support.log_words import is_said, logged, matches, said
from tests.support.server import TOKEN
from tests.support.transcripts import BIN, Block, assert_prints, blocks_of, commands_of, printed_by

REPOSITORY = Path(__file__).parents[3]
PAGE = (REPOSITORY / "docs/operations.md").read_text(encoding="utf-8")
BLOCKS: list[Block] = blocks_of(PAGE)
ADDRESS = "http://127.0.0.1:8080"
SETTINGS, LIMITS = Settings(), Limits()
SERVERS_LINE = re.compile(r"(CRITICAL|ERROR|WARNING|INFO) [\w.]+: (.*)")
GUNICORNS_LINE = re.compile(r"\[(?:ERROR|CRITICAL)\] (.*)")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of each row of a table that is no title."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def listed() -> set[tuple[str, str]]:
    """Level and message of each row of the list."""
    found = rows(section("Lines of the server's log"))[1:]
    return {(level, message.strip("`")) for level, message, _ in found if level}


def test_every_line_that_the_server_can_log_is_listed_and_no_other() -> None:
    assert logged() - listed() == set(), "give each of these a row: what it means, and what to do"
    assert listed() - logged() == set(), "nothing says these any more"


def test_what_the_list_says_of_gunicorn_is_what_gunicorn_says() -> None:
    import gunicorn.arbiter

    source = Path(gunicorn.arbiter.__file__).read_text(encoding="utf-8")
    found = re.findall(r"gunicorn's own:\* `([^`]+)`", PAGE)
    assert len(found) == 2
    for message in found:
        for part in re.split("[…!]", message):
            assert part.strip() in source


def test_each_runbook_says_what_one_sees_and_what_to_do() -> None:
    _, *books = re.split(r"^### ", section("Runbooks"), flags=re.MULTILINE)
    assert len(books) >= 9
    for book in books:
        assert "You see" in book and ("*Do:*" in book or "what to do" in book), book.partition("\n")[0]


def test_what_the_runbooks_quote_is_what_the_server_says() -> None:
    quoted = [line for language, text in BLOCKS if language == "text" for line in text.splitlines()]
    texts = said()
    assert len(quoted) >= 15
    for line in quoted:
        if (ours := SERVERS_LINE.fullmatch(line)) is not None:
            level, message = ours[1].lower(), ours[2]
            known = [one for one in logged() if one[0] == level and matches(message, one[1])]
            assert known or _is_of_wrong_tokens(message), line
        elif GUNICORNS_LINE.fullmatch(line) is None:
            assert is_said(line, texts), line


def _is_of_wrong_tokens(message: str) -> bool:
    return " wrong tokens from " in message


def test_what_the_tables_of_the_page_quote_is_said_somewhere() -> None:
    texts = said()
    of_tables = [cell for row in rows(section("Runbooks") + section("Start, stop, reload")) for cell in row]
    quoted = [text for cell in of_tables for text in re.findall(r"`((?!cellblock )[^`/=]{25,})`", cell)]
    assert len(quoted) >= 15
    assert [text for text in quoted if not is_said(text, texts)] == []


def number(text: str) -> int:
    return int(re.sub(r"\D", "", text))


FORMULAS: dict[str, Callable[[], int]] = {
    "max_cells * 10 + 256": lambda: SETTINGS.max_cells * DESCRIPTORS_PER_CELL + DESCRIPTORS_BESIDES,
    "2 * max_cells": lambda: SETTINGS.max_cells * IDS_PER_CELL,
    "max_cells * defaults.memory": lambda: SETTINGS.max_cells * LIMITS.memory,
    "memory + tmp + 64": lambda: LIMITS.memory + LIMITS.tmp + 64,
    "workers * requests_max_bytes": lambda: SETTINGS.workers * SETTINGS.requests_max_bytes // MIB,
    "workers * 32 MiB": lambda: SETTINGS.workers * BUFFER_MAX_BYTES // MIB,
    "workers * 64 MiB": lambda: SETTINGS.workers * ALL_MAX_BYTES // MIB,
    "workers * connections_most": lambda: SETTINGS.workers * SETTINGS.connections_most,
    "workers * queue_depth": lambda: SETTINGS.workers * SETTINGS.queue_depth,
    "max_instances * concurrency": lambda: LIMITS.max_instances,
    "max_instances * concurrency / seconds of a call": lambda: LIMITS.max_instances,
    "log_total_max_bytes": lambda: SETTINGS.log_total_max_bytes // MIB,
    "bundle_max_bytes": lambda: SETTINGS.bundle_max_bytes // MIB,
    "cells_memory": lambda: (
        budget_for(SETTINGS, HostResources(UNLIMITED, UNLIMITED, 8192 * MIB)).memory_bytes // MIB
    ),
}


def test_each_formula_has_the_value_that_the_settings_give() -> None:
    seen = set()
    for _, formula, value in rows(section("Capacity"))[1:]:
        match = re.search(r"`([^`]+)`", formula)
        assert match is not None, formula
        name = match[1].removesuffix(" MiB") if match[1].startswith("memory +") else match[1]
        first = re.search(r"[\d,]+", value)
        assert first is not None and number(first[0]) == FORMULAS[name](), formula
        seen.add(name)
    assert seen == set(FORMULAS)


def test_every_name_in_a_formula_is_a_setting_or_an_option() -> None:
    known = {field.name for field in (*fields(Settings), *fields(Limits))}
    for formula in FORMULAS:
        words = formula.replace("defaults.", "").replace("seconds of a call", "").replace("MiB", "")
        assert set(re.findall(r"[a-z_]+", words)) <= known, formula


def test_the_times_that_the_page_names_are_the_settings() -> None:
    assert f"`drain_seconds`\n({SETTINGS.drain_seconds:g})" in PAGE
    unit = (REPOSITORY / "deploy/cellblock.service").read_text(encoding="utf-8")
    (stop,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, flags=re.MULTILINE)
    assert f"`TimeoutStopSec` of the unit is\n{stop}" in PAGE
    assert int(stop) > SETTINGS.drain_seconds


@pytest.mark.slow
@pytest.mark.needs_sandbox
def test_the_commands_of_the_page_print_what_it_says(module_server: MakeServer, tmp_path: Path) -> None:
    server = module_server(workers=1, blank_cells=1)
    server.deploy("hello", "def handle(req):\n    return {'body': 'hello'}\n")
    assert server.call("hello").text == "hello"
    typed = 0
    for command, expected in commands_of(BLOCKS):
        line = command.replace(ADDRESS, server.url)
        printed = printed_by(
            line, tmp_path, server.url, f"PATH={BIN}:$PATH", CELLBLOCK_TOKEN=TOKEN, PYTHONPATH=str(REPOSITORY)
        )
        assert_prints(expected, printed)
        typed += 1
    assert typed >= 4
    assert sys.executable.startswith(str(BIN))


def test_every_block_is_run_or_compared_by_a_test_of_this_file() -> None:
    assert PAGE.count("```") == 2 * len(BLOCKS)
    assert {language for language, _ in BLOCKS} == {"console", "text"}
