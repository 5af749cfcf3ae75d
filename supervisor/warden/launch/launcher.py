"""The launcher: a short-lived process that becomes a zygote; its STEPS are the fronts' gunicorn's too.

Its one argument is a Launch as JSON (``Launch.command``).  It takes the STEPS in their order; then an exec
replaces the process.  gunicorn's process takes them on itself instead
(``supervisor.warden.launch.front_standby``).
"""

# No ``from __future__ import annotations``: LAUNCH reads those of Launch.

import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from supervisor.warden.jail import _host_syscalls as sys_
from supervisor.warden.jail import private_root as root_
from worker.message_fields import DictBound, IntBound, ListBound, TextBound
from worker.message_table import DO, MessageTable, TableRow

# Of fronts, where nobody may have less than they were started with.
OOM_SCORE_LEAST = 100
HOST_NAME = "cell"  # as worker.sandbox.lockdown names each cell

WORDS_MOST = 1000
_WORD = TextBound(8192)
_Id = Annotated[int, IntBound(0, (1 << 32) - 1)]


@dataclass(frozen=True)
class Launch:
    """What to become: ``uid`` 0 keeps root; ``parent`` is the warden's pid.

    Without ``has_root`` (tiers B, C and none) it stays in the host's root, and ``root`` is ignored.
    ``keeps`` are the numbers of the capabilities that a process of uid 0 may still have.
    """

    argv: Annotated[list[str], ListBound(_WORD, WORDS_MOST, 1)]
    env: Annotated[dict[str, str], DictBound(_WORD, _WORD, WORDS_MOST)]
    root: root_.Root
    uid: _Id
    gid: _Id
    parent: _Id
    work_dir: Annotated[str, _WORD] = "/"
    has_root: bool = True
    keeps: Annotated[Sequence[int], ListBound(IntBound(0, 63), 64)] = ()
    # For ``last_to_be_killed``: the fronts'.  Zygotes have a higher one, which their cells begin with.
    oom_score: Annotated[int, IntBound(-1000, 1000)] = -500

    def command(self) -> list[str]:
        """The command line that carries this launch out.

        Without ``site``, whose hooks cost more time than all the steps: the launcher needs our own code only.
        """
        ours = str(Path(__file__).resolve().parents[3])
        program = f"import sys; sys.path.append({ours!r}); from {__name__} import main; main()"
        return [sys.executable, "-I", "-S", "-c", program, json.dumps(LAUNCH.encode(self))]


# What the launcher is told, in its argument.
LAUNCH = MessageTable(TableRow(DO, "launch", Launch))


def _limits(launch: Launch) -> None:
    """1, not 0: a core_pattern that is a pipe honours only 1.

    Signals that wait are counted for the user that made a cell's namespace, root, together with the host's
    own; what a zygote may have is what all its cells together may: half of it, and the host keeps the other.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    _, most = resource.getrlimit(resource.RLIMIT_SIGPENDING)
    if most != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_SIGPENDING, (most // 2, most // 2))
    sys_.last_to_be_killed(launch.oom_score, max(launch.oom_score, OOM_SCORE_LEAST))


def _user_namespace(launch: Launch) -> None:
    """An ordinary user is root in a user namespace of its own, which is what the next steps ask for."""
    if launch.has_root and os.geteuid() != 0:
        sys_.enter_user_namespace()


def _host_name(launch: Launch) -> None:
    """No host's name: what a zygote imports remembers it (``platform.uname``), and cells inherit that."""
    if launch.has_root:
        sys_.unshare(sys_.CLONE_NEWUTS)
        socket.sethostname(HOST_NAME)


def _root(launch: Launch) -> None:
    """A root of its own; needs the host's root, so before the ids change."""
    if launch.has_root:
        root_.enter(launch.root)


def _capabilities(launch: Launch) -> None:
    """What it does not keep can never come back, exec of a root program included."""
    if launch.has_root or os.geteuid() == 0:
        sys_.drop_bounding_set(launch.keeps)


def _identity(launch: Launch) -> None:
    """Groups are cleared where that is ours to do; a front loses every capability with its user id."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(launch.gid, launch.gid, launch.gid)
        os.setresuid(launch.uid, launch.uid, launch.uid)
    sys_.prctl(sys_.PR_SET_NO_NEW_PRIVS, 1)


def _bound_to_the_warden(launch: Launch) -> None:
    """After the last id change, which would clear it; then look whether it came too late."""
    sys_.prctl(sys_.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launch.parent:
        raise ProcessLookupError("the warden is gone")


def _become(launch: Launch) -> None:
    os.chdir(launch.work_dir)
    os.execve(launch.argv[0], launch.argv, launch.env)  # noqa: S606 - a list, no shell


STEPS: tuple[Callable[[Launch], None], ...] = (
    _limits,
    _user_namespace,
    _host_name,
    _root,
    _capabilities,
    _identity,
    _bound_to_the_warden,
)


def carry_out(launch: Launch, steps: Sequence[Callable[[Launch], None]] = STEPS) -> None:
    """Every step, on this process; a failure is one line on stderr and exit code 1."""
    for step in steps:
        try:
            step(launch)
        except OSError as error:
            sys.stderr.write(f"cellblock: cannot launch {launch.argv[0]}: {step.__name__[1:]}: {error}\n")
            sys.exit(1)


def become(launch: Launch) -> None:
    """Every step, then exec; never returns."""
    carry_out(launch, (*STEPS, _become))


def main() -> None:
    """The launcher."""
    become(LAUNCH.decode(DO, json.loads(sys.argv[-1])))


if __name__ == "__main__":
    main()
