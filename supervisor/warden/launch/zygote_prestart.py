"""A server's first zygote, started as soon as the settings are known: it imports while the warden does.

It is the one that the registry asks for first, or it is nobody's: whoever wants a zygote takes it only if all
that a zygote is launched with is the same.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from supervisor.runtimes import Runtime, load_runtimes
from supervisor.settings.declarations import Settings
from supervisor.warden.descriptor_limit import raise_descriptor_limit
from supervisor.warden.jail.tiers import Tier
from supervisor.warden.launch.zygote_launch import launch_of
from supervisor.warden.launch.zygote_standby import WaitingLauncher
from supervisor.warden.supply.preload import Ahead, names_of

# Runtime, what it imports ahead, whether it has huge pages, and the code of cells without namespaces.
Wanted = tuple[Runtime, Sequence[str], bool, Path | None]


@dataclass(frozen=True)
class FirstZygote:
    """Its process, and the warden's end of its socket."""

    pid: int
    sock: socket.socket


def begin(launcher: WaitingLauncher | None, settings: Settings, tier: Tier) -> dict[Wanted, FirstZygote]:
    """The one that the default runtime's plainest functions have; none where it could not be this early.

    In tier A-user the warden enters namespaces of its own before it starts a zygote, and in the tiers below
    there is a copy of our code to be made first.  ConfigurationError; OSError.
    """
    if launcher is None:
        return {}
    if tier is not Tier.A:
        launcher.dismiss()
        return {}
    raise_descriptor_limit(settings.max_cells)  # a process has that of whoever started it
    runtime = load_runtimes(settings.runtimes_dir, settings.default_runtime)[0]
    names = names_of(Ahead.OWN, ())
    # As ``datagrams.pair``, which has an event loop with it.
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    ours.setblocking(False)
    with theirs:
        launcher.become(
            launch_of(runtime, names, theirs.fileno(), None, settings.huge_pages), [theirs.fileno()]
        )
    return {(runtime, names, settings.huge_pages, None): FirstZygote(launcher.pid, ours)}
