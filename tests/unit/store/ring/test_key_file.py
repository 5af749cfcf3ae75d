"""Where the sealing key comes from, and what takes its place."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from supervisor.errors import ConfigurationError, PlatformError
from supervisor.store.ring.key_file import KeyFile, alone, load_key, load_or_create_key, replace_key
from supervisor.store.ring.key_ring import KEY_BYTES, KeyRing

OLD, NEW = b"o" * KEY_BYTES, b"n" * KEY_BYTES


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    path = tmp_path / "sealing.key"
    ring = load_or_create_key(path)
    assert [len(key) for key in ring.keys] == [KEY_BYTES]
    assert load_or_create_key(path) == ring
    assert path.read_bytes() == ring.keys[0]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["sealing.key"]


def test_two_places_get_two_keys(tmp_path):
    assert load_or_create_key(tmp_path / "a") != load_or_create_key(tmp_path / "b")


def test_servers_that_start_at_once_agree_on_one_key(tmp_path):
    start = threading.Barrier(8)
    keys = []

    def make() -> None:
        start.wait(10)
        keys.append(load_or_create_key(tmp_path / "sealing.key"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(keys) == 8
    assert len(set(keys)) == 1


@pytest.mark.parametrize("content", [b"", b"k" * 31, b"k" * 33, KeyRing((OLD, NEW)).encoded() + b"x"])
def test_a_file_that_is_no_key_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "sealing.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="32 bytes"):
        load_or_create_key(path)
    assert path.read_bytes() == content


def test_a_key_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "sealing.key"
    path.write_bytes(b"k" * KEY_BYTES)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_or_create_key(path)


def test_a_link_in_place_of_the_key_is_not_followed(tmp_path):
    (tmp_path / "other").write_bytes(b"k" * KEY_BYTES)
    (tmp_path / "sealing.key").symlink_to(tmp_path / "other")
    with pytest.raises(ConfigurationError, match=r"sealing\.key"):
        load_or_create_key(tmp_path / "sealing.key")


def test_a_pipe_in_place_of_the_key_does_not_hang_the_start(tmp_path):
    os.mkfifo(tmp_path / "sealing.key", 0o600)
    with pytest.raises(ConfigurationError, match="not a regular file"):
        load_or_create_key(tmp_path / "sealing.key")


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="nowhere"):
        load_or_create_key(tmp_path / "nowhere" / "sealing.key")


def test_a_ring_takes_the_place_of_a_key_as_a_whole_and_only_its_owner_can_read_it(tmp_path):
    path = tmp_path / "sealing.key"
    load_or_create_key(path)
    ring = KeyRing((OLD, NEW))
    with path.open("rb") as before:
        replace_key(path, ring)
        assert before.read() != ring.encoded(), "the file itself was written to"
    assert load_key(path) == ring
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["sealing.key"]


def test_a_process_learns_of_another_ring_once(tmp_path):
    file = KeyFile(tmp_path / "sealing.key")
    ring = file.load_or_create()
    assert file.newer() is None
    replace_key(file.path, ring.with_new(NEW))
    assert file.newer() == ring.with_new(NEW)
    assert file.newer() is None


def test_a_server_whose_key_file_is_deleted_goes_on_with_the_key_it_has(tmp_path):
    file = KeyFile(tmp_path / "sealing.key")
    file.load_or_create()
    file.path.unlink()
    assert file.newer() is None


def test_a_ring_that_cannot_be_read_is_not_passed_over(tmp_path):
    file = KeyFile(tmp_path / "sealing.key")
    file.load_or_create()
    replace_key(file.path, KeyRing((NEW,)))
    file.path.chmod(0o644)
    for _ in range(2):
        with pytest.raises(PlatformError, match="cannot be read"):
            file.newer()


def test_one_process_replaces_the_key_at_a_time(tmp_path):
    with alone(tmp_path):
        with pytest.raises(PlatformError, match="just now") as refused, alone(tmp_path):
            pass
        assert refused.value.status == 409
    with alone(tmp_path):
        pass
