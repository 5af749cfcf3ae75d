"""The tables of the store, as SQLAlchemy Core describes them.

Rule 1: a row of ``versions`` is never changed; deploying adds one, rolling back changes
``functions.active``.
Rule 2: ``functions.last_number`` only grows, so that a version's number is never given twice.
Rule 3: a bundle's pieces are committed before the row of ``bundles`` that names them; neither ever changes.
Pieces that no row names are those of an upload that goes on, or that was cut off.
Rule 4: a secret or variable is stored in ``space_values.sealed`` only; no column holds its plain text.

The migrations in ``migrations/versions`` make these tables; a test compares the two.
"""

from __future__ import annotations

import sqlalchemy as sa

# Named constraints, so that a later migration can drop one on every database.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = sa.MetaData(naming_convention=NAMING)

functions = sa.Table(
    "functions",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("space", sa.String(63), nullable=False),
    sa.Column("name", sa.String(63), nullable=False),
    sa.Column("active", sa.Integer, nullable=False),
    sa.Column("last_number", sa.Integer, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),  # UTC, without a zone
    sa.Column("updated_at", sa.DateTime, nullable=False),
    sa.UniqueConstraint("space", "name"),
)

versions = sa.Table(
    "versions",
    metadata,
    sa.Column(
        "function_id", sa.String(26), sa.ForeignKey("functions.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.String(64), nullable=False, index=True),
    sa.Column("template", sa.String(64), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("env", sa.JSON, nullable=False),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
)

space_values = sa.Table(
    "space_values",
    metadata,
    sa.Column("space", sa.String(63), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),  # secret or variable
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),  # bytes of the name and of the value before sealing
    sa.Column("updated_at", sa.DateTime, nullable=False),
    # The names of the functions that get it; NULL: every function of the space.
    sa.Column("functions", sa.JSON(none_as_null=True), nullable=True),
    # Which key sealed it (``ring.key_ring.recognised``); NULL: the oldest, before 0.7.
    sa.Column("sealed_by", sa.String(32), nullable=True, index=True),
)

# A space is there while its row is, and nothing of a space is without one.
spaces = sa.Table(
    "spaces",
    metadata,
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("title", sa.String(200), nullable=False),
    sa.Column("suspended", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("updated_at", sa.DateTime, nullable=False),
)

# Rows are only added, and deleted when they are old.  None has a value of a tenant's.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),  # a ULID: in order of time
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("space", sa.String(63), nullable=True),  # None: the whole server
    sa.Column("actor", sa.String(100), nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("action", sa.String(40), nullable=False),  # such as function.update
    sa.Column("target", sa.String(200), nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Index("ix_audit_space_id", "space", "id"),
)

bundles = sa.Table(
    "bundles",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("upload", sa.String(26), nullable=False),  # a ULID: says when it began
    sa.Column("pieces", sa.Integer, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),  # bytes of all pieces
    # When it was deployed last, or the last function with it was deleted; UTC.
    sa.Column("used_at", sa.DateTime, nullable=False),
    sa.UniqueConstraint("upload"),
)

bundle_pieces = sa.Table(
    "bundle_pieces",
    metadata,
    sa.Column("upload", sa.String(26), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
