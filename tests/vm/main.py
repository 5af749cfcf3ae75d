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
import shlex
import shutil
import signal
import sys
import tarfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import TextIO

from supervisor.runtimes import RUNTIME_NAMES
from supervisor.runtimes.runtime_record import read_record
from tests.vm import boot, bytecode, machine
from tests.vm.kernel import KernelError

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
SYSTEM_FOLDERS = ("/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64")


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
    except (boot.RunError, KernelError, machine.MachineError, LookupError) as error:
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
        raise boot.RunError(f"another run holds {lock.name}") from None


def _run(given: argparse.Namespace, selection: list[str]) -> int:
    boot.require_programs()
    guest_kernel = boot.chosen_kernel(CACHE, given.kernel)
    accelerator = given.accelerator or machine.best_accelerator()
    users = [given.user] if given.user else list(USERS)
    bytecode.make(CHECKOUT)
    shutil.rmtree(LAST_RUN, ignore_errors=True)
    LAST_RUN.mkdir()
    shared = {f"folder{number}": path for number, path in enumerate(folders())}
    image = LAST_RUN / "initramfs"
    plan = tests_plan(users, selection, accelerator)
    image.write_bytes(boot.initramfs_of(guest_kernel, HERE / "guest", root_plan(shared), plan))
    guest = machine.Machine(accelerator, guest_kernel.image, image, shared, LAST_RUN / "results.tar")
    print(f"test-vm: starting {guest_kernel.version} ({accelerator})", flush=True)
    began = time.monotonic()
    boot.until_it_ends(guest, DEADLINE_SECONDS[accelerator], LAST_RUN / "console.log")
    _unpack_results(LAST_RUN / "results.tar")
    print(f"test-vm: the guest ran for {time.monotonic() - began:.0f} s; all of it is in {LAST_RUN}")
    return max(_verdict(user) for user in users)


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


def _unpack_results(path: Path) -> None:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                content = archive.extractfile(member)
                # The name is the guest's: of it only the last part counts.
                if content is not None:
                    (path.parent / Path(member.name).name).write_bytes(content.read())
    except (OSError, tarfile.TarError) as error:
        raise boot.RunError(
            f"the guest ended without results ({error}); see {path.parent}/console.log"
        ) from error


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
