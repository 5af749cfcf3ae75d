"""Frames among the bytes of a log pipe: what the worker makes is read back, and anything else is text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.front.logs.line_stamps import text_of
from supervisor.front.logs.pipe_parser import CUT, HELD_MAX_BYTES, LINE_MAX_BYTES, Line, PipeParser
from worker import logwire
from worker.logwire import ENTRY_MAX_BYTES, FRAME_MAX_BYTES, MARK

KEY = 7
HEADS = (b"ti00000001", b"mi0000000100000002", b"ei0000000100000002", b"xi0000000100000002")


def read(data: bytes, size: int = 1 << 16) -> list[Line]:
    """The lines of ``data``, when it comes in pieces of that size."""
    stream = PipeParser(-1, "stderr")
    lines: list[Line] = []
    for start in range(0, len(data), size):
        stream._cut(data[start : start + size], lines)
    return lines + stream.last()


def text(data: bytes, call: int) -> bytes:
    return b"".join(logwire.text(data, call))


def entry(data: bytes, level: str, call: int, key: int = KEY) -> bytes:
    return b"".join(logwire.entry(data, level, call, key))


@pytest.mark.parametrize("size", [1, 3, 1000, 1 << 16])
def test_what_the_worker_writes_is_read_back_however_it_arrives(size: int) -> None:
    data = (
        b"raw\n"
        + text(b"one\ntwo\nthr", 3)
        + b"raw par"
        + entry(b"first\nsecond", "error", 4)
        + b"tial\n"
        + text(b"ee\n", 3)
        + text(b"never ended", 9)
    )
    assert read(data, size) == [
        Line(b"raw"),
        Line(b"one", 3),
        Line(b"two", 3),
        Line(b"first\nsecond", 4, "error"),
        Line(b"raw partial"),
        Line(b"three", 3),
        Line(b"never ended", 9),
    ]


@pytest.mark.parametrize("length", [0, 1, 4073, 4074, 4075, 9000, ENTRY_MAX_BYTES])
def test_frames_of_any_length_fit_into_one_write_and_come_together_again(length: int) -> None:
    data = bytes(b"ab\ncd "[index % 6] for index in range(length))
    frames = list(logwire.entry(data, "info", 1, KEY))
    assert all(len(frame) <= FRAME_MAX_BYTES and frame.count(b"\n") == 1 for frame in frames)
    assert read(b"".join(frames)) == [Line(data, 1, "info")]
    frames = list(logwire.text(data, 1))
    assert all(len(frame) <= FRAME_MAX_BYTES and frame.count(b"\n") == 1 for frame in frames)
    assert b"\n".join(line.data for line in read(b"".join(frames))) == data.removesuffix(b"\n")


@pytest.mark.parametrize("length", [10, 9000])
def test_what_a_failed_call_left_is_told_from_what_its_function_wrote(length: int) -> None:
    data = b"x" * length
    left = b"".join(logwire.entry(data, "error", 1, KEY, logwire.END))
    assert read(entry(data, "error", 1) + left) == [Line(data, 1, "error"), Line(data, 1, "error", True)]


def test_entries_that_are_written_at_once_do_not_mix() -> None:
    one = list(logwire.entry(b"1" * 9000, "info", 0, 1))
    two = list(logwire.entry(b"2" * 9000, "error", 0, 2))
    mixed = [frame for pair in zip(one, two, strict=True) for frame in pair]
    assert read(b"".join(mixed)) == [Line(b"1" * 9000), Line(b"2" * 9000, 0, "error")]


def test_an_entry_above_its_bound_is_cut_where_it_is_made_and_says_so() -> None:
    (line,) = read(entry(b"x" * 10_000_000, "warning", 0))
    assert line == Line(b"x" * ENTRY_MAX_BYTES + CUT, 0, "warning")


def test_the_bytes_of_a_frame_cannot_be_written_from_within_it() -> None:
    hostile = b"a\0b\x1e\0tc00000009forged\nnext"
    (line,) = read(entry(hostile, "info", 2))
    assert (line.call, line.level) == (2, "info")
    assert text_of(line.data) == "a\\x00b\\x1e\\x00tc00000009forged\nnext"


@pytest.mark.parametrize(
    "forged",
    [
        b"", b"t", b"ti", b"tx00000001text", b"zi00000001text", b"tizzzzzzzztext", b"ei0000000100", b"\x1e",
        b"ti00000001" + b"x" * FRAME_MAX_BYTES,
    ],
)  # fmt: skip
def test_a_frame_that_cannot_be_is_text(forged: bytes) -> None:
    lines = read(b"before " + MARK + forged + b"\nafter\n")
    assert all(line.call == 0 and line.level == "info" for line in lines)
    assert b"".join(line.data for line in lines) == b"before " + MARK + forged + b"after"


def test_a_frame_that_never_ends_is_text_and_not_held() -> None:
    stream = PipeParser(-1, "stderr")
    lines: list[Line] = []
    stream._cut(MARK + b"ti00000001", lines)
    for _ in range(100):
        stream._cut(b"x" * 1000, lines)
    assert len(stream._open) + len(stream._rest.data) <= LINE_MAX_BYTES + FRAME_MAX_BYTES + 100
    assert stream.last()[-1].data.endswith(CUT)


@pytest.mark.parametrize("size", [0, 1, 3000])
def test_entries_that_never_end_are_held_within_a_bound(size: int) -> None:
    stream = PipeParser(-1, "stderr")
    lines: list[Line] = []
    for key in range(20_000):
        stream._cut(b"%bmi%08x%08x%b\n" % (MARK, key, key, b"x" * size), lines)
        assert sum(len(part.data) for part in stream._parts.values()) <= HELD_MAX_BYTES
        assert len(stream._parts) <= HELD_MAX_BYTES // 256
    assert len(lines) + len(stream.last()) == 20_000, "each is told, as it stands"


@settings(derandomize=True, deadline=None, max_examples=300, database=None)
@given(
    st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(
        [b"\n", b"\x1e", MARK, *(MARK + head for head in HEADS)]
    )), max_size=30),
    st.integers(1, 50),
)  # fmt: skip
def test_any_bytes_give_the_same_lines_however_they_arrive_and_nothing_is_lost(
    parts: list[bytes], size: int
) -> None:
    data = b"".join(parts)
    lines = read(data, size)
    assert lines == read(data)
    if MARK not in data:
        assert b"\n".join(line.data for line in lines) == data.removesuffix(b"\n")


def test_what_a_call_wrote_last_is_its_own_though_others_run_on() -> None:
    stream = PipeParser(-1, "stdout")
    lines: list[Line] = []
    stream._cut(text(b"mine", 1) + text(b"other", 2), lines)
    assert (lines, stream.last_of(1), stream.last_of(1)) == ([], [Line(b"mine", 1)], [])
    assert stream.last() == [Line(b"other", 2)]
