"""The code of functions: bundles, in pieces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables of bundles."""
    op.create_table(
        "bundles",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("upload", sa.String(26), nullable=False),
        sa.Column("pieces", sa.Integer, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_bundles"),
        sa.UniqueConstraint("upload", name="uq_bundles_upload"),
    )
    op.create_table(
        "bundle_pieces",
        sa.Column("upload", sa.String(26), nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("upload", "number", name="pk_bundle_pieces"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("bundle_pieces")
    op.drop_table("bundles")
