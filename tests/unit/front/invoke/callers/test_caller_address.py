"""Whose a request is, behind proxies that are ours and others."""

from __future__ import annotations

import pytest

from supervisor.front.invoke.callers.caller_address import FORWARDED, Callers

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


def test_a_peer_is_a_proxy_only_if_it_is_trusted() -> None:
    callers = Callers(OURS)
    assert [callers.is_proxy(peer) for peer in ("10.9.9.9", "::1", "203.0.113.9", "")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert not Callers().is_proxy("127.0.0.1")
