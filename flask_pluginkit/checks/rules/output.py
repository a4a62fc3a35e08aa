"""Text that reaches pages without being escaped."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from jinja2 import nodes

from flask_pluginkit.checks.modules import Function, Module, body_of, keyword
from flask_pluginkit.checks.reports import Finding
from flask_pluginkit.checks.sources import TemplateFile
from flask_pluginkit.checks.subjects import Subject

_MARKUP: Final = frozenset(
    {"markupsafe.Markup", "flask.Markup", "jinja2.Markup", "jinja2.utils.markupsafe.Markup"}
)
_ESCAPING: Final = frozenset(
    {
        *("markupsafe.escape", "markupsafe.escape_silent", "flask.escape", "html.escape"),
        *("xml.sax.saxutils.escape", "xml.sax.saxutils.quoteattr"),
        *("urllib.parse.quote", "urllib.parse.quote_plus", "flask.url_for"),
        *("builtins.int", "builtins.float", "builtins.len", "builtins.bool", "builtins.round"),
    }
)
"""Functions that return text that is escaped, or what needs no escaping."""

_FROM_STRING: Final = frozenset(
    {
        *("flask.render_template_string", "flask.stream_template_string"),
        *("flask.templating.render_template_string", "flask.templating.stream_template_string"),
        *("jinja2.Template", "jinja2.environment.Template"),
    }
)
_ENVIRONMENTS: Final = frozenset({"jinja2.Environment", "jinja2.environment.Environment"})

_SENT: Final = ("args", "form", "values", "cookies", "headers", "data", "json", "files", "path",
                "full_path", "url", "base_url", "query_string", "referrer", "user_agent", "host",
                "get_data", "get_json", "view_args", "endpoint")  # fmt: skip
"""What of a request its sender has chosen."""


def check_output(subject: Subject) -> Iterator[Finding]:
    """Yield what is put into pages without being escaped."""
    for module in subject.modules:
        for call, origin in module.calls():
            called = subject.modules.external(origin)
            if called in _MARKUP:
                if call.args and not _is_safe(subject, module, call.args[0]):
                    message = (
                        "Markup() of something that isn't constant passes it unescaped: "
                        "Markup('<b>{}</b>').format(value) escapes the value"
                    )
                    yield subject.at("PK201", module, call, message)
            elif called in _FROM_STRING:
                if call.args and not _is_constant(subject, module, call.args[0]):
                    message = (
                        "a template that is put together may hold what a visitor sent, and is "
                        "run: write it as a constant, and hand values over as variables"
                    )
                    yield subject.at("PK204", module, call, message)
            elif called in _ENVIRONMENTS:
                given = keyword(call, "autoescape")
                if given is None or _is_false(given):
                    message = (
                        "a Jinja environment escapes nothing unless it is told to: give it "
                        "autoescape=True, or render with Flask's"
                    )
                    yield subject.at("PK203", module, call, message)
    for template in subject.templates:
        yield from _in_template(subject, template)
    yield from _views(subject)


def _in_template(subject: Subject, template: TemplateFile) -> Iterator[Finding]:
    for each in template.tree.find_all(nodes.Filter):
        if each.name == "safe" and template.is_escaped and not _is_template_constant(each.node):
            message = (
                "|safe passes the value unescaped: leave it out, or have a function return "
                "Markup that escapes what it is made of"
            )
            yield subject.in_template("PK202", template, each.lineno, message, "safe")
    for scope in template.tree.find_all(nodes.ScopedEvalContextModifier):
        for option in scope.options:
            off = isinstance(option.value, nodes.Const) and not option.value.value
            if option.key == "autoescape" and off:
                message = "{% autoescape false %}: nothing in it is escaped"
                yield subject.in_template("PK203", template, scope.lineno, message, "autoescape")


def _is_template_constant(node: nodes.Node | None) -> bool:
    if isinstance(node, nodes.Filter):  # {{ value|tojson|safe }}: Markup already
        return node.name in {"tojson", "escape", "e", "forceescape", "urlencode", "xmlattr"}
    return node is None or isinstance(node, nodes.Const | nodes.TemplateData)


def _is_constant(subject: Subject, module: Module, node: ast.expr) -> bool:
    """Tell whether a text stands in the source, also by way of a name that is bound once."""
    return subject.modules.text(module, node) is not None


def _is_safe(subject: Subject, module: Module, node: ast.expr) -> bool:
    """Tell whether a text is constant, or escaped where it is used."""
    if _is_constant(subject, module, node):
        return True
    if isinstance(node, ast.Call):
        called = subject.modules.external(module.origin(node.func))
        if called in _ESCAPING or called in _MARKUP or called.endswith("render_template"):
            return True
        # Markup("").join(...), and methods of what is Markup already
        return isinstance(node.func, ast.Attribute) and _is_markup(subject, module, node.func.value)
    if isinstance(node, ast.JoinedStr):
        parts = (part.value for part in node.values if isinstance(part, ast.FormattedValue))
        return all(_is_safe(subject, module, part) for part in parts)
    if isinstance(node, ast.IfExp):
        return all(_is_safe(subject, module, each) for each in (node.body, node.orelse))
    return False


def _is_markup(subject: Subject, module: Module, node: ast.expr) -> bool:
    if not isinstance(node, ast.Call):
        return False
    return subject.modules.external(module.origin(node.func)) in _MARKUP


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not node.value


# ---- views -----------------------------------------------------------------------------------


def _views(subject: Subject) -> Iterator[Finding]:
    seen = set()
    for item in subject.registered.of("vep", "hep", "own hook", "errhandler", "own errhandler"):
        if item.function is not None and id(item.function[1]) not in seen:
            seen.add(id(item.function[1]))
            yield from _view(subject, *item.function)


def _view(subject: Subject, module: Module, function: Function) -> Iterator[Finding]:
    """Look at what a view returns as text."""
    sent = _sent_names(subject, module, function)
    returned = [function.body] if isinstance(function, ast.Lambda) else []
    returned += [
        node.value for node in body_of(function) if isinstance(node, ast.Return) and node.value
    ]
    for value in returned:
        text = value.elts[0] if isinstance(value, ast.Tuple) and value.elts else value
        for part in _put_in(text):
            if _is_sent(subject, module, part, sent):
                message = (
                    "what a visitor sent is put into text that browsers take for HTML: use "
                    "markupsafe.escape(), or render a template"
                )
                yield subject.at("PK205", module, part, message)
                break


def _put_in(node: ast.expr) -> list[ast.expr]:
    """Return what is put into a text: by an f-string, ``%``, ``+`` or ``format``."""
    match node:
        case ast.JoinedStr(values=values):
            return [part.value for part in values if isinstance(part, ast.FormattedValue)]
        case ast.BinOp(left=ast.Constant(value=str()), op=ast.Mod(), right=ast.Tuple(elts=elts)):
            return elts
        case ast.BinOp(left=ast.Constant(value=str()), op=ast.Mod() | ast.Add(), right=right):
            return [right]
        case ast.Call(
            func=ast.Attribute(value=ast.Constant(value=str()), attr="format"),
            args=args,
            keywords=keywords,
        ):
            return [*args, *(each.value for each in keywords)]
    return []


def _sent_names(subject: Subject, module: Module, function: Function) -> set[str]:
    """Return the names that a function gives to what was sent."""
    if isinstance(function, ast.Lambda):
        return set()
    names: set[str] = set()
    for node in body_of(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if _is_sent(
                subject, module, value, names
            ):
                names.add(name)
    return names


def _is_sent(subject: Subject, module: Module, node: ast.expr, names: set[str]) -> bool:
    """Tell whether a value is what a visitor sent, as it was sent."""
    if isinstance(node, ast.BoolOp):
        return any(_is_sent(subject, module, each, names) for each in node.values[:20])
    if isinstance(node, ast.Name):
        return node.id in names
    called = False
    for _ in range(50):
        match node:
            case ast.Call(func=func):
                if not called and any(each.arg == "type" for each in node.keywords):
                    return False  # request.args.get("page", type=int)
                called, node = True, func
            case ast.Subscript(value=value):
                node = value
            case ast.Attribute(attr=attr, value=value):
                if attr in _SENT and module.origin(value) in {
                    "flask.request",
                    "flask.globals.request",
                }:
                    return True
                node = value
            case _:
                return False
    return False
