"""`Plugin`: what a plugin adds, said by decorators.

Each call adds to the dict that `Plugin.register` returns, which is the very dict that a
``register()`` written by hand would return: `kinds.KINDS` decides what is right, here as there.
What is wrong is told at once, with the line of the plugin where it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

import click
from blinker import Signal
from flask.cli import AppGroup

from flask_pluginkit.kinds import HOOKS
from flask_pluginkit.settings import Settings
from flask_pluginkit.text import describe

from . import types
from .author import stand_in
from .calls import all_of, chained, require_async
from .ledger import Ledger
from .pages import Pages
from .views import Views

T = TypeVar("T")


class Commands(AppGroup):
    """The commands of a plugin, each with a name of its own."""

    def __init__(self, name: str, ledger: Ledger) -> None:
        super().__init__(name)
        self._ledger = ledger

    @overload
    def command(self, name: Callable[..., Any], /) -> click.Command: ...
    @overload
    def command(
        self, name: str | None = None, cls: type[click.Command] | None = None, **options: Any
    ) -> Callable[[Callable[..., Any]], click.Command]: ...
    def command(self, name: Any = None, cls: Any = None, **options: Any) -> Any:
        """Add the function as a command, in an application context: ``@plugin.cli.command``.

        Args:
            name: by default that of the function, with dashes.
            cls: the class of the command, by default `click.Command`.
            options: as for `flask.cli.AppGroup.command`.

        """
        make: Callable[..., Any] = super().command
        if callable(name):
            return make()(name)
        return make(name, **({} if cls is None else {"cls": cls}), **options)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command.

        Raises:
            RegistrationError: another one has its name.

        """
        self._ledger.check_open("cli")
        if (called := name or cmd.name) in self.commands:
            found = f"a second command {describe(called)}"
            self._ledger.refuse("cli", found, "a name that no other one has")
        super().add_command(cmd, name)


class Plugin(Views, Pages):
    """What one plugin adds to an application.

    ``plugin = Plugin(__name__)``, then decorators, and ``register = plugin.register`` at the end.
    Functions are given back as they are.

    Args:
        import_name: the name of the plugin's package: ``__name__`` in its ``__init__.py``,
            ``__package__`` in another module of it.
        url_prefix: what the rules of all views begin with, such as ``"/hello"``.
        name: the name of the blueprint and in messages; by default the last part of
            `import_name`.
        parent: the name of another plugin's blueprint, in which this one is to be.

    Raises:
        RegistrationError: by every method, for what can't be used: with the plugin's file and
            line, what was found there, and what was expected.

    """

    def __init__(
        self,
        import_name: str,
        *,
        url_prefix: str | None = None,
        name: str | None = None,
        parent: str | None = None,
    ) -> None:
        super().__init__(import_name, url_prefix=url_prefix, name=name, parent=parent)
        self._chains: dict[str, list[Callable[..., Any]]] = {hook: [] for hook in HOOKS}
        self._cli = Commands(self.name, self._ledger)

    def register(self) -> dict[str, Any]:
        """Return what the plugin adds, as ``register()`` is to return it.

        A new dict each time. Nothing can be added once it was called: applications have it then.

        Raises:
            MissingExtraError: functions are async, and the extra ``async`` isn't installed.

        """
        require_async(self.name, all_of(self._chains.values()))
        made = super().register()
        if hooks := {hook: chained(hook, found) for hook, found in self._chains.items() if found}:
            made["hep"] = hooks
        if self._cli.commands:
            made["cli"] = list(self._cli.commands.values())
        return made

    # ---- requests -----------------------------------------------------------------------------

    def before_request(self, function: types.Before) -> types.Before:
        """Run the function before each request of the whole application (hep).

        An answer ends the request. Several are called in order until one answers.
        """
        self._hook("before_request", function, 0)
        return function

    def after_request(self, function: types.After) -> types.After:
        """Run the function with each response of the whole application (hep).

        It returns the response, or another one. Several are called as Flask does it, the last
        one first.
        """
        self._hook("after_request", function, 1)
        return function

    def teardown_request(self, function: types.Teardown) -> types.Teardown:
        """Run the function at the end of each request, with the exception or None (hep).

        Several are called the last one first, whichever of them fails.
        """
        self._hook("teardown_request", function, 1)
        return function

    def _hook(self, hook: str, function: Callable[..., Any], arguments: int) -> None:
        self._ledger.check("hep", {hook: function})
        self._ledger.check_arguments(hook, function, arguments)
        if function in self._chains[hook]:
            self._ledger.refuse(hook, "the same function for the second time", "each one once")
        self._ledger.check_open(hook)
        self._chains[hook].append(function)

    @overload
    def errorhandler(self, error: int) -> Callable[[types.Handler], types.Handler]: ...
    @overload
    def errorhandler(
        self, error: type[types.Error]
    ) -> Callable[[types.HandlerOf[types.Error]], types.HandlerOf[types.Error]]: ...
    def errorhandler(self, error: Any) -> Any:
        """Answer an error with the function (errhandler): ``@plugin.errorhandler(404)``.

        Args:
            error: an HTTP error code, or an exception class.

        """
        self._ledger.check("errhandler", [{"error": error, "handler": stand_in}])

        def add(function: Any) -> Any:
            self._ledger.check("errhandler", [{"error": error, "handler": function}])
            self._ledger.check_arguments("errorhandler", function, 1)
            row, name = (
                {"error": error, "handler": function},
                getattr(error, "__name__", str(error)),
            )
            self._ledger.append("errhandler", row, key=error, name=name)
            return function

        return add

    # ---- everything else ----------------------------------------------------------------------

    def dcp(
        self, event: str, position: types.Position = "right"
    ) -> Callable[[types.Connection], types.Connection]:
        """Add the function to a dynamic connection point of the host (dcp).

        Args:
            event: what the host emits: ``{{ emit_dcp("counter") }}``.
            position: ``"right"`` (or ``"after"``) of those that are there, or ``"left"``
                (``"before"``).

        """
        self._ledger.check("dcp", {"event": event, "callback": stand_in, "position": position})

        def add(function: types.Connection) -> types.Connection:
            row = {"event": event, "callback": function, "position": position}
            self._ledger.check("dcp", row)
            self._ledger.append("dcp", row, key=(event, id(function)), name=describe(event))
            return function

        return add

    @property
    def cli(self) -> Commands:
        """The group of the plugin's commands (cli): ``@plugin.cli.command("greet")``.

        They run in an application context, as ``flask hello greet``.
        """
        return self._cli

    def settings(self, dataclass: type[T]) -> T:
        """Declare the plugin's settings, and return what gives their values (settings).

        ``settings = plugin.settings(MySettings)``, then ``settings.limit`` in functions: the
        value that counts for the request. See `flask_pluginkit.Settings`.

        Args:
            dataclass: the fields, with annotations and defaults.

        """
        made = self._ledger.located(Settings, dataclass)
        self._ledger.append("settings", made, key="settings", name=dataclass.__name__)
        return cast("T", made)

    def connect(self, signal: Signal) -> Callable[[types.Receiver], types.Receiver]:
        """Have a blinker signal call the function (signal)."""
        self._ledger.check("signal", [(signal, stand_in)])

        def add(function: types.Receiver) -> types.Receiver:
            self._ledger.check("signal", [(signal, function)])
            key, name = (id(signal), id(function)), describe(getattr(signal, "name", ""))
            self._ledger.append("signal", (signal, function), key=key, name=name)
            return function

        return add

    def preprocess(
        self, plugin: str, kind: str
    ) -> Callable[[types.Preprocessor], types.Preprocessor]:
        """Change with the function what another plugin registers (p3).

        Args:
            plugin: the name of that plugin.
            kind: what of it: ``"tep"``, ``"vep"``, ... The function gets a copy of that in its
                normal form, and returns the changed one.

        """
        self._ledger.check("p3", {plugin: {kind: stand_in}})

        def add(function: types.Preprocessor) -> types.Preprocessor:
            self._ledger.check("p3", {plugin: {kind: function}})
            self._ledger.check_arguments(f"preprocess({describe(plugin)})", function, 1)
            self._ledger.preprocess(plugin, kind, function)
            return function

        return add
