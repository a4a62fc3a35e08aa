"""What the shop sells. Other plugins use `price_of` and `ITEMS`."""

from __future__ import annotations

from markupsafe import Markup

from flask_pluginkit import Plugin

__plugin_name__ = "catalogue"
__version__ = "1.2.0"
__author__ = "The Flask-PluginKit authors"
__license__ = "BSD-3-Clause"

ITEMS = {"lamp": 40, "chair": 75, "table": 160}

plugin = Plugin(__name__)


def price_of(item: str) -> int:
    """Return what an item costs. Raises KeyError for one that isn't sold. Since 1.2."""
    return ITEMS[item]


@plugin.tep("main", order=10)
def catalogue() -> Markup:
    """List what there is."""
    rows = Markup("").join(Markup("<li>{}: {}</li>").format(*each) for each in ITEMS.items())
    return Markup("<ul>{}</ul>").format(rows)


register = plugin.register
