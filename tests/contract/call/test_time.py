"""The time of a call: told softly at its limit, ended after the grace; where its code stood is said."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.conftest import MakeServer
from tests.contract.call.conftest import Deploy
from tests.support.envelope import assert_envelope
from tests.support.raw_http import BEARER, target
from tests.support.server import Server
from tests.support.together import together

# Answers with a mark of the instance's own, before and after.
MARKED = """
import asyncio, secrets, time
MARK = secrets.token_hex(4)
def busy():
    while True:
        pass
"""
# No bytecode runs and no other thread gets the interpreter's lock: no signal's handler is ever called.
DEAF = "sum(range(1 << 60))"


@pytest.fixture(scope="module")
def one_front(module_server: MakeServer) -> Server:
    """Where calls at once meet on one instance: two fronts would have one each."""
    return module_server(workers=1)


def function(body: str, keyword: str = "def") -> str:
    """A handler that does ``body`` when it is told to, else answers with its instance's mark."""
    lines = "\n        ".join(body.splitlines())
    when_told = f"    if req.body == b'now':\n        {lines}\n"
    return f"{MARKED}\n{keyword} handle(req):\n{when_told}    return {{'body': MARK}}"


def line_of(source: str, text: str) -> int:
    """The number of the first line that has it."""
    return next(number for number, line in enumerate(source.splitlines(), 1) if text in line)


def timed_out(answer: Any, where: str) -> None:
    """504 that names the limit and the place."""
    error = assert_envelope(answer, 504, "its limit is 0.3 s", where)
    assert error["details"]["reason"] == "timeout"
    assert (error["details"]["limit_s"], error["details"]["where"]) == (0.3, where)


@pytest.mark.promise("S42")
@pytest.mark.parametrize("how", ["busy()", "time.sleep(60)"])
def test_a_handler_whose_time_is_up_is_stopped_where_it_stands_and_its_instance_goes_on(
    server: Server, deploy: Deploy, how: str
) -> None:
    source = function(how)
    name = deploy("soft", source, timeout=0.3)
    mark = server.call(name).text
    wanted = (line_of(source, "pass"), "busy") if how == "busy()" else (line_of(source, how), "handle")
    answer = server.call(name, content=b"now")
    # A loop's own line may be the one that is counted.
    assert answer.json()["error"]["details"]["where"] in {
        f"handler.py:{wanted[0] - back} in {wanted[1]}" for back in (0, 1)
    }
    assert_envelope(answer, 504, "its limit is 0.3 s; the call was ended")
    assert server.call(name).text == mark, "it is the same instance"
    assert "the call's time was up; it was here" in server.log


def test_a_handler_may_catch_what_stops_it_to_clean_up_and_its_caller_has_504_all_the_same(
    server: Server, deploy: Deploy
) -> None:
    source = function(
        "try:\n    time.sleep(60)\nexcept TimeoutError as e:\n    print('cleaned', type(e).__name__)"
    )
    name = deploy("cleans", source, timeout=0.3)
    mark = server.call(name).text
    timed_out(server.call(name, content=b"now"), f"handler.py:{line_of(source, 'sleep(60)')} in handle")
    assert server.call(name).text == mark
    server.said("cleaned CallTimeout")


@pytest.mark.promise("S58")
@pytest.mark.parametrize(
    ("how", "line"),
    [
        (DEAF, DEAF),
        ("while True:\n    try:\n        busy()\n    except BaseException:\n        continue", "pass"),
        ("import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nbusy()", "pass"),
    ],
    ids=["holds-the-lock", "catches-everything", "ignores-the-signal"],
)
def test_code_that_does_not_stop_is_ended_with_its_instance_and_its_place_is_said(
    server: Server, deploy: Deploy, how: str, line: str
) -> None:
    source = function(how)
    name = deploy("deaf", source, timeout=0.3)
    mark = server.call(name).text
    answer = server.call(name, content=b"now")
    assert_envelope(answer, 504, "its limit is 0.3 s; the code was ended at handler.py:")
    place, _, within = answer.json()["error"]["details"]["where"].partition(" in ")
    assert within in ("busy", "handle")
    assert abs(int(place.rpartition(":")[2]) - line_of(source, line)) <= 1
    assert "most recent call first" in server.log, "every thread's stack is in the log"
    assert server.call(name).text != mark


def test_a_coroutine_whose_time_is_up_is_cancelled_and_its_neighbours_go_on(one_front: Server) -> None:
    told = "except asyncio.CancelledError:\n    print('was cancelled')\n    raise"
    source = function(f"try:\n    await asyncio.sleep(60)\n{told}", "async def").replace(
        "    return", "    await asyncio.sleep(0.6)\n    return"
    )
    name = "cancelled"
    one_front.deploy(name, source, timeout=5.0)
    mark = one_front.call(name).text
    limit = {"X-Timeout": "0.3"}
    late, neighbour = together(
        [lambda: one_front.call(name, content=b"now", headers=limit), lambda: one_front.call(name)]
    )
    timed_out(late, f"handler.py:{line_of(source, 'sleep(60)')} in handle")
    assert neighbour.text == mark
    one_front.said("was cancelled")


@pytest.mark.promise("S56")
def test_a_coroutine_that_blocks_the_loop_is_named_and_stopped_and_its_neighbours_go_on(
    one_front: Server,
) -> None:
    source = function("await asyncio.sleep(0.1)\nbusy()", "async def").replace(
        "    return", "    await asyncio.sleep(0.3)\n    return"
    )
    name = "blocks"
    one_front.deploy(name, source, timeout=5.0)
    mark = one_front.call(name).text
    blocker, hurried, patient = together(
        [
            lambda: one_front.call(name, content=b"now"),
            lambda: one_front.call(name, headers={"X-Timeout": "0.2"}),
            lambda: one_front.call(name),
        ]
    )
    error = assert_envelope(blocker, 504, "kept the event loop", "in busy")
    assert error["details"]["reason"] == "blocking"
    assert_envelope(hurried, 504, "its limit is 0.2 s")
    assert patient.text == mark, "the instance goes on"


@pytest.mark.promise("S57")
def test_neighbours_of_a_coroutine_that_hears_nothing_may_retry_and_calls_not_begun_are_moved(
    one_front: Server,
) -> None:
    source = function(f"await asyncio.sleep(0.2)\n{DEAF}", "async def").replace(
        "    return", "    await asyncio.sleep(0.4)\n    return"
    )
    name = "deaf-loop"
    one_front.deploy(name, source, timeout=5.0)
    mark = one_front.call(name).text
    began = together(
        [
            lambda: one_front.call(name, content=b"now", headers={"X-Timeout": "0.5"}),
            lambda: one_front.call(name),
            lambda: _after(0.3, one_front, name),
        ]
    )
    blocker, neighbour, unbegun = began
    assert_envelope(blocker, 504, "its limit is 0.5 s; the code was ended at handler.py:")
    error = assert_envelope(neighbour, 503, "because of another call", "try again")
    assert error["details"]["reason"] == "neighbour"
    assert (unbegun.status_code, unbegun.text != mark) == (200, True), unbegun.text


def _after(seconds: float, server: Server, name: str) -> Any:
    """A call once the loop is blocked: the moment is the test's own, no synchronisation."""
    with socket.socket() as nobody:
        nobody.settimeout(seconds)
        nobody.bind(("127.0.0.1", 0))
        nobody.listen()
        with pytest.raises(TimeoutError):
            nobody.accept()
    return server.call(name)


@pytest.mark.promise("S55")
@pytest.mark.parametrize("how", ["time.sleep(60)", DEAF], ids=["hears", "deaf"])
def test_a_caller_that_hangs_up_ends_its_call(server: Server, deploy: Deploy, how: str) -> None:
    source = function(f"print('begun', flush=True)\n{how}")
    name = deploy("hung-up", source, timeout=60, max_instances=1)
    mark = server.call(name).text
    before = server.log_bytes
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as caller:
        lines = [f"POST {target(name)} HTTP/1.1", "Host: x", ": ".join(BEARER), "Content-Length: 3"]
        caller.sendall("\r\n".join([*lines, "", "now"]).encode())
        server.said("begun", since=before)
    # The only instance there may be: whoever is answered has waited for the end of that call.
    assert (server.call(name).text == mark) == (how != DEAF)


def test_an_import_that_does_not_end_names_its_place(make_server: Any) -> None:
    server = make_server(init_seconds=0.5)
    server.deploy("slow-import", "import time\n\ntime.sleep(60)\ndef handle(req): pass\n")
    error = assert_envelope(
        server.call("slow-import"), 504, "still being imported after 0.5 s", "handler.py:3"
    )
    assert error["details"]["where"] == "handler.py:3 in <module>"
