"""What a customer is about to buy. It can't be without the catalogue, and uses offers if any."""

from __future__ import annotations

from flask import abort, current_app

from flask_pluginkit import Plugin
from pluginkit_plugins.catalogue import ITEMS, price_of  # loaded first, as it is required

__plugin_name__ = "basket"
__version__ = "1.0.0"
__author__ = "The Flask-PluginKit authors"
__license__ = "BSD-3-Clause"
__requires__ = {"catalogue": ">=1.2,<2"}

plugin = Plugin(__name__, url_prefix="/basket")


@plugin.get("/<item>")
def total(item: str) -> dict[str, int]:
    """Tell what an item costs today."""
    if item not in ITEMS:
        abort(404)
    return {item: price_of(item) - reduction(item)}


def reduction(item: str) -> int:
    """Return what the plugin `offers` takes off, if it is active for this request."""
    if "offers" not in current_app.extensions["pluginkit"].snapshot.active:
        return 0
    # here, not above: it may not be installed at all
    from pluginkit_plugins.offers import reduction_of

    return reduction_of(item)


register = plugin.register
