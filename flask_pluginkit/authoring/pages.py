"""What a plugin adds to pages: parts of slots, filters, tests, globals and variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

from flask import render_template
from markupsafe import Markup

from flask_pluginkit.text import describe

from . import types
from .author import Author
from .calls import SlotFunction, require_async, unusable_parameter


class Pages(Author):
    """The part of `Plugin` that is about templates."""

    def __init__(self, import_name: str, **options: Any) -> None:
        super().__init__(import_name, **options)
        self._slots: list[Callable[..., Any]] = []

    def register(self) -> dict[str, Any]:
        """As `Plugin.register`."""
        require_async(self.name, self._slots)
        return super().register()

    def tep(self, slot: str, *, order: int | None = None) -> Callable[[types.Part], types.Part]:
        """Add what the function returns to a slot of the host's pages (tep).

        ``@plugin.tep("sidebar", order=10)``. The function gets those variables of the page that
        its parameters name: a parameter without a default must be there. Text that it returns
        is escaped, `Markup` isn't (see `render`), None is nothing.

        Args:
            slot: what the host emits: ``{{ emit_tep("sidebar") }}``.
            order: the place among other parts, lower numbers first; None: after all that have one.

        """
        self._ledger.check("tep", {slot: ""})

        def add(function: types.Part) -> types.Part:
            self._check_part(slot, function)
            part = SlotFunction(self.name, slot, function)
            name = part.name(self.import_name)
            self._ledger.add_part(slot, part.code(name), order)
            self._ledger.put("global", name, part)
            self._slots.append(function)
            return function

        return add

    def _check_part(self, slot: str, function: object) -> None:
        expected = "a function whose parameters are names of variables"
        what = f"tep({describe(slot)})"
        if not callable(function):
            self._ledger.refuse(what, describe(function), expected)
        try:
            parameter = unusable_parameter(function)
        except (TypeError, ValueError):
            self._ledger.refuse(what, "a callable that doesn't tell its parameters", expected)
        if parameter is not None:
            self._ledger.refuse(what, f"the parameter {parameter}", expected)

    def add_tep(self, slot: str, template_or_code: str, *, order: int | None = None) -> None:
        """Add a template file or template code to a slot (tep).

        ``plugin.add_tep("nav", "nav.html", order=10)``.

        Args:
            slot: what the host emits.
            template_or_code: the name of a file in ``templates/`` if it ends with ``.html``,
                ``.htm``, ``.xhtml``, ``.j2``, ``.jinja`` or ``.jinja2``, else template code.
            order: as for `tep`.

        """
        self._ledger.add_part(slot, template_or_code, order)

    def render(self, template: str, /, **variables: Any) -> Markup:
        """Return a template of the plugin, rendered, for functions that are to return HTML.

        As `flask.render_template`, and marked as what needs no escaping any more: the template
        has escaped what was to be escaped.
        """
        return Markup(render_template(template, **variables))  # noqa: S704 - escaped by Jinja

    @overload
    def filter(self, name: types.Filter) -> types.Filter: ...
    @overload
    def filter(self, name: str | None = None) -> Callable[[types.Filter], types.Filter]: ...
    def filter(self, name: Any = None) -> Any:
        """Add the function as a Jinja filter: ``@plugin.filter`` or ``@plugin.filter("money")``."""
        return self._named("filter", name, 1)

    @overload
    def test(self, name: types.Test) -> types.Test: ...
    @overload
    def test(self, name: str | None = None) -> Callable[[types.Test], types.Test]: ...
    def test(self, name: Any = None) -> Any:
        """Add the function as a Jinja test: ``{% if number is even %}``."""
        return self._named("test", name, 1)

    @overload
    def global_(self, name: types.Global) -> types.Global: ...
    @overload
    def global_(self, name: str | None = None) -> Callable[[types.Global], types.Global]: ...
    def global_(self, name: Any = None) -> Any:
        """Add the function to what every template can call (global)."""
        return self._named("global", name, None)

    def _named(self, kind: str, given: Any, arguments: int | None) -> Any:
        if given is None or isinstance(given, str):
            return lambda function: self._name(kind, given, function, arguments)
        return self._name(kind, None, given, arguments)

    def _name(self, kind: str, given: str | None, function: Any, arguments: int | None) -> Any:
        if not callable(function):
            expected = f"a function: @plugin.{kind.replace('global', 'global_')}"
            self._ledger.refuse(kind, describe(function), expected)
        name = getattr(function, "__name__", None) if given is None else given
        self._ledger.check(kind, {name: function})
        if arguments is not None:
            self._ledger.check_arguments(kind, function, arguments)
        self._ledger.put(kind, str(name), function)
        return function

    def add_global(self, **values: Any) -> None:
        """Add values that every template sees, imported macros too (global)."""
        for name, value in values.items():
            self._ledger.put("global", name, value)

    def context(self, function: types.Variables) -> types.Variables:
        """Ask the function for variables when a template is rendered.

        It returns a dict, and is a context processor of the whole application: Flask asks it
        once for each template, and once for all parts of a slot.
        """
        self._ledger.check("hep", {"before_request": function})
        self._ledger.check_arguments("context", function, 0)
        self._ledger.check_open("context")
        register: Callable[[Any], Any] = self.blueprint.app_context_processor
        register(function)
        return function

    def add_context(self, **values: Any) -> None:
        """Add variables to every template (tcp)."""
        for name, value in values.items():
            self._ledger.put("tcp", name, value)
