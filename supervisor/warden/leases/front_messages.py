"""What a front may say on its link: a table of verbs, each with its fields, their types and their bounds.

    lease    ticket mode space name version digest runtime network imports max_instances tie
             -> leased   ticket cell memory + 4 descriptors (request, reply, stdout, stderr)
             -> refused  ticket reason (limit | capacity | broken) message is_importing
    return   cell memory + 4 descriptors    an idle cell that another front may have
    kill     cell cause
    leave    cell cause                     it ends by itself, or is killed; its place is free now
    signal   cell name (look | dump | freeze | thaw)
    none     ask                            no instance is idle for long: to a reclaim with number 0
    changed  ticket space name              -> done ticket, once every front has said ack
    ack      epoch
    count    ticket space name              -> count ticket replicas failed (version, reason)
    start                                   see ``supervisor.warden.leases.start_states``
    renew    ticket                         -> renewed ticket runtimes
    survey, page                            see ``supervisor.warden.survey_rounds``
    (none)                                  <- ended cell cause signal code reason peak_bytes
                                            <- met cell what peak_bytes (what "": no limit, a new peak)
                                            <- changed epoch space name
                                            <- reclaim space name (an idle one, to be returned; with
                                               number 0 and an ask: one that has been idle for long)
                                            <- reclaim space number | reclaim number (to be ended)
                                            <- layers layers | settings settings, at the start and later

``do`` is a front's word and ``is`` the warden's; ``ticket`` is the front's own number for a request.  A front
reads from the network and may have been taken over: what is not in the table is no message of ours.  What a
function may have at most is not a matter of form: ``within`` cuts it, as a ceiling that was lowered does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from supervisor.bundles.imported_names import NAME_MOST_CHARS, NAMES_MOST
from supervisor.datagrams import Malformed, Message
from supervisor.function_limits import FILES, MIB, open_files_within

Check = Callable[[Any], bool]

INT_MOST = (1 << 63) - 1
PIPES = 4  # that come back with a cell
# Fields of a row of a survey, and what one of them may hold: a histogram has fewer buckets.
ROW_MOST = 16
INNER_MOST = 256
ROWS_A_PAGE = 4096
# A row of the cells is the warden's alone to tell.
FRONTS_ROWS = {"function": 8, "instance": 10}


def whole(least: int, most: int = INT_MOST) -> Check:
    """An integer, and no bool, which Python takes for one."""
    return lambda value: type(value) is int and least <= value <= most


def number(value: Any) -> bool:
    """Above 0 and finite."""
    return type(value) in (int, float) and math.isfinite(value) and 0 < value <= INT_MOST


def text(pattern: str) -> Check:
    """A str that is all of the pattern."""
    compiled = re.compile(pattern)
    return lambda value: type(value) is str and compiled.fullmatch(value) is not None


def flag(value: Any) -> bool:
    """A bool."""
    return type(value) is bool


def _imports(value: Any) -> bool:
    if type(value) is not list or len(value) > NAMES_MOST:
        return False
    return all(type(name) is str and 0 < len(name) <= NAME_MOST_CHARS for name in value)


def _rows(value: Any) -> bool:
    return type(value) is list and len(value) <= ROWS_A_PAGE and all(map(_is_row, value))


def _is_row(row: Any) -> bool:
    """``["function", …]`` or ``["instance", …]`` as ``front.telemetry.call_counters`` makes them."""
    if type(row) is not list or not row or FRONTS_ROWS.get(_word(row[0])) != len(row):
        return False
    if row[0] == "instance":
        _, *texts, version, state, age, running, calls, peak = row
        counts = (version, running, calls, peak)
        return all(map(SHORT, (*texts, state))) and all(map(COUNT, counts)) and (age == 0 or number(age))
    _, space, name, version, outcomes, running, waiting, buckets = row
    return (
        SHORT(space) and SHORT(name) and all(map(COUNT, (version, running, waiting)))
        and type(outcomes) is dict and len(outcomes) <= INNER_MOST
        and all(map(SHORT, outcomes)) and all(map(COUNT, outcomes.values()))
        and type(buckets) is list and len(buckets) <= INNER_MOST
        and all(type(pair) is list and list(map(COUNT, pair)) == [True, True] for pair in buckets)
    )  # fmt: skip


def _word(value: Any) -> str:
    return value if type(value) is str else ""


def mapping(fields: Mapping[str, Check]) -> Check:
    """Exactly these fields, each as it should be."""
    return lambda value: (
        type(value) is dict
        and value.keys() == fields.keys()
        and all(is_right(value[name]) for name, is_right in fields.items())
    )


COUNT = whole(0)
SHORT = text(r"[\x20-\x7e]{0,100}")
LABEL = text(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?|-")
LABEL_OR_ALL = text(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?")
CELL = text(r"[0-9a-f]{10}")
# Why a function cannot start: what its import raised, among others, in the words of its author.
REASON_MOST = 1000
TIE = mapping(
    {
        "tmp_bytes": whole(1),
        "open_files": whole(1),
        "processes": whole(1),
        "memory_bytes": whole(1),
        "cpu": number,
        "is_fresh": flag,
    }
)
MEMORY = mapping({"is_async": whole(0, 1), "next_call": whole(1, 1 << 32), "served": COUNT})


@dataclass(frozen=True)
class Shape:
    """The fields of one verb, those that may be left out, and how many descriptors come with it."""

    fields: Mapping[str, Check]
    optional: frozenset[str] = field(default_factory=frozenset)
    has_pipes: bool = False


VERBS: dict[str, Shape] = {
    "lease": Shape(
        {
            "ticket": COUNT,
            "mode": text("serve|keep|check"),
            "space": LABEL,
            "name": LABEL,
            "version": COUNT,
            "digest": text(r"[0-9a-f]{64}"),
            "runtime": text(r"[a-z0-9.-]{1,64}"),
            "network": text("none|host"),
            "imports": _imports,
            "max_instances": whole(1),
            "tie": TIE,
        }
    ),
    "return": Shape({"cell": CELL, "memory": MEMORY}, has_pipes=True),
    "kill": Shape({"cell": CELL, "cause": text("[a-z -]{1,40}")}),
    "leave": Shape({"cell": CELL, "cause": text("[a-z -]{1,40}")}),
    "signal": Shape({"cell": CELL, "name": text("look|dump|freeze|thaw")}),
    "none": Shape({"ask": COUNT}),
    "changed": Shape({"ticket": COUNT, "space": LABEL, "name": LABEL_OR_ALL}),
    "ack": Shape({"epoch": COUNT}),
    "count": Shape({"ticket": COUNT, "space": LABEL, "name": LABEL}),
    "start": Shape(
        {
            "cell": CELL,
            "space": LABEL,
            "name": LABEL,
            "version": COUNT,
            "state": text("importing|ready|failed"),
            "reason": lambda value: type(value) is str and len(value) <= REASON_MOST,
        }
    ),
    "renew": Shape({"ticket": COUNT}),
    "survey": Shape({"ticket": COUNT, "space": LABEL_OR_ALL}),
    "page": Shape(
        {"number": COUNT, "front": COUNT, "rows": _rows, "is_last": flag, "left_out": COUNT},
        optional=frozenset({"left_out"}),
    ),
}


def checked(message: Message, descriptors: int) -> Message:
    """The message, if it is one.  Malformed, with what is wrong and not with what was sent."""
    # From here on the bytes are hostile.
    verb = _word(message.get("do"))
    shape = VERBS.get(verb)
    if shape is None:
        raise Malformed("a verb that there is not")
    names = message.keys() - {"do"}
    if not shape.fields.keys() - shape.optional <= names <= shape.fields.keys():
        raise Malformed(f"{verb}: other fields than it has")
    for name in names:
        if not shape.fields[name](message[name]):
            raise Malformed(f"{verb}: {name} is not what it can be")
    if descriptors > (PIPES if shape.has_pipes else 0):
        raise Malformed(f"{verb}: {descriptors} descriptors")
    return message


def within(lease: Message, ceilings: Mapping[str, Any]) -> Message:
    """The lease with nothing above the operator's ceilings (``supervisor.settings.declarations``).

    Cut, not refused: an honest front asks under the ceilings of a moment ago, right after they were lowered.
    """
    tie = lease["tie"]
    fresh = int(tie["is_fresh"])  # the process that calls are forked from is beside theirs
    processes = min(tie["processes"], ceilings["processes"] + fresh)
    open_files = min(tie["open_files"], ceilings["open_files"])
    cut = {
        **tie,
        "tmp_bytes": min(tie["tmp_bytes"], ceilings["tmp"] * MIB),
        "memory_bytes": min(tie["memory_bytes"], ceilings["memory"] * MIB),
        "open_files": open_files_within(open_files, processes - fresh, ceilings.get(FILES, INT_MOST)),
        "processes": processes,
        "cpu": min(tie["cpu"], ceilings["cpu"]),
    }
    return {
        **lease,
        "tie": cut,
        "max_instances": min(lease["max_instances"], ceilings["max_instances"]),
        "network": "none" if ceilings["network"] == "none" else lease["network"],
    }
