"""The command: a kernel, an initramfs, the guest, and what its tests came to.

Theory of operation.  The guest is this machine's files under another kernel: ``/usr``, ``/etc``, this
checkout with its environment and the interpreters of its runtimes are shared with it, read-only, each at
its own place, and what the guest writes stays in its memory.  Nothing else of this machine can be seen in
there: no home, no ``/proc``, no network.  ``tests/vm/init`` puts that root together, ``tests/vm/guest``
runs the tests in it.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import platform
import re
import shlex
import shutil
import signal
import sys
import tarfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from supervisor.runtimes import RUNTIME_NAMES
from supervisor.runtimes.runtime_record import read_record
from tests.vm import bytecode, initramfs, machine
from tests.vm.kernel import Kernel, KernelError, kernel

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
CACHE = Path(sys.prefix) / "vm"
# Of the run before this one nothing is kept.
LAST_RUN = CACHE / "last"
TESTS = (
    "tests/unit/warden/memory/test_memory_guard.py",
    "tests/unit/warden/memory/test_memory_meters.py",
    "tests/escape",
    "tests/contract/call/test_cell.py",
)
USERS = ("root", "user")
# From the start of qemu to its end.  Translated, all escape tests took 50 minutes on two busy cores.
DEADLINE_SECONDS = {"kvm": 20 * 60, "tcg": 120 * 60}
# Before it tests are interrupted, so that what they found until then is not lost: with what they stop.
LAST_WORDS_SECONDS = 120
# How many times longer than elsewhere a server and a test may take; translated, Python takes ten to twenty.
PATIENCE = {"kvm": 1, "tcg": 8}
TEST_SECONDS = 120
MODULES = ("virtio_pci", "virtio_console", "9p", "9pnet_virtio", "overlay")
SYSTEM_FOLDERS = ("/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
UP = re.compile(r"^vm: \S+ is up$")


class RunError(Exception):
    """The tests could not be run, or their results are missing; the text says why."""


def main() -> int:
    """0 when all tests passed for everybody who was to run them; 1; 130."""
    given, selection = _arguments()
    # Ended from outside or by Ctrl-C: both end the guest on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / ".lock").open("w") as lock:
            _hold(lock)
            return _run(given, selection)
    except KeyboardInterrupt:
        print("test-vm: interrupted; the guest is gone", file=sys.stderr)
        return 130
    except (RunError, KernelError, machine.MachineError, LookupError) as error:
        print(f"test-vm: {error}", file=sys.stderr)
        return 1


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="tests/vm/run",
        allow_abbrev=False,
        description="Run tests under Debian's kernel, in qemu.  Other arguments go to pytest; "
        f"without a path among them it is given: {' '.join(TESTS)}",
    )
    parser.add_argument(
        "--kernel",
        choices=("backports", "stable"),
        help="the release's own kernel or a newer one (default: backports, or stable where there is none)",
    )
    parser.add_argument(
        "--as", dest="user", choices=USERS, help="only as this one (default: one after the other)"
    )
    parser.add_argument(
        "--accelerator", choices=("kvm", "tcg"), help="default: kvm where the processor has it, else tcg"
    )
    given, others = parser.parse_known_args()
    if not any((CHECKOUT / word.partition("::")[0]).exists() for word in others):
        others += TESTS
    return given, others


def _hold(lock: TextIO) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError(f"another run holds {lock.name}") from None


def _run(given: argparse.Namespace, selection: list[str]) -> int:
    _require_programs()
    guest_kernel = _kernel(given.kernel)
    accelerator = given.accelerator or machine.best_accelerator()
    users = [given.user] if given.user else list(USERS)
    bytecode.make(CHECKOUT)
    shutil.rmtree(LAST_RUN, ignore_errors=True)
    LAST_RUN.mkdir()
    shared = {f"folder{number}": path for number, path in enumerate(folders())}
    image = LAST_RUN / "initramfs"
    plan = tests_plan(users, selection, accelerator)
    image.write_bytes(_initramfs(guest_kernel, root_plan(shared), plan))
    guest = machine.Machine(accelerator, guest_kernel.image, image, shared, LAST_RUN / "results.tar")
    print(f"test-vm: starting {guest_kernel.version} ({accelerator})", flush=True)
    began = time.monotonic()
    with (LAST_RUN / "console.log").open("w") as log:
        in_time = machine.run(guest, DEADLINE_SECONDS[accelerator], _printer(log))
    if not in_time:
        raise RunError(f"ended after {DEADLINE_SECONDS[accelerator]} s, unfinished; see {log.name}")
    _unpack_results(LAST_RUN / "results.tar")
    print(f"test-vm: the guest ran for {time.monotonic() - began:.0f} s; all of it is in {LAST_RUN}")
    return max(_verdict(user) for user in users)


def _require_programs() -> None:
    if platform.machine() != "x86_64":
        raise RunError("the guest is an x86-64 one, and this machine is not")
    for program in (machine.QEMU, "busybox"):
        if shutil.which(program) is None:
            raise RunError(f"{program} is missing; make test-vm installs it with apt-get, as root")


def _kernel(kind: str | None) -> Kernel:
    if kind:
        return kernel(CACHE, kind)
    try:
        return kernel(CACHE, "backports")
    except KernelError as error:
        print(f"test-vm: {error}; taking the release's own kernel", file=sys.stderr)
        return kernel(CACHE, "stable")


def folders() -> list[Path]:
    """What the guest sees of this machine, outer folders first and nothing twice."""
    wanted = {Path(name) for name in SYSTEM_FOLDERS if os.path.isdir(name) and not os.path.islink(name)}
    # The environment may be a link of the checkout's to another place.
    wanted |= {CHECKOUT, Path(sys.prefix).resolve(), Path(sys.base_prefix)}
    wanted.add(Path(sys.executable).resolve().parents[1])
    for name in RUNTIME_NAMES:
        record = read_record(Path(sys.prefix) / "share/cellblock/runtimes", name)
        wanted |= set(record.host_dirs) if record else set()
    return sorted(path for path in wanted if path.is_dir() and not wanted & set(path.parents))


def root_plan(shared: dict[str, Path]) -> str:
    """What ``tests/vm/init`` is to put together, one call of its functions a line."""
    lines = [f"share {tag} {shlex.quote(str(path))}" for tag, path in shared.items()]
    lines += [f"link {os.readlink(name)} {name}" for name in SYSTEM_FOLDERS if os.path.islink(name)]
    return "\n".join(lines) + "\n"


def tests_plan(users: list[str], selection: list[str], accelerator: str) -> str:
    """The settings of ``tests/vm/guest``, as a piece of shell."""
    patience = PATIENCE[accelerator]
    return (
        f"CHECKOUT={shlex.quote(str(CHECKOUT))}\n"
        f"PYTHON={shlex.quote(str(Path(sys.prefix) / 'bin/python'))}\n"
        f"USERS={shlex.quote(' '.join(users))}\n"
        f"PATIENCE={patience} TEST_SECONDS={TEST_SECONDS * patience}\n"
        f"LAST_SECOND={DEADLINE_SECONDS[accelerator] - LAST_WORDS_SECONDS}\n"
        f"set -- {shlex.join(selection)}\n"
    )


def _initramfs(guest_kernel: Kernel, root: str, tests: str) -> bytes:
    busybox = shutil.which("busybox")
    assert busybox is not None  # _require_programs
    entries = [initramfs.folder(name) for name in ("bin", "dev", "plan", "modules")]
    entries += [
        initramfs.console(),
        initramfs.program("bin/busybox", Path(busybox).read_bytes()),
        initramfs.program("init", (HERE / "init").read_bytes()),
        initramfs.plain("guest", (HERE / "guest").read_bytes()),
        initramfs.plain("plan/root", root.encode()),
        initramfs.plain("plan/tests", tests.encode()),
    ]
    for number, (name, data) in enumerate(initramfs.modules(guest_kernel.modules, MODULES)):
        entries.append(initramfs.plain(f"modules/{number:02}-{name}", data))
    return initramfs.archive(entries)


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


def _unpack_results(path: Path) -> None:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                content = archive.extractfile(member)
                # The name is the guest's: of it only the last part counts.
                if content is not None:
                    (path.parent / Path(member.name).name).write_bytes(content.read())
    except (OSError, tarfile.TarError) as error:
        raise RunError(f"the guest ended without results ({error}); see {path.parent}/console.log") from error


def _verdict(user: str) -> int:
    try:
        status = int((LAST_RUN / f"{user}.status").read_text())
        suite = ElementTree.parse(LAST_RUN / f"{user}.xml").getroot().find("testsuite")
    except (OSError, ValueError, ElementTree.ParseError) as error:
        print(f"test-vm: {user}: no results: {error}")
        return 1
    assert suite is not None  # pytest writes one
    counts = ", ".join(f"{suite.get(name)} {name}" for name in ("tests", "failures", "errors", "skipped"))
    print(f"test-vm: {user}: {counts}, {float(suite.get('time', '0')):.0f} s; pytest says {status}")
    return int(status != 0)
