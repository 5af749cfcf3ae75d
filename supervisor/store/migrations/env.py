"""Alembic runs this to migrate, on the caller's connection and in its transaction."""

from __future__ import annotations

from alembic import context

from supervisor.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter most of a table; Alembic copies it instead
)
context.run_migrations()
