"""Steps that are all taken, whatever one of them raises: for ends, where what is left out stays for ever."""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger("cellblock.warden")


class Incomplete(Exception):
    """Every step was taken and one of them at least failed; the log has said how."""


def all_of(whose: str, *steps: Callable[[], object]) -> None:
    """Each step in its order; Incomplete after the last one if any of them raised."""
    is_well = True
    for step in steps:
        try:
            step()
        except Incomplete:
            is_well = False
        except Exception:
            is_well = False
            log.exception("the end of %s: a step failed, and the others are taken", whose)
    if not is_well:
        raise Incomplete(whose)
