"""What a front asks the warden for: a function's version and limits in the words of a lease."""

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
    """The words of a lease for the warden (``supervisor.warden.leases.desk``).

    ``imports`` is what the bundle says that it imports (``supervisor.bundles.imported_names``).
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
            # With ``fresh`` the process that they are forked from is beside them.
            "processes": limits.processes + limits.fresh,
            "memory_bytes": limits.memory * MIB,
            "cpu": limits.cpu,
            "is_fresh": limits.fresh,
        },
    }
