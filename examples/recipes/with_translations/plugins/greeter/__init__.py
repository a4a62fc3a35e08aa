"""A greeting in the language of the page."""

from __future__ import annotations

from pathlib import Path

from flask_babel import Domain

from flask_pluginkit import Plugin

__plugin_name__ = "greeter"
__version__ = "1.0.0"
__author__ = "The Flask-PluginKit authors"
__license__ = "BSD-3-Clause"

plugin = Plugin(__name__)

# The texts of this plugin alone: greeter.mo in its own folder. Which language, the host decides.
texts = Domain([str(Path(__file__).parent / "translations")], domain="greeter")

# Templates of the host don't see these, as no other plugin may have the same names.
plugin.add_global(greeter_text=texts.gettext, greeter_texts=texts.ngettext)

plugin.add_tep("main", "greeting.html")

register = plugin.register
