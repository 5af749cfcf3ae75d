"""What spaces may use, and what they used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "space_quotas",
        sa.Column("space", sa.String(63), nullable=False),
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("counter_row", sa.Integer, nullable=False),
        sa.Column("limits", sa.JSON, nullable=False),
        sa.Column("updated_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("space", name="pk_space_quotas"),
        sa.UniqueConstraint("counter_row", name="uq_space_quotas_counter_row"),
    )
    op.create_table(
        "quota_spent",
        sa.Column("space", sa.String(63), nullable=False),
        sa.Column("quota", sa.String(32), nullable=False),
        sa.Column("part", sa.BigInteger, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("space", "quota", "part", name="pk_quota_spent"),
    )
    op.create_table(
        "usage_days",
        sa.Column("space", sa.String(63), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("function", sa.String(63), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        *_amounts(),
        sa.PrimaryKeyConstraint("space", "day", "function", "outcome", name="pk_usage_days"),
    )
    op.create_index("ix_usage_days_day", "usage_days", ["day"])
    op.create_table(
        "usage_batches",
        sa.Column("front", sa.String(26), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.PrimaryKeyConstraint("front", name="pk_usage_batches"),
    )
    op.create_table(
        "closed_spaces",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("space", sa.String(63), nullable=False),
        sa.Column("closed_at", sa.DateTime, nullable=False),
        sa.Column("first_day", sa.String(10), nullable=False),
        sa.Column("last_day", sa.String(10), nullable=False),
        sa.Column("outcomes", sa.JSON, nullable=False),
        *_amounts(),
        sa.PrimaryKeyConstraint("id", name="pk_closed_spaces"),
    )


def _amounts() -> list[sa.Column[int]]:
    names = ("calls", "cpu_us", "memory_byte_s", "bytes_in", "bytes_out", "bytes_logged", "bytes_stored")
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


def downgrade() -> None:
    """Drop them."""
    op.drop_table("closed_spaces")
    op.drop_table("usage_batches")
    op.drop_index("ix_usage_days_day", "usage_days")
    op.drop_table("usage_days")
    op.drop_table("quota_spent")
    op.drop_table("space_quotas")
