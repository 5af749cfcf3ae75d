"""Functions, their versions, and the secrets and variables of spaces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "functions",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("space", sa.String(63), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("active", sa.Integer, nullable=False),
        sa.Column("last_number", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("updated_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_functions"),
        sa.UniqueConstraint("space", "name", name="uq_functions_space_name"),
    )
    op.create_table(
        "versions",
        sa.Column("function_id", sa.String(26), nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("template", sa.String(64), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("env", sa.JSON, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("function_id", "number", name="pk_versions"),
        sa.ForeignKeyConstraint(
            ["function_id"], ["functions.id"], name="fk_versions_function_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_versions_digest", "versions", ["digest"])
    op.create_table(
        "space_values",
        sa.Column("space", sa.String(63), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("updated_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("space", "kind", "name", name="pk_space_values"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("space_values")
    op.drop_index("ix_versions_digest", "versions")
    op.drop_table("versions")
    op.drop_table("functions")
