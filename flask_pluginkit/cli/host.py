"""The application that commands are for: loading it, its manager, and what that refuses."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import update_wrapper, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import click
import flask
from flask import current_app, has_app_context
from flask.cli import NoAppException, ScriptInfo

from flask_pluginkit.exceptions import PluginError, StateError
from flask_pluginkit.text import clean

from .tables import for_stderr

if TYPE_CHECKING:
    from flask_pluginkit.manager import PluginManager
    from flask_pluginkit.switching import Change

P = ParamSpec("P")
R = TypeVar("R")

OTHERS: Final = tuple(
    f"{Path(file).parent}{os.sep}"
    for file in (Path(__file__).parent, click.__file__, flask.__file__)
)
"""Folders of packages: a fault of the application isn't told by a line in there."""

SAFE_MODE: Final = (
    "With PLUGINKIT_SAFE_MODE=1 no plugin is loaded: so one that hinders it can be disabled."
)

STANDARD: Final = f"{Path(os.__file__).parent}{os.sep}"


class Refused(click.ClickException):
    """What a command can't do, and why; its message is broken into lines on a terminal."""

    def format_message(self) -> str:
        """Return the message as click shows it behind ``Error: ``."""
        return for_stderr(self.message, "Error: ")


class NoManagerError(Refused):
    """The application has no plugins to speak of."""

    exit_code = 2


class HostFailed(Refused):
    """The application can't be started; the message says why, and in which of its lines."""

    def __init__(self, message: str, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.cause = cause
        """What was raised."""


class HushedHandler(logging.NullHandler):
    """Keeps Python from printing log records where the application has no logging set up."""


def hush() -> None:
    """Don't print what is logged of plugins that can't be active: the command tells it itself."""
    logger = logging.getLogger("flask_pluginkit")
    if not any(isinstance(handler, HushedHandler) for handler in logger.handlers):
        logger.addHandler(HushedHandler())


def with_host(function: Callable[P, R]) -> Callable[P, R]:
    """Return a command that runs in the context of the application.

    An application that can't be started is told in a line, and the exit code is 1.
    """

    @click.pass_context
    def run(context: click.Context, /, *args: P.args, **kwargs: P.kwargs) -> R:
        enter_host(context)
        return context.invoke(function, *args, **kwargs)

    return update_wrapper(run, function)


def with_quiet_host(function: Callable[P, R]) -> Callable[P, R]:
    """Return what `with_host` does, for a command that tells itself how plugins are."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        hush()
        return within(*args, **kwargs)

    within = with_host(function)
    return run


def enter_host(context: click.Context) -> None:
    """Load the application and enter its context, unless it was done already.

    Raises:
        HostFailed: importing or making it raised, be it for its plugins.
        NoAppException: none was named, and none is found; exit code 2.

    """
    if has_app_context():
        return
    try:
        app = context.ensure_object(ScriptInfo).load_app()
    except NoAppException as error:
        # the traceback of an import that failed is in its message
        if not isinstance(cause := error.__context__, ImportError) or cause.name is None:
            raise
        if "\n\n" not in error.format_message():
            raise
        raise HostFailed(in_short(cause), cause) from error
    except (Exception, SystemExit) as error:
        raise HostFailed(in_short(error), error) from error
    context.with_resource(app.app_context())


def in_short(error: BaseException) -> str:
    """Return what happened to the application, and in which of its lines, in printable text."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame for frame in frames if _is_of_the_application(frame.filename)]
    where = f" ({clean(lines[-1].filename, 300)}, line {lines[-1].lineno})" if lines else ""
    kind = "" if isinstance(error, PluginError) else f"{type(error).__name__}: "
    told = clean(error, 1000, multiline=True) or "no reason given"
    message = f"the application can't be started: {kind}{told}{where}"
    is_of_a_plugin = isinstance(error, PluginError) and not isinstance(error, StateError)
    return f"{message}\n{SAFE_MODE}" if is_of_a_plugin else message


def _is_of_the_application(filename: str) -> bool:
    is_standard = filename.startswith(STANDARD) and "site-packages" not in filename
    return not is_standard and not filename.startswith((*OTHERS, "<"))


def find_manager() -> PluginManager:
    """Return the manager of the application, or raise `NoManagerError`."""
    if (found := current_app.extensions.get("pluginkit")) is None:
        raise NoManagerError(
            f"the application {current_app.name!r} has no plugins: it makes no PluginManager(app)"
        )
    manager: PluginManager = found
    return manager


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what the manager refuses into a message and an exit code."""
    try:
        yield
    except PluginError as error:
        raise Refused(clean(error, 2000, multiline=True)) from error


def known_names(manager: PluginManager, names: Iterable[str]) -> list[str]:
    """Return the names, each once; one that nobody has is refused before anything changes."""
    from flask_pluginkit.records import row_named  # `flask plugins --help` loads this module, too

    rows = manager.plugins
    return [row_named(name, rows).name for name in dict.fromkeys(names)]


def tell(names: list[str], state: str, change: Change) -> None:
    """Say what came of one switch: who is what, and since which generation."""
    done = ", ".join([*names, *(other for other in change.changed if other not in names)])
    was = "" if change.changed else " already"
    click.echo(f"{done}: {state}{was} (generation {change.generation})")
    if change.silent:
        click.echo(
            f"{len(change.silent)} of the workers didn't answer in time and will follow at their "
            f"next request: {', '.join(change.silent)}",
            err=True,
        )


def complete_names(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Return the names of plugins that begin so, for the shell; none if there is no application."""
    hush()
    try:
        enter_host(context)
        rows = find_manager().plugins
    except click.ClickException:
        return []
    return [row.name for row in rows if row.name.startswith(incomplete) and row.name.isprintable()]
