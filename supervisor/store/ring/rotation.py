"""One sealing key replaces another while everybody goes on: five steps, any of which may be the last.

1. ``added``: the ring on disk has a new key, too, and every front knows it; the old one still seals.
2. ``turned``: the new key seals; by the announcement every front does so.
3. ``resealed``: batch by batch, the new key seals what the old one had sealed.
4. ``checked``: with writers kept out, nothing is left that the old key has sealed.
5. ``dropped``: the ring has the new key alone, and every front forgets the old one.

What is sealed is opened by a key of the ring on disk at every moment, so a process may be killed at any
point: the file says which steps were done, and the next run does the others.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from supervisor.store.ring.key_file import alone, load_key, replace_key
from supervisor.store.ring.key_ring import KEY_BYTES
from supervisor.store.ring.resealing import Resealing

# A run stops after this long and says how far it came, so that no request takes minutes; the next goes on.
RUN_SECONDS = 5.0

BEGUN, DONE = "sealing_key.rotate", "sealing_key.rotated"  # in the audit


@dataclass(frozen=True)
class Progress:
    """How far a rotation is.  ``ids`` tell the keys of the ring, the oldest first; ``left`` counts values."""

    ids: tuple[str, ...]
    left: int

    @property
    def is_done(self) -> bool:
        """Whether there is one key only."""
        return len(self.ids) == 1


async def rotate(
    path: Path,
    values: Resealing,
    announce: Callable[[], Awaitable[None]],
    run_seconds: float = RUN_SECONDS,
) -> Progress:
    """Begin a rotation, or go on with the one that the key file tells of, for about ``run_seconds``.

    ``announce()`` returns once every front has read the key file again.  PlatformError 409 while another
    process does so, 500 for a value that does not open, 503 for a store that cannot be used.
    """
    until = time.monotonic() + run_seconds
    with alone(path.parent):
        ring = await asyncio.to_thread(load_key, path)
        if not ring.is_rotating:
            ring = ring.with_new(secrets.token_bytes(KEY_BYTES))
            await asyncio.to_thread(replace_key, path, ring)
        # Also where an earlier run was cut off: it may not have come as far as to tell the fronts.
        await _announced(values, announce)
        if ring.sealing != len(ring.keys) - 1:
            ring = ring.sealing_with_newest()
            await asyncio.to_thread(values.note, BEGUN)
            await asyncio.to_thread(replace_key, path, ring)
            await _announced(values, announce)
        while await asyncio.to_thread(values.some):
            if time.monotonic() >= until:
                return Progress(ring.ids, await asyncio.to_thread(values.left))
        if not await asyncio.to_thread(values.is_done, DONE):
            return Progress(ring.ids, await asyncio.to_thread(values.left))
        ring = ring.newest_alone()
        await asyncio.to_thread(replace_key, path, ring)
        await _announced(values, announce)
        return Progress(ring.ids, 0)


async def _announced(values: Resealing, announce: Callable[[], Awaitable[None]]) -> None:
    await asyncio.to_thread(values.sealer.refresh)
    await announce()
