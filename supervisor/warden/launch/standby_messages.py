"""How a process that stands by is told, once, what to become: JSON, and the descriptors that it is about."""

# No ``from __future__ import annotations``: STANDBY reads the annotations.

import contextlib
import json
import os
import resource
import socket
from collections.abc import Sequence
from typing import Annotated

from supervisor.front_start import FrontStart
from supervisor.warden.launch.launcher import Launch
from worker.message_fields import IntBound, ListBound, Record
from worker.message_table import DO, MessageTable, TableRow

DESCRIPTORS_MAX = 8
_WORD = b"."


class BecomeFront(Record):
    """gunicorn, with the warden's control socket and the listener."""

    launch: Launch
    start: FrontStart


class BecomeZygote(Record):
    """A zygote; ``numbers`` are those under which its program knows the descriptors."""

    launch: Launch
    numbers: Annotated[list[int], ListBound(IntBound(3, 1 << 20), DESCRIPTORS_MAX)]


STANDBY = MessageTable(
    TableRow(DO, "front", BecomeFront, descriptors=2),
    TableRow(DO, "zygote", BecomeZygote, descriptors=1),
)


def tell(
    sock: socket.socket, pid: int, message: BecomeFront | BecomeZygote, descriptors: Sequence[int]
) -> None:
    """Tell the process ``pid`` at the other end of ``sock``, and close that.

    OSError; not for a process that has ended already, whose exit says so.
    """
    # Not through the socket, which holds little: the root of a launch has whole files in it.
    with sock, open(os.memfd_create("launch"), "w+") as text:
        json.dump(STANDBY.encode(message), text)
        text.seek(0)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ProcessLookupError):
            # The server has raised it since, for itself and for what it starts.
            resource.prlimit(pid, resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))
            socket.send_fds(sock, [_WORD], [text.fileno(), *descriptors])


def heard(sock: socket.socket) -> tuple[BecomeFront | BecomeZygote | None, list[int]]:
    """What this process is told, and the descriptors; None when the server ended first.  Waits for it."""
    with sock:
        word, descriptors, _, _ = socket.recv_fds(sock, len(_WORD), DESCRIPTORS_MAX)
    if not word:
        return None, []
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    with open(descriptors.pop(0)) as file:
        message: BecomeFront | BecomeZygote = STANDBY.decode(DO, json.load(file), len(descriptors))
    return message, descriptors
