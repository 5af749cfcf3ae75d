"""Bringing a store to the newest schema, or saying why that is impossible.

HEAD is the newest revision in ``migrations/versions``; a test compares the two.  It stands here so that a
start with an up-to-date store imports neither Alembic nor SQLAlchemy.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.errors import ConfigurationError, PlatformError
from supervisor.store import deadline_retries
from supervisor.store.drivers import driver_of
from supervisor.store.plain_reads import PlainReader

if TYPE_CHECKING:
    import sqlalchemy as sa

HEAD = "0001"
MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(url: str) -> None:
    """Make the tables of a new store, or upgrade those of an old one; takes milliseconds when up to date.

    Several processes may call it at once.  ConfigurationError when the store cannot be opened, or a newer
    server wrote it.
    """
    driver = driver_of(url)
    driver.make_file()
    reader = PlainReader(driver)
    try:
        if reader.revision() != HEAD:
            _write(url)
    except PlatformError as error:
        raise deadline_retries.cannot_open(error) from error
    finally:
        reader.close()


def _write(url: str) -> None:
    from supervisor.store import database

    store = database.connect(url)
    try:
        store.write_alone(_upgrade)
    finally:
        store.close()


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import exc

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is not None and revision not in known:
        raise ConfigurationError(
            f"cannot open the store: a newer server wrote it (schema {revision}, this one knows {HEAD}); "
            "start that server again"
        )
    try:
        command.upgrade(config, "head")
    except exc.DatabaseError as error:
        if deadline_retries.lost_to_another(error):
            raise
        raise ConfigurationError(f"cannot upgrade the store: {error.orig}") from error
