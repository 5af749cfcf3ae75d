"""Every call leaves one record: what it took and what it came to."""

from __future__ import annotations

import re
import secrets

import pytest

from tests.contract.call.conftest import Deploy
from tests.support.server import Server

REPORT = re.compile(
    r"\b(\w+) cellblock\.report: (\S+)/(\S+) (\S+) (\S+) outcome=(\S+) status=(\d+) version=(\d+) "
    r"duration_ms=([\d.]+) queue_ms=([\d.]+) init_ms=([\d.]+) exec_ms=([\d.]+) cpu_ms=([\d.]+) "
    r"peak_mib=([\d.]+)"
)
SOURCE = """
import os, time
def handle(req):
    exec(req.body)
    return {"body": "x"}
"""


def report_of(server: Server, call_id: str, since: int) -> re.Match[str]:
    """The one record of a call, once it is written; the log from that byte on has it."""
    server.said(f" {call_id} outcome=", since=since)
    (report,) = (match for match in REPORT.finditer(server.log_since(since)) if match[5] == call_id)
    return report


@pytest.mark.promise("S59")
@pytest.mark.parametrize(
    ("code", "status", "level", "outcome"),
    [
        ("pass", 200, "INFO", "answered"),
        ("raise ValueError", 500, "ERROR", "raised"),
        ("os._exit(3)", 502, "ERROR", "crashed"),
        ("time.sleep(60)", 504, "ERROR", "timeout"),
        ("os.write(4, b'x' * 100)", 502, "ERROR", "protocol"),
    ],
)
def test_every_call_leaves_one_record_with_its_outcome(
    server: Server, deploy: Deploy, code: str, status: int, level: str, outcome: str
) -> None:
    # The one that is to meet its limit sleeps for a minute; the others need no second on a busy machine.
    name = deploy("reported", SOURCE, timeout=1)
    call_id, before = secrets.token_hex(8), server.log_bytes
    answer = server.call(name, content=code, headers={"X-Call-Id": call_id})
    assert answer.status_code == status
    report = report_of(server, call_id, before)
    assert (report[1], report[3], report[6], int(report[7])) == (level, "reported", outcome, status)


def test_a_record_says_what_the_call_took(server: Server, deploy: Deploy) -> None:
    name = deploy("worked", SOURCE, memory=256)
    call_id, before = secrets.token_hex(8), server.log_bytes
    work = (
        "kept = b'x' * (50 << 20)\nbegan = time.process_time()\nwhile time.process_time() < began + 0.1: pass"
    )
    assert server.call(name, content=work, headers={"X-Call-Id": call_id}).status_code == 200
    total, queue, init, took, cpu, peak = map(float, report_of(server, call_id, before).groups()[8:])
    assert total >= took >= cpu >= 100
    assert total >= queue + init + took - 1
    assert init > 0, "the first call waited for the start of its instance"
    # The kernel counts resident pages per processor and adds them up in batches, and the interpreter's
    # own peak before the call may stand a few pages above what it held: 50 MiB may read as 49.9.
    assert 49 <= peak < 100


def test_a_refused_call_leaves_one_too(server: Server) -> None:
    call_id, before = secrets.token_hex(8), server.log_bytes
    assert server.call("never-deployed", headers={"X-Call-Id": call_id}).status_code == 404
    assert report_of(server, call_id, before)[6] == "refused"
