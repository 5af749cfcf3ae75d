"""Each layer left out in turn: no cell serves, and the server says which one it was."""

from __future__ import annotations

import base64
import ctypes
import itertools
import os
import platform
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.escape.hostile import SOURCE
from tests.support.eventually import eventually
from tests.support.runtimes import only_default_runtime
from tests.support.server import SPACE, TOKEN, Server
from tests.support.weakened import WITHOUT, Change, apply, weakened_tree, without_steps

START_SECONDS = 60

# A layer of the attack suite's, and the word that the refusal has for it.
LEFT_OUT = {
    "sec": "filter-holds",
    "ll": "landlock",
    "cap": "user-namespace",
    "nnp": "",
    "knob": "no-nested-namespaces",
    "memfd": "memfd-noexec",
    "keyring": "keyring",
    "mnt": "mount-namespace",
    "proc": "proc",
    "pid": "namespaces",
    "net": "namespaces",
    "ipc": "namespaces",
    "rl": "rlimits",
    "fd": "descriptors",
    "ro": "read-only-root",
    "tmp": "tmp",
}

# keyctl(2).
KEYCTL = {"x86_64": 250, "aarch64": 219}[platform.machine()]
JOIN_SESSION_KEYRING = 1

pytestmark = [pytest.mark.needs_sandbox, pytest.mark.needs_root]


def join_a_session_keyring() -> None:
    """As a login gives one: without, the kernel gives each user namespace a session keyring of its own."""
    ctypes.CDLL(None).syscall(KEYCTL, JOIN_SESSION_KEYRING, None)


def refusal(tree_python: Path, folder: Path) -> str:
    """What ``cellblock serve`` ends with; that it ends at all, and not with 0, is asserted here."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CELLBLOCK_")}
    environment.update(
        CELLBLOCK_ADMIN_TOKEN=TOKEN,
        CELLBLOCK_RUNTIMES_DIR=str(only_default_runtime(folder)),
        CELLBLOCK_PRELOAD="[]",
        CELLBLOCK_DRAIN_SECONDS="1",
    )
    done = subprocess.run(
        [str(tree_python), "-m", "supervisor.cli", "serve", "--data-dir", str(folder / "data"),
         "--bind", "127.0.0.1:0", "--workers", "1"],
        cwd=tree_python.parents[2], env=environment, capture_output=True, text=True, timeout=START_SECONDS,
        check=False, preexec_fn=join_a_session_keyring,
    )  # fmt: skip
    assert done.returncode != 0
    assert "ready on" not in done.stdout
    return done.stderr


def test_every_layer_that_can_be_left_out_is_tried() -> None:
    # Whether a cgroup limits a cell is the warden's own knowledge: it is published as absent.  A cell cannot
    # see that its random numbers are another's: test_life_cycle_attacks.py looks at two.
    # So is what the host cannot give: a freezer, device nodes of a cell's own.
    assert set(LEFT_OUT) == set(WITHOUT) - {"cg", "random", "frz", "dev", "ovl"}


@pytest.mark.promise("T37")
@pytest.mark.parametrize("layer", sorted(LEFT_OUT))
def test_without_one_layer_no_cell_is_ever_ready_and_the_server_says_which(
    layer: str, tmp_path: Path
) -> None:
    python = weakened_tree(tmp_path, frozenset({layer}), self_test=True)
    said = refusal(python, tmp_path)
    assert "cannot serve: this host does not hold a cell" in said
    assert LEFT_OUT[layer] in said.splitlines()[-1]


def test_a_step_that_proves_nothing_is_missed(tmp_path: Path) -> None:
    """The self-test itself is a layer: without it the proof is incomplete."""
    python = weakened_tree(tmp_path, frozenset(), self_test=True)
    apply(python.parents[2], without_steps("layers-hold", "filter-holds"))
    assert "proved nothing of" in refusal(python, tmp_path).splitlines()[-1]


def test_a_cell_that_was_given_device_nodes_and_has_others_is_never_ready(tmp_path: Path) -> None:
    python = weakened_tree(tmp_path, frozenset(), self_test=True)
    left_out = Change("worker/sandbox/lockdown.py", "    if False:", old="    if materials.has_own_devices:")
    apply(python.parents[2], left_out)
    assert "own-devices: the file system of full is" in refusal(python, tmp_path).splitlines()[-1]


def test_a_step_that_fails_is_named(tmp_path: Path) -> None:
    python = weakened_tree(tmp_path, frozenset(), self_test=True)
    apply(
        python.parents[2],
        Change("worker/sandbox/lockdown.py", "raise OSError(5, 'broken')", old="os.setsid()"),
    )
    assert "session" in refusal(python, tmp_path)


def deployed_as(server: Server, name: str) -> httpx.Response:
    code = base64.b64encode(SOURCE.encode()).decode()
    return server.client.post(f"/spaces/{SPACE}/functions", json={"name": name, "source": {"code": code}})


@pytest.mark.promise("S53")
def test_a_breach_in_a_running_server_ends_all_serving_and_is_published(tmp_path: Path) -> None:
    """A layer that goes missing later: the next cell that grows finds out, and every cell dies with it."""
    python = weakened_tree(tmp_path, frozenset(), self_test=True)
    # A switch for this test: once the file is there, cells can reach what they take for the server.
    switch = tmp_path / "switch"
    apply(
        python.parents[2],
        Change(
            "supervisor/warden/cells/confinement.py",
            f'outsider=2 if __import__("os").path.exists({str(switch)!r}) else os.getpid(),',
            old="outsider=os.getpid() if is_unlike else zygote,",
        ),
    )
    settings = {"runtimes_dir": only_default_runtime(tmp_path), "preload": "[]"}
    server = Server(tmp_path / "data", 1, python=python, **settings)
    try:
        server.deploy("first", SOURCE)
        assert server.call("first", json={"code": "found = 1", "know": {}}).json() == {"found": 1}
        switch.touch()
        # Its own first process, which can be signalled: "the server" is not out of reach.
        # The check of each deploy takes a blank cell, and another one grows in its place.
        numbers = itertools.count()
        eventually(lambda: deployed_as(server, f"second-{next(numbers)}").status_code == 503)
        assert "containment" in deployed_as(server, "third").json()["error"]["message"]
        # A killed cell has a moment to answer until its pid 1 has run to its end.
        asked = {"code": "found = 1", "know": {}}
        eventually(lambda: server.call("first", json=asked).status_code == 503)
        health = server.client.get("/healthz?verbose")
        assert health.status_code == 503 and health.json()["status"] == "breached"
        assert "pid-namespace" in health.json()["layers"][0]["evidence"]
        assert server.client.get("/readyz").status_code == 503
    finally:
        server.stop()


def test_the_steps_that_a_proof_must_speak_of_are_those_that_run() -> None:
    from supervisor.warden.cells.confinement import PROVEN
    from supervisor.warden.jail.tiers import Tier
    from worker.sandbox import lockdown, selftest

    with_the_function = {"code", "tmp", "rlimits"}
    proven = {name for name, _ in selftest.BEFORE} | {"speculation", "seccomp"} | with_the_function
    assert PROVEN[Tier.A] == PROVEN[Tier.A_USER] == proven
    assert {name for name, _ in lockdown.PREPARE} >= {"layers-hold", "filter-holds", "speculation"}
    assert "limits-hold" in {name for name, _ in lockdown.TIE}
