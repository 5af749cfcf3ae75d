"""Rule 1 of worker.wire, in figures: bounded memory and linear work, whatever arrives."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.runtimes import RUNTIME_NAMES
from tests.support.runtimes import on_every_runtime, run_in, runtime_or_skip
from worker import wire

HERE = Path(__file__).parent
VECTORS = json.loads((HERE / "vectors.json").read_text())

# An empty map is the dearest byte: 64 bytes of dict and 8 for its place in an array, 4.7 MB in a
# whole head.  The head itself is there three times: received, cut out, and as bytes for msgpack.
HEAD_PEAK_BYTES = wire.HEAD_MAX_BYTES * (64 + 8 + 3)
# A decoder that refused keeps nothing of what it refused; this is objects of its own.
KEPT_BYTES = 4096
# A body is there twice at the moment it is complete (buffer and bytes), and a buffer that grows
# is an eighth larger than what it holds.
BODY_PEAK_PER_BYTE = 2 + 1 / 8
# Interpreters that a front can run on read hostile frames; older ones are in cells only, which read
# what the front sends.  Their msgpack (1.1) loses memory to frames that a front never sends.
FRONT_RUNTIMES = [name for name in RUNTIME_NAMES if int(name.rpartition(".")[2]) >= 11]


@pytest.fixture(scope="module")
def costs() -> Callable[[str], Any]:
    """What an interpreter measured, once for all tests."""
    known: dict[str, Any] = {}

    def costs_of(name: str) -> Any:
        if name not in known:
            known[name] = run_in(runtime_or_skip(name), HERE / "driver_bounds.py")
        return known[name]

    return costs_of


@pytest.mark.promise("T18")
@on_every_runtime
def test_no_head_costs_more_than_its_bound(runtime_name: str, costs: Callable[[str], Any]) -> None:
    heads = costs(runtime_name)["heads"]
    assert {name: cost for name, cost in heads.items() if cost["peak"] > HEAD_PEAK_BYTES} == {}
    assert max(cost["peak"] for cost in heads.values()) > HEAD_PEAK_BYTES * 0.9, "the worst head is gone"


@pytest.mark.parametrize("runtime_name", FRONT_RUNTIMES)
def test_a_refused_head_leaves_nothing_behind(runtime_name: str, costs: Callable[[str], Any]) -> None:
    heads = costs(runtime_name)["heads"]
    assert {name: cost for name, cost in heads.items() if cost["kept"] > KEPT_BYTES} == {}


@on_every_runtime
def test_no_refusal_quotes_what_it_refuses(runtime_name: str, costs: Callable[[str], Any]) -> None:
    # A message goes to a log and to the caller: it may not carry a head's worth of a tenant's text.
    assert max(cost["message"] for cost in costs(runtime_name)["heads"].values()) < 200


@on_every_runtime
def test_a_body_costs_little_more_than_twice_what_came_of_it(
    runtime_name: str, costs: Callable[[str], Any]
) -> None:
    measured = costs(runtime_name)
    for way, cost in measured["bodies"].items():
        assert cost["peak"] <= cost["bytes"] * BODY_PEAK_PER_BYTE + KEPT_BYTES, way
        assert cost["kept"] <= KEPT_BYTES, way
    for way, cost in measured["announced"].items():
        assert cost["peak"] <= cost["bytes"] * BODY_PEAK_PER_BYTE + KEPT_BYTES, way


class CountingBuffer(bytearray):
    """A bytearray that counts the bytes copied into and out of it.

    ``del buffer[:n]`` is not counted: CPython moves the start (bytearray has done so since 3.4)
    and copies only when half of it is free, so a byte is moved less than twice in its life.
    """

    copied = 0

    def __iadd__(self, data: Any) -> CountingBuffer:
        CountingBuffer.copied += len(data)
        return super().__iadd__(data)  # type: ignore[return-value]

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if isinstance(key, slice):
            CountingBuffer.copied += len(found)
        return found


def counting_bytes(source: Any) -> bytes:
    """``bytes`` that counts what it copies."""
    CountingBuffer.copied += len(source)
    return bytes(source)


def work_of(pieces: list[bytes], monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """``(calls, bytes copied)`` of a decoder that is given these pieces, up to the first error."""
    monkeypatch.setattr(wire, "bytearray", CountingBuffer, raising=False)
    monkeypatch.setattr(wire, "bytes", counting_bytes, raising=False)
    CountingBuffer.copied = calls = 0
    decoder = wire.Decoder(wire.TO_FRONT)

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        for piece in pieces:
            decoder.receive(piece)
    except wire.RemoteProtocolError:
        pass
    finally:
        sys.setprofile(before)
    return calls, CountingBuffer.copied


def answer(body: int, headers: int = 0) -> bytes:
    """One frame with a body and headers of that size."""
    return wire.encode(wire.ANSWER, 1, (200, 1, 0, 0), [("n", "v")] * headers, body) + bytes(body)


def in_pieces(data: bytes, size: int) -> list[bytes]:
    """``data`` in pieces of ``size`` bytes."""
    return [data[start : start + size] for start in range(0, len(data), size)]


SHAPES: dict[str, Callable[[int], list[bytes]]] = {
    "a body byte by byte": lambda n: in_pieces(answer(n), 1),
    "a body in pieces": lambda n: in_pieces(answer(n * 50), 50),
    "a body in one piece": lambda n: [answer(n * 100)],
    "many small frames in one piece": lambda n: [answer(0) * (n // 10)],
    "many small frames byte by byte": lambda n: in_pieces(answer(0) * (n // 10), 1),
    "many frames with bodies in one piece": lambda n: [answer(100) * (n // 10)],
    "a head that never ends": lambda n: in_pieces(
        wire.PREFIX.pack(wire.ANSWER, 1, wire.HEAD_MAX_BYTES, 0) + b"\xc1" * n, 1
    ),
    "headers": lambda n: [answer(0, n // 40)],
    "empty pieces": lambda n: [b""] * n,
    "noise": lambda n: [bytes(index * 197 % 251 for index in range(n))] * 3,
}
# Both sizes are beyond what is there once, so what is left over is growth.
SMALL, FACTOR = 2_000, 4
SLACK_CALLS, SLACK_BYTES = 200, 2_000


@pytest.mark.parametrize("shape", SHAPES)
def test_work_grows_no_faster_than_the_bytes_received(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small_calls, small_copied = work_of(SHAPES[shape](SMALL), monkeypatch)
    large_calls, large_copied = work_of(SHAPES[shape](SMALL * FACTOR), monkeypatch)
    assert small_calls > 0
    assert large_calls <= small_calls * FACTOR + SLACK_CALLS
    assert large_copied <= small_copied * FACTOR + SLACK_BYTES


@pytest.mark.parametrize("shape", SHAPES)
def test_a_byte_is_copied_at_most_three_times(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = SHAPES[shape](SMALL)
    _, copied = work_of(pieces, monkeypatch)
    # Into the buffer; then a head out of it and into bytes, a body into bytes.
    assert copied <= 3 * sum(map(len, pieces))


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda vector: vector["name"])
def test_a_decoder_that_refused_does_no_more_work(vector: dict[str, Any]) -> None:
    decoder = wire.Decoder(vector["direction"], vector.get("body_max", wire.BODY_MAX_BYTES))
    with pytest.raises(wire.RemoteProtocolError):
        decoder.receive(bytes.fromhex(vector["bytes"]))
    assert decoder._buffer == b""
    for piece in (b"", bytes(1 << 20)):
        with pytest.raises(wire.RemoteProtocolError, match="already broke"):
            decoder.receive(piece)
    assert decoder._buffer == b""
