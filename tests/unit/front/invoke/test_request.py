"""What a caller asked for: paths, queries, headers and times, all bounded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.errors import PlatformError
from supervisor.front.invoke.call_ids import CALL_ID, CallIds
from supervisor.front.invoke.origins import INVOKE, Asked, recognise_path
from supervisor.front.invoke.request import (
    HEADERS_MAX_BYTES,
    PATH_MAX_CHARS,
    parse,
    timeout_of,
    without_credential,
)
from supervisor.front.outcome.refusals import METHODS
from worker import wire

Headers = list[tuple[bytes, bytes]]


class Request:
    asked: Asked
    method: str
    query_string: bytes
    headers: Headers
    path: str
    query: str
    event_headers: list[tuple[str, str]]
    authorization: bytes | None
    timeout: str | None
    content_length: int | None
    has_body: bool


def call(
    raw_path: bytes = b"/spaces/demo/functions/f/invoke",
    method: str = "POST",
    query: bytes = b"",
    headers: Headers | None = None,
) -> Request:
    """A request that was parsed."""
    asked = recognise_path(raw_path, [])
    assert asked is not None, raw_path
    request = Request()
    request.asked, request.method, request.query_string, request.headers = asked, method, query, headers or []
    parse(request)
    return request


def refusal(*arguments: Any, **keywords: Any) -> PlatformError:
    """What ``call`` says instead."""
    with pytest.raises(PlatformError) as caught:
        call(*arguments, **keywords)
    return caught.value


@pytest.mark.parametrize("method", METHODS)
def test_the_contracts_five_methods_reach_a_function(method: str) -> None:
    assert call(method=method).path == "/"
    assert set(METHODS) == {"POST", "GET", "PUT", "PATCH", "DELETE"}


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "PROPFIND", "X" * 5000])
def test_any_other_method_is_a_405_that_lists_them(method: str) -> None:
    error = refusal(method=method)
    assert (error.status, error.headers) == (405, {"Allow": "DELETE, GET, PATCH, POST, PUT"})
    assert len(error.message) < 300


@pytest.mark.parametrize(
    ("tail", "path"),
    [
        (b"", "/"),
        (b"/", "/"),
        (b"/a/b", "/a/b"),
        (b"//a//", "//a//"),
        (b"/a%20b%2Fc", "/a b/c"),
        (b"/gr%C3%BC%C3%9Fe", "/gr\u00fc\u00dfe"),
        (b"/gr\xc3\xbc\xc3\x9fe", "/gr\u00fc\u00dfe"),
        (b"/%FF", "/\ufffd"),
        (b"/100%", "/100%"),
        (b"/%zz", "/%zz"),
        (b"/%00%0A", "/\0\n"),
        (b"/../x/./y", "/../x/./y"),
        (b"/a+b", "/a+b"),
        (b"/%2561", "/%61"),
        (b"/spaces/x/functions/y/invoke/z", "/spaces/x/functions/y/invoke/z"),
    ],
)
def test_the_path_is_what_was_appended_decoded_once_with_a_leading_slash(tail: bytes, path: str) -> None:
    assert call(b"/spaces/demo/functions/f/invoke" + tail).path == path


def test_space_and_function_are_what_stands_in_their_places() -> None:
    found = call(b"/spaces/s-1/functions/f-2/invoke/functions/x/invoke")
    assert (found.asked.space, found.asked.name, found.path) == ("s-1", "f-2", "/functions/x/invoke")


@pytest.mark.parametrize(
    "path",
    [b"/spaces/s/functions/f/invoked", b"/spaces/s/functions/f", b"/spaces//functions/f/invoke", b"/invoke",
     b"/spaces/s/functions//invoke", b"/spaces/s/x/functions/f/invoke", b"x/spaces/s/functions/f/invoke",
     b"/spaces/" + b"s" * 301 + b"/functions/f/invoke", b"/spaces/s/functions/f/async-invoke"],
)  # fmt: skip
def test_what_is_no_invocation_does_not_come_here(path: bytes) -> None:
    assert INVOKE.fullmatch(path) is None


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        (b"", ""),
        (b"a=1&a=2&blank=", "a=1&a=2&blank="),
        (b"a=%C3%A9+b", "a=%C3%A9+b"),
    ],
)
def test_the_query_is_left_to_the_event_to_decode(query: bytes, kept: str) -> None:
    assert call(query=query).query == kept


def test_a_path_or_query_beyond_the_wires_bound_is_a_414() -> None:
    longest = b"/" + b"a" * (PATH_MAX_CHARS - 1)
    prefix = b"/spaces/demo/functions/f/invoke"
    assert len(call(prefix + longest).path) == PATH_MAX_CHARS
    assert refusal(prefix + longest + b"a").status == 414
    assert len(call(query=longest).query) == PATH_MAX_CHARS
    assert refusal(query=longest + b"a").status == 414
    bounds = {field.name: field.most for field in wire.KINDS[wire.CALL].fields}
    assert bounds["path"] == bounds["query"] == PATH_MAX_CHARS


def test_headers_are_kept_with_repeats_and_without_what_is_hop_by_hop() -> None:
    found = call(
        headers=[
            (b"x-a", b"1"), (b"connection", b"keep-alive, X-B"), (b"x-b", b"2"), (b"x-a", b"3"),
            (b"te", b"x"), (b"connection", b"x-c"), (b"x-c", b"4"), (b"upgrade", b"h2c"),
            (b"x-d", b"caf\xe9"), (b"keep-alive", b"5"), (b"proxy-authorization", b"Basic x"),
            (b"trailer", b"x"),
        ]
    )  # fmt: skip
    assert found.event_headers == [("x-a", "1"), ("x-a", "3"), ("x-d", "caf\xe9")]


@pytest.mark.parametrize(
    ("headers", "has_body", "content_length"),
    [
        ([], False, None),
        ([(b"content-length", b"0")], False, 0),
        ([(b"content-length", b"12")], True, 12),
        ([(b"transfer-encoding", b"chunked")], True, None),
    ],
)
def test_a_body_is_known_by_its_framing(headers: Headers, has_body: bool, content_length: int | None) -> None:
    found = call(headers=headers)
    assert (found.has_body, found.content_length) == (has_body, content_length)


def test_the_credential_is_known_and_can_be_taken_out() -> None:
    found = call(headers=[(b"x-a", b"1"), (b"authorization", b"Bearer t"), (b"x-timeout", b"5s")])
    assert (found.authorization, found.timeout) == (b"Bearer t", "5s")
    assert ("authorization", "Bearer t") in found.event_headers
    assert without_credential(found.event_headers) == [("x-a", "1"), ("x-timeout", "5s")]


def test_two_credentials_are_nobodys() -> None:
    error = refusal(headers=[(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")])
    assert (error.status, "WWW-Authenticate" in error.headers) == (401, True)


def test_too_many_or_too_large_headers_are_a_431() -> None:
    assert len(call(headers=[(b"x", b"y")] * wire.HEADERS_MAX).event_headers) == wire.HEADERS_MAX
    assert refusal(headers=[(b"x", b"y")] * (wire.HEADERS_MAX + 1)).status == 431
    assert call(headers=[(b"x", b"y" * (HEADERS_MAX_BYTES - 1))])
    assert refusal(headers=[(b"x", b"y" * HEADERS_MAX_BYTES)]).status == 431
    # Hop-by-hop ones count as bytes although no function sees them.
    assert refusal(headers=[(b"te", b"y" * HEADERS_MAX_BYTES)]).status == 431


@settings(derandomize=True, deadline=None, max_examples=150, database=None)
@given(
    st.binary(max_size=60),
    st.binary(max_size=60).map(lambda query: bytes(byte & 0x7F for byte in query)),
    st.lists(
        st.tuples(st.sampled_from([b"x-a", b"te", b"connection", b"x-timeout"]), st.binary(max_size=30))
    ),
)
def test_every_call_that_is_parsed_fits_the_wire(tail: bytes, query: bytes, headers: Headers) -> None:
    try:
        found = call(b"/spaces/demo/functions/f/invoke/" + tail, query=query, headers=headers)
    except PlatformError:
        return
    wire.encode(wire.CALL, 1, (found.method, found.path, found.query, "call-1", 5), found.event_headers, 0)


@pytest.mark.parametrize("own", [b"a", b"A-z.0_9:@=+", b"x" * 128])
def test_a_callers_own_valid_call_id_is_kept(own: bytes) -> None:
    assert CallIds().of([(b"x-a", b"1"), (b"x-call-id", own)]) == own.decode()


@pytest.mark.parametrize("own", [b"", b"a b", b"a\r\nb", b"x" * 129, b"caf\xe9", b"a\n", b"<script>", b"a/b"])
def test_any_other_call_id_is_replaced(own: bytes) -> None:
    new = CallIds().of([(b"x-call-id", own)])
    assert new != own.decode("latin-1") and CALL_ID.fullmatch(new)


def test_the_first_valid_call_id_counts() -> None:
    assert CallIds().of([(b"x-call-id", b"a b"), (b"x-call-id", b"b"), (b"x-call-id", b"c")]) == "b"


def test_new_call_ids_are_unlike_all_others_in_this_front_and_in_the_next() -> None:
    this, other = CallIds(), CallIds()
    ids = {each.of([]) for each in (this, other) for _ in range(1000)}
    assert len(ids) == 2000
    assert all(CALL_ID.fullmatch(one) for one in ids)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, 10.0), ("5", 5.0), ("1.5", 1.5), (".5", 0.5), ("0.001", 0.001), (" 5 ", 5.0), ("11", 10.0),
        ("999999999", 10.0), ("1s", 1.0), ("1.5s", 1.5), ("500ms", 0.5), ("250us", 0.00025),
        ("250\u00b5s", 0.00025), ("0m2s", 2.0), ("1m", 10.0), ("1h30m", 10.0), ("2s500ms", 2.5),
        ("1s1s1s", 3.0),
    ],
)  # fmt: skip
def test_a_callers_time_lowers_the_limit_and_never_raises_it(text: str | None, seconds: float) -> None:
    assert timeout_of(text, 10.0) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "0", "0s", "0.0", "-1", "-1s", "+1", "1e3", "nan", "inf", "five", "1x", "s", "1 s", "1s 2s",
     "1.", "1.s", "0x10", "1_0", "1,5", "5\r\n6", "1" * 10, "1s" * 51, "9" * 5000, "1.0000000001"],
)  # fmt: skip
def test_a_time_that_is_none_is_a_422_that_says_what_one_is(text: str) -> None:
    with pytest.raises(PlatformError) as caught:
        timeout_of(text, 10.0)
    assert (caught.value.status, caught.value.details) == (422, {"header": "X-Timeout"})
    assert "such as 1.5s" in caught.value.message and len(caught.value.message) < 300


@settings(derandomize=True, deadline=None, max_examples=200, database=None)
@given(st.text(max_size=30) | st.from_regex(r"[0-9.]{1,6}(ms|s|m|h)?", fullmatch=True), st.floats(0.001, 900))
def test_any_text_is_a_time_within_the_limit_or_a_422(text: str, limit_s: float) -> None:
    try:
        assert 0 < timeout_of(text, limit_s) <= limit_s
    except PlatformError as error:
        assert error.status == 422
