"""Rule 1 of worker.wire, by property: any bytes whatever give frames or one RemoteProtocolError."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.wire_frames import (
    any_bytes,
    bytes_of,
    cut,
    directions,
    numbers,
    packables,
    pairs,
    texts,
    valid_frames,
)
from worker import wire

deterministic = settings(derandomize=True, deadline=None, max_examples=300, database=None)


def read(decoder: wire.Decoder, pieces: list[bytes]) -> tuple[list[wire.Frame], str | None]:
    """The frames of ``pieces`` and the first error; any other exception comes out."""
    frames: list[wire.Frame] = []
    for piece in pieces:
        try:
            frames += decoder.receive(piece)
        except wire.RemoteProtocolError as error:
            return frames, str(error)
    return frames, None


def assert_is_valid(frame: wire.Frame, direction: str) -> None:
    """What rule 2 promises of every frame that exists, said again without the decoder's own code."""
    kind = wire.KINDS[frame.kind]
    assert kind.direction == direction
    assert (frame.call != 0) == kind.belongs_to_call and 0 <= frame.call <= wire.CALL_MAX
    assert len(frame.head) == len(kind.fields)
    for field, value in zip(kind.fields, frame.head, strict=True):
        if isinstance(field, wire.Text):
            assert type(value) is str and len(value) <= field.most
        else:
            assert type(value) is int and field.least <= value <= field.most
    assert kind.has_headers or not frame.headers
    assert len(frame.headers) <= wire.HEADERS_MAX
    assert all(type(text) is str for pair in frame.headers for text in pair)
    assert kind.has_body or not frame.body


@pytest.mark.promise("T17")
@deterministic
@given(st.data(), directions)
def test_any_bytes_give_valid_frames_or_one_protocol_error(data: st.DataObject, direction: str) -> None:
    sent = data.draw(any_bytes())
    frames, error = read(wire.Decoder(direction), [sent])
    for frame in frames:
        assert_is_valid(frame, direction)
    decoder = wire.Decoder(direction)
    frames_in_pieces, error_in_pieces = read(decoder, data.draw(cut(sent)))
    # Whole, an error swallows the frames of its piece: they may come out when it arrives in pieces.
    assert error_in_pieces == error
    assert frames_in_pieces[: len(frames)] == frames
    for frame in frames_in_pieces:
        assert_is_valid(frame, direction)
    if error is not None:
        with pytest.raises(wire.RemoteProtocolError, match="already broke"):
            decoder.receive(bytes_of(wire.Frame(wire.READY, 0, (0, 0, "handle", "3"), (), b"")))


@deterministic
@given(st.data(), directions)
def test_what_was_written_is_read(data: st.DataObject, direction: str) -> None:
    frames = data.draw(st.lists(valid_frames(direction), max_size=4))
    sent = b"".join(map(bytes_of, frames))
    decoder = wire.Decoder(direction)
    assert read(decoder, data.draw(cut(sent))) == (frames, None)
    assert decoder.is_between_frames


@deterministic
@given(valid_frames())
def test_a_frame_is_refused_by_the_other_end(frame: wire.Frame) -> None:
    other = wire.TO_CELL if wire.KINDS[frame.kind].direction == wire.TO_FRONT else wire.TO_FRONT
    assert read(wire.Decoder(other), [bytes_of(frame)]) == ([], "unknown kind of frame")


@deterministic
@given(valid_frames(), st.data())
def test_a_body_above_the_peers_own_limit_is_refused_before_it_arrives(
    frame: wire.Frame, data: st.DataObject
) -> None:
    most = data.draw(st.integers(0, len(frame.body)))
    sent = bytes_of(frame)
    decoder = wire.Decoder(wire.KINDS[frame.kind].direction, most)
    if most == len(frame.body):
        assert read(decoder, [sent]) == ([frame], None)
    else:
        assert read(decoder, [sent[: wire.PREFIX.size]])[1] is not None


anything = st.one_of(packables, st.just(object()), st.just(1 << 70), st.just("\ud800"), st.just(-1))


@deterministic
@given(
    st.one_of(numbers, st.integers(-1, 300), anything),
    st.one_of(st.sampled_from([0, 1, wire.CALL_MAX, wire.CALL_MAX + 1, -1]), anything),
    st.lists(anything, max_size=8),
    st.one_of(pairs, st.lists(st.tuples(anything, anything), max_size=3), st.lists(anything, max_size=2)),
    st.one_of(st.sampled_from([0, 5, wire.BODY_MAX_BYTES, wire.BODY_MAX_BYTES + 1, -1]), anything),
)
def test_whatever_is_encoded_is_valid_or_a_local_protocol_error(
    number: Any, call: Any, fields: list[Any], headers: list[Any], body_bytes: Any
) -> None:
    try:
        sent = wire.encode(number, call, fields, headers, body_bytes)
    except wire.LocalProtocolError:
        return
    assert_is_read(sent, number)


@deterministic
@given(valid_frames(), st.data())
def test_a_frame_with_one_thing_wrong_is_a_local_protocol_error(
    frame: wire.Frame, data: st.DataObject
) -> None:
    number, call, fields, headers, _ = frame
    body_bytes = len(frame.body)
    kind = wire.KINDS[number]
    wrongs = ["call", "more", "header text"]
    if kind.fields:
        wrongs += ["type", "bound", "fewer"]
    wrong = data.draw(st.sampled_from(wrongs))
    if wrong == "call":
        call = 0 if kind.belongs_to_call else 1
    elif wrong == "more":
        # On kinds with headers one item more is an odd number of them.
        fields = (*fields, "x")
    elif wrong == "fewer":
        fields, headers = fields[:-1], ()
    elif wrong == "header text":
        headers = (*headers, (data.draw(texts), data.draw(st.sampled_from([None, 1, b"v", "\ud800"]))))
    else:
        index = data.draw(st.integers(0, len(kind.fields) - 1))
        field = kind.fields[index]
        if wrong == "type":
            value: Any = data.draw(st.sampled_from([None, True, 1.0, b"x", [], {}]))
        elif isinstance(field, wire.Text):
            value = "x" * (field.most + 1)
        else:
            value = data.draw(st.sampled_from([field.least - 1, field.most + 1]))
        fields = (*fields[:index], value, *fields[index + 1 :])
    with pytest.raises(wire.LocalProtocolError):
        wire.encode(number, call, fields, headers, body_bytes)


def assert_is_read(sent: bytes, number: int) -> None:
    """The head of an encoded frame is one that the other end believes."""
    decoder = wire.Decoder(wire.KINDS[number].direction)
    assert decoder.receive(sent) is not None
