"""Controls of ``test_desk``: without the look that stops it, a front reaches what is not its own."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from supervisor.warden.cells.code_mount import Bundles, copy_bundle
from supervisor.warden.cells.confinement import Confinement
from supervisor.warden.leases.accounts import Accounts
from tests.support.eventually import eventually
from tests.support.scripted_host import DIGEST, Clock, ScriptedHost, dead_process, unconfined, whole
from tests.unit.warden.leases.test_desk import leased

NEVER_WAITS = os.O_NONBLOCK
MARK = b"what its attacker wrote, when it suited the attacker"


@pytest.fixture(scope="module")
def confinement(tmp_path_factory: pytest.TempPathFactory) -> Confinement:
    return unconfined(tmp_path_factory.mktemp("bundles"))


def test_control_where_whose_a_cell_is_is_not_looked_up_a_front_kills_that_of_another(
    confinement: Confinement, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_anybody(self: Accounts[Any, Any, Any], _: Any, name: str) -> Any:
        return next((cells[name] for cells in self._held.values() if name in cells), None)

    monkeypatch.setattr(Accounts, "cell", of_anybody)

    async def scenario() -> None:
        with dead_process() as pidfd:
            host = ScriptedHost(loop, confinement, 4, pidfd)
            try:
                await host.settle()
                evil, other = host.join(), host.join()
                name = await leased(host, other)
                evil.send({"do": "kill", "cell": name, "cause": "released"})
                await host.settle()
                assert host.registry.cells[name].state.value == "dying"
                assert not evil.is_gone
            finally:
                await host.close()

    loop = Clock()
    try:
        loop.run_until_complete(scenario())
    finally:
        loop.close()


def test_control_a_copy_that_waits_and_takes_any_file_takes_what_a_pipe_says_when_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy ends when whoever made the pipe wants it to, and has what was not there when it began."""
    (tmp_path / DIGEST).mkdir()
    pipe = tmp_path / DIGEST / "handler.py"
    os.mkfifo(pipe)
    whole(tmp_path / DIGEST)
    bundles = Bundles(tmp_path, as_mounts=False)
    code = bundles.open(DIGEST)
    (tmp_path / "copy").mkdir()
    monkeypatch.setattr(os, "O_NONBLOCK", 0)
    monkeypatch.setattr(stat, "S_ISREG", lambda _: True)
    copying = threading.Thread(target=copy_bundle, args=(code, tmp_path / "copy"), daemon=True)
    copying.start()
    attacker = -1

    def somebody_waits() -> bool:
        nonlocal attacker
        try:
            attacker = os.open(pipe, os.O_WRONLY | NEVER_WAITS)  # ENXIO while nobody reads
        except OSError:
            return False
        return True

    eventually(somebody_waits, "nobody opened it")
    os.write(attacker, MARK)
    os.close(attacker)
    copying.join(30)
    assert (tmp_path / "copy/handler.py").read_bytes() == MARK
    code.close()
    bundles.close()
