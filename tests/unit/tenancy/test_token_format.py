"""Tokens: told by their looks, refused by their checksum."""

from __future__ import annotations

import base64
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.tenancy.token_format import RANDOM_BITS, is_ours, kind_of, minted, stored_digest
from supervisor.warden.admin_token import new_token


@pytest.mark.parametrize("kind", ["key", "app", "tok"])
def test_a_token_says_its_kind_and_no_two_are_alike(kind) -> None:
    made = {minted(kind) for _ in range(200)}
    assert len(made) == 200
    assert {len(token) for token in made} == {len("cb_key_") + 43 + 6}
    assert {kind_of(token.encode()) for token in made} == {kind}
    assert 1 << RANDOM_BITS < 62**43, "no bit is cut off"


def test_the_largest_and_the_smallest_number_fit(monkeypatch) -> None:
    for number in (0, (1 << RANDOM_BITS) - 1):
        monkeypatch.setattr(secrets, "randbits", lambda bits, number=number: number)
        assert kind_of(minted("key").encode()) == "key"


@settings(derandomize=True, database=None, deadline=None)
@given(st.integers(0, 55), st.sampled_from("0123456789abcXYZ_-."))
def test_one_wrong_character_is_seen_without_the_store(place: int, wrong: str) -> None:
    token = minted("key")
    changed = token[:place] + wrong + token[place + 1 :]
    assert (kind_of(changed.encode()) == "key") is (changed == token)


@pytest.mark.parametrize(
    "other", [b"", b"cb_key_", b"cb_key_" + b"a" * 49, b"x" * 56, b"\xff" * 56, b"cb_key_" + b"a" * 10_000]
)
def test_other_text_is_no_token(other: bytes) -> None:
    assert kind_of(other) is None
    for cut in (minted("key")[:-1], minted("key") + "a", " " + minted("key"), minted("key") + "\n"):
        assert kind_of(cut.encode()) is None


def test_what_is_ours_is_seen_in_any_header_valid_or_not() -> None:
    key, app = minted("key"), minted("app")
    basic = base64.b64encode(f"01ABC:{app}".encode()).decode()
    for header in (
        f"Bearer {key}", f"bearer {key}", key, f"Token {key}", f"Bearer {key[:-1]}x", "Bearer cb_tok_",
        f"Basic {basic}", f"basic {basic.rstrip('=')}", f"Bearer {new_token()}", f"Bearer a, Bearer {key}",
    ):  # fmt: skip
        assert is_ours(header.encode()), header


@pytest.mark.parametrize(
    "header",
    [b"", b"Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", b"Basic dXNlcjpwYXNz", b"Basic \xff", b"Bearer cb_short",
     b"Bearer xcb_key_1", b"Bearer my-cb_key_1", b"Basic " + b"=" * 9, b"Bearer cb_" + b"a" * 44],
)  # fmt: skip
def test_what_is_another_services_is_left_alone(header: bytes) -> None:
    assert not is_ours(header)


def test_the_digest_does_not_show_the_token() -> None:
    token = minted("key")
    assert stored_digest(token.encode()) != stored_digest(minted("key").encode())
    assert token[7:] not in stored_digest(token.encode())
