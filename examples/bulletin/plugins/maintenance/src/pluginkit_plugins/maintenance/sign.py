"""The sign at the door: a setting, or a file that all workers see at their next request."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from flask import current_app

DEFAULT_MESSAGE: Final = "We are tidying up. The board is back in a few minutes."


def path() -> Path:
    """Return the file whose presence closes the board; its text is the message."""
    return Path(current_app.instance_path) / "maintenance.txt"


def message() -> str | None:
    """Return why the board is closed, None while it is open.

    The setting ``MAINTENANCE`` (in the environment ``BULLETIN_MAINTENANCE``) is true or a
    message; it closes the board until the application is started without it.
    """
    setting = current_app.config.get("MAINTENANCE")
    if setting:
        return setting if isinstance(setting, str) else DEFAULT_MESSAGE
    try:
        return path().read_text(encoding="utf-8").strip() or DEFAULT_MESSAGE
    except FileNotFoundError:
        return None


def planned() -> str | None:
    """Return the setting ``MAINTENANCE_PLANNED``: a word of warning for everybody."""
    setting: str | None = current_app.config.get("MAINTENANCE_PLANNED")
    return setting


def put_up(text: str) -> None:
    """Close the board."""
    path().write_text(text, encoding="utf-8")


def take_down() -> None:
    """Open the board."""
    path().unlink(missing_ok=True)
