"""``cpu``: a share of the processor.  Crossing it makes a function slower and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from tests.contract.limits.conftest import Limited
from tests.support.bystander import Bystander
from tests.support.groups import groups_of
from tests.support.server import Server

pytestmark = pytest.mark.slow

# Seconds of the clock; at 100 ms a period of the kernel's that is some periods.
SPIN_SECONDS = 0.8
# The first period may be the share's whole quota on top, and accounting is by the tick.
SLACK = 2.0
SPIN = """
def used():
    return sum(os.times()[:4])
began, before = time.monotonic(), used()
children = []
while len(children) < {processes} - 1 and 0 not in children:
    children.append(os.fork())
while time.monotonic() < began + {seconds}:
    pass
if 0 in children:
    os._exit(0)
for pid in children:
    os.waitpid(pid, 0)
found = (used() - before) / (time.monotonic() - began)
"""
# So small that one turn on a core is more than a period's quota, 2 ms: however many wait for the core, the
# kernel holds it back.
SMALL_SHARE = 0.02
# By its own clock: a busy machine makes it take longer, and no less of the processor.
USE = """
began, before = time.monotonic(), time.process_time()
while time.process_time() < before + {seconds}:
    pass
found = time.monotonic() - began
"""
USED_SECONDS = 0.06


def held_back(server: Server) -> dict[str, int]:
    """Leaf → how often the kernel has held back its cell, of those that are there now."""
    folder, _ = groups_of(server.data_dir)["cpu"]
    found = {}
    for leaf in folder.iterdir():
        with contextlib.suppress(NotADirectoryError, FileNotFoundError):  # a file of the group's, or it ended
            stat = dict(line.split() for line in (leaf / "cpu.stat").read_text().splitlines())
            found[leaf.name] = int(stat["nr_throttled"])
    return found


@pytest.fixture(autouse=True)
def has_cpu(server: Server) -> None:
    if "cpu" not in groups_of(server.data_dir):
        pytest.skip("this host gives the server no cpu controller: `cellblock layers` says so")


def test_a_function_above_its_share_is_slower_and_is_answered_like_any_other(
    server: Server, limited: Callable[..., Limited], bystander: Bystander
) -> None:
    small = limited("cpu-small", cpu=SMALL_SHARE)
    instance = small.state()["instance"]
    before = held_back(server)
    answer = small.send(USE.format(seconds=USED_SECONDS))
    assert (answer.status_code, answer.headers["x-invoked"]) == (200, "true")
    least_seconds = USED_SECONDS / SMALL_SHARE / SLACK
    assert answer.json()["found"] >= least_seconds
    assert float(answer.headers["x-duration-seconds"]) >= least_seconds
    assert any(times > before.get(leaf, 0) for leaf, times in held_back(server).items()), (
        "nothing held it back"
    )
    # It costs time and nothing else: the same instance goes on.
    assert small.state()["instance"] == instance


def test_the_share_is_the_instances_and_not_each_process_of_its(
    limited: Callable[..., Limited], bystander: Bystander
) -> None:
    family = limited("cpu-family", cpu=0.2)
    assert family.run(SPIN.format(processes=4, seconds=SPIN_SECONDS)) < 0.2 * SLACK
    bystander.answered_again()


def test_without_the_option_a_function_has_one_core(
    limited: Callable[..., Limited], bystander: Bystander
) -> None:
    whole = limited("cpu-default")
    assert whole.run(SPIN.format(processes=4, seconds=SPIN_SECONDS)) < 1.3
