"""``seccomp.compiler``: the compiled filters do what their rules say."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seccomp.compiler import MOST_INSTRUCTIONS, CompileError, compile_profile
from seccomp.profile import Action, ActionKind, Argument, Op, Profile, SyscallRule, load
from seccomp.tables import MACHINES, NUMBERS
from tests.support import bpf, rules

EPERM = Action(ActionKind.ERRNO, 1)
ALLOW = Action(ActionKind.ALLOW)
# Above the numbers of every machine.
MOST_NUMBER = 600
every_program = pytest.mark.parametrize(
    ("name", "machine"), [(name, machine) for name in rules.PROFILES for machine in MACHINES]
)


def compiled(name: str, machine: str) -> list[bpf.Instruction]:
    """The program of one of our profiles, checked as the kernel would."""
    return bpf.unpack(compile_profile(load(name), machine))


@every_program
def test_every_number_gets_the_answer_of_the_first_rule_that_fits(name: str, machine: str) -> None:
    code = compiled(name, machine)
    profile = rules.content(name)
    names = {number: known for known, number in NUMBERS[machine].items()}
    for number in range(MOST_NUMBER + 1):
        known = names.get(number)
        for arguments in rules.samples(profile, known) if known else [(0,) * 6]:
            found = bpf.run(code, number, arguments, bpf.ARCHITECTURE[machine])
            wanted = rules.expected(profile, known, arguments)
            assert found == wanted, f"{known or number}{arguments}: {found:#x}, not {wanted:#x}"


@every_program
def test_a_number_that_nobody_knows_does_not_exist(name: str, machine: str) -> None:
    code = compiled(name, machine)
    known = set(NUMBERS[machine].values())
    for number in (*(set(range(MOST_NUMBER)) - known), 1 << 20, (1 << 30) - 1):
        answer = bpf.run(code, number, (), bpf.ARCHITECTURE[machine])
        assert answer == bpf.ERRNO | rules.ENOSYS


@pytest.mark.parametrize("name", rules.PROFILES)
def test_the_x32_half_of_the_numbers_kills(name: str) -> None:
    code = compiled(name, "x86_64")
    for number in (*range(MOST_NUMBER), (1 << 31) - (1 << 30), (1 << 32) - 1 - (1 << 30)):
        assert bpf.run(code, (1 << 30) + number) == bpf.KILL_PROCESS


@every_program
def test_another_architecture_kills_whatever_the_number(name: str, machine: str) -> None:
    code = compiled(name, machine)
    for other, arch in bpf.ARCHITECTURE.items():
        if other != machine:
            for number in range(MOST_NUMBER):
                assert bpf.run(code, number, (), arch) == bpf.KILL_PROCESS


@every_program
def test_the_architecture_and_the_number_are_looked_at_before_anything_else(name: str, machine: str) -> None:
    code = compiled(name, machine)
    assert code[0][0] == 0x20 and code[0][3] == 4  # load arch
    assert code[1][0] == 0x15 and code[1][3] == bpf.ARCHITECTURE[machine]
    loads = [at for at, (op, _, _, k) in enumerate(code) if op == 0x20 and k >= 16]
    numbers = [at for at, (op, _, _, k) in enumerate(code) if op == 0x20 and k == 0]
    assert len(numbers) == 1 and numbers[0] < min(loads)


@every_program
def test_no_comparison_looks_at_the_upper_half_of_an_argument(name: str, machine: str) -> None:
    for op, _, _, k in compiled(name, machine):
        assert op != 0x20 or k < 16 or k % 8 == 0


@every_program
def test_the_same_profile_gives_the_same_bytes(name: str, machine: str) -> None:
    assert compile_profile(load(name), machine) == compile_profile(load(name), machine)


def test_a_profile_that_is_too_long_for_the_kernel_is_refused() -> None:
    rule = [
        SyscallRule(("read",), ALLOW, (Argument(1, Op.EQ, n), Argument(2, Op.EQ, n)), "x")
        for n in range(2000)
    ]
    with pytest.raises(CompileError, match=rf"instructions, the kernel takes {MOST_INSTRUCTIONS}"):
        compile_profile(Profile("long", EPERM, MACHINES, tuple(rule)), "x86_64")


def test_a_profile_is_compiled_only_for_the_machines_that_it_names() -> None:
    with pytest.raises(CompileError, match="not for 'riscv64'"):
        compile_profile(load("cell"), "riscv64")


# A few calls next to each other and far apart, one of them x86-64's alone.
CALLS = ("read", "write", "open", "openat", "clone", "file_setattr")
VALUES = st.one_of(
    st.integers(0, 5), st.integers(0, (1 << 32) - 1), st.sampled_from([1 << 31, (1 << 32) - 1])
)


@st.composite
def arguments(draw: st.DrawFn) -> Argument:
    op, value = draw(st.sampled_from(Op)), draw(VALUES)
    return Argument(draw(st.integers(0, 5)), op, value, draw(VALUES) & value if op is Op.MASKED_EQ else 0)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    actions = st.sampled_from([ALLOW, EPERM, Action(ActionKind.KILL_PROCESS), Action(ActionKind.ERRNO, 38)])
    found = draw(st.lists(
        st.builds(
            SyscallRule,
            st.lists(st.sampled_from(CALLS), min_size=1, unique=True).map(tuple),
            actions,
            st.lists(arguments(), max_size=4).map(tuple),
            st.just("because"),
        ),
        # Past 255 instructions the far jumps begin.
        max_size=draw(st.sampled_from([3, 10, 120])),
    ))  # fmt: skip
    return Profile("any", draw(actions), MACHINES, tuple(found))


def as_json(profile: Profile) -> rules.Json:
    """The profile as the text of a file, which the test reads for itself."""

    def named(action: Action) -> dict[str, object]:
        shown: dict[str, object] = {"action": f"SCMP_ACT_{action.kind.name}"}
        return {**shown, "errnoRet": action.errno} if action.errno else shown

    default = named(profile.default)
    return {
        "defaultAction": default["action"],
        "defaultErrnoRet": default.get("errnoRet", 0),
        "syscalls": [
            {
                "names": rule.names,
                **named(rule.action),
                "args": [
                    {"index": one.position, "op": one.op.value, "value": one.value, "valueTwo": one.value_two}
                    for one in rule.arguments
                ],
            }
            for rule in profile.rules
        ],
    }


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.data(), profiles(), st.sampled_from(MACHINES))
def test_any_profile_is_compiled_to_what_it_says(data: st.DataObject, profile: Profile, machine: str) -> None:
    code = bpf.unpack(compile_profile(profile, machine))
    content = as_json(profile)
    values = sorted(
        {value for rule in profile.rules for one in rule.arguments for value in (one.value, one.value_two)}
    )
    near = st.sampled_from(values or [0]).flatmap(
        lambda value: st.sampled_from([value, (value + 1) % (1 << 32), value | 1 << 32, 0])
    )
    for name in CALLS:
        if name not in NUMBERS[machine]:
            continue
        given = data.draw(st.tuples(*[near] * 6))
        found = bpf.run(code, NUMBERS[machine][name], given, bpf.ARCHITECTURE[machine])
        assert found == rules.expected(content, name, given)
