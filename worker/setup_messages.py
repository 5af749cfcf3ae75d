"""The set-up socket: what a cell and the warden say to each other before there is tenant code.

Messages are msgpack maps over SEQPACKET; ``worker.cell_process`` lists them.  The worker's copy of the socket
is closed by the last step of its lock-down, so nothing that a tenant does can speak here.
"""

import os
import socket
from array import array
from typing import Any, Dict, List, Tuple

import msgpack

# The warden's largest message carries a seccomp program, about 4 KiB.
MESSAGE_MAX_BYTES = 64 << 10
REASON_MAX_CHARS = 500


def tell(setup: socket.socket, **message: Any) -> None:
    """One message to the warden; a warden that is gone needs none."""
    try:
        setup.send(msgpack.packb(message))
    except OSError:
        os._exit(1)


def hear(setup: socket.socket) -> Tuple[Dict[str, Any], List[int]]:
    """The warden's next message and its descriptors; leaves when the warden is gone."""
    data, ancillary, _, _ = setup.recvmsg(MESSAGE_MAX_BYTES, socket.CMSG_SPACE(4))
    if not data:
        os._exit(0)
    descriptors: List[int] = []
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received = array("i")
            received.frombytes(payload[: len(payload) - len(payload) % received.itemsize])
            descriptors.extend(received)
    return msgpack.unpackb(data), descriptors
