"""Run a program as pid 1 of a pid namespace with its own /proc, as a container's engine does.

``python -m tests.support.as_pid_1 IDS PROC PATH... -- COMMAND...``.  IDS is "host" or the lines of an id
map, such as "0:100000:300": then it is root of a user namespace that has these ids, and reaches the PATHs as
``as_user`` does.  PROC is "covered" for a /proc as engines cover it, or "whole".  SIGTERM is passed on; the
exit code is the program's.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from supervisor.warden.jail import _host_syscalls as sys_
from tests.support.as_user import open_up

ON_THE_HOST = "host"
COVERED, WHOLE = "covered", "whole"
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096


def main() -> int:
    """As the module says."""
    split = sys.argv.index("--")
    (ids, proc, *paths), command = sys.argv[1:split], sys.argv[split + 1 :]
    namespaces = sys_.CLONE_NEWPID | sys_.CLONE_NEWNS
    if ids == ON_THE_HOST:
        sys_.unshare(namespaces)
    else:
        wanted = {Path(sys.base_prefix), Path(sys.prefix), Path(__file__).parents[2], *map(Path, paths)}
        open_up(sorted(wanted))
        enter_with(ids.replace(":", " ").replace(",", "\n"), namespaces)
    first = os.fork()
    if first == 0:
        sys_.prctl(sys_.PR_SET_PDEATHSIG, signal.SIGKILL)
        sys_.mount("none", "/", "none", sys_.MS_REC | sys_.MS_PRIVATE)
        sys_.mount("proc", "/proc", "proc", sys_.MS_NOSUID | sys_.MS_NODEV)
        if proc == COVERED:
            cover_proc()
        os.execv(command[0], command)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(first, signal.SIGTERM))
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])


def cover_proc() -> None:
    """What engines do: kernel settings read-only, secrets behind an empty file or folder."""
    sys_.mount("/proc/sys", "/proc/sys", "none", MS_BIND)
    flags = MS_REMOUNT | MS_BIND | MS_RDONLY | sys_.MS_NOSUID | sys_.MS_NODEV
    sys_.mount("none", "/proc/sys", "none", flags)
    sys_.mount("/dev/null", "/proc/interrupts", "none", MS_BIND)
    sys_.mount("none", "/proc/tty", "tmpfs", MS_RDONLY)


def enter_with(map_text: str, namespaces: int) -> None:
    """Become root of a user namespace with these ids, which a process outside it has to write."""
    process, (read, write) = os.getpid(), os.pipe()
    writer = os.fork()
    if writer == 0:
        os.close(write)
        os.read(read, 1)
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{process}/{name}").write_text(map_text)
        os._exit(0)
    sys_.unshare(sys_.CLONE_NEWUSER | namespaces)
    os.write(write, b"1")
    assert os.waitpid(writer, 0)[1] == 0, f"the maps were not written: {map_text!r}"
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
