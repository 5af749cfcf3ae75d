"""Removes what nothing needs any more: old versions, bundles in the store and on disk, old audit lines."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from supervisor.bundles.bundle_store import COLLECT_AFTER_S, BundleStore
from supervisor.errors import PlatformError
from supervisor.store.store import Store

EVERY_S = 600.0  # a bundle is kept for an hour at least, so looking more often gains nothing
log = logging.getLogger(__name__)


def collect_bundles(store: Store, bundles: BundleStore, versions_kept: int) -> tuple[str, ...]:
    """Remove old versions, and the bundles that no version names; returns the digests on disk.  Blocks."""
    store.tidy(versions_kept, COLLECT_AFTER_S)
    # In this order: the bundle of a version that is added meanwhile was touched meanwhile, and is kept.
    in_use = store.digests()
    return bundles.collect(in_use)


class BundleDeletion:
    """Removes unused bundles every EVERY_S at most; the first time EVERY_S after the process started."""

    def __init__(
        self,
        store: Store,
        bundles: BundleStore,
        versions_kept: Callable[[], int],
        audit_keep_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``versions_kept()`` is the setting in force; lines of the audit stay for ``audit_keep_s``."""
        self._audit_keep_s = audit_keep_s
        self._store = store
        self._bundles = bundles
        self._versions_kept = versions_kept
        self._now = now
        self._last = now()

    def is_due(self) -> bool:
        """Whether it is time.  Once it has said so, the time starts again."""
        now = self._now()
        if now - self._last < EVERY_S:
            return False
        self._last = now
        return True

    def collect(self) -> None:
        """Remove unused bundles; a failure is logged, and the next time tries again."""
        try:
            self._store.audit.forget_old(self._audit_keep_s)
            removed = collect_bundles(self._store, self._bundles, self._versions_kept())
        except (OSError, PlatformError) as error:
            log.warning("cannot delete what is old: %s", error)
            return
        if removed:
            log.info("removed %d unused bundles", len(removed))
