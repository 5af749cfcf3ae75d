"""How many times longer than elsewhere a function under test may take: a translated processor is slow."""

from __future__ import annotations

import os

FACTOR = float(os.environ.get("CELLBLOCK_TEST_PATIENCE", "1"))
