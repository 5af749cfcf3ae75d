"""Every row of the table, against the API's way and the invocation's way alike."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.contract.http import pages
from tests.contract.http.catalogue import ROWS
from tests.contract.http.dialogue import API, INVOCATION, VARIABLE, Line, Way, is_proper, play
from tests.contract.http.rows import FUNCTION as EDGE
from tests.contract.http.rows import Drip, Outcome, Row, get
from tests.support.bystander import SOURCE as BYSTANDER_SOURCE
from tests.support.bystander import Bystander
from tests.support.server import TOKEN, Server

ROWS_LEAST = 160
DRIPPED_MOST_BYTES = 1500
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Call-Id: %s\r\n\r\n"


@pytest.fixture(scope="module")
def bystander(edge: Server) -> Iterator[Bystander]:
    """Somebody else, on a connection that is kept all the while."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=edge.url, headers=headers, timeout=20) as client:
        found = Bystander(client, "the-bystander")
        edge.deploy("the-bystander", BYSTANDER_SOURCE, max_instances=1)
        found.ask()
        yield found


def dripped(row: Row) -> Row | None:
    """The same a byte at a time; None if that would be too many."""
    if sum(len(step) for step in row.steps if isinstance(step, bytes)) > DRIPPED_MOST_BYTES:
        return None
    steps = tuple(Drip(step) if isinstance(step, bytes) else step for step in row.steps)
    return replace(row, steps=steps)


class Seen:
    """What became of each row; compared with the documents as it comes, or written when all is there."""

    def __init__(self) -> None:
        self.by_row: dict[str, set[str]] = {}
        self.is_writing = os.environ.get(pages.VARIABLE) == "1"
        self._documented = {} if self.is_writing else pages.documented()

    def saw(self, row: Row, outcome: Outcome) -> None:
        """It is in the documents, or will be."""
        these = row.outcomes if row.varies else (outcome,)
        self.by_row.setdefault(row.name, set()).update(pages.told(one) for one in these)
        said = self._documented.get(row.name, set())
        assert self.is_writing or pages.told(outcome) in said, f"docs/http.md is old: {pages.VARIABLE}=1"

    def settle(self) -> None:
        """Write what was seen, if that is wanted."""
        if self.is_writing:
            for row in ROWS:  # one that was not tried, or failed, gets what it has to
                self.by_row.setdefault(row.name, {pages.told(outcome) for outcome in row.outcomes})
            pages.replace_section(pages.HTTP_PAGE, pages.BOUNDS_HEADING, pages.bounds_section())
            pages.replace_section(pages.HTTP_PAGE, pages.HTTP_HEADING, pages.http_section(self.by_row))
            pages.replace_section(
                pages.ATTACKS_PAGE, pages.ATTACKS_HEADING, pages.attacks_section(self.by_row)
            )


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    """Of this run."""
    found = Seen()
    yield found
    found.settle()


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


# In turns over the one way and the other: how bytes are cut is the connection's business, not the ways'.
BYTEWISE_CASES = [case for case in CASES if dripped(case.values[0]) is not None][::3]


def judged(server: Server, row: Row, way: Way) -> Outcome:
    """The outcome of a row, once all that came of it was found to be right."""
    calls_of(server)
    assert server.client.put(VARIABLE, json={"value": "before"}).status_code in (201, 204)
    outcome, answers = play(server, way, row)
    calls = calls_of(server)
    smuggled = [call for call in calls if call["path"] == "/smuggled"]
    ran = [call for call in calls if call["path"] != "/smuggled"]

    assert len(smuggled) == outcome.smuggled, f"{len(smuggled)} smuggled calls ran"
    if way is INVOCATION:
        assert [call["body"].encode("latin-1") for call in ran] == list(outcome.bodies)
    else:
        assert ran == []
        written = [json.loads(body)["value"] for body in outcome.bodies if body]
        assert server.client.get(VARIABLE).json()["value"] == (written or ["before"])[-1]
    for answer in answers:
        is_proper(answer, row.is_head)
    for call in ran[:1]:
        headers = {name.lower(): value for name, value in call["headers"]}
        assert not headers.keys() & set(row.hides)
        assert headers.items() >= dict(row.shows).items()
    return outcome


@pytest.mark.promise("T72")
@pytest.mark.parametrize(("row", "way"), CASES)
def test_a_request_gets_what_it_must_and_no_byte_of_it_becomes_another(
    edge: Server, bystander: Bystander, seen: Seen, row: Row, way: Way
) -> None:
    outcome = judged(edge, row, way)
    bystander.ask()
    assert bystander.wrong == []
    seen.saw(row, outcome)


@pytest.mark.parametrize(("row", "way"), BYTEWISE_CASES)
def test_a_request_that_comes_a_byte_at_a_time_is_the_same_request(edge: Server, row: Row, way: Way) -> None:
    """Wherever the network cuts it: no byte is taken for the end of a message because it came alone."""
    bytewise = dripped(row)
    assert bytewise is not None
    judged(edge, bytewise, way)


def test_the_bounds_that_operators_are_told_are_those_of_the_code() -> None:
    assert pages.section_of(pages.HTTP_PAGE, pages.BOUNDS_HEADING) == pages.bounds_section()


def test_the_documents_have_every_row_and_no_other() -> None:
    documented = pages.documented()
    assert list(documented) == [row.name for row in ROWS]
    assert pages.section_of(pages.HTTP_PAGE, pages.HTTP_HEADING) == pages.http_section(documented)
    assert pages.section_of(pages.ATTACKS_PAGE, pages.ATTACKS_HEADING) == pages.attacks_section(documented)


def test_the_table_is_as_large_as_it_has_to_be_and_says_each_thing_once() -> None:
    names = [row.name for row in ROWS]
    assert len(names) >= ROWS_LEAST
    assert len(set(names)) == len(names)
    assert all(row.why and row.outcomes for row in ROWS)


@pytest.mark.promise("S114")
def test_requests_that_come_ahead_are_answered_in_order(edge: Server) -> None:
    """Each answer says which request it is one to, by the call id that a caller gives."""
    ids = [f"ahead-{number}" for number in range(50)]
    requests = [INVOCATION.spell(get(b"X-Call-Id: " + one.encode())) for one in ids]
    requests[::5] = [HEALTH % one.encode() for one in ids[::5]]
    with Line(edge) as line:
        line.send(b"".join(requests))
        answers = [line.answer() for _ in requests]
    assert [answer.one("x-call-id") for answer in answers] == ids
    assert {answer.status for answer in answers} == {200}
    calls_of(edge)
