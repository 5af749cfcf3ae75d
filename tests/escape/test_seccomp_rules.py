"""Every rule of every filter, performed: what is allowed works as without it, what is refused is refused.

The calls get bad descriptors and pointers, so one that is made fails with an errno of the kernel's that the
filter never gives, and harms nothing.  Calls are made without a filter only if a profile allows them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from seccomp.compiler import compile_profile
from seccomp.profile import load
from seccomp.tables import NUMBERS
from tests.support import bpf, rules
from tests.support.performed import EXIT_CODE, Call, perform

MACHINE = os.uname().machine
OURS = NUMBERS[MACHINE]
# Filters that processes of ours install; container.json is for a container's runtime.
INSTALLED = ("cell", "cell-network", "cell-bare", "front")
FILTER_NAMES = {
    1: "EPERM", 22: "EINVAL", 25: "ENOTTY", 38: "ENOSYS", 92: "ENOPROTOOPT", 93: "EPROTONOSUPPORT",
    97: "EAFNOSUPPORT",
}  # fmt: skip
BAD = (1 << 64) - 1  # −1: no descriptor, no pointer, no process, no flags
NOBODY = 0x3FFFFFFF  # above every pid
SIGCHLD = 17

# Where −1 everywhere would not do: it would end the child or reach somebody, or the errno says nothing.
ARGUMENTS: dict[str, tuple[int, ...]] = {
    "exit": (EXIT_CODE,),
    "exit_group": (EXIT_CODE,),
    "kill": (NOBODY, 0),
    "tgkill": (NOBODY, NOBODY, 0),
    "tkill": (NOBODY, 0),
    "alarm": (0,),
    "clone": (SIGCHLD, 0, 0, 0, 0),
    "futex": (1, 1, 0),  # an address that is not aligned; −1 as operation is ENOSYS
    "futex_waitv": (0, 0, 0, 0, 0),
    "brk": (0,),
    "umask": (0o77,),
    "setpriority": (0, 0, 19),
}
# What an older kernel does not have; what ours allow is otherwise never ENOSYS.
MAY_BE_ABSENT = {"rseq", "epoll_pwait2", "futex_waitv", "fchmodat2", "faccessat2", "restart_syscall"}
# The kernel asks no filter about these two (since 6.14 and 6.18): they are breakpoints that it set itself, in
# programs that are being traced, and give SIGILL or ENXIO to whoever calls them otherwise.
UNFILTERED = {"uretprobe", "uprobe"}

pytestmark = pytest.mark.slow
every_filter = pytest.mark.parametrize("name", INSTALLED)
# What a container's filter allows is too much to be made for real; what it refuses is not made.
every_refusal = pytest.mark.parametrize("name", (*INSTALLED, "container"))


def program(name: str) -> bytes:
    """The filter for this machine."""
    return compile_profile(load(name), MACHINE)


def call_of(name: str, arguments: tuple[int, ...] = ()) -> Call:
    """How to make a call by name, with arguments that harm nobody where none are given."""
    if name == "vfork":
        return ("vfork", 0, ())
    given = arguments or ARGUMENTS.get(name, ())
    return ("call", OURS[name], (*given, *[BAD] * (6 - len(given))))


def said(answer: int) -> str:
    """How ``perform`` tells a filter's answer."""
    return "SIGSYS" if answer == bpf.KILL_PROCESS else FILTER_NAMES[answer & 0xFFFF]


def plain(name: str) -> set[str]:
    """The calls of this machine that a profile allows whatever their arguments."""
    profile = rules.content(name)
    return {
        one for rule in profile["syscalls"] for one in rule["names"]
        if one in OURS and rule["action"] == "SCMP_ACT_ALLOW" and not rule.get("args")
    }  # fmt: skip


def conditional(name: str) -> list[str]:
    """The calls of this machine whose arguments a profile looks at."""
    profile = rules.content(name)
    return sorted(
        {one for rule in profile["syscalls"] for one in rule["names"] if rule.get("args")} & set(OURS)
    )


def fitting(rule: rules.Json, name: str) -> tuple[int, ...]:
    """Arguments that fit all conditions of a rule; the others are harmless."""
    found = [*ARGUMENTS.get(name, ())]
    found += [BAD] * (6 - len(found))
    for condition in rule.get("args", []):
        is_mask = condition["op"] == "SCMP_CMP_MASKED_EQ"
        found[condition["index"]] = condition["valueTwo"] if is_mask else condition["value"]
        if name == "clone":
            found[0] = SIGCHLD
    return tuple(found)


@every_filter
def test_every_allowed_call_behaves_as_without_the_filter(name: str) -> None:
    allowed = sorted(plain(name))
    calls = [call_of(one) for one in allowed]
    under, without = perform(calls, program(name)), perform(calls, None)
    for one, found, control in zip(allowed, under, without, strict=True):
        assert found == control, f"{one}: {found} under the filter, {control} without"
        assert found != "hung", one
        # Else this would not show that the filter let it through.
        is_made = found not in ("EPERM", "SIGSYS") and (found != "ENOSYS" or one in MAY_BE_ABSENT)
        assert is_made, f"{one}: {found}"


@pytest.mark.promise("T33")
@every_refusal
def test_every_refused_call_is_refused_with_the_filters_own_answer(name: str) -> None:
    profile = rules.content(name)
    refused = sorted(set(OURS) - plain(name) - set(conditional(name)) - UNFILTERED)
    found = perform([call_of(one) for one in refused], program(name), together=True)
    wanted = [said(rules.expected(profile, one, (BAD,) * 6)) for one in refused]
    assert dict(zip(refused, found, strict=True)) == dict(zip(refused, wanted, strict=True))
    assert len(refused) > 50


@every_refusal
def test_every_number_that_no_call_has_does_not_exist(name: str) -> None:
    free = sorted(set(range(601)) - set(OURS.values()))
    found = perform([("call", number, (BAD,) * 6) for number in free], program(name), together=True)
    assert set(found) == {"ENOSYS"}


def performances(profile: rules.Json, name: str) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """For each rule about a call: arguments that fit it and some that just do not, with their answers."""
    for rule in rules.rules_about(profile, name):
        fits = fitting(rule, name)
        yield "fits", fits, rules.expected(profile, name, fits)
        for condition in rule.get("args", []):
            index = condition["index"]
            mask = condition["value"] if condition["op"] == "SCMP_CMP_MASKED_EQ" else rules.LOW
            # Each bit that is looked at, turned over; and the upper half set, which is not looked at.
            for bit in range(32):
                if mask >> bit & 1:
                    beside = (*fits[:index], fits[index] ^ 1 << bit, *fits[index + 1 :])
                    yield "beside", beside, rules.expected(profile, name, beside)
            high = (*fits[:index], fits[index] | 1 << 32, *fits[index + 1 :])
            yield "high", high, rules.expected(profile, name, high)


# The call, "fits" or "beside" or "high", the arguments, the filter's answer.
Performance = tuple[str, str, tuple[int, ...], int]


def shown(row: Performance) -> str:
    """A call as people write it."""
    return f"{row[0]}({', '.join(hex(argument) for argument in row[2])}), which {row[1]}"


@every_filter
def test_every_argument_rule_lets_through_what_it_says_and_nothing_beside(name: str) -> None:
    profile = rules.content(name)
    made: list[Performance] = []
    for one in conditional(name):
        seen = set()
        for kind, arguments, answer in performances(profile, one):
            # Of what is allowed only the rule's own values are made for real: beside them may be anything.
            if (arguments, answer) not in seen and (answer != bpf.ALLOW or kind == "fits"):
                seen.add((arguments, answer))
                made.append((one, kind, arguments, answer))
        answers = {answer == bpf.ALLOW for _, answer in seen}
        assert False in answers, f"{one}: nothing refused was performed"
    allowed = [row for row in made if row[3] == bpf.ALLOW]
    refused = [row for row in made if row[3] != bpf.ALLOW]
    calls = [call_of(one, arguments) for one, _, arguments, _ in allowed]
    for row, found, control in zip(allowed, perform(calls, program(name)), perform(calls, None), strict=True):
        is_made = found == control and found not in ("EPERM", "SIGSYS", "hung", "ENOTTY")
        assert is_made, f"{shown(row)}: {found} under the filter, {control} without"
    calls = [call_of(one, arguments) for one, _, arguments, _ in refused]
    for row, found in zip(refused, perform(calls, program(name), together=True), strict=True):
        assert found == said(row[3]), f"{shown(row)}: {found}, not {said(row[3])}"
    assert {row[0] for row in allowed} >= set(conditional(name)) - {"socket"}


@every_filter
def test_a_set_upper_half_does_not_get_a_refused_value_through(name: str) -> None:
    """The kernel drops the upper half of an int: a filter that compares it is got round (CVE-2019-7303)."""
    tiocsti, high = 0x5412, 1 << 32
    calls = [call_of("ioctl", (BAD, value)) for value in (tiocsti, tiocsti | high, tiocsti | 1 << 63)]
    calls += [call_of("socket", (38 | high, 5, 0)), call_of("clone", (1 << 28 | high, 0, 0, 0, 0))]
    assert perform(calls, program(name)) == ["ENOTTY"] * 3 + ["EAFNOSUPPORT", "EPERM"]


@every_filter
@pytest.mark.skipif(MACHINE != "x86_64", reason="these ways in are x86-64's")
def test_the_other_ways_into_the_kernel_kill(name: str) -> None:
    x32 = [
        ("call", 0x40000000 | number, (BAD,) * 6) for number in (*range(0, 600, 7), OURS["getpid"], 512, 547)
    ]
    assert set(perform(x32, program(name))) == {"SIGSYS"}
    (control,) = perform([("int80", 0, ())], None)
    if control != "ok":
        pytest.skip(f"this kernel runs no 32-bit programs: {control}")
    assert perform([("int80", 0, ())], program(name)) == ["SIGSYS"]


@every_filter
def test_a_second_filter_cannot_be_put_in_its_place(name: str) -> None:
    """PR_SET_SECCOMP and seccomp(2): the newest listener would win."""
    calls = [call_of("seccomp", (1, 0, 0)), call_of("seccomp", (1, 8, 0)), call_of("prctl", (22, 2, 0))]
    assert perform(calls, program(name)) == ["EPERM"] * 3
