"""A front as the lease desk knows it, and what it has asked for."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
from collections import Counter
from pathlib import Path
from typing import Protocol

from supervisor.datagrams import Link, LinkClosed
from supervisor.link_messages import LINK, TO_WARDEN, LeaseRequest
from supervisor.warden.leases.accounts import Key
from supervisor.warden.supply.registry import CellRequest

log = logging.getLogger("cellblock.leases")


class Owner(Protocol):
    """The desk, as far as a session needs it."""

    def heard(self, session: Session, message: object, descriptors: list[int]) -> None:
        """Handle a message of this front; the desk owns the descriptors.  Malformed."""

    def left(self, session: Session) -> None:
        """The front's link is closed."""

    def spaces_of(self, session: Session) -> Counter[str]:
        """How many cells of each space it holds."""


class Request:
    """One lease that was asked for and not answered yet."""

    def __init__(self, session: Session, asked: LeaseRequest) -> None:
        self.session = session
        self.ticket = asked.ticket
        self.key: Key = (asked.space, asked.name, asked.version)
        self.digest = asked.digest
        self.is_check = asked.mode == "check"
        # For nobody's call: it waits for no other instance, and takes none away.
        self.is_keep = asked.mode == "keep"
        # What decides the kind of its cell.
        self.wanted = (asked.runtime, asked.network, asked.imports)
        self.most = asked.max_instances
        self.tie = asked.tie
        self.deadline: asyncio.TimerHandle | None = None
        self.is_answered = False
        self.want: CellRequest | None = None
        session.waiting.add(self)

    def answer(self) -> None:
        """Mark the request as answered, and end its deadline."""
        self.is_answered = True
        self.session.waiting.discard(self)
        if self.deadline is not None:
            self.deadline.cancel()


class Session:
    """One front."""

    def __init__(self, desk: Owner, sock: socket.socket, pidfd: int) -> None:
        """``pidfd`` is its process's; with -1 the process is not ended when it breaks its protocol."""
        self.waiting: set[Request] = set()
        self._desk = desk
        self._pidfd = pidfd
        self.link = Link(
            sock, LINK, TO_WARDEN, functools.partial(desk.heard, self), functools.partial(desk.left, self)
        )

    def spaces(self) -> Counter[str]:
        """How many cells of each space it holds."""
        return self._desk.spaces_of(self)

    def pid(self) -> int:
        """The pid of its process; -1 where it is not known, or has ended."""
        if self._pidfd < 0:
            return -1
        told = Path(f"/proc/self/fdinfo/{self._pidfd}").read_text()
        return int(told.partition("\nPid:")[2].split(maxsplit=1)[0])

    def tell(self, message: object, descriptors: list[int] | None = None) -> bool:
        """Send; False when the front is gone, which its closing link has already told the desk.

        Also False when the front does not read, and the warden has no descriptor left for copies to queue.
        """
        try:
            self.link.send(message, descriptors or [])
            return True
        except (LinkClosed, OSError):
            return False

    def let_go(self) -> None:
        """Close the link.  A front that broke the protocol is killed, and gunicorn starts another."""
        pidfd, self._pidfd = self._pidfd, -1
        if self.link.fault:
            log.error("a front broke its protocol (%s): it is ended, and another starts", self.link.fault)
        if pidfd >= 0:
            if self.link.fault:
                with contextlib.suppress(ProcessLookupError):  # it was quicker
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
