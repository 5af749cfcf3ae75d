"""The request for a lease: a function's version and limits as the warden is told them."""

from __future__ import annotations

from collections.abc import Sequence

from supervisor.datagrams import Message
from supervisor.function_limits import MIB, Limits


def lease_request(
    space: str,
    name: str,
    version: int,
    digest: str,
    runtime: str,
    limits: Limits,
    imports: Sequence[str] = (),
) -> Message:
    """The message (``supervisor.warden.leases.front_messages`` checks it).

    ``imports`` are the modules that the bundle imports (``supervisor.bundles.imported_names``).
    """
    return {
        "mode": "serve",
        "space": space,
        "name": name,
        "version": version,
        "digest": digest,
        "runtime": runtime,
        "network": limits.network,
        "imports": list(imports),
        "max_instances": limits.max_instances,
        "tie": {
            "tmp_bytes": limits.tmp * MIB,
            "open_files": limits.open_files,
            # With ``fresh`` one more: the process that the calls' processes are forked from.
            "processes": limits.processes + limits.fresh,
            "memory_bytes": limits.memory * MIB,
            "cpu": limits.cpu,
            "is_fresh": limits.fresh,
        },
    }
