"""Backups under load: whatever the moment, a restored one is a state that had been answered."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from supervisor.bundles.bundle_store import BundleStore
from supervisor.store import Sealer, open_lookups
from supervisor.store.ring.key_file import load_key
from supervisor.store.store import open_store
from tests.contract.backup.test_backup import run
from tests.support.server import SPACE, Server

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


@pytest.mark.promise("S160")
@pytest.mark.parametrize("moments", [2, pytest.param(50, marks=pytest.mark.proof)])
def test_a_restored_backup_is_a_state_that_had_been_answered(
    moments: int, tmp_path: Path, one_runtime: Path
) -> None:
    server = Server(tmp_path / "data", workers=2, runtimes_dir=one_runtime, preload="[]", blank_cells=2)
    key = tmp_path / "data/front/sealing.key"
    try:
        with Writer(server) as writer:
            for moment in range(moments):
                pause = threading.Event()
                pause.wait(random.uniform(0, SPREAD_S))
                earliest, file, new = writer.answered, tmp_path / f"{moment}.backup", tmp_path / f"{moment}"
                done = run("backup", file, "--data-dir", server.data_dir)
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
