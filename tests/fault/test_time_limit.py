"""At its time limit a call is over: 504 for the caller, and the code is gone."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.eventually import eventually
from tests.support.processes import descendants_of
from tests.support.server import Server

STUCK = {
    "sleep": "import time\ndef handle(req):\n    time.sleep(600)\n",
    "busy-loop": "def handle(req):\n    while True:\n        pass\n",
    "holds-the-lock": "def handle(req):\n    return {'body': len(str(7 ** (10 ** 8)))}\n",
    "async-sleep": "import asyncio\nasync def handle(req):\n    await asyncio.sleep(600)\n",
    "async-blocks-its-loop": "import time\nasync def handle(req):\n    time.sleep(600)\n",
    "ignores-signals": (
        "import signal, time\n"
        "def handle(req):\n"
        "    for number in (signal.SIGTERM, signal.SIGXCPU, signal.SIGALRM):\n"
        "        signal.signal(number, signal.SIG_IGN)\n"
        "    while True:\n        time.sleep(1)\n"
    ),
    "stops-itself": "import os, signal\ndef handle(req):\n    os.kill(os.getpid(), signal.SIGSTOP)\n",
    "does-not-read": "import os, time\nos.close(3)\ndef handle(req):\n    return {}\n",
}


@pytest.mark.promise("S21", "T29")
@pytest.mark.parametrize("name", STUCK)
def test_a_call_that_does_not_end_is_ended_at_its_limit(server: Server, name: str) -> None:
    server.deploy(f"stuck-{name}", STUCK[name], timeout=0.4)
    before = set(descendants_of(server.pid))
    began = time.monotonic()
    answer = server.call(f"stuck-{name}")
    took = time.monotonic() - began
    if name == "does-not-read":
        assert answer.status_code in (502, 504), answer.text
        return
    assert answer.status_code == 504, answer.text
    error = answer.json()["error"]
    assert "0.4 s" in error["message"]
    assert error["details"]["limit_s"] == 0.4
    assert 0.4 <= took < 5.0
    # The 504 is sent after the warden has reaped the cell: nothing of it is left to run.
    busy = {pid for pid in set(descendants_of(server.pid)) - before if _is_busy(pid)}
    # A cell that is being made is busy too, and soon is not; what is stuck stays so.
    eventually(lambda: not any(map(_is_busy, busy)))


def _is_busy(pid: int) -> bool:
    """Running or stopped: a blank or idle cell sleeps."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] in "RT"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_x_timeout_lowers_the_limit_of_one_call_and_never_raises_it(server: Server) -> None:
    server.deploy("sleeper", "import time\ndef handle(req):\n    time.sleep(float(req.body))\n", timeout=1.0)
    lowered = server.call("sleeper", content=b"5", headers={"X-Timeout": "200ms"})
    assert lowered.status_code == 504
    assert lowered.json()["error"]["details"]["limit_s"] == 0.2
    raised = server.call("sleeper", content=b"5", headers={"X-Timeout": "60"})
    assert raised.json()["error"]["details"]["limit_s"] == 1.0


@pytest.mark.promise("S23")
def test_other_calls_on_an_instance_whose_call_timed_out_may_try_again(server: Server) -> None:
    server.deploy(
        "shared-loop",
        "import asyncio\n"
        "async def handle(req):\n"
        "    await asyncio.sleep(0.2)\n"
        "    return {'body': sum(range(1 << 60))} if req.body else await asyncio.sleep(600)\n",
        timeout=2.0,
        max_instances=1,
    )
    with ThreadPoolExecutor(3) as callers:
        long = [callers.submit(server.call, "shared-loop") for _ in range(2)]
        short = callers.submit(server.call, "shared-loop", content=b"deaf", headers={"X-Timeout": "0.5"})
        assert short.result().status_code == 504
        answers = [call.result() for call in long]
    # Each was on the culprit's instance (503, try again) or on another one (its own 504).
    assert {answer.status_code for answer in answers} <= {503, 504}
    for answer in answers:
        if answer.status_code == 503:
            assert "Retry-After" in answer.headers
