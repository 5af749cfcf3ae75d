"""Taking over the bundles that a server up to 0.8 kept in a folder only.

It runs at the first start of a newer server, before anybody is served.  A crash in the middle loses nothing:
the next start goes on with what is missing.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from supervisor.bundles.bundle_store import STORED_LIMITS, BundleStore
from supervisor.store.code import bundle_queries
from supervisor.store.code.bundle_uploads import put_bundle
from supervisor.store.database import Database

log = logging.getLogger("cellblock.store")


def take_over(db: Database, folder: Path) -> None:
    """Put every bundle that a version names and that lies in ``folder`` into the store."""
    wanted = db.read(bundle_queries.absent)
    if not wanted:
        return
    bundles = BundleStore(folder, STORED_LIMITS.max_bytes, STORED_LIMITS.max_entries)
    now = datetime.now(UTC).replace(tzinfo=None)
    taken = 0
    for digest in wanted:
        try:
            is_whole = bundles.adopt(digest)
        except OSError as error:
            log.error("bundle %s cannot be read: %s", digest, error)
            is_whole = False
        if not is_whole:
            log.error(
                "bundle %s is missing in %s, or is not what its name says: its functions cannot be called; "
                "deploy them again",
                digest,
                folder,
            )
            continue
        put_bundle(db, digest, partial(bundles.pack, digest), now)
        taken += 1
    log.info("%d bundles of %s are in the store now", taken, folder)
