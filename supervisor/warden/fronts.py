"""The fronts: one gunicorn, our child, with N workers that each bring a link of their own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from supervisor.datagrams import Link, Message, pair
from supervisor.warden import policy
from supervisor.warden.jail.launch import Launch
from supervisor.warden.jail.root import system_root
from supervisor.warden.jail.standby import ENVIRONMENT, PROGRAM, StandBy
from supervisor.warden.processes import Children, signal_pid

log = logging.getLogger("cellblock.fronts")

PACKAGES = ("supervisor", "worker", "function", "seccomp")
# gunicorn's heartbeat files and uploads on their way to the bundle store.
FRONT_TMP_BYTES = 512 << 20
LISTEN_BACKLOG = 2048
# The host's, in the place of made-up ones, for fronts that look for a collector by its name.
TO_FIND_NAMES = ("/etc/hosts", "/etc/resolv.conf")


def listening_socket(host: str, port: int) -> socket.socket:
    """The server's listener, made once: fronts may come and go without losing a connection."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(LISTEN_BACKLOG)
    return listener


def launch_of(front_dir: Path, uid: int, gid: int, config: Mapping[str, Any], has_root: bool) -> Launch:
    """gunicorn's launch: a root with our code, its interpreter, and the one folder that it may write.

    Without ``has_root`` it stays in the host's, where the host gives nobody a mount namespace.
    """
    root = system_root()
    own = Path(__file__).resolve().parent.parent.parent
    for path in {sys.base_prefix, sys.prefix, *(str(own / name) for name in PACKAGES)}:
        if not Path(path).is_relative_to("/usr") and Path(path).is_dir():
            root.read_only[path] = path
    if config["settings"].get("otlp_endpoint"):
        for name in TO_FIND_NAMES:
            with contextlib.suppress(OSError):
                root.files[name] = Path(name).read_text(errors="replace")
    root.writable[str(front_dir)] = str(front_dir)
    root.tmp_bytes = FRONT_TMP_BYTES
    return Launch([PROGRAM], dict(ENVIRONMENT), root.as_json(), uid, gid, os.getpid(), has_root=has_root)


class Fronts:
    """Keeps gunicorn running; hands each worker's link to ``on_join``."""

    def __init__(
        self,
        *,
        children: Children,
        listener: socket.socket,
        launch: Callable[[], tuple[Launch, str]],
        on_join: Callable[[socket.socket], None],
        first: StandBy,
    ) -> None:
        """``launch()`` is what they are and are told at that moment; ``first`` stands by since the start."""
        self._children = children
        self._listener = listener
        self._launch = launch
        self._on_join = on_join
        self._failures = 0
        self._is_stopping = False
        self._link: Link | None = None
        self.pid = 0
        self.gone = asyncio.Event()
        self._start(first)

    def _start(self, process: StandBy) -> None:
        ours, theirs = pair()
        link = Link(ours, self._joined, lambda: None)
        with theirs:
            try:
                process.become(*self._launch(), [theirs.fileno(), self._listener.fileno()])
            except OSError:
                link.close()
                raise
        self._link, self.pid = link, process.pid
        self._children.adopt(process.pid, self._ended)
        # The one of the start may have ended before there was a loop that looks for such.
        asyncio.get_running_loop().call_soon(self._children.reap)

    def _start_again(self) -> None:
        """As often as it takes: a machine without a process or a descriptor to spare gets some back."""
        if self._is_stopping:
            return
        try:
            self._start(StandBy())
        except OSError as error:
            self._failures += 1
            delay = policy.backoff(self._failures)
            log.error("the fronts cannot be started (%s); next try in %.1f s", error, delay)
            asyncio.get_running_loop().call_later(delay, self._start_again)

    def _joined(self, message: Message, descriptors: list[int]) -> None:
        if message.get("do") == "join" and len(descriptors) == 1:
            self._failures = 0
            self._on_join(socket.socket(fileno=descriptors[0]))
            return
        for descriptor in descriptors:
            os.close(descriptor)

    def _ended(self, status: int) -> None:
        assert self._link is not None
        self._link.close()
        self.pid = 0
        if self._is_stopping:
            self.gone.set()
            return
        self._failures += 1
        delay = policy.backoff(self._failures)
        log.error("the fronts ended with status %d; they start again in %.1f s", status, delay)
        asyncio.get_running_loop().call_later(delay, self._start_again)

    async def stop(self, drain_seconds: float) -> None:
        """SIGTERM, let running calls finish, SIGKILL at the deadline."""
        self._is_stopping = True
        # Whoever comes once the last front has closed its own is refused, and not left to be reset.
        self._listener.close()
        if not self.pid:
            return
        signal_pid(self.pid, signal.SIGTERM)
        try:
            # gunicorn itself gives up at drain_seconds; the rest is for its own way out.
            await asyncio.wait_for(self.gone.wait(), drain_seconds + 2.5)
        except TimeoutError:
            log.error("the fronts did not end within %.0f s: killing them", drain_seconds)
            # Its workers have a death signal on it.
            signal_pid(self.pid, signal.SIGKILL)
            await self.gone.wait()
