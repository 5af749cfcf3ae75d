"""kill -9 of everything at once: the next start finds what was left, removes what is ours, and answers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.fault.conftest import HELLO, SMALL
from tests.support.eventually import eventually
from tests.support.groups import groups_of, leaf_names
from tests.support.processes import all_gone_within, children_of, descendants_of, watch
from tests.support.server import REPOSITORY, Server

DEAD = "0123456789"  # as a leaf of a cell is named


def kill_everything(server: Server) -> None:
    """All processes of a server at the same moment."""
    pids = [server.pid, *descendants_of(server.pid)]
    watched = watch(pids)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    server.process.wait()
    assert all_gone_within(watched, 10.0)


@contextlib.contextmanager
def group_of_another(server: Server) -> Iterator[list[Path]]:
    """Empty leaves of a server that is not this one, beside its own."""
    made = [
        folder.parent / f"{folder.name}x" / DEAD
        for folder in {each for each, _ in groups_of(server.data_dir).values()}
    ]
    for leaf in made:
        leaf.mkdir(parents=True)
    try:
        yield made
    finally:
        for leaf in made:
            leaf.rmdir()
            leaf.parent.rmdir()


def cells_of(server: Server) -> int:
    """How many the server says there are."""
    return sum(server.client.get("/activity").json()["cells"].values())


@pytest.mark.needs_root
@pytest.mark.promise("S65")
def test_after_kill_9_of_everything_the_next_start_removes_what_was_left_and_answers(
    make_server: Callable[..., Server], one_runtime: Path
) -> None:
    settings = {**SMALL, "runtimes_dir": one_runtime}
    first = make_server(**settings)
    first.deploy("hello", HELLO)
    assert first.call("hello").text == "hello"
    kill_everything(first)
    left = leaf_names(first.data_dir)
    for folder, _ in groups_of(first.data_dir).values():
        (folder / DEAD).mkdir(exist_ok=True)
    (first.data_dir / "admin-token.new").write_text("half a tok")
    with group_of_another(first) as anothers:
        again = make_server(**settings)  # the same data directory
        assert again.call("hello").text == "hello"
        eventually(lambda: not leaf_names(again.data_dir) & {*left, DEAD})
        # A leaf for each cell that there is, and nothing else.
        if groups_of(again.data_dir):
            eventually(lambda: len(leaf_names(again.data_dir)) == cells_of(again))
        assert all(leaf.is_dir() for leaf in anothers)
    assert again.stop() == 0
    assert not groups_of(again.data_dir)


def test_a_second_server_on_the_same_data_directory_is_refused(
    make_server: Callable[..., Server], one_runtime: Path
) -> None:
    server = make_server(**{**SMALL, "runtimes_dir": one_runtime})
    server.deploy("hello", HELLO)
    command = [sys.executable, "-m", "supervisor.cli", "serve", "--data-dir", str(server.data_dir)]
    done = subprocess.run(
        [*command, "--bind", "127.0.0.1:0"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"another server uses {server.data_dir}; stop it" in done.stderr
    assert server.call("hello").text == "hello"


@pytest.mark.parametrize("what", ["supervisor.front.server", "supervisor.cli"], ids=["fronts", "launcher"])
def test_what_stands_by_and_is_killed_before_it_is_told_anything_is_started_again(
    tmp_path: Path, one_runtime: Path, what: str
) -> None:
    """The fronts and the first zygote's launcher wait while the server reads its settings: here one ends."""
    command = [sys.executable, "-m", "supervisor.cli", "serve", "--data-dir", str(tmp_path / "data")]
    command += ["--bind", "127.0.0.1:0", "--runtimes-dir", str(one_runtime), "--workers", "1"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as server:
        try:
            eventually(lambda: standing_by(server.pid, what))
            os.kill(standing_by(server.pid, what)[0], signal.SIGKILL)
            assert server.stdout is not None
            url = next(line.split()[-1] for line in server.stdout if "ready on" in line)
            assert httpx.get(f"{url}/healthz", timeout=30).status_code == 200
        finally:
            server.terminate()
    assert server.returncode == 0


def standing_by(server_pid: int, what: str) -> list[int]:
    """The server's children with this in their command line, the oldest first."""
    found = []
    for pid in sorted(children_of(server_pid)):
        with contextlib.suppress(OSError):
            if what.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found
