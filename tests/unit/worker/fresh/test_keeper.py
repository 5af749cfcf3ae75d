"""``worker.fresh.keeper`` accepts a worker's messages in the right order only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NoReturn

import pytest

from worker import wire
from worker.fresh import keeper
from worker.fresh.kept_descriptors import KeptDescriptors


class Left(Exception):
    """The cell has ended."""


class Worker:
    """A worker's ends of the pipes, and a keeper at the other ends."""

    def __init__(self) -> None:
        said, self._say = os.pipe()
        self._leave_read, leave = os.pipe()
        self._word_read, word = os.pipe()
        wake, self._wake = os.pipe()
        self.keeper = keeper.Keeper(said, leave, word, wake, KeptDescriptors([]), lambda: None, self._left)
        self._others = [wake, self._wake, self._say, self._leave_read, self._word_read]
        for descriptor in (self._leave_read, self._word_read):
            os.set_blocking(descriptor, False)

    @staticmethod
    def _left(number: int, code: int) -> NoReturn:
        raise Left((number, code))

    def says(self, data: bytes) -> bool:
        """Send this to the keeper, and have it handled."""
        os.write(self._say, data)
        return self.keeper.hear()

    def word(self) -> bytes:
        """What the keeper has told the front."""
        return os.read(self._word_read, 64)

    def close(self) -> None:
        """Close both sides."""
        self.keeper.close()
        for descriptor in self._others:
            os.close(descriptor)


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A worker that has said nothing yet."""
    made = Worker()
    yield made
    made.close()


def message(word: bytes, number: int = 0) -> bytes:
    return keeper.MESSAGE.pack(word, number)


@pytest.mark.parametrize("why", wire.ONE_CALL)
def test_a_worker_that_cannot_be_forked_from_says_why_once(worker: Worker, why: bytes) -> None:
    assert worker.says(message(keeper.UNFIT, why[0]))
    assert worker.word() == why
    with pytest.raises(Left):
        worker.says(message(keeper.UNFIT, why[0]))


@pytest.mark.parametrize(
    "data",
    [
        message(keeper.FORKED, 3),
        message(keeper.ENDED),
        message(keeper.UNFIT, wire.CLEAN[0]),
        message(keeper.UNFIT, 0x1_00 + wire.ONE_CALL_TMP[0] - 1),
        message(b"?"),
        b"F",
        b"\0" * keeper.MESSAGE.size,
    ],
)
def test_any_other_first_word_ends_the_cell_and_tells_the_front_nothing(worker: Worker, data: bytes) -> None:
    with pytest.raises(Left):
        worker.says(data)
    with pytest.raises(BlockingIOError):
        worker.word()


@pytest.mark.parametrize("pid", [1, 0, -1, -2])
def test_a_number_that_means_others_is_no_process_of_a_call(worker: Worker, pid: int) -> None:
    worker.keeper._expected = (keeper.FORKED,)
    with pytest.raises(Left):
        worker.says(message(keeper.FORKED, pid))


@pytest.mark.parametrize(("status", "ending"), [(9, (9, 0)), (11, (11, 0)), (3 << 8, (0, 3))])
def test_a_call_that_crashes_ends_the_cell_as_it_ended(
    worker: Worker, status: int, ending: tuple[int, int]
) -> None:
    worker.keeper._expected = (keeper.ENDED,)
    with pytest.raises(Left) as left:
        worker.says(message(keeper.ENDED, status))
    assert left.value.args[0] == ending
