"""The Event that a handler gets, attribute by attribute (docs/functions.md)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.call.conftest import Deploy, as_json
from tests.support.raw_http import BEARER, exchange, target
from tests.support.server import TOKEN, Server

ECHO = """
import json
def handle(req):
    try:
        req.query["new"] = "1"
        refusal = None
    except TypeError as error:
        refusal = str(error)
    values = {name: getattr(req, name) for name in dir(req) if not name.startswith("_")}
    return {"body": {
        "class": type(req).__name__,
        "types": {name: "%s.%s" % (type(v).__module__, type(v).__name__) for name, v in values.items()},
        "method": req.method,
        "path": req.path,
        "body": req.body.hex(),
        "headers": list(req.headers.items()),
        "by_name": [req.headers.get("x-look-up"), req.headers.get("X-LOOK-UP"), req.headers.get("x-none")],
        "query": list(req.query.items(multi=True)),
        "query_refuses": refusal,
    }}
"""


@pytest.fixture(scope="module")
def echo(deploy: Deploy) -> str:
    return deploy("event-echo", ECHO)


@pytest.fixture(scope="module")
def public_echo(deploy: Deploy) -> str:
    return deploy("event-echo-public", ECHO, public=True)


def seen(server: Server, name: str, method: str = "POST", tail: str = "", **request: Any) -> dict[str, Any]:
    """What the function saw of exactly this request."""
    answer = exchange(server, method, target(name, tail), **request)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


def headers_seen(server: Server, name: str, headers: list[tuple[str, str]], **request: Any) -> dict[str, Any]:
    """Header values by lower-case name, as the function saw them."""
    found: dict[str, list[str]] = {}
    for key, value in seen(server, name, headers=headers, **request)["headers"]:
        found.setdefault(key.lower(), []).append(value)
    return found


@pytest.mark.promise("S1")
def test_an_event_has_exactly_five_public_attributes_of_exactly_the_promised_types(
    server: Server, echo: str
) -> None:
    found = as_json(server.call(echo, content=b"x"))
    assert found["class"] == "Event"
    assert found["types"] == {
        "method": "builtins.str",
        "body": "builtins.bytes",
        "headers": "werkzeug.datastructures.headers.Headers",
        "query": "werkzeug.datastructures.structures.ImmutableMultiDict",
        "path": "builtins.str",
    }


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "PATCH", "DELETE"])
def test_the_five_methods_reach_the_function_with_their_bodies(
    server: Server, echo: str, method: str
) -> None:
    found = seen(server, echo, method, body=b"abc")
    assert (found["method"], bytes.fromhex(found["body"])) == (method, b"abc")


# ---- path -----------------------------------------------------------------------------------


@pytest.mark.promise("S3")
@pytest.mark.parametrize(
    ("appended", "path"),
    [
        ("", "/"),
        ("/", "/"),
        ("//a", "//a"),
        ("//", "//"),
        ("/a/b/", "/a/b/"),
        ("/stock/market/today", "/stock/market/today"),
        ("/a%2Fb", "/a/b"),
        ("/a%20b+c", "/a b+c"),
        ("/%C3%A9/%E2%82%AC", "/é/€"),
        ("/%ff", "/\ufffd"),
        ("/%C3", "/\ufffd"),
        ("/%", "/%"),
        ("/%zz", "/%zz"),
        ("/%2525", "/%25"),
        ("/%00", "/\0"),
        ("/%0d%0a", "/\r\n"),
        ("/%3Fa=1", "/?a=1"),
        ("/../../x", "/../../x"),
        ("/%2e%2e/x", "/../x"),
        ("/invoke/invoke", "/invoke/invoke"),
        ("/__/health", "/__/health"),
        ("/a;b=1", "/a;b=1"),
        ("/\xc3\xa9", "/é"),  # no URL, but what curl sends of an é
        ("/\xe9", "/\ufffd"),
    ],
)
def test_the_path_is_what_was_appended_decoded_with_a_leading_slash(
    server: Server, echo: str, appended: str, path: str
) -> None:
    found = seen(server, echo, "GET", appended + "?q=1")
    assert (found["path"], found["query"]) == (path, [["q", "1"]])


def test_what_only_begins_like_invoke_is_no_path_of_the_function(server: Server, echo: str) -> None:
    assert exchange(server, "POST", target(echo, "x")).status == 404


# ---- query ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("", []),
        ("?", []),
        ("?a=1", [["a", "1"]]),
        ("?a=", [["a", ""]]),
        ("?a", [["a", ""]]),
        ("?=1", [["", "1"]]),
        ("?a=1&b=2&a=3", [["a", "1"], ["a", "3"], ["b", "2"]]),
        ("?&&a=1&", [["a", "1"]]),
        ("?a=%20+%2B", [["a", "  +"]]),
        ("?a=b=c", [["a", "b=c"]]),
        ("?a=1;b=2", [["a", "1;b=2"]]),
        ("?a=1?b", [["a", "1?b"]]),
        ("?a%26=%26%3D%23", [["a&", "&=#"]]),
        ("?%C3%A9=%E2%82%AC", [["é", "€"]]),
        ("?a=%ff", [["a", "\ufffd"]]),
        ("?a=%", [["a", "%"]]),
        ("?a=%00", [["a", "\0"]]),
        ("?a=\xc3\xa9", [["a", "é"]]),
        ("?a=\xe9", [["a", "\ufffd"]]),
    ],
)
def test_the_query_is_decoded_and_keeps_blanks_and_repeats(
    server: Server, echo: str, query: str, pairs: list[list[str]]
) -> None:
    assert seen(server, echo, "GET", query)["query"] == pairs


MISSING = """
def handle(req):
    try:
        return {"body": req.query["name"] + req.headers["x-missing"]}
    except LookupError as error:
        if req.body:
            raise
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {"body": {"says": str(error), "kinds": kinds, "args": list(error.args), "code": error.code}}
"""


@pytest.mark.promise("S143")
def test_a_query_or_a_header_that_is_missing_is_named(server: Server, deploy: Deploy) -> None:
    name = deploy("missing", MISSING)
    for query, missing in (({}, "name"), ({"name": "x"}, "x-missing")):
        found = as_json(server.call(name, params=query))
        assert (found["says"], found["args"], found["code"]) == (repr(missing), [missing], 400)
        assert {"KeyError", "BadRequestKeyError", "BadRequest"} <= set(found["kinds"])
    answer = server.call(name, content=b"raise")
    assert answer.json()["error"]["message"] == "BadRequestKeyError at line 4: 'name'"


def test_the_query_cannot_be_changed(server: Server, echo: str) -> None:
    assert "immutable" in seen(server, echo)["query_refuses"]


# ---- body -----------------------------------------------------------------------------------


@pytest.mark.promise("S2")
def test_any_byte_passes_in_a_body(server: Server, echo: str) -> None:
    body = bytes(range(256)) * 3
    assert bytes.fromhex(seen(server, echo, body=body)["body"]) == body


@pytest.mark.parametrize("request_body", [{}, {"body": b""}, {"chunks": []}])
def test_no_body_is_empty_bytes(server: Server, echo: str, request_body: dict[str, Any]) -> None:
    found = seen(server, echo, **request_body)
    assert (found["body"], found["types"]["body"]) == ("", "builtins.bytes")


def test_a_body_without_a_length_arrives_whole_and_without_its_coding(server: Server, echo: str) -> None:
    answer = exchange(server, "POST", target(echo), chunks=[b"ab", b"\0", b"c" * 70_000])
    found = json.loads(answer.body)
    assert bytes.fromhex(found["body"]) == b"ab\0" + b"c" * 70_000
    assert "transfer-encoding" not in [name.lower() for name, _ in found["headers"]]


# ---- headers --------------------------------------------------------------------------------


def test_repeated_headers_are_kept_in_their_order(server: Server, echo: str) -> None:
    found = headers_seen(server, echo, [("X-A", "1"), ("X-B", "2"), ("x-a", "3"), ("X-A", "1, 4")])
    assert (found["x-a"], found["x-b"]) == (["1", "3", "1, 4"], ["2"])


def test_header_names_compare_without_case(server: Server, echo: str) -> None:
    assert seen(server, echo, headers=[("X-Look-Up", "yes")])["by_name"] == ["yes", "yes", None]


def test_header_values_are_latin_1_and_may_be_empty(server: Server, echo: str) -> None:
    found = headers_seen(server, echo, [("X-Latin", "caf\xe9"), ("X-Empty", "")])
    assert (found["x-latin"], found["x-empty"]) == (["café"], [""])


def test_ordinary_headers_arrive_untouched(server: Server, echo: str) -> None:
    sent = [
        ("Content-Type", "application/x-own; a=b"), ("Accept", "*/*"), ("Cookie", "a=1; b=2"),
        ("X-Forwarded-For", "192.0.2.1"), ("X-Call-Id", "mine-1"), ("X-Timeout", "5"),
    ]  # fmt: skip
    found = headers_seen(server, echo, sent, body=b"abc")
    assert {name: found[name.lower()] for name, _ in sent} == {name: [value] for name, value in sent}
    assert found["content-length"] == ["3"]
    assert "host" in found


@pytest.mark.parametrize(
    "name",
    ["Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "TE",
     "Trailer", "Upgrade"],
)  # fmt: skip
def test_a_hop_by_hop_header_does_not_reach_the_function(server: Server, echo: str, name: str) -> None:
    found = headers_seen(server, echo, [(name, "x-other"), ("X-Stays", "1")])
    assert name.lower() not in found
    assert found["x-stays"] == ["1"]


def test_headers_that_connection_names_do_not_reach_the_function(server: Server, echo: str) -> None:
    found = headers_seen(
        server,
        echo,
        [("Connection", "X-One, x-TWO"), ("X-One", "1"), ("Connection", "x-three"), ("X-Two", "2"),
         ("X-Three", "3"), ("X-Four", "4")],
    )  # fmt: skip
    assert {"x-one", "x-two", "x-three"}.isdisjoint(found)
    assert found["x-four"] == ["4"]


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "other"])
def test_an_upgrade_is_not_taken_and_the_call_answered_as_any_other(
    server: Server, echo: str, protocol: str
) -> None:
    headers = [
        ("Connection", "Upgrade"), ("Upgrade", protocol), ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]  # fmt: skip
    assert seen(server, echo, "GET", headers=headers)["method"] == "GET"


# ---- credentials ----------------------------------------------------------------------------


@pytest.mark.promise("T24")
def test_the_platforms_token_never_reaches_a_function(server: Server, echo: str) -> None:
    assert TOKEN not in json.dumps(seen(server, echo))
    assert "authorization" not in headers_seen(server, echo, [])


def test_the_platforms_token_never_reaches_a_public_function(server: Server, public_echo: str) -> None:
    assert "authorization" not in headers_seen(server, public_echo, [])


def test_a_public_function_gets_a_credential_of_its_own(server: Server, public_echo: str) -> None:
    own = [("Authorization", "Basic YTpi")]
    found = headers_seen(server, public_echo, own, token=False)
    assert found["authorization"] == ["Basic YTpi"]


@pytest.mark.parametrize("own_first", [True, False])
def test_two_credentials_at_once_are_refused_wherever_the_platforms_stands(
    server: Server, public_echo: str, own_first: bool
) -> None:
    own = ("Authorization", "Basic YTpi")
    headers = [own, BEARER] if own_first else [BEARER, own]
    answer = exchange(server, "POST", target(public_echo), headers, token=False)
    assert answer.status == 401
    assert TOKEN.encode() not in answer.body
