"""The memory of an instance: MemoryError where Python can raise it, else the end, with limit and peak."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.contract.call.conftest import Deploy
from tests.support.envelope import assert_envelope
from tests.support.patience import FACTOR
from tests.support.processes import zygotes_of
from tests.support.runtimes import on_every_runtime, runtime_or_skip
from tests.support.server import SPACE, Server

MIB = 1 << 20
# Of the limit, what the interpreter itself takes before the function has any.
OWN_MIB = 24
# Until the word has come from outside: the kernel holds the cell at 48 MiB and its ``tmp`` above the limit.
LEFT_MIB = 48

GREEDY = """
import json, secrets, subprocess, sys
MARK = secrets.token_hex(4)

def by_bytes():
    kept = []
    try:
        while True:
            kept.append(b"x" * (1 << 20))
    except MemoryError:
        return len(kept)

def by_numpy():
    import numpy
    kept = []
    try:
        while True:
            kept.append(numpy.ones(1 << 20, dtype="u1"))
    except MemoryError:
        return len(kept)

def at_once():
    try:
        return len(bytearray(8 << 30))
    except MemoryError:
        return 0

# Each child has the limit of a process to itself; the cell's is for all of them.
CHILD = "import sys; kept = bytearray(100 << 20); sys.stdin.read()"

def by_children():
    children = [subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE) for _ in range(4)]
    for child in children:
        child.wait()
    return [child.returncode for child in children]

def handle(req):
    if req.body == b"who":
        return {"body": MARK}
    return {"body": json.dumps(globals()[req.body.decode()]())}
"""


@pytest.fixture(scope="module")
def greedy(server: Server, deploy: Deploy) -> str:
    """A function that takes what it can get, of 128 MiB."""
    return deploy("greedy", GREEDY, memory=128, tmp=1, timeout=20 * FACTOR)


@pytest.mark.promise("S43")
@pytest.mark.parametrize("how", ["by_bytes", "by_numpy", "at_once"])
def test_a_function_that_takes_too_much_gets_memory_error_and_goes_on(
    server: Server, greedy: str, how: str
) -> None:
    # One connection, whatever the calls take: a new one may be the other front's, which has other instances.
    headers, kept = dict(server.client.headers), httpx.Limits(keepalive_expiry=None)
    with httpx.Client(base_url=server.url, headers=headers, limits=kept, timeout=60 * FACTOR) as client:

        def call(content: str) -> httpx.Response:
            return client.post(f"/spaces/{SPACE}/functions/{greedy}/invoke", content=content.encode())

        mark = call("who").text
        answer = call(how)
        assert answer.status_code == 200, answer.text
        taken_mib = json.loads(answer.content)
        if how == "at_once":  # it was refused what could never fit, and has met nothing
            assert call("who").text == mark
            return
        assert 128 - OWN_MIB <= taken_mib <= 128 + LEFT_MIB
        # The instance has met its limit, and ends after the call.
        assert call("who").text not in ("", mark)


# One handler that catches it and one that does not, of each kind.
ON_ANY_PYTHON = """
def eat():
    kept = []
    while True:
        kept.append(b"x" * (1 << 20))

{kind}def handle(req):
    if req.body == b"uncaught":
        eat()
    try:
        eat()
    except MemoryError:
        return {{"body": "caught"}}
"""


@on_every_runtime
@pytest.mark.parametrize("kind", ["", "async "], ids=["sync", "async"])
def test_on_every_python_memory_error_is_raised_where_the_handler_stands(
    server: Server, deploy: Deploy, runtime_name: str, kind: str
) -> None:
    runtime_or_skip(runtime_name)
    name = f"eats-{kind.strip() or 'sync'}-{runtime_name.replace('.', '-')}"
    deploy(name, ON_ANY_PYTHON.format(kind=kind), template=runtime_name, memory=64, tmp=1, timeout=20)
    answer = server.call(name, content=b"caught")
    assert (answer.status_code, answer.text) == (200, "caught")
    error = assert_envelope(server.call(name, content=b"uncaught"), 502, "its limit is 64 MiB")
    assert error["details"]["reason"] == "memory"


@pytest.mark.needs_root
def test_children_that_eat_count_too_and_the_502_says_limit_and_peak(server: Server, greedy: str) -> None:
    mark = server.call(greedy, content=b"who").text
    zygotes = zygotes_of(server.pid)
    error = assert_envelope(
        server.call(greedy, content=b"by_children"), 502, "ran out of memory", "its limit is 128 MiB", "peak"
    )
    assert error["details"]["reason"] == "memory"
    assert error["details"]["limit_mib"] == 128
    assert 128 * MIB <= error["details"]["peak_bytes"] < 256 * MIB
    assert zygotes_of(server.pid) == zygotes
    assert server.call(greedy, content=b"who").text not in ("", mark)


def test_threads_are_as_many_as_the_function_may_have(server: Server, deploy: Deploy) -> None:
    source = (
        "import threading\n"
        "def handle(req):\n"
        "    over = threading.Event()\n"
        "    threads = [threading.Thread(target=over.wait) for _ in range(60)]\n"
        "    for thread in threads:\n        thread.start()\n"
        "    over.set()\n"
        "    for thread in threads:\n        thread.join()\n"
        "    return {'body': str(len(threads))}\n"
    )
    assert server.call(deploy("many-threads", source)).text == "60"
