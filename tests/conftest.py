"""Fixtures that every folder of tests may use, and the rule for tests that need real cells."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.warden.jail import tiers
from supervisor.warden.jail.probes import probe_host
from supervisor.warden.jail.tiers import Tier
from tests.support.runtimes import only_default_runtime
from tests.support.server import Server

MakeServer = Callable[..., Server]

# Fixtures that start servers; the second kind starts them as other users and in named tiers, which is root's.
OF_SERVERS = {"server", "make_server", "module_server"}
# The last counts what a server holds, of processes that only root may look into.
OF_ROOT = {"targets", "servers", "field", "stage", "unharmed"}


def best_tier() -> Tier:
    """What this host gives to whoever runs the tests."""
    return tiers.decide(probe_host()).tier


def needs_root(item: pytest.Item) -> bool:
    """Whether the test gives processes other users' ids; one that names tier A-user does not."""
    fixtures = set(getattr(item, "fixturenames", ()))
    named = getattr(item, "callspec", None)
    if "targets" in fixtures and named is not None and named.params.get("tier") == "A-user":
        return False
    return bool(fixtures & OF_ROOT) or item.get_closest_marker("needs_root") is not None


def pytest_configure() -> None:
    """A shell that runs the suite in the background ignores SIGINT, and so would all that tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where cells cannot be made their tests are skipped by name, unless REQUIRE_SANDBOX says otherwise.

    What only root can do is skipped for others whatever it says: no sandbox of theirs lacks it.
    """
    is_root = os.geteuid() == 0
    is_required = os.environ.get("REQUIRE_SANDBOX") == "1"  # the tests run and fail for themselves
    tier = Tier.A if is_required else best_tier()
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        needs_cells = fixtures & (OF_SERVERS | OF_ROOT) or item.get_closest_marker("needs_sandbox")
        if needs_root(item) and not is_root:
            item.add_marker(pytest.mark.skip(reason="needs root, who gives processes other users' ids"))
        elif needs_cells and not tier.has_namespaces:
            item.add_marker(
                pytest.mark.skip(reason=f"this host gives tier {tier.value}: cellblock check says why")
            )
        elif needs_root(item) and tier is not Tier.A:
            item.add_marker(pytest.mark.skip(reason=f"needs tier A (root); this is {tier.value}"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it as they found it; each deploys functions of its own name."""
    running = Server(tmp_path_factory.mktemp("server") / "data")
    yield running
    assert running.stop() == 0, running.log


@pytest.fixture(scope="session")
def one_runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runtimes folder with the default one only."""
    return only_default_runtime(tmp_path_factory.mktemp("runtimes"))


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory, one_runtime: Path) -> Iterator[MakeServer]:
    """As ``make_server``, but for servers that the tests of a module share: each has to end well."""
    made: list[Server] = []

    def make(**settings: Any) -> Server:
        data_dir = tmp_path_factory.mktemp("server") / "data"
        made.append(Server(data_dir, **{"runtimes_dir": one_runtime, "preload": "[]", **settings}))
        return made[-1]

    yield make
    ended = {running.log_path: running.stop() for running in made}
    assert set(ended.values()) <= {0}, [path.read_text() for path, code in ended.items() if code]


@pytest.fixture
def make_server(tmp_path: Path, one_runtime: Path) -> Iterator[MakeServer]:
    """Servers of a test's own, to be broken; ``make_server(name="data", **settings)``.

    They are small ones, which start in a second: with one runtime, and nothing imported ahead.  A setting
    that is None is as an operator has it who says nothing.
    """
    made: list[Server] = []

    def make(name: str = "data", **settings: Any) -> Server:
        made.append(Server(tmp_path / name, **{"runtimes_dir": one_runtime, "preload": "[]", **settings}))
        return made[-1]

    yield make
    for running in made:
        running.stop()
