"""Parses one request as its bytes come: llhttp, and the bounds around it.  No I/O.

The bytes are cut into pieces: llhttp gets no byte of the next message, so the connection knows where each
message ends.  A head ends behind an empty line and nowhere else.  So does a body in chunks: behind the last
chunk or its trailers.  Inside a body an empty line may stand anywhere, and a cut there does no harm.  If a
body has very many empty lines, only some are cut.  The next message may then begin inside a piece: none of
its bytes are used, and the connection ends with the answer (``keeps_alive``).
``has_head`` and ``is_whole`` tell the progress.  ``feed`` and ``target`` refuse an invalid request with a
PlatformError; after that nothing more can be fed.
"""

from __future__ import annotations

from collections.abc import Callable

import httptools

from supervisor.errors import PlatformError
from supervisor.front.http import request_head
from supervisor.front.http.request_head import Framing, RequestTarget
from supervisor.front.outcome.answers import Headers

# The sizes, extensions and trailers of chunks may take as many bytes as the body and this many more, ...
FRAMING_SLACK_BYTES = 1 << 16
# ... and this many without a byte of the body between them: llhttp copies a trailer as it grows.
FRAMING_RUN_BYTES = 1 << 16
# The bytes of one read are cut into at most this many pieces, each of which costs a microsecond or two.
CUTS_MOST = 64
END = b"\r\n\r\n"
# This many bytes of an empty line may be the last ones of the piece before.
TAIL_BYTES = len(END) - 1
TOO_MUCH_FRAMING = "the sizes, extensions and trailers of its chunks are too long"


class _Stop(Exception):
    """Ends the parsing of this request from inside a callback of llhttp."""


class Message:
    """The request that a connection reads; ``begin`` resets it for the next one."""

    __slots__ = (
        "_host", "_is_unparsed", "_left", "_line", "_marks", "_parser", "_refusal", "_run_from", "_tail",
        "_take", "_url", "body_bytes", "fed", "framing", "has_head", "headers", "is_modern", "is_odd",
        "is_whole", "keeps_alive", "method",
    )  # fmt: skip

    def __init__(self, take: Callable[[bytes], None]) -> None:
        """``take`` gets each part of a body."""
        self._take = take
        self._host: bytes | None = None  # the last valid one
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self.begin()

    def begin(self) -> None:
        """Reset: the next bytes are another message."""
        self.has_head = self.is_whole = self.is_odd = self._is_unparsed = False
        self.is_modern = True
        self.keeps_alive = False
        self.method = ""
        self.headers: Headers = []
        self.framing: Framing | None = None
        # Bytes fed: of the head, then of all behind it.  Bytes of the body.  ``fed`` at the body's last part.
        self.fed = self.body_bytes = self._run_from = 0
        self._left = 0  # bytes of a body with a Content-Length that have not come
        self._url = self._line = self._tail = b""
        self._marks: dict[bytes, bytes] = {}  # the headers of request_head.FRAMING
        self._refusal: PlatformError | None = None

    def close(self) -> None:
        """Drop all references: there is no next message, and a cycle would be freed much later."""
        self._parser = None
        self._take = _nowhere
        self._url = self._line = self._tail = b""
        self.headers = []
        self._refusal = None  # its traceback refers to frames

    @property
    def held_bytes(self) -> int:
        """The bytes that the request holds here: its head or its body."""
        return self.body_bytes if self.has_head else self.fed

    def end_of_piece(self, data: bytearray, at: int, size: int, cuts: int) -> int:
        """How far ``data`` may be fed in one piece; this read has given ``cuts`` pieces so far."""
        if self._left:
            return min(size, at + self._left)
        if self.has_head:
            return piece_end(data, at, size, self._tail) if cuts < CUTS_MOST else size
        if not self._line and data[at] in b"\r\n":
            end = first_not_empty(data, at, size)
        else:
            end = piece_end(data, at, size, self._tail)
        return min(end, at + request_head.HEAD_MAX_BYTES + 1 - self.fed)

    def feed(self, piece: memoryview) -> None:
        """Parse one piece.  PlatformError."""
        size = len(piece)
        self.fed += size
        if self._left:
            self._left -= size
            if self._is_unparsed:
                self.on_body(bytes(piece))
                self.is_whole = not self._left
            else:
                self._parse(piece)
            return
        if self.has_head:
            self._parse(piece)
            self._check_framing()
        else:
            self._parse_head(bytes(piece))
        if not self.is_whole and (not self.has_head or b"transfer-encoding" in self._marks):
            self._tail = tail_of(self._tail, piece)  # a body with a length ends without a mark

    def _parse_head(self, piece: bytes) -> None:
        if self.is_odd:
            self._line += piece
            self._odd_line()
            return
        if b"\n" not in self._line:
            # llhttp may refuse the first line, and then tells too little about it.
            self._line = self._line + piece if self._line else piece
            piece = request_head.escaped(piece)
        self._parse(piece)
        if not self.has_head:
            self._line = request_head.first_line(self._line)
            if self.fed > request_head.HEAD_MAX_BYTES:
                raise request_head.headers_refused()

    def _parse(self, piece: bytes | memoryview) -> None:
        assert self._parser is not None, "the message is closed"
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            # An upgrade is an offer; a server that does not take it answers in HTTP (RFC 9110, 7.8).
            return
        except httptools.HttpParserInvalidMethodError:
            if self.is_whole:
                return  # the error is the next message's
            self.is_odd = True
            self._odd_line()
        except httptools.HttpParserError as error:
            if self.is_whole:
                return
            raise self._refusal or request_head.refusal(400, str(error)) from None

    def _odd_line(self) -> None:
        """Refuse a method that llhttp does not know; the target decides with which status."""
        self._line = request_head.first_line(self._line)
        if request_head.is_odd_line(self._line):
            raise request_head.odd_method(self._line)

    def _check_framing(self) -> None:
        run = self.fed - self._run_from
        if run > FRAMING_RUN_BYTES or self.fed > 2 * self.body_bytes + FRAMING_SLACK_BYTES:
            raise request_head.refusal(400, TOO_MUCH_FRAMING)

    def target(self) -> RequestTarget:
        """The target of a request whose head has come.  PlatformError for an invalid head."""
        parser = self._parser
        assert parser is not None and self.has_head
        version = parser.get_http_version()
        self.is_modern = version != "1.0"
        if version != "1.1" and (self.is_modern or not request_head.is_http(self._line)):
            raise request_head.no_version(version)
        if not self.is_modern:
            self.keeps_alive = self.keeps_alive and request_head.asks_to_be_kept(self.headers)
        self._line = b""
        method = parser.get_method()
        target = request_head.target_of(self._url, method)
        host = self._marks.get(b"host")
        if host != self._host or host is None:  # most requests of one connection name the same host
            request_head.check_host(host, self.is_modern)
            self._host = host
        is_upgrade = parser.should_upgrade()
        if len(self._marks) == 1 and host is not None:
            self.framing = request_head.NO_BODY
        else:
            self.framing = request_head.framing_of(self._marks, self.is_modern, is_upgrade=is_upgrade)
        if target.host is not None:
            self.headers = request_head.with_host(self.headers, target.host)
        self.method = method.decode("ascii")
        self._left, self.fed, self._run_from = self.framing.length, 0, 0
        if is_upgrade and self._left:
            # llhttp takes the bytes after such a head for the other protocol.
            self._is_unparsed, self.is_whole = True, False
        return target

    # ---- llhttp's callbacks -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A message begins.  If the last one has ended in this piece, this one comes too early to be used."""
        if self.is_whole:
            self.keeps_alive = False

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        if self.has_head:
            return
        self._url += url
        if len(self._url) > request_head.REQUEST_LINE_MAX_BYTES:
            self._stop(request_head.refusal(414, f"more than {request_head.REQUEST_LINE_MAX_BYTES} bytes"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header.  Trailers are dropped, whatever their names."""
        if self.has_head:
            return
        name, value = name.lower(), value.strip(b" \t")
        self.headers.append((name, value))
        if name in request_head.FRAMING:
            if name in self._marks:
                self._stop(request_head.refusal(400, f"two {name.decode()} headers"))
            self._marks[name] = value
        if len(self.headers) > request_head.HEADERS_MOST:
            self._stop(request_head.headers_refused())

    def _stop(self, refusal: PlatformError) -> None:
        """Have llhttp stop here.

        The refusal itself is not raised: its traceback would refer to this frame and the frame to it, and the
        cycle would hold the request until the garbage is collected.
        """
        self._refusal = refusal
        del refusal
        raise _Stop

    def on_headers_complete(self) -> None:
        """The head has ended."""
        assert self._parser is not None
        if self.has_head:
            return
        self.has_head = True
        # Asked now, because llhttp no longer knows once the message has ended.
        self.keeps_alive = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self.is_whole:
            return
        self.body_bytes += len(body)
        self._run_from = self.fed
        self._take(body)

    def on_message_complete(self) -> None:
        """The message has ended."""
        if self.is_whole:
            return
        self.is_whole = True
        if self._parser is not None:
            # A trailer may say that the connection ends; then llhttp would take nothing more.
            self.keeps_alive = self.keeps_alive and self._parser.should_keep_alive()


def _nowhere(_: bytes) -> None:
    """Drops the body of a closed connection."""


def piece_end(data: bytearray, at: int, size: int, tail: bytes) -> int:
    """The end of the piece that begins at ``at``: behind the next empty line, else ``size``.

    ``tail`` is ``tail_of`` the pieces before.
    """
    if tail:
        seam = tail + data[at : min(size, at + TAIL_BYTES)]
        found = seam.find(END)
        if found >= 0:
            return at + found + len(END) - len(tail)
    found = data.find(END, at, size)
    return found + len(END) if found >= 0 else size


def first_not_empty(data: bytearray, at: int, size: int) -> int:
    """The first byte at or after ``at`` that is no line end."""
    return size - len(data[at:size].lstrip(b"\r\n"))


def tail_of(tail: bytes, piece: memoryview) -> bytes:
    """The last TAIL_BYTES of all pieces so far, where an empty line may have begun."""
    last = bytes(piece[-TAIL_BYTES:])
    return last if len(last) == TAIL_BYTES else (tail + last)[-TAIL_BYTES:]
