"""The counters that all fronts of a server share: one anonymous memory map, inherited by each front.

gunicorn's master makes it before it forks the fronts, so neither a file nor a descriptor of it exists, and
the warden has no part of it.

Rule 1: each space with quotas has a row, each front a slot.  A front writes the words of its own slot only,
and reads all: no lock, and no counter has two writers.
Rule 2: a word is 8 bytes at an address that 8 divides, so it is read and written as a whole.
Rule 3: what is read is a number and nothing else: whatever a front that was taken over writes here, the
others only count wrongly.
"""

from __future__ import annotations

import mmap

from supervisor.store.tenants.counter_rows import ROWS_MOST

# The rolling sums of a row, by the quotas in the order of ``space_quota.RINGS``.
RINGS = 3
# A ring has a word for each part of a window; a power of two, and more than a window has parts.
RING_WORDS = 64
WORD_BYTES = 8


class CounterPage:
    """``words`` has tags of rows, then calls that run, then the rings."""

    def __init__(self, slots: int, rows: int = ROWS_MOST) -> None:
        self.slots = slots
        self.rows = rows
        self._rings = rows + rows * slots
        size = self._rings + rows * RINGS * RING_WORDS * slots
        # Only what is written takes memory.  It stays mapped for the life of the process.
        self.words = memoryview(mmap.mmap(-1, size * WORD_BYTES)).cast("Q")

    def running(self, row: int) -> slice:
        """The words of the calls that run, one a slot."""
        first = self.rows + row * self.slots
        return slice(first, first + self.slots)

    def ring(self, row: int, ring: int) -> slice:
        """The words of a rolling sum: all slots of its first part, then those of the next."""
        size = RING_WORDS * self.slots
        first = self._rings + (row * RINGS + ring) * size
        return slice(first, first + size)

    def own(self, row: int, tag: int) -> None:
        """Have a row belong to the quotas with this tag: counters of another space before are cleared.

        Two fronts may do so at once when quotas are new; the one that is later clears what the other has
        counted in between, some microseconds of calls.
        """
        if self.words[row] == tag:
            return
        for part in (self.running(row), *(self.ring(row, ring) for ring in range(RINGS))):
            empty = memoryview(bytes((part.stop - part.start) * WORD_BYTES)).cast("Q")
            self.words[part] = empty
        self.words[row] = tag

    def release(self, slot: int) -> None:
        """Forget the calls of a front that has died; what it has spent stays."""
        first = self.rows + slot
        for word in range(first, self._rings, self.slots):
            if self.words[word]:
                self.words[word] = 0


class CounterSlots:
    """Which front has which slot of the page; kept by the process that forks them."""

    # Fronts that begin while others still end.
    SPARE = 2

    def __init__(self, fronts: int) -> None:
        # One more, which no front writes: for what was spent before this server's start.
        self.page = CounterPage(fronts + self.SPARE + 1)
        self.past = fronts + self.SPARE
        self._free = list(range(fronts + self.SPARE))

    def take(self) -> int | None:
        """A slot for a front that is about to be forked; None if there are too many."""
        return self._free.pop(0) if self._free else None

    def give_back(self, slot: int | None) -> None:
        """A front has ended, in whatever way."""
        if slot is not None:
            self.page.release(slot)
            self._free.append(slot)
