"""Everything that a server holds, counted from outside: what is the same before and after was not leaked."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from tests.support.descriptors import open_in
from tests.support.eventually import SECONDS, became, same_for
from tests.support.groups import leaves
from tests.support.processes import command_line, descendants_of, fronts_of, private_tmp
from tests.support.server import Server

SETTLE_SECONDS = SECONDS
SAME_SECONDS = 0.2
# Connections that clients keep, and threads that a front keeps for its next blocking work.
USUAL = {"front descriptors": 12, "front threads": 12, "warden descriptors": 3}
# Names of what is on its way to the bundle store or out of it.
ON_THE_WAY = (".incoming-", ".removed-")


def _threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def _files(folder: Path) -> int:
    """Files and folders below, without what is mounted there: packages, and the data directory."""
    device, found = folder.stat().st_dev, 0
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if os.lstat(f"{parent}/{name}").st_dev == device]
        found += len(folders) + len(files)
    return found


def holdings(server: Server) -> dict[str, int]:
    """What a server holds now; ProcessLookupError or FileNotFoundError when something is just ending."""
    fronts = fronts_of(server.pid)
    below = descendants_of(server.pid)
    data = Path(f"/proc/{server.pid}/root{server.data_dir.resolve()}")
    on_the_way = [path for path in (data / "front/bundles").iterdir() if path.name.startswith(ON_THE_WAY)]
    return {
        "warden descriptors": open_in(server.pid),
        "warden threads": _threads(server.pid),
        "front descriptors": sum(open_in(pid) for pid in fronts),
        "front threads": sum(_threads(pid) for pid in fronts),
        "fronts": len(fronts),
        "processes": len(below),
        "zombies": sum(1 for pid in below if not command_line(pid)),
        "mounts": len(Path(f"/proc/{server.pid}/mountinfo").read_text().splitlines()),
        "uploads on their way": len(on_the_way),
        "files of a running server": _files(data / "run") if (data / "run").is_dir() else 0,
        "temporary files": sum(_files(private_tmp(pid)) for pid in fronts[:1]),
        **{f"leaves of {name}": number for name, number in leaves(server.data_dir).items()},
    }


def settled(server: Server) -> dict[str, int]:
    """``holdings`` once they have stayed the same for a moment."""

    def now() -> dict[str, int]:
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            return holdings(server)
        return {"ending": time.monotonic_ns()}  # which is never the same twice

    return same_for(now, SAME_SECONDS, SETTLE_SECONDS)


def excess(server: Server, baseline: dict[str, int]) -> dict[str, int]:
    """By how much the server holds more or less than it did, once that is nothing, or at the deadline."""
    found: dict[str, int] = {"nothing was counted": 1}

    def is_nothing() -> bool:
        nonlocal found
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            now = holdings(server)
            found = {
                name: now[name] - number
                for name, number in baseline.items()
                if not -USUAL.get(name, 0) <= now[name] - number <= USUAL.get(name, 0)
            }
        return not found

    became(is_nothing, SETTLE_SECONDS)
    return found
