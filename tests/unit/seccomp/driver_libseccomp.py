"""Builds a filter with libseccomp and prints it in hex; for the system's Python, which has its bindings.

Standard input: {"machine", "default": code, "rules": [[names, code, [[index, mask or op, value]…]]…],
"names": […]}.  Standard output: {"program": hex, "numbers": {name: number on that machine, or −1}}.
"""

import json
import sys
import tempfile

import seccomp

ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
ARCHITECTURES = {"x86_64": seccomp.Arch.X86_64, "aarch64": seccomp.Arch.AARCH64}


def action(code):
    """libseccomp's action for the 32 bits that a filter returns."""
    if code == ALLOW:
        return seccomp.ALLOW
    return seccomp.KILL_PROCESS if code == KILL_PROCESS else seccomp.ERRNO(code & 0xFFFF)


def main():
    """Build, export, print."""
    asked = json.load(sys.stdin)
    architecture = ARCHITECTURES[asked["machine"]]
    made = seccomp.SyscallFilter(action(asked["default"]))
    made.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    if seccomp.system_arch() != architecture:
        made.remove_arch(seccomp.Arch.NATIVE)
        made.add_arch(architecture)
    numbers = {name: seccomp.resolve_syscall(architecture, name) for name in asked["names"]}
    for names, code, conditions in asked["rules"]:
        for name in names:
            if numbers[name] < 0:
                continue
            arguments = [
                seccomp.Arg(index, seccomp.MASKED_EQ, how, value)
                if isinstance(how, int)
                else seccomp.Arg(index, getattr(seccomp, how), value)
                for index, how, value in conditions
            ]
            try:
                made.add_rule(action(code), name, *arguments)
            except RuntimeError as error:
                sys.exit(f"{name} {conditions}: {error}")
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        json.dump({"program": file.read().hex(), "numbers": numbers}, sys.stdout)


main()
