"""The package ``function``: the Event's five attributes, secrets and variables, the running call."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from werkzeug.datastructures import Headers, ImmutableMultiDict

from function import _seam, context, secrets, testing, variables
from function.request import Event


def test_an_event_has_exactly_five_public_attributes_of_the_promised_types() -> None:
    event = Event("POST", b"x", [("X-A", "1")], "q=1", "/a")
    assert {name for name in dir(event) if not name.startswith("_")} == {
        "method", "body", "headers", "query", "path",
    }  # fmt: skip
    assert (type(event.method), type(event.body), type(event.path)) == (str, bytes, str)
    assert (type(event.headers), type(event.query)) == (Headers, ImmutableMultiDict)
    assert event.headers is event.headers and event.query is event.query


def test_repeated_headers_are_kept_in_order_and_compare_without_case() -> None:
    event = Event("GET", b"", [("x-a", "1"), ("accept", "*/*"), ("x-a", "2")], "", "/")
    assert event.headers.getlist("X-A") == ["1", "2"]
    assert event.headers["X-a"] == "1"
    assert list(event.headers) == [("x-a", "1"), ("accept", "*/*"), ("x-a", "2")]


@pytest.mark.parametrize(
    ("query", "decoded"),
    [
        ("", []),
        ("a=1&b=2&a=3", [("a", "1"), ("a", "3"), ("b", "2")]),
        ("blank=&bare", [("blank", ""), ("bare", "")]),
        ("a=%C3%A9+b&%20=x", [("a", "é b"), (" ", "x")]),
        ("a=1;b=2", [("a", "1;b=2")]),
        ("a=%FF%00", [("a", "\ufffd\0")]),
        ("&&=&", [("", "")]),
        ("a=b=c", [("a", "b=c")]),
        ("a=%zz%", [("a", "%zz%")]),
    ],
)
def test_the_query_is_decoded_with_blanks_and_repeats(query: str, decoded: list[tuple[str, str]]) -> None:
    assert list(Event("GET", b"", [], query, "/").query.items(multi=True)) == decoded


def test_a_query_with_thousands_of_fields_is_read() -> None:
    query = "&".join(f"a{number}=1" for number in range(5000))
    assert len(Event("GET", b"", [], query, "/").query) == 5000


def test_an_event_shows_neither_its_body_nor_its_headers() -> None:
    event = Event("POST", b"password", [("authorization", "Bearer x")], "token=y", "/a")
    assert repr(event) == "<Event POST /a, 8 bytes>"


def test_a_value_that_is_missing_is_an_empty_text() -> None:
    with testing.values():
        assert (secrets.get("a"), secrets.exists("a")) == ("", False)
        assert (variables.get("a"), variables.exists("a")) == ("", False)


@pytest.mark.parametrize("value", ["", 0, None, False, [], {}, {"a": [1, {"b": None}]}, "text", 1.5])
def test_a_variable_is_any_json_value(value: Any) -> None:
    with testing.values(variables={"v": value}):
        assert variables.get("v") == value
        assert variables.exists("v")


def test_a_secret_may_be_empty_and_exists_then() -> None:
    with testing.values(secrets={"s": "", "t": "x"}):
        assert (secrets.get("s"), secrets.exists("s"), secrets.get("t")) == ("", True, "x")


def test_what_a_function_does_to_a_variable_the_next_call_does_not_see() -> None:
    with testing.values(variables={"v": {"a": [1]}}):
        variables.get("v")["a"].append(2)
        variables.get("v").clear()
        assert variables.get("v") == {"a": [1]}


def test_values_are_put_back_after_the_block_even_when_it_raises() -> None:
    before = _seam.CurrentValues.secrets, _seam.CurrentValues.variables
    with pytest.raises(ZeroDivisionError), testing.values(secrets={"a": "b"}):
        raise ZeroDivisionError
    assert (_seam.CurrentValues.secrets, _seam.CurrentValues.variables) == before


def test_both_ways_to_import_give_the_same_module() -> None:
    import function.secrets as by_path

    assert by_path is secrets
    import secrets as standard

    assert standard is not secrets and len(standard.token_hex(4)) == 8


@pytest.mark.parametrize("name", ["call_id", "function_name", "space", "version"])
def test_the_context_has_a_value_only_while_a_call_runs(name: str) -> None:
    with pytest.raises(RuntimeError, match="only while a call is running"):
        getattr(context, name)
    with testing.invocation(call_id="c", function_name="f", space="s", version=3):
        wanted = {"call_id": "c", "function_name": "f", "space": "s", "version": 3}
        assert getattr(context, name) == wanted[name]
    with pytest.raises(RuntimeError):
        getattr(context, name)


def test_the_context_lists_its_names_and_knows_no_others() -> None:
    assert dir(context) == sorted(context.__all__)
    with pytest.raises(AttributeError, match="no attribute 'caller'"):
        _ = context.caller  # type: ignore[attr-defined]
    assert not hasattr(context, "caller")


def test_remaining_time_is_in_milliseconds_and_never_below_zero() -> None:
    with testing.invocation(timeout=-5.0):
        assert context.remaining_ms() == 0
    with testing.invocation(timeout=3600.0):
        assert 3_500_000 < context.remaining_ms() <= 3_600_000
    with pytest.raises(RuntimeError):
        context.remaining_ms()


def test_calls_that_run_side_by_side_have_a_context_each() -> None:
    async def call(number: int, entered: asyncio.Barrier) -> str:
        with testing.invocation(call_id=f"call-{number}"):
            await entered.wait()
            return context.call_id

    async def together() -> list[str]:
        entered = asyncio.Barrier(3)
        return await asyncio.gather(*(call(number, entered) for number in range(3)))

    assert asyncio.run(together()) == ["call-0", "call-1", "call-2"]


@pytest.mark.parametrize(
    ("body", "sent"),
    [(b"x", b"x"), ("é", "é".encode()), ({"a": 1}, b'{"a": 1}'), ([1], b"[1]"), (None, b"null")],
)
def test_a_test_event_takes_bytes_text_or_json(body: Any, sent: bytes) -> None:
    assert testing.event(body).body == sent


def test_a_test_event_is_like_the_platforms() -> None:
    event = testing.event(
        {"a": 1}, "PUT", headers={"X-A": "1"}, query={"q": ["1", "2"], "e": ""}, path="stock/7"
    )
    assert (event.method, event.path, event.headers["x-a"]) == ("PUT", "/stock/7", "1")
    assert list(event.query.items(multi=True)) == [("q", "1"), ("q", "2"), ("e", "")]
    assert json.loads(event.body) == {"a": 1}
    default = testing.event()
    assert (default.method, default.body, default.path) == ("POST", b"", "/")
    repeated = testing.event(headers=[("X-A", "1"), ("X-A", "2")])
    assert repeated.headers.getlist("x-a") == ["1", "2"]
