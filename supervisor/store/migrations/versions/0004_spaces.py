"""Spaces are rows, and changes leave a line in the audit."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None

# They exist from the first start on.
ALWAYS = ("default", "demo")


def upgrade() -> None:
    """Make the tables, with a row for each space that has something."""
    spaces = op.create_table(
        "spaces",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("suspended", sa.Boolean, nullable=False),
        sa.Column("deleting", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("updated_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_spaces"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("space", sa.String(63), nullable=True),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("target", sa.String(200), nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_space_id", "audit", ["space", "id"])
    found = set(ALWAYS)
    for table in (sa.table("functions", sa.column("space")), sa.table("space_values", sa.column("space"))):
        found.update(op.get_bind().execute(sa.select(table.c.space).distinct()).scalars())
    now = datetime.now(UTC).replace(tzinfo=None)
    row = {"title": "", "suspended": False, "deleting": False, "created_at": now, "updated_at": now}
    op.bulk_insert(spaces, [{"name": name, **row} for name in sorted(found)])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_audit_space_id", "audit")
    op.drop_table("audit")
    op.drop_table("spaces")
