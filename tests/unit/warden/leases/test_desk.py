"""A front that was taken over, against the warden's own desk: what it says, asks for, and hands back.

Each attack has its control: without the one check that stops it, the same message is granted or leaks.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import stat
import struct
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor import datagrams
from supervisor.datagrams import MESSAGE_MAX_BYTES
from supervisor.function_limits import DEFAULT_CEILINGS, LAST_SECONDS, MIB
from supervisor.link_messages import LINK, TO_WARDEN
from supervisor.link_records import CellLimits
from supervisor.warden import change_rounds
from supervisor.warden.cells.code_mount import Bundles, copy_bundle
from supervisor.warden.cells.confinement import Confinement
from supervisor.warden.cells.held_cell import Cell
from supervisor.warden.jail import _host_syscalls as sys_
from supervisor.warden.leases import desk, lease_ceilings, pipe_ends
from supervisor.warden.memory.memory_guard import MemoryGuard
from tests.support.scripted_host import (
    DIGEST,
    TIE,
    Clock,
    ScriptedFront,
    ScriptedHost,
    dead_process,
    lease,
    unconfined,
    whole,
)
from worker.message_fields import fields_of
from worker.message_table import Malformed, MessageTable, TableRow

KEY = ("space", "name", 1)
Scenario = Callable[[ScriptedHost], Coroutine[Any, Any, None]]
OnAHost = Callable[[Scenario], None]


@pytest.fixture(scope="module")
def confinement(tmp_path_factory: pytest.TempPathFactory) -> Confinement:
    return unconfined(tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def on_a_host(confinement: Confinement) -> Iterator[OnAHost]:
    with dead_process() as pidfd:

        def run(scenario: Scenario) -> None:
            async def whole() -> None:
                host = ScriptedHost(loop, confinement, 4, pidfd)
                try:
                    await host.settle()
                    await scenario(host)
                finally:
                    await host.close()

            loop = Clock()
            try:
                loop.run_until_complete(whole())
            finally:
                loop.close()

        yield run


def held() -> int:
    return len(os.listdir("/proc/self/fd"))


async def leased(host: ScriptedHost, front: ScriptedFront, ticket: int = 1, **changed: Any) -> str:
    """A cell that this front has."""
    front.asked[ticket] = KEY
    front.send({**lease(ticket, KEY, 4), **changed})
    for _ in range(6):
        await host.advance(0.05)
        for cell in list(host.cells):
            cell.go_on()
    (name,) = front.held
    return name


BOMB = {"do": "kill"}
for _ in range(200):
    BOMB = {"do": BOMB}
# What no front says: raw bytes, or a message.
MALFORMED: dict[str, Any] = {
    "no-msgpack": b"\xc1",
    "a-list": ["lease"],
    "a-number": 7,
    "nothing-in-it": {},
    "a-key-that-is-bytes": {b"do": "ack", "epoch": 1},
    "a-key-that-is-a-number": b"\x81\x01\x02",
    "bytes-after-it": msgpack.packb({"do": "ack", "epoch": 1}) + b"\x00",
    "half-of-one": msgpack.packb({"do": "ack", "epoch": 1})[:-1],
    "text-that-is-no-utf8": b"\x81\xa2do\xa1\xff",
    "too-large": {"do": "ack", "epoch": 1, "x": "x" * MESSAGE_MAX_BYTES},
    "deep": BOMB,
    "deeper-than-the-decoder": b"\x81\xa2do" + b"\x91" * 5000 + b"\xc0",
    "an-array-of-four-billion": b"\xdd\xff\xff\xff\xff",
    "an-unknown-verb": {"do": "shutdown"},
    "a-verb-that-is-a-list": {"do": ["ack"], "epoch": 1},
    "a-verb-of-python": {"do": "__class__"},
    "a-missing-field": {"do": "ack"},
    "another-field": {"do": "ack", "epoch": 1, "more": 1},
    "a-negative-epoch": {"do": "ack", "epoch": -1},
    "a-bool-for-a-number": {"do": "ack", "epoch": True},
    "a-text-for-a-number": {"do": "ack", "epoch": "1"},
    "a-float-for-a-number": {"do": "ack", "epoch": 1.0},
    "a-number-beyond-64-bits": {"do": "ack", "epoch": (1 << 64) - 1},
    "nan-cores": lease(1, KEY, 1) | {"tie": TIE | {"cpu": math.nan}},
    "infinite-cores": lease(1, KEY, 1) | {"tie": TIE | {"cpu": math.inf}},
    "no-cores": lease(1, KEY, 1) | {"tie": TIE | {"cpu": 0}},
    "negative-memory": lease(1, KEY, 1) | {"tie": TIE | {"memory_bytes": -1}},
    "no-processes": lease(1, KEY, 1) | {"tie": TIE | {"processes": 0}},
    "memory-as-text": lease(1, KEY, 1) | {"tie": TIE | {"memory_bytes": "9"}},
    "a-tie-that-is-a-list": lease(1, KEY, 1) | {"tie": list(TIE)},
    "a-tie-with-more": lease(1, KEY, 1) | {"tie": TIE | {"function_dir": "/etc"}},
    "a-digest-that-climbs": lease(1, KEY, 1) | {"digest": "../../../../etc"},
    "a-digest-with-a-newline": lease(1, KEY, 1) | {"digest": "ab" * 32 + "\n"},
    "another-network": lease(1, KEY, 1) | {"network": "hosts"},
    "another-mode": lease(1, KEY, 1) | {"mode": "root"},
    "a-runtime-with-a-path": lease(1, KEY, 1) | {"runtime": "../python"},
    "a-thousand-imports": lease(1, KEY, 1) | {"imports": ["x"] * 1000},
    "an-import-that-is-a-number": lease(1, KEY, 1) | {"imports": [1]},
    "a-name-with-a-path": {"do": "count", "ticket": 1, "space": "a/../b", "name": "f"},
    "a-cell-with-a-path": {"do": "kill", "cell": "../aaaaaaaaaa", "cause": "released"},
    "a-cell-that-is-a-number": {"do": "kill", "cell": 1, "cause": "released"},
    "a-cause-with-a-newline": {"do": "kill", "cell": "a" * 10, "cause": "x\ny"},
    "a-signal-by-number": {"do": "signal", "cell": "a" * 10, "name": 9},
    "a-cell-that-leaves-for-nothing": {"do": "leave", "cell": "a" * 10},
    "another-signal": {"do": "signal", "cell": "a" * 10, "name": "kill"},
    "rows-of-the-wardens": {"do": "page", "number": 1, "front": 1, "rows": [["cell", "x", "idle", 1]],
                            "is_last": False, "left_out": 0},
    "rows-that-break-the-reader": {"do": "page", "number": 1, "front": 1, "rows": [["function", "x"]],
                                   "is_last": True, "left_out": 0},
    "a-memory-that-goes-back": {"do": "return", "cell": "a" * 10,
                                "memory": {"is_async": 0, "next_call": 0, "served": 0}},
}  # fmt: skip


def sent(front: ScriptedFront, message: Any, descriptors: list[int]) -> None:
    data = message if isinstance(message, bytes) else msgpack.packb(message)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(descriptors)}i", *descriptors))]
    front.sock.sendmsg([data], rights if descriptors else [])


@pytest.mark.promise("T48")
@pytest.mark.parametrize("name", MALFORMED)
def test_what_no_front_says_costs_it_its_link_and_its_cells_and_the_warden_no_descriptor(
    on_a_host: OnAHost, name: str
) -> None:
    async def scenario(host: ScriptedHost) -> None:
        evil, other = host.join(), host.join()
        await leased(host, evil)
        mine = await leased(host, other)
        read, write = os.pipe()
        before = held()
        sent(evil, MALFORMED[name], [read] * 8)
        await host.settle()
        assert evil.is_gone
        # Its link and its ends of four pipes are gone; of the eight that came with it none is here.
        assert held() <= before - 1
        os.close(read)
        with pytest.raises(BrokenPipeError):
            os.write(write, b"x")
        os.close(write)
        assert (
            not other.is_gone and mine in other.held and host.desk.accounts.cell(*_of(host, mine)) is not None
        )

    on_a_host(scenario)


def _of(host: ScriptedHost, name: str) -> tuple[Any, str]:
    (session,) = [session for session in host.desk.sessions if host.desk.accounts.cell(session, name)]
    return session, name


def test_control_without_the_table_the_same_is_taken_or_an_error_and_the_descriptors_stay(
    on_a_host: OnAHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MessageTable, "decode", lambda _, __, plain, ___=0: plain)
    monkeypatch.setattr(datagrams, "discard", lambda _: None)

    async def scenario(host: ScriptedHost) -> None:
        errors: list[Any] = []
        host.loop.set_exception_handler(lambda _, context: errors.append(context))
        evil = host.join()
        read, write = os.pipe()
        before = held()
        sent(evil, {"do": "ack"}, [read] * 8)
        await host.settle()
        assert errors and not evil.is_gone
        assert held() == before + 8
        for descriptor in map(int, os.listdir("/proc/self/fd")):
            if descriptor not in (read, write) and _is_same(descriptor, read):
                os.close(descriptor)
        os.close(read)
        os.close(write)

    on_a_host(scenario)


def _is_same(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False


GREEDY: dict[str, Any] = {
    "tmp_bytes": 1 << 50, "open_files": 10**9, "processes": 10**9, "memory_bytes": 1 << 40, "cpu": 1e9,
    "is_fresh": False,
}  # fmt: skip


@pytest.mark.promise("T49")
def test_ceilings_are_the_wardens_whatever_a_front_asks_for(
    on_a_host: OnAHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    ties, kinds = _watched(monkeypatch)

    async def scenario(host: ScriptedHost) -> None:
        evil = host.join()
        await leased(host, evil, tie=GREEDY, network="host", max_instances=10**6)
        (tie,) = ties
        assert tie.memory_bytes == DEFAULT_CEILINGS["memory"] * MIB
        assert tie.tmp_bytes == DEFAULT_CEILINGS["tmp"] * MIB
        for name in ("processes", "open_files", "cpu"):
            assert getattr(tie, name) <= DEFAULT_CEILINGS[name]
        assert kinds == ["none"]

    on_a_host(scenario)


def test_control_without_the_wardens_ceilings_it_is_granted_all_of_it(
    on_a_host: OnAHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    ties, kinds = _watched(monkeypatch)
    monkeypatch.setattr(lease_ceilings, "within", lambda message, _: message)

    async def scenario(host: ScriptedHost) -> None:
        evil = host.join()
        await leased(host, evil, tie=GREEDY, network="host")
        assert ties == [CellLimits(**GREEDY)]
        assert kinds == ["host"]

    on_a_host(scenario)


def _watched(monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[str]]:
    """What cells are tied to, and the networks that they have; each is tied for all that."""
    ties: list[Any] = []
    kinds: list[str] = []
    tie = Cell.tie

    def watching(cell: Cell, limits: CellLimits, code: Any) -> None:
        ties.append(limits)
        kinds.append(cell.kind.network)
        tie(cell, limits, code)

    monkeypatch.setattr(Cell, "tie", watching)
    return ties, kinds


def _swapped(ends: list[int]) -> list[int]:
    return [ends[0], ends[2], ends[1], ends[3]]


def _opened(ends: list[int]) -> list[int]:
    return [os.open("/dev/null", os.O_RDWR) for _ in ends]


def _other_pipes(ends: list[int]) -> list[int]:
    made = [os.pipe() for _ in ends]
    kept = [made[0][1], *(read for read, _ in made[1:])]
    for index, (read, write) in enumerate(made):
        os.close(read if index == 0 else write)
    return kept


def _regular_files(ends: list[int]) -> list[int]:
    return [os.memfd_create("x") for _ in ends]


def _sockets(ends: list[int]) -> list[int]:
    return [socket.socket().detach() for _ in ends]


def _one_wrong(ends: list[int]) -> list[int]:
    return [*ends[:3], os.open("/dev/null", os.O_RDONLY)]


@pytest.mark.promise("T50")
@pytest.mark.parametrize("change", [_swapped, _opened, _other_pipes, _regular_files, _sockets, _one_wrong])
def test_a_front_can_hand_back_no_other_pipes_than_it_was_lent(
    on_a_host: OnAHost, change: Callable[[list[int]], list[int]]
) -> None:
    async def scenario(host: ScriptedHost) -> None:
        evil, other = host.join(), host.join()
        name = await leased(host, evil)
        _give_back(evil, name, change)
        await host.settle()
        assert evil.is_gone
        assert host.registry.cells[name].state.value == "dying"
        assert not host.desk.accounts.spare_of(KEY) and not other.held

    on_a_host(scenario)


def test_control_without_the_look_at_pipes_another_front_gets_what_was_made_up(
    on_a_host: OnAHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe_ends.Pipes, "are", lambda *_: True)
    monkeypatch.setattr(
        pipe_ends.Pipes, "take_back", lambda self, given: self.__dict__.update(zip(NAMES, given, strict=True))
    )

    async def scenario(host: ScriptedHost) -> None:
        evil, other = host.join(), host.join()
        name = await leased(host, evil)
        _give_back(evil, name, _opened)
        await host.settle()
        assert not evil.is_gone
        assert await leased(host, other, 2, max_instances=4) == name
        assert not any(stat.S_ISFIFO(os.fstat(end).st_mode) for end in other.held[name][1])

    on_a_host(scenario)


NAMES = ("request", "reply", "stdout", "stderr")


def _give_back(front: ScriptedFront, name: str, change: Callable[[list[int]], list[int]]) -> None:
    ends = front.held[name][1]
    given = change(ends)
    memory = {"is_async": 0, "next_call": 1, "served": 0}
    sent(front, {"do": "return", "cell": name, "memory": memory}, given)
    for descriptor in set(given) - set(ends):
        os.close(descriptor)


async def next_holder_never_waits(host: ScriptedHost) -> list[bool]:
    """Of each pipe of a cell that was handed on, while its former holder wants reads of it to wait."""
    evil, other = host.join(), host.join()
    name = await leased(host, evil)
    kept = [os.dup(end) for end in evil.held[name][1]]
    evil.give_back(name)
    await host.settle()
    assert await leased(host, other, 2) == name
    for end in kept:
        os.set_blocking(end, True)  # of the open file that it still has
        os.close(end)
    return [not os.get_blocking(end) for end in other.held[name][1]]


@pytest.mark.promise("T51")
def test_whoever_had_a_pipe_before_cannot_make_the_next_holder_wait_on_it(on_a_host: OnAHost) -> None:
    async def scenario(host: ScriptedHost) -> None:
        assert await next_holder_never_waits(host) == [True] * 4

    on_a_host(scenario)


def test_control_a_pipe_that_is_not_opened_anew_has_the_former_holders_flags(
    on_a_host: OnAHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        pipe_ends.Pipes, "take_back", lambda self, given: self.__dict__.update(zip(NAMES, given, strict=True))
    )

    async def scenario(host: ScriptedHost) -> None:
        assert await next_holder_never_waits(host) == [False] * 4

    on_a_host(scenario)


def test_a_front_reaches_no_cell_of_another(on_a_host: OnAHost) -> None:
    async def scenario(host: ScriptedHost) -> None:
        evil, other = host.join(), host.join()
        name = await leased(host, other)
        evil.send({"do": "kill", "cell": name, "cause": "released"})
        evil.send({"do": "leave", "cell": name, "cause": "released"})
        evil.send({"do": "signal", "cell": name, "name": "freeze"})
        memory = {"is_async": 0, "next_call": 1, "served": 0}
        sent(evil, {"do": "return", "cell": name, "memory": memory}, [0, 0, 0, 0])
        await host.settle()
        assert host.registry.cells[name].state.value == "leased"
        assert name in other.held and not other.ended
        await host.advance(LAST_SECONDS + 1)
        assert host.registry.cells[name].state.value == "leased"

    on_a_host(scenario)


@pytest.mark.promise("T84")
def test_a_cell_that_is_said_to_leave_is_ended_by_the_warden_and_its_place_is_free_meanwhile(
    on_a_host: OnAHost,
) -> None:
    async def scenario(host: ScriptedHost) -> None:
        front = host.join()
        name = await leased(host, front)
        assert host.desk.accounts.places(KEY) == 1
        front.send({"do": "leave", "cell": name, "cause": "released"})
        front.send({"do": "leave", "cell": name, "cause": "released"})
        await host.settle()
        assert host.desk.accounts.places(KEY) == 0
        assert host.registry.cells[name].state.value == "leased"
        await host.advance(LAST_SECONDS + 1)
        assert host.registry.cells[name].state.value == "dying"

    on_a_host(scenario)


FLOODS: dict[str, Callable[[int], dict[str, Any]]] = {
    "lease": lambda number: lease(number, ("flood", f"f{number % 50}", 1), 10**6),
    "kill": lambda _: {"do": "kill", "cell": "a" * 10, "cause": "released"},
    "leave": lambda _: {"do": "leave", "cell": "a" * 10, "cause": "released"},
    "changed": lambda number: {
        "do": "changed",
        "what": "values",
        "ticket": number,
        "space": "flood",
        "name": "",
    },
    "ack": lambda number: {"do": "ack", "epoch": number},
    "count": lambda number: {"do": "count", "ticket": number, "space": "flood", "name": "f", "version": 1},
    "survey": lambda number: {"do": "survey", "ticket": number, "space": "", "purpose": "activity"},
    "none": lambda number: {"do": "none", "ask": number},
}


async def longest_turn(host: ScriptedHost, message: Callable[[int], dict[str, Any]]) -> float:
    """The longest turn of the warden's loop while a front says this without end, seconds of processor."""
    evil, other = host.join(), host.join()
    evil.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
    longest, number = 0.0, 0
    for _ in range(30):
        for _ in range(400):
            number += 1
            try:
                evil.sock.send(msgpack.packb(message(number)))
            except BlockingIOError:
                break
        began = time.process_time()
        await asyncio.sleep(0)
        longest = max(longest, time.process_time() - began)
        other.listen()
        _drain(evil)
    assert not other.is_gone
    return longest


def _drain(front: ScriptedFront) -> None:
    """Read and forget."""
    while not front.is_gone:
        try:
            front.sock.recv(1 << 16)
        except BlockingIOError:
            return


# Some messages more than the budget of a turn, one of which may be a slow one.
TURN_MOST_S = 0.05


@pytest.mark.promise("T52")
@pytest.mark.parametrize("what", FLOODS)
def test_a_flood_of_one_front_leaves_the_others_their_turns(on_a_host: OnAHost, what: str) -> None:
    async def scenario(host: ScriptedHost) -> None:
        assert await longest_turn(host, FLOODS[what]) < TURN_MOST_S
        assert len(host.desk._changes._unacked) <= change_rounds.ANNOUNCED_AT_ONCE
        assert all(len(session.waiting) <= desk.WAITING_MOST + 1 for session in host.desk.sessions)

    on_a_host(scenario)


@settings(derandomize=True, deadline=None, max_examples=300, database=None)
@given(
    st.recursive(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-(1 << 63), (1 << 64) - 1),
            st.floats(),
            st.text(),
            st.binary(),
        ),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
        max_leaves=20,
    ),
    st.sampled_from([*(row for row in LINK.rows if row.direction == TO_WARDEN), None]),
    st.integers(0, 8),
)
@pytest.mark.slow
def test_whatever_is_sent_is_checked_without_another_error(
    value: Any, row: TableRow | None, descriptors: int
) -> None:
    fields = dict.fromkeys(fields_of(row.message), value) if row else {}
    word = row.word if row else ""
    for message in ({"do": word, **fields}, {"do": value}, value if isinstance(value, dict) else {}):
        try:
            found = LINK.decode(TO_WARDEN, message, descriptors)
        except Malformed:
            continue
        assert type(found) in LINK.messages(TO_WARDEN)


# ---- what it leaves where the warden looks ----------------------------------------------------------


def _as_link(path: Path, folder: Path) -> None:
    path.symlink_to(folder)


def _as_pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def _as_file(path: Path, _: Path) -> None:
    path.write_text("x")


def _as_deep_link(path: Path, folder: Path) -> None:
    own_root = Path("/proc/self") / "root"  # a link that the kernel makes, and no name
    path.symlink_to(own_root / folder.relative_to("/"))


PLANTED = [_as_link, _as_pipe, _as_file, _as_deep_link]


@pytest.mark.promise("T53")
@pytest.mark.parametrize("plant", PLANTED)
def test_what_a_front_plants_for_the_warden_to_open_is_neither_followed_nor_waited_for(
    tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    secret = tmp_path / "secret"
    (secret / DIGEST).mkdir(parents=True)
    plant(tmp_path / "bundles", secret)
    with pytest.raises(OSError):  # ELOOP or ENOTDIR, by what was planted
        Bundles(tmp_path / "bundles", as_mounts=False)
    (tmp_path / "real").mkdir()
    plant(tmp_path / "real" / DIGEST, secret)
    bundles = Bundles(tmp_path / "real", as_mounts=False)
    with pytest.raises(OSError):
        bundles.open(DIGEST)
    descriptor = os.open(tmp_path / "real", os.O_PATH)
    with pytest.raises(OSError):
        sys_.open_part_by_part(descriptor, DIGEST)
    os.close(descriptor)
    bundles.close()


@pytest.mark.parametrize("name", ["..", "../bundles", ".", "a/../..", "/etc", ""])
def test_a_part_that_leads_elsewhere_is_not_opened_without_openat2_either(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").mkdir()
    descriptor = os.open(tmp_path, os.O_PATH)
    before = held()
    with pytest.raises(OSError):
        sys_.open_part_by_part(descriptor, name)
    assert held() == before
    os.close(sys_.open_part_by_part(descriptor, "a"))
    os.close(descriptor)


def test_where_openat2_is_not_there_a_bundle_is_opened_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / DIGEST).mkdir()
    monkeypatch.setattr(sys_, "_NR_OPENAT2", 999)  # ENOSYS, as RestrictSUIDSGID answers
    whole(tmp_path / DIGEST)
    bundles = Bundles(tmp_path, as_mounts=False)
    bundles.open(DIGEST).close()
    (tmp_path / ("cd" * 32)).symlink_to(tmp_path / DIGEST)
    with pytest.raises(OSError):
        bundles.open("cd" * 32)
    bundles.close()


def test_control_a_plain_open_follows_the_link(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "bundles").symlink_to(tmp_path / "secret")
    descriptor = os.open(tmp_path / "bundles", os.O_PATH | os.O_DIRECTORY)
    assert os.path.samestat(os.fstat(descriptor), (tmp_path / "secret").stat())
    os.close(descriptor)


def test_a_pipe_in_a_bundle_that_is_copied_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / DIGEST).mkdir()
    os.mkfifo(tmp_path / DIGEST / "handler.py")
    whole(tmp_path / DIGEST)
    bundles = Bundles(tmp_path, as_mounts=False)
    code = bundles.open(DIGEST)
    (tmp_path / "copy").mkdir()
    with pytest.raises(OSError, match="regular files"):
        copy_bundle(code, tmp_path / "copy")
    assert not (tmp_path / "copy/handler.py").exists() or not (tmp_path / "copy/handler.py").stat().st_size
    code.close()
    bundles.close()


def test_of_the_modes_of_a_bundle_that_is_copied_whether_a_file_can_be_executed_is_kept(
    tmp_path: Path,
) -> None:
    (tmp_path / DIGEST / "bin").mkdir(parents=True)
    for name, mode in (("bin/tool", 0o4711), ("handler.py", 0o2666)):
        (tmp_path / DIGEST / name).write_bytes(b"")
        (tmp_path / DIGEST / name).chmod(mode)
    whole(tmp_path / DIGEST)
    bundles = Bundles(tmp_path, as_mounts=False)
    code = bundles.open(DIGEST)
    (tmp_path / "copy").mkdir()
    copy_bundle(code, tmp_path / "copy")
    modes = {name: (tmp_path / "copy" / name).stat().st_mode & 0o7777 for name in ("bin/tool", "handler.py")}
    assert modes == {"bin/tool": 0o755, "handler.py": 0o644}
    code.close()
    bundles.close()


def test_control_without_the_budget_of_a_turn_everything_that_waits_is_taken_in_one(
    on_a_host: OnAHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same flood, and how much of it one turn takes: one message where the time is up at once."""

    def taken_in_a_turn(budget_s: float) -> tuple[int, int]:
        counts: list[int] = []
        monkeypatch.setattr(datagrams, "TURN_SECONDS", budget_s)

        async def scenario(host: ScriptedHost) -> None:
            evil = host.join()
            await host.settle()
            said = 0
            while said < 100:
                evil.sock.send(msgpack.packb({"do": "ack", "epoch": said}))
                said += 1
            heard = []
            monkeypatch.setattr(host.desk._changes, "acknowledged", lambda *_: heard.append(1))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            counts.extend([len(heard), said])

        on_a_host(scenario)
        return counts[0], counts[1]

    taken, said = taken_in_a_turn(-1.0)
    assert taken <= 2 < said
    taken, said = taken_in_a_turn(60.0)
    assert taken == said


def test_a_cell_that_nobody_can_watch_ends(on_a_host: OnAHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guards begin after the cell was lent: an error there must not leave it running unwatched."""

    def refuse(*_: Any) -> None:
        raise RuntimeError("no memory for the books")

    async def scenario(host: ScriptedHost) -> None:
        front = host.join()
        name = await leased(host, front)
        assert host.registry.cells[name].state.value == "leased"
        monkeypatch.setattr(MemoryGuard, "watch", refuse)
        front.asked[2] = KEY
        front.send(lease(2, KEY, 4))
        for _ in range(6):
            await host.advance(0.05)
            for cell in list(host.cells):
                cell.go_on()
        (unwatched,) = set(front.held) - {name}
        assert host.registry.cells[unwatched].state.value == "dying"
        assert host.registry.cells[name].state.value == "leased"

    on_a_host(scenario)
