"""``worker.answer.response``: each row of the contract's table of return values, and each mistake."""

from __future__ import annotations

import collections
import decimal
import http
import json
import math
import types
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import Headers

from worker.answer.json_body import MAX_DEPTH
from worker.answer.mistake import SHOWN_MAX_CHARS
from worker.answer.response import ContractError, HandlerAnswer, answer_of

TEXT = "text/plain; charset=utf-8"
OCTETS = "application/octet-stream"
JSON = "application/json"


def typed(body: bytes, content_type: str, status: int = 200) -> HandlerAnswer:
    """An answer with only a body and its type."""
    return HandlerAnswer(status, [("Content-Type", content_type)], body)


@pytest.mark.parametrize("returned", [None, {}, {"body": None}, {"headers": None}, {"headers": {}}])
def test_nothing_returned_is_an_empty_200(returned: Any) -> None:
    assert answer_of(returned) == HandlerAnswer(200, [], b"", None)


class Text(str):
    """A subclass, as templating libraries return."""


class Shown:
    """An object whose class defines a text."""

    def __str__(self) -> str:
        return "shown"


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"a": [1, None, True, 1.5, "é"]}, typed('{"a":[1,null,true,1.5,"é"]}'.encode(), JSON)),
        ({}, typed(b"{}", JSON)),
        (collections.OrderedDict(b=1, a=2), typed(b'{"b":1,"a":2}', JSON)),
        (types.MappingProxyType({"a": types.MappingProxyType({})}), typed(b'{"a":{}}', JSON)),
        (
            {1: "a", None: "b", False: "c", 1.5: "d"},
            typed(b'{"1":"a","null":"b","false":"c","1.5":"d"}', JSON),
        ),
        ({"t": (1, 2)}, typed(b'{"t":[1,2]}', JSON)),
        ({"lone": "\ud800"}, typed(b'{"lone":"\\ud800"}', JSON)),
        (b"\x00\xff", typed(b"\x00\xff", OCTETS)),
        (b"", typed(b"", OCTETS)),
        (bytearray(b"abc"), typed(b"abc", OCTETS)),
        (memoryview(b"abcdef")[::2], typed(b"ace", OCTETS)),
        ("héllo\r\n", typed("héllo\r\n".encode(), TEXT)),
        ("", typed(b"", TEXT)),
        (Text("sub"), typed(b"sub", TEXT)),
        ([1, "a", None], typed(b"[1, 'a', None]", TEXT)),
        ((), typed(b"()", TEXT)),
        (42, typed(b"42", TEXT)),
        (4.5, typed(b"4.5", TEXT)),
        (False, typed(b"False", TEXT)),
        (math.nan, typed(b"nan", TEXT)),
        (Shown(), typed(b"shown", TEXT)),
        (decimal.Decimal("1.10"), typed(b"1.10", TEXT)),
    ],
    ids=repr,
)
def test_a_body_is_sent_as_its_type_says(body: Any, answer: HandlerAnswer) -> None:
    assert answer_of({"body": body})[:3] == answer[:3]


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", "a/b+json"])
@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ([1, "é", None], '[1,"é",null]'.encode()),
        ([], b"[]"),
        (42, b"42"),
        (True, b"true"),
        (1.5, b"1.5"),
        ({"a": 1}, b'{"a":1}'),
        # Text and bytes are taken to be JSON already.
        ('{"a": 1}', b'{"a": 1}'),
        ("no json", b"no json"),
        (b'{"a": 2}', b'{"a": 2}'),
        (None, b""),
    ],
    ids=repr,
)
def test_an_explicit_json_type_makes_json_of_what_is_not_text_or_bytes(
    content_type: str, body: Any, sent: bytes
) -> None:
    headers = {"content-type": content_type}
    assert answer_of({"headers": headers, "body": body}) == HandlerAnswer(
        200, [("content-type", content_type)], sent
    )


@pytest.mark.parametrize("name", ["Content-Type", "content-type", "CONTENT-TYPE"])
@pytest.mark.parametrize("body", ["text", b"bytes", {"a": 1}, 5])
def test_an_explicit_type_is_the_functions_to_choose(name: str, body: Any) -> None:
    answer = answer_of({"headers": {name: "application/x-mine"}, "body": body})
    assert answer.headers == [(name, "application/x-mine")]


def test_a_list_with_a_type_that_is_no_json_is_text() -> None:
    assert answer_of({"headers": {"Content-Type": "text/html"}, "body": [1]}).body == b"[1]"


def test_the_operator_can_restore_the_pages_spelling_of_the_text_type() -> None:
    assert answer_of({"body": "x"}, "plain/text").headers == [("Content-Type", "plain/text")]
    assert answer_of({"body": b"x"}, "plain/text").headers == [("Content-Type", OCTETS)]


@pytest.mark.parametrize("status", [200, 201, 204, 302, 404, 500, 599, http.HTTPStatus.IM_A_TEAPOT])
@pytest.mark.parametrize("key", ["status_code", "statusCode"])
def test_a_status_is_an_int_from_200_to_599_under_either_name(status: int, key: str) -> None:
    answer = answer_of({key: status, "body": "x"})
    assert answer.status == status
    assert type(answer.status) is int


def test_status_code_wins_over_its_old_alias() -> None:
    assert answer_of({"status_code": 201, "statusCode": 500}).status == 201


@pytest.mark.parametrize("key", ["status_code", "statusCode"])
@pytest.mark.parametrize("status", [199, 600, 100, 0, -200, 1 << 70, "200", 200.0, True, None, [200], b"200"])
def test_any_other_status_is_a_contract_error_that_shows_it(key: str, status: Any) -> None:
    with pytest.raises(ContractError) as caught:
        answer_of({key: status})
    found = f"{key} is {status!r} ({type(status).__name__}), not an int from 200 to 599"
    means = {"200": 200, 200.0: 200, b"200": 200}
    is_clear = not isinstance(status, list) and status in means
    assert str(caught.value) == found + ("; write 200" if is_clear else "")


async def a_coroutine() -> None:
    """A coroutine that nobody has awaited."""


@pytest.mark.parametrize(
    ("returned", "kind"),
    [("text", "str"), (b"x", "bytes"), (200, "int"), ([1], "list"), ((200, "x"), "tuple"), (True, "bool")],
)
def test_anything_but_a_dict_is_a_contract_error(returned: Any, kind: str) -> None:
    with pytest.raises(ContractError) as caught:
        answer_of(returned)
    says = f"handle returned {kind}, not a dict with status_code, headers and body; "
    assert str(caught.value).startswith(says)
    assert "write {" in str(caught.value)


def test_a_forgotten_async_def_is_named() -> None:
    coroutine = a_coroutine()
    with pytest.raises(ContractError, match="must be declared with 'async def'"):
        answer_of(coroutine)
    coroutine.close()


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ({"X-A": "1", "X-B": "2"}, [("X-A", "1"), ("X-B", "2")]),
        ([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")], [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]),
        ((["X-A", "1"],), [("X-A", "1")]),
        (Headers([("X-A", "1"), ("x-a", "2")]), [("X-A", "1"), ("x-a", "2")]),
        (types.MappingProxyType({"X-A": "1"}), [("X-A", "1")]),
        ({"X-Int": 5, "X-Float": 1.5, "X-Empty": ""}, [("X-Int", "5"), ("X-Float", "1.5"), ("X-Empty", "")]),
        ({"X-Space": " \tinner space\t "}, [("X-Space", "inner space")]),
        ({"X-Latin": "café\xa0"}, [("X-Latin", "café\xa0")]),
        ({"!#$%&'*+-.^_`|~09azAZ": "x"}, [("!#$%&'*+-.^_`|~09azAZ", "x")]),
        ({"X-Tab": "a\tb"}, [("X-Tab", "a\tb")]),
    ],
    ids=repr,
)
def test_headers_are_a_dict_or_a_list_of_pairs(headers: Any, sent: list[tuple[str, str]]) -> None:
    assert answer_of({"headers": headers}).headers == sent


PAIRS = 'write {"Name": "value"}, or [("Name", "value")] where a name repeats'
TOKENS = "which is not an HTTP token: letters, digits and !#$%&'*+-.^_`|~ only"
QUOTED = "which HTTP does not allow; take it out or encode it, as urllib.parse.quote does"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ("X-A: 1", "headers is 'X-A: 1' (str), not a dict or a list of pairs; " + PAIRS),
        (5, "headers is 5 (int), not a dict or a list of pairs; " + PAIRS),
        (["X-A"], "headers has 'X-A', not a pair of name and value" + "; " + PAIRS),
        ([("X-A",)], "headers has ('X-A',), not a pair of name and value" + "; " + PAIRS),
        ([("X-A", "1", "2")], "headers has ('X-A', '1', '2'), not a pair of name and value" + "; " + PAIRS),
        ([None], "headers has None, not a pair of name and value" + "; " + PAIRS),
        ({"": "x"}, "headers has the name '' (str), " + TOKENS),
        ({"X A": "x"}, "headers has the name 'X A' (str), " + TOKENS),
        ({"X-A:": "x"}, "headers has the name 'X-A:' (str), " + TOKENS),
        ({"X\r\nY": "x"}, "headers has the name 'X\\r\\nY' (str), " + TOKENS),
        ({"X-A\n": "x"}, "headers has the name 'X-A\\n' (str), " + TOKENS),
        ({"Größe": "x"}, "headers has the name 'Größe' (str), " + TOKENS),
        ({b"X-A": "x"}, "headers has the name b'X-A' (bytes), " + TOKENS),
        ({5: "x"}, "headers has the name 5 (int), " + TOKENS),
        ({"X-A": None}, "header X-A has a value of type NoneType, not text; leave it out, or write ''"),
        ({"X-A": b"x"}, 'header X-A has a value of type bytes, not text; write value.decode("latin-1")'),
        (
            {"X-A": ["x"]},
            "header X-A has a value of type list, not text; to repeat it write headers as "
            'a list of pairs: [("X-A", "..."), ("X-A", "...")]',
        ),
        (
            {"X-A": True},
            "header X-A has a value of type bool, not text; write str(value), if that is what shall be sent",
        ),
        ({"X-A": "a\r\nb"}, "header X-A has the character '\\r' in its value, " + QUOTED),
        ({"X-A": "a\n"}, "header X-A has the character '\\n' in its value, " + QUOTED),
        ({"X-A": "a\0b"}, "header X-A has the character '\\x00' in its value, " + QUOTED),
        ({"X-A": "\x7f"}, "header X-A has the character '\\x7f' in its value, " + QUOTED),
        (
            {"X-A": "5 €"},
            "header X-A has the character '€' in its value; HTTP carries Latin-1 only, so encode it, "
            "as urllib.parse.quote does",
        ),
    ],
    ids=repr,
)
def test_headers_that_http_cannot_carry_are_contract_errors_that_name_them(
    headers: Any, message: str
) -> None:
    with pytest.raises(ContractError) as caught:
        answer_of({"headers": headers})
    assert str(caught.value) == message


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def circular() -> Any:
    """A dict that contains itself."""
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"a": {1, 2}}, "body['a'] is of type set, which JSON cannot carry; write list(value)"),
        (
            {"a": [0, {"b": b"x"}]},
            "body['a'][1]['b'] is of type bytes, which JSON cannot carry; "
            "write value.decode(), or base64.b64encode(value).decode()",
        ),
        ({"a": (0, object)}, "body['a'][1] is of type type, which JSON cannot carry"),
        ({"a": math.nan}, "body['a'] is nan, which JSON cannot carry; write None or a text"),
        ({"a": [-math.inf]}, "body['a'][0] is -inf, which JSON cannot carry; write None or a text"),
        ({(1, 2): "x"}, "body has the key (1, 2) of type tuple, which JSON cannot carry; write str(key)"),
        (
            {"a": {b"k": 1}},
            "body['a'] has the key b'k' of type bytes, which JSON cannot carry; write str(key)",
        ),
        (
            {"a": decimal.Decimal(1)},
            "body['a'] is of type Decimal, which JSON cannot carry; write float(value) or str(value)",
        ),
        (
            types.MappingProxyType({"a": {1}}),
            "body['a'] is of type set, which JSON cannot carry; write list(value)",
        ),
    ],
    ids=repr,
)
def test_what_json_cannot_carry_is_named_by_its_place(body: Any, message: str) -> None:
    with pytest.raises(ContractError) as caught:
        answer_of({"body": body})
    assert str(caught.value) == message


def test_what_json_cannot_carry_is_named_under_an_explicit_json_type_too() -> None:
    with pytest.raises(
        ContractError, match=r"^body is of type set, which JSON cannot carry; write list\(value\)$"
    ):
        answer_of({"headers": {"Content-Type": "application/json"}, "body": {1}})


@pytest.mark.parametrize("body", [circular(), {"a": nested(100_000)}], ids=["circular", "deep"])
def test_a_body_without_end_is_a_contract_error_and_no_crash(body: Any) -> None:
    with pytest.raises(ContractError, match=f"nested deeper than {MAX_DEPTH} levels"):
        answer_of({"body": body})


@pytest.mark.parametrize("body", ["a\ud800b", Text("a\udfffb")])
def test_text_that_utf_8_cannot_carry_is_a_contract_error(body: str) -> None:
    with pytest.raises(ContractError) as caught:
        answer_of({"body": body})
    says = f"body has a lone surrogate {body[1]!r} at index 1, which UTF-8 cannot carry; encode it yourself"
    assert str(caught.value).startswith(says)


class Unshowable:
    """A tenant's object at its worst."""

    def __repr__(self) -> str:
        raise ZeroDivisionError

    def __str__(self) -> str:
        raise ZeroDivisionError


def test_a_value_whose_repr_raises_is_still_a_contract_error() -> None:
    with pytest.raises(ContractError) as caught:
        answer_of({"status_code": Unshowable()})
    assert "<Unshowable whose repr raises ZeroDivisionError>" in str(caught.value)


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(ContractError) as caught:
        answer_of({"status_code": "x" * 10_000})
    assert len(str(caught.value)) < SHOWN_MAX_CHARS + 60


def test_what_a_tenants_own_str_raises_comes_out_as_it_is() -> None:
    # ``ServedFunction.answer`` makes a 500 of it: the function raised, its answer has no mistake.
    with pytest.raises(ZeroDivisionError):
        answer_of({"body": Unshowable()})


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(derandomize=True, deadline=None, max_examples=150, database=None)
@given(st.dictionaries(st.text(), JSON_VALUES, max_size=5))
def test_any_json_body_arrives_as_it_was(body: dict[str, Any]) -> None:
    assert json.loads(answer_of({"body": body}).body) == body


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary()
    | st.just(object()) | st.just({1}),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.text() | st.sampled_from(["status_code", "headers", "body"]) | st.integers() | st.binary(),
        inner, max_size=3,
    ),
    max_leaves=10,
)  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=300, database=None)
@given(st.fixed_dictionaries({}, optional={"status_code": ANYTHING, "headers": ANYTHING, "body": ANYTHING}))
def test_whatever_is_returned_is_an_answer_or_a_contract_error(returned: dict[str, Any]) -> None:
    try:
        answer = answer_of(returned)
    except ContractError as error:
        assert str(error)
        return
    assert 200 <= answer.status <= 599 and type(answer.body) is bytes
    for name, value in answer.headers:
        assert name.encode("ascii") and value.encode("latin-1") is not None
        assert not set(name + value) & set("\r\n\0")
