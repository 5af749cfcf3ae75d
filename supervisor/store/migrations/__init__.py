"""The history of the schema, an Alembic script directory; ``supervisor.store.migrate`` runs it."""
