"""A function that speaks for itself on its cell's reply pipe costs itself its cell, and nobody else anything.

The code of a cell is hostile: it can write what it likes to descriptor 4, where its worker's answers go.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.support.processes import all_gone_within, processes_of_mark, watch
from tests.support.server import SPACE, TOKEN, Server

GONE_SECONDS = 10.0

# The path names the wickedness; ``/`` is an honest call, which tells one instance from another.
# ``number`` is the running call's, found where the worker keeps it.
SOURCE = """
import os, sys
from _cellblock import wire

INSTANCE = os.urandom(8).hex()
open("/tmp/" + INSTANCE, "w").close()

def call_number():
    frame = sys._getframe()
    while frame is not None:
        held = frame.f_locals.get("frame")
        if isinstance(held, wire.Frame):
            return held.call
        frame = frame.f_back

def answer(number, body, headers=()):
    return wire.encode(wire.ANSWER, number, (200, 1, 0, 0), headers, len(body)) + body

def prefix(kind, number, head_bytes, body_bytes):
    return wire.PREFIX.pack(kind, number, head_bytes, body_bytes)

def wicked(what, number):
    ready = wire.encode(wire.READY, 0, (0, 1, "handle", "3.11"))
    return {
        "garbage": b"HTTP/1.1 200 OK\\r\\n\\r\\nhello",
        "zeros": bytes(70000),
        "another-call": answer(number + 1000, b"forged"),
        "no-call": prefix(wire.ANSWER, 0, 3, 0) + b"\\x92\\xcc\\xc8",
        "two-answers": answer(number, b"own") + answer(number, b"forged"),
        "an-answer-of-its-own": answer(number, b"own"),
        "an-answer-then-garbage": answer(number, b"own") + b"\\xff" * 20,
        "crlf-in-a-header": answer(number, b"own", [("X-A", "b\\r\\nX-Invoked: forged")]),
        "crlf-in-a-name": answer(number, b"own", [("X-A\\r\\nX-B", "b")]),
        "nul-in-a-header": answer(number, b"own", [("X-A", "b\\0c")]),
        "a-header-beyond-latin-1": answer(number, b"own", [("X-A", "\\u20ac")]),
        "no-header-name": answer(number, b"own", [("", "b")]),
        "ready-again": ready,
        "failed": wire.encode(wire.FAILED, 0, ("import", "E", "forged", 1, "", "")),
        "checked": wire.encode(wire.CHECKED, 0, (1, "", 0, "handle")),
        "a-call-sent-back": wire.encode(wire.CALL, number, ("GET", "/", "", "c", 1)),
        "a-huge-head": prefix(wire.ANSWER, number, 0xFFFFFFFF, 0),
        "a-huge-body": prefix(wire.ANSWER, number, 3, 0xFFFFFFFF),
        "a-body-above-max-response": prefix(wire.ANSWER, number, 3, (1 << 20) + 1),
        "an-unknown-kind": prefix(255, number, 0, 0),
        "nested-arrays": prefix(wire.ANSWER, number, 60000, 0) + b"\\x91" * 60000,
        "maps": prefix(wire.ANSWER, number, 60000, 0) + b"\\x80" * 60000,
        "a-status-of-1000": prefix(wire.ANSWER, number, 7, 0) + b"\\x94\\xcd\\x03\\xe8\\x01\\0\\0",
        "a-body-that-never-ends": prefix(wire.ANSWER, number, 6, 1 << 20) + b"\\x94\\xcc\\xc8\\x01\\0\\0",
        "half-a-head": prefix(wire.ANSWER, number, 60, 0) + b"\\x92\\xcc\\xc8",
    }[what]

def handle(req):
    if req.path != "/":
        data = memoryview(wicked(req.path[1:], call_number()))
        while data:
            data = data[os.write(4, data):]
    return {"body": INSTANCE}
"""

# What the platform always refuses: the caller gets 502 and the reason is the protocol.
REFUSED = (
    "garbage", "zeros", "another-call", "no-call", "crlf-in-a-header", "crlf-in-a-name", "nul-in-a-header",
    "a-header-beyond-latin-1", "no-header-name", "ready-again", "failed", "checked", "a-call-sent-back",
    "a-huge-head", "a-huge-body", "a-body-above-max-response", "an-unknown-kind", "nested-arrays", "maps",
    "a-status-of-1000",
    "half-a-head",  # it swallows the worker's own answer, which makes no sense there
)  # fmt: skip
# An answer of its own is as good as the worker's, if the front reads it before what comes after it.
FORGED = ("two-answers", "an-answer-of-its-own", "an-answer-then-garbage")


@pytest.fixture(scope="module")
def functions(server: Server) -> Iterator[Server]:
    """The hostile function and its neighbour, each with one instance at most."""
    for name in ("hostile", "neighbour"):
        server.deploy(name, SOURCE, max_instances=1, max_response=1)
    yield server


@pytest.fixture
def client(functions: Server) -> Iterator[httpx.Client]:
    """One connection, so that all calls of a test go through one front."""
    limits = httpx.Limits(max_connections=1)
    authorization = {"Authorization": f"Bearer {TOKEN}"}
    base = f"{functions.url}/spaces/{SPACE}/functions"
    with httpx.Client(base_url=base, headers=authorization, timeout=30.0, limits=limits) as client:
        yield client


def instance_of(client: httpx.Client, name: str) -> str:
    """The instance that answers an honest call."""
    answer = client.post(f"/{name}/invoke/")
    assert (answer.status_code, answer.headers["x-invoked"]) == (200, "true"), answer.text
    return answer.text


def assert_only_the_hostile_cell_ends(
    server: Server, client: httpx.Client, what: str, **headers: str
) -> httpx.Response:
    """Make the hostile call between honest ones; its answer."""
    neighbour = instance_of(client, "neighbour")
    before = instance_of(client, "hostile")
    cell = watch(processes_of_mark(server.pid, before))
    assert cell, "the cell's processes were not found"
    answer = client.post(f"/hostile/invoke/{what}", headers=headers)
    assert all_gone_within(cell, GONE_SECONDS), f"the cell outlived {what}"
    after = instance_of(client, "hostile")
    assert len(after) == len(before) and after != before
    assert instance_of(client, "neighbour") == neighbour
    return answer


@pytest.mark.promise("T19")
@pytest.mark.parametrize("what", REFUSED)
def test_a_cell_that_breaks_the_protocol_costs_its_caller_a_502_and_its_own_life(
    functions: Server, client: httpx.Client, what: str
) -> None:
    answer = assert_only_the_hostile_cell_ends(functions, client, what)
    assert answer.status_code == 502, answer.text
    error = json.loads(answer.content)["error"]
    assert error["details"]["reason"] == "protocol", error
    assert error["details"]["call_id"] == answer.headers["x-call-id"]
    assert "x-invoked" not in answer.headers
    assert "forged" not in answer.text and "forged" not in str(answer.headers)


@pytest.mark.promise("T15")
@pytest.mark.parametrize("what", FORGED)
def test_a_cell_that_answers_twice_answers_its_own_caller_only(
    functions: Server, client: httpx.Client, what: str
) -> None:
    answer = assert_only_the_hostile_cell_ends(functions, client, what)
    if answer.status_code == 200:
        assert answer.text == "own"
    else:
        assert answer.status_code == 502
        assert json.loads(answer.content)["error"]["details"]["reason"] == "protocol"


def test_a_cell_that_never_ends_its_answer_ends_at_the_limit_of_the_call(
    functions: Server, client: httpx.Client
) -> None:
    what, headers = "a-body-that-never-ends", {"X-Timeout": "0.2"}
    answer = assert_only_the_hostile_cell_ends(functions, client, what, **headers)
    assert answer.status_code == 504
    assert json.loads(answer.content)["error"]["details"]["reason"] == "timeout"


def test_the_operator_reads_in_the_log_which_cell_broke_the_protocol_and_how(
    functions: Server, client: httpx.Client
) -> None:
    instance_of(client, "hostile")
    read_so_far = len(functions.log)
    client.post("/hostile/invoke/ready-again")
    instance_of(client, "hostile")
    assert "broke the protocol (a second word on how it started): killing it" in functions.log[read_so_far:]
