"""Labels and aliases of versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "version_labels",
        sa.Column("function_id", sa.String(26), nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("label", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("function_id", "number", name="pk_version_labels"),
        sa.UniqueConstraint("function_id", "label", name="uq_version_labels_function_id_label"),
        _of_a_version("version_labels", "number", "CASCADE"),
    )
    op.create_table(
        "aliases",
        sa.Column("function_id", sa.String(26), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("canary", sa.Integer, nullable=True),
        sa.Column("share", sa.Integer, nullable=False),
        sa.Column("updated_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("function_id", "name", name="pk_aliases"),
        _of_a_version("aliases", "number"),
        _of_a_version("aliases", "canary"),
    )


def _of_a_version(table: str, column: str, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["function_id", column],
        ["versions.function_id", "versions.number"],
        name=f"fk_{table}_{column}_versions",
        ondelete=ondelete,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("aliases")
    op.drop_table("version_labels")
