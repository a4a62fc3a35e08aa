"""Templates, static files and endpoints that code and templates refer to."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from jinja2 import nodes

from flask_pluginkit.checks.contributions import holder
from flask_pluginkit.checks.modules import Module, argument, keyword
from flask_pluginkit.checks.reports import Finding
from flask_pluginkit.checks.sources import TemplateFile
from flask_pluginkit.checks.subjects import Subject
from flask_pluginkit.template_trees import calls_of, references_of
from flask_pluginkit.text import clean, describe, edit_distance_is_one, nearest

MOST_COMPARED: Final = 200
"""Names that one is compared with, to say what may have been meant."""

_RENDERERS: Final = frozenset(
    {
        "flask.render_template",
        "flask.stream_template",
        "flask.templating.render_template",
        "flask.templating.stream_template",
    }
)
_URL_FOR: Final = frozenset({"flask.url_for", "flask.helpers.url_for"})


def check_references(subject: Subject) -> Iterator[Finding]:
    """Yield what is referred to, ought to be the plugin's own, and isn't there."""
    if not subject.tree.is_whole:
        return  # what isn't found may be in what couldn't be read
    endpoints = _Endpoints(subject)
    for module in subject.modules:
        for call, called in module.calls():
            if (found := _missing_in_code(subject, module, call, called, endpoints)) is not None:
                code, reason = found
                yield subject.at(code, module, call, reason)
    for template in subject.templates:
        yield from _in_template(subject, template, endpoints)


def _missing_in_code(
    subject: Subject, module: Module, call: ast.Call, called: str, endpoints: _Endpoints
) -> tuple[str, str] | None:
    """Return the code and the reason if a call in Python names what isn't there."""
    given = [subject.modules.text(module, each) for each in call.args[:2]]
    if called in _RENDERERS or _is_render(subject, module, call):
        code, reason = "PK104", _missing_template(subject, next(iter(given), None))
    elif called in _URL_FOR:
        name = subject.modules.text(module, argument(call, 0, "endpoint"))
        code, reason = "PK106", endpoints.missing(name)
    elif isinstance(call.func, ast.Attribute) and call.func.attr == "emit_assets":
        code, reason = "PK105", _missing_asset(subject, given)
    else:
        return None
    return None if reason is None else (code, reason)


def _is_render(subject: Subject, module: Module, call: ast.Call) -> bool:
    """Tell whether this is the method ``render`` of a `flask_pluginkit.Plugin`."""
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "render"
        and holder(subject.modules, module, function.value) in subject.registered.plugins
    )


def _in_template(
    subject: Subject, template: TemplateFile, endpoints: _Endpoints
) -> Iterator[Finding]:
    for name, line in references_of(template.tree):
        if (reason := _missing_reference(subject, name)) is not None:
            yield subject.in_template("PK104", template, line, reason, name)
    for word, call in calls_of(template.tree, {"emit_assets", "url_for"}):
        given = [each.value if isinstance(each, nodes.Const) else None for each in call.args[:2]]
        if word == "emit_assets":
            code, reason = "PK105", _missing_asset(subject, given)
        else:
            code, reason = "PK106", endpoints.missing(next(iter(given), None))
        if reason is not None:
            yield subject.in_template(code, template, call.lineno, reason, word)


def _missing_template(subject: Subject, name: object) -> str | None:
    """Return why what code renders isn't there, None if it is or may be."""
    if not isinstance(name, str) or subject.has_template(name):
        return None
    if ":" in name:
        return _unfound(subject, name) if name.startswith(f"{subject.name}:") else None
    if subject.host_templates is not None and name in subject.host_templates:
        return None
    return None if _is_blueprints(subject, name) else _unfound(subject, name)


def _is_blueprints(subject: Subject, name: str) -> bool:
    """Tell whether a template may lie in a folder that a blueprint has for its own."""
    for blueprint in subject.registered.blueprints.values():
        folder = keyword(blueprint.node, "template_folder")
        if folder is None:
            continue
        text = subject.modules.text(blueprint.module, folder)
        inside = None if text is None else text.partition("templates/")[2]
        if not inside or f"{inside.strip('/')}/{name}" in subject.tree.template_names:
            return True
    return False


def _missing_reference(subject: Subject, name: str) -> str | None:
    """Return why what a template names isn't there: a bare name may always be the host's."""
    if subject.has_template(name):
        return None
    if name.startswith(f"{subject.name}:"):
        return _unfound(subject, name)
    if ":" in name or name in (subject.host_templates or ()):
        return None
    few = islice(sorted(subject.tree.template_names), MOST_COMPARED)
    meant = any(_is_meant(name, own) for own in few)
    return _unfound(subject, name) if meant else None


def _guess(name: str, known: Iterable[str]) -> str | None:
    """Return what was probably meant, of the first names: comparing takes its time."""
    return nearest(clean(name, 100), islice(sorted(known), MOST_COMPARED))


def _is_meant(name: str, own: str) -> bool:
    """Tell whether the name of a template is most likely one of the plugin's, written wrongly."""
    if own.endswith(f"/{name}") or name.endswith(f"/{own}") or own.casefold() == name.casefold():
        return True
    stem, other = name.rpartition(".")[0], own.rpartition(".")[0]
    return stem == other or (len(stem) > 3 and edit_distance_is_one(stem, other))


def _unfound(subject: Subject, name: str) -> str:
    own = subject.own_template_name(name)
    known = subject.tree.template_names
    guess = next((each for each in sorted(known) if each.endswith(f"/{own}")), None)
    guess = guess or _guess(own, known)
    advice = f"; did you mean {describe(guess)}?" if guess else ""
    return f"the plugin has no template {describe(own)}{advice}"


def _missing_asset(subject: Subject, given: Sequence[object]) -> str | None:
    match given:
        case [str() as plugin, str() as name] if plugin == subject.name:
            file = name.partition("?")[0].lstrip("/")
            if file in subject.tree.static_names:
                return None
            guess = _guess(file, subject.tree.static_names)
            advice = f"; did you mean {describe(guess)}?" if guess else ""
            return f"the plugin has no file {describe(name)} below static/{advice}"
    return None


class _Endpoints:
    """The endpoints of the plugin's blueprints, as far as all of one are known."""

    def __init__(self, subject: Subject) -> None:
        self.known: dict[str, set[str]] = {}
        blueprints = subject.registered.blueprints.values()
        for blueprint in blueprints:
            self.known[blueprint.name] = {"static"}
        unclear = set()
        for item in subject.registered.of("vep", "cvep"):
            if not item.blueprint:
                continue
            endpoint = subject.modules.text(item.module, item.options.get("endpoint"))
            if endpoint is None and item.function is not None:
                endpoint = getattr(item.function[1], "name", None)
            if endpoint is None:
                unclear.add(item.blueprint)
            else:
                self.known.setdefault(item.blueprint, set()).add(endpoint)
        if not subject.registered.is_whole:
            unclear |= self.known.keys()
        for name in (*unclear, "", *self._unknowable(subject)):
            self.known.pop(name, None)

    @staticmethod
    def _unknowable(subject: Subject) -> Iterator[str]:
        """Yield blueprints that are handed on, or get others put into them."""
        for module in subject.modules:
            for call, called in module.calls():
                if called == "builtins.dict":
                    continue  # of what register() returns
                handed = [*call.args, *(each.value for each in call.keywords)]
                if isinstance(call.func, ast.Attribute) and call.func.attr in {
                    "register_blueprint",
                    "record",
                    "record_once",
                }:
                    handed.append(call.func.value)
                for node in handed:
                    origin = holder(subject.modules, module, node)
                    if (found := subject.registered.blueprints.get(origin)) is not None:
                        yield found.name

    def missing(self, name: object) -> str | None:
        """Return why there is no endpoint of this name, None if there is or may be one."""
        if not isinstance(name, str):
            return None
        blueprint, dot, endpoint = name.rpartition(".")
        if dot and not blueprint and len(self.known) == 1:
            blueprint = next(iter(self.known))
        known = self.known.get(blueprint)
        if known is None or endpoint in known:
            return None
        guess = _guess(endpoint, known)
        advice = f"; did you mean {describe(f'{blueprint}.{guess}')}?" if guess else ""
        return f"the blueprint {describe(blueprint)} has no view {describe(endpoint)}{advice}"
