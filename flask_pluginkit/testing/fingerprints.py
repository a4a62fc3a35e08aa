"""What an application, and the process around it, is like: to be compared before and after."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping
from typing import Any, Final

import blinker
from flask import Flask

Fingerprint = Mapping[str, object]

_TABLES: Final = (
    "before_request_funcs",
    "after_request_funcs",
    "teardown_request_funcs",
    "template_context_processors",
    "url_value_preprocessors",
    "url_default_functions",
)

CONFIGURATION: Final = "configuration"
"""The part that may grow: extensions leave their defaults there, which nobody else reads."""

_OWN: Final = "flask_pluginkit"


def of_application(app: Flask) -> Fingerprint:
    """Return what an application has: routes, hooks, names in templates, commands and so on."""
    app.url_map.update()
    jinja = app.jinja_env
    found: dict[str, object] = {
        "routes": sorted(
            f"{rule.rule} {sorted(rule.methods or ())}"
            for rule in app.url_map.iter_rules()
            if getattr(rule, "is_live", True)
        ),
        "endpoints": sorted(app.view_functions),
        "blueprints": sorted(app.blueprints),
        "commands": sorted(app.cli.commands),
        "filters": sorted(jinja.filters),
        "tests": sorted(jinja.tests),
        "functions in templates": sorted(jinja.globals),
        "error handlers": sorted(_error_handlers(app)),
        "teardown_appcontext": len(list(app.teardown_appcontext_funcs)),
        "shell_context_processors": len(list(app.shell_context_processors)),
    }
    for table in _TABLES:
        functions = getattr(app, table)
        rows = {str(scope): _foreign(functions[scope]) for scope in list(functions)}
        found[table] = {scope: names for scope, names in rows.items() if names}
    found[CONFIGURATION] = {key: repr(app.config[key]) for key in app.config}
    for name, value in vars(app).items():
        if name in _PARTS:
            found[f"app.{name}"] = f"{type(value).__qualname__} {id(value):x}"
    found["app.wsgi_app"] = _described(app.wsgi_app)
    found["jinja_env"] = (
        _described(jinja.autoescape),
        jinja.trim_blocks,
        _described(jinja.undefined),
    )
    return found


_PARTS: Final = frozenset(
    {"json", "session_interface", "json_provider_class", "response_class", "request_class", "debug"}
)


def _described(value: object) -> str:
    inner = getattr(value, "__wrapped__", value)
    return f"{getattr(inner, '__qualname__', type(inner).__qualname__)}"


def _foreign(functions: Any) -> list[str]:
    """Return what is in a table, but for what the manager has there for all plugins."""
    named = [f"{getattr(one, '__module__', '')}.{_described(one)}" for one in functions]
    return sorted(name for name in named if not name.startswith(_OWN))


def _error_handlers(app: Flask) -> Iterator[str]:
    for scope, codes in app.error_handler_spec.items():
        for code, handlers in codes.items():
            yield from (f"{scope} {code} {error.__name__}" for error in list(handlers))


def of_process() -> Fingerprint:
    """Return what a process has that applications share: threads, receivers, the environment."""
    return {
        "threads": sorted(
            thread.name
            for thread in threading.enumerate()
            if not thread.name.startswith(("pluginkit", _OWN))
        ),
        "receivers of signals": _receivers(),
        "environment variables": {
            key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"
        },
        "sys.path": list(map(str, sys.path)),
        "handlers of the root logger": [repr(one) for one in logging.getLogger().handlers],
        "level of the root logger": logging.getLogger().level,
        "signal handlers": _signals(),
        "the working folder": os.getcwd(),  # noqa: PTH109 - text is compared
    }


def _receivers() -> dict[str, int]:
    """Return how many functions listen to each signal, but for those that ask the manager."""
    found: dict[str, int] = {}
    for one in gc.get_objects():
        if isinstance(one, blinker.Signal):
            receivers = [
                ref() if isinstance(ref, weakref.ref) else ref for ref in one.receivers.values()
            ]
            count = sum(not _is_ours(receiver) for receiver in receivers if receiver is not None)
            name = getattr(one, "name", "") or f"a signal at {id(one):x}"
            if count:
                found[name] = found.get(name, 0) + count
    return found


def _is_ours(receiver: object) -> bool:
    module = getattr(receiver, "__module__", "") or ""
    return str(module).startswith(_OWN)


def _signals() -> dict[str, str]:
    valid = signal.valid_signals()
    return {one.name: repr(signal.getsignal(one)) for one in signal.Signals if one in valid}


def difference(before: Fingerprint, after: Fingerprint) -> list[str]:
    """Return in words what two fingerprints differ in."""
    found = []
    for key in {**before, **after}:
        then, now = before.get(key), after.get(key)
        if key == CONFIGURATION and isinstance(then, dict) and isinstance(now, dict):
            now = {name: value for name, value in now.items() if name in then}
        if then == now:
            continue
        found.append(f"{key}: {_change(then, now)}")
    return found


def _change(then: object, now: object) -> str:
    if isinstance(then, list) and isinstance(now, list):
        gained, lost = _without(now, then), _without(then, now)
    elif isinstance(then, dict) and isinstance(now, dict):
        gained = [f"{key}: {now[key]!r}" for key in now if then.get(key) != now[key]]
        lost = [str(key) for key in then if key not in now]
    else:
        return f"{then!r} has become {now!r}"
    words = [f"left behind {', '.join(map(str, gained))}"] if gained else []
    words += [f"lost {', '.join(map(str, lost))}"] if lost else []
    return "; ".join(words) or "another order"


def _without(items: list[Any], others: list[Any]) -> list[Any]:
    left = list(others)
    return [one for one in items if not (one in left and not left.remove(one))]  # type: ignore[func-returns-value]
