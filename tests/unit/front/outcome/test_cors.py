"""What a browser is told by option ``cors``."""

from __future__ import annotations

import pytest

from supervisor.front.outcome import cors

A, B = b"https://a.example", b"https://b.example"
LISTED = cors.of_option(["https://a.example", "null"])
ANY = cors.of_option("*")
assert LISTED is not None and ANY is not None
ORIGIN = b"access-control-allow-origin"


@pytest.mark.parametrize("value", [None, [], ()])
def test_without_an_origin_there_is_no_option(value: object) -> None:
    assert cors.of_option(value) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("origin", [A, b"null"])
def test_an_admitted_origin_is_named_and_caches_are_told(origin: bytes) -> None:
    assert LISTED.allows(origin)
    headers = dict(LISTED.headers(origin))
    assert (headers[ORIGIN], headers[b"vary"]) == (origin, b"Origin")
    assert b"X-Call-Id" in headers[b"access-control-expose-headers"]


@pytest.mark.parametrize(
    "origin",
    [None, B, b"", b"https://a.example:8443", b"http://a.example", b"https://A.example", b"https://a.example/",
     b"*", b"https://a.example.evil.com", b"https://a.example, https://b.example"],
)  # fmt: skip
def test_any_other_origin_is_told_nothing(origin: bytes | None) -> None:
    assert not LISTED.allows(origin)
    assert LISTED.headers(origin) == [(b"vary", b"Origin")]


@pytest.mark.parametrize("origin", [None, A, b"null"])
def test_a_star_admits_all_and_depends_on_nobody(origin: bytes | None) -> None:
    assert ANY.allows(origin) == (origin is not None)
    headers = dict(ANY.headers(origin))
    assert headers[ORIGIN] == b"*"
    assert b"vary" not in headers


def test_no_answer_ever_admits_what_a_browser_adds_by_itself() -> None:
    for each in (ANY, LISTED):
        told = [*each.headers(A), *cors.preflight([(b"origin", A)])]
        assert b"access-control-allow-credentials" not in dict(told)


@pytest.mark.parametrize(
    ("method", "headers", "asks"),
    [
        ("OPTIONS", [(b"origin", A), (b"access-control-request-method", b"POST")], True),
        ("OPTIONS", [(b"origin", A)], False),
        ("OPTIONS", [(b"access-control-request-method", b"POST")], False),
        ("POST", [(b"origin", A), (b"access-control-request-method", b"POST")], False),
    ],
)
def test_a_preflight_is_recognised(method: str, headers: cors.Headers, asks: bool) -> None:
    assert cors.is_preflight(method, headers) is asks


def test_two_origins_are_nobodys() -> None:
    assert cors.origin_of([(b"origin", A), (b"origin", A)]) is None
    assert cors.origin_of([(b"origin", A)]) == A


def test_a_private_network_is_opened_to_whom_the_author_admits_when_it_is_asked_for() -> None:
    name = b"access-control-allow-private-network"
    assert name not in dict(cors.preflight([(b"origin", A)]))
    asked = [(b"origin", A), (b"access-control-request-private-network", b"true")]
    assert dict(cors.preflight(asked))[name] == b"true"


def test_the_platforms_word_replaces_the_functions_own() -> None:
    own = [(b"Access-Control-Allow-Origin", b"https://evil"), (b"ACCESS-CONTROL-ALLOW-CREDENTIALS", b"true"),
           (b"X-A", b"b"), (b"Vary", b"Accept")]  # fmt: skip
    request = [(b"origin", A), (b"access-control-request-method", b"POST")]
    kept = [(b"X-A", b"b"), (b"Vary", b"Accept"), *LISTED.headers(A)]
    assert cors.dressed(own, LISTED, "POST", request) == kept
    assert cors.dressed(own, LISTED, "OPTIONS", request) == kept + cors.preflight(request)
