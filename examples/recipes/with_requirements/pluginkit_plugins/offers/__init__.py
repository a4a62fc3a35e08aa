"""Items that are cheaper today. Nobody requires it."""

from __future__ import annotations

from markupsafe import Markup

from flask_pluginkit import Plugin

__plugin_name__ = "offers"
__version__ = "1.0.0"
__author__ = "The Flask-PluginKit authors"
__license__ = "BSD-3-Clause"

plugin = Plugin(__name__)


def reduction_of(item: str) -> int:
    """Return how much less an item costs today."""
    return 15 if item == "chair" else 0


@plugin.tep("main", order=20)
def offers() -> Markup:
    """Say what is cheaper."""
    return Markup("<p>Chairs are cheaper today.</p>")


register = plugin.register
