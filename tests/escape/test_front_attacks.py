"""A real server one of whose fronts was taken over: what it says on its link costs itself and nobody else.

The hostile front is a copy of ours with a few lines added: it says what a test asks for when it is asked
for the activity of a space of that name.  What the desk does with each thing that can be said is in
``tests/unit/warden/leases/test_desk.py``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.escape.neighbour import Tenant
from tests.fault.conftest import HELLO, is_answered
from tests.support.descriptors import open_in
from tests.support.eventually import eventually
from tests.support.processes import fronts_of, zygotes_of
from tests.support.runtimes import only_default_runtime
from tests.support.server import Server
from tests.support.weakened import Change, weakened_tree

pytestmark = [pytest.mark.needs_sandbox, pytest.mark.needs_root]

LINK = "supervisor/front/warden_link.py"
ZYGOTES = "supervisor/warden/supply/zygote_handle.py"
TRANSPORT = "supervisor/datagrams.py"
HOSTILE = Change(
    LINK,
    """
_honest_survey = WardenLink.survey


async def _survey(self, space):
    import msgpack
    from array import array
    sock = self._link._sock
    if space == "evil-malformed":
        fds = array("i", [os.open("/dev/null", os.O_RDONLY) for _ in range(8)])
        for _ in range(40):
            sock.sendmsg([msgpack.packb({"do": "what"})], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    elif space == "evil-renew":
        for ticket in range(300):
            sock.send(msgpack.packb({"do": "renew", "ticket": 10**6 + ticket}))
    elif space == "evil-flood":
        import time
        until = time.monotonic() + 3.0
        while time.monotonic() < until:
            try:
                for _ in range(100):
                    change = {"what": "values", "ticket": 10**7, "space": "x", "name": ""}
                    sock.send(msgpack.packb({"do": "changed", **change}))
                    sock.send(msgpack.packb({"do": "kill", "cell": "a" * 10, "cause": "released"}))
            except BlockingIOError:
                await asyncio.sleep(0)
    return await _honest_survey(self, space)


WardenLink.survey = _survey
""",
)
MESSAGES = 40  # of eight descriptors each, as HOSTILE sends them
# For a control that starts as many of each of three zygotes as it is asked for.
FEWER_ASKED = Change(LINK, "range(8)", old="range(300)")
ALL_AT_ONCE = Change(ZYGOTES, "if True:", old="if self._processes[-1].is_ready:")
UNCHECKED = Change(
    TRANSPORT, "            return {}\n", old="            discard(descriptors)\n            raise\n"
)


MOST_ZYGOTES = 8

# Descriptors that the warden has of the cells that were grown meanwhile; hundreds were sent.
OF_CELLS = 40


def hostile_server(folder: Path, *more: Change) -> Server:
    python = weakened_tree(folder, frozenset(), HOSTILE, *more, self_test=True)
    runtimes = only_default_runtime(folder)
    server = Server(folder / "data", 2, python=python, runtimes_dir=runtimes, preload="[]", blank_cells=1)
    Tenant(server, "evil-malformed").deploy("hello", HELLO)  # so that there is such a space
    Tenant(server, "evil-renew").deploy("hello", HELLO)
    Tenant(server, "evil-flood").deploy("hello", HELLO)
    server.deploy("hello", HELLO)
    return server


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = hostile_server(tmp_path_factory.mktemp("hostile"))
    yield server
    assert server.stop() == 0, server.log


def ask(server: Server, name: str) -> None:
    """Have the front that takes this connection begin; it may not live to answer."""
    space = server.make_space(f"evil-{name}")
    try:
        httpx.get(f"{server.url}/spaces/{space}/activity", headers=server.client.headers, timeout=20)
    except httpx.HTTPError:
        return


@pytest.mark.promise("T54")
def test_a_front_that_says_what_no_front_says_is_replaced_and_the_other_goes_on(field: Server) -> None:
    before, descriptors = fronts_of(field.pid), open_in(field.pid)
    ask(field, "malformed")
    eventually(lambda: set(fronts_of(field.pid)) != set(before), "the front lives on")
    eventually(lambda: len(fronts_of(field.pid)) == 2, "no other front came")
    assert len(set(fronts_of(field.pid)) & set(before)) == 1, "the other front was lost too"
    eventually(lambda: is_answered(field), "calls are not answered")
    assert all(is_answered(field) for _ in range(8))
    eventually(lambda: open_in(field.pid) <= descriptors + OF_CELLS, "descriptors stayed in the warden")
    assert "broke its protocol" in field.log


def test_control_unchecked_all_descriptors_stay_in_the_warden_and_the_front_goes_on(tmp_path: Path) -> None:
    server = hostile_server(tmp_path, UNCHECKED)
    try:
        before, descriptors = fronts_of(server.pid), open_in(server.pid)
        ask(server, "malformed")
        eventually(lambda: open_in(server.pid) >= descriptors + 8 * MESSAGES - OF_CELLS, "they were closed")
        assert fronts_of(server.pid) == before, "without the check it goes on"
    finally:
        server.stop()


@pytest.mark.promise("T55")
def test_a_front_that_has_zygotes_replaced_without_end_gets_one_at_a_time(field: Server) -> None:
    ask(field, "renew")
    most = 0
    until = time.monotonic() + 2.0
    while time.monotonic() < until:
        most = max(most, len(zygotes_of(field.pid)))
        assert is_answered(field)
    # Three for the one runtime, each with its successor for a moment.
    assert most <= MOST_ZYGOTES, most


def test_control_without_one_at_a_time_there_are_as_many_zygotes_as_were_asked_for(tmp_path: Path) -> None:
    server = hostile_server(tmp_path, FEWER_ASKED, ALL_AT_ONCE)
    try:
        ask(server, "renew")
        eventually(lambda: len(zygotes_of(server.pid)) > MOST_ZYGOTES, "they came one at a time")
    finally:
        server.stop()


@pytest.mark.promise("T56")
def test_a_front_that_floods_its_link_slows_the_others_little(field: Server) -> None:
    import threading

    slowest = 0.0
    thread = threading.Thread(target=ask, args=(field, "flood"))
    thread.start()
    while thread.is_alive():
        began = time.monotonic()
        assert is_answered(field)
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 5.0
    assert len(fronts_of(field.pid)) == 2
    assert os.path.exists(f"/proc/{field.pid}")
