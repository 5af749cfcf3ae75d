"""What all fronts and the warden report of calls and cells, put together.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from supervisor.front.telemetry.call_counters import upper_ms
from supervisor.link_records import CellRow, FunctionRow, InstanceRow, Row


@dataclass(eq=False, repr=False)
class FunctionActivity:
    """A function over all fronts, since each front began; ``durations`` counts calls by milliseconds."""

    space: str
    name: str
    version: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    running: int = 0
    waiting: int = 0
    instances: int = 0
    memory_bytes: int = 0
    durations: Counter[float] = field(default_factory=Counter)


@dataclass(eq=False, repr=False)
class InstanceActivity:
    """An instance; ``front`` is the pid of its front, ``memory_bytes`` is 0 where memory is not counted."""

    instance: str
    front: int
    space: str
    name: str
    version: int
    state: str
    age_s: float
    running: int
    calls: int
    peak_bytes: int
    memory_bytes: int = 0


@dataclass(eq=False, repr=False)
class Survey:
    """``fronts`` answered in time and ``missing`` did not; ``left_out`` rows were too many to send."""

    fronts: int = 0
    missing: int = 0
    left_out: int = 0
    functions: list[FunctionActivity] = field(default_factory=list)
    instances: list[InstanceActivity] = field(default_factory=list)
    # Cells by the warden's word for their state, blank cells too.
    cells: Counter[str] = field(default_factory=Counter)


def merged(pages: Iterable[tuple[int, Sequence[Row]]]) -> Survey:
    """The survey that the pages come to.

    A page has a front's pid and its rows (``call_counters``), or 0 and the warden's rows
    (``supervisor.warden.survey_rounds``).
    """
    survey = Survey()
    functions: dict[tuple[str, str], FunctionActivity] = {}
    memory: dict[str, int] = {}
    for front, rows in pages:
        for row in rows:
            if isinstance(row, CellRow):
                memory[row.name] = row.memory_bytes
                survey.cells[row.state] += 1
            elif isinstance(row, InstanceRow):
                survey.instances.append(InstanceActivity(row.cell, front, *row[2:]))
            elif isinstance(row, FunctionRow):
                found = functions.setdefault((row.space, row.name), FunctionActivity(row.space, row.name))
                found.version = max(found.version, row.version)
                found.running += row.running
                found.waiting += row.waiting
                found.calls.update(row.outcomes)
                found.durations.update({upper_ms(bucket): number for bucket, number in row.buckets})
    for instance in survey.instances:
        instance.memory_bytes = memory.get(instance.instance, 0)
        owner = functions.get((instance.space, instance.name))
        if owner is not None:
            owner.instances += 1
            owner.memory_bytes += instance.memory_bytes
    survey.functions = [functions[key] for key in sorted(functions)]
    survey.instances.sort(key=lambda one: (one.space, one.name, -one.age_s))
    return survey
