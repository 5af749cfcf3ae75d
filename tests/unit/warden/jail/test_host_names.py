"""The parts of the host's resolver files that cells with its network get."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.datagrams import MESSAGE_MAX_BYTES
from supervisor.warden.jail.host_names import NAMES_FILES, NO_NETWORK, HostNames, shortened


def test_comments_and_empty_lines_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text(
        "# a comment\n\n  # another\nnameserver 192.0.2.1\nsearch a.example"
    )
    assert HostNames(str(tmp_path)).files()["resolv.conf"] == b"nameserver 192.0.2.1\nsearch a.example\n"


def test_a_resolvers_own_file_is_read_through_its_link_and_followed(tmp_path: Path) -> None:
    stub = tmp_path / "run" / "stub-resolv.conf"
    stub.parent.mkdir()
    stub.write_text("nameserver 127.0.0.53\n")
    (tmp_path / "resolv.conf").symlink_to("run/stub-resolv.conf")
    names = HostNames(str(tmp_path))
    assert names.files()["resolv.conf"] == b"nameserver 127.0.0.53\n"
    # As a resolver writes it: another file takes the name.
    other = stub.with_name("new")
    other.write_text("nameserver 192.0.2.7\n")
    os.replace(other, stub)
    assert names.files()["resolv.conf"] == b"nameserver 192.0.2.7\n"
    stub.unlink()
    assert "resolv.conf" not in names.files()


def test_a_host_without_these_files_has_what_every_cell_has(tmp_path: Path) -> None:
    found = HostNames(str(tmp_path)).files()
    assert found == {name: NO_NETWORK[name].encode() for name in ("hosts", "nsswitch.conf")}


def test_users_are_the_cells_own_whoever_knows_those_of_the_host() -> None:
    text = (
        b"passwd: files sss\ngroup:  files ldap\n\nhosts: files mdns4_minimal [NOTFOUND=return] dns\n"
        b"services:\tdb files\nnetgroup: nis\nhostsx: no\n"
    )
    assert shortened("nsswitch.conf", text).splitlines() == [
        b"passwd: files",
        b"group: files",
        b"hosts: files mdns4_minimal [NOTFOUND=return] dns",
        b"services:\tdb files",
    ]


def test_a_long_list_of_hosts_is_cut_between_lines_and_said(caplog: pytest.LogCaptureFixture) -> None:
    lines = [b"0.0.0.0 blocked-%05d.example\n" % number for number in range(10_000)]
    found = shortened("hosts", b"".join(lines))
    assert found.startswith(b"127.0.0.1 cell\n0.0.0.0 blocked-00000.example\n")
    assert NAMES_FILES["hosts"] - 40 < len(found) <= NAMES_FILES["hosts"] and found.endswith(b".example\n")
    assert "lines of /etc/hosts" in caplog.text


@pytest.mark.parametrize("data", [b"", b"\n" * 9, b"\0\xff\n" * 9, b"#" * 99, b"x" * (1 << 20)])
def test_whatever_is_in_them_all_fit_one_message_to_a_cell(data: bytes) -> None:
    assert (
        sum(len(shortened(name, data)) for name in NAMES_FILES)
        <= sum(NAMES_FILES.values())
        < MESSAGE_MAX_BYTES - 4096
    )
