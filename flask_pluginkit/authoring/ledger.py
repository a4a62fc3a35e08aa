"""What an author has added so far, and telling where in the plugin something is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from flask.helpers import get_root_path

from flask_pluginkit.exceptions import Problem, RegistrationError
from flask_pluginkit.findings import Findings
from flask_pluginkit.kinds import FILE_SUFFIXES, KINDS
from flask_pluginkit.ordering import make_order, parse_code, parse_file
from flask_pluginkit.text import clean, describe

from .calls import refuses_arguments

_NOT_THE_AUTHORS: Final = (f"{__package__}.", "click.", "flask.")
"""What the names of modules begin with whose lines are none of the author's."""
Line = tuple[str, int]
"""A file and a line in it."""

T = TypeVar("T")
Made = TypeVar("Made")
LAST: Final = 999_999_999
"""The highest order, as `ordering` reads nine digits."""


def plugin_name(import_name: object, given: object) -> str:
    """Return the name that a plugin has by its import name, or the given one.

    Raises:
        RegistrationError: it can't be that of a blueprint.

    """
    if not isinstance(import_name, str) or not import_name:
        _raise("Plugin(...)", describe(import_name), "the name of the plugin's package: __name__")
    name = import_name.rpartition(".")[2] if given is None else given
    if not isinstance(name, str) or not name or "." in name:
        _raise("Plugin(name=...)", describe(name), "a name without dots, such as 'hello'")
    return name


class Ledger:
    """What is to be returned by ``register()``, as far as it is known."""

    def __init__(self, import_name: str, plugin: str) -> None:
        self.plugin = plugin
        self.folder = Path(get_root_path(import_name))
        self._made: dict[str, Any] = {}
        self._lines: dict[tuple[str, object], Line] = {}
        self._is_closed = False

    def close(self) -> dict[str, Any]:
        """Return a copy of it; nothing can be added from now on."""
        self._is_closed = True
        made = {kind: value.copy() for kind, value in self._made.items()}
        if "p3" in made:
            made["p3"] = {plugin: dict(functions) for plugin, functions in made["p3"].items()}
        return made

    # ---- adding -------------------------------------------------------------------------------

    def append(self, kind: str, row: Any, key: object = None, name: str = "") -> None:
        """Add to a kind that is a list; `key` may be there once only, and is called `name`."""
        self.check(kind, [row])
        if key is not None:
            self._claim(kind, key, name or describe(key))
        self.check_open(kind)
        self._made.setdefault(kind, []).append(row)

    def put(self, kind: str, name: str, value: Any) -> None:
        """Add to a kind that is a dict."""
        self.check(kind, {name: value})
        self._claim(kind, name, describe(name))
        self.check_open(kind)
        self._made.setdefault(kind, {})[name] = value

    def preprocess(self, plugin: str, kind: str, function: Callable[[Any], Any]) -> None:
        """Add a function that changes what another plugin registers."""
        self._claim("p3", (plugin, kind), f"{plugin}][{kind}")
        self.check_open("p3")
        self._made.setdefault("p3", {}).setdefault(plugin, {})[kind] = function

    def add_part(self, slot: str, text: str, order: int | None) -> None:
        """Add the part of a slot, a file or code, with its order."""
        self.check("tep", {slot: text})
        if order is not None:
            text = self._ordered(slot, text, order)
        self.put("tep", slot, text)

    def _ordered(self, slot: str, text: str, order: object) -> str:
        what = f"tep({describe(slot)}): order"
        if type(order) is not int or not 0 <= order <= LAST:
            self.refuse(what, describe(order), f"None, or a whole number from 0 to {LAST}")
        wanted = make_order(str(order))
        if not text.endswith(FILE_SUFFIXES):
            if parse_code(text)[0] is not None:
                self._refuse_second(what, text)
            made = f"{order}@{text}"
            # code that would make the order look like the start of a mail address
            return made if parse_code(made) == (wanted, text) else f"{order}@{{##}}{text}"
        has_file = Findings(self.plugin, self.folder).has_template
        if parse_file(text, has_file)[0] is not None:
            self._refuse_second(what, text)
        if parse_file(f"{order}@{text}", has_file) != (wanted, text):
            self.refuse(
                what, f"a file {describe(f'{order}@{text}')}", "another order, as it means that"
            )
        return f"{order}@{text}"

    def _refuse_second(self, what: str, text: str) -> NoReturn:
        before = text.partition("@")[0]
        self.refuse(what, f"another one in {describe(text)}", f"one order: order=... or {before}@")

    def _claim(self, kind: str, key: object, name: str) -> None:
        """Note that something is taken, or tell where it was."""
        line = _authors_line()
        if (taken := self._lines.setdefault((kind, key), line)) is not line:
            self.refuse(
                f"{kind}[{name}]", "a second one", f"one only: the first is at {_told(taken)}"
            )

    # ---- checking -----------------------------------------------------------------------------

    def check(self, kind: str, value: object) -> None:
        """Check a value as that of ``register()`` is checked.

        Raises:
            RegistrationError: with every problem, each with the line of the plugin.

        """
        findings = Findings(self.plugin, self.folder)
        KINDS[kind](value, findings)
        if findings.problems:
            findings = Findings(self.plugin, self.folder)
            findings.where = here()  # which isn't looked for where all is well
            KINDS[kind](value, findings)
            findings.finish()

    def located(self, make: Callable[[T], Made], given: T) -> Made:
        """Return what `make` makes of what was given; what is wrong gets the author's line."""
        try:
            return make(given)
        except RegistrationError as error:
            place = here()
            problems = [
                Problem(
                    where=f"{place}: {each.where}",
                    what=each.what,
                    found=each.found,
                    expected=each.expected,
                    advice=each.advice,
                )
                for each in error.problems
            ]
        raise RegistrationError(problems)

    def check_arguments(self, what: str, function: Callable[..., Any], count: int) -> None:
        """Check that a function can be called with so many arguments."""
        if refuses_arguments(function, count):
            name = getattr(function, "__name__", type(function).__name__)
            arguments = {0: "no argument", 1: "one argument"}[count]
            self.refuse(
                what,
                f"{name}(), which can't be called so",
                f"a function that can be called with {arguments}",
            )

    def check_class(self, what: str, given: object) -> None:
        """Check that something is a class at all."""
        if not isinstance(given, type):
            self.refuse(what, describe(given), "a flask.views.View or Flask-Classful class")

    def check_open(self, what: str) -> None:
        """Check that applications haven't got what the plugin adds yet."""
        if self._is_closed:
            self.refuse(
                what,
                "something new after register() was called",
                "all of it when the plugin is imported: applications have it by now",
            )

    def refuse(self, what: str, found: str, expected: str) -> NoReturn:
        """Raise that something at the author's line can't be used."""
        _raise(what, found, expected)


def _raise(what: str, found: str, expected: str) -> NoReturn:
    raise RegistrationError(Problem(where=here(), what=what, found=found, expected=expected))


def here() -> str:
    """Return file and line of the author's code that is being run: ``hello/__init__.py:12``."""
    return _told(_authors_line())


def _authors_line() -> Line:
    frame = sys._getframe(1)  # noqa: SLF001 - as the warnings module does it
    while frame.f_back is not None:
        if not str(frame.f_globals.get("__name__")).startswith(_NOT_THE_AUTHORS):
            break
        frame = frame.f_back
    return (frame.f_code.co_filename, frame.f_lineno)


def _told(line: Line) -> str:
    file, number = line
    return clean(f"{'/'.join(Path(file).parts[-2:])}:{number}", 200)
