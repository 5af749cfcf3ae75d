"""Whose address a request is logged under, and the files that all fronts append to."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.front.telemetry.request_files import FILES, NAME, RequestFiles
from supervisor.front.telemetry.request_log import FORWARDED, Callers

OURS = ("10.0.0.0/8", "::1", "127.0.0.1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", ("198.51.100.1",), "203.0.113.9"),  # no proxy of ours: anybody can send the header
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("6.6.6.6, 198.51.100.1",), "198.51.100.1"),  # the first is the caller's invention
        ("10.0.0.1", ("198.51.100.1, 10.0.0.7",), "198.51.100.1"),
        ("10.0.0.1", ("198.51.100.1", "10.0.0.7"), "198.51.100.1"),  # two headers are one list
        ("10.0.0.1", ("10.0.0.9, 10.0.0.7",), "10.0.0.9"),  # all are ours: the farthest of them
        ("10.0.0.1", ("198.51.100.1:4711",), "198.51.100.1"),
        ("::1", ("[2001:db8::5]:443",), "2001:db8::5"),
        ("127.0.0.1", ("::ffff:198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("198.51.100.1, unknown",), "10.0.0.1"),  # what is no address ends the reading
        ("10.0.0.1", ("198.51.100.1, \n{}",), "10.0.0.1"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("", ("198.51.100.1",), ""),  # a Unix socket has no address
    ],
)
def test_forwarded_addresses_are_read_from_the_right_as_long_as_proxies_are_ours(
    peer: str, forwarded: tuple[str, ...], address: str
) -> None:
    headers = [(FORWARDED, value.encode()) for value in forwarded]
    assert Callers(OURS).address(peer, headers) == address


def test_a_header_without_end_is_read_from_the_right_and_not_to_its_end() -> None:
    headers = [(FORWARDED, b"198.51.100.1, " + b"10.0.0.7, " * 5000 + b"10.0.0.8")]
    assert Callers(OURS).address("10.0.0.1", headers) == "10.0.0.7"


def test_without_trusted_proxies_the_header_is_not_looked_at() -> None:
    assert Callers(()).address("127.0.0.1", [(FORWARDED, b"198.51.100.1")]) == "127.0.0.1"


def test_files_are_renamed_when_full_and_the_oldest_lines_go(tmp_path: Path) -> None:
    fronts = [RequestFiles(tmp_path / "requests", FILES * 100) for _ in range(3)]

    for number in range(200):
        fronts[number % 3].write(b"%049d\n" % number)

    names = sorted(path.name for path in (tmp_path / "requests").iterdir())
    assert set(names) <= {"lock", NAME, *(f"{NAME}.{number}" for number in range(1, FILES))}
    kept = [
        int(line)
        for name in sorted(
            names, key=lambda name: -int("0" + name.removeprefix(NAME).lstrip(".")) if name != "lock" else 0
        )
        if name != "lock"
        for line in (tmp_path / "requests" / name).read_text().splitlines()
    ]
    assert kept[-1] == 199
    assert kept == list(range(kept[0], 200)), "lines are lost, or not in order"
    assert sum(path.stat().st_size for path in (tmp_path / "requests").iterdir()) <= FILES * 150


def test_a_folder_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    files = RequestFiles(tmp_path / "requests", FILES * 1000)
    files.write(b"one\n")
    (tmp_path / "requests" / NAME).unlink()
    files.write(b"two\n")
    assert (tmp_path / "requests" / NAME).read_bytes() == b"two\n"
