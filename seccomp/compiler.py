"""Compiles the rules of a profile to classic BPF for seccomp(2).

A program runs once from top to bottom, for BPF jumps only forwards:

    the architecture       if it is not the machine's, the process is killed
    the number             x86-64: 0x40000000 and above (x32) kill; then a balanced search by ranges
    a block per decision   the rules about one call in their order, and at last the default

Rule 1: a number without a name in the machine's table gets ENOSYS, be it above the newest or in between.
        An older kernel says the same, so libraries have a fallback.  The profile's default is for known
        calls that it does not list.
Rule 2: arguments are compared by their *low 32 bits*.  Most are ``int`` in the kernel, which drops the upper
        half.  A comparison of all 64 bits would miss the same call with a bit set in the upper half
        (CVE-2019-7303, CVE-2019-10063).  A rule cannot judge a pointer or a length of 64 bits, and the
        profile refuses such values.
Rule 3: nothing here does I/O, and the same profile always gives the same bytes.

Both machines are little-endian: the low half of an argument comes first.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from seccomp.profile import Action, ActionKind, Argument, Op, Profile, SyscallRule
from seccomp.tables import NUMBERS

# AUDIT_ARCH_* of linux/audit.h.
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# On x86-64 this bit marks a second set of the same calls, with other argument sizes (__X32_SYSCALL_BIT).
X32_BIT = 0x40000000
ENOSYS = 38
# BPF_MAXINSNS: the kernel accepts no longer program.
MOST_INSTRUCTIONS = 4096

_UNKNOWN = Action(ActionKind.ERRNO, ENOSYS)
_KILL = Action(ActionKind.KILL_PROCESS)
# struct seccomp_data: int nr, u32 arch, u64 instruction_pointer, u64 args[6].
_NR, _ARCH, _ARGS, _ARG_BYTES = 0, 4, 16, 8
# linux/filter.h: BPF_LD|BPF_W|BPF_ABS, BPF_ALU|BPF_AND|BPF_K, BPF_JMP|…|BPF_K, BPF_RET|BPF_K.
_LOAD, _AND, _JA, _JEQ, _JGT, _JGE, _RET = 0x20, 0x54, 0x05, 0x15, 0x25, 0x35, 0x06
_FARTHEST_JUMP = 255  # jt and jf are bytes
# The jump for each operator, and whether its two targets change places.
_JUMPS = {
    Op.EQ: (_JEQ, False), Op.MASKED_EQ: (_JEQ, False), Op.NE: (_JEQ, True),
    Op.GT: (_JGT, False), Op.LE: (_JGT, True),
    Op.GE: (_JGE, False), Op.LT: (_JGE, True),
}  # fmt: skip

# The rules about one call, in order: (conditions, action).  The last has no conditions.
Decision = tuple[tuple[tuple[Argument, ...], Action], ...]


class CompileError(ValueError):
    """A profile that cannot be compiled: it is for another machine, or its program is too long."""


class Range(NamedTuple):
    """Consecutive numbers with the same decision, from ``first`` to the next range's first."""

    first: int
    decision: Decision


def compile_profile(profile: Profile, machine: str) -> bytes:
    """An array of ``struct sock_filter`` for ``machine`` ("x86_64" or "aarch64"); CompileError."""
    if machine not in profile.machines:
        raise CompileError(f"profile {profile.name} is not for {machine!r}; it is for {profile.machines}")
    program = _Program()
    number = _search(program, ranges(profile, machine))
    if machine == "x86_64":
        number = program.branch(_JGE, X32_BIT, program.ret(_KILL), number)
    number = program.add(_LOAD, _NR)
    program.branch(_JEQ, ARCHITECTURE[machine], number, program.ret(_KILL))
    program.add(_LOAD, _ARCH)
    if len(program) > MOST_INSTRUCTIONS:
        raise CompileError(
            f"profile {profile.name} has {len(program)} instructions, the kernel takes {MOST_INSTRUCTIONS}; "
            "use fewer argument rules"
        )
    return program.packed()


def decisions(profile: Profile, machine: str) -> Mapping[int, Decision]:
    """The decision about each system call number that ``machine`` knows."""
    rules: dict[str, list[SyscallRule]] = {}
    for rule in profile.rules:
        for name in rule.names:
            rules.setdefault(name, []).append(rule)
    return {
        number: _decision(rules.get(name, ()), profile.default) for name, number in NUMBERS[machine].items()
    }


def _decision(rules: Sequence[SyscallRule], default: Action) -> Decision:
    found = []
    for rule in rules:
        found.append((rule.arguments, rule.action))
        if not rule.arguments:
            break
    else:
        found.append(((), default))
    # A rule with the same action as the rest after it would only cost instructions.
    while len(found) > 1 and found[-2][1] == found[-1][1]:
        del found[-2]
    return tuple(found)


def ranges(profile: Profile, machine: str) -> list[Range]:
    """All numbers from 0 on, in order; neighbours with equal decisions form one range."""
    known = decisions(profile, machine)
    unknown: Decision = (((), _UNKNOWN),)
    found: list[Range] = []
    for number in range(max(known) + 2):  # the last one stands for every number above the newest
        decision = known.get(number, unknown)
        if not found or found[-1].decision != decision:
            found.append(Range(number, decision))
    return found


def _search(program: _Program, found: Sequence[Range]) -> int:
    """Add code that finds the decision for the loaded number; returns its label."""
    if len(found) == 1:
        return _block(program, found[0].decision)
    middle = len(found) // 2
    upper = _search(program, found[middle:])
    lower = _search(program, found[:middle])
    return program.branch(_JGE, found[middle].first, upper, lower)


def _block(program: _Program, decision: Decision) -> int:
    """Add code for one decision, from its end to its beginning; returns its label."""
    *rules, (_, last) = decision
    label = program.ret(last)
    for position in reversed(range(len(rules))):
        arguments, action = rules[position]
        fits, else_ = program.ret(action), label
        for argument in reversed(arguments):
            jump, swapped = _JUMPS[argument.op]
            value = argument.value_two if argument.op is Op.MASKED_EQ else argument.value
            label = program.branch(jump, value, *((else_, fits) if swapped else (fits, else_)))
            if argument.op is Op.MASKED_EQ:
                label = program.add(_AND, argument.value)
            # No load if the rule before has left the same argument loaded.
            if argument is arguments[0] and position and _leaves(rules[position - 1][0]) == argument.position:
                fits = label
                continue
            fits = label = program.add(_LOAD, _ARGS + _ARG_BYTES * argument.position)
    return label


def _leaves(arguments: Sequence[Argument]) -> int | None:
    """The argument that is certainly still loaded when these conditions were not met."""
    if len(arguments) == 1 and arguments[0].op is not Op.MASKED_EQ:
        return arguments[0].position
    return None


class _Program:
    """Instructions, added from the last to the first, so that each jump knows the distance of its targets.

    The *label* of an instruction is the number of instructions from it to the program's end.
    """

    def __init__(self) -> None:
        self._reversed: list[bytes] = []
        self._rets: dict[Action, int] = {}

    def __len__(self) -> int:
        return len(self._reversed)

    def packed(self) -> bytes:
        """The program, first instruction first."""
        return b"".join(reversed(self._reversed))

    def add(self, code: int, k: int, jt: int = 0, jf: int = 0) -> int:
        """Add an instruction before all others; returns its label."""
        self._reversed.append(struct.pack("=HBBI", code, jt, jf, k))
        return len(self._reversed)

    def ret(self, action: Action) -> int:
        """The label of a RET near enough for the next jump; adds another copy if there is none."""
        label = self._rets.get(action)
        if label is None or self._distance(label) > _FARTHEST_JUMP // 2:
            label = self._rets[action] = self.add(_RET, action.code)
        return label

    def branch(self, code: int, k: int, yes: int, no: int) -> int:
        """Add a conditional jump; a target too far for a byte gets an unconditional jump (JA) in between."""
        yes, no = self._near(yes), self._near(no)
        return self.add(code, k, self._distance(yes), self._distance(no))

    def _near(self, label: int) -> int:
        # One less: the other target may need a JA too.
        if self._distance(label) <= _FARTHEST_JUMP - 1:
            return label
        return self.add(_JA, self._distance(label))

    def _distance(self, label: int) -> int:
        """How many instructions a jump would skip that is added next."""
        return len(self._reversed) - label
