"""The application's tables, replaced by live ones in which recordings can run.

A scratch application or a copy fails real plugins: they look up extensions, call
``db.init_app(state.app)`` and keep ``state.app``. So plugins register on the application
itself, while a ContextVar says whose recording it is; the application's tables then hand
everything to that recording. A recording that fails is dropped, and leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import update_wrapper
from typing import Any, cast

from flask import Flask
from werkzeug.routing import Rule

from flask_pluginkit.residents import Resident
from flask_pluginkit.snapshot import Snapshot

from . import routes
from .filters import ask_anew
from .handlers import HandlerTable
from .keeping import FUNCTION_LISTS, FUNCTION_TABLES, RECORDING
from .mounts import noting
from .recording import Recording
from .tables import (
    HOST_REGISTERS,
    FunctionList,
    FunctionTable,
    ListedDict,
    LiveBlueprints,
    LiveDict,
    LiveFunctions,
)


def _as_host(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method by which the application registers what plugins may have registered too.

    A plugin may call it as well: what it registers after a blueprint isn't that blueprint's.
    """

    def register(*args: Any, **kwargs: Any) -> Any:
        recording = RECORDING.get()
        blueprint = recording.blueprint if isinstance(recording, Recording) else None
        token = HOST_REGISTERS.set(True)
        try:
            return method(*args, **kwargs)
        finally:
            HOST_REGISTERS.reset(token)
            if isinstance(recording, Recording):
                recording.blueprint = blueprint

    return update_wrapper(register, method)


class Tables:
    """The tables of one application, replaced by live ones until `detach`."""

    def __init__(
        self,
        app: Flask,
        pin: Callable[[], Snapshot],
        settle: Callable[[], None],
        host: str | None = None,
    ) -> None:
        self.app = app
        self.pin = pin
        self.host = host
        self._undo = ExitStack()
        self.dicts: dict[str, LiveDict] = {}
        try:
            self._attach(settle)
        except BaseException:
            self.detach()
            raise

    def _attach(self, settle: Callable[[], None]) -> None:
        app = self.app
        self._live_dict(app, "view_functions", "endpoint")
        self._live_dict(app, "blueprints", "blueprint", LiveBlueprints)
        self._live_dict(app.cli, "commands", "command")
        self._live_dict(app.jinja_env, "filters", "filter", LiveFunctions)
        self._live_dict(app.jinja_env, "tests", "test", LiveFunctions)
        ask_anew(self.dicts["test"])
        self._live_dict(app.jinja_env, "globals", "global")
        for name in FUNCTION_TABLES:
            self.replace(app, name, FunctionTable(name, getattr(app, name)))
        for name in FUNCTION_LISTS:
            self.replace(app, name, FunctionList(name, None, getattr(app, name)))
        self.replace(
            app, "error_handler_spec", HandlerTable(app.error_handler_spec, self._live_handlers)
        )
        self._undo.callback(routes.attach(app.url_map, self.pin, self._record_rule, settle))
        self._let_recordings_register()

    def replace(self, holder: Any, name: str, value: Any) -> None:
        """Set an attribute until `detach`."""
        had = name in vars(holder)
        before = vars(holder).get(name)

        def restore() -> None:
            if had:
                setattr(holder, name, before)
            else:
                delattr(holder, name)

        setattr(holder, name, value)
        self._undo.callback(restore)

    def _live_dict(
        self, holder: Any, name: str, kind: str, make: type[LiveDict] = LiveDict
    ) -> None:
        table = make(kind, getattr(holder, name), lambda: self.pin().tables[kind])
        self.dicts[kind] = table
        self.replace(holder, name, table)

    def plain_globals(self) -> None:
        """Give Jinja globals that are copied as a plain dict is, as no plugin offers one.

        It copies all of them at each render, and a live mapping costs it microseconds.
        """
        self.dicts["global"].__class__ = ListedDict

    def live_globals(self) -> bool:
        """Let Jinja see the globals of plugins, now that one offers any.

        Returns whether templates were forgotten, which hold what the application has put in the
        place of its globals meanwhile. All others hold the very dict that becomes live here.
        """
        live, found = self.dicts["global"], self.app.jinja_env.globals
        live.__class__ = LiveDict
        if found is live:
            return False
        dict.clear(live)
        dict.update(live, found)
        self.app.jinja_env.globals = live
        self.forget_templates()
        return True

    def forget_templates(self) -> None:
        """Let Jinja load templates anew.

        They hold the globals of their time, and call filters in the form that these had when
        they were compiled: those of plugins have another one than the application's.
        """
        if self.app.jinja_env.cache is not None:
            self.app.jinja_env.cache.clear()

    def _live_handlers(self, scope: Any, code: Any) -> Mapping[Any, Any]:
        return self.pin().errors.get((scope, code)) or {}

    def _record_rule(self, rule: Rule) -> None:
        recording = RECORDING.get()
        assert isinstance(recording, Recording)
        recording.rule(rule)

    def _let_recordings_register(self) -> None:
        """Let plugins register after the first request, in a recording and only there."""
        check = self.app._check_setup_finished  # noqa: SLF001 - Flask has no other way

        def check_unless_recording(name: str) -> None:
            if RECORDING.get() is None:
                check(name)

        self.replace(self.app, "_check_setup_finished", check_unless_recording)
        self.replace(self.app, "add_url_rule", _as_host(self.app.add_url_rule))
        told = cast("LiveBlueprints", self.app.blueprints).told
        register = noting(self.app.register_blueprint, told)
        self.replace(self.app, "register_blueprint", _as_host(register))

    def recording(self, resident: Resident) -> Recording:
        """Return a new recording for the plugin `resident`."""

        def make_rule(rule: Rule) -> routes.LiveRule:
            return routes.make_live(rule, self.pin, self.host)

        return Recording(self.app, resident, make_rule)

    def detach(self) -> None:
        """Give the application its own tables back."""
        self._undo.close()
