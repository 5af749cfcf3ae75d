"""A log line is kept or counted as dropped, and can be nothing but a line."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.front.logs.line_stamps import PAST_CALLS, PAST_WRITERS, LineStamper
from supervisor.front.logs.pipe_parser import LINE_MAX_BYTES, READ_BYTES, READS_PER_TURN, Line, PipeParser
from worker import logwire

CUT = b"... (cut)"


def cut(data: bytes, sizes: list[int] | None = None) -> list[bytes]:
    """The lines of ``data`` when it comes in pieces of these sizes."""
    stream = PipeParser(-1, "stdout")
    lines: list[Line] = []
    start = 0
    for size in sizes or []:
        stream._cut(data[start : start + size], lines)
        start += size
    stream._cut(data[start:], lines)
    return [line.data for line in lines + stream.last()]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a\n", [b"a"]),
        (b"a\nb", [b"a", b"b"]),
        (b"\n\n", [b"", b""]),
        (b"a\r\nb\n", [b"a\r", b"b"]),
        (b"x" * LINE_MAX_BYTES + b"\n", [b"x" * LINE_MAX_BYTES]),
        (b"x" * (LINE_MAX_BYTES + 1) + b"\nnext", [b"x" * LINE_MAX_BYTES + CUT, b"next"]),
        (b"x" * (10 * LINE_MAX_BYTES), [b"x" * LINE_MAX_BYTES + CUT]),
    ],
    ids=["nothing", "open", "one", "two", "empty", "crlf", "longest", "too-long", "far-too-long"],
)
def test_output_is_cut_into_lines(data: bytes, lines: list[bytes]) -> None:
    assert cut(data) == lines


@settings(derandomize=True, deadline=None, max_examples=200, database=None)
@given(st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\xff", b"y" * 9000]), max_size=12),
       st.lists(st.integers(0, 12_000), max_size=6))  # fmt: skip
def test_lines_are_the_same_however_they_arrive_and_none_is_too_long(
    parts: list[bytes], sizes: list[int]
) -> None:
    data = b"".join(parts)
    assert cut(data, sizes) == cut(data)
    assert all(len(line) <= LINE_MAX_BYTES + len(CUT) for line in cut(data))


def test_an_endless_line_is_held_in_no_more_than_a_line() -> None:
    stream = PipeParser(-1, "stdout")
    lines: list[Line] = []
    for _ in range(100):
        stream._cut(b"x" * READ_BYTES, lines)
        assert len(stream._rest.data) <= LINE_MAX_BYTES + len(CUT)
    assert lines == []


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose read end never waits."""
    read, write = os.pipe2(os.O_NONBLOCK)
    yield read, write
    os.close(read)


def test_a_pipe_is_read_until_it_is_empty_and_its_end_is_told(pipe: tuple[int, int]) -> None:
    read, write = pipe
    stream = PipeParser(read, "stderr")
    assert stream.read() == ([], False)
    os.write(write, b"one\ntw")
    assert stream.read() == ([Line(b"one")], False)
    os.write(write, b"o\nthree")
    assert stream.read() == ([Line(b"two")], False)
    os.close(write)
    assert stream.read() == ([], True)
    assert stream.last() == [Line(b"three")]
    assert stream.last() == []
    assert stream.read() == ([], True)


def test_a_flood_gets_its_share_of_a_turn_and_no_more(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write = pipe
    reads = 0

    def endless(descriptor: int, size: int) -> bytes:
        nonlocal reads
        reads += 1
        return b"x\n" * (size // 2)

    monkeypatch.setattr("supervisor.front.logs.pipe_parser.os.read", endless)
    lines, is_end = PipeParser(read, "stdout").read()
    monkeypatch.undo()
    os.close(write)
    assert (reads, is_end, len(lines)) == (READS_PER_TURN, False, READS_PER_TURN * READ_BYTES // 2)


def emitted(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the functions' log got."""
    return [record.getMessage() for record in caplog.records if record.name == "cellblock.function"]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that is logged."""
    caplog.set_level(logging.INFO, "cellblock.function")
    return caplog


def test_a_line_names_its_function_its_call_and_its_stream(logged: pytest.LogCaptureFixture) -> None:
    LineStamper("demo/f cell-1", 100, 10, True).take([Line(b"hello")], "stdout", lambda _: "call-1")
    assert emitted(logged) == ["demo/f cell-1 call-1 stdout: hello"]


def test_a_line_of_no_call_is_nobodys(logged: pytest.LogCaptureFixture) -> None:
    LineStamper("demo/f cell-1", 100, 10, True).take([Line(b"hello")], "stderr", lambda _: "")
    assert emitted(logged) == ["demo/f cell-1 - stderr: hello"]


@pytest.mark.promise("T16")
@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"tab\tstays", "tab\tstays"),
        (b"\x1b[31mred", "\\x1b[31mred"),
        (b"a\rb", "a\\x0db"),
        (b"nul\x00", "nul\\x00"),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("caf\u00e9 \u20ac".encode(), "caf\u00e9 \u20ac"),
        ("next\u0085line".encode(), "next\\x85line"),
        (b"%s %d {} {0}", "%s %d {} {0}"),
    ],
)
def test_no_line_can_be_taken_for_another_record(
    logged: pytest.LogCaptureFixture, line: bytes, text: str
) -> None:
    LineStamper("o", 100, 10, True).take([Line(line)], "stdout", lambda _: "c")
    assert emitted(logged) == [f"o c stdout: {text}"]
    assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]", emitted(logged)[0])


@pytest.mark.promise("T32")
@pytest.mark.parametrize(
    ("most_bytes", "most_lines", "kept"), [(1000, 3, 3), (25, 100, 2), (0, 0, 0), (9, 9, 0)]
)
def test_what_is_above_a_calls_caps_is_dropped_and_counted(
    logged: pytest.LogCaptureFixture, most_bytes: int, most_lines: int, kept: int
) -> None:
    lines = LineStamper("o", most_bytes, most_lines, True)
    lines.begin_call(1, 1, "c")
    lines.take([Line(b"x" * 10)] * 5, "stdout", lambda _: "c")
    lines.end_call("c")
    said = emitted(logged)
    assert said[:-1] == [f"o c stdout: {'x' * 10}"] * kept
    assert said[-1] == (
        f"o c: {5 - kept} log lines were dropped: the call's limit is {most_lines} lines, {most_bytes} bytes"
    )
    lines.end_call("c")
    assert emitted(logged) == said


def test_every_call_starts_with_full_caps(logged: pytest.LogCaptureFixture) -> None:
    lines = LineStamper("o", 1000, 1, True)
    for number, call in enumerate(("a", "b"), 1):
        lines.begin_call(1, number, call)
        lines.take([Line(b"1")], "stdout", lambda _, call=call: call)
        lines.end_call(call)
    assert emitted(logged) == ["o a stdout: 1", "o b stdout: 1"]


def test_lines_dropped_between_calls_are_counted_too(logged: pytest.LogCaptureFixture) -> None:
    # A thread that a call left behind goes on writing; nothing is lost in silence.
    lines = LineStamper("o", 1000, 1, True)
    lines.take([Line(b"1"), Line(b"2"), Line(b"3")], "stdout", lambda _: "")
    lines.begin_call(1, 1, "c")
    assert emitted(logged) == [
        "o - stdout: 1", "o -: 2 log lines were dropped: the call's limit is 1 lines, 1000 bytes",
    ]  # fmt: skip


def test_a_call_that_is_over_keeps_its_lines_as_long_as_it_is_remembered_and_takes_no_others(
    logged: pytest.LogCaptureFixture,
) -> None:
    lines = LineStamper("o", 1 << 20, 1 << 20, True)

    def write(*numbers: int) -> list[str]:
        logged.clear()
        lines.take([Line(b"x", number) for number in numbers], "stdout", lambda _: "")
        return [text.split()[1] for text in emitted(logged)]

    lines.begin_call(1, 7, "seven")
    assert write(7, 6, 8, logwire.NOBODY) == ["seven", "-", "-", "-"]
    for number in range(8, 8 + PAST_CALLS - 1):
        lines.begin_call(1, number, f"c{number}")
    assert write(7, 8) == ["seven", "c8"]
    for number in range(8 + PAST_CALLS - 1, 8 + 2 * PAST_CALLS):
        lines.begin_call(1, number, f"c{number}")
    # Who has written since is remembered still.
    assert write(7, 8, 9, number) == ["seven", "c8", "-", f"c{number}"]
    # Another front's calls came in between.
    lines.begin_call(1, number + 5, "later")
    assert write(number, number + 4, number + 5) == [f"c{number}", "-", "later"]


def test_of_calls_that_are_over_a_bounded_number_is_remembered(logged: pytest.LogCaptureFixture) -> None:
    lines = LineStamper("o", 1 << 20, 1 << 20, True)
    for number in range(1, 4 * PAST_WRITERS):
        lines.begin_call(1, number, f"c{number}")
        lines.take([Line(b"x", number)], "stdout", lambda _: "")
    logged.clear()
    for later in range(number + 1, number + 1 + PAST_CALLS):
        lines.begin_call(1, later, "later")
    for of in (number, number - PAST_WRITERS + 1, number - PAST_WRITERS):
        lines.take([Line(b"x", of)], "stdout", lambda _: "")
    assert emitted(logged) == [
        f"o c{number} stdout: x",
        f"o c{number - PAST_WRITERS + 1} stdout: x",
        "o - stdout: x",
    ]


def test_the_caps_count_when_nothing_is_emitted(logged: pytest.LogCaptureFixture) -> None:
    lines = LineStamper("o", 1000, 1, False)
    lines.take([Line(b"1"), Line(b"2")], "stdout", lambda _: "c")
    lines.end_call("c")
    assert emitted(logged) == ["o c: 1 log lines were dropped: the call's limit is 1 lines, 1000 bytes"]
