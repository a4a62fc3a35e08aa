"""What is registered by decorators and methods: of blueprints, and of `flask_pluginkit.Plugin`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from flask_pluginkit.frozen import NO_ENTRIES

from .contributions import Contribution, Registered, holder
from .modules import Function, Module, Modules, argument

METHODS: Final = frozenset({"route", "get", "post", "put", "patch", "delete"})

HOOKS: Final = frozenset({"before_request", "after_request", "teardown_request"})

_OF_BLUEPRINTS: Final[Mapping[str, tuple[str, str | None]]] = {
    "before_app_request": ("hep", "before_request"),
    "after_app_request": ("hep", "after_request"),
    "teardown_app_request": ("hep", "teardown_request"),
    "app_context_processor": ("context", None),
    "app_url_value_preprocessor": ("preprocessor", "app_url_value_preprocessor"),
    "app_url_defaults": ("preprocessor", "app_url_defaults"),
    "before_request": ("own hook", "before_request"),
    "after_request": ("own hook", "after_request"),
    "teardown_request": ("own hook", "teardown_request"),
}
"""Methods of blueprints that take a function and nothing else."""

_NAMED: Final = {
    "app_template_filter": "filter",
    "app_template_test": "test",
    "app_template_global": "global",
}

_ADDED: Final = {
    "add_app_template_filter": "filter",
    "add_app_template_test": "test",
    "add_app_template_global": "global",
}

_HANDLERS: Final = {"app_errorhandler": "errhandler", "errorhandler": "own errhandler"}


@dataclass(frozen=True, slots=True)
class Use:
    """One ``object.method``, as a decorator or called."""

    modules: Modules
    module: Module
    node: ast.Attribute
    call: ast.Call | None
    function: ast.expr | Function | None
    """What is decorated, or handed to what the call returns."""

    @property
    def method(self) -> str:
        """The method's name."""
        return self.node.attr

    def given(self, index: int, name: str) -> ast.expr | None:
        """Return an argument of the call."""
        return argument(self.call, index, name) if self.call else None

    def text(self, index: int, name: str) -> str | None:
        """Return an argument that is a constant text."""
        return self.modules.text(self.module, self.given(index, name))

    @property
    def options(self) -> dict[str, ast.expr]:
        """The named arguments of the call."""
        keywords = self.call.keywords if self.call else []
        return {each.arg: each.value for each in keywords if each.arg}

    def made(
        self,
        kind: str,
        name: str | None,
        *,
        value: ast.expr | None = None,
        function: ast.expr | Function | None = None,
        options: Mapping[str, ast.expr] = NO_ENTRIES,
    ) -> Contribution:
        """Return the contribution that this makes."""
        function = function or self.function
        is_function = isinstance(function, Function)
        found = (
            (self.module, function)
            if isinstance(function, Function)
            else self.modules.function(self.module, function)
        )
        return Contribution(
            kind=kind,
            name=name,
            module=self.module,
            node=self.node,
            value=value if value is not None or is_function else _expression(function),
            function=found,
            options=options,
        )


def decorated_items(modules: Modules, registered: Registered) -> Iterator[Contribution]:
    """Yield everything that is registered by methods."""
    for module in modules:
        for use in _uses(modules, module):
            origin, inner = holder(modules, module, use.node.value), ""
            if isinstance(use.node.value, ast.Attribute) and not origin:
                # plugin.cli.command, plugin.blueprint.before_request
                origin, inner = holder(modules, module, use.node.value.value), use.node.value.attr
                if origin not in registered.plugins or inner not in {"cli", "blueprint"}:
                    continue
            if inner == "cli":
                if use.method in {"command", "group"}:
                    yield use.made("cli", use.text(0, "name"))
            elif origin in registered.plugins and not inner:
                yield from _on(registered.blueprints[origin].name, _of_plugin(use))
            elif (blueprint := registered.blueprints.get(origin)) is not None:
                yield from _on(blueprint.name, _of_blueprint(use))


def _on(blueprint: str, items: Iterable[Contribution]) -> Iterator[Contribution]:
    """Note the blueprint of views; others may have said which one."""
    for item in items:
        is_view = item.kind in {"vep", "cvep"} and "on" not in item.options
        yield replace(item, blueprint=blueprint) if is_view else item


def _of_blueprint(use: Use) -> Iterator[Contribution]:
    method = use.method
    if method in METHODS:
        yield _route(use)
    elif method == "add_url_rule":
        yield _rule(use)
    elif method in _OF_BLUEPRINTS:
        kind, name = _OF_BLUEPRINTS[method]
        yield use.made(kind, name, function=use.function or use.given(0, "f"))
    elif method in _NAMED:
        yield use.made(_NAMED[method], use.text(0, "name") or _name_of(use.function))
    elif method in _ADDED:
        function = use.given(0, "f")
        name = use.text(1, "name") or _name_of(function)
        yield use.made(_ADDED[method], name, function=function)
    elif method in _HANDLERS:
        error = use.given(0, "code")
        options = {"error": error} if error is not None else NO_ENTRIES
        yield use.made(_HANDLERS[method], None, options=options)


# ---- flask_pluginkit.Plugin ------------------------------------------------------------------


def _of_plugin(use: Use) -> Iterator[Contribution]:
    method = use.method
    if method in METHODS:
        yield _route(use)
    elif method == "add_url_rule":
        yield _rule(use)
    elif method in HOOKS:
        yield use.made("hep", method, function=use.function or use.given(0, "function"))
    elif (make := _MAKERS.get(method)) is not None:
        yield from make(use)


def _slot(use: Use) -> Iterator[Contribution]:
    value = use.given(1, "template_or_code") if use.method == "add_tep" else None
    yield use.made("tep", use.text(0, "slot"), value=value, options=use.options)


def _named(use: Use) -> Iterator[Contribution]:
    name = use.text(0, "name") if use.call else None
    yield use.made(use.method.rstrip("_"), name or _name_of(use.function))


def _context(use: Use) -> Iterator[Contribution]:
    yield use.made("context", None)


def _values(use: Use) -> Iterator[Contribution]:
    kind = "tcp" if use.method == "add_context" else "global"
    for each in use.call.keywords if use.call else ():
        found = use.made(kind, each.arg, function=each.value)
        yield replace(found, node=each)


def _class(use: Use) -> Iterator[Contribution]:
    view_class, options = use.given(0, "view_class"), use.options
    endpoint = use.modules.text(use.module, options.get("endpoint"))
    name = endpoint or (_name_of(view_class) or "").lower()
    if name:
        options["endpoint"] = ast.Constant(value=name.rpartition(".")[2])
    yield use.made("cvep", use.text(1, "rule"), function=view_class, options=options)


def _handler(use: Use) -> Iterator[Contribution]:
    error = use.given(0, "error")
    options = {"error": error} if error is not None else NO_ENTRIES
    yield use.made("errhandler", None, options=options)


def _connection(use: Use) -> Iterator[Contribution]:
    yield use.made("dcp", use.text(0, "event"))


def _receiver(use: Use) -> Iterator[Contribution]:
    yield use.made("signal", _name_of(use.given(0, "signal")))


def _preprocessor(use: Use) -> Iterator[Contribution]:
    yield use.made("p3", use.text(0, "plugin"))
    yield use.made("p3 kind", use.text(1, "kind"))


_MAKERS: Final[Mapping[str, Callable[[Use], Iterator[Contribution]]]] = {
    "tep": _slot,
    "add_tep": _slot,
    "filter": _named,
    "test": _named,
    "global_": _named,
    "context": _context,
    "add_context": _values,
    "add_global": _values,
    "add_view": _class,
    "errorhandler": _handler,
    "dcp": _connection,
    "connect": _receiver,
    "preprocess": _preprocessor,
}


# ---- routes ----------------------------------------------------------------------------------


def _route(use: Use) -> Contribution:
    options = use.options
    if "endpoint" not in options and isinstance(
        use.function, ast.FunctionDef | ast.AsyncFunctionDef
    ):
        options["endpoint"] = ast.Constant(value=use.function.name)
    return use.made("vep", use.text(0, "rule"), options=options)


def _rule(use: Use) -> Contribution:
    options = use.options
    endpoint, view = use.given(1, "endpoint"), use.given(2, "view_func")
    if endpoint is not None:
        options["endpoint"] = endpoint
    made = use.made("vep", use.text(0, "rule"), function=view, options=options)
    name = _name_of(made.function[1]) if made.function else None
    if "endpoint" in options or name is None:
        return made
    return replace(made, options={**options, "endpoint": ast.Constant(value=name)})


def _uses(modules: Modules, module: Module) -> Iterator[Use]:
    """Yield every method that is used as a decorator, or called."""
    decorators = set()
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            function = None if isinstance(node, ast.ClassDef) else node
            for decorator in node.decorator_list:
                call = decorator if isinstance(decorator, ast.Call) else None
                target = call.func if call else decorator
                if isinstance(target, ast.Attribute):
                    decorators.add(id(call))
                    yield Use(modules, module, target, call, function)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if id(node) in decorators:
                continue
            above = module.parents.get(id(node))
            handed = None
            if isinstance(above, ast.Call) and above.func is node and above.args:
                handed = above.args[0]  # plugin.tep("slot")(function)
            yield Use(modules, module, node.func, node, handed)


def _expression(function: ast.expr | Function | None) -> ast.expr | None:
    return function if isinstance(function, ast.expr) else None


def _name_of(function: ast.expr | Function | None) -> str | None:
    match function:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return None
