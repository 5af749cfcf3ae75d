"""Plains with descriptors over real SEQPACKET socketpairs."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest

from supervisor import datagrams
from supervisor.datagrams import (
    DESCRIPTORS_MAX,
    MESSAGE_MAX_BYTES,
    Link,
    LinkClosed,
    Plain,
    pair,
    receive,
    send,
)
from worker.message_table import IS, MessageTable

WAIT_SECONDS = 10.0


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected ends; whoever closes one early may."""
    ours, theirs = pair()
    with contextlib.closing(ours), contextlib.closing(theirs):
        yield ours, theirs


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe, closed afterwards."""
    read, write = os.pipe()
    yield read, write
    for descriptor in (read, write):
        os.close(descriptor)


def open_descriptors() -> set[str]:
    """The descriptors that this process holds."""
    return set(os.listdir("/proc/self/fd"))


def is_same(one: int, other: int) -> bool:
    """Whether two descriptors are of one open file."""
    return os.path.sameopenfile(one, other)


def test_neither_end_survives_an_exec_and_only_the_first_never_waits(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    assert all(fcntl.fcntl(end, fcntl.F_GETFD) & fcntl.FD_CLOEXEC for end in ends)
    assert (ours.getblocking(), theirs.getblocking()) == (False, True)


def test_messages_stay_apart_and_in_order(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    sent: list[Plain] = [{"do": "a"}, {}, {"n": [1, None, 2.5, b"\x00", "é"], "m": {"k": True}}]
    for message in sent:
        send(ours, message)
    assert [receive(theirs) for _ in sent] == [(message, []) for message in sent]


def test_descriptors_travel_with_their_message_and_do_not_survive_an_exec(
    ends: tuple[socket.socket, socket.socket], pipe: tuple[int, int]
) -> None:
    ours, theirs = ends
    send(ours, {"n": 1}, pipe)
    send(ours, {"n": 2})
    received = receive(theirs)
    assert received is not None
    message, descriptors = received
    try:
        assert message == {"n": 1}
        assert [is_same(*both) for both in zip(descriptors, pipe, strict=True)] == [True, True]
        assert not set(descriptors) & set(pipe)
        assert all(fcntl.fcntl(one, fcntl.F_GETFD) & fcntl.FD_CLOEXEC for one in descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    assert receive(theirs) == ({"n": 2}, [])


def test_as_many_descriptors_as_may_be_arrive_whole(
    ends: tuple[socket.socket, socket.socket], pipe: tuple[int, int]
) -> None:
    ours, theirs = ends
    send(ours, {}, [pipe[0]] * DESCRIPTORS_MAX)
    received = receive(theirs)
    assert received is not None
    for descriptor in received[1]:
        os.close(descriptor)
    assert len(received[1]) == DESCRIPTORS_MAX


def test_the_largest_message_arrives_whole_and_a_larger_one_is_our_bug(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    room = MESSAGE_MAX_BYTES - len(msgpack.packb({"x": b"x" * 1000})) + 1000
    message: Plain = {"x": b"x" * room}
    assert len(msgpack.packb(message)) == MESSAGE_MAX_BYTES
    send(ours, message)
    assert receive(theirs) == (message, [])
    with pytest.raises(AssertionError, match="message of 32769 bytes"):
        send(ours, {"x": b"x" * (room + 1)})


def test_nothing_yet_is_told_from_a_peer_that_is_gone(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    with pytest.raises(BlockingIOError):
        receive(ours)
    theirs.close()
    assert receive(ours) is None
    with pytest.raises(OSError):
        send(ours, {})


class Anything(MessageTable):
    """A table that has every map: these tests are of the transport."""

    def encode(self, message: Any) -> Plain:
        """As it is."""
        found: Plain = message
        return found

    def decode(self, direction: str, values: Any, descriptors: int = 0) -> Any:
        """As it is."""
        return values


class Peer:
    """A Link and what it was told; ``heard`` and ``closed`` are awaited with a deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self.messages: list[tuple[Plain, list[int]]] = []
        self.closings = 0
        self._changed = asyncio.Event()
        self.link = Link(sock, Anything(), IS, self._heard, self._closed)

    def _heard(self, message: Plain, descriptors: list[int]) -> None:
        self.messages.append((message, descriptors))
        self._changed.set()

    def _closed(self) -> None:
        self.closings += 1
        self._changed.set()

    async def until(self, is_so: Callable[[Peer], bool]) -> None:
        """Wait for something to be so."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not is_so(self):
                self._changed.clear()
                await self._changed.wait()


def run(scenario: Callable[[Peer, socket.socket], Any]) -> None:
    """Run a scenario between a Link and a plain socket; no descriptor may be left."""
    before = open_descriptors()

    async def whole() -> None:
        ours, theirs = pair()
        theirs.setblocking(False)
        peer = Peer(ours)
        try:
            await scenario(peer, theirs)
        finally:
            peer.link.close()
            theirs.close()
        assert peer.closings == 1

    asyncio.run(whole())
    assert open_descriptors() == before


def fill(link: Link, message: Plain, descriptors: tuple[int, ...] = ()) -> int:
    """Send until the peer's buffer is full and one is queued; how many were sent in all."""
    sent = 0
    while not link._outbox:
        link.send(message, descriptors)
        sent += 1
    return sent


async def readable(sock: socket.socket) -> None:
    """Until a plain socket has something to read."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, lambda: came.done() or came.set_result(None))
    try:
        await asyncio.wait_for(came, WAIT_SECONDS)
    finally:
        loop.remove_reader(sock)


def everything(sock: socket.socket) -> list[tuple[Plain, list[int]]]:
    """What has arrived; its descriptors are closed."""
    found = []
    while True:
        try:
            received = receive(sock)
        except BlockingIOError:
            return found
        if received is None:
            return found
        for descriptor in received[1]:
            os.close(descriptor)
        found.append(received)


def test_a_link_hears_every_message_and_then_the_end_once() -> None:
    async def scenario(peer: Peer, other: socket.socket) -> None:
        for number in range(50):
            send(other, {"n": number})
        other.close()
        await peer.until(lambda peer: peer.closings > 0)
        assert [message for message, _ in peer.messages] == [{"n": number} for number in range(50)]
        assert peer.link.is_closed
        peer.link.close()

    run(scenario)


def test_a_link_to_a_peer_that_does_not_read_queues_and_keeps_the_order() -> None:
    async def scenario(peer: Peer, other: socket.socket) -> None:
        sent = 0
        while len(peer.link._outbox) < 100:
            peer.link.send({"n": sent})
            sent += 1
        received = []
        while len(received) < sent:
            await readable(other)
            received += everything(other)
        assert [message["n"] for message, _ in received] == list(range(sent))
        assert not peer.link._outbox

    run(scenario)


def test_a_queued_message_carries_descriptors_that_its_sender_has_closed() -> None:
    async def scenario(peer: Peer, other: socket.socket) -> None:
        read, write = os.pipe()
        os.write(write, b"still here")
        os.close(write)
        fill(peer.link, {"x": b"x" * 1000})
        peer.link.send({"last": True}, [read])
        os.close(read)
        descriptors: list[int] = []
        while not descriptors:
            await readable(other)
            received = receive(other)
            assert received is not None
            message, descriptors = received
        assert message == {"last": True}
        with open(descriptors[0], "rb") as arrived:
            assert arrived.read() == b"still here"

    run(scenario)


def test_a_peer_that_is_too_far_behind_is_lost_and_no_descriptor_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(datagrams, "OUTBOX_MAX", 20)

    async def scenario(peer: Peer, other: socket.socket) -> None:
        read, write = os.pipe()
        os.close(write)
        fill(peer.link, {"x": b"x" * 1000})
        with pytest.raises(LinkClosed):
            for _ in range(21):
                peer.link.send({}, [read])
        os.close(read)
        assert peer.link.is_closed and peer.closings == 1

    run(scenario)


def test_a_link_whose_peer_is_gone_says_so_to_whoever_sends() -> None:
    async def scenario(peer: Peer, other: socket.socket) -> None:
        other.close()
        with pytest.raises(LinkClosed):
            peer.link.send({})
        with pytest.raises(LinkClosed):
            peer.link.send({})
        assert peer.closings == 1

    run(scenario)


def test_a_peer_that_goes_while_messages_wait_closes_the_link_once() -> None:
    async def scenario(peer: Peer, other: socket.socket) -> None:
        fill(peer.link, {"x": b"x" * 1000})
        other.close()
        await peer.until(lambda peer: peer.closings > 0)
        assert peer.closings == 1

    run(scenario)


def test_a_link_closed_by_a_message_it_hears_reads_no_further() -> None:
    async def scenario(peer: Peer, other: socket.socket) -> None:
        send(other, {"n": 1})
        send(other, {"n": 2})
        heard = peer._heard

        def heard_and_closed(message: Plain, descriptors: list[int]) -> None:
            heard(message, descriptors)
            peer.link.close()

        peer.link._on_message = heard_and_closed
        peer.link.drain_now()
        assert [message for message, _ in peer.messages] == [{"n": 1}]
        peer.link.drain_now()  # harmless when closed

    run(scenario)


def test_draining_hears_what_is_there_without_waiting() -> None:
    async def scenario(peer: Peer, other: socket.socket) -> None:
        peer.link.drain_now()
        assert peer.messages == []
        send(other, {"n": 1})
        peer.link.drain_now()
        assert peer.messages == [({"n": 1}, [])]

    run(scenario)
