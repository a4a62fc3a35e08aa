"""Permissions that code needs where it runs isolated, found by reading it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from jinja2 import nodes

from flask_pluginkit.checks.contributions import Contribution
from flask_pluginkit.checks.modules import Module, argument
from flask_pluginkit.checks.reports import Finding
from flask_pluginkit.checks.sources import TemplateFile
from flask_pluginkit.checks.subjects import Subject
from flask_pluginkit.isolation.answers.fragments import TAGS
from flask_pluginkit.permissions import bracketed, is_below
from flask_pluginkit.template_trees import calls_of
from flask_pluginkit.text import UnusableText, describe

from .hooks import REQUESTERS

ASK: Final = "ask for it with __permissions__ = [{!r}]"

_STORAGES: Final = frozenset({"LocalStorage", "ExpiredLocalStorage", "RedisStorage"})

_CONNECTING: Final = frozenset(
    {
        *("urllib.request.urlopen", "urllib.request.urlretrieve", "socket.create_connection"),
        *("http.client.HTTPConnection", "http.client.HTTPSConnection", "socket.socket"),
        *("smtplib.SMTP", "smtplib.SMTP_SSL", "ftplib.FTP", "redis.Redis", "redis.from_url"),
        *("redis.Redis.from_url", "requests.Session", "httpx.Client", "httpx.AsyncClient"),
        *REQUESTERS,
    }
)

_WRITING: Final = frozenset(
    {
        *("os.mkdir", "os.makedirs", "os.remove", "os.unlink", "os.rename", "os.replace"),
        *("os.rmdir", "shutil.rmtree", "shutil.copy", "shutil.copyfile", "shutil.move"),
        *("shelve.open", "dbm.open", "tempfile.mkstemp", "tempfile.mkdtemp"),
        *("tempfile.NamedTemporaryFile", "tempfile.TemporaryDirectory"),
    }
)

_WRITERS: Final = frozenset({"write_text", "write_bytes", "touch", "symlink_to", "hardlink_to"})
"""Methods that only paths have."""

_TAG: Final = re.compile(r"<([a-zA-Z][a-zA-Z0-9-]*)")
_HANDLER: Final = re.compile(r"\son[a-z]{3,20}\s*=", re.IGNORECASE)


class Need(NamedTuple):
    """A permission that something needs."""

    permission: str
    """As it is asked for; of what has a form but no value yet, its beginning, such as ``net:``."""
    finding: Finding


def check_permitted(subject: Subject) -> Iterator[Finding]:
    """Yield what an isolated run would refuse for want of a permission, and what isn't needed."""
    needs = list(needs_of(subject))
    for need in needs:
        if not _is_granted(subject, need.permission):
            yield need.finding
    yield from _unused(subject, {need.permission for need in needs})


def needs_of(subject: Subject) -> Iterator[Need]:
    """Yield everything that needs a permission, granted or not."""
    for module in subject.modules:
        for call, origin in module.calls():
            called = subject.modules.external(origin)
            yield from _connection(subject, module, call, called)
            yield from _storage(subject, module, call, called)
            yield from _file(subject, module, call, called)
        yield from _cookies(subject, module)
    yield from _hooks(subject)
    yield from _routes(subject)
    slots = subject.slot_templates
    for template in subject.templates:
        is_slot = not template.name or template.name in slots
        yield from (_slot if is_slot else _page)(subject, template)


def _is_granted(subject: Subject, permission: str) -> bool:
    granted = subject.permissions
    kind, colon, rest = permission.partition(":")
    if colon and kind == "routes":
        return any(is_below(rest, top) for top in granted.paths)
    if colon and not rest:
        return any(text.startswith(permission) for text in granted.texts)
    return permission in granted


# ---- calls -----------------------------------------------------------------------------------


def _connection(subject: Subject, module: Module, call: ast.Call, called: str) -> Iterator[Need]:
    if called not in _CONNECTING:
        return
    permission = _endpoint(subject, module, call)
    asked = permission if permission != "net:" else "net:<host>:<port>"
    message = f"{called}() opens a connection: {ASK.format(asked)}"
    yield Need(permission, subject.at("PK401", module, call, message))


def _endpoint(subject: Subject, module: Module, call: ast.Call) -> str:
    """Return the permission for where a call connects to, ``net:`` if that isn't known."""
    for given in [*call.args[:2], *(each.value for each in call.keywords if each.arg == "url")]:
        text = subject.modules.text(module, given)
        if text is None or "://" not in text:
            continue
        try:
            url = urlsplit(text)
            port = url.port or (443 if url.scheme == "https" else 80)
        except ValueError:
            continue
        if url.hostname:
            from flask_pluginkit.permissions import canonical

            try:
                return canonical(f"net:{bracketed(url.hostname)}:{port}")
            except UnusableText:
                continue
    return "net:"


def _storage(subject: Subject, module: Module, call: ast.Call, called: str) -> Iterator[Need]:
    package, _, name = called.rpartition(".")
    if name in _STORAGES and package.startswith("flask_pluginkit"):
        message = f"{name} keeps values on the machine: {ASK.format('storage')}"
        yield Need("storage", subject.at("PK402", module, call, message))


def _file(subject: Subject, module: Module, call: ast.Call, called: str) -> Iterator[Need]:
    writes = called in _WRITING
    if called in {"builtins.open", "io.open"}:
        mode = subject.modules.text(module, argument(call, 1, "mode"))
        writes = mode is not None and bool(set(mode) & set("wax+"))
    elif called == "sqlite3.connect":
        writes = subject.modules.text(module, argument(call, 0, "database")) != ":memory:"
    elif isinstance(call.func, ast.Attribute) and call.func.attr in _WRITERS:
        writes = True
    if writes:
        name = called or f".{getattr(call.func, 'attr', '')}"
        message = f"{name}() writes files: {ASK.format('files:16MB')}, and keep them below home"
        yield Need("files:", subject.at("PK403", module, call, message))


def _cookies(subject: Subject, module: Module) -> Iterator[Need]:
    is_told = False
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and node.attr in {"set_cookie", "delete_cookie"}:
            message = f"{node.attr}() needs cookies of the plugin's own: {ASK.format('cookies')}"
            yield Need("cookies", subject.at("PK406", module, node, message))
        elif not is_told and _is_session(module, node):
            is_told = True
            message = (
                f"flask.session is the plugin's own, in a cookie: {ASK.format('cookies')}; the "
                "host's session isn't there"
            )
            yield Need("cookies", subject.at("PK406", module, node, message))


def _is_session(module: Module, node: ast.AST) -> bool:
    if not isinstance(node, ast.Name | ast.Attribute):
        return False
    return module.origin(node) in {"flask.session", "flask.globals.session"}


# ---- hooks and routes ------------------------------------------------------------------------


def _hooks(subject: Subject) -> Iterator[Need]:
    for item in subject.registered.of("hep"):
        match item.name:
            case "before_request":
                names = (
                    ["requests"] if subject.manifest.optional else ["requests", "requests:answer"]
                )
                yield from _hook(subject, item, "PK404", names)
            case "teardown_request":
                yield from _hook(subject, item, "PK404", ["requests"])
            case "after_request":
                yield from _hook(subject, item, "PK405", ["responses"])
    for item in subject.registered.of("errhandler"):
        given = item.options.get("error") or item.value
        if isinstance(given, ast.Constant) and isinstance(given.value, int):
            message = f"a handler for errors of the whole site: {ASK.format('requests:answer')}"
            finding = subject.at("PK404", item.module, item.node, message)
            yield Need("requests:answer", finding)


def _hook(subject: Subject, item: Contribution, code: str, names: list[str]) -> Iterator[Need]:
    lacking = next((name for name in names if not _is_granted(subject, name)), names[-1])
    asked = f"__permissions__ = {names!r}"
    message = f"{item.name} runs for every page of the site: ask for it with {asked}"
    yield Need(lacking, subject.at(code, item.module, item.node, message))


def _routes(subject: Subject) -> Iterator[Need]:
    prefixes = {each.name: each.prefix for each in subject.registered.blueprints.values()}
    for item in subject.registered.of("vep", "cvep"):
        if item.name is None or (item.blueprint and item.blueprint not in prefixes):
            continue
        prefix = prefixes.get(item.blueprint) or ""
        rule = f"{prefix}{item.name}"
        literal, argument_, _rest = rule.partition("<")
        if argument_:
            literal = f"{literal.rpartition('/')[0]}/"
        if is_below(literal, f"/{subject.name}"):
            continue
        top = prefix or literal.rstrip("/") or "/"
        message = (
            f"the route {describe(rule)} isn't below /{subject.name}/: put it there, or "
            + ASK.format(f"routes:{top}")
        )
        yield Need(f"routes:{top}", subject.at("PK408", item.module, item.node, message))


# ---- HTML ------------------------------------------------------------------------------------


def _slot(subject: Subject, template: TemplateFile) -> Iterator[Need]:
    """Look at what becomes a part of the host's pages."""
    for variable in template.tree.find_all(nodes.Name):
        if variable.name == "request":
            message = f"request in a part of the host's pages: {ASK.format('requests')}"
            finding = subject.in_template("PK404", template, variable.lineno, message, "request")
            yield Need("requests", finding)
            break
    dropped: dict[str, int] = {}
    for data in template.tree.find_all(nodes.TemplateData):
        for found in _TAG.finditer(data.data):
            tag = found[1].lower()
            if tag not in TAGS:
                dropped.setdefault(
                    f"<{tag}>", data.lineno + data.data.count("\n", 0, found.start())
                )
        if (handler := _HANDLER.search(data.data)) is not None:
            dropped.setdefault(handler[0].strip(), data.lineno)
    for call, name in _assets(template):
        if name.endswith((".css", ".js")):
            tag = "<link>" if name.endswith(".css") else "<script>"
            dropped.setdefault(tag, call.lineno)
    if dropped:
        names = ", ".join(sorted(dropped)[:8])
        message = f"{names} would be taken out of the host's pages: {ASK.format('html:raw')}"
        line = min(dropped.values())
        yield Need("html:raw", subject.in_template("PK407", template, line, message))


def _page(subject: Subject, template: TemplateFile) -> Iterator[Need]:
    """Look at a page of the plugin's own."""
    for call, name in _assets(template):
        if name.endswith(".js"):
            message = f"a script in the plugin's own pages: {ASK.format('assets:script')}"
            finding = subject.in_template("PK411", template, call.lineno, message, "emit_assets")
            yield Need("assets:script", finding)


def _assets(template: TemplateFile) -> Iterator[tuple[nodes.Call, str]]:
    for _function, call in calls_of(template.tree, {"emit_assets"}):
        match call.args:
            case [nodes.Const(), nodes.Const(value=str() as name), *_]:
                yield call, name


# ---- what isn't needed -----------------------------------------------------------------------

_TOLD: Final = ("storage", "files:", "net:", "routes:", "responses", "cookies")
_KNOWN_PACKAGES: Final = frozenset(
    {"flask", "flask_pluginkit", "jinja2", "markupsafe", "werkzeug", "click", "blinker"}
)


def _unused(subject: Subject, needed: set[str]) -> Iterator[Finding]:
    """Yield permissions that nothing needs, where all code that could is to be seen."""
    if not subject.registered.is_whole or not subject.tree.is_whole:
        return
    for module in subject.modules:
        for origin in module.aliases.values():
            package = origin.partition(".")[0]
            if package not in _KNOWN_PACKAGES | sys.stdlib_module_names | {"@"}:
                return
    for text in subject.permissions.texts:
        kind = text.partition(":")[0] + (":" if ":" in text else "")
        if kind not in _TOLD:
            continue
        is_used = (
            any(is_below(each[7:], text[7:]) for each in needed if each.startswith("routes:"))
            if kind == "routes:"
            else not needed.isdisjoint({text, kind})
        )
        if not is_used:
            message = (
                f"__permissions__ has {text!r}, and nothing here seems to need it: leave it out"
            )
            root = subject.modules.root
            given = root.assigned.get("__permissions__") if root else None
            if root is not None and given:
                yield subject.at("PK412", root, given[-1], message)
