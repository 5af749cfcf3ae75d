"""How a process that stands by is told what to become: JSON, and the descriptors that it is about, once."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
from collections.abc import Mapping, Sequence
from typing import Any

DESCRIPTORS_MAX = 8
_WORD = b"."


def tell(sock: socket.socket, pid: int, told: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    """Tell the process ``pid`` at the other end of ``sock``, which is closed.

    OSError; not for one that has ended already, whose exit says so.
    """
    # Not through the socket, which holds little: the root of a launch has whole files in it.
    with sock, open(os.memfd_create("launch"), "w+") as text:
        json.dump(told, text)
        text.seek(0)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ProcessLookupError):
            # The server has raised it since, for itself and for what it starts.
            resource.prlimit(pid, resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))
            socket.send_fds(sock, [_WORD], [text.fileno(), *descriptors])


def heard(sock: socket.socket) -> tuple[Any, list[int]]:
    """What this process is told, and the descriptors; None when the server ended first.  Waits for it."""
    with sock:
        word, descriptors, _, _ = socket.recv_fds(sock, len(_WORD), DESCRIPTORS_MAX)
    if not word:
        return None, []
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    with open(descriptors.pop(0)) as file:
        return json.load(file), descriptors
