"""The guest as qemu runs it: no network, no disk, folders of this machine to read, one port for results.

What the guest writes reaches this machine by two ways only, and both are streams of bytes: its console,
and the port for results.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

QEMU = "qemu-system-x86_64"
MEMORY_MIB = 4096
CPUS_MOST = 4
# Either is there, loaded or built in, where the processor is used.
KVM_MODULES = ("kvm_intel", "kvm_amd")
# After an interrupt or the deadline qemu has nothing to finish; this is for the kernel to free its memory.
END_SECONDS = 20.0
# qemu says so and then keeps the guest, stopped, for whoever wants to look at it.
STUCK = b"KVM internal error"


class MachineError(Exception):
    """The machine cannot go on; the text says why."""


@dataclass(frozen=True)
class Machine:
    """``shared`` maps a tag of 9p to the folder that it stands for; ``results`` is written by the guest."""

    accelerator: str
    image: Path
    initramfs: Path
    shared: dict[str, Path]
    results: Path

    def command(self) -> list[str]:
        """How qemu is started."""
        cpu = "host" if self.accelerator == "kvm" else "max"
        accelerator = "tcg,thread=multi" if self.accelerator == "tcg" else self.accelerator
        # -1 turns a panic into the end at once; the kernel's other words are in kernel.log of the results.
        # The kernel would count ticks of its timer, in a time that a busy machine may not give to the guest.
        kernel_line = "console=ttyS0 loglevel=2 panic=-1 oops=panic no_timer_check"
        words = [
            # Killed, we could not end it: then the kernel does.
            *("setpriv", "--pdeathsig", "KILL", "--"),
            *(QEMU, "-machine", "q35", "-accel", accelerator, "-cpu", cpu),
            *("-smp", str(min(os.cpu_count() or 1, CPUS_MOST)), "-m", f"{MEMORY_MIB}M"),
            *("-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot"),
            *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
            *("-kernel", str(self.image), "-initrd", str(self.initramfs), "-append", kernel_line),
            *("-serial", "stdio", "-device", "virtio-serial-pci"),
            *("-chardev", f"file,id=results,path={_quoted(self.results)}"),
            *("-device", "virtserialport,chardev=results,name=results"),
        ]
        for tag, path in self.shared.items():
            words += ["-fsdev", f"local,id={tag},path={_quoted(path)},security_model=none,readonly=on,"
                      "multidevs=remap", "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]  # fmt: skip
        return words


def _quoted(path: Path) -> str:
    # A comma would begin the next option; doubled it is one of the value.
    return str(path).replace(",", ",,")


def best_accelerator() -> str:
    """``kvm`` where the processor itself runs the guest, else ``tcg``, which translates it.

    That /dev/kvm can be opened is not enough.  There are hosts whose KVM has no help from a processor and
    wants guest kernels made for it; it interprets any other, slower than TCG, and Debian's ends there at
    the first instruction that the interpreter lacks (seen with kvm_pvm).
    """
    is_hardware = any(Path("/sys/module", name).is_dir() for name in KVM_MODULES)
    return "kvm" if is_hardware and os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg"


def run(machine: Machine, deadline_s: float, on_line: Callable[[str], None]) -> bool:
    """Run the machine to its end, each line of its console to ``on_line``; False after the deadline.

    Raises MachineError if qemu stops it half-way.
    """
    process = subprocess.Popen(
        machine.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None  # it was asked for
    try:
        return _copy_lines(process.stdout.fileno(), time.monotonic() + deadline_s, on_line)
    finally:
        process.kill()
        process.stdout.close()
        process.wait(END_SECONDS)


def _copy_lines(descriptor: int, deadline: float, on_line: Callable[[str], None]) -> bool:
    text = b""
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([descriptor], [], [], left)[0]:
            break
        data = os.read(descriptor, 65536)
        *lines, text = (text + data).split(b"\n")
        for line in lines:
            # Before a return stands what was meant to be overwritten: of a line its last state is kept.
            on_line(line.decode(errors="replace").rstrip("\r").rpartition("\r")[2])
            if line.startswith(STUCK):
                raise MachineError("KVM cannot run this guest here; try --accelerator tcg")
        if not data:
            on_line(text.decode(errors="replace"))
            return True
    return False
