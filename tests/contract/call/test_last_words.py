"""What a function does at the end of its instance: SIGTERM's handler and exit functions, within a bound."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from supervisor.logs import Query, Record, read
from tests.conftest import MakeServer
from tests.support.eventually import eventually
from tests.support.runtimes import on_every_runtime, runtime_or_skip
from tests.support.server import SPACE, Server

WORDS = """
import atexit, logging, logging.handlers, signal, sys, threading
ending = threading.Event()
late = logging.getLogger("late")
late.addHandler(logging.handlers.MemoryHandler(100, target=logging.StreamHandler()))

def terminated(number, frame):
    print("terminated")
    ending.set()
    sys.exit(0)

def waits():
    ending.wait()
    print("thread")

signal.signal(signal.SIGTERM, terminated)
atexit.register(print, "exit function")
"""
CALL = """
    if req.query.get("thread"):
        threading.Thread(target=waits).start()
    late.info("too low")
    late.warning("kept in memory")
    return {"body": "served"}
"""
SYNC = f"{WORDS}\ndef handle(req):{CALL}"
ASYNC = f"{WORDS}\nasync def handle(req):{CALL}"
IN_ORDER = ["terminated", "thread", "exit function"]
LOOP = """
import asyncio, atexit, signal
kept = []

async def last():
    await asyncio.sleep(0.01)
    print("terminated")

async def background():
    try:
        await asyncio.Event().wait()
    finally:
        print("cancelled")

async def handle(req):
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: kept.append(loop.create_task(last())))
    kept.append(loop.create_task(background()))
    atexit.register(print, "exit function")
"""
ERRORS = """
import atexit, signal
def terminated(number, frame):
    raise ValueError("terminated")
signal.signal(signal.SIGTERM, terminated)

atexit.register(print, "exit function")
@atexit.register
def last():
    1 / 0
def handle(req): pass
"""
SLOW = """
import atexit, time
@atexit.register
def last():
    print("begins")
    time.sleep(60)
    print("never")
def handle(req): pass
"""
STUCK = """
import atexit, threading
atexit.register(print, "exit function")
def handle(req):
    threading.Thread(target=threading.Event().wait).start()
"""
DIES = """
import atexit, os
atexit.register(print, "never")
def handle(req):
    print("dies")
    os.kill(os.getpid(), 9)
"""
NEXT = "def handle(req): return {'body': 'next'}"


@pytest.fixture(scope="module")
def ending(module_server: MakeServer) -> Server:
    """A server with every runtime, whose instances make way after three calls."""
    return module_server(runtimes_dir=None, workers=2, recycle_calls=3, function_logs=False)


def said_by(server: Server, name: str, last: str) -> list[Record]:
    """All that the function wrote, once this is there."""
    found: list[Record] = []

    def is_there() -> bool:
        records = read(server.data_dir / "front/logs", SPACE, name, Query(limit=10_000)).records
        found[:] = [record for record in records if record.stream != "platform"]
        return any(last in record.text for record in found)

    eventually(is_there)
    return found


def texts(records: list[Record], stream: str = "stdout") -> list[str]:
    """Of one stream: nobody says in which order two pipes are read."""
    return [record.text for record in records if record.stream == stream]


def redeployed(server: Server, name: str) -> None:
    server.deploy(name, NEXT)


def recycled(server: Server, name: str) -> None:
    for _ in range(2):
        assert server.call(name).status_code == 200


def left_idle(server: Server, name: str) -> None:
    """Until its idle time is over."""


ENDS: dict[str, tuple[Callable[[Server, str], None], dict[str, float]]] = {
    "redeployed": (redeployed, {}),
    "recycled": (recycled, {}),
    "idle": (left_idle, {"idle_seconds": 1}),
}


@pytest.mark.promise("S117")
@pytest.mark.parametrize("source", [SYNC, ASYNC], ids=["sync", "async"])
@pytest.mark.parametrize("end", ENDS)
def test_at_an_orderly_end_the_handler_of_sigterm_the_threads_and_the_exit_functions_have_their_turn(
    ending: Server, end: str, source: str
) -> None:
    do, options = ENDS[end]
    name = f"words-{end}-{'a' if source == ASYNC else 's'}"
    ending.deploy(name, source, max_instances=1, **options)
    called = {"X-Call-Id": f"{name}-1"}
    assert ending.call(name, params={"thread": "1"}, headers=called).text == "served"
    do(ending, name)
    records = said_by(ending, name, "kept in memory")
    assert texts(records) == IN_ORDER
    # They are of no call, but for what a call began; and a record has its level still.
    calls = {record.text: record.call_id for record in records}
    assert calls == {"terminated": "", "thread": f"{name}-1", "exit function": "", "kept in memory": ""}
    assert {record.level for record in records if record.stream == "stderr"} == {"warning"}


@on_every_runtime
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_last_words_are_heard_on_every_runtime(ending: Server, runtime_name: str, kind: str) -> None:
    runtime_or_skip(runtime_name)
    name = f"words-{kind}-{runtime_name.replace('.', '-')}"
    source = SYNC if kind == "sync" else ASYNC
    ending.deploy(name, source, template=runtime_name, max_instances=1)
    assert ending.call(name, params={"thread": "1"}).text == "served"
    ending.deploy(name, NEXT, template=runtime_name)
    records = said_by(ending, name, "kept in memory")
    assert (texts(records), texts(records, "stderr")) == (IN_ORDER, ["kept in memory"])


def test_a_loop_hears_sigterm_and_what_it_begins_then_is_waited_for(ending: Server) -> None:
    ending.deploy("words-loop", LOOP, max_instances=1)
    assert ending.call("words-loop").status_code == 200
    ending.deploy("words-loop", NEXT)
    assert texts(said_by(ending, "words-loop", "exit function")) == [
        "terminated", "cancelled", "exit function",
    ]  # fmt: skip


def test_what_goes_wrong_at_the_end_is_in_the_log_and_keeps_nothing_from_its_turn(ending: Server) -> None:
    ending.deploy("words-errors", ERRORS, max_instances=1)
    assert ending.call("words-errors").status_code == 200
    ending.deploy("words-errors", NEXT)
    records = said_by(ending, "words-errors", "ZeroDivisionError")
    first, second = (record for record in records if record.stream == "stderr")
    assert first.text.endswith("ValueError: terminated") and first.level == "error"
    assert second.text.endswith("ZeroDivisionError: division by zero") and second.level == "error"
    assert "/_cellblock/" not in first.text + second.text
    assert texts(said_by(ending, "words-errors", "exit function")) == ["exit function"]


def test_a_function_that_ends_slowly_is_ended_and_its_next_version_does_not_wait_for_it(
    ending: Server,
) -> None:
    for name, source in (("words-slow", SLOW), ("words-stuck", STUCK)):
        ending.deploy(name, source, max_instances=1)
        assert ending.call(name).status_code == 200
        ending.deploy(name, NEXT, max_instances=1)
        assert ending.call(name).text == "next"
    # A thread that never ends keeps the exit functions from their turn for a part of the time only.
    assert texts(said_by(ending, "words-stuck", "exit function")) == ["exit function"]
    assert texts(said_by(ending, "words-slow", "begins")) == ["begins"]

    def is_over() -> bool:
        activity = ending.client.get("/activity").json()
        return bool(activity["cells"].get("leased", 0) == len(activity["instances"]))

    eventually(is_over)
    assert texts(said_by(ending, "words-slow", "begins")) == ["begins"]


def test_there_are_no_last_words_at_a_kill(ending: Server) -> None:
    ending.deploy("words-killed", DIES, max_instances=1)
    assert ending.call("words-killed").status_code == 502
    assert texts(said_by(ending, "words-killed", "dies")) == ["dies"]


@pytest.mark.promise("S118")
@pytest.mark.parametrize("source", [SYNC, ASYNC], ids=["sync", "async"])
def test_with_fresh_exit_functions_run_after_each_call_and_are_its_own(ending: Server, source: str) -> None:
    name = f"words-fresh-{'a' if source == ASYNC else 's'}"
    ending.deploy(name, source, fresh=True, max_instances=1)
    for number in (1, 2):
        assert ending.call(name, headers={"X-Call-Id": f"{name}-{number}"}).text == "served"
        ending.call(name)  # it has a process of its own, which is there when the other has gone
    records = said_by(ending, name, "kept in memory")
    for number in (1, 2):
        own = {record.text for record in records if record.call_id == f"{name}-{number}"}
        assert own == {"exit function", "kept in memory"}


def test_at_the_servers_end_every_instance_has_its_last_words(ending: Server) -> None:
    """The last test of this module: the server is everybody's until then."""
    names = {"words-end-s": SYNC, "words-end-a": ASYNC, "words-end-slow": SLOW}
    for name, source in names.items():
        ending.deploy(name, source, max_instances=1)
        assert ending.call(name, params={"thread": "1"}).status_code == 200
    assert ending.stop() == 0, ending.log
    for name in ("words-end-s", "words-end-a"):
        assert texts(said_by(ending, name, "kept in memory")) == IN_ORDER
    assert texts(said_by(ending, "words-end-slow", "begins")) == ["begins"]
