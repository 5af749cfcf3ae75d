"""The headers that every answer carries, and the time limit that a caller may ask for."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import httpx
import pytest

from tests.contract.call.conftest import Deploy, as_json, took_ms
from tests.support.envelope import assert_envelope
from tests.support.raw_http import exchange, target
from tests.support.server import SPACE, Server

OWN_ID = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8,}")
TIMING = re.compile(r"queue;dur=(\d+\.\d{3}), init;dur=(\d+\.\d{3}), exec;dur=(\d+\.\d{3})")


@pytest.fixture(scope="module")
def timed(deploy: Deploy) -> str:
    """Sleeps for as many seconds as its body says, then tells how much time it had."""
    source = (
        "import time\n"
        "from function import context\n"
        "time.sleep(0.05)\n"
        "def handle(req):\n"
        "    had = context.remaining_ms()\n"
        "    time.sleep(float(req.body or 0))\n"
        "    return {'body': {'had': had, 'left': context.remaining_ms(), 'call_id': context.call_id}}\n"
    )
    return deploy("timed", source, timeout=5, max_instances=1)


# ---- X-Call-Id ------------------------------------------------------------------------------


@pytest.mark.parametrize("call_id", ["a", "A1._:@=+-z", "0" * 128, "4bf92f3577b34da6a3ce929d0e0e4736"])
def test_a_callers_own_valid_call_id_is_kept(server: Server, timed: str, call_id: str) -> None:
    answer = server.call(timed, headers={"X-Call-Id": call_id})
    assert answer.headers.get_list("x-call-id") == [call_id]
    assert as_json(answer)["call_id"] == call_id


@pytest.mark.parametrize(
    "call_id", ["", "two words", "a/b", "0" * 129, "caf\xe9", "a,b", "'quoted'", "<script>"]
)
def test_a_call_id_that_is_none_is_replaced(server: Server, timed: str, call_id: str) -> None:
    answer = exchange(server, "POST", target(timed), [("X-Call-Id", call_id)])
    assert OWN_ID.fullmatch(answer.one("x-call-id"))
    assert answer.one("x-call-id").encode() in answer.body


def test_each_call_without_an_id_gets_one_of_its_own(server: Server, timed: str) -> None:
    assert len({server.call(timed).headers["x-call-id"] for _ in range(20)}) == 20


ANSWERS: dict[str, Callable[[Server], httpx.Response]] = {
    "an answer": lambda server: server.call("timed", headers={"X-Call-Id": "kept-1"}),
    "a 404 of an invocation": lambda server: server.call("nobody", headers={"X-Call-Id": "kept-1"}),
    "a 405": lambda server: server.call("timed", method="OPTIONS", headers={"X-Call-Id": "kept-1"}),
    "a 422": lambda server: server.call("timed", headers={"X-Call-Id": "kept-1", "X-Timeout": "0"}),
    "a 504": lambda server: server.call(
        "timed", content=b"9", headers={"X-Call-Id": "kept-1", "X-Timeout": "0.1"}
    ),
    "a list of functions": lambda server: server.client.get(
        f"/spaces/{SPACE}/functions", headers={"X-Call-Id": "kept-1"}
    ),
    "a 404 of the API": lambda server: server.client.get("/nothing", headers={"X-Call-Id": "kept-1"}),
    "a 401 of the API": lambda server: httpx.get(f"{server.url}/spaces", headers={"X-Call-Id": "kept-1"}),
    "a health check": lambda server: server.client.get("/healthz", headers={"X-Call-Id": "kept-1"}),
    "the description": lambda server: server.client.get("/openapi.json", headers={"X-Call-Id": "kept-1"}),
}


@pytest.mark.promise("S12")
@pytest.mark.parametrize("kind", ANSWERS)
def test_every_answer_carries_call_id_duration_and_timing_once(server: Server, timed: str, kind: str) -> None:
    answer = ANSWERS[kind](server)
    assert answer.headers.get_list("x-call-id") == ["kept-1"]
    (duration,) = answer.headers.get_list("x-duration-seconds")
    assert 0 <= float(duration) < 30
    (timing,) = answer.headers.get_list("server-timing")
    assert TIMING.fullmatch(timing)


# ---- X-Invoked ------------------------------------------------------------------------------


@pytest.mark.promise("S13")
def test_x_invoked_tells_the_functions_answers_from_the_platforms(server: Server, timed: str) -> None:
    assert server.call(timed).headers.get_list("x-invoked") == ["true"]
    raised = server.call(timed, content=b"no number")
    assert (raised.status_code, raised.headers.get_list("x-invoked")) == (500, ["true"])
    for answer in (
        server.call("nobody"),
        server.call(timed, method="OPTIONS"),
        server.call(timed, content=b"9", headers={"X-Timeout": "0.1"}),
        server.client.get(f"/spaces/{SPACE}/functions"),
    ):
        assert "x-invoked" not in answer.headers


# ---- duration and timing --------------------------------------------------------------------


def test_the_timing_tells_where_the_time_went(server: Server, deploy: Deploy) -> None:
    source = (
        "import time\ntime.sleep(0.2)\n"
        "def handle(req):\n    time.sleep(0.1)\n    return {}\n"
    )  # fmt: skip
    name = deploy("timing", source, max_instances=1)
    cold, warm = server.call(name), server.call(name)
    for answer, init_ms in ((cold, 200), (warm, 0)):
        queue, init, execution = map(float, TIMING.fullmatch(answer.headers["server-timing"]).groups())  # type: ignore[union-attr]
        total_ms = float(answer.headers["x-duration-seconds"]) * 1000
        assert init_ms <= init <= init_ms + 2000
        assert 95 <= execution <= 2000  # a clock of whole milliseconds
        assert queue + init + execution <= total_ms + 5
    assert float(warm.headers["x-duration-seconds"]) >= 0.1


# ---- X-Timeout ------------------------------------------------------------------------------


@pytest.mark.promise("S22")
@pytest.mark.parametrize(
    ("asked", "limit_ms"),
    [
        ("2", 2000), ("1.5", 1500), (".5", 500), ("1.5s", 1500), ("800ms", 800), ("1s500ms", 1500),
        ("0.05m", 3000), ("900000us", 900),
        # Above the function's own limit of 5 s: not raised.
        ("6", 5000), ("100", 5000), ("1h", 5000), ("1m30s", 5000), ("999999999", 5000),
    ],
)  # fmt: skip
def test_a_caller_may_lower_the_time_limit_and_never_raise_it(
    server: Server, timed: str, asked: str, limit_ms: int
) -> None:
    answer = server.call(timed, headers={"X-Timeout": asked})
    assert limit_ms - took_ms(answer) <= as_json(answer)["had"] <= limit_ms


def test_without_a_wish_the_functions_own_limit_holds(server: Server, timed: str) -> None:
    answer = server.call(timed)
    assert 5000 - took_ms(answer) <= as_json(answer)["had"] <= 5000


def test_a_lowered_limit_is_a_504_that_names_it(server: Server, timed: str) -> None:
    began = time.monotonic()
    error = assert_envelope(server.call(timed, content=b"30", headers={"X-Timeout": "250ms"}), 504, "0.25 s")
    assert 0.25 <= time.monotonic() - began < 3
    assert error["details"]["reason"] == "timeout"
    assert error["details"]["limit_s"] == 0.25


def test_time_that_a_call_uses_is_gone_from_what_remains(server: Server, timed: str) -> None:
    found = as_json(server.call(timed, content=b"0.1"))
    assert 95 <= found["had"] - found["left"] <= 1000


def test_no_answer_names_the_software_that_made_it(server: Server, deploy: Deploy) -> None:
    deploy("says-nothing-of-us", "def handle(req):\n    return {'headers': {'Server': 'mine'}}\n")
    for path in ("/", "/healthz", "/nowhere", f"/spaces/{SPACE}/functions/says-nothing-of-us/invoke"):
        answer = server.client.get(path)
        assert "server" not in answer.headers, path
        assert "gunicorn" not in str(answer.headers).lower()
