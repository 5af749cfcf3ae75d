"""Every program that is selected runs, in plain Python and in a cell, before the first test asks for one."""

from __future__ import annotations

import pytest

from supervisor import sources
from supervisor.runtimes import load_runtimes
from tests.contract.plain.both import Both, both_of
from tests.contract.plain.program import Run
from tests.support.server import Server


@pytest.fixture(scope="session")
def came(
    request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Both]:
    """By the name of the run, of those whose tests were selected and whose runtime is installed."""
    runtimes = {runtime.name: runtime for runtime in load_runtimes(sources.load().runtimes_dir)}
    runs = [run for run in selected(request.session) if run.runtime in runtimes]
    return both_of(runs, server, runtimes, tmp_path_factory.mktemp("plain"))


def selected(session: pytest.Session) -> list[Run]:
    """The runs that tests of this session ask for, once each."""
    found: dict[str, Run] = {}
    for item in session.items:
        callspec = getattr(item, "callspec", None)
        run = callspec.params.get("run") if callspec else None
        if isinstance(run, Run):
            found[str(run)] = run
    return list(found.values())
