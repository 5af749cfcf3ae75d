"""A server's first zygote: it is started early where that is possible, and ends if nobody takes it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from supervisor.runtimes import load_runtimes
from supervisor.settings.declarations import Settings
from supervisor.warden.jail.tiers import Tier
from supervisor.warden.launch import zygote_prestart
from supervisor.warden.launch.zygote_standby import ZygoteStandby
from supervisor.warden.processes import Children
from supervisor.warden.supply.preload import ImportProfile, preloaded_names
from tests.support.eventually import eventually


def has_ended(pid: int) -> bool:
    """Whether the process has ended.  Reaps it."""
    return os.waitpid(pid, os.WNOHANG)[0] == pid


def test_without_a_launcher_that_waits_there_is_none() -> None:
    assert zygote_prestart.begin(None, Settings(), Tier.A) == {}


@pytest.mark.parametrize("tier", [Tier.A_USER, Tier.B, Tier.C, Tier.NONE])
def test_where_it_could_not_be_what_a_zygote_is_there_the_launcher_ends(tier: Tier) -> None:
    launcher = ZygoteStandby()
    assert zygote_prestart.begin(launcher, Settings(), tier) == {}
    eventually(lambda: has_ended(launcher.pid))


@pytest.mark.needs_root  # an ordinary user's server is of another tier
def test_it_is_the_default_runtimes_plainest_and_says_so_and_ends_when_nobody_wants_it() -> None:
    settings = Settings(max_cells=1)
    launcher = ZygoteStandby()
    found = zygote_prestart.begin(launcher, settings, Tier.A)
    runtime = load_runtimes(settings.runtimes_dir)[0]
    ((wanted, first),) = found.items()
    assert wanted == (runtime, preloaded_names(ImportProfile.OWN, ()), settings.huge_pages, None)
    assert first.pid == launcher.pid
    first.sock.setblocking(True)
    first.sock.settimeout(30)
    assert b"ready" in first.sock.recv(4096)
    command = Path(f"/proc/{first.pid}/cmdline").read_bytes()
    assert command.startswith(str(runtime.python).encode())
    children = Children(found)
    children.release_first()
    assert children.first == {}
    eventually(lambda: has_ended(first.pid))


def test_a_launcher_gives_each_descriptor_the_number_that_its_program_knows() -> None:
    """Also where they are in each other's way."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            from supervisor.warden.launch.zygote_standby import _give_numbers

            ends = socket.socketpair()
            one, other = (os.dup(end.fileno()) for end in ends)
            names = {number: os.readlink(f"/proc/self/fd/{number}") for number in (one, other)}
            _give_numbers([one, other], [other, one])
            swapped = [os.readlink(f"/proc/self/fd/{number}") for number in (other, one)]
            is_right = swapped == [names[one], names[other]] and os.get_inheritable(one)
            os.write(write, b"right" if is_right else b"wrong")
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as said:
        assert said.read() == b"right"
    os.waitpid(pid, 0)
