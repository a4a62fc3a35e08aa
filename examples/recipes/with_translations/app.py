"""A host that speaks English and Chinese, as each visitor prefers.

flask --app app run
"""

from __future__ import annotations

from flask import Flask, render_template, request
from flask_babel import Babel, get_locale

from flask_pluginkit import PluginManager

LANGUAGES = ("en", "zh")


def language() -> str | None:
    """Return the language of the page: asked for by ``?lang=``, or what the browser prefers."""
    asked = request.args.get("lang")
    return asked if asked in LANGUAGES else request.accept_languages.best_match(LANGUAGES)


def create_app(**settings: object) -> Flask:
    """Make the application."""
    app = Flask(__name__)
    app.config.update(settings)
    Babel(app, locale_selector=language)
    app.jinja_env.globals["get_locale"] = get_locale
    PluginManager(app)
    app.add_url_rule("/", "index", lambda: render_template("index.html"))
    return app
