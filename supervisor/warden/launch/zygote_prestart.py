"""Starts the first zygote as soon as the settings are known, so that it imports while the warden does.

``Zygote`` takes this process instead of a new one, if it was launched with the same ZygoteKey.  If no Zygote
takes it, it ends.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from supervisor.runtimes import Runtime, load_runtimes
from supervisor.settings.declarations import Settings
from supervisor.warden.jail.tiers import Tier
from supervisor.warden.launch.zygote_launch import zygote_launch_of
from supervisor.warden.launch.zygote_standby import ZygoteStandby
from supervisor.warden.startup.descriptor_limit import raise_descriptor_limit
from supervisor.warden.supply.preload import ImportProfile, preloaded_names

# What a zygote is launched with: runtime, preloaded modules, huge pages, code folder for cells without
# namespaces.
ZygoteKey = tuple[Runtime, Sequence[str], bool, Path | None]


class PrestartedZygote(NamedTuple):
    """The zygote's process, and the warden's end of its socket."""

    pid: int
    sock: socket.socket


def begin(
    launcher: ZygoteStandby | None, settings: Settings, tier: Tier
) -> dict[ZygoteKey, PrestartedZygote]:
    """Start the default runtime's zygote with the fewest imports.  Only in tier A; empty in the others.

    In tier A-user the warden has to enter namespaces before it starts a zygote, and in the tiers below it has
    to copy our code first.  Raises ConfigurationError or OSError.
    """
    if launcher is None:
        return {}
    if tier is not Tier.A:
        launcher.dismiss()
        return {}
    raise_descriptor_limit(settings.max_cells)  # a child inherits the limit
    runtime = load_runtimes(settings.runtimes_dir, settings.default_runtime)[0]
    names = preloaded_names(ImportProfile.OWN, ())
    # Not ``datagrams.pair``, which would import asyncio.
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    ours.setblocking(False)
    with theirs:
        launcher.become(
            zygote_launch_of(runtime, names, theirs.fileno(), None, settings.huge_pages), [theirs.fileno()]
        )
    return {(runtime, names, settings.huge_pages, None): PrestartedZygote(launcher.pid, ours)}
