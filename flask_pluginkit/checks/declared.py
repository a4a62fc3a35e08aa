"""What ``register()`` returns, read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from flask_pluginkit.frozen import NO_ENTRIES
from flask_pluginkit.manifest import REGISTER

from .contributions import (
    Contribution,
    Registered,
    find_objects,
    holder,
)
from .decorated import decorated_items
from .modules import Function, Module, Modules

Entry = tuple[str | None, ast.expr, Module, ast.AST]
"""A key of a dict, if it is known; its value; the module of both; and what to point at."""


def find_registered(modules: Modules, folder: str) -> Registered:
    """Return everything that the modules of the plugin in a folder of this name register."""
    registered = Registered()
    find_objects(modules, registered, folder)
    registered.items += decorated_items(modules, registered)
    if (root := modules.root) is not None:
        _Reader(modules, registered).read(root)
    return registered


class _Reader:
    """Reads the dicts of one plugin."""

    def __init__(self, modules: Modules, registered: Registered) -> None:
        self.modules = modules
        self.registered = registered
        self.returned = 0

    def read(self, root: Module) -> None:
        found = self._function(root)
        if found is None:
            given = root.assigned.get(REGISTER, [])
            self.registered.is_whole = any(self._is_plugins(root, value) for value in given)
            return
        module, function = found
        for value in _returned(function):
            if isinstance(value, ast.Call) and self._is_plugins(module, value.func):
                continue
            if (entries := self._entries(module, value, function)) is None:
                self.registered.is_whole = False
                continue
            for kind, item, home, node in [*entries, *_set_later(module, function, value)]:
                self._kind(kind, item, home, node)
        if isinstance(on_app_ready := root.functions.get("on_app_ready"), Function):
            self._add("on_app_ready", None, root, on_app_ready, None, (root, on_app_ready))

    def _function(self, root: Module) -> tuple[Module, Function] | None:
        return self.modules.function(root, ast.Name(id=REGISTER, ctx=ast.Load()))

    def _is_plugins(self, module: Module, node: ast.expr) -> bool:
        """Tell whether this is the method of a `flask_pluginkit.Plugin`."""
        return (
            isinstance(node, ast.Attribute)
            and node.attr == REGISTER
            and holder(self.modules, module, node.value) in self.registered.plugins
        )

    # ---- kinds ------------------------------------------------------------------------------

    def _kind(self, kind: str | None, value: ast.expr, module: Module, node: ast.AST) -> None:
        if kind is None:
            self.registered.is_whole = False
            return
        self._add("key", kind, module, node, value)
        match kind:
            case "tep" | "hep" | "filter" | "test" | "global" | "tcp" | "signal":
                self._named(kind, value, module)
            case "dcp":
                self._connections(value, module)
            case "errhandler":
                self._handlers(value, module)
            case "vep" | "cvep":
                self._views(kind, value, module)
            case "bep":
                self._blueprint(value, module)
            case "p3":
                self._preprocessors(value, module)
            case "cli":
                self._commands(value, module)

    def _named(self, kind: str, value: ast.expr, module: Module) -> None:
        """``{name: value}``, or a list of functions and pairs."""
        for key, item, home, node in self._pairs(value, module):
            name = key
            if kind == "signal" and isinstance(node, ast.Name | ast.Attribute):
                name = node.id if isinstance(node, ast.Name) else node.attr
            elif name is None and isinstance(node, ast.Name):
                name = node.id
            self._add(kind, name, home, item if kind == "tep" else node, item)

    def _connections(self, value: ast.expr, module: Module) -> None:
        rows = self._rows(value, module)
        if any("callback" in fields for fields, _home, _node in rows):
            for fields, home, node in rows:
                event = self.modules.text(home, fields.get("event"))
                self._add("dcp", event, home, node, fields.get("callback"))
            return
        self._named("dcp", value, module)

    def _handlers(self, value: ast.expr, module: Module) -> None:
        found = self.modules.value(module, value)
        if found is not None and isinstance(found[1], ast.List | ast.Tuple):
            for fields, home, node in self._rows(value, module):
                options = {"error": fields["error"]} if "error" in fields else NO_ENTRIES
                self._add("errhandler", None, home, node, fields.get("handler"), None, options)
            return
        for _key, item, home, node in self._pairs(value, module):
            options = {"error": node} if isinstance(node, ast.expr) else NO_ENTRIES
            self._add("errhandler", None, home, node, item, None, options)

    def _views(self, kind: str, value: ast.expr, module: Module) -> None:
        for fields, home, node in self._rows(value, module):
            rule = self.modules.text(home, fields.get("rule"))
            view = fields.get("view_func") or fields.get("view_class")
            blueprint = self.modules.text(home, fields.get("_blueprint")) or ""
            self._add(kind, rule, home, node, view, None, fields, blueprint)

    def _blueprint(self, value: ast.expr, module: Module) -> None:
        for fields, home, node in self._rows(value, module):
            origin = holder(self.modules, home, fields.get("blueprint") or ast.Name(id=""))
            prefix = self.modules.text(home, fields.get("prefix"))
            found = self.registered.blueprints.get(origin)
            if found is not None and prefix is not None:
                self.registered.blueprints[origin] = replace(found, prefix=prefix)
            name = found.name if found else None
            self._add("bep", name, home, node, fields.get("blueprint"), None, fields)

    def _preprocessors(self, value: ast.expr, module: Module) -> None:
        for plugin, kinds, home, node in self._pairs(value, module):
            self._add("p3", plugin, home, node, kinds)
            for kind, item, inner, where in self._pairs(kinds, home):
                self._add("p3 kind", kind, inner, where, item)

    def _commands(self, value: ast.expr, module: Module) -> None:
        found = self.modules.value(module, value)
        items = [value]
        if found is not None and isinstance(found[1], ast.List | ast.Tuple):
            module, items = found[0], found[1].elts
        for item in items:
            self._add("cli", self._command_name(module, item), module, item, item)

    def _command_name(self, module: Module, node: ast.expr) -> str | None:
        if (found := self.modules.function(module, node)) is None:
            return None
        home, function = found
        for decorator in getattr(function, "decorator_list", ()):
            if isinstance(decorator, ast.Call) and decorator.args:
                called = home.origin(decorator.func)
                if called in {"click.command", "click.group"}:
                    return self.modules.text(home, decorator.args[0])
        return None

    def _add(
        self,
        kind: str,
        name: str | None,
        module: Module,
        node: ast.AST,
        value: ast.expr | None = None,
        function: tuple[Module, Function] | None = None,
        options: object = NO_ENTRIES,
        blueprint: str = "",
    ) -> None:
        self.registered.items.append(
            Contribution(
                kind=kind,
                name=name,
                module=module,
                node=node,
                value=value,
                function=function or self.modules.function(module, value),
                options=options if isinstance(options, dict) else NO_ENTRIES,
                blueprint=blueprint,
            )
        )

    # ---- shapes -----------------------------------------------------------------------------

    def _entries(
        self, module: Module, node: ast.expr, function: Function | None = None
    ) -> list[Entry] | None:
        """Return what stands in a dict; None if this isn't one that can be read."""
        if isinstance(node, ast.Name) and function is not None:
            given = [
                each.value
                for each in ast.walk(function)
                if isinstance(each, ast.Assign | ast.AnnAssign)
                and each.value is not None
                and node.id in _targets(each)
            ]
            if len(given) == 1:
                return self._entries(module, given[0])
        if (found := self.modules.value(module, node)) is None:
            return None
        home, value = found
        match value:
            case ast.Dict(keys=keys, values=values):
                return [
                    (self.modules.text(home, key), item, home, key or item)
                    for key, item in zip(keys, values, strict=True)
                ]
            case ast.Call(args=[], keywords=keywords) if home.origin(value.func) == "builtins.dict":
                return [(each.arg, each.value, home, each) for each in keywords]
        return None

    def _pairs(self, node: ast.expr, module: Module) -> list[Entry]:
        """Return the items of a dict, or of a list of values and pairs."""
        if (entries := self._entries(module, node)) is not None:
            return entries
        found = self.modules.value(module, node)
        if found is None or not isinstance(found[1], ast.List | ast.Tuple):
            self.registered.is_whole = False
            return []
        home = found[0]
        pairs: list[Entry] = []
        for item in found[1].elts:
            if isinstance(item, ast.Tuple) and len(item.elts) == 2:
                key, value = item.elts
                pairs.append((self.modules.text(home, key), value, home, key))
            else:
                pairs.append((None, item, home, item))
        return pairs

    def _rows(
        self, node: ast.expr, module: Module
    ) -> list[tuple[dict[str, ast.expr], Module, ast.AST]]:
        """Return the fields of a dict, or of each dict in a list."""
        found = self.modules.value(module, node)
        rows = [(module, node)]
        if found is not None and isinstance(found[1], ast.List | ast.Tuple):
            rows = [(found[0], item) for item in found[1].elts]
        read: list[tuple[dict[str, ast.expr], Module, ast.AST]] = []
        for home, row in rows:
            if (entries := self._entries(home, row)) is None:
                self.registered.is_whole = False
                continue
            fields = {key: value for key, value, _home, _node in entries if key is not None}
            read.append((fields, entries[0][2] if entries else home, row))
        return read


def _returned(function: Function) -> Iterator[ast.expr]:
    if isinstance(function, ast.Lambda):
        yield function.body
        return
    pending: list[ast.AST] = [*function.body]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.Return) and node.value is not None:
            yield node.value
        pending += ast.iter_child_nodes(node)


def _set_later(module: Module, function: Function, value: ast.expr) -> Iterator[Entry]:
    """Yield what ``result["tep"] = ...`` adds to the dict that is returned."""
    if not isinstance(value, ast.Name):
        return
    for node in ast.walk(function):
        match node:
            case ast.Assign(
                targets=[ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key)))]
            ) if name == value.id:
                yield key, node.value, module, node


def _targets(node: ast.Assign | ast.AnnAssign) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {target.id for target in targets if isinstance(target, ast.Name)}
