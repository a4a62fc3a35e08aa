"""What a worker says that its plugin adds, as far as the host believes it.

A worker may be in the hands of its plugin. So the host holds each contribution against the
permissions once more, and lets only such names and rules near Werkzeug, Jinja and the terminal
as a plugin could need.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from werkzeug.exceptions import default_exceptions
from werkzeug.routing.converters import DEFAULT_CONVERTERS

from flask_pluginkit.permissions import Permissions, is_below, permissions_of
from flask_pluginkit.text import clean, describe

from .messages import (
    Description,
    ErrorInfo,
    FunctionInfo,
    HookInfo,
    RefusedInfo,
    RouteInfo,
    Spec,
    TepInfo,
)
from .patterns import ARGUMENT, Patterns

MOST: Final = 1000
"""Contributions of one kind."""
LONGEST: Final = 500
"""Characters of a rule or a name."""

NEEDS: Final = {
    "before_request_funcs": "requests",
    "after_request_funcs": "responses",
    "teardown_request_funcs": "requests",
    "template_context_processors": "",
}
"""The tables of hooks that can be served from another process, and what each needs."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})

_NAME: Final = re.compile(r"[^\W\d][\w-]{0,99}")
_ENDPOINT: Final = re.compile(r"[^\W\d][\w-]*(?:\.[^\W\d][\w-]*)*")

T = TypeVar("T")


def checked(description: Description, spec: Spec) -> Description:
    """Return a description without what the plugin may not add; that is among the refused."""
    permissions = permissions_of(spec.permissions)
    check = _Check(spec, permissions)
    return Description(
        routes=check.each("route", description.routes, check.route),
        blueprints=(),
        teps=check.each("tep", description.teps, check.tep),
        hooks=check.each("hook", description.hooks, check.hook),
        functions=check.each("function", description.functions, check.function),
        errors=check.each("errhandler", description.errors, check.error),
        context=check.values("tcp", description.context),
        names=check.values("global", description.names),
        refused=(*description.refused[:MOST], *check.refused),
        warnings=tuple(clean(warning, 500) for warning in description.warnings[:MOST]),
        settings=description.settings,  # `declarations` checks them
        checker=description.checker,
    )


class _Check:
    def __init__(self, spec: Spec, permissions: Permissions) -> None:
        self.plugin = spec.plugin
        self.permissions = permissions
        self.patterns = Patterns()
        self.refused: list[RefusedInfo] = []

    def each(
        self, kind: str, items: tuple[T, ...], objection: Callable[[T], str | None]
    ) -> tuple[T, ...]:
        """Return the items that nothing speaks against."""
        if len(items) > MOST:
            self._refuse(kind, f"{len(items)} of them", f"expected at most {MOST}")
        kept = []
        for item in items[:MOST]:
            if (reason := objection(item)) is None:
                kept.append(item)
            else:
                self._refuse(kind, _named(item), reason)
        return tuple(kept)

    def values(self, kind: str, given: dict[str, Any]) -> dict[str, Any]:
        """Return the values whose names are some."""
        names = self.each(kind, tuple(given), _objection_to_name)
        return {name: given[name] for name in names}

    def route(self, route: RouteInfo) -> str | None:
        rule = route.rule
        if len(rule) > LONGEST or not rule.isprintable():
            return f"{describe(rule)} is no rule"
        literal, argument, _rest = rule.partition("<")
        if argument:  # /hello<name> would match /hello-others
            literal = literal.rpartition("/")[0] + "/"
        paths = (f"/{self.plugin}", *self.permissions.paths)
        if not any(is_below(literal, path) for path in paths) or "//" in rule or ".." in rule:
            return f"{describe(rule)} isn't below {' or '.join(paths)}"
        if (reason := _objection_to_arguments(rule)) is not None:
            return f"{describe(rule)} has {reason}"
        if not set(route.methods) <= METHODS or not route.methods:
            return f"{describe(rule)} has the methods {describe(route.methods)}"
        if len(route.endpoint) > LONGEST or not _ENDPOINT.fullmatch(route.endpoint):
            return f"{describe(route.endpoint)} is no endpoint"
        reason = "it has a subdomain" if route.subdomain else self.patterns.objection(rule)
        return None if reason is None else f"{describe(rule)}: {reason}"

    def tep(self, tep: TepInfo) -> str | None:
        return None if 0 < len(tep.slot) <= LONGEST and tep.given else "a slot without a name"

    def hook(self, hook: HookInfo) -> str | None:
        needed = NEEDS.get(hook.table)
        if needed is None:
            return f"{describe(hook.table)} can't be served from another process"
        return self._lacks(needed) if needed else None

    def function(self, function: FunctionInfo) -> str | None:
        if function.kind == "dcp":
            fits = 0 < len(function.name) <= LONGEST and function.position in _POSITIONS
            return None if fits else "an event without a name"
        return _objection_to_name(function.name)

    def error(self, error: ErrorInfo) -> str | None:
        if error.code not in default_exceptions:
            return f"{error.code} is no HTTP error"
        return self._lacks("requests:answer")

    def _lacks(self, needed: str) -> str | None:
        if needed in self.permissions:
            return None
        return (
            f"it needs the permission {needed}: ask for it with __permissions__ = [{needed!r}], "
            "and let the operator approve"
        )

    def _refuse(self, kind: str, name: str, reason: str) -> None:
        self.refused.append(RefusedInfo(kind=kind, name=clean(name, 100), reason=reason))


_POSITIONS: Final = frozenset({"", "left", "right", "before", "after"})


def _objection_to_arguments(rule: str) -> str | None:
    rest = ARGUMENT.sub("", rule)
    if "<" in rest or ">" in rest:
        return "an argument that can't be read"
    names = [found["converter"] for found in ARGUMENT.finditer(rule)]
    if odd := [name for name in names if name and name not in DEFAULT_CONVERTERS]:
        return f"the converter {odd[0]}, expected one of Werkzeug's own"
    return None


def _objection_to_name(name: str) -> str | None:
    return None if _NAME.fullmatch(name) else f"{describe(name)} is no name"


def _named(item: object) -> str:
    for attribute in ("rule", "slot", "table", "name", "code"):
        if (found := getattr(item, attribute, None)) is not None:
            return str(found)
    return str(item)


def fatal(refused: Iterable[RefusedInfo]) -> list[RefusedInfo]:
    """Return what a plugin can't be active without."""
    return [one for one in refused if one.is_fatal]
