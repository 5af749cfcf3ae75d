"""A plugin of pytest for the guest: servers under test get ``CELLBLOCK_TEST_PATIENCE`` times as long.

A translated processor needs a minute for what takes seconds elsewhere, and a test that says so would say
nothing of the product.  Only the deadlines of starting and stopping are moved; what a test itself
measures is left as it is.
"""

from __future__ import annotations

import os

from tests.support import server


def pytest_configure() -> None:
    """Before any test starts a server."""
    factor = float(os.environ["CELLBLOCK_TEST_PATIENCE"])
    server.READY_SECONDS *= factor
    server.STOP_SECONDS *= factor
