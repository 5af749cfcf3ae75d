"""H. Protocol (80 to 83): what a hostile function answers and logs, byte by byte as its caller sees it.

Each header is tried twice: as a frame that the function writes itself, which costs it its cell, and as a
handler's return value, which is a mistake that its author is told.  ``KeptAlive`` reads every answer
strictly and goes on with the same connection.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.escape.attacks import protocol
from tests.escape.stage import HOSTILE, Stage, error_of
from tests.support.envelope import assert_envelope
from tests.support.raw_http import RawAnswer
from tests.support.server import SPACE

QUICKLY = ("X-Timeout", "0.4")
# The defaults of docs/settings.md, per call.
LOG_BYTES, LOG_LINES, LINE_BYTES = 1 << 20, 10_000, 16 << 10
# Of one line, what is ours: time, level, origin, call id, stream.
STAMP_BYTES = 160
STAMP = rf"\S+ \S+ INFO cellblock\.function: {SPACE}/{HOSTILE} [0-9a-f]+ "

REPORT = " cellblock.report: "

pytestmark = pytest.mark.needs_sandbox


def raw(headers: str, status: int = 200) -> str:
    """Code that writes an answer with these headers itself."""
    return f"send(answer(n, b'hello', {headers}, {status}))"


def returned(headers: str, status: int = 200) -> str:
    """Code after which the handler returns these headers."""
    return f"returned = {{'status_code': {status}, 'headers': {headers}, 'body': b'hello'}}"


def assert_told(stage: Stage, code: str) -> None:
    """502 with the author's mistake; the cell goes on, for nothing has left it."""
    before = stage.instance()
    answer = stage.attack(code)
    error = assert_envelope(answer, 502, "contract error: ")
    assert error["details"]["reason"] == "contract"
    assert "forged" not in str(answer.headers)
    assert stage.instance() == before


# ---- 80: header injection -----------------------------------------------------------------------


@pytest.mark.parametrize("what", protocol.BAD_HEADERS)
def test_080_a_header_that_is_none_costs_who_sends_it_a_502_and_its_cell(stage: Stage, what: str) -> None:
    error_of(stage.ends_with(raw(repr([protocol.BAD_HEADERS[what]]))), 502, "protocol")


@pytest.mark.parametrize("what", protocol.BAD_HEADERS)
def test_080_a_header_that_is_none_is_its_authors_mistake_when_returned(stage: Stage, what: str) -> None:
    assert_told(stage, returned(repr([protocol.BAD_HEADERS[what]])))


@pytest.mark.parametrize("what", protocol.MANY_HEADERS)
def test_080_headers_beyond_all_bounds_are_refused_before_they_are_read(stage: Stage, what: str) -> None:
    error_of(stage.ends_with(raw(protocol.MANY_HEADERS[what])), 502, "protocol")
    assert_told(stage, returned(protocol.MANY_HEADERS[what]))


def test_080_an_exception_that_looks_like_a_head_is_json_and_nothing_else(stage: Stage) -> None:
    text = "forged\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    answer = stage.attack(f"raise ValueError({text!r})")
    error = assert_envelope(answer, 500, "ValueError", is_invoked=True)
    assert error["details"]["exception_info"] == text
    assert b"\r" not in answer.body and b"\n" not in answer.body


# ---- 81: framing and the hop ---------------------------------------------------------------------


def assert_clean(answer: RawAnswer, body: bytes = b"hello", status: int = 200) -> None:
    """The function's answer in the platform's frame, and nothing in it that was forged."""
    assert (answer.status, answer.body) == (status, body)
    assert answer.all("server") == []  # neither the function's nor a word of ours about the program
    for ours in ("x-call-id", "x-invoked", "x-duration-seconds", "server-timing", "date"):
        assert len(answer.all(ours)) == 1, ours
    for not_its in ("transfer-encoding", "connection", "keep-alive", "upgrade", "trailer", "te", "via"):
        assert not answer.all(not_its)
    assert "forged" not in str(answer.headers)


@pytest.mark.parametrize("what", protocol.DROPPED_HEADERS)
def test_081_headers_about_the_connection_are_not_the_functions_to_say(stage: Stage, what: str) -> None:
    headers = repr(protocol.DROPPED_HEADERS[what])
    assert_clean(stage.attack(returned(headers)))
    answer = stage.ends_with(raw(headers))
    if answer.status == 200:
        assert_clean(answer)
    else:  # the worker's own answer came with it: two, and both are refused
        error_of(answer, 502, "protocol")


def test_081_what_connection_names_goes_with_it_and_nothing_of_ours_does(stage: Stage) -> None:
    headers = [("Connection", "X-Gone, X-Call-Id, Date"), ("X-Gone", "forged"), ("X-Kept", "kept")]
    answer = stage.attack(returned(repr(headers)))
    assert_clean(answer)
    assert answer.one("x-kept") == "kept"


@pytest.mark.parametrize("status", protocol.BAD_STATUSES)
def test_081_a_status_that_no_function_may_send_is_a_502(stage: Stage, status: int) -> None:
    error_of(stage.ends_with(raw("[]", status)), 502, "protocol")
    assert_told(stage, returned("[]", status))


# ---- 82: bodies that may not be, or are not what was said ---------------------------------------


@pytest.mark.parametrize("status", [204, 205, 304])
@pytest.mark.parametrize("length", [None, "5", "1000"])
def test_082_an_answer_that_may_have_no_body_has_none(stage: Stage, status: int, length: str | None) -> None:
    headers = repr([("Content-Length", length)] if length else [])
    assert_clean(stage.attack(returned(headers, status)), b"", status)
    answer = stage.ends_with(raw(headers, status))
    if answer.status == status:
        assert_clean(answer, b"", status)
    else:
        error_of(answer, 502, "protocol")


def test_082_head_has_no_body_and_the_next_request_is_intact(stage: Stage) -> None:
    before = stage.instance()
    answer = stage.call("/", method="HEAD")
    assert (answer.status, answer.body) == (405, b"")
    assert stage.instance() == before


@pytest.mark.parametrize("what", protocol.OTHER_BODIES)
def test_082_a_body_of_another_length_than_declared_never_looks_whole(stage: Stage, what: str) -> None:
    code, statuses = protocol.OTHER_BODIES[what]
    answer = stage.ends_with(code, QUICKLY)
    assert answer.status in statuses
    if answer.status == 200:
        # As long as it was declared, filled with what its own cell sent next.
        assert answer.body.startswith(b"own")
        assert len(answer.body) == (10 if what == "shorter-by-a-few" else 3)
    else:
        error_of(answer, answer.status, "timeout" if answer.status == 504 else "protocol")


# ---- 83: logs -----------------------------------------------------------------------------------


def logged(stage: Stage, code: str) -> tuple[str, list[str]]:
    """The call's id, and what the server's log has of the function since."""
    start = stage.server.log_path.stat().st_size
    answer = stage.attack(code)
    assert answer.status == 200, answer
    with stage.server.log_path.open("rb") as file:
        file.seek(start)
        lines = file.read().decode().split("\n")
    lines = [line for line in lines if HOSTILE in line or "forged" in line]
    # The platform's own word on the call is no line of the function's; nothing forged may be in it.
    return answer.one("x-call-id"), [line for line in lines if REPORT not in line or "forged" in line]


@pytest.mark.parametrize(("stream", "descriptor"), [("stdout", 1), ("stderr", 2)])
def test_083_a_line_without_an_end_is_cut_and_never_held(stage: Stage, stream: str, descriptor: int) -> None:
    call_id, lines = logged(stage, protocol.FLOOD.format(descriptor=descriptor))
    (line,) = lines
    assert re.fullmatch(rf"{STAMP}{call_id} {stream}: A{{{LINE_BYTES}}}\.\.\. \(cut\)", line)


def test_083_lines_above_the_calls_limit_are_dropped_and_counted(stage: Stage) -> None:
    _, lines = logged(stage, protocol.LINES_FLOOD)
    kept = [line for line in lines if line.endswith("B" * 63)]
    dropped = [int(number) for line in lines for number in re.findall(r"(\d+) log lines were dropped", line)]
    assert len(kept) == LOG_LINES
    assert len(kept) + sum(dropped) == protocol.FLOOD_LINES
    assert sum(map(len, lines)) < LOG_BYTES + (LOG_LINES + 10) * STAMP_BYTES


def test_083_a_forged_record_is_text_under_a_true_stamp(stage: Stage) -> None:
    forged = protocol.FORGED_LINES
    call_id, lines = logged(stage, f"send(b'\\n'.join({forged!r}) + b'\\n', 1)")
    assert len(lines) == len(forged), lines
    for line in lines:
        assert re.match(rf"{STAMP}{call_id} stdout: ", line), line
        assert line.isprintable(), repr(line)
        assert "forged" in line


def test_083_a_line_that_comes_after_its_call_is_never_anothers(stage: Stage) -> None:
    start = stage.server.log_path.stat().st_size
    stage.attack(
        "def late():\n    time.sleep(0.05); send(b'forged late\\n', 1)\nthreading.Thread(target=late).start()"
    )
    asked = stage.answered
    found: list[str] = []
    while not found:
        stage.answered_since(asked, 1)  # which is also what one waits with
        asked = stage.answered
        found = [line for line in _log_since(stage, start) if "forged late" in line]
    (line,) = found
    assert re.fullmatch(rf"{STAMP}- stdout: forged late", line), line


def _log_since(stage: Stage, start: int) -> list[str]:
    with stage.server.log_path.open("rb") as file:
        file.seek(start)
        return file.read().decode().split("\n")


def test_083_an_answer_of_log_lines_is_not_in_the_log(stage: Stage) -> None:
    """What a function answers is its caller's; only what it prints is logged."""
    answer: Any = stage.attack(f"returned = {{'body': {protocol.FORGED_LINES[0]!r}}}")
    assert answer.body == protocol.FORGED_LINES[0]
    _, lines = logged(stage, f"returned = {{'body': {json.dumps('forged')}}}")
    assert lines == []
