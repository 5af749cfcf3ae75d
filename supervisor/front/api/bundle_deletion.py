"""Removing bundles that no version names any more."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from supervisor.bundles.bundle_store import BundleStore
from supervisor.errors import PlatformError
from supervisor.store.store import Store

EVERY_S = 600.0  # a bundle is kept an hour at least; nothing is gained by looking more often
log = logging.getLogger(__name__)


def collect_bundles(store: Store, bundles: BundleStore) -> tuple[str, ...]:
    """Remove the bundles that no version names; blocks.  The digests removed."""
    # In this order: a bundle of a version that is added after the look was touched after it, too.
    in_use = store.digests()
    return bundles.collect(in_use)


class Housekeeping:
    """Collects at most every EVERY_S in this process, the first time EVERY_S after its start."""

    def __init__(self, store: Store, bundles: BundleStore, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._bundles = bundles
        self._now = now
        self._last = now()

    def is_due(self) -> bool:
        """Whether it is time; says so once."""
        now = self._now()
        if now - self._last < EVERY_S:
            return False
        self._last = now
        return True

    def collect(self) -> None:
        """Collect; what fails is logged and tried again the next time."""
        try:
            removed = collect_bundles(self._store, self._bundles)
        except (OSError, PlatformError) as error:
            log.warning("cannot collect unused bundles: %s", error)
            return
        if removed:
            log.info("removed %d unused bundles", len(removed))
