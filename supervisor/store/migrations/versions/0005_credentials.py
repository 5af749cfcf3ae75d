"""Apps, keys and access tokens of spaces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables, and count the first revision of the credentials."""
    op.create_table(
        "apps",
        sa.Column("client_id", sa.String(26), nullable=False),
        *_granted(),
        sa.PrimaryKeyConstraint("client_id", name="pk_apps"),
        sa.UniqueConstraint("space", "name", name="uq_apps_space_name"),
    )
    op.create_table(
        "app_secrets",
        sa.Column("digest", sa.String(64), nullable=False),
        *_of_an_app("app_secrets"),
        sa.Column("expires_at", sa.DateTime, nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_app_secrets"),
    )
    op.create_index("ix_app_secrets_client_id", "app_secrets", ["client_id"])
    op.create_table(
        "access_tokens",
        sa.Column("digest", sa.String(64), nullable=False),
        *_of_an_app("access_tokens"),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_access_tokens"),
    )
    op.create_index("ix_access_tokens_client_id_expires_at", "access_tokens", ["client_id", "expires_at"])
    op.create_table(
        "space_keys",
        sa.Column("id", sa.String(26), nullable=False),
        *_granted(),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_space_keys"),
        sa.UniqueConstraint("digest", name="uq_space_keys_digest"),
        sa.UniqueConstraint("space", "name", name="uq_space_keys_space_name"),
    )
    revisions = op.create_table(
        "revisions",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("kind", name="pk_revisions"),
    )
    op.bulk_insert(revisions, [{"kind": "credentials", "number": 0}])


def _granted() -> tuple[sa.schema.SchemaItem, ...]:
    return (
        sa.Column("space", sa.String(63), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("functions", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )


def _of_an_app(table: str) -> tuple[sa.schema.SchemaItem, ...]:
    return (
        sa.Column("client_id", sa.String(26), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["apps.client_id"], name=f"fk_{table}_client_id", ondelete="CASCADE"
        ),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("revisions")
    op.drop_table("space_keys")
    op.drop_index("ix_access_tokens_client_id_expires_at", "access_tokens")
    op.drop_table("access_tokens")
    op.drop_index("ix_app_secrets_client_id", "app_secrets")
    op.drop_table("app_secrets")
    op.drop_table("apps")
