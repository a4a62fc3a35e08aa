"""The commands ``flask db ...``: Alembic, with the tables of the host and of its plugins.

The host has a branch of revisions, and each plugin that has a folder ``migrations`` has one. A
plugin that is disabled has its branch all the same: Alembic has to know every revision that the
database is at.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
from alembic import command
from alembic.config import Config
from flask import current_app
from flask.cli import AppGroup

HERE = Path(__file__).parent / "migrations"
db = AppGroup("db", help="The tables of the application and its plugins.")


def configuration() -> Config:
    """Return what Alembic is to know: where the revisions of host and plugins are."""
    plugins = current_app.extensions["pluginkit"].plugins
    folders = [row.candidate.folder / "migrations" for row in plugins]
    places = [HERE / "versions", *(folder for folder in folders if folder.is_dir())]
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join(map(str, places)))
    return config


@db.command()
@click.argument("revision", default="heads")
def upgrade(revision: str) -> None:
    """Bring tables up: all of them, or those of one branch (guestbook@head)."""
    command.upgrade(configuration(), revision)


@db.command()
@click.argument("revision")
def downgrade(revision: str) -> None:
    """Take tables down: guestbook@base removes what the plugin guestbook has."""
    command.downgrade(configuration(), revision)


@db.command()
def current() -> None:
    """Show where the database is, one line a branch."""
    command.current(configuration())
