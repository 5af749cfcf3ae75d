"""A server with one front, for whatever a module sends to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import MakeServer
from tests.contract.http.dialogue import SOURCE
from tests.contract.http.rows import FUNCTION
from tests.support.processes import fronts_of
from tests.support.server import Server

# A body may have so much, in MiB: the least there is, so that tests of too much are short.
MOST_MIB = 1


@pytest.fixture(scope="module")
def edge(module_server: MakeServer) -> Iterator[Server]:
    """It has the function of ``dialogue``, and its one front lives to the end."""
    running = module_server(workers=1, blank_cells=1, function_logs=False)
    running.deploy(FUNCTION, SOURCE, max_instances=1, max_request=MOST_MIB)
    (front,) = fronts_of(running.pid)
    yield running
    assert fronts_of(running.pid) == [front], "the front did not live through it"
    assert running.stop() == 0, running.log
    assert "Traceback" not in running.log


@pytest.fixture
def front(edge: Server) -> int:
    """The pid of the server's front."""
    (pid,) = fronts_of(edge.pid)
    return pid
