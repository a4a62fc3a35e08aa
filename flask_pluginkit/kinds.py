"""The extension points: what ``register()`` may return, and its normal form.

`KINDS` is the one table of them. Each entry checks the value that a plugin gave and returns
it in the *normal form* of 3.x, which ``p3`` functions and ``get_enabled_*`` see too. Values
are copied, never edited: a plugin's dict serves the next application as well. All problems
of one ``register()`` are collected and reported together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click
from blinker import Signal
from flask import Blueprint
from werkzeug.exceptions import default_exceptions

from .findings import Findings
from .ordering import parse_file
from .text import as_text, describe

FILE_SUFFIXES: Final = (".html", ".htm", ".xhtml", ".j2", ".jinja", ".jinja2")
"""A tep that ends with one of these is a template file, else it is code (rule of 3.x)."""

HOOKS: Final = ("before_request", "after_request", "teardown_request")
POSITIONS: Final = ("left", "right", "before", "after")

Shape = Any
"""A value of one kind in its normal form."""


def normal_tep(value: object, findings: Findings) -> Shape:
    """Template extension point: ``{slot: {"fil" or "cod": text}}``."""
    shape: dict[str, dict[str, str]] = {}
    for slot, given in findings.mapping(value, "tep"):
        if (text := as_text(given)) is None:
            findings.add(f"tep[{slot!r}]", given, "the name of a template file, or code, as text")
        elif not text.endswith(FILE_SUFFIXES):
            shape[slot] = {"cod": text}
        elif _has_file(text, findings):
            shape[slot] = {"fil": text}
        else:
            findings.add_missing_template(f"tep[{slot!r}]", text)
    return shape


def _has_file(text: str, findings: Findings) -> bool:
    return findings.has_template(parse_file(text, findings.has_template)[1])


def normal_hep(value: object, findings: Findings) -> Shape:
    """Request hooks: ``{hook: function}``."""
    shape: dict[str, Any] = {}
    for hook, function in findings.mapping(value, "hep"):
        if hook not in HOOKS:
            findings.add_unknown(f"hep[{hook!r}]", hook, HOOKS)
        elif findings.is_callable(function, f"hep[{hook!r}]"):
            shape[hook] = function
    return shape


def normal_bep(value: object, findings: Findings) -> Shape:
    """Blueprint: ``{"blueprint", "prefix", "parent"?}``."""
    shape = dict(findings.mapping(value, "bep"))
    if not isinstance(value, Mapping):
        return {}
    known = ("blueprint", "prefix", "parent")
    for key in shape:
        if key not in known:
            findings.add_unknown(f"bep[{key!r}]", key, known)
    if not isinstance(shape.get("blueprint"), Blueprint):
        findings.add("bep['blueprint']", shape.get("blueprint"), "a flask.Blueprint")
    prefix = shape.setdefault("prefix", None)
    if not is_prefix(prefix):
        findings.add(
            "bep['prefix']", prefix, "None, or text such as '/shop' (no '/' at its end, no blank)"
        )
    if not isinstance(parent := shape.get("parent"), str | None):
        findings.add("bep['parent']", parent, "the name of another plugin's blueprint")
    return shape if shape.get("blueprint") is not None else {}


def is_prefix(prefix: object) -> bool:
    """Tell whether this is None or a URL prefix (rule of 3.x)."""
    if prefix is None:
        return True
    return (
        isinstance(prefix, str)
        and prefix.startswith("/")
        and not prefix.endswith("/")
        and "//" not in prefix
        and " " not in prefix
    )


def normal_vep(value: object, findings: Findings) -> Shape:
    """View functions: ``[(rule, view_func, endpoint, options, _blueprint)]``."""
    shape = []
    for what, options in findings.dicts(value, "vep"):
        view = options.get("view_func")
        names = ("rule", "endpoint", "_blueprint")
        rule, endpoint, on_blueprint = (as_text(options.get(name)) for name in names)
        # on a blueprint the rule may be empty: the prefix itself
        is_prefix_itself = rule == "" and on_blueprint
        if rule is None or not (rule.startswith("/") or is_prefix_itself):
            found = options.get("rule")
            findings.add(f"{what}['rule']", found, "a URL rule such as '/hello/<name>'")
        for key, name in (("endpoint", endpoint), ("_blueprint", on_blueprint)):
            if name is None and options.get(key) is not None:
                findings.add(f"{what}[{key!r}]", options[key], "a name, as text")
        if not findings.is_callable(view, f"{what}['view_func']"):
            continue
        rest = {key: item for key, item in options.items() if key not in (*names, "view_func")}
        shape.append((rule, view, endpoint, rest, on_blueprint))
    return shape


def normal_cvep(value: object, findings: Findings) -> Shape:
    """Class-based views: ``[(view_class, options)]``."""
    shape = []
    for what, options in findings.dicts(value, "cvep"):
        view_class = options.get("view_class")
        if not isinstance(view_class, type) or not (
            registers_itself(view_class) or hasattr(view_class, "as_view")
        ):
            findings.add(
                f"{what}['view_class']", view_class, "a flask.views.View or Flask-Classful class"
            )
            continue
        rest = {key: item for key, item in options.items() if key != "view_class"}
        if not registers_itself(view_class) and not isinstance(rest.get("rule"), str):
            findings.add(f"{what}['rule']", rest.get("rule"), "a URL rule such as '/items'")
        shape.append((view_class, rest))
    return shape


def registers_itself(view_class: type) -> bool:
    """Tell whether a view class has a ``register`` of its own, as Flask-Classful's have.

    That of a metaclass such as `abc.ABCMeta` is for something else.
    """
    return any("register" in vars(base) for base in view_class.__mro__)


def _named_functions(kind: str) -> Callable[[object, Findings], Shape]:
    """Make the reader of ``{name: f}`` and ``[f, (name, f)]``: ``[(name, f)]``."""

    def normal(value: object, findings: Findings) -> Shape:
        if isinstance(value, list | tuple):
            pairs = [
                item if isinstance(item, list | tuple) and len(item) == 2 else (None, item)
                for item in value
            ]
        else:
            pairs = list(findings.mapping(value, kind))
        shape: dict[str, Any] = {}
        for index, (given, function) in enumerate(pairs):
            name = given or getattr(function, "__name__", None)
            what = f"{kind}[{describe(given) if isinstance(given, str) else index}]"
            if not findings.is_callable(function, what):
                continue
            if isinstance(name, str) and name:
                shape[name] = function
            else:
                findings.add(f"{what}: name", name, "a name, as non-empty text")
        return list(shape.items())

    normal.__doc__ = f"Jinja {kind}s: ``[(name, function)]``."
    return normal


def normal_errhandler(value: object, findings: Findings) -> Shape:
    """Error handlers: ``[(code or class, function)]``."""
    shape = []
    if isinstance(value, Mapping):
        rows = [(f"errhandler[{describe(key)}]", key, item, True) for key, item in value.items()]
    else:
        rows = [
            (what, row.get("error"), row.get("handler"), False)
            for what, row in findings.dicts(value, "errhandler")
        ]
    for what, error, function, is_code in rows:
        known = error in default_exceptions if isinstance(error, int) else _is_error(error, is_code)
        if not known:
            expected = "an HTTP error code such as 404"
            findings.add(what, error, expected if is_code else f"{expected} or an exception class")
        if findings.is_callable(function, f"{what}['handler']") and known:
            shape.append((error, function))
    return shape


def _is_error(error: object, must_be_code: bool) -> bool:
    return not must_be_code and isinstance(error, type) and issubclass(error, Exception)


def normal_values(kind: str) -> Callable[[object, Findings], Shape]:
    """Make the reader of ``{name: value}``."""

    def normal(value: object, findings: Findings) -> Shape:
        return dict(findings.mapping(value, kind))

    normal.__doc__ = f"{kind}: ``{{name: value}}``."
    return normal


def normal_p3(value: object, findings: Findings) -> Shape:
    """Preprocessors: ``{plugin: {kind: function}}``."""
    shape: dict[str, dict[str, Any]] = {}
    for plugin, functions in findings.mapping(value, "p3"):
        for kind, function in findings.mapping(functions, f"p3[{plugin!r}]"):
            what = f"p3[{plugin!r}][{kind!r}]"
            if kind not in KINDS or kind in OWN:
                findings.add_unknown(what, kind, (known for known in KINDS if known not in OWN))
            elif findings.is_callable(function, what):
                shape.setdefault(plugin, {})[kind] = function
    return shape


def normal_dcp(value: object, findings: Findings) -> Shape:
    """Dynamic connection points: ``[(event, function, position)]``."""
    shape = []
    if isinstance(value, Mapping) and "callback" not in value:
        rows = [(f"dcp[{describe(k)}]", {"event": k, "callback": v}) for k, v in value.items()]
    else:
        rows = [(what, dict(row)) for what, row in findings.dicts(value, "dcp")]
    known = ("event", "callback", "position")
    for what, row in rows:
        for key in row:
            if key not in known:
                findings.add_unknown(f"{what}[{describe(key)}]", key, known)
        event, position = as_text(row.get("event")), row.get("position", "right")
        if not event:
            findings.add(f"{what}['event']", row.get("event"), "a name, as non-empty text")
        if position not in POSITIONS:
            findings.add(f"{what}['position']", position, "one of " + ", ".join(POSITIONS))
        if findings.is_callable(row.get("callback"), f"{what}['callback']"):
            shape.append((event, row["callback"], position))
    return shape


def normal_cli(value: object, findings: Findings) -> Shape:
    """Click commands: ``[command]``."""
    commands = list(value) if isinstance(value, list | tuple) else [value]
    names: set[str] = set()
    for index, command in enumerate(commands):
        if not isinstance(command, click.Command) or not command.name:
            findings.add(f"cli[{index}]", command, "a click.Command with a name")
        elif command.name in names:
            findings.add(f"cli[{index}]: name", command.name, "a name that no other one has")
        else:
            names.add(command.name)
    return [command for command in commands if isinstance(command, click.Command)]


def normal_signal(value: object, findings: Findings) -> Shape:
    """Signal receivers: ``[(signal, function)]``."""
    shape = []
    for what, signal, function in findings.pairs(value, "signal"):
        if not isinstance(signal, Signal):
            findings.add(what, signal, "a blinker signal such as flask.request_finished")
        elif findings.is_callable(function, what):
            shape.append((signal, function))
    return shape


def normal_settings(value: object, findings: Findings) -> Shape:
    """Settings: ``[settings]``, at most one `Settings`."""
    from .settings.proxy import Settings  # few plugins have any

    given = list(value) if isinstance(value, list | tuple) else [value]
    if len(given) > 1:
        findings.add("settings", given, "one Settings(MySettings)")
    for each in given:
        if not isinstance(each, Settings):
            findings.add("settings", each, "a flask_pluginkit.Settings(MySettings)")
    return [each for each in given if isinstance(each, Settings)]


KINDS: Final[Mapping[str, Callable[[object, Findings], Shape]]] = {
    "tep": normal_tep,
    "hep": normal_hep,
    "bep": normal_bep,
    "vep": normal_vep,
    "cvep": normal_cvep,
    "filter": _named_functions("filter"),
    "errhandler": normal_errhandler,
    "tcp": normal_values("tcp"),
    "p3": normal_p3,
    "dcp": normal_dcp,
    "test": _named_functions("test"),
    "global": normal_values("global"),
    "cli": normal_cli,
    "signal": normal_signal,
    "settings": normal_settings,
}
"""Every extension point by its public short name, with the function that reads it."""

OWN: Final = frozenset({"p3", "settings"})
"""What no other plugin's ``p3`` functions rework."""

EMPTY: Final[Mapping[str, Callable[[], Shape]]] = {
    kind: (dict if kind in {"tep", "hep", "bep", "tcp", "p3", "global"} else list) for kind in KINDS
}
"""What the normal form of a kind is when a plugin has none of it."""

_NONE: Final[Mapping[str, Shape]] = {kind: make() for kind, make in EMPTY.items()}
"""The empty forms that all plugins share, as most have but a few kinds; never to be changed."""

_ROWS: Final[Mapping[str, tuple[str, ...]]] = {
    "vep": ("rule", "view_func", "endpoint", "options", "_blueprint"),
    "cvep": ("view_class", "options"),
    "errhandler": ("error", "handler"),
    "dcp": ("event", "callback", "position"),
}
"""What stands in the tuples of a normal form; ``options`` are those of the dict's other keys."""


def normalise(plugin: str, folder: Path, value: object) -> dict[str, Shape]:
    """Check what ``register()`` of `plugin` returned and give the normal form of each kind.

    Kinds that the plugin doesn't use are there with their empty form, which isn't to be changed.

    Raises:
        RegistrationError: with every problem of the value.

    """
    findings = Findings(plugin, folder)
    shapes = dict(_NONE)
    if not isinstance(value, Mapping):
        findings.add("return value", value, "a dict such as {'tep': {'nav': 'nav.html'}}")
        value = {}
    for kind, item in value.items():
        if (read := KINDS.get(kind)) is None:
            findings.add_unknown(describe(kind), kind, KINDS)
        else:
            shapes[kind] = read(item, findings)
    findings.finish()
    return shapes


def recheck(plugin: str, folder: Path, kind: str, shape: Shape) -> Shape:
    """Check a normal form that a ``p3`` function returned, and give it back.

    Raises:
        RegistrationError: with every problem of the value.

    """
    findings = Findings(plugin, folder)
    if kind == "tep":
        _check_parts(shape, findings)
    elif kind in _ROWS:
        rows = _given_rows(kind, shape, findings)
        if not findings.problems:
            KINDS[kind](rows, findings)
    elif shape:
        KINDS[kind](shape, findings)
    findings.finish()
    return shape


def _check_parts(shape: Shape, findings: Findings) -> None:
    """Check ``{slot: {"fil" or "cod": text}}``; a slot may have both."""
    for slot, parts in findings.mapping(shape, "tep"):
        what = f"tep[{slot!r}]"
        if not isinstance(parts, Mapping) or not parts:
            findings.add(what, parts, "a dict such as {'cod': '<b>hello</b>'}")
            continue
        for kind, text in parts.items():
            if kind not in ("fil", "cod"):
                findings.add_unknown(f"{what}[{describe(kind)}]", kind, ("fil", "cod"))
            elif not isinstance(text, str):
                findings.add(what, text, "the name of a template file, or code, as text")
            elif kind == "fil" and not _has_file(text, findings):
                findings.add_missing_template(what, text)


def _given_rows(kind: str, shape: Shape, findings: Findings) -> list[dict[str, Any]]:
    """Return a normal form that is a list of tuples as a plugin would have given it."""
    names = _ROWS[kind]
    rows = []
    for index, row in enumerate(shape):
        if not isinstance(row, list | tuple) or len(row) != len(names):
            findings.add(f"{kind}[{index}]", row, f"a tuple ({', '.join(names)})")
            continue
        given = dict(zip(names, row, strict=True))
        options = given.pop("options", {})
        if isinstance(options, Mapping):
            rows.append({**options, **given})
        else:
            findings.add(f"{kind}[{index}]: options", options, "a dict")
    return rows
