"""gunicorn's process, started before the settings are read: it imports first and is told later what to run.

A front's imports take longer than anything else in a server's start (``make bench`` has the figure).  This
process does them while the server reads its settings, and then waits.  Once it is told its launch, it takes
the launcher's steps on itself and runs gunicorn.  Until then nothing hostile runs.  It has neither the
server's environment nor its descriptors, only one end of a socket.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

# No other imports, not even typing: the server imports this module before it starts its slowest importer.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from supervisor.front_start import FrontStart
    from supervisor.warden.launch.launcher import Launch

PROGRAM = "supervisor.front.server"
# The fronts' whole environment.
FRONT_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 - inside the front's own root
    "LANG": "C.UTF-8",
}
# The descriptor of the process's end of the socket.
SOCKET_FD = 3


class FrontStandby:
    """The server's handle of such a process, which runs ``main(start, descriptors)`` of PROGRAM."""

    def __init__(self) -> None:
        """Start it.  Raises OSError."""
        code = f"import sys; sys.path += {_path()!r}; from {__name__} import main; main()"
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with theirs:
            try:
                self.pid = os.posix_spawn(
                    sys.executable,
                    # -S: the path is given, so ``site`` need not look for it.
                    [sys.executable, "-I", "-S", "-B", "-c", code, PROGRAM],
                    FRONT_ENVIRONMENT,
                    file_actions=[
                        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                        (os.POSIX_SPAWN_DUP2, theirs.fileno(), SOCKET_FD),
                    ],
                    # Ctrl-C at a terminal signals the whole process group; only the warden shall get it.
                    setsid=True,
                    setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # ignored by this interpreter, and inherited
                )
            except OSError:
                self._sock.close()
                raise

    def become(self, launch: Launch, start: FrontStart, descriptors: Sequence[int]) -> None:
        """Tell it, once, what to become.

        Raises OSError, but not if it has ended: then its exit is reported.
        """
        from supervisor.warden.launch.standby_messages import BecomeFront, tell

        tell(self._sock, self.pid, BecomeFront(launch, start), descriptors)


def _path() -> list[str]:
    """Our own folder, then ``sys.path`` without the script's folder or the working directory."""
    found = sys.path if sys.flags.safe_path else sys.path[1:]
    ours = os.path.realpath(__file__)
    for _ in range(4):
        ours = os.path.dirname(ours)
    return [ours, *found]


_begun: list[FrontStandby] = []


def begin() -> None:
    """Start the process that ``begun`` returns later."""
    try:
        _begun.append(FrontStandby())
    except OSError:
        pass  # ``begun`` tries again, and reports the error


def begun() -> FrontStandby:
    """The process that ``begin`` started, the first time; else a new one.  Raises ConfigurationError."""
    try:
        return _begun.pop() if _begun else FrontStandby()
    except OSError as error:
        from supervisor.errors import ConfigurationError

        raise ConfigurationError(f"cannot serve: no process for the fronts: {error}") from None


def main() -> None:
    """The process itself: imports, waits, takes the steps, runs."""
    # Close descriptors that the server itself inherited, before the long imports.
    for name in os.listdir("/proc/self/fd"):
        if int(name) > SOCKET_FD:
            try:
                os.close(int(name))
            except OSError:
                pass  # the descriptor of the listing itself
    os.chdir("/")

    import gc
    import importlib

    from supervisor.warden.jail import _host_syscalls as sys_
    from supervisor.warden.launch.launcher import carry_out
    from supervisor.warden.launch.standby_messages import BecomeFront, heard

    sys_.prctl(sys_.PR_SET_PDEATHSIG, signal.SIGKILL)
    # Objects that imports make are kept: garbage collections would walk them and free nothing.
    gc.disable()
    run = importlib.import_module(sys.argv[1]).main
    gc.freeze()
    told, descriptors = heard(socket.socket(fileno=SOCKET_FD))
    if told is None:
        return
    assert isinstance(told, BecomeFront)
    carry_out(told.launch)
    gc.enable()
    run(told.start, descriptors)
