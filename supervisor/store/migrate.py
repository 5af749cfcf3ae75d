"""Bringing a store to the newest schema, or saying why that is impossible.

HEAD is the newest revision in ``migrations/versions``; a test compares the two.  It stands here so that a
start with an up-to-date store imports neither Alembic nor SQLAlchemy.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.errors import ConfigurationError, PlatformError, shown
from supervisor.store import deadline_retries
from supervisor.store.drivers import driver_of
from supervisor.store.plain_reads import PlainReader

if TYPE_CHECKING:
    import sqlalchemy as sa

HEAD = "0008"
# It has the tables of bundles; the next one says that what lay in a folder is in them.
WITH_BUNDLES = "0002"
MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(url: str, folder: Path | None = None) -> None:
    """Make the tables of a new store, or upgrade those of an old one; takes milliseconds when up to date.

    ``folder`` is where an old server kept its bundles, which are taken over.  Several processes may call it
    at once.  ConfigurationError when the store cannot be opened, or a newer server wrote it.
    """
    driver = driver_of(url)
    driver.make_file()
    reader = PlainReader(driver)
    try:
        if reader.revision() != HEAD:
            _write(url, folder)
    except PlatformError as error:
        raise deadline_retries.cannot_open(error) from error
    finally:
        reader.close()


def make_tables(url: str, revision: str) -> None:
    """Make the tables of a new store as they were at ``revision``, for rows of that time."""
    from supervisor.store import database

    store = database.connect(url)
    try:
        store.make_shrinkable()
        store.write_alone(lambda connection: _upgrade(connection, revision))
    finally:
        store.close()


def knows(revision: str) -> bool:
    """Whether a migration of this server leads to ``revision``, or from it to HEAD."""
    return any(path.name.startswith(f"{revision}_") for path in (MIGRATIONS / "versions").glob("*.py"))


def _write(url: str, folder: Path | None) -> None:
    from supervisor.store import database
    from supervisor.store.code.takeover import take_over

    store = database.connect(url)
    try:
        revision = store.write_alone(_checked_revision)
        if revision is None or revision < WITH_BUNDLES:
            store.make_shrinkable()
            store.write_alone(lambda connection: _upgrade(connection, WITH_BUNDLES))
        if folder is not None:
            take_over(store, folder)
        store.write_alone(lambda connection: _upgrade(connection, HEAD))
    finally:
        store.close()


def _checked_revision(connection: sa.Connection) -> str | None:
    from alembic.migration import MigrationContext

    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is not None and not knows(revision):
        raise ConfigurationError(
            f"cannot open the store: a newer server wrote it (schema {shown(revision)}, this one knows "
            f"{HEAD}); start that version again, or restore a backup of this version into another data "
            "directory"
        )
    return revision


def _upgrade(connection: sa.Connection, target: str) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import exc

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    revision = _checked_revision(connection)
    if revision is not None and revision >= target:
        return  # another process was faster
    try:
        command.upgrade(config, target)
    except exc.DatabaseError as error:
        if deadline_retries.lost_to_another(error):
            raise
        raise ConfigurationError(f"cannot upgrade the store: {error.orig}") from error
