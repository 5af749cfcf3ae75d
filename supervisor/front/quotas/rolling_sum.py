"""What a space has spent within a window of time, over all fronts.  Pure but for the shared words.

A window has PARTS parts, and a ring a word for each part and front.  The word says in its upper bits which
round of the ring it belongs to, so an old one counts as 0 and nobody has to clear it.  The part that goes on
counts beside a whole window: never more than the limit is spent in any window, and what is spent comes back
one part later than it could.
"""

from __future__ import annotations

from supervisor.front.quotas.counter_page import RING_WORDS, CounterPage
from supervisor.tenancy.quota_names import PARTS

AMOUNT_BITS = 40
AMOUNT_MOST = (1 << AMOUNT_BITS) - 1
ROUND_MOST = (1 << (64 - AMOUNT_BITS)) - 1


def word_of(part: int, amount: int) -> int:
    """The word that says what was spent in a part of the time."""
    return ((part // RING_WORDS) & ROUND_MOST) << AMOUNT_BITS | min(amount, AMOUNT_MOST)


class RollingSum:
    """One space's sum of one quota, as one front sees it; ``now`` is in seconds, of any one clock."""

    __slots__ = ("_current", "_earlier", "_own", "_part", "_ring", "_round", "_slot", "_slots", "part_s")

    def __init__(self, page: CounterPage, row: int, ring: int, slot: int, window_s: int) -> None:
        self.part_s = window_s / PARTS
        self._ring = page.words[page.ring(row, ring)]
        self._slot, self._slots = slot, page.slots
        self._part = -1
        self._earlier = self._own = self._round = 0
        self._current = self._ring[:0]

    def part_of(self, now: float) -> int:
        """The part of the time that ``now`` falls into."""
        return int(now / self.part_s)

    def add(self, amount: int, now: float) -> int:
        """Spend; the part that it was spent in."""
        part = int(now / self.part_s)
        if part != self._part:
            self._turn(part)
        self._own = max(0, self._own + amount)
        self._current[self._slot] = self._round | min(self._own, AMOUNT_MOST)
        return part

    def spend_one(self, now: float) -> int:
        """Spend 1; what all fronts have spent with it.  As ``add`` and ``total``, in one step."""
        part = int(now / self.part_s)
        if part != self._part:
            self._turn(part)
        round_ = self._round
        self._own = own = self._own + 1
        self._current[self._slot] = round_ | own
        total = self._earlier
        for word in self._current:
            if (amount := word - round_) > 0 and amount <= AMOUNT_MOST:
                total += amount
        return total

    def put(self, part: int, amount: int) -> None:
        """Have this slot's front have spent ``amount`` in a part that is over or goes on."""
        self._ring[part % RING_WORDS * self._slots + self._slot] = word_of(part, amount)

    def total(self, now: float) -> int:
        """What all fronts have spent within the window."""
        part = int(now / self.part_s)
        if part != self._part:
            self._turn(part)
        total = self._earlier
        round_ = self._round
        for word in self._current:
            if (amount := word - round_) > 0 and amount <= AMOUNT_MOST:
                total += amount
        return total

    def _turn(self, part: int) -> None:
        """Go to another part of the time: the earlier ones change no more, but by fronts that are slow."""
        slots = self._slots
        self._part = part
        self._round = word_of(part, 0)
        first = part % RING_WORDS * slots
        self._current = self._ring[first : first + slots]
        self._own = self._amount(self._current[self._slot], self._round)  # of this slot's front before us
        self._earlier = sum(amount for _, amount in self._parts(part - 1))

    def _amount(self, word: int, round_: int) -> int:
        amount = word - round_
        return amount if 0 <= amount <= AMOUNT_MOST else 0

    def _parts(self, last: int) -> list[tuple[int, int]]:
        """The parts of the window up to ``last``, the oldest first, and what was spent in each."""
        words, slots = self._ring.tolist(), self._slots
        found = []
        for part in range(self._part - PARTS, last + 1):
            round_ = word_of(part, 0)
            first = part % RING_WORDS * slots
            amount = sum(self._amount(word, round_) for word in words[first : first + slots])
            found.append((part, amount))
        return found

    def wait_s(self, limit: int, now: float) -> float:
        """How long until less than ``limit`` is spent, if nobody spends any more; 0 if that is so now."""
        self._turn(part := int(now / self.part_s))
        parts = self._parts(part)
        left = sum(amount for _, amount in parts)
        for spent_in, amount in parts:
            if left < limit:
                break
            left -= amount
            came_back = (spent_in + PARTS + 1) * self.part_s
            if left < limit:
                return max(0.0, came_back - now)
        return 0.0 if left < limit else (PARTS + 1) * self.part_s
