"""Our compiler and libseccomp's give programs with the same results for the same rules.

libseccomp has no order of rules: an unconditional rule swallows the conditional ones of its call, and of two
conditional ones with different actions either may win.  So a last rule without conditions that stands
after others (a call's own errno) is taken away on both sides, and calls that mix actions even then are
left out by name.  It compares 64 bits, so equality is asked for as a mask of the low half, and calls with
other comparisons are tried with empty upper halves only.  Numbers that nobody knows are not compared:
there we answer ENOSYS.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from seccomp.compiler import compile_profile
from seccomp.profile import Op, Profile, SyscallRule, load
from seccomp.tables import MACHINES, NUMBERS
from tests.support import bpf, rules

PYTHON = Path("/usr/bin/python3")
DRIVER = Path(__file__).with_name("driver_libseccomp.py")
DEADLINE_SECONDS = 60
# Every libseccomp of a supported distribution knows the calls up to this number (Linux 5.14).
SURELY_KNOWN = 446
# Later calls that got a number below that.
LATECOMERS = {"uretprobe", "uprobe"}
# Profile → calls whose rules libseccomp cannot express, and how many last rules are removed.
LEFT_OUT: dict[str, tuple[set[str], int]] = {
    "cell": ({"socket"}, 3),
    "cell-network": ({"socket"}, 3),
    "cell-bare": (set(), 3),
    "front": ({"setsockopt"}, 2),
    "container": (set(), 0),
}


def why_not() -> str:
    """Why libseccomp is not available, or ""."""
    if not PYTHON.exists():
        return f"{PYTHON} is not there"
    done = subprocess.run(
        [PYTHON, "-I", "-c", "import seccomp"], capture_output=True, text=True, timeout=DEADLINE_SECONDS
    )
    return "" if done.returncode == 0 else f"install python3-seccomp: {done.stderr.strip()[-80:]}"


@pytest.fixture(scope="module", autouse=True)
def libseccomp() -> None:
    """Skip if libseccomp is not installed, unless every test must run."""
    reason = why_not()
    if reason and os.environ.get("REQUIRE_SANDBOX") == "1":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def expressible(profile: Profile) -> tuple[Profile, set[str], int]:
    """The part that libseccomp can express, the calls left out, and the number of last rules removed."""
    conditional = {name for rule in profile.rules if rule.arguments for name in rule.names}
    taken = 0
    kept: list[SyscallRule] = []
    for rule in profile.rules:
        names = tuple(name for name in rule.names if rule.arguments or name not in conditional)
        taken += len(rule.names) - len(names)
        if names:
            kept.append(rule._replace(names=names))
    actions: dict[str, set[int]] = {}
    for rule in kept:
        for name in rule.names:
            actions.setdefault(name, set()).add(rule.action.code)
    mixed = {name for name, codes in actions.items() if len(codes) > 1}
    kept = [rule._replace(names=tuple(name for name in rule.names if name not in mixed)) for rule in kept]
    return profile._replace(rules=tuple(rule for rule in kept if rule.names)), mixed, taken


def conditions(rule: SyscallRule) -> list[list[Any]]:
    """A rule's conditions as the driver takes them."""
    found: list[list[Any]] = []
    for one in rule.arguments:
        if one.op is Op.EQ:
            found.append([one.position, rules.LOW, one.value])
        elif one.op is Op.MASKED_EQ:
            found.append([one.position, one.value, one.value_two])
        else:
            found.append([one.position, one.op.name, one.value])
    return found


def theirs(profile: Profile, machine: str) -> tuple[list[bpf.Instruction], dict[str, int]]:
    """libseccomp's program and its numbers of all names that the machine has."""
    asked = {
        "machine": machine,
        "default": profile.default.code,
        "names": list(NUMBERS[machine]),
        "rules": [
            [[name for name in rule.names if name in NUMBERS[machine]], rule.action.code, conditions(rule)]
            for rule in profile.rules
            if rule.action != profile.default  # libseccomp refuses a rule with the default's action
        ],
    }
    done = subprocess.run(
        [PYTHON, "-I", DRIVER], input=json.dumps(asked), capture_output=True, text=True,
        timeout=DEADLINE_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    return bpf.unpack(bytes.fromhex(answer["program"])), answer["numbers"]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", rules.PROFILES)
def test_libseccomp_makes_a_filter_with_the_same_answers(name: str, machine: str) -> None:
    profile, left_out, taken = expressible(load(name))
    assert (left_out, taken) == LEFT_OUT[name]
    ours = bpf.unpack(compile_profile(profile, machine))
    other, numbers = theirs(profile, machine)
    content = rules.content(name)
    ranged = {
        call for rule in profile.rules for call in rule.names
        if any(one.op not in (Op.EQ, Op.MASKED_EQ) for one in rule.arguments)
    }  # fmt: skip
    compared = 0
    for call in NUMBERS[machine]:
        if numbers[call] < 0 or call in left_out:
            continue
        for arguments in rules.samples(content, call):
            if call in ranged and any(argument >> 32 for argument in arguments):
                continue
            found, wanted = (
                bpf.run(code, numbers[call], arguments, bpf.ARCHITECTURE[machine]) for code in (ours, other)
            )
            assert found == wanted, f"{call}{arguments}: ours {found:#x}, libseccomp's {wanted:#x}"
            compared += 1
    assert compared > len(NUMBERS[machine])


@pytest.mark.parametrize("machine", MACHINES)
def test_libseccomp_has_the_same_numbers(machine: str) -> None:
    _, numbers = theirs(load("front")._replace(rules=()), machine)
    for name, number in NUMBERS[machine].items():
        if numbers[name] >= 0 or (number <= SURELY_KNOWN and name not in LATECOMERS):
            assert numbers[name] == number, name
