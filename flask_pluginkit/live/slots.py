"""Rendering template slots: ``{{ emit_tep("nav") }}``.

Flask runs the context processors and copies all globals for each template that it renders.
The parts of one slot are small and many: here that is done once for all of them, and parts
that leave nothing in their context share one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import currentframe
from operator import eq, is_
from time import perf_counter
from traceback import walk_stack
from typing import Any, cast

from flask import Flask
from flask.signals import before_render_template, template_rendered
from jinja2 import Template
from jinja2.runtime import Context
from markupsafe import Markup

from flask_pluginkit.barrier import on_exit, on_fault
from flask_pluginkit.exceptions import ParamError
from flask_pluginkit.points import TemplatePart
from flask_pluginkit.residents import OWNER, Home
from flask_pluginkit.snapshot import Snapshot
from flask_pluginkit.text import clean, describe

from .hooks import WITHOUT_VALUES

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


def _is_nested() -> bool:
    """Tell whether a slot is being rendered inside of another, or of itself."""
    render = _Rendering.render.__code__
    frames = [frame for frame, _line in walk_stack(currentframe()) if frame.f_code is render]
    return len(frames) > 1


class Slots:
    """Renders the slots of one application."""

    def __init__(self, app: Flask, pin: Callable[[], Snapshot], strict: Callable[[], bool]) -> None:
        self.app = app
        self.pin = pin
        self.strict = strict
        self.common: _Common | None = None
        self.memo: dict[TemplatePart, tuple[Template, bool]] = {}
        """The compiled parts, which outlive snapshots: compiling takes most of the time."""

    def forget(self) -> None:
        """Compile all parts anew, for filters that weren't known before."""
        self.memo.clear()

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
        # templates have escaped what was to be escaped
        return Markup(_Rendering(self, snapshot, context).render(parts))  # noqa: S704


class _Common:
    """Globals and the values of all plugins, merged once: there may be thousands of them."""

    __slots__ = ("_globals", "_merged", "_values")

    def __init__(self, names: dict[str, Any], values: Mapping[str, Any]) -> None:
        self._globals = names.copy()
        self._values = values
        self._merged = {**self._globals, **values}

    def is_of(self, names: dict[str, Any], values: Mapping[str, Any]) -> bool:
        """Tell whether this was made of these very objects."""
        before = self._globals
        return (
            values is self._values
            and len(names) == len(before)
            and all(map(is_, names.values(), before.values()))
            and all(map(eq, names, before))
        )

    def with_variables(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Return a new dict with `variables` on top."""
        merged = self._merged.copy()
        merged.update(variables)
        return merged


class _Rendering:
    """One emit: the variables of its parts, and the contexts that they can share."""

    def __init__(self, slots: Slots, snapshot: Snapshot, variables: dict[str, Any]) -> None:
        self.app = slots.app
        self.strict = slots.strict
        self.memo = slots.memo
        self.environment = slots.app.jinja_env
        self.variables = variables
        self.shared: dict[bool, Context] = {}
        self.signals = bool(before_render_template.receivers or template_rendered.receivers)
        self.parent = self._parent(slots, snapshot)

    def _parent(self, slots: Slots, snapshot: Snapshot) -> dict[str, Any]:
        """Return what every part sees: globals, then the context processors' variables."""
        if self.signals or self.environment.is_async:  # rendered as Flask does it
            self.app.update_template_context(self.variables)
            return {**self.environment.globals, **self.variables}
        token = WITHOUT_VALUES.set(True)
        try:
            self.app.update_template_context(self.variables)
        finally:
            WITHOUT_VALUES.reset(token)
        names, values = self.environment.globals, snapshot.tables["context"]
        if type(names) is not dict:  # plugins have globals as well
            return {**names, **values, **self.variables}
        common = slots.common
        if common is None or not common.is_of(names, values):
            common = slots.common = _Common(names, values)
        return common.with_variables(self.variables)

    def render(self, parts: tuple[TemplatePart, ...]) -> str:
        concat = self.environment.concat
        as_flask = self.signals or self.environment.is_async
        done = []
        for part in parts:
            token = OWNER.set(part.resident)
            started = perf_counter()
            try:
                template, pure = self.template_of(part)
                if as_flask:
                    done.append(self.render_as_flask(template))
                else:
                    context = self.context_of(template, pure)
                    done.append(str(concat(template.root_render_func(context))))
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
                part.meter.add(perf_counter() - started)
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

    def template_of(self, part: TemplatePart) -> tuple[Template, bool]:
        """Return the compiled template of `part`, and whether it is pure.

        Kept per snapshot: Jinja's own cache holds 400 templates. Files are looked up again
        each time if they may change.
        """
        found: tuple[Template, bool] | None = self.memo.get(part)
        if found is None or (part.is_file and self.environment.auto_reload):
            template = part.template()
            found = self.memo[part] = (template, is_pure(template))
        return found

    def context_of(self, template: Template, pure: bool) -> Context:
        """Return a context over the common variables, a fresh one unless it can be shared."""
        environment = self.environment
        name = template.name
        if not pure:
            return environment.context_class(environment, self.parent, name, template.blocks)
        escapes = environment.autoescape
        escaped = bool(escapes(name)) if callable(escapes) else escapes
        if (context := self.shared.get(escaped)) is None:
            context = environment.context_class(environment, self.parent, name, {})
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
