"""A host whose plugins have tables of their own in its database.

flask --app app db upgrade
flask --app app run
"""

from __future__ import annotations

from pathlib import Path

from flask import Flask, render_template
from flask_sqlalchemy import SQLAlchemy

from flask_pluginkit import PluginManager

from . import migrating

db = SQLAlchemy()


def create_app(**settings: object) -> Flask:
    """Make the application, with its database in the instance folder."""
    app = Flask(__name__)
    Path(app.instance_path).mkdir(exist_ok=True)
    app.config.update(SQLALCHEMY_DATABASE_URI="sqlite:///models.sqlite3")
    app.config.update(settings)
    db.init_app(app)
    app.cli.add_command(migrating.db)
    PluginManager(app)
    app.add_url_rule("/", "index", lambda: render_template("index.html"))
    return app
