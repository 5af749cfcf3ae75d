"""What the messages between a front and the warden are made of: fields with their bounds, records, rows.

The messages themselves are in ``supervisor.link_messages``.
"""

# No ``from __future__ import annotations``: the table reads the annotations.

from typing import Annotated, NamedTuple

from worker.message_fields import (
    DictBound,
    IntBound,
    ListBound,
    PatternBound,
    RealBound,
    Record,
    TextBound,
    WordBound,
)

# Why a function cannot start: what its import raised, among others, in the words of its author.
REASON_MOST_CHARS = 1000
# Why the warden refuses a lease, how a cell ended, what proves a layer: our own words, and the kernel's.
WORDS_MOST_CHARS = 4096
# What one field of a row may hold: a histogram has fewer buckets.
INNER_MOST = 256
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
COUNT_BOUND = IntBound()
SHORT_BOUND = PatternBound(r"[\x20-\x7e]{0,100}")

Count = Annotated[int, COUNT_BOUND]
AtLeastOne = Annotated[int, IntBound(1)]
Short = Annotated[str, SHORT_BOUND]
Label = Annotated[str, PatternBound(_LABEL + "|-")]
LabelOrAll = Annotated[str, PatternBound(f"({_LABEL})?")]
CellName = Annotated[str, PatternBound("[0-9a-f]{10}")]
Cause = Annotated[str, PatternBound("[a-z -]{1,40}")]
Reason = Annotated[str, TextBound(REASON_MOST_CHARS)]
Words = Annotated[str, TextBound(WORDS_MOST_CHARS)]
Pid = Annotated[int, IntBound(0, 1 << 31)]


class CellLimits(Record):
    """What a cell may have once it is tied; ``cpu`` in cores.

    ``is_fresh``: no process of it may serve two calls.
    """

    tmp_bytes: AtLeastOne
    open_files: AtLeastOne
    processes: AtLeastOne
    memory_bytes: AtLeastOne
    cpu: Annotated[float, RealBound(is_above=True)]
    is_fresh: bool


class InstanceHistory(Record):
    """What the next holder of a cell has to know of it."""

    is_async: Annotated[int, IntBound(0, 1)]
    next_call: Annotated[int, IntBound(1, 1 << 32)]
    served: Count


class CellEnd(Record):
    """Why and how a cell ended.  ``cause`` is ours if we killed it, else ``exited``."""

    cause: Cause
    signal: Count = 0
    code: Count = 0
    reason: Words = ""
    peak_bytes: Count = 0  # of memory; 0 where nobody counts it


class Layer(Record):
    """One layer of containment as it is: ``status`` is enforced, degraded, absent, or breached."""

    name: Short
    status: Annotated[str, WordBound("enforced", "degraded", "absent", "breached")]
    evidence: Words

    def as_json(self) -> dict[str, str]:
        """For ``/healthz?verbose``."""
        return {"layer": self.name, "status": self.status, "evidence": self.evidence}


class FunctionRow(NamedTuple):
    """A function's calls in one front; ``buckets`` are pairs of a histogram's bucket and its number."""

    kind: Annotated[str, WordBound("function")]
    space: Short
    name: Short
    version: Count
    outcomes: Annotated[dict[str, int], DictBound(SHORT_BOUND, COUNT_BOUND, INNER_MOST)]
    running: Count
    waiting: Count
    buckets: Annotated[list[list[int]], ListBound(ListBound(COUNT_BOUND, 2, 2), INNER_MOST)]


class InstanceRow(NamedTuple):
    """An instance of one front."""

    kind: Annotated[str, WordBound("instance")]
    cell: Short
    space: Short
    name: Short
    version: Count
    state: Short
    age_s: Annotated[float, RealBound()]
    running: Count
    calls: Count
    peak_bytes: Count


class CellRow(NamedTuple):
    """A cell, whosever it is: the warden's alone to tell.  ``memory_bytes`` 0 where nobody counts it."""

    kind: Annotated[str, WordBound("cell")]
    name: Short
    state: Short
    memory_bytes: Count


FrontRow = FunctionRow | InstanceRow
Row = FrontRow | CellRow
