"""A backup is what one moment had, all of it, or it is refused; a restore makes all of it, or nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.bundles.bundle_store import BundleStore
from supervisor.store import Content, Sealer, database, migrate, open_lookups
from supervisor.store.backup import backing_up, backup_file, restoring
from supervisor.store.ring.key_ring import KeyRing
from supervisor.store.store import open_store
from tests.support.packing import CODE, zipped
from tests.support.server import REPOSITORY

KEY = b"k" * 32
PASSPHRASE = "a long enough passphrase"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "supervisor.cli", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CELLBLOCK_")}
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def refused(done: subprocess.CompletedProcess[str], *says: str) -> None:
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (2, 1), done.stderr
    for words in says:
        assert words in lines[0]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with two functions, a value, and a bundle of several pieces."""
    folder = tmp_path_factory.mktemp("backed") / "data"
    front = folder / "front"
    front.mkdir(parents=True)
    url = f"sqlite:///{front}/cellblock.db"
    migrate(url)
    (front / "sealing.key").touch(0o600)
    (front / "sealing.key").write_bytes(KEY)
    store = open_store(url, Sealer(KEY))
    bundles = BundleStore(front / "bundles", 8 << 20, 100)
    large = zipped(("handler.py", CODE), ("noise", os.urandom(3 << 20)), method=0)
    for name, source in (("hello", CODE), ("large", large)):
        digest = bundles.add(source)
        store.put_bundle(digest, lambda emit, digest=digest: bundles.pack(digest, emit))
        store.create_function("demo", name, Content(digest, "python3-http", "", {"A": "1"}, {"timeout": 2.0}))
    store.put_value("demo", "secret", "KEY", "s3cret")
    store.close()
    return folder


@pytest.fixture(scope="module")
def file(data: Path) -> Path:
    target = data.with_name("one.backup")
    done = run("backup", target, "--data-dir", data)
    assert done.returncode == 0, done.stderr
    assert "logs are not in it" in done.stdout
    assert f"keep a copy of {data}/front/sealing.key" in done.stdout
    assert target.stat().st_mode & 0o777 == 0o600
    return target


def same(restored: Path, data: Path, tmp_path: Path) -> None:
    """Whether a restored data directory answers as the one that was backed up."""
    lookups = open_lookups(f"sqlite:///{restored}/front/cellblock.db", Sealer(KEY))
    before = BundleStore(data / "front/bundles", 8 << 20, 100)
    again = BundleStore(tmp_path / "again", 8 << 20, 100, pieces_of=lookups.pieces_of)
    try:
        assert lookups.values("demo").secrets == {"KEY": "s3cret"}
        for name in ("hello", "large"):
            found = lookups.deployment("demo", name)
            assert found is not None
            assert (found.env, found.options) == ({"A": "1"}, {"timeout": 2.0})
            assert again.ensure(found.digest).is_dir()
            assert again.code(found.digest) == before.code(found.digest)
    finally:
        lookups.close()


def test_a_data_directory_is_made_of_a_backup_and_the_key_kept_elsewhere(
    data: Path, file: Path, tmp_path: Path
) -> None:
    key = tmp_path / "sealing.key"
    key.touch(0o600)
    key.write_bytes(KEY)
    done = run("restore", file, "--data-dir", tmp_path / "new", "--sealing-key", key)
    assert done.returncode == 0, done.stderr
    same(tmp_path / "new", data, tmp_path)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["front"]
    refused(run("restore", file, "--data-dir", tmp_path / "new"), "not empty ('front' is in it)")


@pytest.mark.promise("T89")
def test_the_sealing_key_is_in_a_backup_only_when_asked_for_and_opens_with_its_passphrase_only(
    data: Path, file: Path, tmp_path: Path
) -> None:
    assert KEY not in file.read_bytes()
    word, wrong, target = tmp_path / "word", tmp_path / "wrong", tmp_path / "with-key.backup"
    word.write_text(PASSPHRASE + "\n")
    wrong.write_text(PASSPHRASE + "!\n")
    done = run("backup", target, "--data-dir", data, "--with-key", "--passphrase-file", word)
    assert done.returncode == 0, done.stderr
    assert KEY not in target.read_bytes()
    new = tmp_path / "new"
    refused(run("restore", target, "--data-dir", new), "--passphrase-file")
    refused(run("restore", target, "--data-dir", new, "--passphrase-file", wrong), "passphrase is wrong")
    assert not new.exists()
    done = run("restore", target, "--data-dir", new, "--passphrase-file", word)
    assert done.returncode == 0, done.stderr
    assert (new / "front/sealing.key").stat().st_mode & 0o777 == 0o600
    same(new, data, tmp_path)
    done = run("restore", target, "--data-dir", tmp_path / "bare", "--without-key")
    assert "need the sealing key of that server" in done.stdout
    assert not (tmp_path / "bare/front/sealing.key").exists()


def refusal(source: Path, front: Path) -> str:
    with pytest.raises(Exception) as caught:
        restoring.restore(source, front, lambda header, sealed: None, lambda done, of: None)
    assert type(caught.value).__name__ == "ConfigurationError"
    assert not front.exists()
    return str(caught.value)


@pytest.mark.promise("S161")
def test_a_damaged_backup_is_refused_whichever_byte_it_is(file: Path, tmp_path: Path) -> None:
    whole, front = file.read_bytes(), tmp_path / "data/front"
    damaged = tmp_path / "damaged"
    places = {*range(64), *range(0, len(whole), len(whole) // 60), *range(len(whole) - 40, len(whole))}
    for place in sorted(places):
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        assert "\n" not in refusal(damaged, front)
    for length in (0, 5, 30, len(whole) // 2, len(whole) - 1):
        damaged.write_bytes(whole[:length])
        refusal(damaged, front)
    damaged.write_bytes(whole + b"\0")
    refusal(damaged, front)
    assert not (tmp_path / "data/front").exists()


def test_a_backup_of_a_newer_version_is_refused(file: Path, tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    at = len(backup_file.MAGIC)
    whole = file.read_bytes()
    newer.write_bytes(whole[:at] + (2).to_bytes(4, "big") + whole[at + 4 :])
    assert "its format is 2" in refusal(newer, tmp_path / "data/front")
    with newer.open("wb") as target:
        writer = backup_file.FrameWriter(target)
        writer.frame(backup_file.HEADER, backup_file.Header("9999", "7.0.0", "", None, {}).encoded())
        writer.end()
    said = refusal(newer, tmp_path / "data/front")
    assert "cellblock '7.0.0' made it" in said
    assert "restore it with that version" in said


def test_what_cannot_be_backed_up_or_restored_is_one_line(data: Path, file: Path, tmp_path: Path) -> None:
    refused(run("backup", tmp_path / "b", "--data-dir", tmp_path / "no"), "cannot find a store")
    refused(run("backup", file, "--data-dir", data), "it exists")
    refused(run("backup", tmp_path / "no/b", "--data-dir", data), "No such file")
    refused(run("restore", tmp_path / "no", "--data-dir", tmp_path / "d"), "No such file")
    refused(run("restore", file, "--data-dir", tmp_path / "no/d"), "No such file")
    assert sorted(path.name for path in tmp_path.iterdir()) == []


@pytest.mark.promise("S163")
def test_a_kill_during_either_leaves_nothing_half_made(data: Path, file: Path, tmp_path: Path) -> None:
    """Each write and each sync is a place to be killed at; some of them are tried."""
    killer = (
        "import os, signal, sys\n"
        "left = int(sys.argv.pop(1))\n"
        "fsync = os.fsync\n"
        "def dying(descriptor):\n"
        "    global left\n"
        "    left -= 1\n"
        "    os.kill(os.getpid(), signal.SIGKILL) if left < 0 else fsync(descriptor)\n"
        "os.fsync = dying\n"
        "from supervisor.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    new, target = tmp_path / "new", tmp_path / "killed.backup"
    for left in range(3):
        for command in (("backup", target, "--data-dir", data), ("restore", file, "--data-dir", new)):
            done = subprocess.run(
                [sys.executable, "-c", killer, str(left), *map(str, command)],
                cwd=REPOSITORY, capture_output=True, timeout=60,
            )  # fmt: skip
            was_killed = done.returncode == -signal.SIGKILL
            if command[0] == "backup":
                assert target.exists() == (not was_killed or left == 1)
                target.unlink(missing_ok=True)
            elif was_killed:
                assert not (new / "front").exists()
    done = run("restore", file, "--data-dir", new)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in new.iterdir()] == ["front"]


def test_a_bundle_that_no_version_names_stays_out(data: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{data}/front/cellblock.db"
    store = open_store(url, Sealer(KEY))
    store.put_bundle("f" * 64, lambda emit: emit(b"unused"))
    store.close()
    done = backing_up.back_up(url, tmp_path / "b", lambda: None, None, lambda done, of: None)
    assert (done.header.rows["bundles"], done.header.rows["bundle_pieces"]) == (2, 5)


def test_a_backup_of_postgresql_is_one_snapshot_in_the_same_file(tmp_path: Path, postgresql: str) -> None:
    migrate(postgresql)
    store = open_store(postgresql, Sealer(KEY))
    store.put_bundle("a" * 64, lambda emit: emit(b"piece"))
    store.create_function(
        "demo", "hello", Content("a" * 64, "python3-http", "", {"A": "1"}, {"timeout": 2.0})
    )
    store.put_value("demo", "secret", "KEY", "before")

    def meanwhile(done: int, of: int) -> None:
        store.put_value("demo", "secret", "KEY", "after")

    backing_up.back_up(postgresql, tmp_path / "b", lambda: KeyRing((KEY,)), None, meanwhile)
    store.close()
    restoring.restore(
        tmp_path / "b", tmp_path / "new/front", lambda header, sealed: KeyRing((KEY,)), lambda done, of: None
    )
    lookups = open_lookups(f"sqlite:///{tmp_path}/new/front/cellblock.db", Sealer(KEY))
    try:
        assert lookups.values("demo").secrets == {"KEY": "before"}
        found = lookups.deployment("demo", "hello")
        assert found is not None and (found.env, found.options) == ({"A": "1"}, {"timeout": 2.0})
        assert list(lookups.pieces_of("a" * 64) or ()) == [b"piece"]
    finally:
        lookups.close()


def test_a_snapshot_holds_up_no_writer(data: Path) -> None:
    url = f"sqlite:///{data}/front/cellblock.db"
    db, store = database.connect(url), open_store(url, Sealer(KEY))
    try:
        with db.snapshot() as connection:
            query = "SELECT count(*) FROM space_values"
            before = connection.exec_driver_sql(query).scalar_one()
            store.put_value("demo", "variable", "new", 1)
            assert connection.exec_driver_sql(query).scalar_one() == before
        store.delete_value("demo", "variable", "new")
    finally:
        store.close()
        db.close()
