"""The extension points: what ``register()`` may return, and its normal form.

`KINDS` is the one table of them. Each entry checks the value that a plugin gave and returns
it in the *normal form* of 3.x, which ``p3`` functions and ``get_enabled_*`` see too. Values
are copied, never edited: a plugin's dict serves the next application as well. All problems
of one ``register()`` are collected and reported together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
from blinker import Signal
from flask import Blueprint
from werkzeug.exceptions import default_exceptions

from .exceptions import MissingTemplateError, Problem, RegistrationError
from .ordering import parse_file
from .text import clean, nearest

FILE_SUFFIXES: Final = (".html", ".htm", ".xhtml", ".j2", ".jinja", ".jinja2")
"""A tep that ends with one of these is a template file, else it is code (rule of 3.x)."""

HOOKS: Final = ("before_request", "after_request", "teardown_request")
POSITIONS: Final = ("left", "right", "before", "after")

Shape = Any
"""A value of one kind in its normal form."""


class Findings:
    """Collects what is wrong with the value that one ``register()`` returned."""

    def __init__(self, plugin: str, folder: Path) -> None:
        self.where = f"{plugin}: register()"
        self.folder = folder
        self.problems: list[Problem] = []
        self.missing_templates = 0

    def add(self, what: str, found: object, expected: str, advice: str = "") -> None:
        """Note that `what` (a path such as ``vep[1]['rule']``) is wrong."""
        shown = found if isinstance(found, str) else f"{type(found).__name__} {found!r}"
        self.problems.append(
            Problem(
                where=self.where,
                what=what,
                found=clean(shown, 120) or "nothing",
                expected=expected,
                advice=advice,
            )
        )

    def has_template(self, name: str) -> bool:
        """Tell whether the plugin has a template file `name` inside its folder."""
        root = self.folder / "templates"
        try:
            path = (root / name).resolve()
            return path.is_relative_to(root.resolve()) and path.is_file()
        except (OSError, ValueError, RuntimeError):
            return False

    def finish(self) -> None:
        """Raise what was found.

        Raises:
            MissingTemplateError: template files that don't exist, and nothing else.
            RegistrationError: anything else.

        """
        if not self.problems:
            return
        if self.missing_templates == len(self.problems):
            raise MissingTemplateError(self.problems)
        raise RegistrationError(self.problems)


def _mapping(value: object, what: str, findings: Findings) -> Iterator[tuple[str, Any]]:
    """Yield the items of a dict whose keys are non-empty text."""
    if not isinstance(value, Mapping):
        findings.add(what, value, "a dict")
        return
    for key, item in value.items():
        if isinstance(key, str) and key:
            yield key, item
        else:
            findings.add(f"{what}: key", key, "a name, as non-empty text")


def _callable(value: object, what: str, findings: Findings) -> bool:
    if callable(value):
        return True
    findings.add(what, value, "a function or another callable")
    return False


def _dicts(value: object, what: str, findings: Findings) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (path, dict) for a dict or a list of dicts."""
    if isinstance(value, Mapping):
        yield what, value
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            if isinstance(item, Mapping):
                yield f"{what}[{index}]", item
            else:
                findings.add(f"{what}[{index}]", item, "a dict")
    else:
        findings.add(what, value, "a dict or a list of dicts")


def _pairs(value: object, what: str, findings: Findings) -> Iterator[tuple[str, Any, Any]]:
    """Yield (path, key, item) for a dict, or for a list of pairs."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield f"{what}[{key!r}]", key, item
    elif isinstance(value, list | tuple):
        for index, pair in enumerate(value):
            if isinstance(pair, list | tuple) and len(pair) == 2:
                yield f"{what}[{index}]", pair[0], pair[1]
            else:
                findings.add(f"{what}[{index}]", pair, "a pair (key, value)")
    else:
        findings.add(what, value, "a dict or a list of pairs")


def normal_tep(value: object, findings: Findings) -> Shape:
    """Template extension point: ``{slot: {"fil" or "cod": text}}``."""
    shape: dict[str, dict[str, str]] = {}
    for slot, text in _mapping(value, "tep", findings):
        if not isinstance(text, str):
            findings.add(f"tep[{slot!r}]", text, "the name of a template file, or code, as text")
        elif not text.endswith(FILE_SUFFIXES):
            shape[slot] = {"cod": text}
        elif findings.has_template(parse_file(text, findings.has_template)[1]):
            shape[slot] = {"fil": text}
        else:
            findings.missing_templates += 1
            findings.add(
                f"tep[{slot!r}]",
                f"no template file {text!r}",
                f"a file below {clean(str(findings.folder / 'templates'), 200)}",
            )
    return shape


def normal_hep(value: object, findings: Findings) -> Shape:
    """Request hooks: ``{hook: function}``."""
    shape: dict[str, Any] = {}
    for hook, function in _mapping(value, "hep", findings):
        if hook not in HOOKS:
            _unknown(f"hep[{hook!r}]", hook, HOOKS, findings)
        elif _callable(function, f"hep[{hook!r}]", findings):
            shape[hook] = function
    return shape


def normal_bep(value: object, findings: Findings) -> Shape:
    """Blueprint: ``{"blueprint", "prefix", "parent"?}``."""
    shape = dict(_mapping(value, "bep", findings))
    known = ("blueprint", "prefix", "parent")
    for key in shape.keys() - set(known):
        _unknown(f"bep[{key!r}]", key, known, findings)
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
    for what, options in _dicts(value, "vep", findings):
        rule, view = options.get("rule"), options.get("view_func")
        # on a blueprint the rule may be empty: the prefix itself
        is_prefix_itself = rule == "" and options.get("_blueprint")
        if not isinstance(rule, str) or not (rule.startswith("/") or is_prefix_itself):
            findings.add(f"{what}['rule']", rule, "a URL rule such as '/hello/<name>'")
        if not _callable(view, f"{what}['view_func']", findings):
            continue
        named = ("rule", "view_func", "endpoint", "_blueprint")
        rest = {key: item for key, item in options.items() if key not in named}
        shape.append((rule, view, options.get("endpoint"), rest, options.get("_blueprint")))
    return shape


def normal_cvep(value: object, findings: Findings) -> Shape:
    """Class-based views: ``[(view_class, options)]``."""
    shape = []
    for what, options in _dicts(value, "cvep", findings):
        view_class = options.get("view_class")
        usable = isinstance(view_class, type) and (
            hasattr(view_class, "register") or hasattr(view_class, "as_view")
        )
        if not usable:
            findings.add(
                f"{what}['view_class']", view_class, "a flask.views.View or Flask-Classful class"
            )
            continue
        rest = {key: item for key, item in options.items() if key != "view_class"}
        if not hasattr(view_class, "register") and not isinstance(rest.get("rule"), str):
            findings.add(f"{what}['rule']", rest.get("rule"), "a URL rule such as '/items'")
        shape.append((view_class, rest))
    return shape


def _named_functions(kind: str) -> Callable[[object, Findings], Shape]:
    """Make the reader of ``{name: f}`` and ``[f, (name, f)]``: ``[(name, f)]``."""

    def normal(value: object, findings: Findings) -> Shape:
        if isinstance(value, list | tuple):
            pairs = [
                item if isinstance(item, list | tuple) and len(item) == 2 else (None, item)
                for item in value
            ]
        else:
            pairs = list(_mapping(value, kind, findings))
        shape: dict[str, Any] = {}
        for index, (name, function) in enumerate(pairs):
            what = f"{kind}[{name!r}]" if name else f"{kind}[{index}]"
            if _callable(function, what, findings):
                shape[str(name or getattr(function, "__name__", what))] = function
        return list(shape.items())

    normal.__doc__ = f"Jinja {kind}s: ``[(name, function)]``."
    return normal


def normal_errhandler(value: object, findings: Findings) -> Shape:
    """Error handlers: ``[(code or class, function)]``."""
    shape = []
    if isinstance(value, Mapping):
        rows = [(f"errhandler[{key!r}]", key, item, True) for key, item in value.items()]
    else:
        rows = [
            (what, row.get("error"), row.get("handler"), False)
            for what, row in _dicts(value, "errhandler", findings)
        ]
    for what, error, function, is_code in rows:
        known = error in default_exceptions if isinstance(error, int) else _is_error(error, is_code)
        if not known:
            expected = "an HTTP error code such as 404"
            findings.add(what, error, expected if is_code else f"{expected} or an exception class")
        if _callable(function, f"{what}['handler']", findings) and known:
            shape.append((error, function))
    return shape


def _is_error(error: object, must_be_code: bool) -> bool:
    return not must_be_code and isinstance(error, type) and issubclass(error, Exception)


def normal_values(kind: str) -> Callable[[object, Findings], Shape]:
    """Make the reader of ``{name: value}``."""

    def normal(value: object, findings: Findings) -> Shape:
        return dict(_mapping(value, kind, findings))

    normal.__doc__ = f"{kind}: ``{{name: value}}``."
    return normal


def normal_p3(value: object, findings: Findings) -> Shape:
    """Preprocessors: ``{plugin: {kind: function}}``."""
    shape: dict[str, dict[str, Any]] = {}
    for plugin, functions in _mapping(value, "p3", findings):
        for kind, function in _mapping(functions, f"p3[{plugin!r}]", findings):
            what = f"p3[{plugin!r}][{kind!r}]"
            if kind not in KINDS or kind == "p3":
                _unknown(what, kind, tuple(k for k in KINDS if k != "p3"), findings)
            elif _callable(function, what, findings):
                shape.setdefault(plugin, {})[kind] = function
    return shape


def normal_dcp(value: object, findings: Findings) -> Shape:
    """Dynamic connection points: ``[(event, function, position)]``."""
    shape = []
    if isinstance(value, Mapping) and "callback" not in value:
        rows = [(f"dcp[{k!r}]", {"event": k, "callback": v}) for k, v in value.items()]
    else:
        rows = [(what, dict(row)) for what, row in _dicts(value, "dcp", findings)]
    for what, row in rows:
        event, position = row.get("event"), row.get("position", "right")
        if not isinstance(event, str) or not event:
            findings.add(f"{what}['event']", event, "a name, as non-empty text")
        if position not in POSITIONS:
            findings.add(f"{what}['position']", position, "one of " + ", ".join(POSITIONS))
        if _callable(row.get("callback"), f"{what}['callback']", findings):
            shape.append((event, row["callback"], position))
    return shape


def normal_cli(value: object, findings: Findings) -> Shape:
    """Click commands: ``[command]``."""
    commands = list(value) if isinstance(value, list | tuple) else [value]
    for index, command in enumerate(commands):
        if not isinstance(command, click.Command) or not command.name:
            findings.add(f"cli[{index}]", command, "a click.Command with a name")
    return [command for command in commands if isinstance(command, click.Command)]


def normal_signal(value: object, findings: Findings) -> Shape:
    """Signal receivers: ``[(signal, function)]``."""
    shape = []
    for what, signal, function in _pairs(value, "signal", findings):
        if not isinstance(signal, Signal):
            findings.add(what, signal, "a blinker signal such as flask.request_finished")
        elif _callable(function, what, findings):
            shape.append((signal, function))
    return shape


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
}
"""Every extension point by its public short name, with the function that reads it."""

EMPTY: Final[Mapping[str, Callable[[], Shape]]] = {
    kind: (dict if kind in {"tep", "hep", "bep", "tcp", "p3", "global"} else list) for kind in KINDS
}
"""What the normal form of a kind is when a plugin has none of it."""


def normalise(plugin: str, folder: Path, value: object) -> dict[str, Shape]:
    """Check what ``register()`` of `plugin` returned and give the normal form of each kind.

    Kinds that the plugin doesn't use are there with their empty form.

    Raises:
        RegistrationError: with every problem of the value.

    """
    findings = Findings(plugin, folder)
    shapes = {kind: make() for kind, make in EMPTY.items()}
    if not isinstance(value, Mapping):
        findings.add("return value", value, "a dict such as {'tep': {'nav': 'nav.html'}}")
        value = {}
    for kind, item in value.items():
        if (read := KINDS.get(kind)) is None:
            _unknown(f"{kind!r}", kind, tuple(KINDS), findings)
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
        flat = {slot: next(iter(part.values())) for slot, part in dict(shape).items()}
        normal_tep(flat, findings)
    elif kind in {"hep", "bep", "tcp", "global", "filter", "test"}:
        KINDS[kind](shape, findings)
    findings.finish()
    return shape


def _unknown(what: str, found: object, known: tuple[str, ...], findings: Findings) -> None:
    guess = nearest(str(found), known)
    findings.add(
        what,
        f"the unknown name {found!r}",
        "one of " + ", ".join(known),
        f"did you mean {guess!r}?" if guess else "",
    )
