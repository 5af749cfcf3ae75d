"""Whose credential an Authorization header is."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.front.invoke.callers.credential import TOKEN_MAX_BYTES, Credentials, unauthenticated
from supervisor.tenancy.principal import ADMIN

TOKEN = b"correct-horse-battery"


def credentials(token: bytes = TOKEN) -> Credentials:
    """Those of a server with that token."""
    return Credentials(hashlib.sha256(token).digest())


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER"])
@pytest.mark.parametrize("space", [b" ", b"   "])
def test_the_administrators_token_is_recognised(scheme: bytes, space: bytes) -> None:
    known = credentials()
    for _ in range(2):  # the second time from memory
        assert known.principal(scheme + space + TOKEN) is ADMIN


WRONG = [
    None, b"", b"Bearer", b"Bearer ", TOKEN, b"Basic " + TOKEN, b"Bearer " + TOKEN[:-1],
    b"Bearer " + TOKEN + b"x",
    b"Bearer " + TOKEN.upper(), b"Bearer:" + TOKEN, b"Bearer\t" + TOKEN, b"\xff\xfe", b"Bearer \xff",
    b"Bearer " + TOKEN + b"\0", b"Bearer " + TOKEN + b", Bearer " + TOKEN, b"Bearer Bearer " + TOKEN,
]  # fmt: skip


@pytest.mark.parametrize("authorization", WRONG, ids=repr)
def test_anything_else_is_nobodys_before_and_after_a_good_one(authorization: bytes | None) -> None:
    known = credentials()
    assert known.principal(authorization) is None
    assert known.principal(b"Bearer " + TOKEN) is ADMIN
    assert known.principal(authorization) is None


def test_a_token_beyond_the_bound_is_nobodys_even_where_it_is_right() -> None:
    longest = b"t" * (TOKEN_MAX_BYTES - len("Bearer "))
    assert credentials(longest).principal(b"Bearer " + longest) is ADMIN
    assert credentials(longest + b"t").principal(b"Bearer " + longest + b"t") is None


def test_another_servers_memory_is_not_shared() -> None:
    assert credentials().principal(b"Bearer " + TOKEN) is ADMIN
    assert credentials(b"other").principal(b"Bearer " + TOKEN) is None


@settings(derandomize=True, deadline=None, max_examples=200, database=None)
@given(st.binary(max_size=50) | st.binary(max_size=30).map(lambda token: b"Bearer " + token))
def test_no_other_bytes_are_the_administrators(authorization: bytes) -> None:
    known = credentials()
    known.principal(b"Bearer " + TOKEN)
    assert known.principal(authorization) is None


def test_a_refusal_says_how_to_authenticate() -> None:
    error = unauthenticated()
    assert (error.status, error.headers) == (401, {"WWW-Authenticate": 'Bearer realm="cellblock"'})
    assert "Authorization: Bearer <token>" in error.message
