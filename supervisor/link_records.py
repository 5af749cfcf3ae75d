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
# Status codes that one function's calls are told apart by: from 100 to 599.
CODES_MOST = 500
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
COUNT_BOUND = IntBound()
SHORT_BOUND = PatternBound(r"[\x20-\x7e]{0,100}")

Count = Annotated[int, COUNT_BOUND]
AtLeastOne = Annotated[int, IntBound(1)]
Short = Annotated[str, SHORT_BOUND]
Label = Annotated[str, PatternBound(_LABEL + "|-")]
LabelOrAll = Annotated[str, PatternBound(f"({_LABEL})?")]
# What changed in the store: a function, or the values, credentials, quotas or state of a space; "deleted"
# is a space that is gone.
ChangeKind = Annotated[str, WordBound("function", "values", "space", "deleted", "credentials", "quotas")]
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


class CallsRow(NamedTuple):
    """What the calls of a function came to, for ``/metrics``.

    From a front: since it was last asked.  From the warden: since the server began, over all fronts.
    ``outcomes`` and ``codes`` are numbers of calls; ``durations``, ``queues`` and ``starts`` are histograms,
    a number for each bucket, and the seconds of all.  The rest is as it is now; instances and their memory
    are the warden's to tell.
    """

    kind: Annotated[str, WordBound("calls")]
    space: Short
    name: Short
    outcomes: Annotated[dict[str, int], DictBound(SHORT_BOUND, COUNT_BOUND, INNER_MOST)]
    codes: Annotated[dict[str, int], DictBound(SHORT_BOUND, COUNT_BOUND, CODES_MOST)]
    durations: Annotated[list[int], ListBound(COUNT_BOUND, INNER_MOST)]
    duration_s: Annotated[float, RealBound()]
    queues: Annotated[list[int], ListBound(COUNT_BOUND, INNER_MOST)]
    queue_s: Annotated[float, RealBound()]
    starts: Annotated[list[int], ListBound(COUNT_BOUND, INNER_MOST)]
    start_s: Annotated[float, RealBound()]
    running: Count = 0
    waiting: Count = 0
    instances: Count = 0
    memory_bytes: Count = 0


class NumberRow(NamedTuple):
    """One number for ``/metrics``, with the value of its one label, "" for none.

    ``is_count``: it only grows; a front says by how much since it was last asked.
    """

    kind: Annotated[str, WordBound("number")]
    name: Short
    label: Short
    value: Annotated[float, RealBound()]
    is_count: bool


MetricRow = CallsRow | NumberRow
FrontRow = FunctionRow | InstanceRow | CallsRow | NumberRow
Row = FrontRow | CellRow
