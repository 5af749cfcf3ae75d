"""A zygote: started in a root of its own, asked to clone cells, renewed now and then."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from supervisor.datagrams import Link, LinkClosed, discard, pair
from supervisor.runtimes import Runtime
from supervisor.warden.launch.zygote_launch import zygote_launch_of
from supervisor.warden.processes import Children, signal_pid
from supervisor.warden.supply import blank_target
from worker.message_table import Malformed
from worker.zygote_messages import TO_WARDEN, ZYGOTE, Ready, Spawn, Spawned, SpawnFailed

log = logging.getLogger("cellblock.zygote")

# Cells of one zygote share its address layout; a new one is started after this many.
CELLS_PER_ZYGOTE = 1000
# Imports of the heaviest profile take seconds on a loaded machine; more than this is a hang.
READY_SECONDS = 120.0

# A renewal that is asked for while another is under way begins so much later; a start takes less.
RENEW_AGAIN_SECONDS = 5.0

# Why a spawn failed whose zygote ended before its answer: the next zygote makes that cell.
ENDED_FIRST = "the zygote ended"

# Called with the new cell's pid and pidfd, or with the reason there is none.
OnSpawned = Callable[[int, int, str], None]


class _Process:
    """One zygote process and the spawns that it has not answered yet."""

    def __init__(self, owner: Zygote, runtime: Runtime, names: Sequence[str], children: Children) -> None:
        self._owner = owner
        self.number = owner.numbered()
        self._waiting: list[OnSpawned] = []
        self.handlers: dict[type, Callable[[Any, list[int]], None]] = {
            Ready: self._ready,
            Spawned: self._spawned,
            SpawnFailed: self._spawn_failed,
        }
        self.spawned = 0
        self.is_ready = False
        wanted = (runtime, tuple(names), owner.huge_pages, owner.bare_code)
        first = children.first.pop(wanted, None)
        if first is not None:
            self.link, self.pid = self._linked(first.sock), first.pid
            children.adopt(self.pid, lambda _: self._gone())
        else:
            self._launch(*wanted, children)
        self._has_exited = False
        self._deadline = asyncio.get_running_loop().call_later(READY_SECONDS, self._too_late)

    def _launch(
        self,
        runtime: Runtime,
        names: Sequence[str],
        huge_pages: bool,
        bare_code: Path | None,
        children: Children,
    ) -> None:
        ours, theirs = pair()
        self.link = self._linked(ours)
        with theirs:
            launch = zygote_launch_of(runtime, names, theirs.fileno(), bare_code, huge_pages)
            try:
                self.pid = children.launch(launch, [theirs.fileno()], lambda _: self._gone())
            except OSError:
                self.link.close()
                raise

    def _linked(self, sock: socket.socket) -> Link:
        return Link(sock, ZYGOTE, TO_WARDEN, self._heard, self._closed)

    def spawn(self, message: Spawn, descriptors: Sequence[int], on_spawned: OnSpawned) -> None:
        self.spawned += 1
        self._waiting.append(on_spawned)
        try:
            self.link.send(message, descriptors)
        except LinkClosed:
            self._closed()  # it may have closed before this one asked
        except OSError:
            # No descriptor for a copy: it was not asked, and its next answer is for somebody else.
            self._waiting.remove(on_spawned)
            raise

    def retire(self) -> None:
        """Let it end once it has answered; its cells live on, they are the warden's children."""
        self._deadline.cancel()
        if not self._waiting:
            self.link.close()

    def _heard(self, message: object, descriptors: list[int]) -> None:
        self.handlers[type(message)](message, descriptors)

    def _ready(self, message: Ready, _: list[int]) -> None:
        self._deadline.cancel()
        self.is_ready = True
        self._owner.ready(self, message.missing)

    def _spawned(self, message: Spawned, descriptors: list[int]) -> None:
        # Without room for another descriptor here the kernel leaves the pidfd out.
        self._answered(message.pid, descriptors, "")

    def _spawn_failed(self, message: SpawnFailed, _: list[int]) -> None:
        self._answered(0, [], message.reason)

    def _answered(self, pid: int, descriptors: list[int], reason: str) -> None:
        if not self._waiting:
            discard(descriptors)
            raise Malformed("an answer to no spawn")
        self._waiting.pop(0)(pid, descriptors[0] if descriptors else -1, reason)
        if self._owner.current is not self:
            self.retire()

    def _too_late(self) -> None:
        log.error("zygote %s was not ready after %.0f s: ending it", self._owner.name, READY_SECONDS)
        signal_pid(self.pid, 9)

    def _closed(self) -> None:
        if self.link.fault:
            log.error("zygote %s broke its protocol (%s): ending it", self._owner.name, self.link.fault)
        # First of all: those that are answered below may ask for another cell at once.
        self._owner.lost(self)
        waiting, self._waiting = self._waiting, []
        for on_spawned in waiting:
            on_spawned(0, -1, ENDED_FIRST)

    def _gone(self) -> None:
        self._has_exited = True
        self._deadline.cancel()
        self.link.close()
        self._owner.ended(self)

    def kill(self) -> None:
        """SIGKILL, unless the process has been reaped: then its number may be another's."""
        if not self._has_exited:
            signal_pid(self.pid, 9)


class Zygote:
    """One of a runtime's zygotes: always one process, two for a moment while it is renewed."""

    def __init__(
        self,
        runtime: Runtime,
        names: Sequence[str],
        children: Children,
        on_change: Callable[[], None],
        bare_code: Path | None,
        *,
        huge_pages: bool,
        known_as: str = "",
    ) -> None:
        self.huge_pages = huge_pages
        self.name = f"{runtime.name} {known_as}".rstrip()
        self.bare_code = bare_code
        self._runtime = runtime
        self._names = list(names)
        self._children = children
        self._on_change = on_change
        self._processes: list[_Process] = []
        self._failures = 0
        self._is_stopping = False
        self._is_resting = False
        self._last_number = 0
        # Processes of lower numbers are to be replaced: too many cells share their layout, or their
        # libraries are no longer those that are wanted.
        self._wanted_number = 1
        self._timer: asyncio.TimerHandle | None = None
        self._again: asyncio.TimerHandle | None = None
        self.current: _Process | None = None

    def start(self) -> None:
        """Start the first process, unless there is one or will be."""
        self._is_resting = False
        if not self._processes and self.current is None and self._timer is None:
            self._start()

    def renew(self) -> None:
        """Start another process, which takes over once it is ready; until then the present one goes on.

        While one is starting already, one more starts a moment later, however often it is asked for.
        """
        if not self._processes:
            return
        if self._processes[-1].is_ready:
            self._replace()
        elif self._again is None:
            self._again = asyncio.get_running_loop().call_later(RENEW_AGAIN_SECONDS, self._renew_again)

    def _renew_again(self) -> None:
        self._again = None
        if not self._is_stopping:
            self.renew()

    def _replace(self) -> None:
        self._wanted_number = self._last_number + 1
        self._start()

    def load(self, runtime: Runtime, names: Sequence[str]) -> bool:
        """Import these from now on.  True if they differ from those before: then it is being renewed."""
        if (runtime, list(names)) == (self._runtime, self._names):
            return False
        self._runtime, self._names = runtime, list(names)
        if self._processes:
            self._replace()
        return True

    def numbered(self) -> int:
        """The number of the next process."""
        self._last_number += 1
        return self._last_number

    @property
    def number(self) -> int:
        """Of the process that clones now; 0 where there is none."""
        return self.current.number if self.current is not None else 0

    @property
    def pid(self) -> int:
        """The process that clones now; 0 where there is none."""
        return self.current.pid if self.current is not None else 0

    @property
    def is_ready(self) -> bool:
        """Whether a spawn would be answered now."""
        return self.current is not None

    def spawn(
        self, message: Spawn, descriptors: Sequence[socket.socket | int], on_spawned: OnSpawned
    ) -> None:
        """Clone a cell around these descriptors (the cell's set-up socket, then its five pipe ends)."""
        process = self.current
        assert process is not None, "spawn on a zygote that is not ready"
        numbers = [item if isinstance(item, int) else item.fileno() for item in descriptors]
        process.spawn(message, numbers, on_spawned)
        if process.spawned == CELLS_PER_ZYGOTE:
            self.renew()

    def ready(self, process: _Process, missing: list[str]) -> None:
        """``process`` has imported everything: it is the one to ask from now on."""
        if missing:
            log.info("zygote %s: not installed, so not imported ahead: %s", self.name, ", ".join(missing))
        if process.number < self.number:  # it took longer than the one that was to replace it
            process.retire()
            return
        previous, self.current = self.current, process
        self._failures = 0
        if previous is not None:
            previous.retire()
        self._on_change()

    def lost(self, process: _Process) -> None:
        """The link of this process is closed: kill it if it still runs."""
        if self.current is process:
            self.current = None
            process.kill()

    def ended(self, process: _Process) -> None:
        """Take note that one of this zygote's processes was reaped."""
        self._processes.remove(process)
        self.lost(process)
        if not any(other.number >= self._wanted_number for other in self._processes):
            self._try_later("ended")

    def _try_later(self, why: str) -> None:
        if self._is_stopping or self._is_resting or self._timer is not None:
            return
        self._failures += 1
        delay = blank_target.backoff(self._failures)
        log.error("zygote %s %s; another starts in %.1f s", self.name, why, delay)
        self._timer = asyncio.get_running_loop().call_later(delay, self._start)

    def rest(self) -> None:
        """End the processes of a zygote that nobody needs; ``start`` starts it again."""
        self._is_resting = True
        self._forget_timer()
        for process in self._processes:
            process.kill()

    def stop(self) -> None:
        """End every process, and start no other."""
        self._is_stopping = True
        for process in self._processes:
            process.kill()

    @property
    def pids(self) -> list[int]:
        """Pids of the processes that are alive."""
        return [process.pid for process in self._processes]

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self) -> None:
        self._forget_timer()
        if self._is_stopping:
            return
        try:
            self._processes.append(_Process(self, self._runtime, self._names, self._children))
        except OSError as error:
            self._try_later(f"cannot be started ({error})")
