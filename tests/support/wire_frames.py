"""Hypothesis strategies for the wire: valid frames of every kind, and bytes that nearly are some."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack
from hypothesis import strategies as st

from worker import wire

VECTORS_PATH = Path(__file__).resolve().parents[1] / "contract/wire/vectors.json"
VECTORS = json.loads(VECTORS_PATH.read_text())
TEXT_MOST = 40  # longer texts find nothing that the vectors at the bounds do not

numbers = st.sampled_from(sorted(wire.KINDS))
directions = st.sampled_from([wire.TO_CELL, wire.TO_FRONT])
texts = st.text(max_size=TEXT_MOST)
pairs = st.lists(st.tuples(texts, texts), max_size=6)


def value_of(field: Any) -> st.SearchStrategy[Any]:
    """Values that a head field may have, its bounds among them."""
    if isinstance(field, wire.Text):
        return st.one_of(st.text(max_size=min(field.most, TEXT_MOST)), st.just("x" * min(field.most, 9000)))
    return st.one_of(st.integers(field.least, field.most), st.sampled_from([field.least, field.most]))


@st.composite
def valid_frames(draw: st.DrawFn, direction: str | None = None) -> wire.Frame:
    """Any valid frame, of one direction where it is given."""
    number = draw(
        numbers.filter(lambda n: direction in (None, wire.KINDS[n].direction)) if direction else numbers
    )
    kind = wire.KINDS[number]
    return wire.Frame(
        number,
        draw(st.integers(1, wire.CALL_MAX)) if kind.belongs_to_call else 0,
        tuple(draw(value_of(field)) for field in kind.fields),
        tuple(draw(pairs)) if kind.has_headers else (),
        draw(st.binary(max_size=300)) if kind.has_body else b"",
    )


def bytes_of(frame: wire.Frame) -> bytes:
    """The whole frame as it travels."""
    return wire.encode(frame.kind, frame.call, frame.head, frame.headers, len(frame.body)) + frame.body


packables = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.floats(), texts,
              st.binary(max_size=20), st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=9))),
    lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=12,
)  # fmt: skip


@st.composite
def framed_nonsense(draw: st.DrawFn) -> bytes:
    """A prefix that is nearly right, with any head and body."""
    packed = packables.map(msgpack.packb)
    head = draw(
        st.one_of(st.binary(max_size=200), packed, st.lists(packables, max_size=8).map(msgpack.packb))
    )
    body = draw(st.binary(max_size=50))
    off = st.sampled_from([0, 0, 0, 0, 1, -1, 1 << 20])
    lengths = [max(0, len(part) + draw(off)) for part in (head, body)]
    number = draw(st.one_of(numbers, numbers, st.integers(0, 255)))
    return wire.PREFIX.pack(number, draw(st.sampled_from([0, 1, 2, wire.CALL_MAX])), *lengths) + head + body


@st.composite
def damaged_vectors(draw: st.DrawFn) -> bytes:
    """A golden vector with some bytes changed, cut out or put in."""
    data = bytearray.fromhex(draw(st.sampled_from(VECTORS["valid"]))["bytes"])
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(data)


@st.composite
def any_bytes(draw: st.DrawFn) -> bytes:
    """What a hostile cell may send: noise, near misses, and good frames before them."""
    part = st.one_of(
        st.binary(max_size=100), framed_nonsense(), damaged_vectors(), valid_frames().map(bytes_of)
    )
    return b"".join(draw(st.lists(part, min_size=1, max_size=4)))


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """``data`` in pieces."""
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
