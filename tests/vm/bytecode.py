"""Bytecode of all that the guest imports, made here: a translated processor compiles for minutes.

Installers of packages leave it there too, unless they are told not to; and what runs in a cell or as
another user cannot write it down, so that each such process would compile again.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from supervisor.runtimes import RUNTIME_NAMES
from supervisor.runtimes.runtime_record import read_record

PACKAGES = ("supervisor", "worker", "function", "seccomp", "tests")
# Of a runtime's own interpreter: what the zygote and the cells run.
IN_CELLS = ("worker", "function")
# Everything, once; what is there and not older is only looked at.
COMPILE_SECONDS = 300


def make(checkout: Path) -> None:
    """Best effort: what cannot be compiled or written is compiled in the guest."""
    for python, folders in _wanted(checkout):
        command = [str(python), "-I", "-m", "compileall", "-q", "-j", "0", *map(str, folders)]
        subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=COMPILE_SECONDS, check=False,
        )  # fmt: skip


def _wanted(checkout: Path) -> Iterator[tuple[Path, list[Path]]]:
    yield Path(sys.executable), [Path(sysconfig.get_path("purelib")), *(checkout / name for name in PACKAGES)]
    runtimes = Path(sys.prefix) / "share/cellblock/runtimes"
    for name in RUNTIME_NAMES:
        record = read_record(runtimes, name)
        if record is not None:
            libraries = runtimes / name / record.libraries
            yield record.python, [libraries, *(checkout / package for package in IN_CELLS)]
