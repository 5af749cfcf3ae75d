"""Every program that is selected begins to run, in plain Python and in a cell, with the first test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from supervisor.runtimes import load_runtimes
from supervisor.settings import plain_sources
from tests.contract.plain.both import Suite
from tests.contract.plain.program import Run
from tests.support.server import Server


@pytest.fixture(scope="session")
def suite(
    request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Suite]:
    """Of the programs whose tests were selected and whose runtime is installed."""
    runtimes = {runtime.name: runtime for runtime in load_runtimes(plain_sources.load().runtimes_dir)}
    runs = [run for run in selected(request.session) if run.runtime in runtimes]
    running = Suite(runs, server, runtimes, tmp_path_factory.mktemp("plain"))
    yield running
    running.close()


def selected(session: pytest.Session) -> list[Run]:
    """The runs that tests of this session ask for, once each."""
    found: dict[str, Run] = {}
    for item in session.items:
        callspec = getattr(item, "callspec", None)
        run = callspec.params.get("run") if callspec else None
        if isinstance(run, Run):
            found[str(run)] = run
    return list(found.values())
