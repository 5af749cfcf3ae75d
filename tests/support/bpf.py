"""Classic BPF as seccomp(2) runs it: a small interpreter, written from linux/filter.h, for compiled filters.

It refuses whatever the kernel would refuse to load: unknown instructions, jumps past the end, programs
without a RET at their end or longer than BPF_MAXINSNS.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "i386": 0x40000003}
ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
MOST_INSTRUCTIONS = 4096
# struct seccomp_data: nr, arch, instruction pointer, six arguments of 64 bits.
CALL = struct.Struct("<iIQ6Q")

Instruction = tuple[int, int, int, int]

_LD_ABS, _LD_IMM, _JA, _RET = 0x20, 0x00, 0x05, 0x06
_ALU = {
    0x54: lambda a, k: a & k,  # AND
    0x44: lambda a, k: a | k,  # OR
}
_JUMPS = {
    0x15: lambda a, k: a == k,  # JEQ
    0x25: lambda a, k: a > k,  # JGT
    0x35: lambda a, k: a >= k,  # JGE
    0x45: lambda a, k: bool(a & k),  # JSET
}


def unpack(program: bytes) -> list[Instruction]:
    """The instructions (code, jt, jf, k), checked as the kernel checks them; ValueError."""
    if len(program) % 8 or not 0 < len(program) <= MOST_INSTRUCTIONS * 8:
        raise ValueError(f"{len(program)} bytes are no program")
    code = list(struct.iter_unpack("<HBBI", program))
    for at, (op, jt, jf, k) in enumerate(code):
        if op in _JUMPS:
            targets = (jt, jf)
        elif op == _JA:
            targets = (k,)
        elif op in (_RET, _LD_IMM, *_ALU) or (op == _LD_ABS and k % 4 == 0 and k < CALL.size):
            targets = () if op == _RET else (0,)
        else:
            raise ValueError(f"instruction {at}: code {op:#x} with {k:#x}")
        if any(at + 1 + target >= len(code) for target in targets):
            raise ValueError(f"instruction {at}: leaves the program")
    if code[-1][0] != _RET:
        raise ValueError("the last instruction is no RET")
    return code


def run(
    code: Sequence[Instruction],
    number: int,
    arguments: Sequence[int] = (),
    arch: int = ARCHITECTURE["x86_64"],
) -> int:
    """What the program answers to one call, as the 32 bits that it returns."""
    signed = number - (1 << 32) if number >= 1 << 31 else number
    raw = CALL.pack(signed, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    words = struct.unpack("<16I", raw)
    accumulator = at = 0
    while True:
        op, jt, jf, k = code[at]
        at += 1
        if op == _LD_ABS:
            accumulator = words[k // 4]
        elif op == _RET:
            return k
        elif op == _JA:
            at += k
        elif op == _LD_IMM:
            accumulator = k
        elif op in _JUMPS:
            at += jt if _JUMPS[op](accumulator, k) else jf
        else:
            accumulator = _ALU[op](accumulator, k)
