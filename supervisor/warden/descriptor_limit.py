"""How many descriptors the warden needs, and that it has them."""

from __future__ import annotations

import resource

from supervisor.errors import ConfigurationError

# Each cell has five pipe ends, a set-up socket, a pidfd and two events here, if only for a moment.
DESCRIPTORS_PER_CELL = 10
DESCRIPTORS_BESIDES = 256


def raise_descriptor_limit(cells: int) -> None:
    """Room for all cells; ConfigurationError when the host's limit is lower."""
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
