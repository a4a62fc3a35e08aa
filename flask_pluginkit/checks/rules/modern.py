"""What plugins written for 3.x, and for the Flask of its time, would write otherwise today."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from jinja2 import nodes

from flask_pluginkit.checks.modules import Module
from flask_pluginkit.checks.reports import Finding
from flask_pluginkit.checks.subjects import Subject
from flask_pluginkit.discovery import ENTRY_POINT_GROUP
from flask_pluginkit.finding import NAMESPACE

GONE: Final = {
    "flask.ext": "import the extension itself, such as flask_login",
    "flask.Markup": "from markupsafe import Markup",
    "flask.escape": "from markupsafe import escape",
    "flask._app_ctx_stack": "use flask.g",
    "flask._request_ctx_stack": "use flask.g or flask.request",
    "flask.json.JSONEncoder": "use flask.json.provider.JSONProvider",
    "flask.json.JSONDecoder": "use flask.json.provider.JSONProvider",
    "flask.globals._app_ctx_stack": "use flask.g",
    "flask.globals._request_ctx_stack": "use flask.g or flask.request",
    "flask_pluginkit.blueprint": "it isn't in this version",
    "flask_pluginkit.PluginInstaller": "it isn't in this version",
    "flask_pluginkit.installer": "it isn't in this version",
    "flask_pluginkit.web": "it isn't in this version",
    "jinja2.Markup": "from markupsafe import Markup",
    "jinja2.escape": "from markupsafe import escape",
    "jinja2.contextfilter": "use jinja2.pass_context",
    "jinja2.contextfunction": "use jinja2.pass_context",
    "jinja2.environmentfilter": "use jinja2.pass_environment",
    "jinja2.evalcontextfilter": "use jinja2.pass_eval_context",
    "werkzeug.secure_filename": "from werkzeug.utils import secure_filename",
    "werkzeug.generate_password_hash": "from werkzeug.security import generate_password_hash",
    "werkzeug.check_password_hash": "from werkzeug.security import check_password_hash",
    "werkzeug.cached_property": "from werkzeug.utils import cached_property",
    "werkzeug.url_encode": "use urllib.parse.urlencode",
    "werkzeug.urls.url_parse": "use urllib.parse.urlsplit",
    "werkzeug.urls.url_quote": "use urllib.parse.quote",
    "werkzeug.urls.url_encode": "use urllib.parse.urlencode",
    "werkzeug.urls.url_unquote": "use urllib.parse.unquote",
    "werkzeug.urls.url_decode": "use urllib.parse.parse_qs",
}
"""Names that Flask 3, Jinja 3.1, Werkzeug 3 or Flask-PluginKit 4 don't have, and what to use."""

_GONE_METHODS: Final = {
    "before_first_request": "do it in on_app_ready()",
    "before_app_first_request": "do it in on_app_ready()",
}

_AT_HOME: Final = frozenset(
    {"BaseStorage", "ExpiredLocalStorage", "JsonResponse", "LocalStorage", "RedisStorage"}
)
"""What ``flask_pluginkit`` itself has, too."""

SECRETS: Final = ("SECRET_KEY", "SECRET_KEY_FALLBACKS")
"""What ``emit_config`` keeps to itself, whatever else the host adds to it."""

_CODING: Final = re.compile(r"#.*coding[:=]\s*utf-?8", re.IGNORECASE)


def check_modern(subject: Subject) -> Iterator[Finding]:
    """Yield names that are gone, and what is written as for 3.x."""
    for module in subject.modules:
        yield from _names(subject, module)
        yield from _old_python(subject, module)
    root = subject.modules.root
    if root is not None:
        if "getPluginClass" in root.functions:
            message = "getPluginClass() is how plugins of 2.x began: write register() instead"
            yield subject.at("PK601", root, root.functions["getPluginClass"], message)
        for name in sorted(subject.manifest.computed):
            given = root.assigned.get(name)
            if given:
                message = (
                    f"{name} is computed: the plugin must be imported to know it, and can't be "
                    "isolated; write a literal, and let operators switch by flask plugins disable"
                )
                yield subject.at("PK603", root, given[-1], message)
    yield from _secrets(subject)
    yield from _packaging(subject)


def _secrets(subject: Subject) -> Iterator[Finding]:
    """Yield where ``emit_config`` is asked for what it gave out in 3.x."""
    message = "emit_config() gives out no secrets: the value is None, and in 3.x any page had it"
    for module in subject.modules:
        for call, _called in module.calls():
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            asked = subject.modules.text(module, call.args[0]) if call.args else None
            if name == "emit_config" and asked in SECRETS:
                yield subject.at("PK606", module, call, message)
    for template in subject.templates:
        for found in template.tree.find_all(nodes.Call):
            match found:
                case nodes.Call(
                    node=nodes.Name(name="emit_config"), args=[nodes.Const(value=asked)]
                ):
                    if asked in SECRETS:
                        line = found.lineno
                        yield subject.in_template("PK606", template, line, message, "emit_config")


def _names(subject: Subject, module: Module) -> Iterator[Finding]:
    for node in module.nodes:
        match node:
            case ast.ImportFrom(module=str() as source, level=0, names=names):
                yield from _imported(subject, module, node, source, [each.name for each in names])
            case ast.Import(names=names):
                for alias in names:
                    yield from _imported(subject, module, node, alias.name, [])
            case ast.Attribute(attr=attr) if attr in _GONE_METHODS:
                message = f"{attr} is gone since Flask 2.3: {_GONE_METHODS[attr]}"
                yield subject.at("PK601", module, node, message)
            case ast.Attribute(value=ast.Name()):
                origin = module.origin(node)
                if origin in GONE:
                    yield subject.at("PK601", module, node, f"{origin} is gone: {GONE[origin]}")


def _imported(
    subject: Subject, module: Module, node: ast.stmt, source: str, names: list[str]
) -> Iterator[Finding]:
    if _is_tried(module, node):
        return  # with something else in its place
    tops = [source, ".".join(source.split(".")[:2])]
    for name in dict.fromkeys([*tops, *(f"{source}.{each}" for each in names)]):
        if name in GONE:
            yield subject.at("PK601", module, node, f"{name} is gone: {GONE[name]}")
    moved = sorted(_AT_HOME.intersection(names))
    if source == "flask_pluginkit.utils" and moved:
        message = f"{source} is where 3.x had it: from flask_pluginkit import {', '.join(moved)}"
        yield subject.at("PK602", module, node, message)
    elif source == "flask_pluginkit._compat":
        message = f"{source} bridges Python 2 and 3: string_types is str, iteritems() is items()"
        yield subject.at("PK602", module, node, message)


def _is_tried(module: Module, node: ast.stmt) -> bool:
    return any(isinstance(each, ast.Try | ast.ExceptHandler) for each in module.enclosing(node))


def _old_python(subject: Subject, module: Module) -> Iterator[Finding]:
    for number, line in enumerate(module.file.text.split("\n", 2)[:2], 1):
        if _CODING.match(line):
            message = "source is UTF-8 anyway: the line says nothing since Python 3"
            yield subject.in_file("PK605", module.file.path, message, (number, 1))
    for node in module.nodes:
        match node:
            case ast.ImportFrom(module="__future__", names=names) if {
                alias.name for alias in names
            } & {"print_function", "unicode_literals", "absolute_import", "division"}:
                message = "Python 3 does so anyway"
                yield subject.at("PK605", module, node, message)


def _packaging(subject: Subject) -> Iterator[Finding]:
    project = subject.place.project
    if project is None:
        return
    where = f"{project.shown}/setup.py" if project.shown != "." else "setup.py"
    if not project.has_pyproject and project.setup:
        message = "setup.py is run to know what it says: pyproject.toml says it by itself"
        yield subject.in_file("PK605", where, message)
    in_namespace = subject.folder.parent.name in {NAMESPACE, "plugins"}
    points = project.project.get("entry-points")
    announced = (isinstance(points, dict) and ENTRY_POINT_GROUP in points) or (
        ENTRY_POINT_GROUP in project.setup
    )
    if not in_namespace and not announced and subject.folder != project.folder:
        message = (
            f"operators must name it in plugin_packages: move it into {NAMESPACE}/, or give it an "
            f'entry point in the group "{ENTRY_POINT_GROUP}"'
        )
        yield subject.in_file("PK604", subject.shown_init, message)
