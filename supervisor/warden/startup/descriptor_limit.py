"""The warden's limit of open descriptors, raised to what its cells need."""

from __future__ import annotations

import resource

from supervisor.errors import ConfigurationError

# A cell costs the warden five pipe ends, a set-up socket, a pidfd and two event descriptors at its peak; one
# is spare.
DESCRIPTORS_PER_CELL = 10
# For everything else: listener, links to fronts and zygotes, event loop, log, threads.
DESCRIPTORS_BESIDES = 256


def raise_descriptor_limit(cells: int) -> None:
    """Raise the limit for this many cells.  Raises ConfigurationError if the host's hard limit is too low."""
    needed = cells * DESCRIPTORS_PER_CELL + DESCRIPTORS_BESIDES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(hard, needed)))
    except (ValueError, PermissionError):
        raise ConfigurationError(
            f"cannot open {needed} descriptors for max_cells = {cells}: the limit is {hard}; "
            "raise it (LimitNOFILE) or lower max_cells"
        ) from None
