"""Where the blueprints of an application are: their full names, URL prefixes and subdomains.

Flask forgets what ``register_blueprint`` was told. So the place of one of the application's
blueprints is read from its rules, each of which is the prefix and what the blueprint knows.
One without any rule is where ``register_blueprint`` said, if a live table took note of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import update_wrapper
from typing import Any, cast

from flask import Blueprint, Flask
from werkzeug.routing import Rule

from flask_pluginkit.frozen import Frozen

from .keeping import RECORDING
from .tables import LiveBlueprints


class Mount(Frozen, kw_only=False):
    """A blueprint where it was registered."""

    blueprint: Blueprint
    name: str
    """Its full name, with those of its parents."""
    prefix: str | None
    subdomain: str | None


def nested(mount: Mount) -> Iterator[Mount]:
    """Yield `mount` and those of the blueprints that were registered on its blueprint."""
    yield mount
    for child, options in mount.blueprint._blueprints:  # noqa: SLF001 - nothing public tells
        made = cast("Blueprint", child)
        place = _told(made, options)
        name = f"{mount.name}.{options.get('name', child.name)}"
        prefix = joined(mount.prefix, place.prefix)
        yield from nested(Mount(made, name, prefix, below(mount.subdomain, place.subdomain)))


def joined(parent: str | None, child: str | None) -> str | None:
    """Join URL prefixes as Flask does for nested blueprints."""
    if parent is None or child is None:
        return child if parent is None else parent
    return f"{parent.rstrip('/')}/{child.lstrip('/')}"


def below(parent: str | None, child: str | None) -> str | None:
    """Join subdomains as Flask does for nested blueprints."""
    if parent is None or child is None:
        return child if parent is None else parent
    return f"{child}.{parent}"


def own_blueprints(app: Flask) -> dict[str, Blueprint]:
    """Return the application's own blueprints by full name, nested ones too."""
    table = app.blueprints
    own = table.own() if isinstance(table, LiveBlueprints) else table
    return cast("dict[str, Blueprint]", own)


def own_mount(app: Flask, name: str) -> Mount | None:
    """Return where the application's own blueprint `name` is, None if it has none."""
    blueprint = own_blueprints(app).get(name)
    if blueprint is None:
        return None
    if (found := _found(app, name, blueprint)) is not None:
        return found
    if (parent := own_mount(app, name.rpartition(".")[0])) is not None:
        return next((mount for mount in nested(parent) if mount.name == name), None)
    table = app.blueprints
    options = table.told.get(name, {}) if isinstance(table, LiveBlueprints) else {}
    place = _told(blueprint, options)
    return Mount(blueprint, name, place.prefix, place.subdomain)


class Mounts:
    """The blueprints that plugins can build on, by full name and by their own."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._of_plugins: dict[str, Mount] = {}
        self._of_application: dict[str, Mount | None] = {}

    def get(self, name: str) -> Mount | None:
        """Return where the blueprint `name` is, a plugin's before one of the application."""
        if (found := self._of_plugins.get(name)) is not None:
            return found
        if name not in self._of_application:
            self._of_application[name] = own_mount(self.app, name)
        return self._of_application[name]

    def place(self, bep: Mapping[str, Any]) -> Mount | None:
        """Return where a plugin's blueprint is to be, None if its parent isn't here."""
        blueprint: Blueprint = bep["blueprint"]
        prefix = bep["prefix"] if bep["prefix"] is not None else blueprint.url_prefix
        if (parent_name := bep.get("parent")) is None:
            return Mount(blueprint, blueprint.name, prefix, blueprint.subdomain)
        if (parent := self.get(parent_name)) is None:
            return None
        return Mount(
            blueprint,
            f"{parent.name}.{blueprint.name}",
            joined(parent.prefix, prefix),
            below(parent.subdomain, blueprint.subdomain),
        )

    def add(self, mount: Mount) -> None:
        """Take in a plugin's blueprint, unless the application has one of that name."""
        if mount.name in own_blueprints(self.app):
            return
        for each in nested(mount):
            self._of_plugins.setdefault(each.name, each)
        self._of_plugins.setdefault(mount.blueprint.name, self._of_plugins[mount.name])


def noting(method: Callable[..., Any], told: dict[str, dict[str, Any]]) -> Callable[..., Any]:
    """Wrap ``register_blueprint`` so that it takes note of where the application's ones are."""

    def register_blueprint(blueprint: Any, **options: Any) -> Any:
        method(blueprint, **options)
        if RECORDING.get() is None:
            told[options.get("name", blueprint.name)] = options

    return update_wrapper(register_blueprint, method)


def _told(blueprint: Blueprint, options: dict[str, Any]) -> Mount:
    """Return where `options` of ``register_blueprint`` put a blueprint, without its parents."""
    prefix, subdomain = options.get("url_prefix"), options.get("subdomain")
    return Mount(
        blueprint,
        options.get("name", blueprint.name),
        blueprint.url_prefix if prefix is None else prefix,
        blueprint.subdomain if subdomain is None else subdomain,
    )


# ---- read from the rules ----------------------------------------------------------------------


class _Known(Frozen, kw_only=False):
    """A rule as a blueprint knows it, without what is put before it."""

    endpoint: str
    rule: str
    subdomain: str | None


def _found(app: Flask, name: str, blueprint: Blueprint) -> Mount | None:
    """Find out where a blueprint is by its rules in the map, None if it has none there."""
    # iter_rules() would make the map ready for use, which is too early
    rules: dict[str, list[Rule]] = vars(app.url_map)["_rules_by_endpoint"]
    known: dict[str, list[_Known]] = {}
    for one in _known(blueprint):
        known.setdefault(one.endpoint, []).append(one)
    for endpoint, same in known.items():
        there = rules.get(f"{name}.{endpoint}", ())
        for rule in there:
            prefix = _prefix(rule, same[0])
            if prefix is not None and all(
                any(_prefix(other, one) == prefix for other in there) for one in same
            ):
                default = app.url_map.default_subdomain
                subdomain = None if rule.subdomain == default else rule.subdomain
                return Mount(blueprint, name, prefix, _above(subdomain, same[0].subdomain))
    return None


def _known(blueprint: Blueprint) -> Iterator[_Known]:
    """Yield the rules that a blueprint and those nested in it bring."""
    for mount in nested(Mount(blueprint, "", None, None)):
        notes = _Notes()
        if mount.blueprint.has_static_folder:
            notes.add_url_rule(f"{mount.blueprint.static_url_path}/<path:filename>", "static")
        for deferred in mount.blueprint.deferred_functions:
            if _adds_a_rule(deferred):
                deferred(cast("Any", notes))
        for endpoint, rule in notes.rules:
            relative = joined(mount.prefix, rule) if rule else mount.prefix
            yield _Known(f"{mount.name}.{endpoint}".lstrip("."), relative or "", mount.subdomain)


def _adds_a_rule(deferred: Callable[..., Any]) -> bool:
    """Tell whether a function that a blueprint put off only adds a rule: others do anything."""
    return getattr(deferred, "__module__", "") == Blueprint.add_url_rule.__module__ and getattr(
        deferred, "__qualname__", ""
    ).startswith("Blueprint.add_url_rule.")


class _Notes:
    """Takes the rules of a blueprint as Flask's setup state does, and only notes them."""

    def __init__(self) -> None:
        self.rules: list[tuple[str, str]] = []

    def add_url_rule(
        self, rule: str, endpoint: str | None = None, view_func: Any = None, **options: Any
    ) -> None:
        """Note one rule, unless it has a subdomain of its own, wherever its blueprint is."""
        if "subdomain" not in options:
            name = endpoint or str(getattr(view_func, "__name__", ""))
            self.rules.append((name, rule))


def _prefix(rule: Rule, known: _Known) -> str | None:
    """Return the prefix that makes `rule` of `known`, None if there is no such."""
    if not known.rule:
        return rule.rule
    tail = f"/{known.rule.lstrip('/')}"
    return rule.rule.removesuffix(tail) if rule.rule.endswith(tail) else None


def _above(subdomain: str | None, known: str | None) -> str | None:
    """Return the subdomain below which `known` is `subdomain`."""
    if subdomain is None or known is None:
        return subdomain
    return None if subdomain == known else subdomain.removeprefix(f"{known}.")
