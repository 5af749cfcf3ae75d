"""``cpu``: a share of the processor.  Crossing it makes a function slower and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.limits.conftest import Limited
from tests.support.bystander import Bystander
from tests.support.groups import groups_of
from tests.support.server import Server

pytestmark = pytest.mark.slow

# Seconds of the clock; at 100 ms a period of the kernel's that is some periods.
SPIN_SECONDS = 0.8
# A machine so busy that it leaves no quarter of a core to spin on holds nothing back.
TRIES = 10
# The first period may be the share's whole quota on top, and accounting is by the tick.
SLACK = 2.0
SPIN = """
children = [os.fork() for _ in range({processes} - 1)] if {processes} > 1 else []
def used():
    return sum(os.times()[:4])
began, before = time.monotonic(), used()
is_child = 0 in children
while time.monotonic() < began + {seconds}:
    pass
if is_child:
    os._exit(0)
for pid in children:
    os.waitpid(pid, 0)
found = (used() - before) / (time.monotonic() - began)
"""


def throttled(server: Server) -> int:
    """How often the kernel has held back cells that are there now."""
    folder, _ = groups_of(server.data_dir)["cpu"]
    stats = [dict(line.split() for line in text.splitlines()) for text in _texts(folder)]
    return sum(int(stat["nr_throttled"]) for stat in stats)


def _texts(folder: Path) -> list[str]:
    texts = []
    for leaf in folder.iterdir():
        try:
            texts.append((leaf / "cpu.stat").read_text())
        except (NotADirectoryError, FileNotFoundError):  # a file of the group's own, or a cell that ended
            continue
    return texts


@pytest.fixture(autouse=True)
def has_cpu(server: Server) -> None:
    if "cpu" not in groups_of(server.data_dir):
        pytest.skip("this host gives the server no cpu controller: `cellblock layers` says so")


def test_a_function_above_its_share_is_slower_and_is_answered_like_any_other(
    server: Server, limited: Callable[..., Limited], bystander: Bystander
) -> None:
    quarter = limited("cpu-quarter", cpu=0.25)
    instance = quarter.state()["instance"]
    before = throttled(server)
    for _ in range(TRIES):
        answer = quarter.send(SPIN.format(processes=1, seconds=SPIN_SECONDS))
        assert (answer.status_code, answer.headers["x-invoked"]) == (200, "true")
        assert 0 < answer.json()["found"] < 0.25 * SLACK
        assert float(answer.headers["x-duration-seconds"]) >= SPIN_SECONDS
        if throttled(server) > before:
            break
    else:
        pytest.fail("nothing held it back")
    # It costs time and nothing else: the same instance goes on.
    assert quarter.state()["instance"] == instance


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
