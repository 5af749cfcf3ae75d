"""H. Protocol, the other way round: what the same bytes do to a careless reader.

Each double below is the few lines that somebody in a hurry would have written in the place of ours; an
attack that does it no harm would prove nothing.  Beside it stands what ours does with the same bytes.
"""

from __future__ import annotations

import errno
import http.client
import io
import json
import os
import socket
import sys
import threading
import tracemalloc
from array import array
from collections.abc import Callable
from fcntl import F_GETFL, F_SETFL, fcntl
from typing import Any

import msgpack
import pytest

from supervisor.front.outcome.answers import function_headers
from tests.escape.attacks import protocol
from worker import wire

MIB = 1 << 20
HEAD = msgpack.packb([200, 1, 0, 0])


def sealed(call: int, head: bytes, body: bytes = b"") -> bytes:
    """An answer with any head, its lengths true."""
    return wire.PREFIX.pack(wire.ANSWER, call, len(head), len(body)) + head + body


def peak_of(what: Callable[[], Any]) -> int:
    """The most memory that Python held for it at once, bytes."""
    tracemalloc.start()
    try:
        what()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refused(data: bytes) -> None:
    """Ours reads it as far as it has to."""
    with pytest.raises(wire.RemoteProtocolError):
        wire.Decoder(wire.TO_FRONT, MIB).receive(data)


def test_076_control_a_reader_that_believes_a_length_allocates_it() -> None:
    announced = wire.PREFIX.pack(wire.ANSWER, 1, len(HEAD), 256 * MIB) + HEAD

    def naive(data: bytes) -> bytearray:
        _, _, head_bytes, body_bytes = wire.PREFIX.unpack_from(data)
        return bytearray(head_bytes + body_bytes)  # and then readinto()

    assert peak_of(lambda: naive(announced)) > 256 * MIB
    assert peak_of(lambda: refused(announced)) < MIB


def test_077_control_a_megabyte_of_empty_maps_grows_seventyfold_when_unpacked() -> None:
    bomb = b"\xdd" + MIB.to_bytes(4, "big") + b"\x80" * MIB
    assert peak_of(lambda: msgpack.unpackb(bomb)) > 20 * len(bomb)
    assert peak_of(lambda: refused(sealed(1, bomb))) < 4 * len(bomb)


@pytest.mark.parametrize("what", protocol.RAW_HEADS)
def test_077_no_head_costs_more_to_refuse_than_the_largest_honest_one(what: str) -> None:
    head = eval(protocol.RAW_HEADS[what], {"msgpack": msgpack})
    assert peak_of(lambda: refused(sealed(1, head))) < 8 * MIB


def test_077_control_a_reader_that_calls_itself_has_no_depth_to_spare() -> None:
    def naive(data: bytes, at: int = 0) -> list[Any]:
        return [naive(data, at + 1)] if data[at] == 0x91 else []

    with pytest.raises(RecursionError):
        naive(b"\x91" * sys.getrecursionlimit() + b"\xc0")


def test_078_control_a_reader_that_waits_for_the_rest_waits_for_ever() -> None:
    read, write = os.pipe()
    done = threading.Event()

    def naive() -> None:
        data = b""
        while len(data) < wire.PREFIX.size:
            data += os.read(read, wire.PREFIX.size) or b"\0" * wire.PREFIX.size
        done.set()

    waiting = threading.Thread(target=naive)
    waiting.start()
    os.write(write, b"\x13")
    assert not done.wait(0.3), "one byte is not a prefix"
    os.close(write)
    waiting.join()
    os.close(read)


class FirstFrameWins:
    """A front that takes whatever frame comes as the answer of the call that it has just sent."""

    def __init__(self) -> None:
        self._frames: list[wire.Frame] = []
        self._decoder = wire.Decoder(wire.TO_FRONT, MIB)

    def call(self, cells_bytes: bytes) -> bytes:
        """The body that the caller gets when its cell writes these bytes."""
        self._frames += self._decoder.receive(cells_bytes)
        return self._frames.pop(0).body


@pytest.mark.parametrize("number", [1, 2, 99])
def test_079_086_control_where_the_first_frame_wins_the_next_caller_gets_the_last_ones_answer(
    number: int,
) -> None:
    naive = FirstFrameWins()
    assert naive.call(sealed(1, HEAD, b"own") + sealed(number, HEAD, b"forged")) == b"own"
    assert naive.call(sealed(2, HEAD, b"true")) == b"forged"


def test_079_control_a_reader_without_an_expectation_keeps_an_answer_that_nobody_asked_for() -> None:
    """As each idle instance of a front did, for ever, and for as many as there are instances."""
    size = 32 * MIB
    naive = wire.Decoder(wire.TO_FRONT, 64 * MIB)
    tracemalloc.start()
    naive.receive(wire.PREFIX.pack(wire.ANSWER, 99, len(HEAD), 64 * MIB) + HEAD)
    for _ in range(size // MIB):
        naive.receive(bytes(MIB))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held >= size
    naive = wire.Decoder(wire.TO_FRONT, 64 * MIB)
    naive.expected = ()
    with pytest.raises(wire.RemoteProtocolError):
        naive.receive(wire.PREFIX.pack(wire.ANSWER, 99, len(HEAD), 64 * MIB) + HEAD)


def written(headers: list[tuple[str, str]], body: bytes) -> bytes:
    """An answer as a front writes it that passes headers through."""
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in headers)]
    if not any(name.lower() == "content-length" for name, _ in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


def two_answers(stream: bytes) -> list[bytes]:
    """What a client reads on one connection for its first request and for its second."""
    file = io.BytesIO(stream)
    found = []
    for _ in range(2):
        first = file.readline()
        if not first.startswith(b"HTTP/1.1 "):
            raise http.client.BadStatusLine(repr(first))
        headers = http.client.parse_headers(file)
        found.append(file.read(int(headers["Content-Length"])))
    return found


@pytest.mark.parametrize("what", ["crlf", "crlf-in-the-name"])
def test_080_control_a_front_that_passes_headers_through_lets_one_become_two(what: str) -> None:
    header = protocol.BAD_HEADERS[what]
    lines = written([header], b"").split(b"\r\n")
    assert any(line.startswith((b"X-Invoked: forged", b"X-B: forged")) for line in lines)
    with pytest.raises(wire.RemoteProtocolError):
        function_headers((header,))


def test_080_control_a_header_that_is_cut_to_bytes_becomes_a_line_end() -> None:
    _, value = protocol.BAD_HEADERS["cr-and-lf-when-cut-to-a-byte"]
    naive = bytes(ord(character) & 0xFF for character in value)
    assert b"\r\nX-Invoked" in naive


def test_081_control_a_front_that_passes_headers_through_sends_the_next_caller_a_forged_answer() -> None:
    smuggled = written([("X-Invoked", "true")], b"forged")
    first = written([("Content-Length", "0")], smuggled)
    assert two_answers(first + written([], b"true"))[1] == b"forged"
    taken = function_headers((("Content-Length", "0"), ("Transfer-Encoding", "chunked"), ("X-A", "b")))
    assert taken == [(b"X-A", b"b")]


@pytest.mark.parametrize("length", ["1", "30"])
def test_082_control_a_front_that_believes_a_declared_length_breaks_the_next_answer(length: str) -> None:
    stream = written([("Content-Length", length)], b"hello") + written([], b"true")
    with pytest.raises(http.client.BadStatusLine):
        two_answers(stream)


def test_082_control_a_body_on_a_204_is_read_as_the_next_answer() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 204 No Content\r\n\r\nforged" + written([], b"true"))
        answer = http.client.HTTPResponse(ours)
        file = answer.fp
        answer.begin()
        assert file.readline().startswith(b"forged")


def test_083_control_a_log_that_takes_lines_as_they_come_has_the_functions_records() -> None:
    record = protocol.FORGED_LINES[0].decode()
    naive = f"2026-01-01 00:00:00,000 INFO function: hello\n{record}\n"
    assert record in naive.split("\n"), "no stamp of ours before it"
    assert "\x1b[2J" in protocol.FORGED_LINES[2].decode()
    assert json.loads(protocol.FORGED_LINES[1])["space"] == "peer"


def test_084_control_over_a_socket_descriptors_come_in_with_a_byte() -> None:
    front, cell = socket.socketpair()
    with front, cell:
        before = set(os.listdir("/proc/self/fd"))
        cell.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [0, 1, 2]))])
        _, ancillary, _, _ = front.recvmsg(1, 4096)
        after = set(os.listdir("/proc/self/fd"))
        # The listing's own descriptor may have another number.
        assert len(after) == len(before) + 3
        for _, _, data in ancillary:
            for descriptor in array("i", data):
                os.close(descriptor)
    read, write = os.pipe()
    pipe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.dup2(write, pipe.fileno())
        with pytest.raises(OSError) as caught:
            pipe.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [0]))])
        assert caught.value.errno == errno.ENOTSOCK
    finally:
        for descriptor in (pipe.detach(), read, write):
            os.close(descriptor)


def test_085_control_a_reader_that_takes_a_read_for_a_frame_gets_a_piece_of_one() -> None:
    frame = sealed(1, HEAD, b"L" * 20_000)
    read, write = os.pipe()
    try:
        fcntl(write, F_SETFL, fcntl(write, F_GETFL) | os.O_DIRECT)
        os.write(write, frame)
        naive = os.read(read, 1 << 16)
        assert len(naive) < len(frame)
        decoder = wire.Decoder(wire.TO_FRONT, MIB)
        frames = decoder.receive(naive)
        while not frames:
            frames = decoder.receive(os.read(read, 1 << 16))
        assert frames[0].body == b"L" * 20_000
    finally:
        os.close(read)
        os.close(write)


def test_087_control_two_functions_in_one_cell_have_no_secrets() -> None:
    spy = "def handle(text):\n    return seen.pop() if seen else ''\n"
    install = "import json\nseen = []\nloads = json.loads\n"
    install += "def patched(text):\n    seen.append(text)\n    return loads(text)\njson.loads = patched\n"
    honest = "import json\ndef handle(text):\n    return json.loads(text)['token'][:1]\n"
    own = json.loads
    try:
        hostile_module: dict[str, Any] = {}
        exec(install + spy, hostile_module)
        honest_module: dict[str, Any] = {}
        exec(honest, honest_module)
        assert honest_module["handle"]('{"token": "foreign"}') == "f"
        assert "foreign" in hostile_module["handle"]("")
    finally:
        json.loads = own


def test_088_control_where_an_end_is_success_half_an_answer_is_one() -> None:
    read, write = os.pipe()
    os.write(write, sealed(1, HEAD, b"half" * 1000)[:2000])
    os.close(write)
    data = b""
    while piece := os.read(read, 1 << 16):
        data += piece
    os.close(read)
    naive = data[wire.PREFIX.size + len(HEAD) :]  # "the rest is the body"
    assert naive == (b"half" * 1000)[: len(naive)] and len(naive) < 4000
    decoder = wire.Decoder(wire.TO_FRONT, MIB)
    assert decoder.receive(data) == []
    assert not decoder.is_between_frames


def test_089_control_where_the_last_claim_wins_a_cell_says_itself_what_it_is() -> None:
    claims = [{"is": "tied", "seccomp": "absent"}, {"is": "tied", "seccomp": "enforced", "by": "forged"}]
    naive: dict[str, str] = {}
    for claim in claims:  # the second one the tenant's
        naive.update(claim)
    assert naive["by"] == "forged"
