"""``worker.sandbox.landlock``: what each right allows, in every ABI that this kernel has."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.forked import in_child
from worker import _syscalls as sys_
from worker.sandbox import landlock
from worker.sandbox.landlock import LEAST_ABI, NEWEST_ABI, Policy

VERSIONS = [version for version in range(LEAST_ABI, NEWEST_ABI + 1) if version <= landlock.abi()]
SYSTEM = tuple(path for path in ("/usr", "/lib", "/lib64", "/bin") if os.path.exists(path))
FIONREAD = 0x541B

pytestmark = pytest.mark.skipif(not VERSIONS, reason="the kernel has no Landlock that we use")
every_version = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """A folder for each kind of rule, and one that no rule names; a file in each."""
    made = {name: tmp_path / name for name in ("readable", "writable", "memory", "outside")}
    for folder in made.values():
        folder.mkdir()
        (folder / "file").write_text("text")
        (folder / "inner").mkdir()
        os.symlink("/usr/bin/true", folder / "link")
    return made


def tried(attempt: Callable[[], Any]) -> str:
    """ "ok", or the errno's name."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "ok"


def under(
    version: int, places: dict[str, Path], attempts: dict[str, Callable[[], Any]], has_network: bool = False
) -> dict[str, str]:
    """The result of each attempt, made in a child under the policy."""
    policy = Policy(
        (*SYSTEM, str(places["readable"])),
        (str(places["writable"]),),
        (str(places["memory"]),),
        ("/dev/null", "/dev/zero"),
        has_network,
    )

    def run() -> dict[str, str]:
        sys_.prctl(sys_.PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict(policy, version)
        return {name: tried(attempt) for name, attempt in attempts.items()}

    found: dict[str, str] = in_child(run)
    return found


def on(folder: Path) -> dict[str, Callable[[], Any]]:
    """All that can be done in a folder."""
    return {
        "read": lambda: (folder / "file").read_text(),
        "list": lambda: os.listdir(folder),
        "write": lambda: os.close(os.open(folder / "file", os.O_WRONLY)),
        "make a file": lambda: os.close(os.open(folder / "new", os.O_CREAT | os.O_WRONLY)),
        "make a folder": lambda: os.mkdir(folder / "folder"),
        "make a link": lambda: os.symlink("x", folder / "symlink"),
        "make a fifo": lambda: os.mkfifo(folder / "fifo"),
        "make a socket": lambda: socket.socket(socket.AF_UNIX).bind(str(folder / "socket")),
        "make a device": lambda: os.mknod(folder / "device", 0o020600, os.makedev(1, 3)),
        "execute": lambda: subprocess.run([folder / "program"], check=True),
        "rename": lambda: os.rename(folder / "file", folder / "renamed"),
        "move to another folder": lambda: os.rename(folder / "renamed", folder / "inner/moved"),
        "remove a folder": lambda: os.rmdir(folder / "folder"),
        "remove a file": lambda: os.unlink(folder / "inner/moved"),
    }


READS = {"read", "list", "execute"}


@every_version
def test_a_readable_folder_is_read_and_executed_and_never_changed(
    version: int, places: dict[str, Path]
) -> None:
    folder = places["readable"]
    (folder / "program").write_bytes(Path("/usr/bin/true").read_bytes())
    (folder / "program").chmod(0o755)
    (folder / "renamed").write_text("")
    (folder / "folder").mkdir()
    (folder / "inner/moved").write_text("")
    changes = {name: attempt for name, attempt in on(folder).items() if name != "make a folder"}
    found = under(version, places, changes)
    assert {name for name, what in found.items() if what == "ok"} == READS
    assert {what for name, what in found.items() if name not in READS} <= {"EACCES", "EXDEV"}
    assert (folder / "file").read_text() == "text"


@every_version
def test_in_a_writable_folder_everything_is_done_but_devices(version: int, places: dict[str, Path]) -> None:
    folder = places["writable"]
    (folder / "program").write_bytes(Path("/usr/bin/true").read_bytes())
    (folder / "program").chmod(0o755)
    found = under(version, places, on(folder))
    assert found.pop("make a device") in ("EACCES", "EPERM")
    assert set(found.values()) == {"ok"}, found


@every_version
def test_in_a_folder_of_memory_there_are_files_and_folders_and_nothing_else(
    version: int, places: dict[str, Path]
) -> None:
    folder = places["memory"]
    (folder / "program").write_bytes(Path("/usr/bin/true").read_bytes())
    (folder / "program").chmod(0o755)
    found = under(version, places, on(folder))
    refused = {"make a link", "make a fifo", "make a socket", "make a device", "execute"}
    assert {name for name, what in found.items() if what != "ok"} == refused, found


@every_version
def test_where_no_rule_is_nothing_is_done(version: int, places: dict[str, Path]) -> None:
    folder = places["outside"]
    (folder / "program").write_bytes(Path("/usr/bin/true").read_bytes())
    (folder / "program").chmod(0o755)
    found = under(version, places, on(folder))
    assert "ok" not in found.values()
    assert (folder / "file").read_text() == "text"


@every_version
def test_a_link_out_of_a_writable_folder_leads_nowhere(version: int, places: dict[str, Path]) -> None:
    link = places["writable"] / "out"
    link.symlink_to(places["outside"] / "file")
    assert under(version, places, {"read": link.read_text}) == {"read": "EACCES"}


@every_version
def test_truncation_is_refused_from_version_3_on(version: int, places: dict[str, Path]) -> None:
    file = places["outside"] / "file"
    found = under(version, places, {"truncate": lambda: os.truncate(file, 0)})
    assert found == {"truncate": "EACCES" if version >= 3 else "ok"}
    assert file.read_text() == ("text" if version >= 3 else "")


@every_version
def test_tcp_is_refused_from_version_4_on_unless_it_is_meant(version: int, places: dict[str, Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        # Not create_connection: it imports a codec, from a folder that no rule names.
        attempts = {
            "connect": lambda: socket.socket().connect(address),
            "bind": lambda: socket.socket().bind(("127.0.0.1", 0)),
        }
        wanted = "EACCES" if version >= 4 else "ok"
        assert under(version, places, attempts) == {"connect": wanted, "bind": wanted}
        assert under(version, places, attempts, has_network=True) == {"connect": "ok", "bind": "ok"}


@every_version
def test_devices_are_read_and_written_and_from_version_5_on_not_controlled(
    version: int, places: dict[str, Path]
) -> None:
    import fcntl

    def control() -> None:
        with open("/dev/zero", "rb", buffering=0) as zero:
            fcntl.ioctl(zero, 0x1234)  # no device has it: ENOTTY if the call gets through

    found = under(
        version,
        places,
        {
            "read": lambda: os.read(os.open("/dev/zero", os.O_RDONLY), 1),
            "write": lambda: os.write(os.open("/dev/null", os.O_WRONLY), b"x"),
            "another": lambda: os.open("/dev/full", os.O_RDONLY),
            "control": control,
        },
    )
    assert found == {
        "read": "ok", "write": "ok", "another": "EACCES", "control": "EACCES" if version >= 5 else "ENOTTY",
    }  # fmt: skip


@every_version
def test_signals_and_abstract_sockets_stay_inside_from_version_6_on(
    version: int, places: dict[str, Path]
) -> None:
    name = f"\0cellblock-landlock-{os.getpid()}-{version}"
    test = os.getpid()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        found = under(
            version,
            places,
            {
                "signal": lambda: os.kill(test, 0),
                "own": lambda: os.kill(os.getpid(), 0),
                "connect": lambda: socket.socket(socket.AF_UNIX).connect(name),
            },
        )
    wanted = "EPERM" if version >= 6 else "ok"
    assert found == {"signal": wanted, "own": "ok", "connect": wanted}


def test_a_named_socket_is_not_landlocks_business(places: dict[str, Path]) -> None:
    """The reason why no socket is mounted into a cell, and why tiers B and C refuse ``socket``."""
    path = str(places["outside"] / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        attempt = {"connect": lambda: socket.socket(socket.AF_UNIX).connect(path)}
        assert under(VERSIONS[-1], places, attempt) == {"connect": "ok"}


def test_a_newer_kernel_is_asked_for_no_more_than_was_tried(places: dict[str, Path]) -> None:
    if landlock.abi() < NEWEST_ABI:
        pytest.skip("the kernel is not that new")
    assert under(NEWEST_ABI + 90, places, {"read": (places["readable"] / "file").read_text}) == {"read": "ok"}


def test_without_no_new_privs_an_ordinary_user_is_refused() -> None:
    if os.geteuid() != 0:
        pytest.skip("becomes an ordinary user")

    def run() -> str:
        os.setresuid(64_301, 64_301, 64_301)
        return tried(lambda: landlock.restrict(Policy((), (), (), (), False), VERSIONS[-1]))

    assert in_child(run) == "EPERM"


def test_restricting_leaves_no_descriptor_behind(places: dict[str, Path]) -> None:
    def run() -> list[list[int]]:
        sys_.prctl(sys_.PR_SET_NO_NEW_PRIVS, 1)
        before = sys_.open_descriptors()
        landlock.restrict(Policy(("/",), (), (), (), False), VERSIONS[-1])
        return [before, sys_.open_descriptors()]

    before, after = in_child(run)
    assert before == after
