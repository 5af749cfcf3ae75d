"""Servers for the attack suite: complete ones, and weakened ones for the controls."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.escape.canaries import Canaries
from tests.escape.hostile import SOURCE
from tests.escape.stage import Stage, attacked, standing
from tests.support import chromium
from tests.support.as_user import ORDINARY_UID
from tests.support.chromium import Browser, Context
from tests.support.patience import FACTOR
from tests.support.runtimes import only_default_runtime
from tests.support.server import Server
from tests.support.weakened import weakened_tree
from worker._syscalls import join_new_keyring

# Weakened servers at once: each holds a zygote.  Tests are sorted so that few are started twice.
SERVERS_AT_ONCE = 3
# The product's own default.
CALL_SECONDS = 10.0


class Target:
    """A server with hostile functions on it."""

    def __init__(self, server: Server, canaries: Canaries) -> None:
        self.server = server
        self._canaries = canaries
        self._deployed: set[str] = set()

    def attack(self, code: str, options: dict[str, Any]) -> Any:
        """What ``code`` finds when a tenant runs it."""
        name = "hostile" + "".join(f"-{key}{value}" for key, value in sorted(options.items())).replace(
            "_", ""
        )
        if name not in self._deployed:
            self.server.deploy(name, SOURCE, **{"timeout": CALL_SECONDS * FACTOR, **options})
            self._deployed.add(name)
        body = json.dumps({"code": code, "know": self._canaries.knowledge(self.server.pid)})
        answer = self.server.call(name, content=body.encode())
        assert answer.status_code == 200, answer.text
        return answer.json()["found"]


@pytest.fixture(scope="session")
def canaries() -> Iterator[Canaries]:
    """Untouched after every attack."""
    made = Canaries()
    yield made
    made.close()


@pytest.fixture(scope="session")
def targets(
    canaries: Canaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, frozenset[str]], Target]]:
    """``targets(tier, without)``: a server in that tier whose cells lack these layers."""
    # As a login gives its processes one: without it cells of different ids have none to share.
    join_new_keyring()
    running: OrderedDict[tuple[str, frozenset[str]], Target] = OrderedDict()
    runtimes = only_default_runtime(tmp_path_factory.mktemp("runtimes"))

    def start(tier: str, without: frozenset[str]) -> Target:
        folder = tmp_path_factory.mktemp("target")
        settings: dict[str, Any] = {
            "runtimes_dir": runtimes, "preload": "[]", "blank_cells": 2, "min_tier": tier,
        }  # fmt: skip
        python = weakened_tree(folder, without) if without else None
        # An ordinary user has no other to start it as, and gets the tiers of one.
        uid = ORDINARY_UID if tier in ("A-user", "C") and os.geteuid() == 0 else None
        server = Server(
            folder / "data", 1, python=python, uid=uid, environment=canaries.environment, **settings
        )
        return Target(server, canaries)

    def get(tier: str, without: frozenset[str]) -> Target:
        key = (tier, without)
        if key not in running:
            while len(running) >= SERVERS_AT_ONCE:
                assert running.popitem(last=False)[1].server.stop() == 0
            running[key] = start(tier, without)
        running.move_to_end(key)
        return running[key]

    yield get
    for target in running.values():
        assert target.server.stop() == 0, target.server.log


@pytest.fixture(scope="module")
def ground(server: Server) -> Iterator[Stage]:
    """The functions of one file, for the attacks on the protocol."""
    with standing(server) as made:
        yield made


@pytest.fixture
def stage(ground: Stage) -> Iterator[Stage]:
    """The checks around one test."""
    with attacked(ground) as entered:
        yield entered


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests; each has a user of its own in it.  Every host is this machine."""
    chromium.require()
    one = Browser(tmp_path_factory.mktemp("chromium"), "--host-resolver-rules=MAP * 127.0.0.1")
    yield one
    one.close()


@pytest.fixture
def user(browser: Browser) -> Iterator[Context]:
    """Somebody who has never used the browser."""
    with browser.context() as context:
        yield context
