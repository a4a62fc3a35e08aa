"""Values that stand for what nobody gave: of any shape, and easily found again on a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from jinja2 import Environment, TemplateNotFound, TemplateSyntaxError, meta

HARMLESS: Final = "text"

SCRIPT: Final = "<script>pluginkit()</script>"
"""What must never stand on a page as it is."""


class Placeholder(str):
    """A text that also does for an object, a list, a function or a number.

    Templates of plugins show values of the host, of which the kit knows nothing but the names.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Placeholder:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_args: Any, **_kwargs: Any) -> Placeholder:
        """Be what a function returns."""
        return self

    def __getitem__(self, key: Any) -> Any:
        return str.__getitem__(self, key) if isinstance(key, int | slice) else self

    def __iter__(self) -> Iterator[Placeholder]:
        yield self

    def __int__(self) -> int:
        return 1

    def __float__(self) -> float:
        return 1.0

    def __index__(self) -> int:
        return 1

    def __round__(self, _digits: int = 0) -> int:
        return 1

    @property
    def title(self) -> Any:
        """Be text, as the attribute of an object that is so called; called, it is text as well."""
        return self

    def __format__(self, form: str) -> str:
        try:
            return str.__format__(self, form)
        except ValueError:  # the form of a number or a date
            return str(self)

    def __add__(self, other: Any) -> str:
        return str.__add__(self, other) if isinstance(other, str) else self

    def __radd__(self, _other: Any) -> Placeholder:
        return self

    __sub__ = __rsub__ = __truediv__ = __rtruediv__ = __floordiv__ = __radd__

    def __lt__(self, other: Any) -> bool:
        return str.__lt__(self, other) if isinstance(other, str) else True

    __le__ = __lt__

    def __gt__(self, other: Any) -> bool:
        return str.__gt__(self, other) if isinstance(other, str) else False

    __ge__ = __gt__


def placeholders(names: Iterable[str], text: str = HARMLESS) -> dict[str, Any]:
    """Return a placeholder for each name."""
    return {name: Placeholder(text) for name in names}


def undeclared(environment: Environment, name: str, source: str, known: Iterable[str]) -> set[str]:
    """Return the variables that a template takes from whoever renders it, but for `known` ones.

    Args:
        environment: the application's.
        name: the template's, which tells whose it is: ``hello:page.html``.
        source: its text.
        known: names that are there anyway.

    """
    return _undeclared(environment, name, source, {name}) - set(known)


def _undeclared(environment: Environment, name: str, source: str, seen: set[str]) -> set[str]:
    try:
        tree = environment.parse(source)
    except TemplateSyntaxError:
        return set()
    found = meta.find_undeclared_variables(tree)
    for reference in meta.find_referenced_templates(tree):
        inner = environment.join_path(reference, name) if reference else name
        if inner not in seen and environment.loader is not None:
            seen.add(inner)
            try:
                text = environment.loader.get_source(environment, inner)[0]
            except TemplateNotFound:
                continue
            found |= _undeclared(environment, inner, text, seen)
    return found


def unescaped(page: str) -> str:
    """Return the surroundings of a script that came through as it was, empty if none did."""
    place = page.find(SCRIPT)
    if place < 0:
        return ""
    return " ".join(page[max(0, place - 40) : place + len(SCRIPT) + 20].split())
