"""The launcher: a short-lived process that restricts itself step by step and then becomes a zygote by exec.

Its one argument is a Launch as JSON (``Launch.command``).  STEPS is all that it does, in order.  gunicorn's
process takes the same steps, without an exec (``supervisor.warden.launch.front_standby``).
"""

# No ``from __future__ import annotations``: LAUNCH reads those of Launch.

import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from supervisor.warden.jail import _host_syscalls as sys_
from supervisor.warden.jail import private_root as root_
from worker.message_fields import DictBound, IntBound, ListBound, TextBound
from worker.message_table import DO, MessageTable, TableRow

# The OOM score of a front where the server has no right to lower its own.
UNPRIVILEGED_FRONT_OOM_SCORE = 100
HOST_NAME = "cell"  # as worker.sandbox.lockdown sets it in each cell

WORDS_MOST = 1000
_WORD = TextBound(8192)
_Id = Annotated[int, IntBound(0, (1 << 32) - 1)]


class Launch(NamedTuple):
    """The process to become.  ``uid`` 0 keeps root; ``parent`` is the warden's pid.

    Without ``has_root`` (tiers B, C and none) the process stays in the host's root, and ``root`` is ignored.
    ``keeps`` are the capabilities that stay in the bounding set.
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
    # Cells inherit their zygote's score at first.
    oom_score: Annotated[int, IntBound(-1000, 1000)] = sys_.FRONT_OOM_SCORE

    def command(self) -> list[str]:
        """The launcher's command line.

        It runs without ``site``, whose hooks take longer than all steps together.
        """
        ours = str(Path(__file__).resolve().parents[3])
        program = f"import sys; sys.path.append({ours!r}); from {__name__} import main; main()"
        return [sys.executable, "-I", "-S", "-c", program, json.dumps(LAUNCH.encode(self))]


# What the launcher is told, in its argument.
LAUNCH = MessageTable(TableRow(DO, "launch", Launch))


def _limits(launch: Launch) -> None:
    """Umask, no core dumps, half of the pending signals, OOM score.

    Core dumps are limited to 1 byte, because a core_pattern that is a pipe ignores 0.  The kernel counts the
    pending signals of all cells together with root's, so cells get half of the limit and the host keeps the
    other half.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    _, most = resource.getrlimit(resource.RLIMIT_SIGPENDING)
    if most != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_SIGPENDING, (most // 2, most // 2))
    sys_.set_oom_score(launch.oom_score, max(launch.oom_score, UNPRIVILEGED_FRONT_OOM_SCORE))


def _user_namespace(launch: Launch) -> None:
    """An ordinary user enters a user namespace, in which it has the rights for the next steps."""
    if launch.has_root and os.geteuid() != 0:
        sys_.enter_user_namespace()


def _host_name(launch: Launch) -> None:
    """Hide the host's name: modules that a zygote imports remember it, and cells inherit their memory."""
    if launch.has_root:
        sys_.unshare(sys_.CLONE_NEWUTS)
        socket.sethostname(HOST_NAME)


def _root(launch: Launch) -> None:
    """Enter the private root.  Needs root, so it comes before the ids change."""
    if launch.has_root:
        root_.enter(launch.root)


def _capabilities(launch: Launch) -> None:
    """Drop capabilities for good: not even the exec of a setuid program brings them back."""
    if launch.has_root or os.geteuid() == 0:
        sys_.drop_bounding_set(launch.keeps)


def _identity(launch: Launch) -> None:
    """Change to the user and group.  A front loses every capability when it gives up uid 0."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(launch.gid, launch.gid, launch.gid)
        os.setresuid(launch.uid, launch.uid, launch.uid)
    sys_.prctl(sys_.PR_SET_NO_NEW_PRIVS, 1)


def _bound_to_the_warden(launch: Launch) -> None:
    """Die with the warden.

    Comes after the id change, which clears this; then check that the warden still lives.
    """
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
    """Take every step on this process.  On failure print one line to stderr and exit with 1."""
    for step in steps:
        try:
            step(launch)
        except OSError as error:
            sys.stderr.write(f"cellblock: cannot launch {launch.argv[0]}: {step.__name__[1:]}: {error}\n")
            sys.exit(1)


def become(launch: Launch) -> None:
    """Take every step, then exec.  Never returns."""
    carry_out(launch, (*STEPS, _become))


def main() -> None:
    """Run the launcher: its argument is a Launch as JSON."""
    become(LAUNCH.decode(DO, json.loads(sys.argv[-1])))


if __name__ == "__main__":
    main()
