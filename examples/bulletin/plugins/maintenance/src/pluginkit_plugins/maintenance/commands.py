"""The commands ``flask maintenance on`` and ``flask maintenance off``."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from . import sign


@click.command("on")
@click.argument("message", default=sign.DEFAULT_MESSAGE)
@with_appcontext
def close_board(message: str) -> None:
    """Close the board, for a reason that visitors read."""
    sign.put_up(message)
    click.echo("The board is closed. Moderators can still sign in.")


@click.command("off")
@with_appcontext
def open_board() -> None:
    """Open the board again."""
    sign.take_down()
    click.echo("The board is open.")
