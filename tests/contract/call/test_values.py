"""``function.secrets``, ``function.variables`` and ``function.context`` inside a function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.contract.call.conftest import Deploy, as_json, took_ms
from tests.support.server import SPACE, Server
from tests.support.together import together

READER = """
import json
import secrets as standard_secrets
import uuid

import function.context
import function.secrets as secrets
import function.variables
from function import context, variables
from function import secrets as same_secrets

instance = uuid.uuid4().hex


def outside():
    try:
        return context.call_id
    except RuntimeError as error:
        return str(error)


at_import = outside()


def handle(req):
    name = req.query.get("name", "")
    change = req.query.get("change")
    value = variables.get(name)
    if change:
        value.append("changed by a call")
    return {"body": {
        "instance": instance,
        "secret": secrets.get(name),
        "secret_exists": secrets.exists(name),
        "variable": value,
        "variable_exists": variables.exists(name),
        "same": secrets is same_secrets and function.variables is variables,
        "standard": [len(standard_secrets.token_hex(4)), hasattr(standard_secrets, "exists")],
        "context": [context.call_id, context.function_name, context.space, context.version],
        "remaining_ms": context.remaining_ms(),
        "remaining_type": type(context.remaining_ms()).__name__,
        "at_import": at_import,
    }}
"""

Put = Callable[[str, str, Any], None]


@pytest.fixture(scope="module")
def reader(deploy: Deploy) -> str:
    return deploy("reader", READER, max_instances=1, timeout=7)


@pytest.fixture
def put(server: Server) -> Iterator[Put]:
    """``put(kind, name, value)``; what was put is deleted afterwards."""
    made = []

    def one(kind: str, name: str, value: Any) -> None:
        path = f"/spaces/{SPACE}/{kind}/{name}"
        answer = server.client.put(path, json={"value": value})
        assert answer.status_code in (201, 204), answer.text
        made.append(path)

    yield one
    for path in made:
        assert server.client.delete(path).status_code in (204, 404)


def read(server: Server, name: str, value: str = "", **parameters: str) -> dict[str, Any]:
    found: dict[str, Any] = as_json(server.call(name, params={"name": value, **parameters}))
    return found


def test_what_is_missing_is_an_empty_text_that_does_not_exist(server: Server, reader: str) -> None:
    found = read(server, reader, "NO_SUCH")
    assert (found["secret"], found["secret_exists"]) == ("", False)
    assert (found["variable"], found["variable_exists"]) == ("", False)


@pytest.mark.parametrize("value", ["s3cret", "", "é€\U0001f600", "two\nlines\r\n", "\0", "x" * 60_000])
def test_a_secret_is_read_as_it_was_set(server: Server, reader: str, put: Put, value: str) -> None:
    put("secrets", "KEY", value)
    found = read(server, reader, "KEY")
    assert (found["secret"], found["secret_exists"]) == (value, True)
    assert found["variable_exists"] is False


@pytest.mark.parametrize(
    "value", ["text", "", 0, -1.5, True, False, None, [], {}, {"a": [1, {"b": None}], "é": "€"}, 2**60, "3"]
)
def test_a_variable_is_any_json_value_of_its_own_type(
    server: Server, reader: str, put: Put, value: Any
) -> None:
    put("variables", "ANY", value)
    found = read(server, reader, "ANY")
    assert (found["variable"], type(found["variable"])) == (value, type(value))
    assert found["variable_exists"] is True
    assert found["secret_exists"] is False


@pytest.mark.promise("S39")
def test_a_change_is_seen_by_the_next_call_of_the_same_instance(
    server: Server, reader: str, put: Put
) -> None:
    instance = read(server, reader)["instance"]
    for number in range(5):
        put("secrets", "CHANGING", f"secret {number}")
        put("variables", "CHANGING", number)
        # On connections of their own, so through either front: both must know by now.
        for found in together([lambda: read(server, reader, "CHANGING")] * 4):
            assert (found["secret"], found["variable"]) == (f"secret {number}", number)
            assert found["instance"] == instance
    for kind in ("secrets", "variables"):
        assert server.client.delete(f"/spaces/{SPACE}/{kind}/CHANGING").status_code == 204
    found = read(server, reader, "CHANGING")
    assert (found["secret_exists"], found["variable_exists"], found["instance"]) == (False, False, instance)


def test_what_a_call_does_to_a_variable_the_next_call_does_not_see(
    server: Server, reader: str, put: Put
) -> None:
    put("variables", "LIST", [1])
    assert read(server, reader, "LIST", change="1")["variable"] == [1, "changed by a call"]
    assert read(server, reader, "LIST")["variable"] == [1]


@pytest.mark.promise("T13")
def test_values_of_another_space_are_not_there(server: Server, reader: str) -> None:
    path = f"/spaces/{server.make_space('elsewhere')}/secrets/FOREIGN"
    assert server.client.put(path, json={"value": "theirs"}).status_code == 201
    assert read(server, reader, "FOREIGN")["secret_exists"] is False
    assert server.client.delete(path).status_code == 204


def test_both_import_forms_give_the_same_and_the_standard_librarys_secrets_stays_its_own(
    server: Server, reader: str
) -> None:
    found = read(server, reader)
    assert found["same"] is True
    assert found["standard"] == [8, False]


def test_the_context_tells_who_is_called_by_which_id_and_for_how_long(server: Server, reader: str) -> None:
    version = server.client.get(f"/spaces/{SPACE}/functions/{reader}").json()["version"]
    answer = server.call(reader, headers={"X-Call-Id": "context-1"})
    found = as_json(answer)
    assert found["context"] == ["context-1", reader, SPACE, version]
    assert found["remaining_type"] == "int"
    assert 7000 - took_ms(answer) <= found["remaining_ms"] <= 7000


def test_outside_a_call_the_context_says_so(server: Server, reader: str) -> None:
    assert read(server, reader)["at_import"] == "function.context has a value only while a call is running"


def test_values_are_there_at_import_already(server: Server, deploy: Deploy, put: Put) -> None:
    put("secrets", "EARLY", "bird")
    source = (
        "import function.secrets as secrets\n"
        "early = secrets.get('EARLY')\n"
        "def handle(req):\n    return {'body': early}\n"
    )
    assert server.call(deploy("early", source)).text == "bird"
