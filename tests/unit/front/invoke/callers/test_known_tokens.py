"""What a front remembers of credentials: bounded, by space."""

from __future__ import annotations

import pytest

from supervisor.front.invoke.callers import known_tokens
from supervisor.front.invoke.callers.known_tokens import KnownTokens
from supervisor.tenancy.principal import ADMIN, Principal

A, B = Principal("key:1", "a"), Principal("key:2", "b")


def test_a_space_is_forgotten_with_all_its_headers_and_no_other() -> None:
    known = KnownTokens()
    for header, principal in ((b"1", A), (b"2", A), (b"3", B), (b"4", ADMIN)):
        known.add(header, principal)
    known.forget("a")
    known.forget("nobody")
    assert known.by_header == {b"3": B, b"4": ADMIN}
    known.forget(None)
    assert known.by_header == {b"3": B}
    known.clear()
    assert known.by_header == {}


def test_a_space_with_many_tokens_pushes_out_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_tokens, "KNOWN_OF_SPACE_MOST", 2)
    known = KnownTokens()
    known.add(b"b", B)
    for number in range(10):
        known.add(b"%d" % number, A)
    assert set(known.by_header) == {b"b", b"8", b"9"}


def test_a_front_remembers_so_many_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_tokens, "KNOWN_MOST", 3)
    known = KnownTokens()
    for number in range(10):
        known.add(b"%d" % number, Principal("key:1", f"s{number}"))
    assert set(known.by_header) == {b"7", b"8", b"9"}
    assert len(known._of_space) == 3


def test_the_same_header_again_takes_no_more_room() -> None:
    known = KnownTokens()
    for _ in range(3):
        known.add(b"1", A)
    known.drop(b"1")
    known.drop(b"1")
    assert (known.by_header, known._of_space) == ({}, {})
