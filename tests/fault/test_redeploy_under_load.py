"""A deploy loses no call: the old version finishes what it has, the new one answers from then on."""

from __future__ import annotations

import base64
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.server import SPACE, Server

SOURCE = "import time\ndef handle(req):\n    time.sleep(0.02)\n    return {{'body': '{}'}}\n"
CALLERS = 6
DEPLOYS = 5
# What one client does of everything, and after how long without an answer a front has stopped.
ROUNDS = 150
STOPPED_SECONDS = 20.0


@pytest.mark.promise("S32")
def test_a_redeploy_under_load_loses_no_call(server: Server) -> None:
    server.deploy("moving", SOURCE.format(0))
    is_over = threading.Event()

    def call_until_over() -> list[tuple[int, str]]:
        answers = []
        while not is_over.is_set():
            answer = server.call("moving")
            answers.append((answer.status_code, answer.text))
        return answers

    with ThreadPoolExecutor(CALLERS) as callers:
        futures = [callers.submit(call_until_over) for _ in range(CALLERS)]
        for version in range(1, DEPLOYS + 1):
            server.deploy("moving", SOURCE.format(version))
            # The deploy has been acknowledged by every front: no later call sees the version before.
            assert server.call("moving").text == str(version)
        is_over.set()
        answers = [answer for future in futures for answer in future.result()]
    assert {status for status, _ in answers} == {200}
    assert {text for _, text in answers} <= {str(version) for version in range(DEPLOYS + 1)}
    for future in futures:
        seen = [int(text) for _, text in future.result()]
        assert seen == sorted(seen), "a caller went back to an older version"


@pytest.mark.promise("S87")
def test_a_function_that_comes_and_goes_while_it_is_called_never_stops_a_front(server: Server) -> None:
    source = base64.b64encode(SOURCE.format("x").encode()).decode()
    body = {"name": "fleeting", "template": "python3-http", "source": {"code": source}}
    place = f"/spaces/{SPACE}/functions"

    def some_of_everything(number: int) -> list[int]:
        """The statuses of what one client did."""
        choice = random.Random(number)
        statuses = []
        with httpx.Client(
            base_url=server.url, headers=server.client.headers, timeout=STOPPED_SECONDS
        ) as client:
            for _ in range(ROUNDS):
                what = choice.choices(["deploy", "replace", "delete", "call"], [2, 1, 2, 5])[0]
                if what == "deploy":
                    answer = client.post(place, json=body)
                elif what == "replace":
                    answer = client.put(f"{place}/fleeting", json=body)
                elif what == "delete":
                    answer = client.delete(f"{place}/fleeting")
                else:
                    answer = client.post(f"{place}/fleeting/invoke")
                statuses.append(answer.status_code)
        return statuses

    with ThreadPoolExecutor(CALLERS) as clients:
        found = Counter(status for each in clients.map(some_of_everything, range(CALLERS)) for status in each)
    assert set(found) <= {200, 201, 204, 404, 409}, found
    assert found[200] and found[204] and found[404], "it was there, and it was not"
    assert "did not acknowledge" not in server.log


@pytest.mark.promise("S30")
def test_instances_are_shared_between_fronts_when_only_one_may_exist(server: Server) -> None:
    server.deploy(
        "single",
        "import itertools\n"
        "count = itertools.count(1)\n"
        "def handle(req):\n"
        "    return {'body': str(next(count))}\n",
        max_instances=1,
    )
    with ThreadPoolExecutor(8) as callers:
        answers = list(
            callers.map(lambda _: server.call("single", headers={"Connection": "close"}), range(80))
        )
    assert {answer.status_code for answer in answers} == {200}
    # One instance counted them all, whichever front the calls came to.
    assert sorted(int(answer.text) for answer in answers) == list(range(1, 81))
