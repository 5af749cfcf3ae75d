"""``seccomp.tables`` agrees with the C library's headers, where this machine has them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from seccomp.tables import MACHINES, NUMBERS, is_known

HEADERS = {
    "x86_64": (
        Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        Path("/usr/include/asm/unistd_64.h"),
    ),
    "aarch64": (Path("/usr/include/asm-generic/unistd.h"),),
}
# Names of the generic header that stand for a family or for 32-bit machines; arm64 has no such call.
NOT_ARM64 = {"arch_specific_syscall", "syscalls", "sync_file_range2", "vfork"}


@pytest.mark.parametrize("machine", MACHINES)
def test_no_two_calls_share_a_number(machine: str) -> None:
    numbers = list(NUMBERS[machine].values())
    assert len(set(numbers)) == len(numbers)
    assert all(0 <= number < 600 for number in numbers)


def test_from_424_on_all_machines_have_the_same_numbers() -> None:
    later = [{name: n for name, n in NUMBERS[machine].items() if n >= 424} for machine in MACHINES]
    assert later[0] == later[1]
    assert sorted(later[0].values()) == list(range(424, max(later[0].values()) + 1))


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_those_of_the_headers(machine: str) -> None:
    header = next((path for path in HEADERS[machine] if path.exists()), None)
    if header is None:
        pytest.skip("the kernel's headers are not installed")
    found = re.findall(r"^#define __NR(3264)?_(\w+)\s+(\d+)\s*$", header.read_text(), re.MULTILINE)
    ours = {number: name for name, number in NUMBERS[machine].items()}
    assert len(found) > 280
    for is_renamed, name, number in found:
        # 244 to 259 belong to each architecture, 403 to 423 to 32-bit machines with 64-bit time.
        is_odd = 244 <= int(number) <= 259 or 403 <= int(number) <= 423
        if name in NOT_ARM64 or (machine == "aarch64" and is_odd):
            continue
        # Of two names of a number, the one without a suffix is the 64-bit call.
        if not is_renamed and int(number) in ours:
            assert ours[int(number)] == name


def test_a_name_is_known_if_any_machine_has_it() -> None:
    assert is_known("fork") and is_known("read") and is_known("file_setattr")
    assert not is_known("socketcall") and not is_known("")
