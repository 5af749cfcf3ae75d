"""Plays a row on a connection of its own and says what came of it."""

from __future__ import annotations

import contextlib
import itertools
import socket
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from tests.contract.http.rows import (
    ANSWERED,
    CALL,
    CREDENTIAL,
    READ,
    SHUT,
    SMUGGLED,
    TYPE,
    Drip,
    Outcome,
    Row,
    Step,
)
from tests.support.envelope import assert_envelope
from tests.support.eventually import eventually
from tests.support.patience import FACTOR
from tests.support.raw_http import RawAnswer
from tests.support.server import SPACE, Server

DEADLINE_SECONDS = 20.0 * FACTOR
READ_BYTES = 1 << 16
VARIABLE = f"/spaces/{SPACE}/variables/edge"
NO_BODY = {100, 204, 304}
# Remembers what it was called with until it is asked: a smuggled request is seen as one more call.
SOURCE = """
import json
calls = []
def handle(req):
    if req.path == "/report":
        told = json.dumps(calls)
        calls.clear()
        return {"body": told}
    body = req.body if isinstance(req.body, str) else bytes(req.body or b"").decode("latin-1")
    calls.append({"method": req.method, "path": req.path, "headers": list(req.headers.items()), "body": body})
    return {"body": calls[-1]}
"""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Way:
    """How a request goes through the server, as words for the marks of a row."""

    name: str
    target: str
    missing: str

    def spell(self, data: bytes) -> bytes:
        """The bytes that a step sends."""
        marks = {
            b"<T>": self.target.encode(),
            b"<M>": self.missing.encode(),
            b"<A>": CREDENTIAL,
            b"<K>": TYPE,
        }
        for mark, word in marks.items():
            data = data.replace(mark, word)
        return data


API = Way("api", VARIABLE, f"/spaces/{SPACE}/variables/absent")
INVOCATION = Way("call", f"{CALL}/x", f"/spaces/{SPACE}/functions/absent/invoke")


class Ended(Exception):
    """The other side has closed the connection."""


class Line:
    """A connection and the answers that come over it, one after the other."""

    def __init__(self, server: Server, source: str = "") -> None:
        """``source`` is the address that it comes from, if it matters."""
        address = urlsplit(server.url)
        self.socket = socket.create_connection(
            (address.hostname, address.port), DEADLINE_SECONDS, (source, 0) if source else None
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """All of it, unless the other side hangs up meanwhile."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def shut(self) -> None:
        """Say that nothing more comes."""
        with contextlib.suppress(OSError):  # the other side was faster
            self.socket.shutdown(socket.SHUT_WR)

    def is_read(self) -> bool:
        """Whether the server has taken all that was sent out of its socket."""
        ours, theirs = (_as_in_proc(name) for name in (self.socket.getsockname(), self.socket.getpeername()))
        for text in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            words = text.split()
            if words[1:3] == [theirs, ours]:
                return words[4].endswith(":00000000")
        return True  # it has closed

    def _more(self) -> None:
        try:
            data = self.socket.recv(READ_BYTES)
        except ConnectionResetError:
            data = b""
        if not data:
            assert not self._held, f"an answer is cut: {self._held[:200]!r}"
            raise Ended
        self._held += data

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._held:
            self._more()
        found, _, self._held = self._held.partition(mark)
        return found

    def answer(self, is_head: bool = False) -> RawAnswer:
        """The next answer, interim ones too; ``Ended`` if there is none."""
        first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        assert version in ("HTTP/1.1", "HTTP/1.0"), first
        status = int(rest[:3])
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        answer = RawAnswer(status, headers, b"")
        if is_head or status in NO_BODY:
            return answer
        size = int(answer.one("content-length"))
        while len(self._held) < size:
            self._more()
        body, self._held = self._held[:size], self._held[size:]
        return RawAnswer(status, headers, body)


def _as_in_proc(address: tuple[str, int]) -> str:
    """127.0.0.1:80 as /proc/net/tcp writes it."""
    packed = socket.inet_aton(address[0])
    return f"{int.from_bytes(packed, 'little'):08X}:{address[1]:04X}"


@dataclass
class Heard:
    """What came of a row so far."""

    answers: list[RawAnswer] = field(default_factory=list)
    is_ended: bool = False

    @property
    def statuses(self) -> list[int]:
        """Those of the answers, in order."""
        return [answer.status for answer in self.answers]


def fits(wanted: tuple[int, ...], found: list[int]) -> bool:
    """Whether these statuses may begin with those found; 2 stands for success."""
    pairs = zip(wanted, found, strict=False)
    return len(found) <= len(wanted) and all(want in (got, got // 100) for want, got in pairs)


def play(server: Server, way: Way, row: Row) -> tuple[Outcome, list[RawAnswer]]:
    """The outcome that came of it, one of the row's; AssertionError with what was heard if it is none."""
    with Line(server) as line:
        heard = Heard()
        for step in row.steps:
            if heard.is_ended:
                break
            _do(line, way, row, heard, step)
        while not heard.is_ended:
            possible = [one for one in row.outcomes if fits(one.statuses, heard.statuses)]
            assert possible, _told(row, heard)
            if all(len(one.statuses) == len(heard.answers) for one in possible):
                break
            _hear(line, row, heard)
        end = _end(line, row, heard)
    for one in row.outcomes:
        is_whole = len(one.statuses) == len(heard.answers) and fits(one.statuses, heard.statuses)
        if is_whole and one.end.value in (end, "either"):
            return one, heard.answers
    raise AssertionError(_told(row, heard, end))


def _do(line: Line, way: Way, row: Row, heard: Heard, step: Step) -> None:
    if isinstance(step, bytes):
        line.send(way.spell(step))
    elif isinstance(step, Drip):
        for byte in way.spell(step.data):
            line.send(bytes([byte]))
    elif step is SHUT:
        line.shut()
    elif step is READ:
        eventually(line.is_read, "the server does not read", DEADLINE_SECONDS)
    else:
        assert step is ANSWERED
        _hear(line, row, heard)


def _hear(line: Line, row: Row, heard: Heard) -> None:
    try:
        heard.answers.append(line.answer(row.is_head))
    except Ended:
        heard.is_ended = True
    except TimeoutError:
        raise AssertionError(f"no answer and no end: {_told(row, heard)}") from None


def _end(line: Line, row: Row, heard: Heard) -> str:
    """What became of the connection; a kept one is used once more, and what closes must have said so."""
    ends = {one.end.value for one in row.outcomes if fits(one.statuses, heard.statuses)}
    says_so = bool(heard.answers) and heard.answers[-1].all("connection") == ["close"]
    is_silent = not heard.answers or SHUT in row.steps
    if heard.is_ended or says_so or ends == {"closed"}:
        _until_it_closes(line, row, heard)
        assert says_so or is_silent, f"closed without saying so: {_told(row, heard)}"
        return "closed"
    if ends == {"either"}:
        line.shut()
        _until_it_closes(line, row, heard)
        return "either"
    if any(isinstance(step, bytes) and b" HTTP/1.0\r\n" in step for step in row.steps):
        # One that is not told so waits for the end of the connection, as ``ab -k`` does (RFC 9112, 9.3).
        assert heard.answers[-1].all("connection") == ["keep-alive"], _told(row, heard)
    call_id = f"probe-{next(_numbers)}"
    line.send(f"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Call-Id: {call_id}\r\n\r\n".encode())
    try:
        answer = line.answer()
    except (Ended, TimeoutError):
        raise AssertionError(f"not kept: {_told(row, heard)}") from None
    assert (answer.status, answer.all("x-call-id")) == (200, [call_id]), f"not the probe's answer: {answer}"
    return "kept"


def _until_it_closes(line: Line, row: Row, heard: Heard) -> None:
    if not heard.is_ended:
        line.send(SMUGGLED)  # whatever is sent now is nobody's request
    try:
        more = line.answer(row.is_head)
    except Ended:
        heard.is_ended = True
    except TimeoutError:
        raise AssertionError(f"not closed: {_told(row, heard)}") from None
    else:
        raise AssertionError(f"one answer more: {_told(row, heard)} {more}")


def _told(row: Row, heard: Heard, end: str = "") -> str:
    said = [answer.body[:200] for answer in heard.answers if answer.status >= 400]
    ended = end or ("ended" if heard.is_ended else "open")
    return f"{row.name}: {heard.statuses}, {ended}, wanted {row.outcomes}; {said}"


def is_proper(answer: RawAnswer, is_head: bool = False) -> None:
    """What every answer has, whatever it answers."""
    if answer.status == 100:
        assert answer.headers == []
        return
    assert answer.all("server") == [], "an answer names the server's program"
    assert len(answer.all("date")) == 1
    for stamp in ("x-call-id", "x-duration-seconds", "server-timing"):
        assert len(answer.all(stamp)) == 1, stamp
    if answer.status >= 400 and not is_head:
        assert_envelope(answer, answer.status)
