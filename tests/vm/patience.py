"""A plugin of pytest for the guest: servers under test get ``CELLBLOCK_TEST_PATIENCE`` times as long.

A translated processor needs a minute for what takes seconds elsewhere, and a test that says so would say
nothing of the product.  Only the deadlines of starting and stopping are moved; what a test itself
measures is left as it is.
"""

from __future__ import annotations

from tests.support import patience, server


def pytest_configure() -> None:
    """Before any test starts a server."""
    server.READY_SECONDS *= patience.FACTOR
    server.STOP_SECONDS *= patience.FACTOR
