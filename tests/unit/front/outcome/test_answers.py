"""What is taken from a cell's answer, whatever the cell says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.errors import PlatformError
from supervisor.front.outcome import answers
from supervisor.front.outcome.answers import (
    BODYLESS,
    REMEMBERED_NAMES,
    Answer,
    answered,
    broke_contract,
    function_headers,
    raised,
    refused,
)
from supervisor.front.outcome.header_policy import DROPPED, DROPPED_PREFIXES
from supervisor.front.outcome.outcomes import Outcome
from worker.answer.response import ContractError, answer_of
from worker.wire import RemoteProtocolError

# By hand, from docs/functions.md and RFC 9110.
PLATFORMS_OWN = ("Content-Length", "Transfer-Encoding", "X-Call-Id", "X-Invoked", "Connection", "Keep-Alive",
                 "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailer", "Upgrade",
                 "X-Duration-Seconds", "X-Function-Version", "Server-Timing")  # fmt: skip


@pytest.mark.parametrize("name", PLATFORMS_OWN)
def test_what_is_the_platforms_is_not_taken_from_a_function(name: str) -> None:
    for spelling in (name, name.lower(), name.upper()):
        assert function_headers(((spelling, "x"), ("X-Mine", "y"))) == [(b"X-Mine", b"y")]


# By hand as well: a row that falls out of the table is missed here.
FOR_THE_PLATFORM = (
    "Proxy-Connection", "X-Cellblock-Any", "Server", "Date", "Via", "X-Served-By", "X-Content-Type-Options",
    "Set-Cookie2", "Authentication-Info", "Optional-WWW-Authenticate", "Service-Worker-Allowed",
    "Clear-Site-Data", "Strict-Transport-Security", "Public-Key-Pins", "Public-Key-Pins-Report-Only",
    "Expect-CT", "Expect-Staple", "Alt-Svc", "Alt-Used", "NEL", "Report-To", "Reporting-Endpoints",
    "Origin-Agent-Cluster", "Accept-CH", "Accept-CH-Lifetime", "Critical-CH", "Use-As-Dictionary",
    "Set-Login", "Activate-Storage-Access", "Sec-Session-Any", "Secure-Session-Any",
    "Observe-Browsing-Topics", "Attribution-Reporting-Any", "Shared-Storage-Any", "Ad-Auction-Any",
    "X-Accel-Any", "X-Sendfile", "X-Sendfile-Any", "X-Send-File", "X-LIGHTTPD-Any", "X-LiteSpeed-Any",
    "X-Reproxy-Any", "Surrogate-Any", "CDN-Any", "Cloudflare-CDN-Any", "Edge-Any", "Cache-Tag",
    "X-Varnish", "X-Varnish-Any", "Xkey", "Forwarded", "X-Forwarded-Any", "X-Real-IP", "X-Original-Any",
    "X-Rewrite-Any", "X-Envoy-Any", "With_Underscore",
)  # fmt: skip


def test_the_list_has_every_name_of_the_table() -> None:
    named = {name.lower() for name in (*PLATFORMS_OWN, *FOR_THE_PLATFORM)}
    assert named >= DROPPED
    assert all(any(name.startswith(prefix) for name in named) for prefix in DROPPED_PREFIXES)


@pytest.mark.parametrize("name", FOR_THE_PLATFORM)
def test_nothing_that_speaks_for_the_platform_is_taken(name: str) -> None:
    # Twice: a name that was judged before is judged the same.
    for _ in range(2):
        assert function_headers(((name, "x"), ("X-Mine", "y"))) == [(b"X-Mine", b"y")]
        assert function_headers(((name.lower(), "x"),)) == []


def test_repeated_headers_keep_their_order_and_spelling() -> None:
    sent = (("Set-Cookie", "a=1"), ("X-A", "caf\xe9"), ("set-cookie", "b=2"), ("Content-Type", "image/png"))
    assert function_headers(sent) == [
        (b"Set-Cookie", b"a=1"), (b"X-A", b"caf\xe9"), (b"set-cookie", b"b=2"),
        (b"Content-Type", b"image/png"),
    ]  # fmt: skip


def test_headers_that_connection_names_are_hop_by_hop_too() -> None:
    sent = (("X-A", "1"), ("Connection", "close, x-a"), ("X-B", "2"), ("connection", "X-C"), ("x-c", "3"))
    assert function_headers(sent) == [(b"X-B", b"2")]


@pytest.mark.parametrize(
    "name",
    ["", " ", "X A", "X-A:", "X\r\nY", "X-A\n", "\nX", "X\0", "Gr\u00f6\u00dfe", "X\u20ac", "(x)", "\x7f"],
)
def test_a_name_that_is_no_token_breaks_the_protocol(name: str) -> None:
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match="no token"):
            function_headers(((name, "x"),))


@pytest.mark.parametrize("name", ["X-A", "Connection", "Content-Length"])
@pytest.mark.parametrize("value", ["a\r\nb", "a\n", "\r", "a\0b", "\x1b[0m", "\x7f", "\x0b"])
def test_a_value_with_a_control_character_breaks_the_protocol(name: str, value: str) -> None:
    with pytest.raises(RemoteProtocolError, match="control character"):
        function_headers(((name, value),))


@pytest.mark.parametrize("value", ["\u20ac", "a\U0001f40d", "\ud800"])
def test_a_value_beyond_latin_1_breaks_the_protocol(value: str) -> None:
    with pytest.raises(RemoteProtocolError, match="Latin-1"):
        function_headers((("X-A", value),))


def test_no_number_of_invented_names_makes_the_memory_of_names_grow() -> None:
    for number in range(3 * REMEMBERED_NAMES):
        function_headers(((f"X-{number}", "x"),))
    memory = answers._remembered.cache_info()
    assert memory.currsize == REMEMBERED_NAMES
    function_headers((("X-" + "y" * answers.REMEMBERED_NAME_CHARS, "x"),))
    assert answers._remembered.cache_info() == memory, "a long name is not remembered"
    test_what_is_the_platforms_is_not_taken_from_a_function("X-Invoked")


texts = st.text(st.characters(), max_size=20)
likely = st.sampled_from(
    ["Connection", "content-length", "X-A", "Content-Type", "x-forwarded-for", "x-a, close"]
)


@settings(derandomize=True, deadline=None, max_examples=300, database=None)
@given(st.lists(st.tuples(texts | likely, texts | likely), max_size=8))
def test_whatever_a_cell_sends_only_clean_headers_come_out(headers: list[tuple[str, str]]) -> None:
    try:
        taken = function_headers(tuple(headers))
    except RemoteProtocolError:
        return
    for name, value in taken:
        assert name and not set(name) - set(range(0x21, 0x7F))
        assert not set(value) & {0, 10, 13}
        lowered = name.decode().lower()
        assert lowered not in DROPPED
        assert not lowered.startswith(DROPPED_PREFIXES)


@settings(derandomize=True, deadline=None, max_examples=300, database=None)
@given(st.lists(st.tuples(texts, texts | st.text(st.characters(max_codepoint=255), max_size=9)), max_size=4))
def test_what_the_worker_lets_through_the_front_takes(headers: list[tuple[str, str]]) -> None:
    try:
        sent = answer_of({"headers": headers}).headers
    except ContractError:
        return
    function_headers(tuple(sent))  # an honest function never costs itself its cell


@pytest.mark.parametrize("status", [200, 204, 205, 304, 404, 599])
def test_a_status_that_carries_no_body_gets_none(status: int) -> None:
    answer = answered(status, [(b"x", b"y")], b"body")
    assert answer == Answer(status, [(b"x", b"y")], b"" if status in BODYLESS else b"body", is_invoked=True)
    assert {204, 205, 304} == BODYLESS


HEAD = ("ZeroDivisionError", "division by zero", 9, "return 1 / 0", "handler.py", 55)


def test_an_exception_is_told_in_full_to_a_caller_with_a_credential() -> None:
    answer = raised(HEAD, "call-1", is_known_caller=True)
    assert (answer.status, answer.is_invoked) == (500, True)
    assert json.loads(answer.body) == {
        "error": {
            "status": 500,
            "message": "ZeroDivisionError at line 9: division by zero",
            "details": {
                "exception_type": "ZeroDivisionError",
                "exception_info": "division by zero",
                "exception_line_number": 9,
                "exception_line_code": "return 1 / 0",
            },
        }
    }


def test_an_anonymous_caller_learns_the_status_and_the_call_id_only() -> None:
    answer = raised(HEAD, "call-1", is_known_caller=False)
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["details"]) == (500, {"call_id": "call-1"})
    for told in HEAD[:4]:
        assert str(told) not in answer.body.decode()
    refusal = broke_contract("body['pw'] is of type set", "call-1", is_known_caller=False)
    assert b"pw" not in refusal.body
    assert json.loads(refusal.body)["error"]["details"] == {"reason": "contract", "call_id": "call-1"}


def test_a_mistake_in_the_answer_is_a_502_that_names_it_to_its_owner() -> None:
    refusal = broke_contract("status_code is 99", "call-1", is_known_caller=True)
    assert (refusal.status, refusal.told) == (502, "contract error: status_code is 99")
    assert refusal.outcome is Outcome.CONTRACT


def test_a_refusal_is_an_envelope_in_json_with_its_headers() -> None:
    answer = refused(PlatformError(429, "try again", {"reason": "queue"}, {"Retry-After": "1"}))
    assert answer.headers == [(b"content-type", b"application/json"), (b"retry-after", b"1")]
    assert json.loads(answer.body) == {
        "error": {"status": 429, "message": "try again", "details": {"reason": "queue"}}
    }
    assert not answer.is_invoked
