"""When an instance makes way for a new one."""

from __future__ import annotations

import pytest

from supervisor.front.pool.recycling import Allowance, Life, reason_to_recycle

ALLOWANCE = Allowance(calls=100, seconds=60.0)


@pytest.mark.parametrize(
    ("life", "why"),
    [
        (Life(0, 0.0), ""),
        (Life(99, 59.9), ""),
        (Life(100, 0.0), "it has served 100 calls"),
        (Life(0, 60.0), "it is 60 s old"),
        (Life(100, 60.0), "it has served 100 calls"),
    ],
)
def test_the_first_of_calls_and_age(life: Life, why: str) -> None:
    assert reason_to_recycle(life, ALLOWANCE) == why
