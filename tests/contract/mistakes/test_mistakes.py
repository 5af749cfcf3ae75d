"""Each mistake of the table costs one line that says what, why and what to do.

Most are made in this process: a start of the command takes longer than the command.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from supervisor.cli.main import main
from tests.contract.mistakes.table import (
    BIG_BYTES,
    BIG_FILE,
    FILES,
    FUNCTIONS,
    IN_PROCESS,
    STARTS,
    Mistake,
)
from tests.support.server import REPOSITORY, SPACE, TOKEN, Server

DEADLINE_SECONDS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mistakes")
    for name, content in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (root / BIG_FILE).write_bytes(b"#" * BIG_BYTES)
    broken = root / "broken/cellblock/config.toml"
    broken.parent.mkdir(parents=True)
    broken.write_text("[server\n")
    return root


@pytest.fixture(scope="module")
def deployed(server: Server) -> Iterator[Server]:
    for name, (source, options) in FUNCTIONS.items():
        server.deploy(name, source, **options)
    assert server.client.put(f"/spaces/{SPACE}/secrets/MISTAKEN_KEY", json={"value": "x"}).is_success
    yield server
    for name in FUNCTIONS:
        assert server.client.delete(f"/spaces/{SPACE}/functions/{name}").status_code == 204
    assert server.client.delete(f"/spaces/{SPACE}/secrets/MISTAKEN_KEY").status_code == 204


@pytest.fixture(scope="module")
def places(deployed: Server, folder: Path) -> Iterator[dict[str, str]]:
    """What stands for the names in braces: a port where nobody listens, and so on."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, so that nobody else gets it; it does not listen
        yield {
            "url": deployed.url,
            "port": str(urlsplit(deployed.url).port),
            "closed": str(closed.getsockname()[1]),
            "folder": str(folder),
        }


def environment(mistake: Mistake, places: Mapping[str, str]) -> dict[str, str]:
    ours = {
        "CELLBLOCK_URL": places["url"],
        "CELLBLOCK_TOKEN": TOKEN,
        "CELLBLOCK_SPACE": SPACE,
        "XDG_CONFIG_HOME": places["folder"] + "/config",
    }
    return ours | {name: value.format(**places) for name, value in mistake.variables.items()}


def is_told(mistake: Mistake, places: Mapping[str, str], code: int, out: str, err: str) -> None:
    shown = f"{mistake.words} -> {code}\n{out}\n{err}"
    assert code == mistake.code, shown
    assert err.startswith("cellblock: ") and err.count("\n") == 1 and err.endswith("\n"), shown
    assert "Traceback" not in err and len(err) < 500, shown
    assert bool(out) == mistake.has_output, shown
    for part in mistake.says:
        assert part.format(**places).lower() in err.lower(), f"{part!r} is not in\n{shown}"


def test_the_table_has_60_mistakes_and_no_two_alike() -> None:
    made = [(one.words, *one.variables) for one in (*IN_PROCESS, *STARTS)]
    assert len(made) == len(set(made)) >= 60


@pytest.mark.promise("S188")
@pytest.mark.parametrize("mistake", IN_PROCESS, ids=lambda one: " ".join((one.words, *one.variables)))
def test_a_mistake_costs_one_line_that_says_what_why_and_what_to_do(
    mistake: Mistake,
    places: dict[str, str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name in [name for name in os.environ if name.startswith("CELLBLOCK_")]:
        monkeypatch.delenv(name)
    for name, value in environment(mistake, places).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    code = main(shlex.split(mistake.words.format(**places)))
    is_told(mistake, places, code, *capfd.readouterr())


@pytest.mark.promise("S190")
@pytest.mark.parametrize("mistake", STARTS, ids=lambda one: one.words)
def test_a_server_that_cannot_start_says_so_in_one_line(
    mistake: Mistake, places: dict[str, str], folder: Path
) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CELLBLOCK_")}
    done = subprocess.run(
        [sys.executable, "-m", "supervisor.cli", *shlex.split(mistake.words.format(**places))],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(REPOSITORY), **environment(mistake, places)},
        timeout=DEADLINE_SECONDS,
    )
    is_told(mistake, places, done.returncode, done.stdout, done.stderr)


def test_a_space_is_made_when_it_is_asked_for(
    deployed: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CELLBLOCK_URL", deployed.url)
    monkeypatch.setenv("CELLBLOCK_TOKEN", TOKEN)
    monkeypatch.chdir(folder)
    assert main(["--space", "made-new", "deploy", "hello.py", "--create-space"]) == 0
    assert main(["functions", "--space", "made-new", "list"]) == 0
    assert "hello" in capfd.readouterr().out
    assert main(["deploy", "hello.py", "--space", "made-new", "--name", "second"]) == 0
    assert main(["functions", "rm", "hello", "second", "-s", "made-new"]) == 0
    assert main(["functions", "list", "-s", "made-new"]) == 0
    assert main(["functions", "list", "-s", "never-made"]) == 1
