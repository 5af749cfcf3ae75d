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


def _of_a_version(table: str, column: str, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["function_id", column],
        ["versions.function_id", "versions.number"],
        name=f"fk_{table}_{column}_versions",
        ondelete=ondelete,
    )


version_labels = sa.Table(
    "version_labels",
    metadata,
    sa.Column("function_id", sa.String(26), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("label", sa.String(64), nullable=False),
    sa.UniqueConstraint("function_id", "label"),
    _of_a_version("version_labels", "number", "CASCADE"),
)

# A version that an alias names cannot be deleted.
aliases = sa.Table(
    "aliases",
    metadata,
    sa.Column("function_id", sa.String(26), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("canary", sa.Integer, nullable=True),
    sa.Column("share", sa.Integer, nullable=False),  # of the canary, in hundredths of a percent
    sa.Column("updated_at", sa.DateTime, nullable=False),
    _of_a_version("aliases", "number"),
    _of_a_version("aliases", "canary"),
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
    # Its rows are gone, and files of it may not be: the name is taken until they are.
    sa.Column("deleting", sa.Boolean, nullable=False),
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

# Credentials of spaces: ``functions`` is the list of those that one is bound to, empty for every function.
apps = sa.Table(
    "apps",
    metadata,
    sa.Column("client_id", sa.String(26), primary_key=True),
    sa.Column("space", sa.String(63), nullable=False),
    sa.Column("name", sa.String(63), nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("functions", sa.JSON, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.UniqueConstraint("space", "name"),
)

# Of secrets, tokens and keys there is the digest only (``supervisor.tenancy.token_format``).
app_secrets = sa.Table(
    "app_secrets",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column(
        "client_id",
        sa.String(26),
        sa.ForeignKey("apps.client_id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("expires_at", sa.DateTime, nullable=True),  # of one that a rotation has replaced
)

access_tokens = sa.Table(
    "access_tokens",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column(
        "client_id", sa.String(26), sa.ForeignKey("apps.client_id", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("expires_at", sa.DateTime, nullable=False),
    sa.Index("ix_access_tokens_client_id_expires_at", "client_id", "expires_at"),
)

space_keys = sa.Table(
    "space_keys",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("space", sa.String(63), nullable=False),
    sa.Column("name", sa.String(63), nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("functions", sa.JSON, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("expires_at", sa.DateTime, nullable=True),
    sa.UniqueConstraint("space", "name"),
)

# How often something was taken back: another server that sees a new number forgets what it remembers.
revisions = sa.Table(
    "revisions",
    metadata,
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
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

# No row: the space has no quota.
space_quotas = sa.Table(
    "space_quotas",
    metadata,
    sa.Column("space", sa.String(63), primary_key=True),
    sa.Column("id", sa.String(26), nullable=False),  # a ULID: another one after the quotas were removed
    sa.Column("counter_row", sa.Integer, nullable=False),  # its row of the fronts' counters
    sa.Column("limits", sa.JSON, nullable=False),  # by the names of ``tenancy.quota_names``
    sa.Column("updated_at", sa.DateTime, nullable=False),
    sa.UniqueConstraint("counter_row"),
)

# What was spent of the quotas whose window outlasts a restart, by parts of the window.
quota_spent = sa.Table(
    "quota_spent",
    metadata,
    sa.Column("space", sa.String(63), primary_key=True),
    sa.Column("quota", sa.String(32), primary_key=True),
    sa.Column("part", sa.BigInteger, primary_key=True, autoincrement=False),  # of the time since 1970
    sa.Column("amount", sa.BigInteger, nullable=False),
)

AMOUNTS = ("calls", "cpu_us", "memory_byte_s", "bytes_in", "bytes_out", "bytes_logged", "bytes_stored")


def _amounts() -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in AMOUNTS]


# What the calls of one outcome took on a day.  Outcome "" is no call's: what was logged, and stored at most.
# Function "*" stands for all that were too many to tell apart.
usage_days = sa.Table(
    "usage_days",
    metadata,
    sa.Column("space", sa.String(63), primary_key=True),
    sa.Column("day", sa.String(10), primary_key=True),  # UTC, such as 2026-12-01
    sa.Column("function", sa.String(63), primary_key=True),
    sa.Column("outcome", sa.String(16), primary_key=True),
    *_amounts(),
    sa.Index(None, "day"),
)

# The last batch of increments that each front has written: one whose commit was in doubt is not added twice.
usage_batches = sa.Table(
    "usage_batches",
    metadata,
    sa.Column("front", sa.String(26), primary_key=True),  # a ULID of one process
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("day", sa.String(10), nullable=False),
)

# What a space that was deleted has used in all; ``bytes_stored`` adds up its days.
closed_spaces = sa.Table(
    "closed_spaces",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),  # a ULID: in order of time
    sa.Column("space", sa.String(63), nullable=False),
    sa.Column("closed_at", sa.DateTime, nullable=False),
    sa.Column("first_day", sa.String(10), nullable=False),  # "" for both days: it used nothing
    sa.Column("last_day", sa.String(10), nullable=False),
    sa.Column("outcomes", sa.JSON, nullable=False),  # calls by outcome
    *_amounts(),
)
