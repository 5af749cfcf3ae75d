"""A cell that dies at any point of a call costs its caller one answer with the reason, and nothing else."""

from __future__ import annotations

import pytest

from tests.support.eventually import eventually
from tests.support.processes import processes_of_mark
from tests.support.server import Server

BYSTANDER = "def handle(req):\n    return {'body': 'well'}\n"

# What the function does, the signal and the exit code that its caller is told.
ENDINGS = {
    "os-exit-0": ("import os\ndef handle(req):\n    os._exit(0)\n", 0, 0),
    "os-exit-7": ("import os\ndef handle(req):\n    os._exit(7)\n", 0, 7),
    "kills-itself": ("import os\ndef handle(req):\n    os.kill(os.getpid(), 9)\n", 9, 0),
    "segfault": ("import ctypes\ndef handle(req):\n    ctypes.string_at(0)\n", 11, 0),
    "abort": ("import os\ndef handle(req):\n    os.abort()\n", 6, 0),
    "exit-in-async": ("import os\nasync def handle(req):\n    os._exit(3)\n", 0, 3),
}
HALF_A_FRAME = """
import os
from _cellblock import wire
def handle(req):
    if req.body == b"die":
        os.write(4, wire.encode(wire.ANSWER, 1, (200, 0, 0, 0), [], 1000)[:9])
        os._exit(5)
    return {"body": "alive"}
"""


@pytest.fixture(scope="module", autouse=True)
def bystander(server: Server) -> None:
    server.deploy("bystander", BYSTANDER)


@pytest.mark.promise("S24")
@pytest.mark.parametrize("name", ENDINGS)
def test_a_cell_that_dies_in_a_call_costs_its_caller_a_502_with_the_reason(server: Server, name: str) -> None:
    source, signal, code = ENDINGS[name]
    server.deploy(f"dies-{name}", source)
    for _ in range(2):  # the next call gets an instance of its own
        answer = server.call(f"dies-{name}")
        assert answer.status_code == 502, answer.text
        details = answer.json()["error"]["details"]
        assert (details["reason"], details["signal"], details["exit_code"]) == ("crashed", signal, code)
        assert answer.headers["x-call-id"] and "x-invoked" not in answer.headers
    assert server.call("bystander").text == "well"


def test_a_cell_that_dies_mid_reply_costs_one_caller_a_502(server: Server) -> None:
    server.deploy("half-a-frame", HALF_A_FRAME)
    answer = server.call("half-a-frame", content=b"die")
    assert answer.status_code == 502
    assert answer.json()["error"]["details"]["exit_code"] == 5
    assert server.call("half-a-frame").text == "alive"


def test_a_cell_that_dies_while_it_is_imported_costs_its_caller_a_502(server: Server) -> None:
    server.deploy("dies-at-import", "import os\nos._exit(4)\ndef handle(req):\n    return {}\n")
    answer = server.call("dies-at-import")
    assert answer.status_code == 502
    assert answer.json()["error"]["details"]["exit_code"] == 4


@pytest.mark.promise("S25")
def test_a_cell_that_dies_idle_costs_nobody_anything(server: Server) -> None:
    server.deploy(
        "dies-idle",
        "import os, threading\n"
        "def handle(req):\n"
        "    if req.body == b'later':\n"
        "        threading.Timer(0.05, os._exit, (1,)).start()\n"
        "    return {'body': str(os.urandom(4).hex())}\n",
    )
    assert server.call("dies-idle", content=b"later").status_code == 200
    for _ in range(30):
        # Some of these meet the death itself, which is that call's 502; none meets anything else.
        answer = server.call("dies-idle")
        assert answer.status_code in (200, 502)
    assert server.call("dies-idle").status_code == 200


@pytest.mark.promise("T30")
def test_a_child_process_that_holds_the_pipes_does_not_outlive_its_cell(server: Server) -> None:
    server.deploy(
        "daemon",
        "import os, time\n"
        "def handle(req):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        time.sleep(600)\n"
        "    os._exit(9)\n",
    )
    answer = server.call("daemon")
    assert answer.status_code == 502
    assert answer.json()["error"]["details"]["exit_code"] == 9


# What a function does with its process so that nobody hears of it any more, and its code goes on.
GOES_ON = {
    "another program": "os.execv(sys.executable, [sys.executable, '-ISc', 'import time; time.sleep(600)'])",
    "no way to answer": "os.close(4)\nwhile True: pass",
    "neither pipe": "os.close(3); os.close(4)\ntime.sleep(600)",
}
DEAF = """
import os, sys, threading, time, uuid
MARK = uuid.uuid4().hex
open("/tmp/" + MARK, "w").close()
{at_import}

def handle(req):
    if req.body == b"later":
        threading.Timer(0.05, lambda: [os.close(3), os.close(4)]).start()
    elif req.body:
        exec(req.body, globals())
    return {{"body": MARK}}
"""


@pytest.mark.needs_root
@pytest.mark.promise("T83")
@pytest.mark.parametrize("what", [*GOES_ON, "later"])
def test_a_process_that_closes_its_channel_and_goes_on_is_killed_and_keeps_no_place(
    server: Server, what: str
) -> None:
    """For nobody's clock ran for it any more: it went on for ever, and no other got its place."""
    server.deploy("goes-on", DEAF.format(at_import=""), max_instances=1, timeout=60)
    mark = server.call("goes-on").text
    answer = server.call("goes-on", content=GOES_ON.get(what, what).encode())
    if what == "later":
        assert answer.text == mark
    else:
        assert answer.status_code == 502 and "went on" in answer.text
    eventually(lambda: not processes_of_mark(server.pid, mark), "it goes on")
    assert server.call("goes-on").text not in ("", mark)


@pytest.mark.needs_root
def test_an_import_that_becomes_another_program_is_killed_and_its_caller_told(server: Server) -> None:
    source = DEAF.format(at_import=GOES_ON["another program"])
    server.deploy("goes-on-at-import", source, max_instances=1)
    for _ in range(2):
        answer = server.call("goes-on-at-import")
        assert answer.status_code == 502 and "went on" in answer.text, answer.text
