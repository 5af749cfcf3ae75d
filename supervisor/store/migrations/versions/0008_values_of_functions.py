"""Which functions a value is for, and which key sealed it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision: str | None = "0007"
branch_labels: str | None = None
depends_on: str | None = None

TABLE = "space_values"


def upgrade() -> None:
    """Add the columns: every value stays every function's."""
    op.add_column(TABLE, sa.Column("functions", sa.JSON, nullable=True))
    op.add_column(TABLE, sa.Column("sealed_by", sa.String(32), nullable=True))
    op.create_index("ix_space_values_sealed_by", TABLE, ["sealed_by"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_space_values_sealed_by", TABLE)
    op.drop_column(TABLE, "sealed_by")
    op.drop_column(TABLE, "functions")
