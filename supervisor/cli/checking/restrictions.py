"""What a unit or a container forbids a server: cause, words, and the directive to change.

Directives are those of systemd; a container's option that does the same is named where it has another name.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from supervisor.cli.checking import attempts
from supervisor.errors import ConfigurationError
from supervisor.settings.declarations import Settings
from supervisor.warden.audit import CAUTION, FAIL, AuditLine
from supervisor.warden.jail.probes import probe


@dataclass(frozen=True)
class Restriction:
    """One cause.  ``is_fatal``: no function can be deployed or called; else the server works, but weaker.

    ``for_root``: only a server of root's needs it.
    """

    what: str
    attempt: Callable[[Settings], str]
    words: str
    directive: str
    is_fatal: bool = True
    for_root: bool = False


# Tried before all others, which are tried in processes of their own.
PROCESSES = "processes"
NO_PROCESSES = "allow @process in SystemCallFilter=, and set TasksMax=infinity"
# Ends what an attempt has become.
END_OF_OTHERS = "allow CAP_KILL in CapabilityBoundingSet=, as in deploy/cellblock.service"
TABLE = (
    Restriction(
        "system calls",
        attempts.system_calls,
        "a call is refused that locks cells down",
        "allow @sandbox, @keyring and @process in SystemCallFilter=, and set SystemCallErrorNumber=EPERM",
    ),
    Restriction(
        "namespaces",
        attempts.namespaces,
        "cells cannot have namespaces of their own",
        "remove RestrictNamespaces=; allow unshare and @mount in SystemCallFilter=; "
        "in a container use seccomp/container.json",
        is_fatal=False,
    ),
    Restriction(
        "mounts",
        attempts.mounts,
        "cells cannot have a root of their own",
        "allow @mount in SystemCallFilter=, and CAP_SYS_ADMIN in CapabilityBoundingSet=; "
        "in a container: --cap-add SYS_ADMIN",
        is_fatal=False,
    ),
    Restriction(
        "own /proc",
        attempts.proc,
        "a part of /proc is covered, and the kernel refuses cells one of their own",
        "remove ProtectKernelTunables= and ProtectKernelLogs=, or allow @mount in SystemCallFilter=; "
        "in a container: --cap-add SYS_ADMIN, or --security-opt unmask=ALL",
        is_fatal=False,
    ),
    Restriction(
        "host name",
        attempts.host_name,
        "fronts and cells cannot have a host name of their own, and do not start",
        "remove ProtectHostname=, and allow @privileged in SystemCallFilter=; "
        "in a container: --cap-add SYS_ADMIN",
    ),
    Restriction(
        "capabilities",
        attempts.capabilities,
        "root may not do what a server does as root",
        "add them to CapabilityBoundingSet=, as in deploy/cellblock.service; in a container: --cap-add",
        for_root=True,
    ),
    Restriction(
        "host's user ids",
        attempts.user_ids,
        "fronts and cells cannot have user ids of their own",
        "remove PrivateUsers=, or allow CAP_SETUID and CAP_SETGID in CapabilityBoundingSet= and @privileged "
        "in SystemCallFilter=; in a container: --cap-add SETUID,SETGID",
        for_root=True,
    ),
    Restriction(
        "own devices",
        attempts.devices,
        "cells share the host's /dev/null, and its locks",
        "remove PrivateDevices=, and allow CAP_MKNOD in CapabilityBoundingSet=; "
        "in a container: --cap-add MKNOD,SYS_ADMIN",
        is_fatal=False,
        for_root=True,
    ),
    Restriction(
        "kernel files",
        attempts.kernel_files,
        "the warden cannot read what the host has",
        "remove ProcSubset=pid",
    ),
    Restriction(
        "writable data_dir",
        attempts.data_dir,
        "nothing can be stored",
        "add it to ReadWritePaths= or set StateDirectory=; remove it from ReadOnlyPaths=; "
        "in a container mount a volume there",
    ),
    Restriction(
        "sockets",
        attempts.internet,
        "the server cannot listen, or its processes cannot talk to each other",
        "RestrictAddressFamilies= needs AF_UNIX, AF_INET and AF_INET6; remove IPAddressDeny=",
    ),
    Restriction(
        "interfaces",
        attempts.interfaces,
        "nobody outside of this unit can call",
        "remove PrivateNetwork=; in a container publish a port",
        is_fatal=False,
    ),
    Restriction(
        "executable memory",
        attempts.executable_memory,
        "functions that compile at run time fail (numba, cffi, callbacks of ctypes)",
        "remove MemoryDenyWriteExecute=",
        is_fatal=False,
    ),
    Restriction(
        "scheduling",
        attempts.scheduling,
        "functions cannot set their own priority or processors (os.nice, os.sched_setaffinity)",
        "allow @resources in SystemCallFilter=",
        is_fatal=False,
    ),
    Restriction(
        "memory",
        attempts.memory,
        "the server and a function have too little",
        "raise MemoryMax= or remove it; in a container --memory",
        is_fatal=False,
    ),
    Restriction(
        "tasks",
        attempts.tasks,
        "the server and its cells have no room for their processes",
        "set TasksMax=infinity; in a container --pids-limit=-1",
    ),
    Restriction(
        "process limits",
        attempts.limits,
        "processes of a cell cannot start",
        "remove the named limit from the unit; in a container give --ulimit",
    ),
)  # fmt: skip


def found(settings: Settings) -> tuple[list[AuditLine], bool]:
    """A line for each restriction that is there, and whether one of them stops every call."""
    lines, is_stopped = [], False
    for row in TABLE:
        if row.for_root and os.geteuid() != 0:
            continue
        try:
            finding = probe(row.what, lambda row=row: row.attempt(settings))  # type: ignore[misc]
        except OSError as error:
            lines.append(AuditLine(FAIL, PROCESSES, f"none can be made ({error.strerror})", NO_PROCESSES))
            return lines, True
        except ConfigurationError as error:
            lines.append(AuditLine(FAIL, row.what, str(error), END_OF_OTHERS))
            return lines, True
        if finding.works:
            continue
        is_stopped = is_stopped or row.is_fatal
        status = FAIL if row.is_fatal else CAUTION
        lines.append(AuditLine(status, row.what, f"{row.words} ({finding.evidence})", row.directive))
    return lines, is_stopped
