"""Bringing a store to the newest schema, or saying why it cannot be.

HEAD is the newest revision in ``migrations/versions``; a test compares the two.  It is written
down so that a start of a store that is up to date does not import Alembic.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import exc

from supervisor.errors import ConfigurationError, PlatformError
from supervisor.store import database

HEAD = "0001"
MIGRATIONS = Path(__file__).parent / "migrations"

_alembic_version = sa.table("alembic_version", sa.column("version_num", sa.String))


def migrate(url: str) -> None:
    """Make the tables of a new store, or upgrade an old one's; milliseconds when there is nothing to do.

    Several processes may call it at once.  ConfigurationError when the store cannot be opened, or
    was written by a newer server.
    """
    database.make_sqlite_file(database.parse(url))
    store = database.connect(url)
    try:
        if store.read(current) != HEAD:
            store.write_alone(_upgrade)
    except PlatformError as error:
        raise ConfigurationError(f"cannot open the store: {error.__cause__ or error}") from error
    finally:
        store.close()


def current(connection: sa.Connection) -> str | None:
    """The store's revision, ``None`` for an empty one."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.select(_alembic_version.c.version_num)).scalar_one_or_none()


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    revision = current(connection)
    if revision is not None and revision not in known:
        raise ConfigurationError(
            f"cannot open the store: a newer server wrote it (schema {revision}, this one knows {HEAD}); "
            "start that server again"
        )
    try:
        command.upgrade(config, "head")
    except exc.DatabaseError as error:
        if database.lost_to_another(error):
            raise
        raise ConfigurationError(f"cannot upgrade the store: {error.orig}") from error
