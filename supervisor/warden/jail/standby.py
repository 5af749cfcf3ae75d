"""A process that imports first and is told later what to become: the fronts' gunicorn.

A front's imports take longer than all else that a start does (``make bench`` has the figure).  So this
process is started before the settings are read, imports its program meanwhile, and waits; told what it is,
it carries out the launcher's steps on itself and runs.  Until then nothing hostile exists, and it has neither
the server's environment nor any of its descriptors but one end of a socket.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from supervisor.errors import ConfigurationError
from supervisor.warden.jail import _syscalls as sys_
from supervisor.warden.jail.launch import Launch, carry_out
from supervisor.warden.jail.telling import heard, tell

PROGRAM = "supervisor.front.server"
# All of it, and known before any setting is.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 - inside the front's own root
    "LANG": "C.UTF-8",
}


class StandBy:
    """The server's end of one: it runs ``main(argument, descriptors)`` of PROGRAM, once it is told to."""

    def __init__(self) -> None:
        """It begins at once.  OSError."""
        code = f"import sys; sys.path += {_path()!r}; from {__name__} import main; main()"
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with theirs:
            try:
                process = subprocess.Popen(
                    # -S: what site finds we have found already.
                    [sys.executable, "-I", "-S", "-B", "-c", code, PROGRAM, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env=ENVIRONMENT,
                    cwd="/",
                    # Ctrl-C at a terminal goes to the whole group: it is for the warden, which drains.
                    start_new_session=True,
                )
            except OSError:
                self._sock.close()
                raise
        # The object must neither wait nor warn: the warden's one loop reaps.
        process.returncode = 0
        self.pid = process.pid

    def become(self, launch: Launch, argument: str, descriptors: Sequence[int]) -> None:
        """Tell it, once.  OSError; not for one that has ended already, whose exit says so."""
        tell(self._sock, self.pid, {"launch": launch.__dict__, "argument": argument}, descriptors)


def _path() -> list[str]:
    """Where we import from, but for the folder of the script or the working directory; and ourselves."""
    found = sys.path if sys.flags.safe_path else sys.path[1:]
    return [*found, str(Path(__file__).resolve().parents[3])]


_begun: list[StandBy] = []


def begin() -> None:
    """Start the one of this process's own server, as early as there is one to be."""
    with contextlib.suppress(OSError):  # ``begun`` tries again, and says why not
        _begun.append(StandBy())


def begun() -> StandBy:
    """The one that ``begin`` started, once, or one that starts now.  ConfigurationError."""
    try:
        return _begun.pop() if _begun else StandBy()
    except OSError as error:
        raise ConfigurationError(f"cannot serve: no process for the fronts: {error}") from None


def main() -> None:
    """The process itself: import, wait, carry the launch out, run."""
    program, number = sys.argv[1:]
    sys_.prctl(sys_.PR_SET_PDEATHSIG, signal.SIGKILL)
    # Everything that an import makes stays: a collection walks all of it, and finds nothing.
    gc.disable()
    run = importlib.import_module(program).main
    gc.freeze()
    told, descriptors = heard(socket.socket(fileno=int(number)))
    if told is None:
        return
    carry_out(Launch(**told["launch"]))
    gc.enable()
    run(told["argument"], descriptors)
