"""Runs every step of a list even if one of them raises.

For the ends of cells and processes, where a skipped step would leak something for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger("cellblock.warden")


class StepsFailed(Exception):
    """Every step ran and at least one failed; the log has each error."""


def take_all_steps(whose: str, *steps: Callable[[], object]) -> None:
    """Run the steps in order.  Raises StepsFailed after the last one if any of them raised.

    ``whose`` names the owner of the steps, for the log.
    """
    has_failed = False
    for step in steps:
        try:
            step()
        except StepsFailed:
            has_failed = True
        except Exception:
            has_failed = True
            log.exception("the end of %s: a step failed, and the others are taken", whose)
    if has_failed:
        raise StepsFailed(whose)
