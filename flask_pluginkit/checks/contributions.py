"""What a plugin registers, as far as its source tells: the values that all ways of it lead to.

All ways lead to one list of `Contribution` values, so that no rule has to know how a plugin was
written.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from flask_pluginkit.frozen import NO_ENTRIES

from .modules import Function, Module, Modules, argument, keyword, own_name, place_of

_BLUEPRINT_CLASSES: Final = frozenset({"flask.Blueprint", "flask.blueprints.Blueprint"})

PLUGIN_CLASSES: Final = frozenset({"flask_pluginkit.Plugin", "flask_pluginkit.authoring.Plugin"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """One thing that a plugin registers."""

    kind: str
    """A key of ``register()``; "context" for context processors, "own hook" for hooks of a
    blueprint's own views, "preprocessor" for those of URLs."""
    name: str | None
    """Slot, hook, filter, rule ...; None if the source doesn't tell it."""
    module: Module
    """Where `node` and `value` stand."""
    node: ast.AST
    """What findings point at."""
    value: ast.expr | None = None
    function: tuple[Module, Function] | None = None
    options: Mapping[str, ast.expr] = field(default_factory=lambda: NO_ENTRIES)
    blueprint: str = ""
    """The blueprint of a route, "" if it is on none."""

    @property
    def place(self) -> tuple[int, int]:
        """Line and column."""
        return place_of(self.node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """A blueprint that a module makes."""

    name: str
    origin: str
    """The name that it is bound to."""
    prefix: str | None
    module: Module
    node: ast.Call


@dataclass(slots=True)
class Registered:
    """Everything that is registered."""

    items: list[Contribution] = field(default_factory=list)
    blueprints: dict[str, Blueprint] = field(default_factory=dict)
    """By the origin of the name that each is bound to; those of plugin objects, too."""
    plugins: frozenset[str] = frozenset()
    """Origins of the names that hold a `flask_pluginkit.Plugin`."""
    is_whole: bool = True
    """False if more may be registered than can be seen."""

    def of(self, *kinds: str) -> Iterator[Contribution]:
        """Yield what is of these kinds."""
        return (item for item in self.items if item.kind in kinds)


def find_objects(modules: Modules, registered: Registered, folder: str) -> None:
    """Note the plugin objects and blueprints that modules bind on their top level.

    `folder` is the name of the plugin's folder.
    """
    plugins = set()
    for module in modules:
        for name, values in module.assigned.items():
            for value in values:
                if not isinstance(value, ast.Call):
                    continue
                made = module.origin(value.func)
                if made in PLUGIN_CLASSES:
                    plugins.add(own_name(module.key, name))
                elif made not in _BLUEPRINT_CLASSES:
                    continue
                found = _blueprint(modules, module, name, value, own=folder)
                registered.blueprints[found.origin] = found
    registered.plugins = frozenset(plugins)


def _blueprint(
    modules: Modules, module: Module, bound: str, call: ast.Call, *, own: str
) -> Blueprint:
    """Return a blueprint, or that of a plugin object, which has the name of the plugin's folder."""
    given = argument(call, 0, "name")
    if module.origin(call.func) in PLUGIN_CLASSES:
        given = keyword(call, "name") or ast.Constant(value=own)
    return Blueprint(
        name=modules.text(module, given) or "",
        origin=own_name(module.key, bound),
        prefix=modules.text(module, keyword(call, "url_prefix")),
        module=module,
        node=call,
    )


def holder(modules: Modules, module: Module, node: ast.expr) -> str:
    """Return the origin of the object in ``object.method``, followed to where it is made."""
    found = modules.find(module.origin(node))
    return own_name(found[0].key, found[1]) if found else ""
