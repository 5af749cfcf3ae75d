"""Every bundle that lay on disk only is in the store; ``supervisor.store.migrate`` takes them over before."""

from __future__ import annotations

revision = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Change nothing: the revision says that it is done."""


def downgrade() -> None:
    """Change nothing."""
