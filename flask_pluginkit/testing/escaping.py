"""Templates and pages of a plugin, given a script in every value: it must show as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from flask import render_template
from jinja2 import TemplateNotFound, TemplateSyntaxError, nodes

from flask_pluginkit.kinds import FILE_SUFFIXES
from flask_pluginkit.template_trees import calls_of, references_of

from .exercising import handled, paths
from .hosts import known_names, needed_arguments, slot_values
from .placeholders import SCRIPT, Placeholder, placeholders, undeclared, unescaped
from .sites import Running

SUFFIXES: Final = (*FILE_SUFFIXES, ".txt", ".xml", ".svg")

_ASKED: Final = re.compile(
    r"""request\.(?:args|values)(?:\.get\(|\.getlist\(|\[)\s*["']([^"']{1,100})["']"""
)
"""How code names what it takes from the query of an address."""

HTML: Final = frozenset({"text/html", "application/xhtml+xml", "image/svg+xml", "text/xml"})

ADVICE: Final = (
    "the script came through as it was, and would run: let Jinja escape it ({{ value }} without "
    "|safe, in a file called .html), and build markup by Markup('<b>{}</b>').format(value)"
)


def files(running: Running) -> Iterator[Path]:
    """Yield every template file of the plugin."""
    folder = running.plan.chosen.folder / "templates"
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name.endswith(SUFFIXES):
            yield path


def _full_name(running: Running, path: Path) -> str:
    inside = path.relative_to(running.plan.chosen.folder / "templates").as_posix()
    return f"{running.name}:{inside}"


def uncompiled(running: Running) -> Iterator[str]:
    """Compile every template, and look for the templates and static files that they name."""
    environment = running.app.jinja_env
    for path in files(running):
        name = _full_name(running, path)
        with running.app.app_context():
            try:
                environment.get_template(name)
                tree = environment.parse(path.read_text(encoding="utf-8"))
            except (TemplateSyntaxError, TemplateNotFound, UnicodeDecodeError) as error:
                line = f", line {error.lineno}" if isinstance(error, TemplateSyntaxError) else ""
                yield f"templates/{name.partition(':')[2]}{line}: {error}"
                continue
            yield from _unresolved(running, name, tree)


def _unresolved(running: Running, name: str, tree: nodes.Template) -> Iterator[str]:
    environment = running.app.jinja_env
    for reference, line in references_of(tree):
        try:
            environment.get_template(environment.join_path(reference, name))
        except TemplateNotFound:
            yield (
                f"templates/{name.partition(':')[2]}, line {line}: no template "
                f"{reference!r}; if the host has it, make a fixture `plugin_host` that "
                "returns a factory of a host with it"
            )
        except TemplateSyntaxError:
            continue  # told of where it stands


def missing_assets(running: Running) -> Iterator[str]:
    """Look for static files that templates name and the plugin hasn't got."""
    folder = running.plan.chosen.folder / "static"
    for path in files(running):
        shown = _full_name(running, path).partition(":")[2]
        try:
            tree = running.app.jinja_env.parse(path.read_text(encoding="utf-8"))
        except TemplateSyntaxError:
            continue
        for _function, call in calls_of(tree, {"emit_assets"}):
            match [one.value for one in call.args if isinstance(one, nodes.Const)]:
                case [str(plugin), str(file), *_] if plugin == running.name:
                    if not (folder / file).is_file():
                        yield f"templates/{shown}, line {call.lineno}: no file static/{file}"


# ---- scripts as values -----------------------------------------------------------------------


def unescaped_templates(running: Running) -> Iterator[str]:
    """Render every template file with scripts; one that needs something else is passed over."""
    for path in files(running):
        name = _full_name(running, path)
        with running.app.test_request_context("/"):
            text = path.read_text(encoding="utf-8")
            known = known_names(running.app, running.row)
            names = undeclared(running.app.jinja_env, name, text, known)
            try:
                page = render_template(name, **placeholders(names, SCRIPT))
            except Exception:  # noqa: BLE001, S112 - made-up values: this proves nothing
                continue
            if found := unescaped(page):
                yield f"templates/{name.partition(':')[2]} shows a value: …{found}…"


def unescaped_slots(running: Running) -> Iterator[str]:
    """Render every slot with scripts."""
    snapshot = running.manager.snapshot
    with running.app.test_request_context("/"):
        for name, slot in snapshot.slots.items():
            values = slot_values(running.app, slot, {}, SCRIPT)
            try:
                page = str(running.manager.emit_tep(name, **(values or {})))
            except Exception:  # noqa: BLE001, S112 - made-up values: this proves nothing
                continue
            if found := unescaped(page):
                yield f"the slot {name!r} shows a value: …{found}…"


def unescaped_functions(running: Running) -> Iterator[str]:
    """Call every filter and every function at a connection point with scripts."""
    value = Placeholder(SCRIPT)
    with running.app.test_request_context("/"), running.row.resident.running():
        for name, function in running.row.shapes["filter"]:
            more = ", value" * max(0, needed_arguments(function) - 1)
            source = "{{ value|" + name + (f"({more[2:]})" if more else "") + " }}"
            try:
                page = running.app.jinja_env.from_string(source).render(value=value)
            except Exception:  # noqa: BLE001, S112 - made-up values: this proves nothing
                continue
            if found := unescaped(page):
                yield f"the filter {name!r} returns markup with a value: …{found}…"
        manager = running.manager
        for event, functions in manager._dcp_manager.list.items():  # noqa: SLF001 - 3.x's name
            args = (value,) * needed_arguments(functions[0])
            try:
                page = str(manager._dcp_manager.emit(event, *args))  # noqa: SLF001 - likewise
            except Exception:  # noqa: BLE001, S112 - made-up values: this proves nothing
                continue
            if found := unescaped(page):
                yield f"the connection {event!r} returns a value: …{found}…"


def unescaped_pages(running: Running) -> Iterator[str]:
    """Ask for every page with scripts in its address, and have error handlers answer with one."""
    query = urlencode(dict.fromkeys(sorted(set(_asked(running.plan.chosen.folder))), SCRIPT))
    for path, endpoint in paths(running, SCRIPT):
        try:
            response = running.client().get(path, query_string=query)
        except Exception:  # noqa: BLE001, S112 - made-up values: this proves nothing
            continue
        if response.mimetype in HTML and (found := unescaped(response.get_data(as_text=True))):
            yield f"GET {path}?{query} ({endpoint}) shows a value: …{found}…"
    for shown, page, _failed in handled(running, SCRIPT):
        if found := unescaped(page):
            yield f"the handler of {shown} shows the error's description: …{found}…"


def _asked(folder: Path) -> Iterable[str]:
    for path in sorted(folder.rglob("*.py")):
        yield from _ASKED.findall(path.read_text(encoding="utf-8", errors="replace"))
