"""A cell's end of its set-up socket, whose messages are in ``setup_messages``.

The warden checks both directions by the table, and a cell neither: it trusts the warden, which does not trust
it.  Checks would have each process of each cell copy 100 KiB more, while a caller waits.
"""

import os
import socket
from array import array
from typing import Any, List, Tuple, Type, TypeVar

import msgpack

from .message_fields import made
from .message_table import Malformed
from .setup_messages import SETUP, TO_CELL

MESSAGE_MAX_BYTES = 64 << 10

M = TypeVar("M")


def tell(setup: socket.socket, message: Any) -> None:
    """Send one message to the warden; without a warden the cell ends."""
    try:
        setup.send(packed(message))
    except OSError:
        os._exit(1)


def hear(setup: socket.socket, expected: Type[M]) -> Tuple[M, List[int]]:
    """The warden's next message, of this class, and its descriptors; without a warden the cell ends."""
    data, ancillary, _, _ = setup.recvmsg(MESSAGE_MAX_BYTES, socket.CMSG_SPACE(4))
    if not data:
        os._exit(0)
    descriptors: List[int] = []
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received = array("i")
            received.frombytes(payload[: len(payload) - len(payload) % received.itemsize])
            descriptors.extend(received)
    return unpacked(data, expected), descriptors


def packed(message: Any) -> bytes:
    """A message as it travels, unchecked."""
    row = SETUP.row_of(type(message))
    data: bytes = msgpack.packb({row.direction: row.word, **message.__dict__})
    return data


def unpacked(data: bytes, expected: Type[M]) -> M:
    """The message of this class, unchecked but for its word.  Malformed."""
    values = msgpack.unpackb(data)
    word = SETUP.row_of(expected).word
    if values.pop(TO_CELL) != word:
        raise Malformed("another message than %s" % word)
    message: M = made(expected, values)
    return message
