"""The controls of the table: each smuggled request is run by some reader that forgives as real ones did."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.contract.http.catalogue import ROWS
from tests.contract.http.dialogue import INVOCATION
from tests.contract.http.lenient import CARELESS_READERS, READERS
from tests.contract.http.rows import ANSWERED, SMUGGLED, SMUGGLED_TARGET, Row, Step

SMUGGLING_LEAST = 150


def spelled(steps: Sequence[Step]) -> bytes:
    """All that is sent, in one stream."""
    return b"".join(INVOCATION.spell(step) for step in steps if isinstance(step, bytes))


SMUGGLING = [row for row in ROWS if SMUGGLED_TARGET in spelled(row.steps)]


@pytest.mark.promise("T73")
@pytest.mark.parametrize("row", SMUGGLING, ids=lambda row: row.name)
def test_a_smuggled_request_is_carried_out_by_a_reader_that_forgives(row: Row) -> None:
    readers = READERS + (CARELESS_READERS if row.family == "early answers" else [])
    smuggled = (b"POST", SMUGGLED_TARGET)
    stream = spelled(row.steps)
    behind = spelled(row.steps[row.steps.index(ANSWERED) + 1 :]) if ANSWERED in row.steps else b""
    assert any(
        smuggled in reader.requests(stream) or smuggled in reader.requests(behind) for reader in readers
    )


def test_a_reader_that_forgives_nothing_much_sees_what_is_sent() -> None:
    plain = INVOCATION.spell(b"GET <T> HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED)
    for reader in READERS:
        assert [method for method, _ in reader.requests(plain)] == [b"GET", b"POST"]


def test_there_are_many_attempts_to_smuggle() -> None:
    assert len(SMUGGLING) >= SMUGGLING_LEAST
