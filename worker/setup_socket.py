"""A cell's end of its set-up socket, whose messages are in ``setup_messages``.

The warden is trusted: a message of it that is not in the table is a bug of ours, and ends the cell.
"""

import os
import socket
from array import array
from typing import Any, List, Tuple, Type, TypeVar

import msgpack

from .message_table import Malformed
from .setup_messages import SETUP, TO_CELL

MESSAGE_MAX_BYTES = 64 << 10

M = TypeVar("M")


def tell(setup: socket.socket, message: Any) -> None:
    """One message to the warden; without a warden the cell ends."""
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
    return unpacked(data, expected, len(descriptors)), descriptors


def packed(message: Any) -> bytes:
    """A message as it travels."""
    data: bytes = msgpack.packb(SETUP.encode(message))
    return data


def unpacked(data: bytes, expected: Type[M], descriptors: int = 0) -> M:
    """The message of this class.  Malformed."""
    message = SETUP.decode(TO_CELL, msgpack.unpackb(data), descriptors)
    if type(message) is not expected:
        raise Malformed("%s came, not %s" % (type(message).__name__, expected.__name__))
    return message  # type: ignore[no-any-return]
