"""One server whose store is a PostgreSQL (``store_url``): all that it keeps is there, and nothing else is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import MakeServer
from tests.support import postgres
from tests.support.eventually import eventually
from tests.support.postgres import Postgres
from tests.support.server import REPOSITORY, SPACE, Server

pytestmark = pytest.mark.slow

PASSWORD = "a-password-of-the-store"
SOURCE = """
from function import secrets, variables

def handle(req):
    return {"body": f"%s {secrets.get('KEY')} {variables.get('region')}"}
"""
COMMAND_SECONDS = 60


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with postgres.for_servers() as running:
        yield running


def command(folder: Path, store_url: str | None, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """A command of an operator whose settings are in a file."""
    config = folder / "settings.toml"
    config.write_text(f"store_url = '{store_url}'\n" if store_url else "")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CELLBLOCK_")}
    return subprocess.run(
        [sys.executable, "-m", "supervisor.cli", *map(str, words), "--config", str(config)],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )


def filled(server: Server, word: str) -> None:
    values = f"/spaces/{SPACE}"
    assert server.client.put(f"{values}/secrets/KEY", json={"value": "s3cret"}).is_success
    assert server.client.put(f"{values}/variables/region", json={"value": "eu"}).is_success
    server.deploy("told", SOURCE % word)


def test_what_was_deployed_is_in_postgresql_and_there_after_a_restart(
    database: Postgres, make_server: MakeServer
) -> None:
    url = database.over_tcp(database.fresh(), PASSWORD)
    server = make_server(store_url=url)
    filled(server, "first")
    assert server.call("told").text == "first s3cret eu"
    server.deploy("told", SOURCE % "second")
    assert server.call("told").text == "second s3cret eu"
    assert httpx.get(f"{server.url}/readyz").json()["status"] == "ok"
    assert not (server.data_dir / "front/cellblock.db").exists()
    assert server.stop() == 0
    # The folder of code is a cache of the store, this one too.
    subprocess.run(["rm", "-rf", str(server.data_dir / "front/bundles")], check=True)
    again = make_server(store_url=url)
    assert again.call("told").text == "second s3cret eu"
    assert [one["name"] for one in again.client.get(f"/spaces/{SPACE}/functions").json()["data"]] == ["told"]
    words = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if is_ours(path, again.pid)]
    assert len(words) > 3 and not any(PASSWORD.encode() in one for one in words)
    assert PASSWORD not in server.log + again.log


def is_ours(path: Path, warden: int) -> bool:
    """Whether a process is the warden or its child."""
    try:
        parent = int((path.parent / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return False
    return warden in (parent, int(path.parent.name))


def test_a_front_reaches_postgresql_by_its_unix_socket_too(
    database: Postgres, make_server: MakeServer
) -> None:
    server = make_server(store_url=database.fresh())
    filled(server, "by a socket:")
    assert server.call("told").text == "by a socket: s3cret eu"


@pytest.mark.parametrize("goes_to", ["a data directory", "another database"])
def test_a_backup_of_a_serving_server_is_restored_into_either_kind_of_store(
    goes_to: str, database: Postgres, make_server: MakeServer, tmp_path: Path
) -> None:
    url = database.over_tcp(database.fresh(), PASSWORD)
    server = make_server(store_url=url)
    filled(server, "kept")
    file = tmp_path / "one.backup"
    done = command(tmp_path, url, "backup", file, "--data-dir", server.data_dir)
    assert done.returncode == 0, done.stderr
    assert "1 functions, 1 versions, 1 bundles, 2 secrets and variables" in done.stdout
    server.deploy("told", SOURCE % "too late")
    key = server.data_dir / "front/sealing.key"

    other = None if goes_to == "a data directory" else database.over_tcp(database.fresh(), PASSWORD)
    words = ("restore", file, "--data-dir", tmp_path / "new", "--sealing-key", key)
    done = command(tmp_path, other, *words)
    assert done.returncode == 0, done.stderr
    assert server.stop() == 0
    restored = make_server("new", store_url=other)
    assert restored.call("told").text == "kept s3cret eu"
    assert (restored.data_dir / "front/cellblock.db").exists() == (other is None)
    if other is not None:  # it is not empty now
        words = ("restore", file, "--data-dir", tmp_path / "newer", "--sealing-key", key)
        done = command(tmp_path, other, *words)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert "it is not empty" in done.stderr
        assert list((tmp_path / "newer").iterdir()) == []


def test_a_server_whose_postgresql_is_away_serves_what_it_knows_and_uses_it_again(
    database: Postgres, make_server: MakeServer
) -> None:
    server = make_server(workers=1, store_url=database.over_tcp(database.fresh(), PASSWORD))
    filled(server, "known")
    assert server.call("told").text == "known s3cret eu"

    def ready() -> dict[str, Any]:
        answer = httpx.get(f"{server.url}/readyz", timeout=30)
        assert answer.status_code == 200
        return dict(answer.json())

    database.control("stop")
    try:
        eventually(lambda: ready()["status"] == "degraded")
        assert [problem["part"] for problem in ready()["problems"]] == ["store"]
        assert server.call("told").text == "known s3cret eu"
        refused = server.client.put(f"/spaces/{SPACE}/variables/region", json={"value": "us"})
        assert refused.status_code == 503 and refused.headers["retry-after"]
    finally:
        database.control("start")
    eventually(lambda: ready()["status"] == "ok")
    assert server.client.put(f"/spaces/{SPACE}/variables/region", json={"value": "us"}).is_success
    eventually(lambda: server.call("told").text == "known s3cret us")
    assert PASSWORD not in server.log


def test_a_check_reads_the_database_and_deploys_elsewhere(database: Postgres, tmp_path: Path) -> None:
    url = database.over_tcp(database.fresh(), PASSWORD)
    for store_url, found in ((url, "PASS"), (url.replace("test", "nobodys"), "FAIL")):
        done = command(tmp_path, store_url, "check", "--json", "--data-dir", tmp_path / "data")
        lines = {line["what"]: line for line in json.loads(done.stdout)}
        assert lines["store"]["status"] == found, done.stdout
        assert lines["deploy and call"]["status"] == found
        assert PASSWORD not in done.stdout + done.stderr
    assert "to be made" in command(tmp_path, url, "check", "--data-dir", tmp_path / "data").stdout


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://root:a-password-of-the-store@host/db", "store_url"),
        ("postgresql://u:a-password-of-the-store@127.0.0.1:9/db", "cannot open the store"),
        ("postgresql://u:a-password-of-the-store@127.0.0.1:x/db", "cannot "),
    ],
    ids=["another database", "nobody there", "no port"],
)
def test_a_url_that_cannot_be_used_ends_the_start_and_its_password_is_not_told(
    url: str, says: str, tmp_path: Path
) -> None:
    done = command(tmp_path, url, "serve", "--bind", "127.0.0.1:0", "--data-dir", tmp_path / "data")
    assert done.returncode == 2, done.stderr
    assert says in done.stderr and "Traceback" not in done.stderr
    assert PASSWORD not in done.stderr + done.stdout
