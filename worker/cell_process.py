"""A cell from its first instruction to the moment its code is imported.

    zygote --clone--> pid 1 (inner root, trusted for ever) --fork--> worker (trusted until the import)

Both hold one end of the *set-up socket*, whose other end only the warden has; ``setup_messages`` lists what
goes over it, in order.

Pid 1 keeps its end for life: when the warden dies the socket hangs up, pid 1 exits, and the kernel kills
whatever is left in its pid namespace.
"""

import os
import select
import signal
from typing import Callable, NoReturn

from . import _syscalls as sys_
from .fresh.keeper import Keeper
from .fresh.kept_descriptors import KeptDescriptors, open_nothing
from .imports import network_refusals
from .sandbox import bare_lockdown, lockdown, warmup
from .sandbox.lockdown import LockdownError
from .sandbox.lockdown_state import Materials
from .serve import interrupts
from .setup_messages import (
    REASON_MOST_CHARS,
    Blank,
    Breached,
    Cloned,
    SendSignal,
    StepFailed,
    Surroundings,
    Tie,
    WorkerExited,
)
from .setup_socket import MESSAGE_MAX_BYTES, hear, packed, tell, unpacked

# In this time the warden writes a few small files; then the cell gives up.
SETUP_SECONDS = 10.0
# What the worker says of a function with ``fresh`` before it seals itself off: each call gets a process of
# its own here, or has to get a cell of its own.
FORKS, WHOLE = b"F", b"W"
# As programs usually have it: the cell has no other users.
UMASK = 0o022
# Which signal the warden may have sent, and to whom: to the worker (0), or to all processes of the cell but
# pid 1 (-1, which means that only in a pid namespace of its own).  No handler catches the last two.
SIGNALS = {
    "look": (0, interrupts.LOOK_SIGNAL),
    "dump": (0, interrupts.DUMP_SIGNAL),
    "memory": (0, interrupts.MEMORY_SIGNAL),
    "freeze": (-1, signal.SIGSTOP),
    "thaw": (-1, signal.SIGCONT),
}

# ``serve.loop.run``, which the zygote passes on: ``serve`` is a layer above this one, and an import here
# would copy 30 pages in each worker.
Serve = Callable[[bool, int], None]


def fail(materials: Materials, step: str, reason: str, is_breach: bool = False) -> None:
    """Tell the warden why there will be no cell, unless the socket is closed already, and exit."""
    try:
        if materials.setup.fileno() >= 0:
            tell(materials.setup, (Breached if is_breach else StepFailed)(step, reason[:REASON_MOST_CHARS]))
    finally:
        os._exit(1)


def run_pid_1(materials: Materials, serve: Serve) -> None:
    """The whole life of pid 1, and in its child that of the worker, which ends in ``serve``.  No return."""
    setup = materials.setup
    try:
        # With CLONE_PARENT our parent is the warden itself.
        tell(setup, Cloned())
        setup.settimeout(SETUP_SECONDS)
        materials.surroundings, descriptors = hear(setup, Surroundings)
        materials.has_own_devices = bool(descriptors)
        if descriptors:
            (materials.devices_fd,) = descriptors
        setup.settimeout(None)
        lockdown.run(lockdown.BUILD if materials.has_namespaces else bare_lockdown.BUILD, materials)
        sys_.prctl(sys_.PR_SET_DUMPABLE, 0)
        sys_.prctl(sys_.PR_SET_PDEATHSIG, signal.SIGKILL)
        materials.parent_pid = os.getpid()
        # Hangs up when the worker has closed all that is not its own: from then on the socket is ours alone.
        sealed_read, materials.sealed_fd = os.pipe()
        materials.tie_fd, tie_write = os.pipe()
        said_read, materials.said_fd = os.pipe()
        materials.leave_fd, leave_write = os.pipe()
        materials.null_fd = open_nothing(materials)
        kept = KeptDescriptors(materials.shared_fds)
        worker_pid = os.fork()
        if worker_pid == 0:
            _run_worker(materials, serve)
        # The kernel delivers to pid 1 only signals with a handler.  From here SIGCHLD wakes the poll below.
        # Not before the fork: the worker would have to undo it, which copies 50 pages.
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        if materials.has_namespaces:
            warmup.rehearse_placing(materials)
    except LockdownError as error:
        fail(materials, error.step, str(error))
    except BaseException as error:  # whatever it was, nothing may go on in a half-built cell
        fail(materials, "pid-1", repr(error))
    for descriptor in (materials.sealed_fd, materials.said_fd, materials.leave_fd, materials.tie_fd):
        os.close(descriptor)
    keeper = Keeper(
        said_read,
        leave_write,
        materials.word_fd,
        wake_read,
        kept,
        lambda: _reap(materials, worker_pid),
        lambda number, code: _leave(materials, number, code),
    )
    _serve_until_the_worker_exits(materials, worker_pid, wake_read, sealed_read, tie_write, keeper)


def _place(materials: Materials, tie_write: int) -> None:
    """Hear which function the cell is for.  What needs rights is done here, the rest is the worker's."""
    try:
        materials.tie, descriptors = hear(materials.setup, Tie)
        if materials.tie.has_code:
            (materials.code_fd,) = descriptors
        lockdown.run(lockdown.PLACE, materials)
        # Without the names, which are in place: the worker takes it in one read, so it must fit a pipe.
        os.write(tie_write, packed(materials.tie.replaced(names={})))
        os.close(tie_write)
    except LockdownError as error:
        fail(materials, error.step, str(error))
    except BaseException as error:  # as above
        fail(materials, "place", repr(error))


def _serve_until_the_worker_exits(
    materials: Materials, worker_pid: int, wake_read: int, sealed_read: int, tie_write: int, keeper: Keeper
) -> None:
    """Reap the cell's dead, pass signals on; exit when the worker has, or when the warden hangs up."""
    is_placed = not materials.has_namespaces
    if is_placed:
        lockdown._only_signals(materials)
    setup_fd = materials.setup.fileno()
    freshness = b""
    poll = select.poll()
    poll.register(wake_read, select.POLLIN)
    poll.register(sealed_read, select.POLLIN)
    # 0: hang-up only.  Until the worker is sealed the only message for us is the Tie.
    poll.register(setup_fd, 0 if is_placed else select.POLLIN)
    while True:
        # Before each wait: the worker may have exited before SIGCHLD had its handler.
        _reap(materials, worker_pid)
        for descriptor, events in poll.poll():
            if descriptor == wake_read:
                os.read(wake_read, 512)
            elif descriptor == sealed_read:
                if events & select.POLLIN:
                    freshness = os.read(sealed_read, 1)
                    continue
                poll.unregister(sealed_read)
                poll.modify(setup_fd, select.POLLIN)
                if freshness == FORKS:
                    poll.register(keeper.said_fd, select.POLLIN)
                elif freshness == WHOLE:
                    keeper.cannot()
                else:
                    keeper.close()
            elif descriptor == keeper.said_fd:
                if not keeper.hear():
                    poll.unregister(keeper.said_fd)
            elif events & select.POLLIN and not is_placed:
                is_placed = True
                poll.modify(setup_fd, 0)
                _place(materials, tie_write)
            elif events & select.POLLIN:
                _signal(keeper.serving or worker_pid, hear(materials.setup, SendSignal)[0].name)
            else:
                os._exit(0)


def _reap(materials: Materials, worker_pid: int) -> None:
    """Reap all that have ended; if the worker is among them, the cell ends."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            os._exit(1)
        if pid == 0:
            return
        if pid == worker_pid:
            is_signal = os.WIFSIGNALED(status)
            _leave(
                materials,
                os.WTERMSIG(status) if is_signal else 0,
                0 if is_signal else os.WEXITSTATUS(status),
            )


def _leave(materials: Materials, number: int, code: int) -> NoReturn:
    """Tell by which signal or with which code the worker ended, and exit."""
    tell(materials.setup, WorkerExited(number, code))
    os._exit(0)  # and the kernel kills all the rest of the cell


def _signal(worker_pid: int, name: str) -> None:
    whom, number = SIGNALS[name]
    try:
        os.kill(whom or worker_pid, number)
    except ProcessLookupError:
        pass  # it has just exited; SIGCHLD will tell


def _run_worker(materials: Materials, serve: Serve) -> None:
    """Blank until tied, then locked down, then the loop.  Never returns."""
    os.umask(UMASK)
    if materials.network != "none":
        network_refusals.allow()
    home = materials.tie.tmp_dir  # the zygote's environment names it: to set it here would copy 60 pages
    try:
        warmup.rehearse()
        warmup.rehearse_tying(materials)
        if materials.has_namespaces:
            lockdown.run(lockdown.PREPARE, materials)
            tell(materials.setup, Blank())
            data = os.read(materials.tie_fd, MESSAGE_MAX_BYTES)
            if not data:
                os._exit(0)  # the warden is gone, or pid 1 has said what went wrong
            materials.tie = unpacked(data, Tie)
        else:
            tell(materials.setup, Blank())
            materials.tie, _ = hear(materials.setup, Tie)
        if materials.tie.tmp_dir != home:
            _be_at_home(materials.tie.tmp_dir)
        if materials.tie.is_fresh:
            os.write(materials.sealed_fd, FORKS if materials.forks_calls else WHOLE)
        lockdown.run(
            lockdown.TIE if materials.has_namespaces else bare_lockdown.TIE[materials.tier], materials
        )
    except LockdownError as error:
        fail(materials, error.step, str(error), error.is_breach)
    except BaseException as error:  # as above
        fail(materials, "tie", repr(error))
    serve(materials.forks_calls, materials.tie.memory_bytes)


def _be_at_home(folder: str) -> None:
    os.environ.update(HOME=folder, TMPDIR=folder, USER="cell", LOGNAME="cell")
