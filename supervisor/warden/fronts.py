"""Keeps gunicorn running, a child of the warden.  Its workers are the fronts; each links to the warden."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import stat
import struct
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

from supervisor.datagrams import Link, discard, pair
from supervisor.front_start import UNUSABLE, FrontStart
from supervisor.function_limits import LAST_SECONDS
from supervisor.join_messages import CONTROL, TO_WARDEN, Join
from supervisor.settings.shared_settings import EMBEDDED_STORE
from supervisor.warden.jail.private_root import system_root
from supervisor.warden.launch.front_standby import FRONT_ENVIRONMENT, PROGRAM, FrontStandby
from supervisor.warden.launch.launcher import Launch
from supervisor.warden.processes import Children, signal_pid
from supervisor.warden.supply import blank_target
from worker.message_table import Malformed

log = logging.getLogger("cellblock.fronts")

PACKAGES = ("supervisor", "worker", "function", "seccomp")
# For gunicorn's heartbeat files, and for uploads on their way to the bundle store.
FRONT_TMP_BYTES = 512 << 20
LISTEN_BACKLOG = 2048
# After the control link closed, gunicorn gets this long to exit by itself; then it is killed.
HUNG_UP_SECONDS = 1.0
# How many joined workers are remembered; far more than run at once.
JOINS_KEPT = 1024
# SO_PEERCRED: pid, uid and gid of the process that made the socket.
CREDENTIALS = struct.Struct("3i")
# Fronts that connect to an OTLP collector or to PostgreSQL get the host's own resolver files, to look up its
# name.
TO_FIND_NAMES = ("/etc/hosts", "/etc/resolv.conf")


def listening_socket(host: str, port: int) -> socket.socket:
    """Make the listening socket.  It outlives the fronts, so a restart of them loses no connection."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(LISTEN_BACKLOG)
    return listener


def front_launch_of(front_dir: Path, uid: int, gid: int, start: FrontStart, has_root: bool) -> Launch:
    """gunicorn's launch.  Its root holds our code, its interpreter, and ``front_dir``, which is writable.

    Without ``has_root`` gunicorn keeps the host's root, for hosts that allow no mount namespace.
    """
    root = system_root()
    own = Path(__file__).resolve().parent.parent.parent
    for path in {sys.base_prefix, sys.prefix, *(str(own / name) for name in PACKAGES)}:
        if not Path(path).is_relative_to("/usr") and Path(path).is_dir():
            root.read_only[path] = path
    store_url = start.settings.get("store_url", EMBEDDED_STORE)
    if sockets := folder_of_sockets(store_url):
        root.read_only[sockets] = sockets
    if start.settings.get("otlp_endpoint") or store_url != EMBEDDED_STORE:
        for name in TO_FIND_NAMES:
            with contextlib.suppress(OSError):
                root.files[name] = Path(name).read_text(errors="replace")
    root.writable[str(front_dir)] = str(front_dir)
    root.tmp_bytes = FRONT_TMP_BYTES
    return Launch([PROGRAM], dict(FRONT_ENVIRONMENT), root, uid, gid, os.getpid(), has_root=has_root)


def folder_of_sockets(store_url: str) -> str:
    """The folder of the Unix socket that a PostgreSQL's URL names (``?host=/run/postgresql``), "" if none."""
    if store_url == EMBEDDED_STORE:
        return ""
    from urllib.parse import parse_qs, urlsplit  # most servers have no such URL

    named = parse_qs(urlsplit(store_url).query).get("host", [""])[-1]
    return named if named.startswith("/") and Path(named).is_dir() else ""


def parent_and_start_time(pid: int) -> tuple[int, int]:
    """A process's parent pid and start time.  Pid and start time together identify a process."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0, 0
    return int(words[1]), int(words[19])


class Fronts:
    """Runs gunicorn, restarts it when it ends, and hands each worker's link to ``on_join``."""

    def __init__(
        self,
        *,
        children: Children,
        listener: socket.socket,
        launch: Callable[[], tuple[Launch, FrontStart]],
        on_join: Callable[[socket.socket, int], None],
        on_unusable: Callable[[], None],
        first: FrontStandby,
    ) -> None:
        """``launch()`` gives a launch and what to start with; ``first`` is the process to use first.

        ``on_join(socket, pidfd)`` is called for each worker that joins.  ``on_unusable()`` is called instead
        of a restart if gunicorn says, before any worker has joined, that the data directory cannot be used.
        """
        self._children = children
        self._listener = listener
        self._launch = launch
        self._on_join = on_join
        self._on_unusable = on_unusable
        self._failures = 0
        self._is_stopping = False
        self._link: Link | None = None
        self._rejected_joins = 0
        self._have_joined: deque[tuple[int, int]] = deque(maxlen=JOINS_KEPT)
        self.pid = 0
        self.gone = asyncio.Event()
        self._start(first)

    def _start(self, process: FrontStandby) -> None:
        ours, theirs = pair()
        link = Link(ours, CONTROL, TO_WARDEN, self._joined, self._has_hung_up, self._is_malformed)
        with theirs:
            try:
                process.become(*self._launch(), [theirs.fileno(), self._listener.fileno()])
            except OSError:
                link.close()
                raise
        self._link, self.pid = link, process.pid
        self._children.adopt(process.pid, self._ended)
        # ``first`` may have ended before SIGCHLD had a handler.
        asyncio.get_running_loop().call_soon(self._children.reap)

    def _start_again(self) -> None:
        """Retry until it works: a machine that is out of processes or descriptors gets some back."""
        if self._is_stopping:
            return
        try:
            self._start(FrontStandby())
        except OSError as error:
            self._failures += 1
            delay = blank_target.backoff(self._failures)
            log.error("the fronts cannot be started (%s); next try in %.1f s", error, delay)
            asyncio.get_running_loop().call_later(delay, self._start_again)

    def _has_hung_up(self) -> None:
        """The control link was closed.  If gunicorn does not end by itself now, kill and replace it."""
        asyncio.get_running_loop().call_later(HUNG_UP_SECONDS, self._end_if_it_lives, self.pid)

    def _end_if_it_lives(self, pid: int) -> None:
        if pid and pid == self.pid and not self._is_stopping:
            log.error("the fronts' control link was closed: they are ended, and start again")
            signal_pid(pid, signal.SIGKILL)

    def _joined(self, _: Join, descriptors: list[int]) -> None:
        """A worker's link.  The kernel says whose it is: a worker could name any pid.  Raises Malformed."""
        # From here on the bytes are hostile.
        pidfd = self._process_of(descriptors[0]) if descriptors else -1
        if pidfd < 0:
            discard(descriptors)
            raise Malformed("join: no link of a worker that has not joined")
        self._failures = 0
        self._on_join(socket.socket(fileno=descriptors[0]), pidfd)

    def _is_malformed(self, _: Malformed) -> None:
        """Every worker has a copy of this end's peer: one that was taken over may say what it likes here."""
        self._rejected_joins += 1
        if self._rejected_joins & (self._rejected_joins - 1) == 0:  # at powers of two, to bound the log
            log.error("%d messages over the fronts' control link were no joins", self._rejected_joins)

    def _process_of(self, descriptor: int) -> int:
        """A pidfd of the gunicorn worker that made this socket, if it has not joined before; -1 otherwise."""
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return -1
        try:
            with socket.socket(fileno=os.dup(descriptor)) as sock:
                if (sock.family, sock.type) != (socket.AF_UNIX, socket.SOCK_SEQPACKET):
                    return -1
                found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
            pid: int = CREDENTIALS.unpack(found)[0]
            pidfd = os.pidfd_open(pid)
        except (OSError, ValueError):  # the process has ended, or is in a pid namespace that we cannot see
            return -1
        # The open pidfd keeps the pid from being reused while we look.
        parent, began = parent_and_start_time(pid)
        if parent != self.pid or (pid, began) in self._have_joined:
            os.close(pidfd)
            return -1
        self._have_joined.append((pid, began))
        return pidfd

    def _ended(self, status: int) -> None:
        assert self._link is not None
        self.pid = 0
        self._link.close()
        if self._is_stopping:
            self.gone.set()
            return
        if status == UNUSABLE << 8 and not self._have_joined:
            self._on_unusable()
            return
        self._failures += 1
        delay = blank_target.backoff(self._failures)
        log.error("the fronts ended with status %d; they start again in %.1f s", status, delay)
        asyncio.get_running_loop().call_later(delay, self._start_again)

    async def stop(self, drain_seconds: float) -> None:
        """SIGTERM, let running calls finish, SIGKILL at the deadline."""
        self._is_stopping = True
        # Close our copy too: then later connections are refused at once, and not reset after a wait.
        self._listener.close()
        if not self.pid:
            return
        signal_pid(self.pid, signal.SIGTERM)
        try:
            # gunicorn stops waiting at drain_seconds; the rest is for its exit and for functions' exit hooks.
            await asyncio.wait_for(self.gone.wait(), drain_seconds + LAST_SECONDS + 2.5)
        except TimeoutError:
            log.error("the fronts did not end within %.0f s: killing them", drain_seconds)
            # Its workers die with it, by their death signal.
            signal_pid(self.pid, signal.SIGKILL)
            await self.gone.wait()
