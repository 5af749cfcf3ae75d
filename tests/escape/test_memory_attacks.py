"""F 57. Memory: a function that touches more than it may, in every way that is known here.

Beside it a neighbour is answered all the while (``tests.escape.neighbour``), and what the attack's cell
takes of the host is read from outside, from the kernel's own counters.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.escape.attacks.memory import ATTACKS
from tests.escape.conftest import Target
from tests.escape.neighbour import SMALL, Field, field_of
from tests.support.groups import groups_of, peaks_of
from tests.support.patience import FACTOR

Targets = Callable[[str, frozenset[str]], Target]

MIB = 1 << 20
LIMITS = {"timeout": 20.0 * FACTOR, "processes": 16, "cpu": 1.0, "open_files": 256}
# Of the host, whatever a function does: what it may touch, its /tmp, and so much.
BESIDES_MIB = 64
SAMPLE_SECONDS = 0.002 * FACTOR

pytestmark = [pytest.mark.needs_sandbox, pytest.mark.timeout(90 * FACTOR)]


class Taken:
    """The most that any one leaf of a server had charged, in bytes, page cache and all."""

    most = 0


@contextlib.contextmanager
def measured(field: Field) -> Iterator[Taken]:
    """The kernel keeps the peak of each leaf: it is read until the block is over, and goes with the leaf."""
    taken, over = Taken(), threading.Event()

    def look() -> None:
        # Cells that are there already may have been larger before, as blank ones.
        before = peaks_of(field.server.data_dir)
        while not over.wait(SAMPLE_SECONDS):
            for name, peak in peaks_of(field.server.data_dir).items():
                if peak != before.get(name):
                    taken.most = max(taken.most, peak)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield taken
    finally:
        over.set()
        looking.join()


@pytest.fixture
def field(targets: Targets) -> Iterator[Field]:
    """A complete server, an attacker and a neighbour."""
    with field_of(targets("A", frozenset()).server) as entered:
        yield entered


@pytest.mark.promise("T58")
@pytest.mark.parametrize("name", ATTACKS)
def test_057_what_touches_too_much_gets_memory_error_or_ends_its_cell_and_the_host_gives_no_more(
    name: str, field: Field
) -> None:
    with measured(field) as taken:
        outcome = field.attack(ATTACKS[name], **LIMITS)
    assert outcome.status == 502 or outcome.found == "MemoryError", outcome
    if "memory" in groups_of(field.server.data_dir):
        assert SMALL["memory"] * MIB / 2 < taken.most
        assert taken.most <= (SMALL["memory"] + SMALL["tmp"] + BESIDES_MIB) * MIB
    assert field.attack("found = 'back'", **LIMITS).found == "back"


@pytest.mark.parametrize("name", ATTACKS)
def test_057_control_where_nobody_counts_and_nobody_looks_it_gets_all(name: str, targets: Targets) -> None:
    with field_of(targets("A", frozenset({"cg"})).server) as field:
        assert field.attack(ATTACKS[name], **LIMITS).found == "ok"


def test_057_an_allocation_that_could_never_fit_fails_at_once_by_its_rlimit(field: Field) -> None:
    began = time.monotonic()
    assert field.attack("found = tried(lambda: len(bytes(8 << 30)) and None)").found == "MemoryError"
    assert time.monotonic() - began < 5.0 * FACTOR


def test_057_control_without_rlimits_it_is_reserved(targets: Targets) -> None:
    if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < 8 << 30:
        pytest.skip("the kernel itself refuses to reserve more than this machine has")
    with field_of(targets("A", frozenset({"rl"})).server) as field:
        assert field.attack("found = tried(lambda: len(bytes(8 << 30)) and None)").found == "ok"
