"""A function's log is the function's: reports of its calls are kept apart, and shown when they are wanted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from supervisor.logs import Retention, sweep
from supervisor.logs.layout import segments_of
from tests.support.eventually import eventually
from tests.support.server import SPACE, TOKEN, Server
from tests.support.tailer import Tailer
from tests.support.together import together

COMMAND = Path(sys.executable).with_name("cellblock")
FRAGILE = """
import os, time
def handle(req):
    if req.body == b"raise":
        raise ValueError("x" * 4000)
    if req.body == b"exit":
        os._exit(3)
    if req.body == b"late":
        time.sleep(60)
    if req.body:
        print(req.body.decode())
"""
FLOOD = 60


def logged(server: Server, name: str, **query: Any) -> list[dict[str, Any]]:
    answer = server.client.get(f"/spaces/{SPACE}/functions/{name}/logs", params={"tail": 10_000, **query})
    assert answer.status_code == 200, answer.text
    return [entry for entry in map(json.loads, answer.text.splitlines()) if "event" not in entry]


def reports_of(entries: list[dict[str, Any]]) -> list[str]:
    return [one["call_id"] for one in entries if one["text"].startswith("report outcome=")]


@pytest.fixture(scope="module")
def fragile(talking: Server) -> str:
    talking.deploy("fragile", FRAGILE, public=True, timeout=0.3)
    return "fragile"


@pytest.mark.promise("S147")
def test_a_report_is_shown_when_it_is_asked_for_or_when_its_call_failed(
    talking: Server, fragile: str
) -> None:
    bodies = {"apart-1": "hello", "apart-2": "raise", "apart-3": "", "apart-4": "late"}
    with (
        Tailer(talking, fragile, follow=True, tail=0) as plain,
        Tailer(talking, fragile, follow=True, tail=0, reports=True) as full,
    ):
        plain.until_live()
        full.until_live()
        for call_id, body in bodies.items():
            talking.call(fragile, content=body, headers={"X-Call-Id": call_id})
        eventually(lambda: set(bodies) <= set(reports_of(logged(talking, fragile, reports=True))))
        shown = logged(talking, fragile)
        assert set(reports_of(shown)) == {"apart-2", "apart-4"}
        assert "hello" in [one["text"] for one in shown]
        assert reports_of(logged(talking, fragile, reports=True, call_id="apart-1")) == ["apart-1"]
        # Those who follow, too: the last call's report is the last of all.
        for tailer, expected in ((plain, {"apart-2", "apart-4"}), (full, set(bodies))):
            found = tailer.until(
                lambda event: (
                    event.data.get("call_id") == "apart-4"
                    and event.data["text"].startswith("report outcome=")
                )
            )
            assert {
                e.data["call_id"] for e in found if str(e.data.get("text", "")).startswith("report outcome=")
            } == expected
    for words, wanted in (([], False), (["--reports"], True)):
        done = subprocess.run(
            [str(COMMAND), "logs", fragile, "-s", SPACE, "--call", "apart-1", *words],
            capture_output=True, text=True, timeout=60,
            env={"PATH": os.environ["PATH"], "HOME": str(talking.data_dir), "CELLBLOCK_URL": talking.url,
                 "CELLBLOCK_TOKEN": TOKEN},
        )  # fmt: skip
        assert done.returncode == 0 and "hello" in done.stdout, done
        assert ("report outcome=answered" in done.stdout) == wanted


@pytest.mark.promise("S148")
@pytest.mark.promise("T88")
def test_strangers_who_call_and_fail_without_end_push_out_nothing_that_the_author_wrote(
    talking: Server, fragile: str
) -> None:
    talking.call(fragile, content="what the author wrote")
    url = f"{talking.url}/spaces/{SPACE}/functions/{fragile}/invoke"
    for body in ("", "raise", "exit"):
        calls = [lambda body=body: httpx.post(url, content=body, timeout=60).status_code] * (FLOOD // 3)
        assert set(together(calls)) <= {200, 500, 502, 503}
    eventually(lambda: len(reports_of(logged(talking, fragile, reports=True))) >= FLOOD)
    folder = talking.data_dir / "front/logs" / SPACE / fragile
    own = sum(one.size for one in segments_of(folder, ["own"]))
    others = sum(one.size for one in segments_of(folder, ["platform", "reports"]))
    # Were they kept together, the flood would not fit beside it.
    limits = Retention(1e9, 32 << 10, 1 << 40, 32 << 10)
    assert own < limits.function_bytes < others
    sweep(talking.data_dir / "front/logs", limits)
    assert "what the author wrote" in [one["text"] for one in logged(talking, fragile)]
