"""J. Life cycle (92, 93, 95, 96): what a cell might have of its parents, siblings or forerunners.

97, uploads, is ``tests/unit/bundles/test_attacks.py``; 94 is ``tests/fault/test_processes_that_die.py``.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.warden.cells.uid_pool import IDS_PER_CELL, UidPool
from tests.escape.attacks import life_cycle
from tests.escape.canaries import Canaries
from tests.escape.conftest import Target
from tests.escape.hostile import SOURCE
from tests.support.groups import groups_of
from tests.support.patience import FACTOR
from tests.support.processes import descendants_of, outer_uid, pid_namespace
from tests.support.runtimes import only_default_runtime
from tests.support.server import TOKEN, Server
from tests.support.together import together
from tests.support.weakened import weakened_tree

REPOSITORY = Path(__file__).parents[2]
Targets = Callable[[str, frozenset[str]], Target]
# An interpreter and what it has loaded: a scan that saw less has not looked.
SCANNED_MIB = 10
# To look at all of its memory twice; a translated processor takes minutes for that.
ROOMY = {"memory": 512, "timeout": int(60 * FACTOR)}
# A cell of its own for each way to look: what one leaves behind is not what the other is about.
OPTIONS = {"SCAN": ROOMY, "OBJECTS": {**ROOMY, "memory": 448}}
SIBLINGS = 4
DEATHS, AT_ONCE = 40, 8
SETTLE_SECONDS = 15.0
# What a server's own runtime cannot give is left out of its siblings' numbers.
FROM_THE_KERNEL = ("uuid4", "secrets", "urandom", "temporary name", "numpy generator")

pytestmark = pytest.mark.needs_sandbox


# ---- 92: own memory -----------------------------------------------------------------------------


@pytest.fixture
def target(targets: Targets, canaries: Canaries) -> Target:
    """A complete server whose warden and fronts hold secrets in their environment."""
    made = targets("A", frozenset())
    environment = Path(f"/proc/{made.server.pid}/environ").read_bytes()
    assert canaries.token.encode() in environment and TOKEN.encode() in environment
    return made


@pytest.mark.parametrize("how", ["SCAN", "OBJECTS"])
def test_092_nothing_of_the_servers_secrets_is_in_a_cells_memory(target: Target, how: str) -> None:
    found = target.attack(f"HOLD = False\n{getattr(life_cycle, how)}", OPTIONS[how])
    assert found["seen"] == []
    if how == "SCAN":
        assert found["mebibytes"] >= SCANNED_MIB
    else:
        assert not [name for name in found["environment"] if name.startswith("CELLBLOCK_")]
        assert "CANARY" not in found["environment"]


@pytest.mark.parametrize("how", ["SCAN", "OBJECTS"])
def test_092_control_a_secret_that_is_there_is_found(target: Target, how: str) -> None:
    found = target.attack(f"HOLD = True\n{getattr(life_cycle, how)}", OPTIONS[how])
    assert found["kept"][0] in found["seen"]


def test_092_a_cells_memory_is_no_file_to_its_own_code(target: Target) -> None:
    assert target.attack(life_cycle.MEMORY_FILE, ROOMY) == "EACCES"


# ---- 93: randomness -----------------------------------------------------------------------------


def numbers_of_siblings(folder: Path, without: frozenset[str]) -> list[dict[str, Any]]:
    """The first random numbers of functions whose cells are of one zygote."""
    # What imports numpy.random in the zygote; numpy alone leaves it to whoever wants it.
    has_numpy = any(only_default_runtime(folder).glob("*/libraries-*/pandas"))
    settings: dict[str, Any] = {
        "runtimes_dir": folder / "only", "preload": '["pandas"]' if has_numpy else "[]",
        "blank_cells": SIBLINGS,
    }  # fmt: skip
    python = weakened_tree(folder, without) if without else None
    server = Server(folder / "data", 1, python=python, **settings)
    try:
        code = f"NUMPY = {has_numpy}\n{life_cycle.RANDOM}"
        found = []
        for number in range(SIBLINGS):
            # Names pandas, so that all are cells of the zygote that has it.
            server.deploy(f"sibling-{number}", f"{SOURCE}\ndef never():\n    import pandas\n")
            answer = server.call(f"sibling-{number}", json={"code": code, "know": {}})
            assert answer.status_code == 200, answer.text
            found.append(answer.json()["found"])
        return found
    finally:
        assert server.stop() == 0, server.log


def test_093_siblings_of_one_zygote_draw_different_random_numbers(tmp_path: Path) -> None:
    found = numbers_of_siblings(tmp_path, frozenset())
    assert set(found[0]) >= {"random", "bits", "uuid4"}
    for name in found[0]:
        assert len({numbers[name] for numbers in found}) == SIBLINGS, name


def test_093_control_without_the_step_siblings_draw_the_same_ones(tmp_path: Path) -> None:
    found = numbers_of_siblings(tmp_path, frozenset({"random"}))
    for name in set(found[0]) - set(FROM_THE_KERNEL):
        assert len({numbers[name] for numbers in found}) == 1, name


# ---- 95: a number that is another's by now ------------------------------------------------------

# A process ends and is reaped, and a bystander gets its number: asked of the kernel, which would take days.
REUSE = """
import ctypes, os, select, signal, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
CLONE3 = 435
culprit = os.fork()
if culprit == 0:
    signal.pause()
pidfd = os.pidfd_open(culprit)
os.kill(culprit, signal.SIGKILL)
os.waitpid(culprit, 0)
wanted = ctypes.c_int(culprit)
# struct clone_args: only the signal at the end (SIGCHLD) and the number that is wanted.
words = struct.pack("11Q", 0, 0, 0, 0, 17, 0, 0, 0, ctypes.addressof(wanted), 1, 0)
arguments = ctypes.create_string_buffer(words)
bystander = libc.syscall(CLONE3, arguments, ctypes.c_size_t(88))
if bystander == 0:
    while True:
        libc.pause()
if bystander < 0:
    print("no clone3", os.strerror(ctypes.get_errno()))
    sys.exit()
assert bystander == culprit
try:
    if sys.argv[1] == "pidfd":
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    else:
        os.kill(culprit, signal.SIGKILL)
except ProcessLookupError:
    pass
# A kill is pending before kill() returns; whoever was killed is gone soon, who was not stays.
alive = os.pidfd_open(bystander)
gone, _, _ = select.select([alive], [], [], 0.5)
print("killed" if gone else "alive")
if not gone:
    os.kill(bystander, signal.SIGKILL)
os.waitpid(bystander, 0)
"""


@pytest.mark.parametrize(("how", "bystander"), [("pidfd", "alive"), ("number", "killed")])
def test_095_a_kill_by_pidfd_never_hits_who_has_the_number_now(how: str, bystander: str) -> None:
    """With its control: a kill by number does."""
    done = subprocess.run(
        [sys.executable, "-c", REUSE, how], capture_output=True, text=True, timeout=30, check=True
    )
    if done.stdout.startswith("no clone3"):
        pytest.skip(f"a process's number cannot be chosen here: {done.stdout.strip()}")
    assert done.stdout.strip() == bystander, done.stderr


def test_095_the_warden_kills_cells_by_pidfd_only() -> None:
    tree = ast.parse((REPOSITORY / "supervisor/warden/cells/held_cell.py").read_text())
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert "signal.pidfd_send_signal" in called
    assert not called & {"os.kill", "os.killpg", "signal.pthread_kill"}


# ---- 96: ids and groups that are another's by now -------------------------------------------------


def test_096_a_pair_of_ids_is_nobodys_until_its_owner_is_gone() -> None:
    slots = UidPool(range(5000, 6000), 2)
    first, second = slots.take(), slots.take()
    assert not set(slots.ids(first)) & set(slots.ids(second))
    assert slots.free == 0
    with pytest.raises(IndexError):  # rather wait than share
        slots.take()
    slots.give_back(first)
    assert slots.ids(slots.take()) == slots.ids(first)


def test_096_control_whoever_hands_ids_out_in_turn_gives_two_cells_the_same() -> None:
    naive = [5000 + number % 2 * IDS_PER_CELL for number in range(3)]
    assert naive[0] == naive[2], "and the first may still be alive"


@pytest.fixture
def crowded(make_server: Callable[..., Server], tmp_path: Path) -> Iterator[Server]:
    """A server with few ids: each is used again soon."""
    server = make_server(
        runtimes_dir=only_default_runtime(tmp_path), preload="[]", blank_cells=2, max_cells=AT_ONCE + 4
    )
    for number in range(AT_ONCE):
        server.deploy(f"dies-{number}", SOURCE, max_instances=1)
    yield server


def owners(server: Server) -> dict[int, set[str]]:
    """Pair of outer ids → the pid namespaces whose processes have one of them now."""
    found: dict[int, set[str]] = {}
    for pid in descendants_of(server.pid):
        namespace = pid_namespace(pid)
        try:
            uid = outer_uid(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if uid >= 1_000_000_000 and namespace and pid_namespace(pid) == namespace:
            found.setdefault(uid // IDS_PER_CELL, set()).add(namespace)
    return found


@pytest.mark.needs_root
def test_096_no_two_cells_have_the_same_ids_at_any_moment_of_a_storm_of_deaths(crowded: Server) -> None:
    shared: list[dict[int, set[str]]] = []
    pairs: dict[int, set[str]] = {}
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            now = owners(crowded)
            shared.extend({pair: spaces} for pair, spaces in now.items() if len(spaces) > 1)
            for pair, spaces in now.items():
                pairs.setdefault(pair, set()).update(spaces)

    looking = threading.Thread(target=look)
    looking.start()
    body = {"code": life_cycle.DIES_WITH_CHILDREN, "know": {}}
    try:
        for _ in range(DEATHS // AT_ONCE):
            calls = [lambda number=number: crowded.call(f"dies-{number}", json=body).status_code
                     for number in range(AT_ONCE)]  # fmt: skip
            assert set(together(calls)) == {502}
    finally:
        over.set()
        looking.join(30)
    assert not shared
    assert any(len(spaces) > 1 for spaces in pairs.values()), "no pair was used twice: nothing was tried"


def test_096_after_a_storm_of_deaths_each_leaf_is_of_a_living_cell_and_no_process_is_left(
    crowded: Server,
) -> None:
    body = {"code": life_cycle.DIES_WITH_CHILDREN, "know": {}}
    names: set[str] = set()
    for _ in range(DEATHS // AT_ONCE):
        calls = [lambda number=number: crowded.call(f"dies-{number}", json=body).status_code
                 for number in range(AT_ONCE)]  # fmt: skip
        assert set(together(calls)) == {502}
        names |= leaves_of(crowded)
    deadline = time.monotonic() + SETTLE_SECONDS
    while (left := leftovers(crowded)) and time.monotonic() < deadline:
        # Removed with the next cell: somebody has to want one.
        assert crowded.call("dies-0", json={"code": "found = 1", "know": {}}).status_code == 200
    assert left == []
    honest = crowded.call("dies-0", json={"code": "found = os.listdir('/tmp')", "know": {}})
    assert honest.json()["found"] == []
    assert len(names) > AT_ONCE, "leaves have names of their own, used once"


def leaves_of(server: Server) -> set[str]:
    """The names of all leaves that there are."""
    return {
        entry.name for folder, _ in groups_of(server.data_dir).values() for entry in folder.iterdir()
        if entry.is_dir()
    }  # fmt: skip


def leftovers(server: Server) -> list[str]:
    """Leaves without a process, processes of cells without a leaf, pairs of ids with two owners."""
    groups = groups_of(server.data_dir)
    if not groups:
        pytest.skip("this host gives no groups")
    found = []
    cells = {
        pid for pid in descendants_of(server.pid) if pid_namespace(pid) not in ("", pid_namespace(server.pid))
    }
    for name, (folder, _) in groups.items():
        grouped = set()
        for leaf in folder.iterdir():
            if not leaf.is_dir():
                continue
            members = {int(text) for text in (leaf / "cgroup.procs").read_text().split()}
            grouped |= members
            if not members:
                found.append(f"{name}: an empty leaf {leaf.name}")
        found += [f"{name}: process {pid} is in no leaf" for pid in sorted(cells - grouped)]
    found += [f"ids of {pair} have {len(spaces)} owners" for pair, spaces in owners(server).items()
              if len(spaces) > 1]  # fmt: skip
    return found
