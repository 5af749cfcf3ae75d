"""The administrator's token while a server runs: replaced, refused, and on no stream that is kept."""

from __future__ import annotations

import base64
import os
import pty
import select
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from supervisor.warden.admin_token import IN_FORCE_FILE, TOKEN_FILE
from tests.fault.conftest import HELLO
from tests.support.eventually import eventually
from tests.support.server import REPOSITORY, Server

COMMAND_SECONDS = 60
LIST = "/spaces/default/functions"


class OwnToken(Server):
    """A server that makes its own token, as one does that is started as it is shipped."""

    def __init__(self, data_dir: Path, runtimes_dir: Path, **settings: object) -> None:
        super().__init__(
            data_dir,
            preload="[]",
            blank_cells=1,
            runtimes_dir=runtimes_dir,
            wrap=("env", "-u", "CELLBLOCK_ADMIN_TOKEN"),
            **settings,
        )

    @property
    def token(self) -> str:
        """What its file says."""
        return (self.data_dir / TOKEN_FILE).read_text().strip()

    def status(self, token: str) -> int:
        """How a request on a connection of its own is answered, whichever front takes it."""
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(self.url + LIST, headers=headers, timeout=30, verify=False).status_code


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, one_runtime: Path) -> Iterator[OwnToken]:
    running = OwnToken(tmp_path_factory.mktemp("token") / "data", one_runtime)
    yield running
    assert running.stop() == 0, running.log


def rotate(data_dir: Path) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("CELLBLOCK_")}
    return subprocess.run(
        [sys.executable, "-m", "supervisor.cli", "token", "rotate", "--data-dir", str(data_dir)],
        cwd=REPOSITORY,
        env=variables,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )


@pytest.mark.promise("S177")
def test_a_rotated_token_is_known_to_every_front_when_the_command_ends_and_the_old_one_to_none(
    served: OwnToken,
) -> None:
    for _ in range(2):
        old = served.token
        assert served.status(old) == 200

        ended = rotate(served.data_dir)

        assert (ended.returncode, ended.stderr) == (0, ""), ended
        # Two fronts: new connections reach both.
        assert {served.status(served.token) for _ in range(6)} == {200}
        assert {served.status(old) for _ in range(4)} <= {401, 429}
        assert served.token not in ended.stdout and str(served.data_dir / TOKEN_FILE) in ended.stdout
        assert stat.S_IMODE((served.data_dir / TOKEN_FILE).stat().st_mode) == 0o600


@pytest.mark.promise("T90")
def test_who_calls_on_an_open_connection_is_refused_from_then_on(served: OwnToken) -> None:
    old = served.token
    with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {old}"}, timeout=30) as client:
        assert client.get(LIST).status_code == 200
        assert rotate(served.data_dir).returncode == 0
        assert client.get(LIST).status_code in (401, 429)


def test_a_token_that_an_operator_writes_is_taken_at_sighup_and_a_bad_one_is_not(served: OwnToken) -> None:
    old, file = served.token, served.data_dir / TOKEN_FILE
    file.write_text("too short\n")
    os.kill(served.pid, signal.SIGHUP)
    served.said("SIGHUP left the admin token as it was")
    assert served.status(old) == 200
    own = "of-my-own-0123456789abcdef"
    file.write_text(own + "\n")
    already = served.log_bytes
    os.kill(served.pid, signal.SIGHUP)
    served.said("every front knows the new admin token", since=already)
    assert (served.status(own), served.status(old)) == (200, 401)
    assert own not in served.log and old not in served.log


def test_a_front_that_starts_after_a_rotation_knows_the_new_token_only(served: OwnToken) -> None:
    from tests.support.processes import fronts_of

    old = served.token
    assert rotate(served.data_dir).returncode == 0
    before = set(fronts_of(served.pid))
    for front in before:
        os.kill(front, signal.SIGKILL)
    eventually(lambda: len(set(fronts_of(served.pid)) - before) == len(before))

    def answers(token: str) -> int:
        try:
            return served.status(token)
        except httpx.HTTPError:
            return 0

    eventually(lambda: answers(served.token) == 200)
    assert {answers(served.token) for _ in range(4)} == {200}
    assert {answers(old) for _ in range(4)} <= {401, 429}


def test_a_rotation_under_load_costs_callers_with_the_right_token_nothing(served: OwnToken) -> None:
    headers = {"Authorization": f"Bearer {served.token}"}
    source = {"name": "hello", "source": {"code": base64.b64encode(HELLO.encode()).decode()}}
    made = httpx.post(served.url + LIST, json=source, headers=headers, timeout=60)
    assert made.status_code == 201, made.text
    wrong: list[object] = []
    stop = threading.Event()
    calls = [0]

    def call() -> None:
        with httpx.Client(base_url=served.url, timeout=30) as client:
            while not stop.is_set():
                token = served.token
                answer = client.post(f"{LIST}/hello/invoke", headers={"Authorization": f"Bearer {token}"})
                # The file is new a moment before the fronts are.
                if answer.status_code != 200 and token == served.token == in_force_token(served):
                    wrong.append(answer.text)
                calls[0] += 1

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    eventually(lambda: calls[0] > 0)
    assert rotate(served.data_dir).returncode == 0
    before = calls[0]
    eventually(lambda: calls[0] > before + 1)
    stop.set()
    thread.join(30)
    assert wrong == []


def in_force_token(served: OwnToken) -> str:
    """The file's token, if that is the one which all fronts know."""
    from supervisor.warden.admin_token import digest_of

    digest = (served.data_dir / IN_FORCE_FILE).read_text().strip()
    return served.token if digest_of(served.token) == digest else ""


@pytest.mark.promise("S178")
def test_a_start_whose_output_is_kept_says_where_the_token_lies_and_never_what_it_is(
    tmp_path: Path, one_runtime: Path
) -> None:
    server = OwnToken(tmp_path / "data", one_runtime)
    assert server.process.stdout is not None
    token = server.token
    assert server.status(token) == 200
    os.kill(server.pid, signal.SIGHUP)
    server.said("read again")
    server.client.close()
    server.process.send_signal(signal.SIGTERM)
    rest = server.process.communicate(timeout=COMMAND_SECONDS)[0].decode()
    assert token not in rest and token not in server.log


def test_a_terminal_shows_the_token_once_and_the_second_start_not_at_all(
    tmp_path: Path, one_runtime: Path
) -> None:
    first, second = (on_a_terminal(tmp_path / "data", one_runtime) for _ in range(2))

    token = (tmp_path / "data" / TOKEN_FILE).read_text().strip()
    assert first.count(token) == 1 and f"shown once and kept in {tmp_path}/data/{TOKEN_FILE}" in first
    assert token not in second


def on_a_terminal(data_dir: Path, runtimes_dir: Path) -> str:
    """What a terminal shows of a start that is ended when it is ready."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("CELLBLOCK_")}
    variables |= {
        "CELLBLOCK_PRELOAD": "[]",
        "CELLBLOCK_BLANK_CELLS": "0",
        "CELLBLOCK_RUNTIMES_DIR": str(runtimes_dir),
    }
    ours, theirs = pty.openpty()
    server = subprocess.Popen(
        [sys.executable, "-m", "supervisor.cli", "serve", "--data-dir", str(data_dir), "--workers", "1",
         "--bind", "127.0.0.1:0"],
        cwd=REPOSITORY, env=variables, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + COMMAND_SECONDS
    try:
        while b"ready on" not in shown and time.monotonic() < deadline:
            if select.select([ours], [], [], 1.0)[0]:
                shown += os.read(ours, 4096)
        assert b"ready on" in shown, shown
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(COMMAND_SECONDS) == 0
        os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def test_without_a_server_the_next_one_has_the_new_token(tmp_path: Path) -> None:
    (tmp_path / TOKEN_FILE).write_text("old-0123456789abcdef\n")
    ended = rotate(tmp_path)
    assert ended.returncode == 0 and "no server runs" in ended.stdout
    token = (tmp_path / TOKEN_FILE).read_text().strip()
    assert token.startswith("cb_") and token not in ended.stdout


@pytest.mark.parametrize(("folder", "what"), [("none", "No such file"), ("file", "Not a directory")])
def test_a_data_directory_that_is_none_costs_one_line(tmp_path: Path, folder: str, what: str) -> None:
    (tmp_path / "file").write_text("")
    ended = rotate(tmp_path / folder)
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert what in ended.stderr and "--data-dir" in ended.stderr
