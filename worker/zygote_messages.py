"""What the warden and a zygote say to each other: one table, each field with its bounds.

    zygote -> warden   Ready         it has imported what it is to import
    warden -> zygote   Spawn         with the cell's set-up socket, then its five pipe ends
    zygote -> warden   Spawned       with the cell's pidfd
                       SpawnFailed

Each Spawn gets one answer, in order.  Pure; shared with the warden.
"""

from typing import Annotated, List

from .message_fields import IntBound, ListBound, Record, TextBound, WordBound
from .message_table import DO, IS, MessageTable, TableRow

TO_ZYGOTE, TO_WARDEN = DO, IS

NAMESPACED_TIERS = ("A", "A-user")
# The set-up socket; request, reply, stdout, stderr and word.
DESCRIPTORS_PER_CELL = 6
# Modules that are to be imported ahead, and are not installed.
MISSING_MOST = 1000
NAME_MOST_CHARS = 256
REASON_MOST_CHARS = 500


class Spawn(Record):
    """A cell is to be cloned; ``network`` and ``tier`` say which namespaces it gets."""

    network: Annotated[str, WordBound("none", "host")]
    tier: Annotated[str, WordBound(*NAMESPACED_TIERS, "B", "C", "none")]


class Ready(Record):
    """It clones from now on; ``missing`` is what it could not import."""

    missing: Annotated[List[str], ListBound(TextBound(NAME_MOST_CHARS), MISSING_MOST)]


class Spawned(Record):
    """The cell's pid 1, by the warden's number of it."""

    pid: Annotated[int, IntBound(1, 1 << 31)]


class SpawnFailed(Record):
    """The kernel refused."""

    reason: Annotated[str, TextBound(REASON_MOST_CHARS)]


ZYGOTE = MessageTable(
    TableRow(TO_ZYGOTE, "spawn", Spawn, descriptors=DESCRIPTORS_PER_CELL),
    TableRow(TO_WARDEN, "ready", Ready),
    TableRow(TO_WARDEN, "spawned", Spawned, descriptors=1),
    TableRow(TO_WARDEN, "failed", SpawnFailed),
)
