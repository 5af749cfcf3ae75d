"""A space that is deleted leaves nothing: not to its callers, not to its successor, not on the disk."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import httpx
import pytest

from tests.contract.spaces.conftest import Space
from tests.support.envelope import assert_envelope
from tests.support.eventually import eventually
from tests.support.server import Server

FUNCTIONS = 10
SAYS = """
import sys
MARK = {mark!r}
def handle(req):
    print(MARK + "-logged", flush=True)
    return {{"body": MARK}}
"""
SLOW = """
import time
def handle(req):
    print("begun", flush=True)
    time.sleep(60)
"""


def bytes_with(folder: Path, *texts: bytes) -> dict[str, list[bytes]]:
    """The files below a folder that hold one of these, in their bytes or in their path."""
    found: dict[str, list[bytes]] = {}
    for base, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(base) / name
            content = os.fsencode(path.relative_to(folder))
            if path.is_file() and not path.is_symlink():
                content += path.read_bytes()
            if held := [text for text in texts if text in content]:
                found[str(path.relative_to(folder))] = held
    return found


@pytest.mark.promise("S209")
@pytest.mark.promise("T97")
def test_after_a_delete_the_data_directory_has_none_of_its_names_values_code_and_logs(host: Server) -> None:
    """The control is the same search before: each of them is found."""
    space = Space(host, host.make_space("doomed"))
    neighbour = Space(host, host.make_space("neighbour"))
    neighbour.deploy("stays", SAYS.format(mark="neighbours-mark"))
    for number in range(FUNCTIONS):
        space.deploy(f"vanishing-{number}", SAYS.format(mark=f"qzmark{number}"))
        assert space.call(f"vanishing-{number}").text == f"qzmark{number}"
    assert space.send("PUT", "/secrets/QZSECRETNAME", json={"value": "qzsecretvalue"}).is_success
    assert space.send("PUT", "/variables/QZVARIABLENAME", json={"value": "qzvariablevalue"}).is_success
    assert space.send("PATCH", "/functions/vanishing-0", json={"env": {"QZENV": "qzenvvalue"}}).is_success
    neighbour.call("stays")
    eventually(lambda: "qzmark9-logged" in space.send("GET", "/logs").text)
    kept_by_audit = [f"vanishing-{number}".encode() for number in range(FUNCTIONS)]
    kept_by_audit += [b"QZSECRETNAME", b"QZVARIABLENAME"]
    gone = [b"qzmark", b"QZENV", b"qzenvvalue", b"qzsecretvalue", b"qzvariablevalue"]
    before = bytes_with(host.data_dir, b"qzmark", b"QZENV", *kept_by_audit)
    assert any(path.startswith("front/logs/doomed/") for path in before), before
    assert any(path.startswith("front/bundles/") for path in before), before
    assert any(b"QZENV" in held for held in before.values()), before

    assert space.delete().status_code == 204

    assert bytes_with(host.data_dir, *gone) == {}
    left = bytes_with(host.data_dir, *kept_by_audit)
    assert set(left) == {"front/cellblock.db"}, "only the audit's lines"
    lines = host.client.get("/audit", params={"limit": 1000}).json()["data"]
    assert {line["target"].encode() for line in lines} >= set(kept_by_audit)
    assert not (host.data_dir / "front/logs/doomed").exists()
    assert neighbour.call("stays").text == "neighbours-mark"
    assert "neighbours-mark-logged" in neighbour.send("GET", "/logs").text


@pytest.mark.promise("S213")
def test_a_deleted_space_is_404_everywhere_and_its_successor_sees_nothing_of_it(space: Space) -> None:
    space.deploy("hello", SAYS.format(mark="first-mark"), public=True)
    space.send("PUT", "/secrets/KEY", json={"value": "x"})
    assert space.by_all_fronts("hello") == {200}
    eventually(lambda: "first-mark-logged" in space.send("GET", "/logs").text)

    assert space.delete().status_code == 204

    assert space.by_all_fronts("hello") == {404}
    assert space.by_all_fronts("hello", anonymous=True) == {401}
    for path in ("", "/functions", "/functions/hello", "/functions/hello/logs", "/logs", "/secrets",
                 "/variables", "/activity", "/audit"):  # fmt: skip
        answer = space.send("GET", path)
        assert_envelope(answer, 404)
        assert "no space" in answer.text
    assert not [one for one in space.instances() if one["space"] == space.name]

    space.server.make_space(space.name)
    for kind in ("functions", "secrets", "variables"):
        assert space.send("GET", f"/{kind}").json()["data"] == []
    assert space.send("GET", "/logs").text == ""
    assert space.by_all_fronts("hello") == {404}
    space.deploy("hello", SAYS.format(mark="second-mark"))
    assert space.by_all_fronts("hello", anonymous=True) == {401}, "it is not public any more"
    assert space.call("hello").text == "second-mark"
    eventually(lambda: "second-mark-logged" in space.send("GET", "/logs").text)
    assert "first-mark" not in space.send("GET", "/logs").text


def test_a_call_that_runs_ends_with_its_space(space: Space) -> None:
    space.deploy("slow", SLOW, timeout=60)
    answers: list[httpx.Response] = []
    calling = threading.Thread(target=lambda: answers.append(space.call("slow")))
    calling.start()
    eventually(lambda: "begun" in space.send("GET", "/functions/slow/logs").text)
    assert space.delete().status_code == 204
    calling.join(30)
    assert_envelope(answers[0], 404)
    assert "deleted during the call" in answers[0].text


def test_a_delete_needs_the_name_twice(space: Space) -> None:
    for query in ({}, {"confirm": "other"}, {"confirm": ""}):
        answer = space.send("DELETE", params=query)
        assert_envelope(answer, 422)
        assert answer.json()["error"]["details"]["field"] == "confirm"
    assert space.send("GET").status_code == 200


def test_a_follower_of_its_logs_is_told_of_the_end(space: Space) -> None:
    space.deploy("hello", SAYS.format(mark="followed"))
    url = f"{space.server.url}{space.path}/logs?follow=1&tail=0"
    with httpx.stream("GET", url, headers=dict(space.server.client.headers), timeout=30) as answer:
        assert space.delete().status_code == 204
        lines = list(answer.iter_lines())
    assert '"deleted"' in lines[-1], lines
