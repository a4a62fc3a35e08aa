"""A public notice board: the host application of this example.

The board itself knows notices, categories, tags and accounts. Everything else that a visitor
sees (search, comments, feeds, reading time, visitor counts, ...) comes from plugins, which fill
the slots that the templates offer with ``emit_tep`` and ``emit_dcp``.

    flask --app bulletin run
"""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask

from flask_pluginkit import PluginManager

from . import accounts, board, database, forms, presentation

__all__ = ["create_app"]


def create_app(**settings: object) -> Flask:
    """Make the application, with its database in the instance folder.

    `settings` go over environment variables such as ``BULLETIN_MAINTENANCE=true``, which go
    over the defaults. The instance folder is the one that Flask chooses, or the absolute path
    in ``BULLETIN_INSTANCE``.
    """
    app = Flask(__name__, instance_path=os.environ.get("BULLETIN_INSTANCE"))
    instance = Path(app.instance_path)
    app.config.from_mapping(
        BOARD_NAME="Linden Street",
        BOARD_TAGLINE="The notice board of our neighbourhood",
        DATABASE=str(instance / "bulletin.sqlite3"),
        NOTICES_PER_PAGE=8,
        SESSION_COOKIE_NAME="bulletin",
        SESSION_COOKIE_SAMESITE="Lax",
    )
    app.config.from_prefixed_env("BULLETIN")
    app.config.update(settings)

    database.init_app(app)
    forms.init_app(app)
    presentation.init_app(app)
    app.register_blueprint(accounts.blueprint)
    app.register_blueprint(board.blueprint)

    # The host's own plugins lie in the folder `plugins` of this package; those that were
    # installed with pip are found by themselves. `stpl=True` sorts the parts of a slot by the
    # number in front of their "@"; `state_dir` keeps ENABLED and DISABLED markers out of
    # site-packages.
    PluginManager(app, stpl=True, state_dir=instance / "pluginkit")
    return app
