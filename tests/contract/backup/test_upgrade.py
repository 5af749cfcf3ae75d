"""The data directory of every released version is taken over; a newer one is refused.

``tests/upgrade/make.py`` made them, with the servers of their commits.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from supervisor.bundles.bundle_store import BundleStore
from supervisor.errors import ConfigurationError
from supervisor.store import Sealer, migrate, open_lookups
from supervisor.store.ring.key_file import load_key
from supervisor.store.store import open_store
from tests.support.server import TOKEN, Server

DATA = Path(__file__).parents[2] / "upgrade/data"
VERSIONS = sorted(path.name.removesuffix(".tar.gz") for path in DATA.glob("*.tar.gz"))


def unpacked(version: str, folder: Path) -> Path:
    with tarfile.open(DATA / f"{version}.tar.gz") as archive:
        # Our own archives.  Debian 12's Python has no filters yet, and later ones ask for one.
        archive.extraction_filter = lambda member, _: member
        archive.extractall(folder)
    return folder


def test_there_is_one_of_every_release() -> None:
    changelog = (Path(__file__).parents[3] / "CHANGELOG.md").read_text()
    released = [line.split()[1] for line in changelog.splitlines() if line.startswith("## ")]
    # The newest is this server's own, whose data is no older server's yet.
    assert set(VERSIONS) >= set(released[1:]) - {"Unreleased"}


@pytest.mark.promise("S162")
@pytest.mark.parametrize("version", VERSIONS)
def test_the_data_of_a_released_version_is_taken_over(version: str, tmp_path: Path) -> None:
    front = unpacked(version, tmp_path / "data") / "front"
    url = f"sqlite:///{front}/cellblock.db"
    sealer = Sealer(load_key(front / "sealing.key"))
    before = BundleStore(front / "bundles", 1 << 20, 100)
    digests = sorted(path.name for path in before.root.iterdir() if len(path.name) == 64)
    migrate(url, front / "bundles")
    store, lookups = open_store(url, sealer), open_lookups(url, sealer)
    try:
        assert lookups.values("demo").secrets == {"KEY": "s3cret"}
        assert lookups.values("demo").variables == {"region": "eu-west-1"}
        assert (store.function("demo", "hello").active.number, len(digests)) == (2, 3)
        assert lookups.deployment("demo", "package").options["timeout"] == 2.5
        again = BundleStore(tmp_path / "bundles", 1 << 20, 100, pieces_of=lookups.pieces_of)
        for digest in digests:
            assert again.ensure(digest).is_dir()
            assert again.code(digest) == before.code(digest)
    finally:
        store.close()
        lookups.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_every_space_that_an_older_store_had_something_in_is_there_afterwards_and_no_other(
    version: str, tmp_path: Path
) -> None:
    """Up to 0.9.0 a space was there while it had a function or a value, whatever put it there."""
    front = unpacked(version, tmp_path / "data") / "front"
    url = f"sqlite:///{front}/cellblock.db"
    with closing(sqlite3.connect(front / "cellblock.db")) as old:
        old.execute("UPDATE functions SET space = 'of-a-function' WHERE name = 'package'")
        old.execute("UPDATE space_values SET space = 'of-a-value' WHERE kind = 'variable'")
        old.commit()
    migrate(url, front / "bundles")
    with closing(open_store(url, Sealer(load_key(front / "sealing.key")))) as store:
        found = [one.name for one in store.spaces.page(100).items]
        assert found == ["default", "demo", "of-a-function", "of-a-value"]
        assert not any(one.suspended for one in store.spaces.page(100).items)
        assert store.function("of-a-function", "package")
        store.put_value("of-a-value", "variable", "new", 1)
        store.spaces.begin_delete("of-a-function")


@pytest.mark.needs_root
@pytest.mark.slow
@pytest.mark.parametrize(
    "version",
    [
        VERSIONS[0],
        *(pytest.param(version, marks=pytest.mark.proof) for version in VERSIONS[1:]),
    ],
)
def test_a_server_serves_the_data_of_a_released_version(
    version: str, tmp_path: Path, one_runtime: Path
) -> None:
    data = unpacked(version, tmp_path / "data")
    server = Server(data, workers=1, runtimes_dir=one_runtime, preload="[]", blank_cells=1)
    try:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        for name, body in (("hello", "second s3cret eu-west-1"), ("package", "a package, ü")):
            answer = server.client.post(f"/spaces/demo/functions/{name}/invoke", headers=headers)
            assert (answer.status_code, answer.text) == (200, body)
    finally:
        assert server.stop() == 0


@pytest.mark.promise("S166")
def test_a_downgrade_is_refused_with_what_to_do(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/cellblock.db"
    migrate(url)
    with sqlite3.connect(tmp_path / "cellblock.db") as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
    newer.close()
    with pytest.raises(ConfigurationError) as caught:
        migrate(url)
    for words in ("a newer server wrote it", "9999", "start that version again", "restore a backup"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_server_that_may_not_use_its_store_ends_and_says_why_once(tmp_path: Path) -> None:
    """Fronts that can only fail again were started again and again, and the server never ended."""
    (tmp_path / "front").mkdir()
    migrate(f"sqlite:///{tmp_path}/front/cellblock.db")
    with sqlite3.connect(tmp_path / "front/cellblock.db") as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
    newer.close()
    ended = subprocess.run(
        [sys.executable, "-m", "supervisor.cli", "serve", "--data-dir", tmp_path, "--bind", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.count("a newer server wrote it") == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].endswith("the line above says why")


def test_a_bundle_that_is_damaged_on_disk_is_named_and_the_others_are_taken_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    front = unpacked("0.8.0", tmp_path / "data") / "front"
    url = f"sqlite:///{front}/cellblock.db"
    damaged = next(path for path in (front / "bundles").iterdir() if (path / "parts").is_dir())
    (damaged / "handler.py").write_text("other")
    migrate(url, front / "bundles")
    assert damaged.name in caplog.text
    with sqlite3.connect(front / "cellblock.db") as store:
        assert store.execute("SELECT count(*) FROM bundles").fetchone() == (2,)
    store.close()
