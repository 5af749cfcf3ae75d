"""A record as a line: whatever the text, and whatever happens to the bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.logs import LEVELS, STREAMS, rfc3339
from supervisor.logs.record_encoding import CUT, LINE_MAX_BYTES, decode, encode, escaped, key_of
from tests.support.logrecords import record

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


@given(
    ANY_TEXT, ANY_TEXT.filter(lambda one: len(one) <= 128), st.integers(0, (1 << 64) - 1),
    st.sampled_from(STREAMS), st.sampled_from(LEVELS), st.integers(1, (1 << 48) - 1), st.integers(0),
)  # fmt: skip
def test_any_text_and_any_call_id_come_back_as_they_were(
    text, call_id, when, stream, level, sequence, version
):
    given = record(text, when, call_id=call_id, stream=stream, level=level, version=version)
    line = encode(given, sequence)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert decode(line[:-1], "default", "hello", "w") == given._replace(writer="w", sequence=sequence)
    assert key_of(line[:-1]) == (when, sequence)


@pytest.mark.parametrize(
    "text", ["\x00\x1b[31m", "\ud800\udfff", "a\nb\\nc\r\n\\", "x" * 20_000, "", "中" * 9000]
)
def test_what_a_tenant_may_write_comes_back(text):
    assert decode(encode(record(text), 1)[:-1], "default", "hello", "w").text == text


@given(st.binary(max_size=200))
def test_no_bytes_make_more_of_a_decoder_than_a_value_error(data):
    for read in (lambda: decode(data, "s", "n", "w"), lambda: key_of(data)):
        try:
            read()
        except ValueError:
            pass


@given(st.integers(0, 60), st.integers(1, 255))
def test_a_changed_byte_is_noticed(index, change):
    line = bytearray(encode(record("a line of text"), 7)[:-1])
    line[index % len(line)] ^= change
    if line[:8].lower() != encode(record("a line of text"), 7)[:8]:  # a checksum in capitals is the same one
        with pytest.raises(ValueError):
            decode(bytes(line), "s", "n", "w")


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_a_part_of_a_text_stands_on_disk_as_a_part(before, part, after):
    assert escaped(part) in escaped(before + part + after)


@pytest.mark.parametrize("character", ["x", "\\", "中", "\ud800"])
def test_a_line_is_never_longer_than_a_reader_holds(character):
    line = encode(record(character * 300_000, call_id="中" * 1000, instance="\n" * 1000), 1)
    assert len(line) <= LINE_MAX_BYTES
    assert decode(line[:-1], "s", "n", "w").text.endswith(CUT)


@pytest.mark.parametrize("fields", [{"timestamp": -1}, {"level": "loud"}, {"stream": "x"}, {"version": -1}])
def test_a_record_that_cannot_be_is_refused(fields):
    with pytest.raises(ValueError):
        encode(record("x", **fields), 1)


def test_a_time_is_shown_with_all_its_nanoseconds():
    assert rfc3339(1_800_000_000_000_000_001) == "2027-01-15T08:00:00.000000001Z"
    assert record("x").as_json()["timestamp"] == "2027-01-15T08:00:00.000000000Z"
