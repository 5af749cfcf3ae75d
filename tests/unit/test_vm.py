"""What ``make test-vm`` prepares before it boots anything; the guest itself is tried by booting it."""

from __future__ import annotations

import lzma
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.vm import initramfs, kernel, machine, main

DEB822 = """
# a comment
Types: deb
URIs: http://debian.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://debian.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://other.example/engine
Suites: bookworm
Components: stable
"""
ONE_LINE = """
deb [arch=amd64 signed-by=/k.gpg] http://debian.example/debian bookworm main
deb http://debian.example/debian-security bookworm-security main
deb-src http://debian.example/debian bookworm main
deb http://other.example/engine bookworm stable
"""


@dataclass(frozen=True)
class StandIn(machine.Machine):
    """A piece of shell where qemu would be."""

    program: str = ""

    def command(self) -> list[str]:
        return ["sh", "-c", self.program]


def stand_in(program: str) -> StandIn:
    return StandIn("tcg", Path(), Path(), {}, Path(), program)


def test_backports_are_asked_of_the_sources_that_have_the_release() -> None:
    (stanza,) = kernel.stanzas(DEB822, "bookworm", "backports")
    assert "Suites: bookworm-backports\n" in stanza
    assert "http://debian.example/debian\n" in stanza and "Signed-By: " in stanza
    assert list(kernel.lines(ONE_LINE, "bookworm", "backports")) == [
        "deb [arch=amd64 signed-by=/k.gpg] http://debian.example/debian bookworm-backports main"
    ]


def test_the_stable_kernel_may_come_from_updates_and_security() -> None:
    first, second = kernel.stanzas(DEB822, "bookworm", "stable")
    assert "Suites: bookworm bookworm-updates\n" in first
    assert "Suites: bookworm-security\n" in second
    assert len(list(kernel.lines(ONE_LINE, "bookworm", "stable"))) == 2


def test_only_debian_is_asked_for_its_kernel() -> None:
    assert kernel.codename('ID=debian\nVERSION_CODENAME="trixie"\n') == "trixie"
    with pytest.raises(kernel.KernelError, match="not Debian"):
        kernel.codename("ID=other\nVERSION_CODENAME=noble\n")


def test_an_archive_is_aligned_and_ends_as_the_kernel_wants() -> None:
    made = initramfs.archive([initramfs.folder("bin"), initramfs.plain("bin/x", b"12345")])
    # newc: magic, then thirteen numbers of eight hexadecimal digits, then name and data, each to four bytes
    assert made.startswith(b"070701" + b"00000001" + b"000041ed")
    second = made.index(b"070701", 1)
    assert second % 4 == 0 and made[second + 6 + 8 * 6 :][:8] == b"00000005"
    assert b"bin/x\0" in made and b"12345\0\0\0" + b"070701" in made
    assert len(made) % 4 == 0 and made.rstrip(b"\0").endswith(b"TRAILER!!!")


@pytest.fixture
def modules_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "kernel/fs"
    folder.mkdir(parents=True)
    (folder / "outer-one.ko").write_bytes(b"\0depends=inner,built\0")
    (folder / "inner.ko.xz").write_bytes(lzma.compress(b"\0depends=\0inner"))
    (tmp_path / "modules.builtin").write_text("kernel/fs/built.ko\n")
    return tmp_path


def test_modules_come_after_those_that_they_depend_on(modules_folder: Path) -> None:
    found = list(initramfs.modules(modules_folder, ("outer_one", "inner", "built")))
    assert [name for name, _ in found] == ["inner", "outer_one"]
    assert found[0][1].endswith(b"inner")  # the kernel's busybox knows no xz


def test_a_module_that_is_nowhere_is_named(modules_folder: Path) -> None:
    with pytest.raises(LookupError, match="no module absent"):
        list(initramfs.modules(modules_folder, ("absent",)))


def test_the_guest_sees_the_checkout_and_no_folder_twice() -> None:
    shared = main.folders()
    assert any(main.CHECKOUT.is_relative_to(folder) for folder in shared)
    assert Path("/") not in shared and Path("/proc") not in shared
    for folder in shared:
        assert not set(folder.parents) & set(shared)


def test_arguments_reach_the_guest_as_they_are() -> None:
    given = ["tests/escape", "-k", "a or 'b'", "$(x)"]
    script = main.tests_plan(["root", "user"], given, "kvm") + 'printf "%s\\n" "$USERS" "$TEST_SECONDS" "$@"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.splitlines() == ["root user", "120", *given]


def test_a_guest_that_does_not_end_is_ended_at_the_deadline() -> None:
    lines: list[str] = []
    assert machine.run(stand_in("echo begun; exec sleep 60"), 1.0, lines.append) is False
    assert lines == ["begun"]


def test_the_console_is_passed_on_line_by_line_to_the_end() -> None:
    lines: list[str] = []
    assert machine.run(stand_in(r"printf 'a\r\nbefore\rafter\r\nlast'"), 30.0, lines.append) is True
    assert lines == ["a", "after", "last"]


def test_a_guest_that_kvm_gave_up_is_not_waited_for() -> None:
    with pytest.raises(machine.MachineError, match="--accelerator tcg"):
        machine.run(stand_in("echo 'KVM internal error. Suberror: 1'; exec sleep 60"), 30.0, lambda _: None)
