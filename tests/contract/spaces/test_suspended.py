"""A suspended space answers no call and loses nothing; resumed, it answers at once."""

from __future__ import annotations

import threading

import httpx
import pytest

from tests.contract.spaces.conftest import Space
from tests.support.envelope import assert_envelope
from tests.support.eventually import eventually

HELLO = "def handle(req):\n    return {'body': 'hello'}\n"
SLOW = """
import time
def handle(req):
    print("begun", flush=True)
    time.sleep(2)
    return {"body": "done"}
"""


@pytest.mark.promise("S208")
def test_calls_of_a_suspended_space_are_403_by_every_front_before_the_answer_and_go_on_when_it_is_resumed(
    space: Space,
) -> None:
    space.deploy("private", HELLO)
    space.deploy("open", HELLO, public=True)
    space.send("PUT", "/secrets/KEY", json={"value": "kept"})
    assert space.by_all_fronts("private") == space.by_all_fronts("open", anonymous=True) == {200}

    space.suspend()

    assert space.by_all_fronts("private") == {403}
    assert space.by_all_fronts("open", anonymous=True) == {403}
    assert space.by_all_fronts("private", anonymous=True) == {401}, "no more than of any private function"
    assert space.by_all_fronts("nobody") == {404}
    refused = space.call("private")
    assert_envelope(refused, 403)
    assert "is suspended" in refused.text
    assert refused.json()["error"]["details"] == {"reason": "suspended"}
    assert refused.headers.get("x-invoked") is None
    assert space.send("GET").json()["suspended"] is True

    space.suspend(False)

    assert space.by_all_fronts("private") == space.by_all_fronts("open", anonymous=True) == {200}
    assert [one["name"] for one in space.send("GET", "/secrets").json()["data"]] == ["KEY"]


@pytest.mark.promise("S212")
def test_its_warm_instances_end_and_those_that_are_kept_come_back_when_it_is_resumed(space: Space) -> None:
    space.deploy("kept", HELLO, min_instances=1)
    space.deploy("warm", HELLO)
    space.call("warm")
    eventually(lambda: {one["name"] for one in space.instances()} == {"kept", "warm"})

    space.suspend()

    eventually(lambda: not space.instances())
    for name in ("kept", "warm"):
        eventually(
            lambda name=name: space.send("GET", f"/functions/{name}").json()["metrics"]["replicas"] == 0
        )
    space.suspend(False)
    eventually(lambda: {one["name"] for one in space.instances()} == {"kept"})


def test_a_call_that_runs_when_its_space_is_suspended_ends_well(space: Space) -> None:
    space.deploy("slow", SLOW)
    answers: list[httpx.Response] = []
    calling = threading.Thread(target=lambda: answers.append(space.call("slow")))
    calling.start()
    eventually(lambda: "begun" in space.send("GET", "/functions/slow/logs").text)
    space.suspend()
    assert space.by_all_fronts("slow") == {403}
    calling.join(30)
    assert (answers[0].status_code, answers[0].text) == (200, "done")


def test_the_administrator_reads_and_changes_a_suspended_space(space: Space) -> None:
    space.deploy("hello", HELLO)
    space.suspend()
    assert space.send("GET", "/functions/hello").status_code == 200
    assert space.send("GET", "/functions/hello/logs").status_code == 200
    assert space.send("PATCH", "/functions/hello", json={"description": "new"}).status_code == 200
    assert space.by_all_fronts("hello") == {403}


def test_a_page_may_read_that_the_space_is_suspended_where_it_may_read_the_functions_answers(
    space: Space,
) -> None:
    space.deploy("paged", HELLO, public=True, cors=["https://shop.example.com"])
    space.suspend()
    url = f"{space.server.url}{space.path}/functions/paged/invoke"
    answer = httpx.post(url, headers={"Origin": "https://shop.example.com"}, timeout=60)
    assert answer.status_code == 403
    assert answer.headers["access-control-allow-origin"] == "https://shop.example.com"
