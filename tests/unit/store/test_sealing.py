"""Values at rest: what opens, what does not, and where the key comes from."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from supervisor.errors import ConfigurationError
from supervisor.store.sealing import KEY_BYTES, Sealer, SealingError, load_or_create_key

WHERE = {"space": "demo", "kind": "secret", "name": "TOKEN"}


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(b"k" * KEY_BYTES)


@pytest.mark.parametrize("plain", [b"", b"x", b"\x00\xff" * 5000])
def test_what_was_sealed_opens_again(sealer, plain):
    assert sealer.open(sealer.seal(plain, **WHERE), **WHERE) == plain


def test_a_sealed_value_does_not_show_what_is_in_it(sealer):
    assert b"hunter2" not in sealer.seal(b"hunter2", **WHERE)


def test_the_same_value_is_sealed_differently_each_time(sealer):
    assert sealer.seal(b"same", **WHERE) != sealer.seal(b"same", **WHERE)


@pytest.mark.parametrize("other", [{"space": "evil"}, {"kind": "variable"}, {"name": "OTHER"}])
def test_a_value_does_not_open_as_another_one(sealer, other):
    sealed = sealer.seal(b"x", **WHERE)
    with pytest.raises(SealingError):
        sealer.open(sealed, **{**WHERE, **other})


def test_parts_of_the_context_cannot_be_shifted_into_one_another(sealer):
    sealed = sealer.seal(b"x", space="ab", kind="c", name="d")
    with pytest.raises(SealingError):
        sealer.open(sealed, space="a", kind="bc", name="d")


def test_no_altered_byte_goes_unnoticed(sealer):
    sealed = sealer.seal(b"value", **WHERE)
    for position in range(len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 1
        with pytest.raises(SealingError):
            sealer.open(bytes(altered), **WHERE)


def test_no_truncated_value_opens(sealer):
    sealed = sealer.seal(b"value", **WHERE)
    for length in range(len(sealed)):
        with pytest.raises(SealingError):
            sealer.open(sealed[:length], **WHERE)


def test_another_key_opens_nothing(sealer):
    with pytest.raises(SealingError, match="another key"):
        Sealer(b"o" * KEY_BYTES).open(sealer.seal(b"x", **WHERE), **WHERE)


def test_a_sealer_does_not_show_its_key(sealer):
    assert "kkkk" not in repr(sealer) + str(vars(sealer))


def test_a_key_of_another_length_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(b"short")


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    path = tmp_path / "sealing.key"
    key = load_or_create_key(path)
    assert len(key) == KEY_BYTES
    assert load_or_create_key(path) == key
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


@pytest.mark.parametrize("content", [b"", b"k" * 31, b"k" * 33])
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
