"""A Debian root that systemd boots in a virtual machine, under Debian's own kernel: cgroup v2 only."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from tests.machine.debian_root import MachineMissing
from tests.vm import boot, machine
from tests.vm.kernel import KernelError

CACHE = Path(sys.prefix) / "vm"
SCRIPT = Path(boot.__file__).parent / "systemd-guest"
# Translated, everything takes ten to twenty times as long.
STEPS_SECONDS = {"kvm": 1500, "tcg": 3600}
PATIENCE = {"kvm": 1, "tcg": 8}


def steps_in_qemu(root: Path, folder: Path, script: Path, *arguments: str) -> str:
    """What a script of steps printed in a guest with this root, to its end.

    Raises MachineMissing where there is no qemu or no kernel for it.
    """
    shutil.copy(script, root / "opt/steps")
    try:
        boot.require_programs()
        CACHE.mkdir(parents=True, exist_ok=True)
        kernel = boot.chosen_kernel(CACHE, None)
    except (boot.RunError, KernelError) as error:
        raise MachineMissing(str(error)) from None
    accelerator = machine.best_accelerator()
    image = folder / "initramfs"
    settings = f"PATIENCE={PATIENCE[accelerator]}\nARGUMENTS={shlex.quote(shlex.join(arguments))}\n"
    image.write_bytes(boot.initramfs_of(kernel, SCRIPT, "share root ''\n", settings))
    guest = machine.Machine(accelerator, kernel.image, image, {"root": root}, folder / "results.tar")
    return boot.until_it_ends(guest, STEPS_SECONDS[accelerator], folder / "console.log")
