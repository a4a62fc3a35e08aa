"""Calling everything that a plugin adds to an application; what fails is told in words."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
from flask import render_template_string
from flask.testing import FlaskCliRunner
from werkzeug.exceptions import HTTPException, default_exceptions

from flask_pluginkit.points import ErrorHandler, Named

from .arguments import argument_for
from .hosts import given_to, needed_arguments, slot_values
from .placeholders import HARMLESS, Placeholder
from .sites import Running

GIVE: Final = "say what the host hands to it: a fixture `plugin_values` that returns {{{!r}: ...}}"


def told(error: BaseException, folder: Path) -> str:
    """Return an exception in one line, with the line of the plugin's code that it came from."""
    what = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    what = what.removeprefix("| ")  # a fault in another process is told with its traceback
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(folder):
            return f"{what} ({path.relative_to(folder.parent)}, line {frame.lineno})"
    return what


# ---- pages -----------------------------------------------------------------------------------


def routes(running: Running) -> Iterator[str]:
    """Ask for every page, those with arguments with made-up ones: each answers, and not by 500."""
    for path, endpoint in paths(running):
        answered = _answer(running, path)
        if isinstance(answered, str):
            yield f"GET {path} ({endpoint}): {answered}"
    for rule in _pages(running):
        if _address(running, rule, HARMLESS) is None:
            yield f"GET {rule.rule} ({rule.endpoint}): no address could be made up; " + GIVE.format(
                rule.endpoint
            )


def paths(running: Running, text: str = HARMLESS) -> Iterator[tuple[str, str]]:
    """Yield an address and the endpoint of each page of the plugin."""
    for rule in _pages(running):
        if (path := _address(running, rule, text)) is not None:
            yield path, rule.endpoint


def _pages(running: Running) -> Iterator[Any]:
    running.app.url_map.update()
    for route in running.manager.snapshot.routes:
        methods = route.rule.methods
        if route.owner == running.name and (methods is None or "GET" in methods):
            yield route.rule


def _address(running: Running, rule: Any, text: str) -> str | None:
    """Return an address that a rule answers, None if there is no telling which."""
    names = rule.arguments - set(rule.defaults or ())
    given = {name: argument_for(rule._converters[name], text) for name in names}  # noqa: SLF001
    said = running.plan.values.get(rule.endpoint)
    given |= said if isinstance(said, Mapping) else {}
    if None in given.values():
        return None
    try:
        built = rule.build(given, append_unknown=False)
    except Exception:  # noqa: BLE001 - converters are anybody's code
        return None
    return None if built is None else str(built[1])


def _answer(running: Running, path: str) -> str | int:
    """Return the status of an answer, or in words that it is a fault."""
    try:
        response = running.client().get(path)
    except Exception as error:  # noqa: BLE001 - it is what is looked for
        return f"it raised {told(error, running.plan.chosen.folder)}"
    is_fault = response.status_code == 500 or (
        response.status_code > 500 and running.plan.level != "trusted"
    )
    return f"it answered {response.status}" if is_fault else response.status_code


def host_pages(running: Running) -> Iterator[str]:
    """Ask for the host's front page, and for one that isn't there: hooks and handlers see them."""
    # a slot that fails is told by itself, and would fail here, too
    pages = [] if any(slots(running)) else ["/"]
    for path in (*pages, "/pluginkit-no-such-page"):
        answered = _answer(running, path)
        if isinstance(answered, str):
            yield f"GET {path} of the host: {answered}"


# ---- parts of pages --------------------------------------------------------------------------


def slots(running: Running) -> Iterator[str]:
    """Render every slot that the plugin fills."""
    with running.app.test_request_context("/"):
        for name, slot in running.manager.snapshot.slots.items():
            if all(part.owner != running.name for part in slot.all):
                continue
            values = slot_values(running.app, slot, running.plan.values)
            if values is None:
                continue
            is_made_up = bool(values) and name not in running.plan.values
            try:
                running.manager.emit_tep(name, **values)
            except Exception as error:  # noqa: BLE001 - it is what is looked for
                advice = f"; if it needs more than text, {GIVE.format(name)}" if is_made_up else ""
                yield f"the slot {name!r}: {told(error, running.plan.chosen.folder)}{advice}"


def connections(running: Running) -> Iterator[str]:
    """Call every function at a dynamic connection point."""
    manager = running.manager
    for event, functions in sorted(manager._dcp_manager.list.items()):  # noqa: SLF001 - 3.x's name
        for tried in _tried(running, event, functions[0]):
            args, kwargs = tried
            with running.app.test_request_context("/"):
                try:
                    manager._dcp_manager.emit(event, *args, **kwargs)  # noqa: SLF001
                    break
                except Exception as error:  # noqa: BLE001 - it is what is looked for
                    failed = told(error, running.plan.chosen.folder)
        else:
            yield f"the connection {event!r}: {failed}{_advice(running, event, functions[0])}"


def _advice(running: Running, name: str, function: Callable[..., Any]) -> str:
    if name in running.plan.values or not needed_arguments(function):
        return ""
    return f"; if it needs something else than texts and numbers, {GIVE.format(name)}"


Given = tuple[tuple[Any, ...], dict[str, Any]]


def _tried(running: Running, name: str, function: Callable[..., Any]) -> Iterator[Given]:
    """Yield what to call a function with until it succeeds."""
    values = running.plan.values
    if name in values:
        yield given_to(values, name)
        return
    needed = needed_arguments(function)
    yield from (((sample,) * needed, {}) for sample in (SAMPLES if needed else (None,)))


SAMPLES: Final = (Placeholder(HARMLESS), "text", 3, 2.5, ["text"], {"name": "text"}, True, None)
"""What is tried as arguments of functions of which only the plugin knows what they take."""


# ---- functions of templates ------------------------------------------------------------------


def functions(running: Running) -> Iterator[str]:
    """Call every filter, test, and function in a template's variables."""
    shapes = running.row.shapes
    for kind in ("filter", "test"):
        operator = "|" if kind == "filter" else " is "
        for name, function in shapes[kind]:
            needed = max(0, needed_arguments(function) - 1)
            yield from _called(running, kind, name, function, operator, needed)
    for kind in ("global", "tcp"):
        for name, value in shapes[kind].items():
            if callable(value) and not name.startswith("_") and not isinstance(value, type):
                yield from _called(running, kind, name, value, "", needed_arguments(value))


def _called(
    running: Running, kind: str, name: str, function: Callable[..., Any], operator: str, more: int
) -> Iterator[str]:
    failed = ""
    for args, kwargs in _arguments(running, name, bool(operator), more):
        source, values = _expression(name, operator, args, kwargs)
        with running.app.test_request_context("/"), running.row.resident.running():
            try:
                render_template_string(source, **values)
            except Exception as error:  # noqa: BLE001 - it is what is looked for
                failed = told(error, running.plan.chosen.folder)
            else:
                return
    yield f"{kind} {name!r}: {failed}{_advice(running, name, function)}"


def _arguments(running: Running, name: str, has_value: bool, more: int) -> Iterator[Given]:
    values = running.plan.values
    if name in values:
        yield given_to(values, name)
        return
    needed = more + has_value
    if not needed:
        yield (), {}
    else:
        yield from (((sample,) * needed, {}) for sample in SAMPLES)


def _expression(
    name: str, operator: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return template code that uses a filter, test or function, and the variables of it."""
    values = {f"_{index}": value for index, value in enumerate(args)} | kwargs
    names = [f"_{index}" for index in range(len(args))] + [f"{key}={key}" for key in kwargs]
    if not operator:
        return f"{{{{ {name}({', '.join(names)}) }}}}", values
    rest = f"({', '.join(names[1:])})" if names[1:] else ""
    return f"{{{{ {names[0]}{operator}{name}{rest} }}}}", values


# ---- commands and handlers -------------------------------------------------------------------


def commands(running: Running) -> Iterator[str]:
    """Ask every command, and every command of a group, for its help."""
    app = running.app
    own = [
        item.name
        for item in running.row.contributions
        if isinstance(item, Named) and item.kind == "command"
    ]
    names = [*own, *([running.name] if running.row.shapes["cli"] else [])]
    for name in dict.fromkeys(names):
        if (found := app.cli.commands.get(name)) is not None:  # else `names` tells of it
            yield from _helped(app.test_cli_runner(), found, (name,))


def _helped(
    runner: FlaskCliRunner, command: click.Command, words: tuple[str, ...]
) -> Iterator[str]:
    result = runner.invoke(args=[*words, "--help"])
    shown = f"`flask {' '.join(words)} --help`"
    if result.exit_code:
        yield f"{shown} ended with {result.exit_code}: {result.exception!r}"
        return
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=words[-1])
        for name in command.list_commands(context):
            inner = command.get_command(context, name)  # which the help above has done as well
            if inner is None:
                yield f"`flask {' '.join((*words, name))}` is listed, and isn't there"
            else:
                yield from _helped(runner, inner, (*words, name))


def error_handlers(running: Running) -> Iterator[str]:
    """Have every error handler answer an error of its kind."""
    for shown, _page, failed in handled(running):
        if failed:
            yield f"the handler of {shown}: {failed}"


def handled(running: Running, text: str = HARMLESS) -> Iterator[tuple[str, str, str]]:
    """Yield what each error handler is for, the page that it answers with, and how it failed."""
    for item in running.row.contributions:
        if not isinstance(item, ErrorHandler):
            continue
        shown = str(item.code or item.error.__name__)
        error = _error(item, text)
        with running.app.test_request_context("/"):
            try:
                answered = running.app.ensure_sync(item.function)(error)
                response = running.app.make_response(answered)
            except Exception as raised:  # noqa: BLE001 - it is what is looked for
                yield shown, "", f"it raised {told(raised, running.plan.chosen.folder)}"
                continue
            page = "" if response.direct_passthrough else response.get_data(as_text=True)
            yield shown, page, ""


def _error(item: ErrorHandler, text: str) -> Exception:
    if item.code is not None:
        return default_exceptions.get(item.code, HTTPException)(text)
    try:
        return item.error(text)
    except Exception:  # noqa: BLE001 - it takes something else
        return item.error.__new__(item.error)


EVERYTHING: Final = (routes, host_pages, slots, connections, functions, error_handlers)
"""What runs the plugin's code."""
