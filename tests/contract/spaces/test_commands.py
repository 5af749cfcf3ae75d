"""``cellblock spaces`` and ``cellblock audit`` against a server, and ``--space`` completed from it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from supervisor.cli.main import main
from supervisor.cli.tenants.space_names import COMPLETION_SECONDS
from tests.contract.spaces.conftest import Space
from tests.support.server import REPOSITORY, TOKEN, Server

DEADLINE_S = 60
Say = Callable[..., str]


@pytest.fixture
def say(host: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Say:
    """Runs a command, which has to succeed; what it printed."""
    monkeypatch.setenv("CELLBLOCK_URL", host.url)
    monkeypatch.setenv("CELLBLOCK_TOKEN", TOKEN)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str) -> str:
        capfd.readouterr()
        assert main(words) == 0, capfd.readouterr().err
        return capfd.readouterr().out

    return run


def test_a_space_from_its_creation_to_its_end(host: Server, say: Say) -> None:
    assert say("spaces", "create", "by-hand", "--title", "By hand") == "created space by-hand\n"
    assert "By hand" in say("spaces", "list")
    assert json.loads(say("spaces", "show", "by-hand", "--json"))["title"] == "By hand"
    say("spaces", "title", "by-hand", "Renamed")
    assert "Renamed" in say("spaces", "show", "by-hand")
    say("spaces", "suspend", "by-hand")
    assert "suspended" in say("spaces", "list")
    say("spaces", "resume", "by-hand")
    assert json.loads(say("spaces", "show", "by-hand", "--json"))["suspended"] is False
    say("spaces", "remove", "by-hand", "--confirm", "by-hand")
    assert "by-hand" not in say("spaces", "list")
    assert host.client.get("/spaces/by-hand").status_code == 404
    lines = [json.loads(line) for line in say("audit", "-A", "--json").splitlines()]
    found = [line["action"] for line in lines if line["space"] == "by-hand"]
    assert found == ["space.create", "space.update", "space.suspend", "space.resume", "space.delete"]


def test_the_audit_shows_the_last_lines_of_a_space_the_newest_last(space: Space, say: Say) -> None:
    for number in range(3):
        space.send("PUT", f"/variables/V{number}", json={"value": number})
    shown = say("audit", "-s", space.name, "-n", "2").splitlines()
    assert [line.split()[5] for line in shown] == ["V1", "V2"]
    assert shown[0].split()[1:5] == [space.name, "admin", "127.0.0.1", "variable.update"]
    assert say("audit", "-s", space.name, "--action", "secret") == ""
    assert len(say("audit", "-s", space.name, "--since", "1h").splitlines()) == 4


@contextmanager
def following(host: Server, *words: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "CELLBLOCK_URL": host.url, "CELLBLOCK_TOKEN": TOKEN, "PYTHONUNBUFFERED": "1"}
    program = [sys.executable, "-m", "supervisor.cli", "audit", "-f", *words]
    with subprocess.Popen(
        program, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_follower_sees_each_change_once_whichever_front_made_it(host: Server, space: Space) -> None:
    """Its first line is an older one, so that it follows from then on."""
    with following(host, "-s", space.name, "-n", "1", "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["action"] == "space.create"
        for number in range(8):  # a connection each, so that both fronts make some
            path = f"{host.url}{space.path}/variables/V{number}"
            put = {"headers": dict(host.client.headers), "json": {"value": number}}
            assert httpx.put(path, **put).status_code == 201
        seen = [json.loads(process.stdout.readline())["target"] for _ in range(8)]
        space.send("PUT", "/variables/LAST", json={"value": 1})
        assert json.loads(process.stdout.readline())["target"] == "LAST"
    assert seen == [f"V{number}" for number in range(8)]


def completed(words: str, url: str) -> list[str]:
    """What bash is told for an unfinished command line."""
    environment = {
        **os.environ,
        "CELLBLOCK_URL": url,
        "CELLBLOCK_TOKEN": TOKEN,
        "_CELLBLOCK_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-c", "from supervisor.cli.main import main; raise SystemExit(main())"],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=DEADLINE_S,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


def test_space_is_completed_from_the_server(host: Server, space: Space) -> None:
    assert space.name in completed("cellblock functions list --space sp", host.url)
    assert set(completed("cellblock deploy --space de", host.url)) == {"default", "demo"}
    assert completed("cellblock spaces show dem", host.url) == ["demo"]


def test_completion_says_nothing_when_the_server_is_away_or_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        port = silent.getsockname()[1]
        assert completed("cellblock functions list --space d", f"http://127.0.0.1:{port}") == []
        assert time.monotonic() - begun > COMPLETION_SECONDS, "the control: it did ask"
    assert completed("cellblock functions list --space d", f"http://127.0.0.1:{port}") == []
