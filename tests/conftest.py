"""Fixtures that every folder of tests may use, and the rule for tests that need real cells."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Server


def why_no_sandbox() -> str:
    """Why this host cannot make cells, or "" when it can."""
    if os.geteuid() != 0:
        return "cells need root in this version"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where cells cannot be made their tests are skipped by name, unless REQUIRE_SANDBOX says otherwise."""
    reason = why_no_sandbox()
    if not reason or os.environ.get("REQUIRE_SANDBOX") == "1":
        return  # with REQUIRE_SANDBOX the tests run and fail for themselves
    for item in items:
        has_server = {"server", "make_server"} & set(getattr(item, "fixturenames", ()))
        if has_server or item.get_closest_marker("needs_sandbox"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it as they found it; each deploys functions of its own name."""
    running = Server(tmp_path_factory.mktemp("server") / "data")
    yield running
    assert running.stop() == 0, running.log


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Servers of a test's own, to be broken; ``make_server(name="data", **settings)``."""
    made: list[Server] = []

    def make(name: str = "data", **settings: Any) -> Server:
        made.append(Server(tmp_path / name, **settings))
        return made[-1]

    yield make
    for running in made:
        running.stop()
