"""What a handler returns and what its caller gets for it, case by case (docs/functions.md)."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from tests.contract.call.conftest import Deploy
from tests.support.envelope import assert_envelope
from tests.support.raw_http import RawAnswer, exchange, target
from tests.support.server import Server

Returns = Callable[[str], httpx.Response]

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
BYTES = "application/octet-stream"
OURS = ("content-length", "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te",
        "trailer", "transfer-encoding", "upgrade")  # fmt: skip


def contract_error(answer: httpx.Response | RawAnswer, *says: str) -> None:
    """A 502 of the platform that names the mistake."""
    error = assert_envelope(answer, 502, "contract error: ", *says)
    assert error["details"]["reason"] == "contract"
    headers = dict(answer.headers)
    assert error["details"]["call_id"] == headers["x-call-id"]


# ---- bodies ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "nothing",
    ["None", "{}", '{"body": None}', '{"headers": None}', '{"other": 1}', "types.MappingProxyType({})"],
)
def test_nothing_returned_is_200_and_empty(returns: Returns, nothing: str) -> None:
    answer = returns(nothing)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "0"
    assert "content-type" not in answer.headers
    assert answer.headers["x-invoked"] == "true"


@pytest.mark.promise("S6")
@pytest.mark.parametrize(
    ("body", "content", "content_type"),
    [
        ("b'\\x00\\xff'", b"\x00\xff", BYTES),
        ("bytearray(b'ab')", b"ab", BYTES),
        ("memoryview(b'abcd')[1:3]", b"bc", BYTES),
        ("memoryview(b'abcd')[::2]", b"ac", BYTES),
        ("memoryview(array.array('H', [1, 2]))", b"\x01\x00\x02\x00", BYTES),
        ("b''", b"", BYTES),
        ("'text'", b"text", TEXT),
        ("''", b"", TEXT),
        ("'é€\\U0001f600'", "é€\U0001f600".encode(), TEXT),
        ("6.0", b"6.0", TEXT),
        ("0", b"0", TEXT),
        ("False", b"False", TEXT),
        ("[1, 'x', None]", b"[1, 'x', None]", TEXT),
        ("(1,)", b"(1,)", TEXT),
        ("decimal.Decimal('1.50')", b"1.50", TEXT),
        ("datetime.date(2026, 1, 2)", b"2026-01-02", TEXT),
    ],
)
def test_a_body_that_is_no_dict_is_sent_as_its_bytes_or_its_text(
    returns: Returns, body: str, content: bytes, content_type: str
) -> None:
    answer = returns(f"{{'body': {body}}}")
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers.get_list("content-type") == [content_type]


@pytest.mark.promise("S7")
@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("{}", {}),
        ("{'a': [1, 2.5, None, True, {'é': '€'}]}", {"a": [1, 2.5, None, True, {"é": "€"}]}),
        ("collections.OrderedDict(b=1, a=2)", {"b": 1, "a": 2}),
        ("types.MappingProxyType({'a': types.MappingProxyType({'b': 1})})", {"a": {"b": 1}}),
        ("collections.ChainMap({'a': 1}, {'b': 2})", {"a": 1, "b": 2}),
        ("{1: 'int', None: 'none', True: 'bool'}", {"1": "bool", "null": "none"}),
        ("{'big': 2**70}", {"big": 2**70}),
        ("{'t': (1, 2)}", {"t": [1, 2]}),
        ("{'lone': '\\ud800'}", {"lone": "\ud800"}),
        ("{'a': {'b': {'c': '\\x00'}}}", {"a": {"b": {"c": "\0"}}}),
    ],
)
def test_a_mapping_is_json(returns: Returns, body: str, value: object) -> None:
    answer = returns(f"{{'body': {body}}}")
    assert answer.headers.get_list("content-type") == [JSON]
    assert json.loads(answer.content) == value


@pytest.mark.parametrize(
    "content_type", ["application/json", "APPLICATION/JSON; charset=utf-8", "application/x+json"]
)
@pytest.mark.parametrize(
    ("body", "content"),
    [
        ("[1, 'x']", b'[1,"x"]'),
        ("3", b"3"),
        ("True", b"true"),
        ("'{\"a\":  1}'", b'{"a":  1}'),
        ("b'[ ]'", b"[ ]"),
    ],
)
def test_with_a_json_type_what_is_no_text_and_no_bytes_is_written_as_json(
    returns: Returns, content_type: str, body: str, content: bytes
) -> None:
    answer = returns(f"{{'body': {body}, 'headers': {{'content-TYPE': '{content_type}'}}}}")
    assert (answer.content, answer.headers.get_list("content-type")) == (content, [content_type])


def test_an_explicit_type_replaces_the_implied_one(returns: Returns) -> None:
    for body in ("'<p>'", "b'<p>'"):
        answer = returns(f"{{'body': {body}, 'headers': {{'Content-Type': 'text/html'}}}}")
        assert (answer.content, answer.headers.get_list("content-type")) == (b"<p>", ["text/html"])


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("{'a': [0, {1, 2}]}", "body['a'][1] is of type set, which JSON cannot carry"),
        ("{'a': {'b': b'x'}}", "body['a']['b'] is of type bytes, which JSON cannot carry"),
        ("{'a': float('nan')}", "body['a'] is nan, which JSON cannot carry"),
        ("{'a': float('-inf')}", "body['a'] is -inf, which JSON cannot carry"),
        ("{'a': object}", "body['a'] is of type type"),
        ("{(1, 2): 3}", "body has the key (1, 2) of type tuple"),
        ("{'d': datetime.date(2026, 1, 2)}", "body['d'] is of type date"),
        ("(lambda d: d.update(me=d) or d)({})", "nested deeper"),
    ],
)
def test_what_json_cannot_carry_is_a_contract_error_that_names_its_place(
    returns: Returns, value: str, says: str
) -> None:
    contract_error(returns(f"{{'body': {value}}}"), says)


def test_a_list_that_json_cannot_carry_is_named_too(returns: Returns) -> None:
    answer = returns("{'body': [1, {2}], 'headers': {'Content-Type': 'application/json'}}")
    contract_error(answer, "body[1] is of type set")


def test_text_that_utf_8_cannot_carry_is_a_contract_error(returns: Returns) -> None:
    contract_error(returns("{'body': 'ab\\udcff'}"), "lone surrogate '\\udcff' at index 2")


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ("'text'", "handle returned str, not a dict"),
        ("b'x'", "handle returned bytes, not a dict"),
        ("3", "handle returned int"),
        ("[200, 'x']", "handle returned list"),
        ("('x', 200)", "handle returned tuple"),
        ("handle", "handle returned function"),
    ],
)
def test_what_is_no_dict_is_a_contract_error(returns: Returns, result: str, says: str) -> None:
    contract_error(returns(result), says)


# ---- status ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 206, 299, 302, 400, 404, 418, 499, 500, 502, 599])
@pytest.mark.parametrize("key", ["status_code", "statusCode"])
def test_a_status_from_200_to_599_is_the_functions_own(returns: Returns, key: str, status: int) -> None:
    answer = returns(f"{{'{key}': {status}, 'body': 'mine'}}")
    assert (answer.status_code, answer.text, answer.headers["x-invoked"]) == (status, "mine", "true")


def test_status_code_wins_over_its_alias(returns: Returns) -> None:
    assert returns("{'statusCode': 201, 'status_code': 202}").status_code == 202


def test_a_status_may_be_an_enum_of_ints(returns: Returns) -> None:
    assert returns("{'status_code': http.HTTPStatus.CREATED}").status_code == 201
    assert returns("{'status_code': enum.IntEnum('E', {'A': 203}).A}").status_code == 203


@pytest.mark.promise("S8")
@pytest.mark.parametrize("key", ["status_code", "statusCode"])
@pytest.mark.parametrize(
    "status", ["199", "600", "100", "0", "-200", "2**80", "'200'", "200.0", "None", "True", "[200]"]
)
def test_any_other_status_is_a_contract_error_that_shows_it(returns: Returns, key: str, status: str) -> None:
    value = eval(status)
    says = f"{key} is {value!r} ({type(value).__name__}), not an int from 200 to 599"
    contract_error(returns(f"{{'{key}': {status}}}"), says)


@pytest.mark.parametrize("status", [204, 205, 304])
def test_an_answer_that_has_no_body_by_its_status_gets_none(
    server: Server, deploy: Deploy, status: int
) -> None:
    name = deploy(
        "bodyless", "def handle(req):\n    return {'status_code': int(req.body), 'body': 'unwanted'}\n"
    )
    with httpx.Client(base_url=server.url, headers=server.client.headers) as client:  # one connection
        for _ in range(2):  # a byte too many would be the second answer's first
            answer = client.post(target(name), content=str(status))
            assert (answer.status_code, answer.content) == (status, b"")
            assert answer.headers["x-invoked"] == "true"
    assert exchange(server, "POST", target(name), body=b"204").all("content-length") == []


# ---- headers --------------------------------------------------------------------------------


@pytest.mark.promise("S9")
def test_headers_as_a_dict_or_a_list_of_pairs_repeat_and_keep_their_order(
    server: Server, returns: Returns, deploy: Deploy
) -> None:
    name = deploy(
        "two-cookies",
        "def handle(req):\n"
        "    return {'headers': [('Set-Cookie', 'a=1'), ['X-Own', 'x'], ('set-cookie', 'b=2')]}\n",
    )
    answer = exchange(server, "GET", target(name))
    path = f"; Path={target(name)}"  # one origin for all functions: tests/contract/call/test_browsers.py
    assert answer.all("set-cookie") == [f"a=1{path}", f"b=2{path}"]
    assert answer.one("x-own") == "x"
    for given in ("{'X-A': '1', 'X-B': '2'}", "Headers([('X-A', '1'), ('X-B', '2')])",
                  "types.MappingProxyType({'X-A': '1', 'X-B': '2'})"):  # fmt: skip
        found = returns(f"{{'headers': {given}}}").headers
        assert (found["x-a"], found["x-b"]) == ("1", "2")


def test_header_values_may_be_numbers_and_latin_1(returns: Returns) -> None:
    found = returns(
        "{'headers': {'X-I': 3, 'X-F': 1.5, 'X-L': 'caf\\xe9', 'X-E': '', 'X-T': ' a\\tb '}}"
    ).headers
    values = {key: value for key, value in found.raw if key.lower().startswith(b"x-") and len(key) == 3}
    assert values == {b"X-I": b"3", b"X-F": b"1.5", b"X-L": b"caf\xe9", b"X-E": b"", b"X-T": b"a\tb"}


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ("{'X-A': 'a\\r\\nX-Evil: 1'}", "header X-A has the character '\\r' in its value"),
        ("{'X-A': 'a\\nb'}", "header X-A has the character '\\n' in its value"),
        ("{'X-A': 'a\\x00b'}", "header X-A has the character '\\x00' in its value"),
        ("{'X-A': 'a\\x7f'}", "header X-A has the character '\\x7f' in its value"),
        ("{'X-A': 'snow \\u2603'}", "header X-A has the character '\u2603' in its value"),
        ("{'X-A': 'lone \\udc80'}", "header X-A has the character"),
        ("{'X-A': None}", "header X-A has a value of type NoneType"),
        ("{'X-A': True}", "header X-A has a value of type bool"),
        ("{'X-A': b'x'}", "header X-A has a value of type bytes"),
        ("{'X-A': ['1', '2']}", "header X-A has a value of type list"),
        ("{'Set-Cookie': ['a=1', 'b=2']}", '[("Set-Cookie", "..."), ("Set-Cookie", "...")]'),
        ("{'X A': '1'}", "headers has the name 'X A' (str), which is not an HTTP token"),
        ("{'X-A:': '1'}", "headers has the name 'X-A:'"),
        ("{'X-A\\r\\nX-B': '1'}", "headers has the name 'X-A\\r\\nX-B'"),
        ("{'': '1'}", "headers has the name ''"),
        ("{'X-\\xe9': '1'}", "headers has the name"),
        ("{b'X-A': '1'}", "headers has the name b'X-A'"),
        ("{3: '1'}", "headers has the name 3"),
        ("[('X-A',)]", "headers has ('X-A',), not a pair"),
        ("[('X-A', '1', '2')]", "not a pair"),
        ("['X-A: 1']", "headers has 'X-A: 1', not a pair"),
        ("'X-A: 1'", "headers is 'X-A: 1' (str), not a dict or a list of pairs"),
        ("3", "headers is 3 (int)"),
        (
            "[('X-A', '1')] * 1000",
            "headers has 1001 entries with its Content-Type, and an answer may have 256",
        ),
        ("{'X-A': 'x' * 100_000}", "the headers do not fit"),
        ("{'X-A': 'x' * 100_000}", "the largest is 'X-A' with 100000"),
    ],
)
def test_what_is_no_http_header_is_a_contract_error_that_names_it(
    returns: Returns, headers: str, says: str
) -> None:
    contract_error(returns(f"{{'headers': {headers}, 'body': 'never sent'}}"), says)


@pytest.mark.promise("T20")
def test_the_platforms_own_headers_are_not_taken_from_a_function(server: Server, deploy: Deploy) -> None:
    stamps = ("X-Call-Id", "X-Invoked", "X-Duration-Seconds", "X-Function-Version", "Server-Timing")
    names = (*OURS, *stamps, "Server", "Date", "Via")
    headers = [*((name, "forged") for name in names), ("X-Own", "1")]
    name = deploy("forger", f"def handle(req):\n    return {{'headers': {headers!r}, 'body': 'abc'}}\n")
    answer = exchange(server, "POST", target(name), [("X-Call-Id", "the-callers")])
    assert "forged" not in [value for _, value in answer.headers]
    assert (answer.one("content-length"), answer.body) == ("3", b"abc")
    assert (answer.one("x-call-id"), answer.one("x-invoked"), answer.one("x-own")) == (
        "the-callers",
        "true",
        "1",
    )


def test_headers_that_a_functions_connection_header_names_are_not_taken(returns: Returns) -> None:
    found = returns("{'headers': [('X-A', '1'), ('Connection', 'close, X-A'), ('X-B', '2')]}").headers
    assert "x-a" not in found
    assert found["x-b"] == "2"


# ---- size -----------------------------------------------------------------------------------


def test_five_mebibytes_of_any_bytes_pass_both_ways(server: Server, deploy: Deploy) -> None:
    name = deploy("mirror", "def handle(req):\n    return {'body': req.body[::-1]}\n")
    body = bytes(range(256)) * (5 * 4096)
    answer = server.call(name, content=body)
    assert answer.status_code == 200
    assert answer.content == body[::-1]
    assert exchange(server, "POST", target(name), chunks=[body[:100_000], body[100_000:]]).body == body[::-1]


@pytest.fixture(scope="module")
def small(deploy: Deploy) -> str:
    source = (
        "def handle(req):\n"
        "    size = len(req.body)\n"
        "    return {'body': b'x' * int(req.body) if size < 10 else str(size)}\n"
    )
    return deploy("small", source, max_request=1, max_response=1)


@pytest.mark.promise("S18")
def test_an_answer_of_exactly_max_response_passes_and_one_byte_more_is_502(
    server: Server, small: str
) -> None:
    assert len(server.call(small, content=str(1 << 20)).content) == 1 << 20
    contract_error(server.call(small, content=str((1 << 20) + 1)), "1048577 bytes", "max_response of 1048576")
    assert server.call(small, content="3").content == b"xxx"


@pytest.mark.promise("S17")
@pytest.mark.parametrize("has_length", [True, False])
def test_a_request_of_exactly_max_request_passes_and_one_byte_more_is_413(
    server: Server, small: str, has_length: bool
) -> None:
    def send(size: int) -> RawAnswer:
        body = b"x" * size
        how = {"body": body} if has_length else {"chunks": [body[:700_000], body[700_000:]]}
        return exchange(server, "POST", target(small), **how)

    assert send(1 << 20).body == b"1048576"
    error = assert_envelope(send((1 << 20) + 1), 413, "1048576", "max_request")
    assert error["details"]["max_request_bytes"] == 1 << 20


def test_a_length_above_the_limit_is_refused_before_the_body_is_sent(server: Server, small: str) -> None:
    answer = exchange(server, "POST", target(small), [("Content-Length", str(1 << 40))])
    assert_envelope(answer, 413, "max_request")
