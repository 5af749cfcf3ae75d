"""Aliases, canaries and numbers as they are called: through two fronts, each over a connection of its own."""

from __future__ import annotations

import base64
import http.client
import select
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import MakeServer
from tests.contract.call.conftest import Deploy, as_json
from tests.support.envelope import assert_envelope
from tests.support.eventually import eventually
from tests.support.server import SPACE, TOKEN, Server

FUNCTIONS = f"/spaces/{SPACE}/functions"
# Both fronts have taken one of so many new connections, or the kernel is not fair.
CONNECTIONS = 16
SOURCE = (
    "import os\nID = os.urandom(8).hex()\n"
    "def handle(req):\n    print('line of {0}')\n    return {{'body': {{'says': {0!r}, 'id': ID}}}}\n"
)
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def change(server: Server, name: str, source: str, **fields: Any) -> dict[str, Any]:
    """A new version."""
    body = {"source": {"code": base64.b64encode(source.encode()).decode()}, **fields}
    answer = server.client.patch(f"{FUNCTIONS}/{name}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def alias(
    server: Server, name: str, alias: str, version: int, canary: tuple[int, float] | None = None
) -> httpx.Response:
    """Set an alias; ``canary`` is a version and its share."""
    body = {"version": version, "canary": canary and {"version": canary[0], "share": canary[1]}}
    answer = server.client.put(f"{FUNCTIONS}/{name}/aliases/{alias}", json=body)
    assert answer.status_code in (200, 201), answer.text
    return answer


def calls(server: Server, called: str, number: int = CONNECTIONS, **headers: str) -> list[httpx.Response]:
    """Calls, each over a connection of its own."""

    def one() -> httpx.Response:
        return httpx.post(
            f"{server.url}{FUNCTIONS}/{called}/invoke", headers={**BEARER, **headers}, timeout=60.0
        )

    return [one() for _ in range(number)]


def said(answers: list[httpx.Response]) -> set[str]:
    """What they say, with the version that the platform names."""
    return {f"{as_json(answer)['says']} {answer.headers.get('x-function-version')}" for answer in answers}


@pytest.fixture
def shop(server: Server, deploy: Deploy, request: pytest.FixtureRequest) -> Iterator[str]:
    """A function with three versions, which say their number; the third one is active."""
    name = deploy(f"shop-{abs(hash(request.node.name)) % 10**9}", SOURCE.format("1"))
    for version in ("2", "3"):
        change(server, name, SOURCE.format(version))
    yield name


@pytest.mark.promise("S225")
def test_an_alias_calls_its_version_at_every_front_from_the_answer_on(server: Server, shop: str) -> None:
    assert alias(server, shop, "prod", 1).status_code == 201
    assert said(calls(server, f"{shop}@prod")) == {"1 1"}
    assert alias(server, shop, "prod", 2).status_code == 200
    assert said(calls(server, f"{shop}@prod")) == {"2 2"}
    assert said(calls(server, f"{shop}%40prod", 2)) == {"2 2"}, "as clients encode it"
    assert said(calls(server, shop, 4)) == {"3 None"}, "the name alone is the active version, as before"
    change(server, shop, SOURCE.format("4"))
    assert said(calls(server, f"{shop}@prod")) == {"2 2"}
    assert said(calls(server, f"{shop}@1", 4)) == {"1 1"}, "a number names a version"
    assert server.client.delete(f"{FUNCTIONS}/{shop}/aliases/prod").status_code == 204
    for answer in calls(server, f"{shop}@prod"):
        assert_envelope(answer, 404, "no alias or version 'prod'")
    assert server.client.delete(f"{FUNCTIONS}/{shop}").status_code == 204
    for answer in calls(server, f"{shop}@1", 4):
        assert_envelope(answer, 404, "function not found")


def test_what_is_no_alias_and_no_version_is_a_404_with_the_near_names(server: Server, shop: str) -> None:
    alias(server, shop, "prod", 1)
    for called, says in (
        (f"{shop}@prd", "did you mean 'prod'?"),
        (f"{shop}@99", "no alias or version '99'"),
        (f"{shop}@0", "no alias or version '0'"),
        (f"{shop}@", "no alias or version"),
        (f"{shop}@PROD", "no alias or version 'PROD'"),
        (f"{shop}@prod@prod", "no alias or version"),
        (f"{shop}@%70rod", "no alias or version"),
        ("no-such@prod", "function not found"),
    ):
        for answer in calls(server, called, 2):
            assert_envelope(answer, 404, says)
    assert_envelope(server.client.get(f"{FUNCTIONS}/{shop}@prd"), 404, "did you mean 'prod'?")
    assert_envelope(server.client.get(f"{FUNCTIONS}/{shop}@99"), 404, "no version 99")


@pytest.mark.promise("S226")
def test_a_key_keeps_its_version_at_every_front_while_the_share_grows(server: Server, shop: str) -> None:
    keys = [f"caller-{number}" for number in range(24)]

    def canaries() -> set[str]:
        found = set()
        for key in keys:
            answers = [*calls(server, f"{shop}@prod", 3, **{"X-Canary-Key": key})]
            (one,) = said(answers)
            assert one in ("1 1", "2 2")
            found |= {key} if one == "2 2" else set()
        return found

    alias(server, shop, "prod", 1, (2, 33.33))
    some = canaries()
    alias(server, shop, "prod", 1, (2, 66.66))
    more = canaries()
    assert some < more < set(keys)
    alias(server, shop, "prod", 1, (2, 100))
    assert canaries() == set(keys)
    assert said(calls(server, f"{shop}@prod")) == {"2 2"}, "without a key, too"


def test_a_deploy_and_another_share_cost_the_callers_of_an_alias_no_cold_start(
    server: Server, deploy: Deploy
) -> None:
    name = deploy("kept-warm", SOURCE.format("1"), max_instances=1)

    def ids(called: str) -> set[str]:
        return {as_json(answer)["id"] for answer in calls(server, called)}

    alias(server, name, "prod", 1)
    before = ids(f"{name}@prod")
    assert len(before) == 1
    change(server, name, SOURCE.format("2"))
    assert ids(name).isdisjoint(before), "the control: the name alone is served by the new version"
    alias(server, name, "prod", 1, (2, 0.01))
    assert ids(f"{name}@1") == before
    assert {
        as_json(answer)["id"] for answer in calls(server, f"{name}@prod", **{"X-Canary-Key": "a"})
    } == before


def test_a_version_waits_for_no_place_of_another_one(server: Server, deploy: Deploy) -> None:
    """The one instance of the aliased version is busy until its caller leaves; the active one answers."""
    busy = "import time\ndef handle(req):\n    print('busy now', flush=True)\n    time.sleep(600)\n"
    name = deploy("side-by-side", busy, max_instances=1, timeout=800)
    change(server, name, SOURCE.format("2"))
    alias(server, name, "prod", 1)
    caller = http.client.HTTPConnection(str(httpx.URL(server.url).host), httpx.URL(server.url).port)
    caller.request("POST", f"{FUNCTIONS}/{name}@prod/invoke", headers=BEARER)
    server.said("busy now")
    assert said(calls(server, name, 4)) == {"2 None"}
    assert not select.select([caller.sock], [], [], 0)[0], "the control: it was busy all the time"
    caller.close()  # ends the call


@pytest.mark.promise("S232")
def test_a_stranger_calls_public_versions_by_alias_and_nothing_by_number(
    server: Server, deploy: Deploy, anyone: httpx.Client
) -> None:
    name = deploy("half-public", SOURCE.format("1"), public=True)
    change(server, name, SOURCE.format("2"), options={"public": False})
    alias(server, name, "open", 1)
    alias(server, name, "shut", 2)

    def status(called: str) -> int:
        return anyone.post(f"{FUNCTIONS}/{called}/invoke").status_code

    assert [status(f"{name}@open") for _ in range(4)] == [200] * 4
    assert {status(called) for called in (name, f"{name}@shut", f"{name}@1", f"{name}@2", f"{name}@no")} == {
        401
    }
    alias(server, name, "open", 2)
    assert status(f"{name}@open") == 401
    assert server.client.post(f"{FUNCTIONS}/{name}/rollback", json={"version": 1}).status_code == 200
    assert status(name) == 200, "the control: the active version is public now"
    assert {status(called) for called in (f"{name}@1", f"{name}@open")} == {401}


def test_min_instances_holds_for_what_an_alias_names_and_not_for_what_a_number_called(
    server: Server, deploy: Deploy
) -> None:
    name = deploy("kept", SOURCE.format("1"), min_instances=1, max_instances=2)
    change(server, name, SOURCE.format("2"), options={"min_instances": 0})
    alias(server, name, "prod", 1)

    def replicas(called: str) -> int:
        return int(server.client.get(f"{FUNCTIONS}/{called}").json()["metrics"]["available_replicas"])

    eventually(lambda: replicas(f"{name}@prod") == 1)
    assert server.client.get(f"{FUNCTIONS}/{name}@prod").json()["version"] == 1
    assert replicas(name) == 0
    alias(server, name, "prod", 2)
    eventually(lambda: replicas(f"{name}@1") == 0)
    assert replicas(f"{name}@prod") == 0


def test_the_logs_and_the_code_of_an_alias_are_those_of_its_version(server: Server, shop: str) -> None:
    alias(server, shop, "prod", 1)
    for called in (f"{shop}@prod", shop):
        calls(server, called, 1)

    def lines(called: str) -> set[str]:
        read = server.client.get(f"{FUNCTIONS}/{called}/logs", params={"tail": 100, "stream": "stdout"})
        assert read.status_code == 200, read.text
        return {line for line in ("line of 1", "line of 3") if line in read.text}

    # What one front has recorded the other can read a moment later.
    eventually(lambda: lines(shop) == {"line of 1", "line of 3"}, "a line was not recorded")
    assert (lines(f"{shop}@prod"), lines(f"{shop}@3")) == ({"line of 1"}, {"line of 3"})
    code = base64.b64decode(server.client.get(f"{FUNCTIONS}/{shop}@prod/code").json()["code"]).decode()
    assert code == SOURCE.format("1")


@pytest.mark.promise("S227")
def test_what_an_alias_names_is_kept_beyond_versions_kept(make_server: MakeServer) -> None:
    server = make_server(versions_kept=2)
    server.deploy("old", SOURCE.format("1"))
    change(server, "old", SOURCE.format("2"))
    alias(server, "old", "prod", 1, (2, 50))
    for number in range(3, 8):
        change(server, "old", SOURCE.format(number))
    kept = server.client.get(f"{FUNCTIONS}/old/versions").json()["data"]
    assert [(each["version"], each["aliases"]) for each in kept] == [
        (7, []),
        (6, []),
        (2, ["prod"]),
        (1, ["prod"]),
    ]
    assert said(calls(server, "old@prod", **{"X-Canary-Key": "x"})) <= {"1 1", "2 2"}
    assert server.client.delete(f"{FUNCTIONS}/old/aliases/prod").status_code == 204
    change(server, "old", SOURCE.format("8"))
    kept = server.client.get(f"{FUNCTIONS}/old/versions").json()["data"]
    assert [each["version"] for each in kept] == [8, 7]
