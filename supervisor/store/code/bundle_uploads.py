"""One bundle into the store: its pieces, each in a transaction of its own, then the row that names them.

So no other writer waits for more than a piece, and a crash leaves pieces that ``Store.tidy`` deletes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ulid import ULID

from supervisor.errors import PlatformError
from supervisor.store.code import bundle_queries
from supervisor.store.database import Database


def put_bundle(
    db: Database, digest: str, pack: Callable[[Callable[[bytes], None]], None], now: datetime
) -> None:
    """Keep a bundle, unless it is there; ``pack`` gives its pieces.  PlatformError 503 or 507."""
    if db.write(lambda connection: bundle_queries.touch(connection, digest, now)):
        return
    upload = str(ULID())
    sizes: list[int] = []

    def emit(piece: bytes) -> None:
        db.write(lambda connection: bundle_queries.add_piece(connection, upload, len(sizes), piece))
        sizes.append(len(piece))

    is_kept = False
    try:
        pack(emit)
        is_kept = db.write(
            lambda connection: bundle_queries.name(connection, digest, upload, len(sizes), sum(sizes), now)
        )
    finally:
        if sizes and not is_kept:
            _forget(db, upload)


def _forget(db: Database, upload: str) -> None:
    try:
        db.write(lambda connection: bundle_queries.delete_pieces(connection, upload))
    except PlatformError:
        return  # ``Store.tidy`` deletes them later; the first error says what is wrong
