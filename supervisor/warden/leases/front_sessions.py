"""A front as the lease desk knows it, and what it has asked for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections import Counter
from typing import Protocol

from supervisor.datagrams import Link, LinkClosed, Message
from supervisor.warden.leases.accounts import Key
from supervisor.warden.supply.registry import CellRequest

log = logging.getLogger("cellblock.leases")


class Owner(Protocol):
    """The desk, as far as a session needs it."""

    def heard(self, session: Session, message: Message, descriptors: list[int]) -> None:
        """A message of this front; the descriptors are the desk's.  Malformed."""

    def left(self, session: Session) -> None:
        """The front's link is closed."""

    def spaces_of(self, session: Session) -> Counter[str]:
        """How many cells of each space it holds."""


class Request:
    """One lease that was asked for and not answered yet."""

    def __init__(self, session: Session, message: Message) -> None:
        self.session = session
        self.ticket: int = message["ticket"]
        self.key: Key = (message["space"], message["name"])
        self.digest: str = message["digest"]
        self.version: int = message["version"]
        self.is_check: bool = message["mode"] == "check"
        # For nobody's call: it waits for no other instance, and takes none away.
        self.is_keep: bool = message["mode"] == "keep"
        # What decides the kind of its cell.
        self.wanted = (message["runtime"], message["network"], message["imports"])
        self.most: int = message["max_instances"]
        self.tie: Message = message["tie"]
        self.deadline: asyncio.TimerHandle | None = None
        self.is_answered = False
        self.want: CellRequest | None = None
        session.waiting.add(self)

    def answer(self) -> None:
        """It gets its one answer now: its deadline is of no account any more."""
        self.is_answered = True
        self.session.waiting.discard(self)
        if self.deadline is not None:
            self.deadline.cancel()


class Session:
    """One front."""

    def __init__(self, desk: Owner, sock: socket.socket, pidfd: int) -> None:
        """``pidfd`` is of its process, -1 where that is not to be ended with its link."""
        self.waiting: set[Request] = set()
        self._desk = desk
        self._pidfd = pidfd
        self.link = Link(sock, lambda message, fds: desk.heard(self, message, fds), lambda: desk.left(self))

    def spaces(self) -> Counter[str]:
        """How many cells of each space it holds."""
        return self._desk.spaces_of(self)

    def tell(self, message: Message, descriptors: list[int] | None = None) -> bool:
        """Send; False when the front is gone, which its closing link has already told the desk.

        Or when it reads nothing, and there is no descriptor left for the copies that would wait for it.
        """
        try:
            self.link.send(message, descriptors or [])
            return True
        except (LinkClosed, OSError):
            return False

    def let_go(self) -> None:
        """Its link is closed; if by what no front says, its process ends, and gunicorn starts another."""
        pidfd, self._pidfd = self._pidfd, -1
        if self.link.fault:
            log.error("a front broke its protocol (%s): it is ended, and another starts", self.link.fault)
        if pidfd >= 0:
            if self.link.fault:
                with contextlib.suppress(ProcessLookupError):  # it was quicker
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
