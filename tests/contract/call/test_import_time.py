"""Import time is import time: who waits for it, what they are told, whose its lines are, what status says."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from tests.conftest import MakeServer
from tests.support.envelope import assert_envelope
from tests.support.eventually import eventually
from tests.support.processes import fronts_of
from tests.support.server import SPACE, Server
from tests.support.together import together

# A cell comes and a call ends within these on a busy machine too.
QUEUE_SECONDS = 2.5
LEAST_TIMEOUT = 3.0
# Longer than a call may wait for an instance, and than its function may take.
LONG_SECONDS = 3.5
# So long that those who are to wait for it have come.
SHORT_SECONDS = 0.8
INIT_SECONDS = 8.0
ASK = {"X-Cellblock-Logs": "tail"}

SLOW = """
import sys, time
print("import begins")
time.sleep({seconds})
print("import ends", file=sys.stderr)
def handle(req):
    print("call")
    return {{"body": "here"}}
"""
LONG, SHORT = SLOW.format(seconds=LONG_SECONDS), SLOW.format(seconds=SHORT_SECONDS)
RAISES = f"""
import time
print("before it raised")
time.sleep({SHORT_SECONDS})
THE_LINE = {{}}["absent"]
def handle(req): pass
"""
STUCK = "import time\ntime.sleep(60)\ndef handle(req): pass\n"


@pytest.fixture(scope="module")
def impatient(module_server: MakeServer) -> Server:
    """Two fronts, on which no call waits long for an instance."""
    return module_server(queue_seconds=QUEUE_SECONDS, init_seconds=INIT_SECONDS, queue_depth=50)


def tail_of(answer: httpx.Response) -> list[str]:
    return base64.b64decode(answer.headers["x-cellblock-log-tail"], validate=True).decode().splitlines()


def shown(server: Server, name: str) -> dict[str, Any]:
    answer = server.client.get(f"/spaces/{SPACE}/functions/{name}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def failed(server: Server, name: str) -> dict[str, Any]:
    """What is shown once its start has failed; a front that is busy may tell of that a moment later."""
    eventually(lambda: shown(server, name)["status"] == "Failed")
    return shown(server, name)


def alone(server: Server, name: str, **keywords: Any) -> httpx.Response:
    """A call on a connection of its own, so that calls are spread over the fronts."""
    headers = {**server.client.headers, **keywords.pop("headers", {})}
    url = f"{server.url}/spaces/{SPACE}/functions/{name}/invoke"
    return httpx.post(url, headers=headers, timeout=60, **keywords)


@pytest.mark.promise("S149")
def test_a_caller_waits_for_an_import_as_long_as_it_may_take_and_then_has_all_of_its_own_time(
    impatient: Server,
) -> None:
    impatient.deploy("slow", LONG, timeout=LEAST_TIMEOUT)
    # X-Timeout lowers the function's own limit, which has not begun.
    headers = [{}, {"X-Timeout": f"{LEAST_TIMEOUT - 0.2:g}"}, {"X-Timeout": f"{LEAST_TIMEOUT:g}"}, ASK]
    answers = together([lambda one=one: alone(impatient, "slow", headers=one) for one in headers])
    assert [answer.text for answer in answers] == ["here"] * len(headers)
    for answer in answers:
        assert float(answer.headers["x-duration-seconds"]) > LONG_SECONDS / 2


@pytest.mark.promise("S150")
def test_where_there_may_be_one_instance_those_at_every_front_wait_for_its_import(impatient: Server) -> None:
    assert len(fronts_of(impatient.pid)) == 2
    for attempt in range(10):
        impatient.deploy(f"one-slow-{attempt}", LONG, max_instances=1)
        answers = together([lambda name=f"one-slow-{attempt}": alone(impatient, name)] * 12)
        assert [answer.text for answer in answers] == ["here"] * 12
        # Which front takes a connection is the kernel's to say.
        if len({answer.headers["x-call-id"].partition("-")[0] for answer in answers}) == 2:
            return
    raise AssertionError("all connections went to one front")


@pytest.mark.promise("S151")
def test_an_import_that_takes_too_long_is_told_as_that_to_all_who_wait_for_it(impatient: Server) -> None:
    impatient.deploy("stuck", STUCK)
    answers = together([lambda: alone(impatient, "stuck", headers={"X-Timeout": "0.1"})] * 3)
    for answer in answers:
        error = assert_envelope(
            answer,
            504,
            f"still being imported after {INIT_SECONDS:g} s; it was at handler.py:2 in <module>",
            "init_seconds",
        )
        details = error["details"]
        assert (details["reason"], details["limit_s"]) == ("init", INIT_SECONDS)
        assert (details["where"], details["call_id"]) == (
            "handler.py:2 in <module>", answer.headers["x-call-id"],
        )  # fmt: skip
    found = failed(impatient, "stuck")
    assert (
        found["status_reason"]
        == f"its import took longer than {INIT_SECONDS:g} s, at handler.py:2 in <module>"
    )


@pytest.mark.promise("S152")
def test_an_import_that_raises_is_told_to_all_who_wait_for_it_and_is_the_status_until_it_is_mended(
    impatient: Server,
) -> None:
    impatient.deploy("raises", RAISES)
    assert (shown(impatient, "raises")["status"], shown(impatient, "raises")["status_reason"]) == (
        "Running",
        None,
    )
    answers = together([lambda: alone(impatient, "raises")] * 4)
    for answer in answers:
        error = assert_envelope(answer, 500, "KeyError at line 5: 'absent'", is_invoked=True)
        assert error["details"]["exception_line_code"] == 'THE_LINE = {}["absent"]'
    failed(impatient, "raises")
    listed = impatient.client.get(f"/spaces/{SPACE}/functions").json()["data"]
    (entry,) = (one for one in listed if one["name"] == "raises")
    assert (entry["status"], entry["status_reason"]) == ("Failed", "KeyError at line 5: 'absent'")
    # A deploy that mends it: what failed was another version.
    impatient.deploy("raises", SHORT)
    assert shown(impatient, "raises")["status"] == "Running"
    assert alone(impatient, "raises").text == "here"
    # Its front tells the warden that the instance is ready while it answers.
    eventually(lambda: shown(impatient, "raises")["status"] == "Running")


def test_a_function_is_running_again_once_an_import_of_it_works(impatient: Server) -> None:
    # The world has changed, and the function has not: a secret that its import wants.
    source = "from function import secrets\n1 / len(secrets.get('wanted'))\n"
    source += "def handle(req): return {'body': 'x'}\n"
    impatient.deploy("depends", source)
    assert_envelope(alone(impatient, "depends"), 500, "ZeroDivisionError at line 2", is_invoked=True)
    assert "ZeroDivisionError at line 2" in failed(impatient, "depends")["status_reason"]
    put = impatient.client.put(f"/spaces/{SPACE}/secrets/wanted", json={"value": "here"})
    assert put.status_code in (200, 201, 204), put.text
    # From both fronts: the one that starts it need not be the one where it failed.
    assert [alone(impatient, "depends").text for _ in range(4)] == ["x"] * 4
    assert (shown(impatient, "depends")["status"], shown(impatient, "depends")["status_reason"]) == (
        "Running",
        None,
    )


def test_a_deploy_mends_an_import_that_others_are_waiting_for(impatient: Server) -> None:
    impatient.deploy("mended", STUCK, max_instances=1)

    def mend() -> Any:
        eventually(lambda: shown(impatient, "mended")["metrics"]["replicas"] > 0)
        return impatient.deploy("mended", SHORT.replace("here", "mended"), max_instances=1)

    *answers, _ = together([*[lambda: alone(impatient, "mended")] * 3, mend])
    assert [answer.text for answer in answers] == ["mended"] * 3
    assert shown(impatient, "mended")["status"] == "Running"


@pytest.mark.promise("S153")
@pytest.mark.parametrize("fresh", [False, True], ids=["plain", "fresh"])
def test_what_an_import_writes_is_the_log_of_the_call_that_waited_for_it(
    impatient: Server, fresh: bool
) -> None:
    impatient.deploy(f"says-{fresh}".lower(), SHORT, max_instances=1, fresh=fresh)
    answer = alone(impatient, f"says-{fresh}".lower(), headers=ASK)
    assert tail_of(answer) == ["import begins", "import ends", "call"]
    again = alone(impatient, f"says-{fresh}".lower(), headers=ASK)
    # With ``fresh`` the other front has an instance of its own, and an import.
    assert tail_of(again) == ["call"] or (fresh and tail_of(again) == tail_of(answer))


def test_what_an_import_writes_that_fails_is_the_log_of_a_call_that_waited_for_it(impatient: Server) -> None:
    for name, source, last in (
        ("says-raises", RAISES, "KeyError: 'absent'"), ("says-exits", "print('out')\nimport os; os._exit(3)\n"
         "def handle(req): pass\n", "out"),
    ):  # fmt: skip
        impatient.deploy(name, source, max_instances=1)
        answer = alone(impatient, name, headers=ASK)
        assert answer.status_code in (500, 502)
        assert tail_of(answer)[-1] == last and tail_of(answer)[0] in ("before it raised", "out")


def test_what_the_import_of_an_instance_writes_that_nobody_waits_for_is_no_calls(impatient: Server) -> None:
    impatient.deploy("kept", SHORT, min_instances=1, max_instances=1)
    logs = f"/spaces/{SPACE}/functions/kept/logs"
    eventually(lambda: "instance started" in impatient.client.get(logs).text)
    entries = map(json.loads, impatient.client.get(logs).text.splitlines())
    assert {one["call_id"] for one in entries if one["text"].startswith("import ")} == {""}
    assert tail_of(alone(impatient, "kept", headers=ASK)) == ["call"]
