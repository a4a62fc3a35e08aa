"""A word of welcome on the front page, for visitors who aren't signed in.

This plugin belongs to the host: it lies in the folder ``plugins`` of the application's package,
where Flask-PluginKit finds it without an installation. To switch it off, create an empty file
``DISABLED`` beside this one and start the application again.
"""

from __future__ import annotations

from typing import Any

__plugin_name__ = "welcome"
__version__ = "1.0.0"
__author__ = "The Bulletin authors"
__description__ = "A word of welcome for new visitors"
__license__ = "BSD-3-Clause"


def register() -> dict[str, Any]:
    """Return what this plugin adds to the application."""
    return {"tep": {"head": "head.html", "front_top": "welcome.html"}}
