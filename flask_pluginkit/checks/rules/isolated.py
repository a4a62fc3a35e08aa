"""What can't work in a process of its own, whatever is permitted."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from jinja2 import nodes

from flask_pluginkit.checks.contributions import Contribution
from flask_pluginkit.checks.modules import Module
from flask_pluginkit.checks.reports import Finding
from flask_pluginkit.checks.subjects import Subject
from flask_pluginkit.finding import NAMESPACE
from flask_pluginkit.text import describe

_KINDS: Final = {
    "p3": "what other plugins register can't be changed from there",
    "signal": "the host's signals aren't sent there",
    "cli": "the host's command line can't run it",
    "preprocessor": "the host's URLs can't be changed from there; limit it to the blueprint",
}
_STARTING: Final = frozenset(
    {
        *("subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_call"),
        *("subprocess.check_output", "subprocess.getoutput", "os.system", "os.popen", "os.fork"),
        *("multiprocessing.Process", "multiprocessing.Pool"),
        *("concurrent.futures.ProcessPoolExecutor",),
    }
)
_CONTEXT: Final = frozenset({"jinja2.pass_context", "jinja2.pass_eval_context"})
_OF_APPLICATION: Final = ("config", "extensions", "secret_key", "instance_path")


def check_isolated(subject: Subject) -> Iterator[Finding]:
    """Yield what is refused, or isn't there."""
    for item in subject.registered.items:
        if (reason := _refused(item)) is not None:
            message = f"{reason}; run the plugin as trusted, or do without"
            yield subject.at("PK409", item.module, item.node, message)
    for module in subject.modules:
        for call, called in module.calls():
            if subject.modules.external(called) in _STARTING:
                message = f"{called}(): no process can be started from there"
                yield subject.at("PK409", module, call, message)
        yield from _of_host(subject, module)
        yield from _other_plugins(subject, module)
    for template in subject.templates:
        for each in template.tree.find_all((nodes.Extends, nodes.Include)):
            given = getattr(each, "template", None)
            name = given.value if isinstance(given, nodes.Const) else None
            ignores = getattr(each, "ignore_missing", False)
            if isinstance(name, str) and not ignores and not subject.has_template(name):
                message = (
                    f"{describe(name)} is the host's, whose templates aren't there: bring a layout "
                    "of your own, or use slots (tep)"
                )
                yield subject.in_template("PK410", template, each.lineno, message, name)


def _refused(item: Contribution) -> str | None:
    """Return why a contribution can't work from another process."""
    if (reason := _KINDS.get(item.kind)) is not None:
        return f"{item.kind} {describe(item.name)}: {reason}" if item.name else reason
    match item.kind:
        case "tcp" | "global" if item.function is not None:
            return (
                f"the function {describe(item.name)} can't be used by the host's templates from "
                "there; offer a filter or a dcp"
            )
        case "filter" | "test" if item.function is not None:
            home, function = item.function
            for decorator in getattr(function, "decorator_list", ()):
                if home.origin(decorator) in _CONTEXT:
                    return f"the {item.kind} {describe(item.name)} takes the context of the host's"
        case "bep" if _is_given(item.options.get("parent")):
            return "the blueprint's parent belongs to somebody else"
        case "errhandler":
            given = item.options.get("error") or item.value
            if isinstance(given, ast.Name | ast.Attribute) and item.function is not None:
                return "exceptions of the host don't come there: handle an HTTP error code"
    return None


def _is_given(node: ast.expr | None) -> bool:
    return node is not None and not (isinstance(node, ast.Constant) and node.value is None)


def _of_host(subject: Subject, module: Module) -> Iterator[Finding]:
    told = set()
    for node in module.nodes:
        if not isinstance(node, ast.Attribute) or node.attr not in _OF_APPLICATION:
            continue
        if module.origin(node.value) not in {"flask.current_app", "flask.globals.current_app"}:
            continue
        if node.attr not in told:
            told.add(node.attr)
            message = (
                f"current_app.{node.attr} is that of an application of the plugin's own, not the "
                "host's: use settings, or what the host's templates give"
            )
            yield subject.at("PK410", module, node, message)


def _other_plugins(subject: Subject, module: Module) -> Iterator[Finding]:
    for node in module.nodes:
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module]
            if node.module in {NAMESPACE, "plugins"}:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and module.aliases:
            found = [module.aliases.get(alias.asname or alias.name, "") for alias in node.names]
            names = [f"{NAMESPACE}." for origin in found if origin.startswith("^")]
        for name in names:
            first, _, rest = name.partition(".")
            if first in {NAMESPACE, "plugins"} and rest.partition(".")[0] != subject.folder.name:
                message = f"{describe(name)} belongs to somebody else, and isn't there"
                yield subject.at("PK410", module, node, message)
