"""What one tenant could tell, take from, or leave for another: two spaces on one server, both hostile."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.escape.attacks import tenants
from tests.escape.canaries import Canaries
from tests.escape.conftest import Target
from tests.escape.hostile import SOURCE
from tests.escape.neighbour import Field, Tenant, field_of
from tests.support.processes import descendants_of
from tests.support.server import Server

Targets = Callable[[str, frozenset[str]], Target]

COMPLETE: frozenset[str] = frozenset()

pytestmark = [pytest.mark.needs_sandbox, pytest.mark.timeout(90)]


@dataclass
class Pair:
    """An attacker and a victim, each in a space and a cell of its own; both run what they are sent."""

    server: Server
    attacker: Tenant
    victim: Tenant
    secret: str
    know: dict[str, Any]

    def run(self, tenant: Tenant, code: str) -> Any:
        """What ``code`` finds as that tenant's."""
        answer = self.raw(tenant, code)
        assert answer.status_code == 200, answer.text
        return answer.json()["found"]

    def raw(self, tenant: Tenant, code: str) -> Any:
        """The answer as it came."""
        return tenant.call("both", json.dumps({"code": code, "know": self.know}).encode())

    def between(self, leave: str, find: str, clear: str = "found = 0") -> tuple[Any, Any]:
        """What the attacker's ``leave`` and then the victim's ``find`` give; ``clear`` takes it back."""
        try:
            return self.run(self.attacker, leave), self.run(self.victim, find)
        finally:
            self.run(self.attacker, clear)


@pytest.fixture
def pairs(targets: Targets, canaries: Canaries) -> Iterator[Callable[[frozenset[str]], Pair]]:
    """``pairs(without)``: two tenants of a server whose cells lack these layers."""
    made: list[Pair] = []

    def make(without: frozenset[str] = COMPLETE) -> Pair:
        server = targets("A", without).server
        mark = secrets.token_hex(3)
        secret = f"secret-{secrets.token_hex(8)}-end"
        know = {**canaries.knowledge(server.pid), "MARK": mark, "KEY": int(mark, 16) + 1}
        pair = Pair(server, Tenant(server, f"mallory-{mark}"), Tenant(server, f"peer-{mark}"), secret, know)
        for tenant, source in ((pair.attacker, SOURCE), (pair.victim, f"SECRET = {secret!r}\n{SOURCE}")):
            tenant.deploy("both", source, max_instances=1)
        made.append(pair)
        return pair

    yield make
    for pair in made:
        for tenant in (pair.attacker, pair.victim):
            tenant.remove("both")
    canaries.assert_untouched()


def test_010_a_link_to_a_file_of_the_host_where_results_are_expected_is_not_followed(
    pairs: Callable[..., Pair], canaries: Canaries, tmp_path: Path
) -> None:
    pair = pairs()
    answer = pair.raw(pair.attacker, tenants.LINKS)
    assert answer.status_code == 200
    assert "result" in answer.json()["found"]
    assert not canaries.leaked_in(answer.text + str(answer.headers))
    assert not canaries.leaked_in(pair.server.log)
    # The control: what a collector that opens a path would have read.
    (tmp_path / "result").symlink_to(canaries.file)
    assert canaries.leaked_in((tmp_path / "result").read_text())


def test_011_nothing_that_a_tenant_leaves_in_its_folders_hangs_or_feeds_the_trusted_side(
    targets: Targets, canaries: Canaries
) -> None:
    with field_of(targets("A", COMPLETE).server) as field:
        found = field.attack(tenants.MESS, memory=128, tmp=32, timeout=30.0, cpu=1.0).found
        assert found["names"] == ["ok"] * 5
        assert found["many"] == "ENOSPC"
        assert found["deep"] == "ok" or found["deep"] == "ENOSPC"
    canaries.assert_untouched()


def test_012_a_link_that_is_swapped_during_the_teardown_touches_nothing_outside(
    targets: Targets, canaries: Canaries
) -> None:
    with field_of(targets("A", COMPLETE).server) as field:
        found = field.attack(tenants.SWAP.replace("FOLDER", repr(str(canaries.folder)))).found
        assert found == "swapping"
    canaries.assert_untouched()


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_018_a_file_for_another_tenant_is_not_there(pairs: Callable[..., Pair], folder: str) -> None:
    pair = pairs()
    left, found = pair.between(
        f"found = tried(lambda: open('{folder}/' + MARK, 'w').write('for you') and None)",
        f"found = [reads('{folder}/' + MARK), MARK in os.listdir('{folder}')]",
    )
    assert (left, found) == ("ok", ["ENOENT", False])


@pytest.mark.parametrize("kind", tenants.SHARED_IPC)
@pytest.mark.parametrize(
    ("without", "left", "found"),
    [((), "EPERM", "EPERM"), (("sec",), "ok", "ENOENT"), (("ipc",), "EPERM", "EPERM"),
     (("ipc", "sec"), "ok", None)],
    ids=["complete", "by-ipc-alone", "by-sec-alone", "control"],
)  # fmt: skip
def test_048_system_v_objects_do_not_reach_another_tenant(
    pairs: Callable[..., Pair], kind: str, without: tuple[str, ...], left: str, found: str | None
) -> None:
    leave, find, clear, arrives = tenants.SHARED_IPC[kind]
    wanted = (left, arrives if found is None else found)
    assert pairs(frozenset(without)).between(leave, find, clear) == wanted


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("semget", (64, 190, 77, 1, 0o1666)), ("mq_open", (240, 180, b"canary", 0o102, 0o666, None))],
)
def test_048_semaphores_and_posix_queues_are_refused(
    pairs: Callable[..., Pair], name: str, numbers: tuple[Any, ...]
) -> None:
    pair = pairs()
    assert pair.run(pair.attacker, f"found = sys_(*{numbers!r})") in ("EPERM", "ENOSYS")


@pytest.mark.parametrize(
    ("without", "left", "found"),
    [((), "EPERM", ("EPERM",)), (("keyring",), "EPERM", ("EPERM",)), (("sec",), "ok", ("ENOKEY",)),
     (("keyring", "sec"), "ok", ("for you", "found and not read"))],
    ids=["complete", "by-sec-alone", "by-keyring-alone", "control"],
)  # fmt: skip
def test_049_a_key_does_not_reach_another_tenant(
    pairs: Callable[..., Pair], without: tuple[str, ...], left: str, found: tuple[str, ...]
) -> None:
    gave, took = pairs(frozenset(without)).between(tenants.KEY_LEAVE, tenants.KEY_FIND, tenants.KEY_CLEAR)
    assert gave == left
    assert took in found


def test_052_a_lock_on_a_shared_file_is_seen_by_another_tenant_and_the_server_says_so(
    pairs: Callable[..., Pair],
) -> None:
    """Not stopped: a bit goes from cell to cell.  What is not stopped is published."""
    pair = pairs()
    sent = [1, 0, 1, 1, 0]
    held = [tenants.LOCK if bit else "found = 'nothing'" for bit in sent]
    seen = [pair.between(lock, tenants.LOOK, tenants.UNLOCK)[1] for lock in held]
    assert seen == ["EAGAIN" if bit else "ok" for bit in sent]
    layers = pair.server.client.get("/healthz?verbose").json()["layers"]
    stated = {layer["layer"]: layer for layer in layers}
    assert stated["file-locks"]["status"] == "absent"
    assert "covert channel" in stated["file-locks"]["evidence"]


@pytest.mark.promise("T66")
@pytest.mark.parametrize("kind", tenants.KINDS_OF_LOCK)
@pytest.mark.parametrize("place", tenants.SHARED_INODES)
@pytest.mark.parametrize("without", [frozenset(), frozenset({"dev"})], ids=["complete", "control"])
def test_052_a_lock_on_a_device_or_on_standard_input_is_seen_by_no_other_tenant_and_not_by_the_host(
    pairs: Callable[..., Pair], place: str, kind: str, without: frozenset[str]
) -> None:
    pair = pairs(without)
    descriptor = os.open("/dev/null" if place == "0" else place, os.O_RDWR)
    try:
        assert pair.run(pair.attacker, tenants.locked(place, kind)) == "ok"
        seen = pair.run(pair.victim, tenants.looked_at(place, kind))
        if kind == "flock":
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_free = True
            except BlockingIOError:
                is_free = False
        else:
            asked = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, struct.pack("hhqqi4x", 1, 0, 0, 0, 0))
            is_free = struct.unpack("hhqqi4x", asked)[0] == fcntl.F_UNLCK
    finally:
        os.close(descriptor)
        pair.run(pair.attacker, tenants.UNLOCKED)
    assert (seen, is_free) == (("EAGAIN", False) if without else ("ok", True))


@pytest.mark.parametrize("tier", ["A", "A-user"])
def test_standard_input_ends_at_once_and_nothing_can_be_put_into_it(targets: Targets, tier: str) -> None:
    found = targets(tier, COMPLETE).attack(tenants.STANDARD_INPUT, {})
    assert found[:2] == ["", False]
    assert found[2] == "EBADF"
    assert found[3] == "EINVAL"
    assert found[4] in ("ok", "EACCES", "ENOENT")
    assert found[5:] == [True, False, ""]


def served_as_ever(pair: Pair) -> None:
    """Both tenants are answered, each with its own."""
    assert pair.run(pair.victim, "found = SECRET") == pair.secret
    assert pair.run(pair.attacker, "found = MARK") == pair.know["MARK"]


def test_055_its_own_pipes_reopened_the_other_way_round_are_its_own_trouble(
    pairs: Callable[..., Pair],
) -> None:
    pair = pairs()
    answer = pair.raw(pair.attacker, tenants.REOPEN)
    assert answer.status_code in (200, 502, 504)
    if answer.status_code == 200:
        assert "ok" not in answer.json()["found"] or answer.json()["found"] == ["ok", "EAGAIN"]
    served_as_ever(pair)


@pytest.mark.parametrize("what", tenants.CHANNEL)
def test_085_whatever_it_does_to_its_channel_only_its_own_call_fails(
    pairs: Callable[..., Pair], what: str
) -> None:
    pair = pairs()
    pair.attacker.deploy("both", SOURCE, max_instances=1, timeout=2.0)
    assert pair.raw(pair.attacker, tenants.CHANNEL[what]).status_code in (200, 502, 504)
    served_as_ever(pair)


def test_another_tenants_secret_is_nowhere_in_reach(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    assert pair.run(pair.victim, tenants.SEARCH) == [pair.secret], "the control: its own it finds"
    assert pair.run(pair.attacker, tenants.SEARCH) == []


def test_another_tenants_processes_are_neither_seen_nor_signalled(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    before = set(descendants_of(pair.server.pid))
    assert pair.run(pair.victim, "found = SECRET") == pair.secret
    pair.know["PIDS"] = sorted(before | set(descendants_of(pair.server.pid)) | {pair.server.pid, os.getpid()})
    found = pair.run(
        pair.attacker,
        "seen = [int(name) for name in os.listdir('/proc') if name.isdigit()]\n"
        "PIDS = [pid for pid in PIDS if pid > 100]\n"
        "found = [len(seen), sorted({tried(lambda: os.kill(pid, 0)) for pid in PIDS}),"
        " sorted({reads(f'/proc/{pid}/environ') for pid in PIDS})]",
    )
    assert found[0] <= 2
    assert found[1:] == [["ESRCH"], ["ENOENT"]]
    served_as_ever(pair)


def test_field_is_a_neighbours(targets: Targets) -> None:
    """The helper itself: a wrong answer of the neighbour's would be seen."""
    field = Field(targets("A", COMPLETE).server, None, None, "x")  # type: ignore[arg-type]
    field.ask()
    assert field.wrong
