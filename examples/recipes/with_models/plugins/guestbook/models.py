"""The plugin's tables: in the host's database, with metadata of their own.

Nothing here imports the host: any application with Flask-SQLAlchemy will do.
"""

from __future__ import annotations

from flask import current_app
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session


class Base(DeclarativeBase):
    """The base of this plugin's models, apart from those of the host and of other plugins."""


class Entry(Base):
    """What one guest wrote."""

    __tablename__ = "guestbook_entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    text: Mapped[str] = mapped_column(String(2000))
    place: Mapped[str] = mapped_column(String(80), default="", server_default="")


def session() -> scoped_session[Session]:
    """Return the session of the host's Flask-SQLAlchemy, which ends with the request."""
    found: scoped_session[Session] = current_app.extensions["sqlalchemy"].session
    return found
