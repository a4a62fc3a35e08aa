"""Rendering template slots: ``{{ emit_tep("nav") }}``.

Flask runs the context processors and copies all globals for each template that it renders.
The parts of one slot are small and many: here that is done once for all of them, and parts
that leave nothing in their context share one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from inspect import currentframe
from operator import eq, is_
from time import perf_counter
from traceback import walk_stack
from typing import Any, NamedTuple, cast

from flask import Flask
from flask.signals import before_render_template, template_rendered
from jinja2 import Template
from jinja2.runtime import Context
from markupsafe import Markup

from flask_pluginkit.barrier import on_exit, on_fault
from flask_pluginkit.bundles import Slot
from flask_pluginkit.exceptions import ParamError
from flask_pluginkit.points import TemplatePart
from flask_pluginkit.residents import OWNER, Home
from flask_pluginkit.snapshot import Snapshot
from flask_pluginkit.text import clean, describe

from .environment import Layers, layered_context
from .hooks import WITHOUT_VALUES
from .tables import ListedDict

EMPTY = Markup("")


def compile_code(app: Flask, owner: str, slot: str, source: str) -> Template:
    """Compile the code of a tep, as a template of the plugin `owner`.

    The name tells whose it is, and ends with ``.html`` so that it is escaped as Flask escapes
    text without a name.
    """
    environment = app.jinja_env
    name = f"{owner}:<tep {slot}>.html"
    code = environment.compile(source, name=name, filename=f"<{name}>")
    return environment.template_class.from_code(environment, code, environment.make_globals(None))


def is_pure(template: Template) -> bool:
    """Tell whether rendering leaves the context as it was.

    Jinja compiles top-level assignments and imports to writes to ``context.vars``; blocks
    and ``extends`` belong to the context of one template.
    """
    code = template.root_render_func.__code__
    return (
        not template.blocks
        and "vars" not in code.co_names
        and "parent_template" not in code.co_varnames
    )


class Compiled(NamedTuple):
    """A compiled part, and what has to be known of it at each rendering."""

    template: Template
    render: Callable[[Context], Iterator[str]]
    """What Jinja made of it."""
    pure: bool
    escaped: bool | None
    """Whether it is escaped; None if the application is to be asked each time."""


def _compiled(app: Flask, template: Template) -> Compiled:
    escapes: bool | Callable[[str | None], bool] = app.jinja_env.autoescape
    if getattr(escapes, "__func__", None) is Flask.select_jinja_autoescape:
        escapes = app.select_jinja_autoescape(template.name)  # it goes by the name alone
    escaped = None if callable(escapes) else bool(escapes)
    return Compiled(template, template.root_render_func, is_pure(template), escaped)


def _is_nested() -> bool:
    """Tell whether a slot is being rendered inside of another, or of itself."""
    render = Rendering.render.__code__
    frames = [frame for frame, _line in walk_stack(currentframe()) if frame.f_code is render]
    return len(frames) > 1


class Slots:
    """Renders the slots of one application."""

    def __init__(self, app: Flask, pin: Callable[[], Snapshot], strict: Callable[[], bool]) -> None:
        self.app = app
        self.pin = pin
        self.strict = strict
        self.common: _Common | None = None
        self.memo: dict[TemplatePart, Compiled] = {}
        """The compiled parts, which outlive snapshots: compiling takes most of the time."""
        self.rendering: type[Rendering] = Rendering
        """What renders the parts of one emit; the overlay of debug mode has its own."""

    def forget(self) -> None:
        """Compile all parts anew, for filters that weren't known before."""
        # another one, as what is being rendered may keep a part that was compiled before
        self.memo = {}

    def emit(self, tep: str, typ: str = "all", **context: Any) -> Markup:
        """Render every part of the slot `tep` in its order.

        Args:
            tep: the name of the slot.
            typ: ``"fil"`` for template files only, ``"cod"`` for code only, else all.
            context: variables for the templates, beside those of the context processors.

        """
        snapshot = self.pin()
        try:
            slot = snapshot.slots.get(tep)
        except TypeError:  # a list, for example
            return no_name("emit_tep", "the name of a slot", tep, snapshot.site)
        if slot is None:
            return EMPTY
        parts = slot.files if typ == "fil" else slot.codes if typ == "cod" else slot.all
        if not parts:
            return EMPTY
        if slot.is_remote:
            return Markup(self._emit_remote(snapshot, slot, parts, context))  # noqa: S704
        # templates have escaped what was to be escaped
        return Markup(self.rendering(self, snapshot, context).render(parts))  # noqa: S704

    def _emit_remote(
        self, snapshot: Snapshot, slot: Slot, parts: tuple[TemplatePart, ...], context: Any
    ) -> str:
        """Render a slot of which other processes render a part."""
        from .remote_slots import pieces

        own = self.own_renderer(snapshot, context)
        found = pieces(snapshot, slot, parts, context, own, fault_box)
        return "".join([piece.text for piece in found])

    def own_renderer(
        self, snapshot: Snapshot, context: dict[str, Any]
    ) -> Callable[[tuple[TemplatePart, ...]], str]:
        """Return what renders the parts of trusted plugins among others."""
        return lambda own: self.rendering(self, snapshot, dict(context)).render(own)


class _Common:
    """Globals and the values of all plugins, merged once: there may be thousands of them."""

    __slots__ = ("_globals", "_values", "merged")

    def __init__(self, names: dict[str, Any], values: Mapping[str, Any]) -> None:
        self._globals = names.copy()
        self._values = values
        self.merged = {**self._globals, **values}

    def is_of(self, names: dict[str, Any], values: Mapping[str, Any]) -> bool:
        """Tell whether this was made of these very objects."""
        before = self._globals
        return (
            values is self._values
            and len(names) == len(before)
            and all(map(is_, names.values(), before.values()))
            and all(map(eq, names, before))
        )


class Rendering:
    """One emit: the variables of its parts, and the contexts that they can share."""

    def __init__(self, slots: Slots, snapshot: Snapshot, variables: dict[str, Any]) -> None:
        self.app = slots.app
        self.strict = slots.strict
        self.memo = slots.memo
        self.environment = slots.app.jinja_env
        self.variables = variables
        self.shared: dict[bool, Context] = {}
        signals = bool(before_render_template.receivers or template_rendered.receivers)
        self.as_flask = signals or self.environment.is_async
        self.layers = Layers(self._common(slots, snapshot), variables)

    def _common(self, slots: Slots, snapshot: Snapshot) -> dict[str, Any]:
        """Return what every part of every slot sees; nobody changes it.

        What the context processors give goes to the variables of this emit.
        """
        if self.as_flask:
            self.app.update_template_context(self.variables)
            return {}
        token = WITHOUT_VALUES.set(True)
        try:
            self.app.update_template_context(self.variables)
        finally:
            WITHOUT_VALUES.reset(token)
        names, values = self.environment.globals, snapshot.tables["context"]
        if type(names) is not dict and type(names) is not ListedDict:
            names = {**names}  # plugins have globals as well
        common = slots.common
        if common is None or not common.is_of(names, values):
            common = slots.common = _Common(names, values)
        return common.merged

    def render(self, parts: tuple[TemplatePart, ...]) -> str:
        """Return what parts of plugins that run here show; nothing in place of one that fails."""
        concat, memo, reloads = self.environment.concat, self.memo, self.environment.auto_reload
        done = []
        started = perf_counter()
        for part in parts:
            token = OWNER.set(part.resident)
            try:
                compiled = memo.get(part)
                # files are looked up again each time if they may change
                if compiled is None or (reloads and part.is_file):
                    compiled = memo[part] = _compiled(self.app, part.template())
                if self.as_flask:
                    done.append(self.render_as_flask(compiled.template))
                else:
                    done.append(str(concat(compiled.render(self.context_of(compiled)))))
            except Exception as error:  # a barrier
                # contained where it began, a slot with two parts that emit it again would go on
                # for ever
                if isinstance(error, RecursionError) and _is_nested():
                    raise
                self.shared.clear()
                done.append(self.fault(part, error))
            except BaseException as error:  # noqa: BLE001 - on_exit raises what isn't the plugin's
                self.shared.clear()
                on_exit(part.resident, part.meter, error, "")
            finally:
                now = perf_counter()
                part.meter.add(now - started)
                started = now  # what is between two parts is too little to be told apart
                OWNER.reset(token)
        return "".join(done)

    def render_as_flask(self, template: Template) -> str:
        """Render one part as Flask renders a template, with its signals.

        Listeners may change the variables: each part has its own then.
        """
        variables = dict(self.variables)
        self.send(before_render_template, template, variables)
        text = str(template.render(variables))
        self.send(template_rendered, template, variables)
        return text

    def context_of(self, compiled: Compiled) -> Context:
        """Return a context over the common variables, a fresh one unless it can be shared."""
        environment, template, escaped = self.environment, compiled.template, compiled.escaped
        if not compiled.pure:
            return layered_context(environment, self.layers, template.name, template.blocks)
        if escaped is None:
            escapes: Any = environment.autoescape
            escaped = bool(escapes(template.name) if callable(escapes) else escapes)
        if (context := self.shared.get(escaped)) is None:
            context = layered_context(environment, self.layers, template.name, {})
            self.shared[escaped] = context
        return context

    def send(self, signal: Any, template: Template, variables: dict[str, Any]) -> None:
        """Tell the application's listeners what is rendered, as Flask does."""
        token = OWNER.set(None)
        try:
            signal.send(
                self.app,
                _async_wrapper=self.app.ensure_sync,
                template=template,
                context=variables,
            )
        finally:
            OWNER.reset(token)

    def fault(self, part: TemplatePart, error: Exception) -> str:
        """Count and log a fault, and return what stands on the page in its place."""
        try:
            # points the traceback at the lines of the template
            self.environment.handle_exception()
        except Exception as rewritten:  # noqa: BLE001 - it always raises, whatever it was
            error = rewritten
        on_fault(part.resident, part.meter, error, "")
        if not self.app.debug:
            return ""
        return fault_box(part.owner, part.meter.point, f"{type(error).__name__}: {clean(error)}")


def no_name(function: str, expected: str, found: object, site: object) -> Markup:
    """Tell that a function of templates was given what can't be a name; return nothing to show.

    Raises:
        ParamError: in strict mode.

    """
    reason = f"{function}: expected {expected}, as text, found {describe(found)}"
    home = cast("Home", site)
    if home.is_strict():
        raise ParamError(reason)
    home.logger.warning("%s", reason)
    return EMPTY


def fault_box(owner: str, point: str, error: str) -> Markup:
    """Return what a page shows in debug mode in place of a part that failed."""
    return Markup(
        '<div role="alert" style="border:2px solid #c00;padding:.5em;font:14px monospace">'
        "plugin <b>{}</b>: {} failed: {}</div>"
    ).format(owner, point, error)
