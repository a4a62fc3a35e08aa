"""From the normal forms of ``register()`` to what is recorded on the application.

Blueprints, views and ``on_app_ready`` run Flask's own registration code while a recording
runs. The order over all plugins is that of 3.x: blueprints, nested ones after their parents,
then views and everything else; ``on_app_ready`` sees an application that has it all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from flask import Flask, signals
from flask.views import http_method_funcs

from flask_pluginkit.barrier import guard
from flask_pluginkit.exceptions import PEPError
from flask_pluginkit.functions import takes_argument
from flask_pluginkit.kinds import registers_itself
from flask_pluginkit.ordering import parse_code, parse_file
from flask_pluginkit.points import Named, SignalReceiver, TemplatePart
from flask_pluginkit.residents import Resident

from .commands import PluginGroup
from .dcp import DcpManager
from .mounts import Mount, Mounts, own_blueprints
from .recording import Recording
from .slots import compile_code


class Registrar:
    """Records what plugins register on one application."""

    def __init__(self, app: Flask, dcp: DcpManager) -> None:
        self.app = app
        self.dcp = dcp
        self.mounts = Mounts(app)
        """Where blueprints are; `enlistment` gives those that are to be live."""

    def record_blueprint(self, recording: Recording, mount: Mount) -> None:
        """Register a plugin's blueprint at its place."""
        if mount.name in own_blueprints(self.app):
            # Flask would raise; here it is a conflict that costs this blueprint only
            self._note_taken(recording, mount)
            return
        options = {"url_prefix": mount.prefix, "subdomain": mount.subdomain}
        if parent := mount.name.rpartition(".")[0]:
            options["name_prefix"] = recording.parent = parent
        try:
            with recording.running():
                mount.blueprint.register(self.app, options)
        finally:
            recording.blueprint = recording.parent = None

    @staticmethod
    def _note_taken(recording: Recording, mount: Mount) -> None:
        owner, value = recording.resident.name, mount.blueprint
        recording.add(Named(owner=owner, kind="blueprint", name=mount.name, value=value))

    def record_view(self, recording: Recording, row: tuple[Any, ...]) -> bool:
        """Register one view function; False if its blueprint isn't there (yet)."""
        rule, view, endpoint, options, on_blueprint = row
        if not on_blueprint:
            with recording.running():
                self.app.add_url_rule(rule, endpoint, view, **options)
            return True
        mount = self.mounts.get(on_blueprint)
        if mount is None:
            return False
        parents, _dot, name = mount.name.rpartition(".")
        settings = {
            "url_prefix": mount.prefix,
            "subdomain": mount.subdomain,
            "name": name,
            "name_prefix": parents,
        }
        recording.blueprint = mount.name
        try:
            with recording.running():
                state = mount.blueprint.make_setup_state(self.app, settings)
                state.add_url_rule(rule, endpoint, view, **options)
        finally:
            recording.blueprint = None
        return True

    def record_class(self, recording: Recording, view_class: Any, options: dict[str, Any]) -> None:
        """Register a class-based view, Flask-Classful's or Flask's own."""
        for name in ("dispatch_request", "index", *http_method_funcs):
            # fails here, and not at the first request, if an async one needs an extra
            self.app.ensure_sync(getattr(view_class, name, _nothing))
        with recording.running():
            if registers_itself(view_class):
                view_class.register(self.app, **options)
                return
            rest = {key: value for key, value in options.items() if key not in {"rule", "name"}}
            name = options.get("endpoint") or options.get("name") or view_class.__name__.lower()
            self.app.add_url_rule(options["rule"], view_func=view_class.as_view(name), **rest)

    def record_rest(self, recording: Recording, shapes: dict[str, Any], has_file: Any) -> None:
        """Record everything that needs no registration code of Flask's."""
        resident = recording.resident
        for hook, function in shapes["hep"].items():
            recording.hook(f"{hook}_funcs", None, function, recorded=False)
        for kind in ("filter", "test"):
            for name, function in shapes[kind]:
                recording.named(kind, name, function)
        for kind, table in (("tcp", "context"), ("global", "global")):
            for name, value in shapes[kind].items():
                recording.named(table, name, value)
        with recording.running():
            for error, function in shapes["errhandler"]:
                self.app.register_error_handler(error, function)
            for event, function, position in shapes["dcp"]:
                called = self.app.ensure_sync(function)
                self.dcp.push(event, called, position)
        self._record_signals(recording, shapes["signal"])
        if shapes["cli"]:
            group = PluginGroup(self.app, resident, shapes["cli"])
            recording.named("command", resident.name, group)
        for part in self._parts(resident, shapes["tep"], has_file):
            recording.add(part)

    def _record_signals(self, recording: Recording, rows: list[tuple[Any, Any]]) -> None:
        resident = recording.resident
        for signal, function in rows:
            called = guard(
                self.app.ensure_sync(function),
                resident,
                f"signal {signal.name}",
                None,
                final=signal in _AFTER_HANDLERS,
            )
            recording.add(SignalReceiver(owner=resident.name, signal=signal, function=called))

    def _parts(
        self, resident: Resident, teps: dict[str, dict[str, str]], has_file: Callable[[str], bool]
    ) -> Iterator[TemplatePart]:
        # a p3 function may have put both a file and code into one slot
        rows = [(slot, *row) for slot, part in teps.items() for row in part.items()]
        for slot, kind, given in rows:
            is_file = kind == "fil"
            order, text = parse_file(given, has_file) if is_file else parse_code(given)
            yield TemplatePart(
                owner=resident.name,
                slot=slot,
                order=order,
                is_file=is_file,
                text=text,
                template=self._template(resident.name, slot, is_file, text),
                meter=resident.meter(f"tep {slot}"),
                resident=resident,
                remote=_remote(given),
            )

    def _template(self, owner: str, slot: str, is_file: bool, text: str) -> Callable[[], Any]:
        """Make what gives the compiled template, at its first use.

        Compiling takes longer than all the rest of loading a plugin, and no page shows every
        slot.
        """
        app = self.app
        if is_file:
            return lambda: app.jinja_env.get_template(f"{owner}:{text}")
        return lambda: compile_code(app, owner, slot, text)

    def record_ready(self, recording: Recording, module: Any) -> list[str]:
        """Call a plugin's ``on_app_ready`` and return which attributes of the app it changed.

        It takes the application, or nothing: told by its signature, not by calling twice.
        """
        function = getattr(module, "on_app_ready", None)
        if function is None:
            return []
        if not callable(function):
            raise PEPError(f"{recording.resident.name}: on_app_ready is no function")
        before = dict(vars(self.app))
        arguments = (self.app,) if takes_argument(function) else ()
        try:
            with self.app.app_context(), recording.running():
                self.app.ensure_sync(function)(*arguments)
        except BaseException:
            for name in self._changed(before):
                # past __setattr__, as an application may have one of its own
                vars(self.app).pop(name)
                vars(self.app).update({name: before[name]} if name in before else {})
            raise
        finally:
            # a plugin that tries out a request ends Flask's setup, also that of the host
            self.app._got_first_request = before["_got_first_request"]  # noqa: SLF001
        return self._changed(before)

    def _changed(self, before: dict[str, Any]) -> list[str]:
        """Return which attributes of the application aren't what they were."""
        return sorted(
            name
            for name, value in vars(self.app).items()
            if before.get(name, _MISSING) is not value and name not in _HARMLESS
        )


_AFTER_HANDLERS = frozenset(
    {
        signals.got_request_exception,
        signals.request_finished,
        signals.request_tearing_down,
        signals.appcontext_tearing_down,
        signals.appcontext_popped,
    }
)
"""Signals that Flask sends where it asks no error handler any more."""

_MISSING = object()
_HARMLESS = frozenset({"_got_first_request", "name", "logger", "jinja_env"})
"""Attributes that Flask fills in by itself when they are first read."""


def _nothing() -> None:
    """Stands for a method that a class doesn't have."""


def _remote(given: str) -> Any:
    """Return what renders a part of a slot in another process, None if it is rendered here."""
    # a p3 function of a trusted plugin may have put a text of its own there
    if type(given) is str:
        return None
    from flask_pluginkit.isolation.texts import RemoteText

    return given if isinstance(given, RemoteText) else None
