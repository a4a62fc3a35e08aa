"""A shop made of plugins, of which one needs another.

flask --app app run
"""

from __future__ import annotations

from pathlib import Path

from flask import Flask, render_template

from flask_pluginkit import PluginManager


def create_app(**settings: object) -> Flask:
    """Make the application, with the plugins beside this file."""
    app = Flask(__name__)
    app.config.update(settings)
    PluginManager(app, plugin_paths=[Path(__file__).parent])
    app.add_url_rule("/", "index", lambda: render_template("index.html"))
    return app
