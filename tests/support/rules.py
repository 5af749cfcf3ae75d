"""What the JSON of a profile says about a call, worked out rule by rule, without the compiler's help.

The expectation of the tests of ``seccomp``: it reads the files itself and shares only the table of numbers.
"""

from __future__ import annotations

import itertools
import json
import operator
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.support.bpf import ALLOW, ERRNO, KILL_PROCESS

FOLDER = Path(__file__).parents[2] / "seccomp"
PROFILES = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))
ENOSYS = 38
LOW = 0xFFFFFFFF

_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "SCMP_CMP_EQ": operator.eq, "SCMP_CMP_NE": operator.ne, "SCMP_CMP_LT": operator.lt,
    "SCMP_CMP_LE": operator.le, "SCMP_CMP_GT": operator.gt, "SCMP_CMP_GE": operator.ge,
}  # fmt: skip

Json = dict[str, Any]


def content(name: str) -> Json:
    """A profile's JSON with what it extends put together."""
    found: Json = json.loads((FOLDER / f"{name}.json").read_text())
    if "extends" not in found:
        return found
    base = content(found["extends"].removesuffix(".json"))
    mentioned = {one for rule in found["syscalls"] for one in rule["names"]}
    kept = [
        {**rule, "names": left}
        for rule in base["syscalls"]
        if (left := [one for one in rule["names"] if one not in mentioned])
    ]
    return {**base, "syscalls": kept + found["syscalls"]}


def rules_about(profile: Json, name: str) -> list[Json]:
    """The rules that mention a call, in their order."""
    return [rule for rule in profile["syscalls"] if name in rule["names"]]


def answer_of(rule: Json, action: str = "action", errno: str = "errnoRet") -> int:
    """The 32 bits for a rule's action."""
    return {
        "SCMP_ACT_ALLOW": ALLOW,
        "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
        "SCMP_ACT_ERRNO": ERRNO | rule.get(errno, 0),
    }[rule[action]]


def fits(condition: Json, arguments: Sequence[int]) -> bool:
    """Whether one condition holds, on the low halves."""
    found = arguments[condition["index"]] & LOW
    if condition["op"] == "SCMP_CMP_MASKED_EQ":
        return found & condition["value"] == condition["valueTwo"]
    return _COMPARE[condition["op"]](found, condition["value"])


def expected(profile: Json, name: str | None, arguments: Sequence[int]) -> int:
    """What a filter must answer to a call by name; None: no name of this machine."""
    if name is None:
        return ERRNO | ENOSYS
    for rule in rules_about(profile, name):
        if all(fits(condition, arguments) for condition in rule.get("args", [])):
            return answer_of(rule)
    return answer_of(profile, "defaultAction", "defaultErrnoRet")


def samples(profile: Json, name: str) -> Iterator[tuple[int, ...]]:
    """Arguments on, beside and far from the edges of the rules about a call, some with the upper half set."""
    edges: dict[int, set[int]] = {}
    for rule in rules_about(profile, name):
        for condition in rule.get("args", []):
            values = edges.setdefault(condition["index"], {0, 1, LOW, 1 << 31, (1 << 64) - 1})
            for value in (condition["value"], condition.get("valueTwo", condition["value"])):
                near = {value, (value - 1) & LOW, (value + 1) & LOW, value | 1 << 32, value ^ 1}
                values |= near
                if condition["op"] == "SCMP_CMP_MASKED_EQ":
                    values |= {condition["valueTwo"] | (~condition["value"] & LOW), value | 0x80000}
                    values |= {1 << bit for bit in range(32)}
    choices = [sorted(edges.get(index, {0})) for index in range(6)]
    yield from itertools.product(*choices)
    yield (LOW,) * 6
