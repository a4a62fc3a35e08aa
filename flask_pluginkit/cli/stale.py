"""Answers where the application can't be started: from what its last good start wrote down.

Workers leave an inventory of the plugins in the folder of the state. A command that only looks
answers from there: it tells what hinders the application and how old the answer is, on stderr,
and its exit code is `STALE`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from flask.cli import NoAppException

from flask_pluginkit.text import clean

from .host import HostFailed, Refused, enter_host, hush
from .tables import for_stderr

if TYPE_CHECKING:
    from flask_pluginkit.inventory import Inventory

STALE: Final = 3
"""The exit code of an answer that isn't the application's, which can't be started."""

VARIABLE: Final = "PLUGINKIT_STATE_DIR"

SPANS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))

MOST_PLACES: Final = 3
"""How many folders are proposed."""

F = TypeVar("F", bound=Callable[..., Any])


def state_dir_option(function: F) -> F:
    """Give a command the option ``--state-dir``, handed on as `state_dir`."""
    return click.option(
        "--state-dir",
        envvar=VARIABLE,
        type=click.Path(path_type=Path, file_okay=False),
        show_envvar=True,
        help="Where to look if the application can't be started: the folder of its state.",
    )(function)


def host_or_folder(context: click.Context, state_dir: Path | None) -> Path | None:
    """Enter the application, or return the folder of its state and say what hinders it.

    Raises:
        HostFailed: it can't be started, and no folder was given.
        NoAppException: none was found, and no folder was given.

    """
    hush()
    try:
        enter_host(context)
    except (HostFailed, NoAppException) as error:
        if state_dir is None:
            if isinstance(error, HostFailed):
                raise HostFailed(f"{error.message}\n{_what_to_give()}", error.cause) from error
            raise
        _warn(clean(error.message, 2000, multiline=True))
        return state_dir
    return None


def inventory_of(folder: Path) -> Inventory:
    """Return the inventory in the folder of a state, and say on stderr how old it is.

    Raises `Refused` if there is none.
    """
    from flask_pluginkit.inventory import load_inventory

    if (found := load_inventory(folder)) is None:
        raise Refused(
            f"no inventory is in {clean(folder)}; a worker writes it there once it serves. "
            f"{_what_to_give()}"
        )
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.seen))
    _warn(f"this is what a worker saw last, {ago(found.seen)} ({when}); it may be different by now")
    return found


def _warn(text: str) -> None:
    click.echo(for_stderr(f"Warning: {text}"), err=True)


def ago(moment: float) -> str:
    """Return how long ago a moment (seconds since the epoch) was: ``3 hours ago``."""
    seconds = int(time.time() - moment)
    for name, length in SPANS:
        if seconds >= length:
            count = seconds // length
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return "just now"


def _what_to_give() -> str:
    """Say which folder is needed, and which there are in the folder of instances."""
    places = sorted(Path("instance").glob("**/inventory.json"))[:MOST_PLACES]
    found = ", ".join(clean(place.parent) for place in places)
    return (
        f"To see what its last good start left, give --state-dir (or {VARIABLE}): the folder "
        "that PluginManager has as state_dir, else the one in 'pluginkit' in the instance folder"
        + (f"; perhaps {found}" if found else "")
    )
