"""Backups that are made before, during and after a rotation of the sealing key, and their restores."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.store import Sealer, migrate, open_lookups
from supervisor.store.backup import backing_up, restoring
from supervisor.store.backup.backup_file import Header
from supervisor.store.backup.sealed_key import open_key
from supervisor.store.ring import resealing
from supervisor.store.ring.key_file import KeyFile, load_key
from supervisor.store.ring.key_ring import KeyRing
from supervisor.store.ring.rotation import rotate
from supervisor.store.store import Store, open_store
from tests.contract.backup.test_backup import PASSPHRASE, refused, run

VALUES = {f"S{number}": f"secret {number}" for number in range(7)}
# How often the fronts were told something, and how many batches were sealed again, before the backup.
MOMENTS = {"before": None, "added": 1, "turned": 2, "half sealed": "batch", "dropped": 3, "after": "end"}


class Server:
    """A data directory whose key is replaced; ``stop_at`` is the moment at which a backup is made."""

    def __init__(self, folder: Path) -> None:
        self.front = folder / "front"
        self.front.mkdir(parents=True)
        self.url = f"sqlite:///{self.front}/cellblock.db"
        migrate(self.url)
        self.key_file = KeyFile(self.front / "sealing.key")
        self.store: Store = open_store(self.url, Sealer(self.key_file.load_or_create(), self.key_file.newer))
        for name, value in VALUES.items():
            self.store.put_value("demo", "secret", name, value)

    def back_up(self, target: Path, *, with_key: bool) -> Path:
        """A backup of now."""
        word = PASSPHRASE if with_key else None
        keys = lambda: load_key(self.key_file.path)  # noqa: E731 - as the command gives it
        backing_up.back_up(self.url, target, keys, word, lambda done, of: None)
        return target

    def rotate(self, moment: str, do: object) -> None:
        """Rotate, and call ``do`` at that moment."""
        assert callable(do)
        told = 0
        values = self.store.resealing
        some = values.some

        async def announce() -> None:
            nonlocal told
            told += 1
            if told == MOMENTS[moment]:
                do()

        def one_batch() -> int:
            done = some()
            if MOMENTS[moment] == "batch" and values.left() == len(VALUES) - resealing.BATCH:
                do()
            return done

        values.some = one_batch  # type: ignore[method-assign]
        if moment == "before":
            do()
        asyncio.run(rotate(self.key_file.path, values, announce))
        if moment == "after":
            do()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(resealing, "BATCH", 3)
    made = Server(tmp_path / "data")
    yield made
    made.store.close()


def values_in(front: Path) -> dict[str, str]:
    """What a server that starts there reads."""
    lookups = open_lookups(f"sqlite:///{front}/cellblock.db", Sealer(load_key(front / "sealing.key")))
    try:
        return lookups.values("demo").secrets
    finally:
        lookups.close()


@pytest.mark.promise("S238")
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_backup_of_any_moment_of_a_rotation_is_restored(
    server: Server, tmp_path: Path, moment: str
) -> None:
    copy = tmp_path / "copy.key"

    def back_up() -> None:
        server.back_up(tmp_path / "with", with_key=True)
        server.back_up(tmp_path / "bare", with_key=False)
        copy.touch(0o600)
        copy.write_bytes(server.key_file.path.read_bytes())

    server.rotate(moment, back_up)
    assert len(load_key(server.key_file.path).keys) == 1

    def from_passphrase(header: Header, sealed: bytes | None) -> KeyRing | None:
        assert sealed is not None
        return open_key(sealed, PASSPHRASE, header.encoded())

    restoring.restore(tmp_path / "with", tmp_path / "one/front", from_passphrase, lambda done, of: None)
    assert values_in(tmp_path / "one/front") == VALUES
    done = run("restore", tmp_path / "bare", "--data-dir", tmp_path / "two", "--sealing-key", copy)
    assert done.returncode == 0, done.stderr
    assert values_in(tmp_path / "two/front") == VALUES
    # What was restored in the middle of a rotation goes on with it.
    again = KeyFile(tmp_path / "two/front/sealing.key")
    url = f"sqlite:///{tmp_path}/two/front/cellblock.db"
    store = open_store(url, Sealer(again.load_or_create(), again.newer))

    async def nothing() -> None:
        pass

    assert asyncio.run(rotate(again.path, store.resealing, nothing)).is_done
    store.close()
    assert values_in(tmp_path / "two/front") == VALUES


@pytest.mark.parametrize("moment", ["before", "half sealed"])
def test_a_backup_is_not_restored_with_a_key_that_does_not_open_all_of_it(
    server: Server, tmp_path: Path, moment: str
) -> None:
    server.rotate(moment, lambda: server.back_up(tmp_path / "file", with_key=False))
    target = tmp_path / "new"
    done = run("restore", tmp_path / "file", "--data-dir", target, "--sealing-key", server.key_file.path)
    refused(done, "is not the sealing key of this backup", "both keys" if moment == "half sealed" else "")
    assert not target.exists()
