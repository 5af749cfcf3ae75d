"""A process that imports first and is told later what to become: the fronts' gunicorn.

A front's imports take longer than all else that a start does (``make bench`` has the figure).  So this
process is started before the settings are read, imports its program meanwhile, and waits.  Once it is told
what to become, it carries out the launcher's steps on itself and runs.  Until then nothing hostile exists; of
the server's it has no environment, and no descriptor but one end of a socket.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

# Nothing else, not even typing: all of this is imported before the process that imports longest has begun.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from supervisor.front_start import FrontStart
    from supervisor.warden.launch.launcher import Launch

PROGRAM = "supervisor.front.server"
# All of it, and known before any setting is.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 - inside the front's own root
    "LANG": "C.UTF-8",
}
# Where it has its end of the socket.
SOCKET_FD = 3


class StandBy:
    """The server's end of one: it runs ``main(start, descriptors)`` of PROGRAM, once it is told to."""

    def __init__(self) -> None:
        """It begins at once.  OSError."""
        code = f"import sys; sys.path += {_path()!r}; from {__name__} import main; main()"
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with theirs:
            try:
                self.pid = os.posix_spawn(
                    sys.executable,
                    # -S: what site finds we have found already.
                    [sys.executable, "-I", "-S", "-B", "-c", code, PROGRAM],
                    ENVIRONMENT,
                    file_actions=[
                        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                        (os.POSIX_SPAWN_DUP2, theirs.fileno(), SOCKET_FD),
                    ],
                    # Ctrl-C at a terminal goes to the whole group: it is for the warden, which drains.
                    setsid=True,
                    setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # which this interpreter ignores
                )
            except OSError:
                self._sock.close()
                raise

    def become(self, launch: Launch, start: FrontStart, descriptors: Sequence[int]) -> None:
        """Tell it, once.  OSError; not for one that has ended already, whose exit says so."""
        from supervisor.warden.launch.standby_messages import BecomeFront, tell

        tell(self._sock, self.pid, BecomeFront(launch, start), descriptors)


def _path() -> list[str]:
    """Ourselves, then where we import from, but for the folder of the script or the working directory."""
    found = sys.path if sys.flags.safe_path else sys.path[1:]
    ours = os.path.realpath(__file__)
    for _ in range(4):
        ours = os.path.dirname(ours)
    return [ours, *found]


_begun: list[StandBy] = []


def begin() -> None:
    """Start the one of this process's own server, as early as there is one to be."""
    try:
        _begun.append(StandBy())
    except OSError:
        pass  # ``begun`` tries again, and says why not


def begun() -> StandBy:
    """The one that ``begin`` started, once, or one that starts now.  ConfigurationError."""
    try:
        return _begun.pop() if _begun else StandBy()
    except OSError as error:
        from supervisor.errors import ConfigurationError

        raise ConfigurationError(f"cannot serve: no process for the fronts: {error}") from None


def main() -> None:
    """The process itself: import, wait, carry the launch out, run."""
    # What the server was started with that is not its own ends here; then what takes longer to import.
    for name in os.listdir("/proc/self/fd"):
        if int(name) > SOCKET_FD:
            try:
                os.close(int(name))
            except OSError:
                pass  # the listing's own
    os.chdir("/")

    import gc
    import importlib

    from supervisor.warden.jail import _host_syscalls as sys_
    from supervisor.warden.launch.launcher import carry_out
    from supervisor.warden.launch.standby_messages import BecomeFront, heard

    sys_.prctl(sys_.PR_SET_PDEATHSIG, signal.SIGKILL)
    # Everything that an import makes stays: a collection walks all of it, and finds nothing.
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
