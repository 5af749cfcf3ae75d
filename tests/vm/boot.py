"""What every guest needs, whatever it is for: a kernel, an initramfs with its script, and to come up."""

from __future__ import annotations

import platform
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from tests.vm import initramfs, machine
from tests.vm.kernel import Kernel, KernelError, kernel

HERE = Path(__file__).resolve().parent
MODULES = ("virtio_pci", "virtio_console", "9p", "9pnet_virtio", "overlay")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
UP = re.compile(r"^vm: \S+ is up\b")
# A kernel that changes its own code while it starts may meet the translator's copy of the old one on the
# other processor, and ends ("Oops: int3" in sched_clock_idle_wakeup_event, qemu 7.2): one start in some ten.
STARTS_MOST = 4


class RunError(Exception):
    """The tests could not be run, or their results are missing; the text says why."""


def require_programs() -> None:
    """Raises RunError where no guest can be started."""
    if platform.machine() != "x86_64":
        raise RunError("the guest is an x86-64 one, and this machine is not")
    for program in (machine.QEMU, "busybox"):
        if shutil.which(program) is None:
            raise RunError(f"{program} is missing; make test-vm installs it with apt-get, as root")


def chosen_kernel(cache: Path, kind: str | None) -> Kernel:
    """The kernel of that kind; without one a newer than the release's own, where there is one."""
    if kind:
        return kernel(cache, kind)
    try:
        return kernel(cache, "backports")
    except KernelError as error:
        print(f"test-vm: {error}; taking the release's own kernel", file=sys.stderr)
        return kernel(cache, "stable")


def initramfs_of(guest_kernel: Kernel, script: Path, root: str, settings: str) -> bytes:
    """The first file system: its init puts ``root`` together and becomes the script, which has settings."""
    busybox = shutil.which("busybox")
    assert busybox is not None  # require_programs
    entries = [initramfs.folder(name) for name in ("bin", "dev", "plan", "modules")]
    entries += [
        initramfs.console(),
        initramfs.program("bin/busybox", Path(busybox).read_bytes()),
        initramfs.program("init", (HERE / "init").read_bytes()),
        initramfs.plain("guest", script.read_bytes()),
        initramfs.plain("plan/root", root.encode()),
        initramfs.plain("plan/tests", settings.encode()),
    ]
    for number, (name, data) in enumerate(initramfs.modules(guest_kernel.modules, MODULES)):
        entries.append(initramfs.plain(f"modules/{number:02}-{name}", data))
    return initramfs.archive(entries)


def until_it_ends(guest: machine.Machine, seconds: float, console: Path) -> str:
    """Run the guest to its end, again if it ended before its script began; what its console said.

    Raises RunError when it has not ended in time.
    """
    text = ""
    for attempt in range(1, STARTS_MOST + 1):
        with console.open("w") as log:
            in_time = machine.run(guest, seconds, _printer(log))
        text = console.read_text()
        if not in_time:
            raise RunError(f"ended after {seconds} s, unfinished; see {console}")
        if any(UP.match(line) for line in text.splitlines()):
            break
        print(f"test-vm: the guest did not come up, start {attempt} of {STARTS_MOST}", flush=True)
    return text


def _printer(log: TextIO) -> Callable[[str], None]:
    began = time.monotonic()

    def on_line(line: str) -> None:
        # The tests are hostile on purpose: what they print may not steer a terminal.
        text = CONTROL.sub("", line)
        if UP.match(text):
            text += f" after {time.monotonic() - began:.1f} s"
        print(text, flush=True)
        print(text, file=log, flush=True)

    return on_line
