"""What the tests of leases share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from supervisor import datagrams

PATIENT_S = 60.0


@pytest.fixture(scope="package", autouse=True)
def no_link_rests_for_a_busy_machine() -> Iterator[None]:
    """A link that was read for 5 ms rests for as long, by the machine's clock.

    Where others take the processor one message takes that long, and a host that a test plays has heard
    nothing when all turns of its loop are over.  The tests of rests set a time of their own.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datagrams, "TURN_SECONDS", PATIENT_S)
        yield
