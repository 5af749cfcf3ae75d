"""The wire between a front and a cell: encodes and decodes frames, without any I/O.

Rule 1: any bytes give frames or one RemoteProtocolError, in memory bounded by the limits below and in
        time linear in the bytes received.
Rule 2: every decoded frame is valid: its kind travels in this direction, its head has the fields of
        its kind with the right types and bounds, its body fits.
Rule 3: nothing here reads a clock, a descriptor or a random number.

A frame is a fixed prefix, a *head* and a *body*:

    kind u8 | call u32 | head length u32 | body length u32 | head | body        (big-endian)

``call`` is the number of a call within its cell, 0 if the frame belongs to none.  The head is one flat
msgpack array of the fields in KINDS; kinds with HTTP headers append them as name, value, name, value, ...
The body is raw bytes and is never parsed here: a hostile msgpack map costs 72 bytes of objects per byte, a
body costs one.  After the first invalid frame nobody can tell where the next one begins, so it ends the
conversation, and the Decoder refuses to go on.
"""

import struct
from typing import Any, Collection, Dict, List, NamedTuple, Optional, Sequence, Tuple

import msgpack

WIRE_VERSION = 4
_TEXT_ONLY = {str}
_Head = Tuple[Tuple[Any, ...], Tuple[Tuple[str, str], ...]]  # the fields, and the headers after them
_packer = msgpack.Packer()  # one for all: each has a buffer of 256 KiB; packing is atomic among threads

PREFIX = struct.Struct(">BIII")

# Larger than every request head that the front accepts (it answers 431 to others), and small enough that
# the objects of the worst msgpack head stay under 5 MB.
HEAD_MAX_BYTES = 64 * 1024
# No honest HTTP message has more header fields.
HEADERS_MAX = 256
# The largest body that an operator can allow (supervisor.function_options: 1024 MiB).
BODY_MAX_BYTES = 1 << 30
CALL_MAX = 0xFFFFFFFF

TO_CELL = "to cell"
TO_FRONT = "to front"


class ProtocolError(Exception):
    """An invalid frame."""


class LocalProtocolError(ProtocolError):
    """We were about to send an invalid frame, which is our bug."""


class RemoteProtocolError(ProtocolError):
    """The peer has sent an invalid frame, which ends its cell."""


class Text(NamedTuple):
    """A head field that is a string of at most ``most`` characters."""

    name: str
    most: int = 4096


class Number(NamedTuple):
    """A head field that is an integer from ``least`` to ``most``."""

    name: str
    least: int = 0
    most: int = 0xFFFFFFFF


class FrameKind:
    """One row of KINDS: the form of a frame of this kind."""

    def __init__(
        self,
        name: str,
        direction: str,
        fields: Tuple[Any, ...] = (),
        has_headers: bool = False,
        has_body: bool = False,
        belongs_to_call: bool = False,
    ) -> None:
        self.name = name
        self.direction = direction
        self.fields = fields
        self.has_headers = has_headers
        self.has_body = has_body
        self.belongs_to_call = belongs_to_call
        self.arity = len(fields)
        # (type, least, most) by position, for speed: each side checks two frames for each call.
        self.checks: Tuple[Tuple[Any, int, int], ...] = tuple(
            (str, 0, field.most) if type(field) is Text else (int, field.least, field.most)
            for field in fields
        )


INIT, CALL, CANCEL, VALUES = 1, 2, 3, 4
READY, FAILED, CHECKED, ANSWER, RAISED, BROKE, WHERE, MET = 16, 17, 18, 19, 20, 21, 22, 23
# Why a call has to end early: its time is up, or its caller has hung up.
TIME_IS_UP, CALLER_IS_GONE = 0, 1
# The limit that an instance has met.  OUT_OF_MEMORY: a MemoryError that nobody caught; RAISED follows.
OUT_OF_MEMORY, MET_MEMORY, MET_PROCESSES, MET_OPEN_FILES = 1, 2, 3, 4
# The stage of FAILED if the import ran out of memory; the exit code of a worker without memory for a frame.
STAGE_MEMORY, EXIT_OUT_OF_MEMORY = "memory", 77

# What pid 1 of a ``fresh`` function's cell, which runs no code of the function, tells the front in one byte.
# CLEAN: nothing of the last call is left, the next may be sent.  ONE_CALL_*: why the cell can serve only one.
CLEAN = b"c"
ONE_CALL_THREADS, ONE_CALL_PROCESSES, ONE_CALL_FILES, ONE_CALL_MEMORY = b"t", b"p", b"f", b"m"
ONE_CALL_TMP, ONE_CALL_NO_NAMESPACES, ONE_CALL_NO_LIST = b"d", b"n", b"l"
ONE_CALL: Dict[bytes, str] = {
    ONE_CALL_THREADS: "its import starts threads",
    ONE_CALL_PROCESSES: "its import starts processes",
    ONE_CALL_FILES: "its import opens files or sockets and keeps them open",
    ONE_CALL_MEMORY: "its import makes shared memory",
    ONE_CALL_TMP: "its import leaves files in /tmp or /dev/shm",
    ONE_CALL_NO_NAMESPACES: "this host has no namespaces",
    ONE_CALL_NO_LIST: "this host's kernel does not list a process's children",
}

# What a call used.  The cell may lie: the numbers are for display and for its own function's pool only.
_USAGE = (Number("exec_us", 0, 1 << 53), Number("cpu_us", 0, 1 << 53), Number("peak_kib", 0, 1 << 40))
_EXCEPTION = (
    Text("exception_type", 256), Text("exception_info", 8192),
    Number("line", 0, 1 << 31), Text("code", 1024), Text("file", 256),
)  # fmt: skip

KINDS: Dict[int, FrameKind] = {
    INIT: FrameKind(
        "INIT",
        TO_CELL,
        (
            Number("wire_version"),
            Text("mode", 16),
            Text("space", 64),
            Text("function_name", 64),
            Number("version"),
            Number("concurrency", 0, 10_000),
            Number("response_max_bytes", 0, BODY_MAX_BYTES),
        ),
        has_body=True,
    ),
    CALL: FrameKind(
        "CALL",
        TO_CELL,
        (
            Text("method", 16),
            Text("path", 32_768),
            Text("query", 32_768),
            Text("call_id", 128),
            Number("remaining_ms", 0, 1 << 40),
        ),
        has_headers=True,
        has_body=True,
        belongs_to_call=True,
    ),
    CANCEL: FrameKind("CANCEL", TO_CELL, (Number("why", TIME_IS_UP, CALLER_IS_GONE),), belongs_to_call=True),
    VALUES: FrameKind("VALUES", TO_CELL, (), has_body=True),
    READY: FrameKind(
        "READY",
        TO_FRONT,
        (Number("is_async", 0, 1), Number("import_us", 0, 1 << 53), Text("entry", 64), Text("python", 32)),
    ),
    FAILED: FrameKind("FAILED", TO_FRONT, (Text("stage", 32), *_EXCEPTION)),
    CHECKED: FrameKind(
        "CHECKED",
        TO_FRONT,
        (Number("ok", 0, 1), Text("message", 8192), Number("line", 0, 1 << 31), Text("entry", 64)),
    ),
    ANSWER: FrameKind(
        "ANSWER",
        TO_FRONT,
        (Number("status", 200, 599), *_USAGE),
        has_headers=True,
        has_body=True,
        belongs_to_call=True,
    ),
    RAISED: FrameKind("RAISED", TO_FRONT, (*_EXCEPTION, *_USAGE), belongs_to_call=True),
    BROKE: FrameKind("BROKE", TO_FRONT, (Text("message", 8192), *_USAGE), belongs_to_call=True),
    # Where a call's code stood when it was told to end; not the end of the call.  ``is_blocking``: it blocks
    # the event loop, and so all other calls of the instance.
    WHERE: FrameKind(
        "WHERE", TO_FRONT, (Text("where", 512), Number("is_blocking", 0, 1)), belongs_to_call=True
    ),
    # The instance has met a limit, and is to get no more calls; not the end of the call either.
    MET: FrameKind("MET", TO_FRONT, (Number("what", OUT_OF_MEMORY, MET_OPEN_FILES),), belongs_to_call=True),
}


class Frame(NamedTuple):
    """A valid frame.  ``head`` holds the kind's fields in order, ``headers`` pairs of strings."""

    kind: int
    call: int
    head: Tuple[Any, ...]
    headers: Tuple[Tuple[str, str], ...]
    body: bytes


def _problem(field: Any, value: Any) -> Optional[str]:
    """Why ``value`` cannot be ``field``, or None."""
    # Exact types: isinstance takes a bool for an int, and a subclass can lie about its length.
    if type(field) is Text:
        if type(value) is not str:
            return "is not text"
        return None if len(value) <= field.most else "is longer than %d characters" % field.most
    if type(value) is not int:
        return "is not a whole number"
    return None if field.least <= value <= field.most else "is not in %d..%d" % (field.least, field.most)


def _check_head(kind: FrameKind, values: Sequence[Any]) -> None:
    """Raise ValueError if a head's fields or its headers are invalid."""
    arity = kind.arity
    items = len(values) - arity
    if items < 0 or (items and not kind.has_headers):
        raise ValueError("%s has %d fields, not %d" % (kind.name, len(values), arity))
    for (wanted, least, most), value in zip(kind.checks, values):
        if type(value) is not wanted or not least <= (len(value) if wanted is str else value) <= most:
            for field, suspect in zip(kind.fields, values):
                problem = _problem(field, suspect)
                if problem:
                    raise ValueError("%s.%s %s" % (kind.name, field.name, problem))
    if items % 2 or items > 2 * HEADERS_MAX:
        raise ValueError("%s has an odd or too large number of header items: %d" % (kind.name, items))
    if items and set(map(type, values[arity:])) != _TEXT_ONLY:
        raise ValueError("%s has a header item that is not text" % kind.name)


def _check_prefix(
    kind: Optional[FrameKind], call: int, head_bytes: int, body_bytes: int, body_max: int
) -> None:
    """Raise ValueError if a prefix announces something that its kind may not have."""
    if kind is None:
        raise ValueError("unknown kind of frame")
    if (call != 0) != kind.belongs_to_call:
        raise ValueError("%s with call number %d" % (kind.name, call))
    if head_bytes > HEAD_MAX_BYTES:
        raise ValueError("%s announces a head of %d bytes" % (kind.name, head_bytes))
    if body_bytes > (body_max if kind.has_body else 0):
        raise ValueError("%s announces a body of %d bytes" % (kind.name, body_bytes))


def encode(
    kind_id: int,
    call: int = 0,
    fields: Sequence[Any] = (),
    headers: Sequence[Tuple[str, str]] = (),
    body_bytes: int = 0,
) -> bytes:
    """Prefix and head of a frame; the caller sends its body of ``body_bytes`` bytes after them.

    Raises LocalProtocolError if the frame would be invalid.
    """
    try:
        kind = KINDS.get(kind_id)
        if kind is None:  # before the fields are packed: an unknown kind bounds nothing
            raise ValueError("unknown kind of frame")
        values: List[Any] = list(fields)
        for pair in headers:
            values += pair
        _check_head(kind, values)
        head: bytes = _packer.pack(values)
        _check_prefix(kind, call, len(head), body_bytes, BODY_MAX_BYTES)
        return PREFIX.pack(kind_id, call, len(head), body_bytes) + head
    except (ValueError, TypeError, struct.error) as error:  # UnicodeEncodeError is a ValueError
        raise LocalProtocolError(str(error)) from error


class Decoder:
    """Decodes the bytes of one peer into valid frames.

    It accepts the kinds of one ``direction``, and bodies of at most ``body_max`` bytes.  ``expected``, if
    set, holds the numbers of the calls that may have a frame now.
    """

    def __init__(self, direction: str, body_max: int = BODY_MAX_BYTES) -> None:
        self.expected: Optional[Collection[int]] = None
        self._kinds = {number: kind for number, kind in KINDS.items() if kind.direction == direction}
        self._body_max = body_max
        self._buffer = bytearray()
        self._prefix: Optional[Tuple[int, int, int, int]] = None
        self._head: Optional[_Head] = None
        self._is_broken = False

    @property
    def is_between_frames(self) -> bool:
        """Whether no frame is incomplete."""
        return not self._buffer and self._prefix is None

    def check_rest(self) -> None:
        """Raise RemoteProtocolError if the incomplete frame is one that no call waits for."""
        if self.expected is None or self.is_between_frames:
            return
        if not self.expected or (self._prefix is not None and self._prefix[1] not in self.expected):
            raise RemoteProtocolError("the beginning of a frame that no call waits for")

    def close(self) -> None:
        """Drop all bytes, and refuse any more."""
        self._is_broken = True
        self._buffer = bytearray()
        self._prefix = self._head = None

    def receive(self, data: bytes) -> List[Frame]:
        """The frames that ``data`` completes, in order.  RemoteProtocolError is final."""
        # From here on the bytes are hostile.
        if self._is_broken:
            raise RemoteProtocolError("this conversation already broke")
        frames: List[Frame] = []
        try:
            if self._prefix is None and not self._buffer and len(data) >= PREFIX.size:
                frame = self._whole(data)
                if frame is not None:
                    return [frame]
            self._buffer += data
            while True:
                frame = self._next()
                if frame is None:
                    return frames
                frames.append(frame)
        except RemoteProtocolError:
            self.close()
            raise

    def _whole(self, data: bytes) -> Optional[Frame]:
        """The frame if ``data`` is exactly one, as it nearly always is; saves copies."""
        number, call, head_bytes, body_bytes = PREFIX.unpack_from(data)
        head_end = PREFIX.size + head_bytes
        if len(data) != head_end + body_bytes:
            return None
        kind = self._kinds.get(number)
        try:
            _check_prefix(kind, call, head_bytes, body_bytes, self._body_max)
        except ValueError as error:
            raise RemoteProtocolError(str(error)) from None
        assert kind is not None  # _check_prefix refuses it
        fields, headers = self._read_head(kind, data[PREFIX.size : head_end])
        return Frame(number, call, fields, headers, data[head_end:])

    def _next(self) -> Optional[Frame]:
        buffer = self._buffer
        if self._prefix is None:
            if len(buffer) < PREFIX.size:
                return None
            number, call, head_bytes, body_bytes = PREFIX.unpack_from(buffer)
            try:
                _check_prefix(self._kinds.get(number), call, head_bytes, body_bytes, self._body_max)
            except ValueError as error:
                raise RemoteProtocolError(str(error)) from None
            # Now, not once the frame is complete: its body may have many megabytes.
            if self.expected is not None and call not in self.expected:
                what = "an answer that no call waits for" if call else "a second word on how it started"
                raise RemoteProtocolError(what)
            del buffer[: PREFIX.size]
            self._prefix = (number, call, head_bytes, body_bytes)
        number, call, head_bytes, body_bytes = self._prefix
        if self._head is None:
            if len(buffer) < head_bytes:
                return None
            # The head is checked before the body: a peer with a bad head does not get to send a body.
            self._head = self._read_head(self._kinds[number], bytes(buffer[:head_bytes]))
            del buffer[:head_bytes]
        if len(buffer) < body_bytes:
            return None
        body = bytes(memoryview(buffer)[:body_bytes])
        del buffer[:body_bytes]
        fields, headers = self._head
        self._prefix = self._head = None
        return Frame(number, call, fields, headers, body)

    @staticmethod
    def _read_head(kind: FrameKind, head: bytes) -> _Head:
        try:
            # No maps, no extension types, no array longer than the longest honest head.  Arrays in arrays are
            # bounded by the head's size, and _check_head refuses them.
            values = msgpack.unpackb(
                head,
                raw=False,
                use_list=False,
                strict_map_key=True,
                max_map_len=0,
                max_ext_len=0,
                max_bin_len=0,
                max_array_len=2 * HEADERS_MAX + 16,
                max_str_len=HEAD_MAX_BYTES,
            )
        # msgpack's own errors (ExtraData, FormatError, StackError) and UnicodeDecodeError are ValueErrors.
        except (ValueError, TypeError, RecursionError) as error:
            what = "%s has a head that is no flat array (%s)" % (kind.name, type(error).__name__)
            raise RemoteProtocolError(what) from None
        if type(values) is not tuple:
            raise RemoteProtocolError("%s has a head that is no array" % kind.name)
        try:
            _check_head(kind, values)
        except ValueError as error:
            raise RemoteProtocolError(str(error)) from None
        arity = kind.arity
        return values[:arity], tuple(zip(values[arity::2], values[arity + 1 :: 2]))
