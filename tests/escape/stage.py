"""Where the attacks on the protocol take place: a hostile function, a neighbour, and the fronts between.

``standing`` makes a Stage.  While a test is on it the neighbour is called all the time, with a secret of
its own, on another connection and in another space; afterwards the same fronts are alive, none of them has
ever held more than FRONT_GROWTH_BYTES above what it held before, and the connection on which the hostile
calls came goes on as if nothing had been.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.escape.attacks.protocol import SOURCE
from tests.escape.neighbour import NEIGHBOUR, Tenant
from tests.support.asked import Asked
from tests.support.envelope import assert_envelope
from tests.support.eventually import eventually
from tests.support.patience import FACTOR
from tests.support.processes import all_gone_within, fronts_of, processes_of_mark, watch
from tests.support.raw_http import BEARER, DEADLINE_SECONDS, RawAnswer, target
from tests.support.server import SPACE, Server

HOSTILE = "hostile-protocol"
# The worst head that is read at all becomes less than 5 MB; and an answer of 1 MiB, twice, in pages that an
# allocator keeps.
FRONT_GROWTH_BYTES = 8 << 20
GONE_SECONDS = 5.0
# A call takes milliseconds; the cores are shared.
NEIGHBOUR_SECONDS = 10.0
STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) [\x20-\x7e]*")
HEADER_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([\t\x20-\x7e\x80-\xff]*)")


class KeptAlive:
    """One connection for many requests, read byte by byte: an answer is exactly what its head says."""

    def __init__(self, server: Server) -> None:
        address = urlsplit(server.url)
        self._socket = socket.create_connection((address.hostname, address.port), DEADLINE_SECONDS)
        self._received = b""

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def ask(self, method: str, path: str, headers: tuple[tuple[str, str], ...], body: bytes) -> RawAnswer:
        """One request and its answer; nothing may have come before it or come after its end."""
        assert not self._received
        readable, _, _ = select.select([self._socket], [], [], 0)
        assert not readable, "bytes that nobody asked for, or the end"
        call_id = secrets.token_hex(8)
        lines = [f"{method} {path} HTTP/1.1", "Host: test", f"X-Call-Id: {call_id}"]
        lines += [f"{name}: {value}" for name, value in (BEARER, *headers)]
        lines += [f"Content-Length: {len(body)}", "", ""]
        self._socket.sendall("\r\n".join(lines).encode("latin-1") + body)
        answer = self._answer(method)
        assert answer.one("x-call-id") == call_id, "another call's answer"
        assert not self._received, "more bytes than the answer has"
        return answer

    def _answer(self, method: str) -> RawAnswer:
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *rest = head.split(b"\r\n")
        status = STATUS_LINE.fullmatch(first)
        assert status, first
        found = []
        for line in rest:
            match = HEADER_LINE.fullmatch(line)
            assert match, line
            found.append((match[1].decode(), match[2].decode("latin-1")))
        answer = RawAnswer(int(status[1]), found, b"")
        assert not answer.all("transfer-encoding")
        lengths = answer.all("content-length")
        if answer.status in (204, 304):
            assert lengths == []
            return answer
        (length,) = lengths
        most = 0 if method == "HEAD" else int(length)
        while len(self._received) < most:
            self._receive()
        body, self._received = self._received[:most], self._received[most:]
        return RawAnswer(answer.status, found, body)

    def _receive(self) -> None:
        data = self._socket.recv(1 << 16)
        assert data, "the connection ended in mid-answer"
        self._received += data


def _memory(pid: int, name: str) -> int:
    """``VmRSS`` or ``VmHWM`` of a process, bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    raise AssertionError(f"no {name} of {pid}")


@dataclass
class Stage(Asked):
    """A test's view of it; ``growth`` is the most that a front held above its start, bytes."""

    server: Server
    neighbour: Tenant
    secret: str
    line: KeptAlive | None = None  # of the test that is on
    most_growth: int = FRONT_GROWTH_BYTES

    # ---- the hostile side -----------------------------------------------------------------------

    def call(
        self, tail: str = "", body: bytes = b"", *headers: tuple[str, str], name: str = HOSTILE,
        method: str = "POST",
    ) -> RawAnswer:  # fmt: skip
        """Call a function on the kept connection."""
        assert self.line is not None
        return self.line.ask(method, target(name, tail), headers, body)

    def attack(self, code: str, *headers: tuple[str, str]) -> RawAnswer:
        """Run ``code`` in the hostile function."""
        return self.call("/attack", code.encode(), *headers)

    def instance(self) -> str:
        """The instance that answers an honest call, by the mark that it gave itself."""
        answer = self.call("/")
        assert (answer.status, answer.one("x-invoked")) == (200, "true"), answer
        assert re.fullmatch(rb"[0-9a-f]{16}", answer.body), answer
        return answer.body.decode()

    def ends_with(self, code: str, *headers: tuple[str, str]) -> RawAnswer:
        """Run ``code``, which must cost the cell its life: the answer, once the next call has had another."""
        before = self.instance()
        cell = watch(self.processes_of(before))
        assert cell, "the cell's processes were not found"
        answer = self.attack(code, *headers)
        assert all_gone_within(cell, GONE_SECONDS), f"the cell lives on: {answer}"
        assert self.instance() != before
        return answer

    def processes_of(self, instance: str) -> list[int]:
        """The processes of the cell in whose private /tmp this instance left its mark."""
        return processes_of_mark(self.server.pid, instance)

    # ---- the neighbour --------------------------------------------------------------------------

    def send(self, word: str) -> httpx.Response:
        """One call of the neighbour's."""
        return self.neighbour.call("peer", word.encode(), NEIGHBOUR_SECONDS)

    def right(self, word: str) -> str:
        """As NEIGHBOUR answers."""
        return self.secret + word

    def answered_since(self, asked: int, times: int) -> None:
        """Wait until the neighbour has had ``times`` more answers, all of them looked at in the end."""
        deadline = time.monotonic() + NEIGHBOUR_SECONDS
        while self.answered < asked + times:
            assert time.monotonic() < deadline, "the neighbour is not answered"
            self.ask()


@contextlib.contextmanager
def standing(server: Server) -> Iterator[Stage]:
    """The functions, deployed; they are removed afterwards."""
    mark = secrets.token_hex(3)
    secret = f"secret-{secrets.token_hex(8)}:"
    neighbour = Tenant(server, f"peer-{mark}")
    neighbour.deploy("peer", NEIGHBOUR.format(secret=secret))
    server.deploy(HOSTILE, SOURCE, max_instances=1, max_response=1, processes=32, timeout=10.0 * FACTOR)
    eventually(lambda: has_its_api_everywhere(server))
    yield Stage(server, neighbour, secret)
    neighbour.remove("peer")


def has_its_api_everywhere(server: Server) -> bool:
    """Whether each front has imported what the API brings: that is memory, which is nobody's attack."""
    place = f"{server.url}/spaces/{SPACE}/functions"
    answers = [httpx.get(place, headers=dict(server.client.headers)) for _ in range(8)]
    # Each front begins its calls' names with a word of its own.
    words = {answer.headers["x-call-id"].partition("-")[0] for answer in answers}
    return len(words) >= len(fronts_of(server.pid))


@contextlib.contextmanager
def attacked(stage: Stage) -> Iterator[Stage]:
    """One test: see the module's docstring."""
    stage.wrong.clear()
    stage.answered, stage.slowest = 0, 0.0
    stage.most_growth = FRONT_GROWTH_BYTES
    stage.line = KeptAlive(stage.server)
    stage.instance()
    stage.ask()
    fronts = fronts_of(stage.server.pid)
    assert fronts
    for pid in fronts:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak starts again from here
    before = {pid: _memory(pid, "VmRSS") for pid in fronts}
    try:
        with stage.meanwhile(2 * NEIGHBOUR_SECONDS):
            yield stage
            stage.instance()  # on the same connection
    finally:
        stage.line.close()
    stage.ask()
    assert stage.answered >= 3
    assert not stage.wrong, stage.wrong[:5]
    assert stage.slowest <= NEIGHBOUR_SECONDS
    assert fronts_of(stage.server.pid) == fronts, "a front was lost"
    growth = {pid: _memory(pid, "VmHWM") - before[pid] for pid in fronts}
    assert max(growth.values()) < stage.most_growth, growth


def error_of(answer: RawAnswer, status: int, reason: str, *says: str) -> dict[str, Any]:
    """The details of a refusal with that reason; nothing of what was forged is in it."""
    error = assert_envelope(answer, status, *says)
    assert error["details"]["reason"] == reason, error
    assert "forged" not in json.dumps(error) + str(answer.headers)
    details: dict[str, Any] = error["details"]
    return details
