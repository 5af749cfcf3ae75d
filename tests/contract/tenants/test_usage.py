"""What spaces used: against the reports of the same calls, over restarts, and at the command line."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from supervisor.cli.metering.usage_command import COLUMNS
from supervisor.front.usage.usage_flush import FLUSH_EVERY_S
from tests.conftest import MakeServer
from tests.support.eventually import SECONDS, eventually
from tests.support.patience import FACTOR
from tests.support.processes import all_gone_within, descendants_of, watch
from tests.support.server import REPOSITORY, SPACE, TOKEN, Server

USAGE = f"/spaces/{SPACE}/usage"
MIXED = (
    "def handle(req):\n    print('line')\n    sum(range(20000))\n"
    "    if req.body == b'raise': raise ValueError('no')\n    return {'body': req.body * 2}\n"
)
REPORT = re.compile(
    rf"cellblock\.report: {SPACE}/(\S+) .* outcome=(\S+) "
    r".* exec_ms=([\d.]+) cpu_ms=([\d.]+) peak_mib=([\d.]+)"
)
ALONE = {"Connection": "close"}


def usage(server: Server, **query: str) -> list[dict[str, Any]]:
    """The days of the space."""
    answer = server.client.get(USAGE, params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def calls(days: list[dict[str, Any]]) -> Counter[str]:
    """Their calls by outcome."""
    return sum((Counter(day["calls"]) for day in days), Counter())


def total(days: list[dict[str, Any]], what: str) -> float:
    """The sum of a column."""
    return sum(day[what] for day in days)


def test_usage_equals_the_reports_of_two_fronts_after_a_drain(make_server: MakeServer) -> None:
    server = make_server(workers=2)
    server.deploy("mixed", MIXED)
    server.deploy("other", MIXED)
    sent = received = 0
    for number in range(60):
        body = b"raise" if number % 7 == 0 else b"x" * number
        answer = server.call("mixed" if number % 3 else "other", content=body, headers=ALONE)
        sent, received = sent + len(body), received + len(answer.content)
    assert server.stop() == 0
    reports = REPORT.findall(server.log)
    assert len(reports) == 60
    again = make_server(workers=2)
    days = usage(again)
    assert {day["function"] for day in days} == {"mixed", "other"}
    for name in ("mixed", "other"):
        mine = [report for report in reports if report[0] == name]
        of_name = [day for day in days if day["function"] == name]
        assert calls(of_name) == Counter(report[1] for report in mine)
        cpu_s = sum(float(report[3]) for report in mine) / 1e3
        assert total(of_name, "cpu_seconds") == pytest.approx(cpu_s, abs=1e-6)
        memory = sum(float(report[2]) / 1e3 * float(report[4]) for report in mine)
        # The reports' text has tenths of a MiB.
        assert total(of_name, "memory_mib_seconds") == pytest.approx(memory, abs=0.06)
    assert (total(days, "bytes_in"), total(days, "bytes_out")) == (sent, received)
    # A line each, and what the interpreter says of the exceptions.
    assert total(days, "bytes_logged") >= 60 * len("line")


@pytest.mark.promise("S222")
def test_kill_9_of_everything_loses_nothing_that_is_older_than_ten_seconds(make_server: MakeServer) -> None:
    """A front writes every five seconds, which the test waits for."""
    server = make_server(workers=2)
    server.deploy("mixed", MIXED)
    for _ in range(10):
        server.call("mixed", content=b"x", headers=ALONE)
    eventually(
        lambda: calls(usage(server)) == Counter(answered=10),
        f"usage was not written in time: {FLUSH_EVERY_S:g} s",
        10.0 * FACTOR,
    )
    pids = [server.pid, *descendants_of(server.pid)]
    watched = watch(pids)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    server.process.wait()
    assert all_gone_within(watched, 10.0)
    again = make_server(workers=2)
    assert calls(usage(again)) == Counter(answered=10)
    again.call("mixed", content=b"x")
    assert again.stop() == 0
    assert calls(usage(make_server(workers=2))) == Counter(answered=11)


@pytest.mark.promise("S224")
def test_a_store_that_is_away_stops_no_call_and_loses_no_usage(make_server: MakeServer) -> None:
    """Somebody holds the store's only lock for writing; calls go on, and their usage comes later."""
    server = make_server(workers=2)
    server.deploy("mixed", MIXED)
    server.call("mixed", content=b"x")
    mark = server.log_bytes
    with contextlib.closing(sqlite3.connect(server.data_dir / "front/cellblock.db")) as lock:
        lock.isolation_level = None
        lock.execute("BEGIN IMMEDIATE")
        server.said("usage cannot be written", since=mark, seconds=SECONDS)
        for _ in range(20):
            assert server.call("mixed", content=b"x", headers=ALONE).status_code == 200
        lock.execute("ROLLBACK")
    eventually(lambda: calls(usage(server)) == Counter(answered=21))


def test_days_and_functions_can_be_chosen_and_mistakes_are_named(server: Server) -> None:
    address, days = "/spaces/default/usage", {"from": "2000-01-01", "to": "2000-01-31"}
    assert server.client.get(address, params=days).json()["data"] == []
    for query, field in (
        ({"from": "2026-12-02", "to": "2026-12-01"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"function": "NO"}, "function"),
        ({"cursor": "after.2026"}, "cursor"),
    ):
        answer = server.client.get(address, params=query)
        assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (422, field)
    assert server.client.get("/usage", params={"from": "2000-01-01", "to": "2000-01-02"}).json()["data"] == []
    assert server.client.get("/usage/closed").status_code == 200
    assert server.client.get("/spaces/nowhere/usage").status_code == 404


def test_a_quota_that_cannot_be_is_a_422_that_names_it(server: Server) -> None:
    for body, field in (
        ({"calls": 1}, "calls"),
        ({"functions": -1}, "functions"),
        ({"functions": "1"}, "functions"),
        ({"calls_per_minute": 10**12}, "calls_per_minute"),
    ):
        answer = server.client.put("/spaces/default/quotas", json=body)
        assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (422, field)
    assert server.client.put("/spaces/nowhere/quotas", json={}).status_code == 404
    assert server.client.get("/spaces/nowhere/quotas").status_code == 404


def cellblock(server: Server, folder: Path, *words: str, code: int = 0) -> tuple[str, str]:
    """The command's output and what it says of a mistake."""
    done = subprocess.run(
        [sys.executable, "-m", "supervisor.cli", *words],
        capture_output=True,
        cwd=REPOSITORY,
        timeout=60.0,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "CELLBLOCK_URL": server.url,
            "CELLBLOCK_TOKEN": TOKEN,
            "CELLBLOCK_SPACE": SPACE,
        },
    )
    assert done.returncode == code, done
    return done.stdout, done.stderr


def test_the_command_line_sets_quotas_one_by_one_and_prints_usage_as_csv(
    make_server: MakeServer, tmp_path: Path
) -> None:
    server = make_server(workers=1)
    server.deploy("mixed", MIXED)
    cellblock(server, tmp_path, "quotas", "set", "functions=5", "calls_per_minute=600")
    out, _ = cellblock(server, tmp_path, "quotas", "set", "calls_per_minute=none")
    assert re.search(r"functions +5 +1", out) and re.search(r"calls_per_minute +none +-", out)
    shown, _ = cellblock(server, tmp_path, "quotas", "show", "--json")
    assert '"functions": 5' in shown
    _, said = cellblock(server, tmp_path, "quotas", "set", "functions", code=2)
    assert "NAME=LIMIT" in said and said.count("\n") == 1
    _, said = cellblock(server, tmp_path, "quotas", "set", "function=5", code=1)
    assert "did you mean 'functions'?" in said
    server.call("mixed", content=b"abc")
    eventually(lambda: usage(server))
    out, _ = cellblock(server, tmp_path, "usage", "--csv")
    (row,) = csv.DictReader(io.StringIO(out))
    assert tuple(row) == COLUMNS
    assert (row["space"], row["function"], row["calls"], row["calls_answered"]) == (SPACE, "mixed", "1", "1")
    assert (row["bytes_in"], row["bytes_out"]) == ("3", "6")
    assert re.fullmatch(r"\d+\.\d{6}", row["cpu_seconds"])
    everywhere, _ = cellblock(server, tmp_path, "usage", "--all-spaces", "--csv")
    assert everywhere == out
    _, said = cellblock(server, tmp_path, "usage", "--from", "2000-01-01", "--to", "2000-01-02")
    assert said == f"no usage of space {SPACE} in these days\n"
    _, said = cellblock(server, tmp_path, "usage", "--csv", "--json", code=2)
    assert "choose" in said
