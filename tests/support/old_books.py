"""A server that keeps its books as 0.6.1 did: a look-up that raises comes first, and its error goes through.

What stops an end from costing more than itself are three things, each of which is enough alone: a look-up
that takes any number, books that are right before anything is said, and steps that are all taken.  The
controls of what tenants do to the books take all three away.
"""

from __future__ import annotations

from tests.support.weakened import WARDEN, Change

RAISING_NAMES = Change(
    "supervisor/signals.py", "\ndef name_of(number):\n    return signal.Signals(number).name\n"
)
SAID_FIRST = Change(
    WARDEN,
    """        if ending.cause == "exited" and ending.signal:
            log.info("cell %s was ended by %s", cell.name, signals.name_of(ending.signal))
        desk.ended(cell, ending)
""",
    old="""        desk.ended(cell, ending)
        if ending.cause == "exited" and ending.signal:
            log.info("cell %s was ended by %s", cell.name, signals.name_of(ending.signal))
""",
)
STRUCK_OUT_LAST = (
    Change(
        "supervisor/warden/supply/registry.py",
        "steps = []",
        old="steps: list[Callable[[], object]] = [lambda: self._remove(cell)]",
    ),
    Change(
        "supervisor/warden/supply/registry.py",
        "steps += [lambda: self._tell_end(cell, ending), lambda: self._remove(cell)]",
        old="steps.append(lambda: self._tell_end(cell, ending))",
    ),
)
FIRST_ERROR_ENDS = Change(
    "supervisor/warden/all_steps.py",
    "\ndef take_all_steps(whose, *steps):\n    for step in steps:\n        step()\n",
)
OLD_BOOKS = (RAISING_NAMES, SAID_FIRST, *STRUCK_OUT_LAST, FIRST_ERROR_ENDS)
