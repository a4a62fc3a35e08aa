"""The recording that is running, and what it keeps a plugin from doing meanwhile.

A plugin that registers adds to the application. What is there already belongs to others, and
among it are the guards of their pages: so nothing is taken away and no table is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from functools import update_wrapper
from operator import is_
from typing import Any, Final, Protocol, TypeVar

from flask import Flask

from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.residents import Resident


class Recorder(Protocol):
    """What the tables need of the recording that is running."""

    is_running: bool
    resident: Resident
    serial: int | None
    """None for a recording of what is there for good."""

    def named(self, kind: str, name: str, value: Any) -> None:
        """Take an entry of a table."""

    def pending(self, kind: str) -> Mapping[str, Any]:
        """Give what this recording has taken for a table so far."""

    def others(self, live: Mapping[str, Any]) -> Mapping[str, Any]:
        """Give the entries of plugins that are there for the one who registers."""

    def hook(self, table: str, scope: str | None, function: Any) -> None:
        """Take a function of a function table."""

    def error(self, scope: str | None, code: int | None, error: Any, function: Any) -> None:
        """Take an error handler."""


class _Running:
    """A context variable for a recording, which is None again when the recording is over.

    A task that a plugin starts while it registers goes on in a copy of that moment's context.
    """

    def __init__(self) -> None:
        self._var: ContextVar[Recorder | None] = ContextVar("flask_pluginkit.recording")

    def get(self) -> Recorder | None:
        recorder = self._var.get(None)
        return recorder if recorder is not None and recorder.is_running else None

    def set(self, recorder: Recorder) -> Token[Recorder | None]:
        return self._var.set(recorder)

    def reset(self, token: Token[Recorder | None]) -> None:
        self._var.reset(token)


RECORDING: Final = _Running()
"""The recording of the plugin that registers in this context, None at all other times."""

Table = TypeVar("Table")


def keeps_entries(*methods: str) -> Callable[[type[Table]], type[Table]]:
    """Make a class decorator: these methods take entries away, and are refused to plugins.

    The class says in `place` where its instances are.
    """

    def decorate(kind: type[Table]) -> type[Table]:
        for name in methods:
            setattr(kind, name, _refused(getattr(kind, name)))
        return kind

    return decorate


def _refused(method: Callable[..., Any]) -> Callable[..., Any]:
    def unless_recording(table: Any, *args: Any, **kwargs: Any) -> Any:
        refuse(f"called {table.place}.{method.__name__}()")
        return method(table, *args, **kwargs)

    return update_wrapper(unless_recording, method)


def refuse(what: str) -> None:
    """Raise if a recording runs.

    Raises:
        PluginError: names the plugin and `what` it did.

    """
    if (recording := RECORDING.get()) is not None:
        raise _error(recording.resident.name, what)


def _error(plugin: str, what: str) -> PluginError:
    return PluginError(
        f"plugin {plugin!r} {what}: while it registers it can add to what the application has, "
        "and can't take away or replace what others have there"
    )


FUNCTION_TABLES: Final = (
    "before_request_funcs",
    "after_request_funcs",
    "teardown_request_funcs",
    "template_context_processors",
    "url_value_preprocessors",
    "url_default_functions",
)
FUNCTION_LISTS: Final = (
    "teardown_appcontext_funcs",
    "shell_context_processors",
    "url_build_error_handlers",
)
"""Attributes of the application that hold functions: by scope, and for all of it."""

TABLES: Final = (
    "view_functions", "blueprints", "error_handler_spec", "url_map", "jinja_env", "cli",
)  # fmt: skip
"""Attributes of the application that hold tables, beside those of functions."""


@contextmanager
def tables_kept(app: Flask, plugin: str, tables: tuple[str, ...]) -> Iterator[None]:
    """Put back the tables that `plugin` replaces: `tables` of `app`, and those that are in these.

    Raises:
        PluginError: it replaced or deleted some. What it put into others is lost.

    """
    # past __setattr__, as an application may have one of its own
    holders: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = (
        ("app", vars(app), tables),
        ("app.jinja_env", vars(app.jinja_env), ("filters", "tests", "globals")),
        ("app.cli", vars(app.cli), ("commands",)),
    )
    before = [[*map(attributes.get, names)] for _, attributes, names in holders]
    replaced = []
    try:
        yield
    finally:
        for (place, attributes, names), there in zip(holders, before, strict=True):
            # nearly always nothing is, and a start does this for each rule of each plugin
            if all(map(is_, map(attributes.get, names), there)):
                continue
            for name, table in zip(names, there, strict=True):
                if attributes.get(name) is not table:
                    attributes[name] = table
                    replaced.append(f"{place}.{name}")
    if replaced:
        raise _error(plugin, f"replaced {', '.join(replaced)}")
