"""What Alembic runs for each command: revisions, on the database of the application."""

from __future__ import annotations

from alembic import context
from flask import current_app

with current_app.extensions["sqlalchemy"].engine.connect() as connection:
    # SQLite can't alter a table: Alembic then makes a new one, and copies
    context.configure(connection=connection, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
