"""Backups under load: whatever the moment, a restored one is a state that had been answered."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervisor.bundles.bundle_store import BundleStore
from supervisor.store import Sealer, open_lookups
from supervisor.store.ring.key_file import load_key
from supervisor.store.store import open_store
from tests.contract.backup.test_backup import run
from tests.support import postgres
from tests.support.server import REPOSITORY, SPACE, Server

pytestmark = [pytest.mark.needs_root, pytest.mark.slow]

HANDLER = "def handle(req):\n    return {{'body': '{number}'}}\n"
SPREAD_S = 0.2  # a moment is anywhere in so long: some deploys


class Writer:
    """Deploys version after version, and sets ``first`` and then ``second`` to the version's number."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.answered = self.asked = 0  # deploys
        self.error: Exception | None = None

    def __enter__(self) -> Writer:
        self._round(1)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(60)
        assert self.error is None and not self._thread.is_alive()

    def _write(self) -> None:
        try:
            number = 1
            while not self._is_over.is_set():
                number += 1
                self._round(number)
        except Exception as error:  # told by __exit__
            self.error = error

    def _round(self, number: int) -> None:
        self.asked = number
        assert self._server.deploy("counts", HANDLER.format(number=number))["version"] == number
        self.answered = number
        for name in ("first", "second"):
            path = f"/spaces/{SPACE}/variables/{name}"
            assert self._server.client.put(path, json={"value": number}).is_success


def judged(front: Path, folder: Path, earliest: int, latest: int) -> None:
    """Whether a restored store is one moment between these versions, with all of its code."""
    url, sealer = f"sqlite:///{front}/cellblock.db", Sealer(load_key(front / "sealing.key"))
    store, lookups = open_store(url, sealer), open_lookups(url, sealer)
    bundles = BundleStore(folder, 1 << 20, 10, pieces_of=lookups.pieces_of)
    try:
        function, page = store.versions(SPACE, "counts", 100)
        active = function.active.number
        assert earliest <= active <= latest
        assert [version.number for version in page.items] == list(range(active, max(0, active - 20), -1))
        for version in page.items:
            code = bundles.code(version.content.digest)
            assert code == HANDLER.format(number=version.number).encode()
        values = lookups.values(SPACE).variables
        # Each is set only after the one before it was answered.
        assert active >= values["first"] >= values["second"] >= active - 1
    finally:
        store.close()
        lookups.close()


LONG = [pytest.mark.proof, pytest.mark.timeout(1800)]
MANY = pytest.param(50, marks=LONG)


@contextmanager
def store_of(kind: str) -> Iterator[str]:
    """The setting ``store_url``."""
    if kind == "sqlite":
        yield kind
        return
    with postgres.for_servers() as running:
        yield running.over_tcp(running.fresh(), "a-password")


@pytest.mark.promise("S160")
@pytest.mark.parametrize(
    ("kind", "moments"),
    [("sqlite", 2), pytest.param("sqlite", 50, marks=LONG), pytest.param("postgresql", 50, marks=LONG)],
)
def test_a_restored_backup_is_a_state_that_had_been_answered(
    kind: str, moments: int, tmp_path: Path, one_runtime: Path
) -> None:
    with store_of(kind) as store_url:
        settings = {"runtimes_dir": one_runtime, "preload": "[]", "store_url": store_url}
        server = Server(tmp_path / "data", workers=2, blank_cells=2, **settings)
        (tmp_path / "settings.toml").write_text(f"store_url = '{store_url}'\n")
        _tried_at(moments, server, tmp_path, one_runtime)


def _tried_at(moments: int, server: Server, tmp_path: Path, one_runtime: Path) -> None:
    key, config = tmp_path / "data/front/sealing.key", ("--config", tmp_path / "settings.toml")
    try:
        with Writer(server) as writer:
            for moment in range(moments):
                pause = threading.Event()
                pause.wait(random.uniform(0, SPREAD_S))
                earliest, file, new = writer.answered, tmp_path / f"{moment}.backup", tmp_path / f"{moment}"
                done = run("backup", file, "--data-dir", server.data_dir, *config)
                assert done.returncode == 0, done.stderr
                latest = writer.asked
                done = run("restore", file, "--data-dir", new, "--sealing-key", key)
                assert done.returncode == 0, done.stderr
                judged(new / "front", tmp_path / f"{moment}.bundles", earliest, latest)
    finally:
        assert server.stop() == 0
    again = Server(new, workers=1, runtimes_dir=one_runtime, preload="[]", blank_cells=1)
    try:
        assert earliest <= int(again.call("counts").text) <= latest
    finally:
        assert again.stop() == 0


def killed(*arguments: str | Path, within_s: float) -> bool:
    """Whether a command ended by our SIGKILL, which comes at some moment of that time."""
    command = [sys.executable, "-m", "supervisor.cli", *map(str, arguments)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=quiet, stdout=quiet, stderr=quiet) as running:
        try:
            running.wait(random.uniform(0, within_s))
        except subprocess.TimeoutExpired:
            running.kill()
        return running.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize("moments", [2, MANY])
def test_whenever_a_backup_or_a_restore_is_killed_under_load_nothing_half_made_is_left(
    moments: int, tmp_path: Path, one_runtime: Path
) -> None:
    """Each is killed at some moment of twice the time that it takes; what was not killed is judged, too."""
    server = Server(tmp_path / "data", workers=2, runtimes_dir=one_runtime, preload="[]", blank_cells=2)
    key = tmp_path / "data/front/sealing.key"
    kills = 0
    try:
        with Writer(server) as writer:
            whole, began = tmp_path / "whole.backup", time.monotonic()
            assert run("backup", whole, "--data-dir", server.data_dir).returncode == 0
            within_s, of_whole = 2 * (time.monotonic() - began), writer.asked
            for moment in range(moments):
                file, new, earliest = tmp_path / f"{moment}.backup", tmp_path / f"{moment}", writer.answered
                was_killed = killed("backup", file, "--data-dir", server.data_dir, within_s=within_s)
                if was_killed and not file.exists():
                    # What is left is no backup, and stands in no other one's way.
                    kills += 1
                    assert run("backup", file, "--data-dir", server.data_dir).returncode == 0
                latest = writer.asked
                assert not file.with_name(f"{file.name}.part").exists()
                assert run("restore", file, "--data-dir", new, "--sealing-key", key).returncode == 0
                judged(new / "front", tmp_path / f"{moment}.bundles", earliest, latest)

                other = tmp_path / f"{moment}.other"
                again = ("restore", whole, "--data-dir", other, "--sealing-key", key)
                if killed(*again, within_s=within_s) and not (other / "front").exists():
                    kills += 1
                    done = run(*again)
                    assert done.returncode == 0, done.stderr
                assert [path.name for path in other.iterdir()] == ["front"]
                judged(other / "front", tmp_path / f"{moment}.others", 1, of_whole)
    finally:
        assert server.stop() == 0
    assert moments < 10 or kills > moments / 2
