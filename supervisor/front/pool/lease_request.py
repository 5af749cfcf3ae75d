"""The request for a lease: a function's version and limits as the warden is told them."""

from __future__ import annotations

from collections.abc import Sequence

from supervisor.function_limits import MIB, Limits
from supervisor.link_messages import LeaseRequest
from supervisor.link_records import CellLimits


def lease_request(
    space: str,
    name: str,
    version: int,
    digest: str,
    runtime: str,
    limits: Limits,
    imports: Sequence[str] = (),
    mode: str = "serve",
) -> LeaseRequest:
    """The request; ``imports`` is what the bundle says that it imports (``bundles.imported_names``)."""
    return LeaseRequest(
        mode=mode,
        space=space,
        name=name,
        version=version,
        digest=digest,
        runtime=runtime,
        network=limits.network,
        imports=list(imports),
        max_instances=limits.max_instances,
        tie=CellLimits(
            tmp_bytes=limits.tmp * MIB,
            open_files=limits.open_files,
            # With ``fresh`` the process that they are forked from is beside them.
            processes=limits.processes + limits.fresh,
            memory_bytes=limits.memory * MIB,
            cpu=limits.cpu,
            is_fresh=limits.fresh,
        ),
    )
