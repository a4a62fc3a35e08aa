"""The first tables of the guest book, and the begin of its branch."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "guestbook_0001"
down_revision = None
branch_labels = ("guestbook",)
depends_on = None


def upgrade() -> None:
    """Make the table of entries."""
    op.create_table(
        "guestbook_entry",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("text", sa.String(2000), nullable=False),
    )


def downgrade() -> None:
    """Remove the table of entries."""
    op.drop_table("guestbook_entry")
