"""What an author adds to the type of a field: ``Annotated[int, Range(1, 100), "How many"]``."""

from __future__ import annotations

from enum import Enum
from typing import Final

from flask_pluginkit.frozen import Frozen


class Range(Frozen, kw_only=False):
    """A number from `least` to `most`, both included; None is no bound."""

    least: float | None = None
    most: float | None = None


class Pattern(Frozen, kw_only=False):
    """A text that matches a regular expression from its beginning to its end.

    `words` says the same to people: ``Pattern(r"[a-z]{2}", "a code of two letters")``.
    """

    expression: str
    words: str = ""


class Mark(Enum):
    """A property of a field that needs no value."""

    SECRET = "secret"  # noqa: S105 - no password


SECRET: Final = Mark.SECRET
"""Marks a text that is shown to nobody but the plugin: ``Annotated[str, SECRET]``."""
