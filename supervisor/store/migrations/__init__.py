"""The history of the schema, an Alembic script directory; ``supervisor.store.migrate`` runs it.

Reading order: ``env`` (what Alembic runs), ``versions`` (a file a revision, made of ``script.py.mako``).
"""
