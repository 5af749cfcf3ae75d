"""Every row of the table, against the API's way and the invocation's way alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.contract.http.catalogue import ROWS
from tests.contract.http.dialogue import API, INVOCATION, VARIABLE, Way, is_proper, play
from tests.contract.http.rows import FUNCTION as EDGE
from tests.contract.http.rows import Row
from tests.support.bystander import SOURCE as BYSTANDER_SOURCE
from tests.support.bystander import Bystander
from tests.support.server import TOKEN, Server

ROWS_LEAST = 160


@pytest.fixture(scope="module")
def bystander(edge: Server) -> Iterator[Bystander]:
    """Somebody else, on a connection that is kept all the while."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=edge.url, headers=headers, timeout=20) as client:
        found = Bystander(client, "the-bystander")
        edge.deploy("the-bystander", BYSTANDER_SOURCE, max_instances=1)
        found.ask()
        yield found


def calls_of(server: Server) -> list[dict[str, Any]]:
    """What the function was called with since it was last asked."""
    answer = server.call(EDGE, "/report")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


CASES = [
    pytest.param(row, way, id=f"{way.name}: {row.name}")
    for row in ROWS
    for way in (API, INVOCATION)
    if row.only in ("", way.name)
]


@pytest.mark.promise("T940")
@pytest.mark.parametrize(("row", "way"), CASES)
def test_a_request_gets_what_it_must_and_no_byte_of_it_becomes_another(
    edge: Server, bystander: Bystander, row: Row, way: Way
) -> None:
    calls_of(edge)
    assert edge.client.put(VARIABLE, json={"value": "before"}).status_code in (201, 204)
    outcome, answers = play(edge, way, row)
    seen = calls_of(edge)
    smuggled = [call for call in seen if call["path"] == "/smuggled"]
    ran = [call for call in seen if call["path"] != "/smuggled"]

    assert len(smuggled) == outcome.smuggled, f"{len(smuggled)} smuggled calls ran"
    if way is INVOCATION:
        assert [call["body"].encode("latin-1") for call in ran] == list(outcome.bodies)
    else:
        assert ran == []
        written = [json.loads(body)["value"] for body in outcome.bodies if body]
        assert edge.client.get(VARIABLE).json()["value"] == (written or ["before"])[-1]
    for answer in answers:
        is_proper(answer, row.is_head)
    for call in ran[:1]:
        headers = {name.lower(): value for name, value in call["headers"]}
        assert not headers.keys() & set(row.hides)
        assert headers.items() >= dict(row.shows).items()
    bystander.ask()
    assert bystander.wrong == []


def test_the_table_is_as_large_as_it_has_to_be_and_says_each_thing_once() -> None:
    names = [row.name for row in ROWS]
    assert len(names) >= ROWS_LEAST
    assert len(set(names)) == len(names)
    assert all(row.why and row.outcomes for row in ROWS)
