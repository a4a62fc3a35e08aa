"""Guests say where they are from, since version 1.1.0."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "guestbook_0002"
down_revision = "guestbook_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; entries that are there are from nowhere."""
    with op.batch_alter_table("guestbook_entry") as table:
        table.add_column(sa.Column("place", sa.String(80), nullable=False, server_default=""))


def downgrade() -> None:
    """Take the column away."""
    with op.batch_alter_table("guestbook_entry") as table:
        table.drop_column("place")
