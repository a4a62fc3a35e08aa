"""Which slots templates emit: read from their syntax trees, without rendering anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from jinja2 import Environment, TemplateError, nodes

from flask_pluginkit.template_trees import calls_of
from flask_pluginkit.text import clean

EMITTERS: Final = {"emit_tep": "tep", "emit_dcp": "event"}
"""The functions of templates that emit something, and what."""

_ONLY: Final = {"fil": "files only", "cod": "code only"}


class Emission(NamedTuple):
    """One place where a template emits a slot or an event."""

    kind: str
    """``tep`` or ``event``."""
    name: str | None
    """Of the slot or event; None where it is computed."""
    template: str
    line: int
    only: str = ""
    """That it emits a part of the slot: ``files only`` or ``code only``."""

    @property
    def place(self) -> str:
        """Template and line, printable."""
        only = f" ({self.only})" if self.only else ""
        return f"{clean(self.template, 200)}:{self.line}{only}"


class Emissions(NamedTuple):
    """What all templates emit."""

    found: tuple[Emission, ...]
    unreadable: Mapping[str, str]
    """Why a template couldn't be read, by its name."""

    def places(self, kind: str) -> dict[str, list[Emission]]:
        """Return the places of one kind by name, sorted; computed names are left out."""
        places: dict[str, list[Emission]] = {}
        for emission in self.found:
            if emission.kind == kind and emission.name is not None:
                places.setdefault(emission.name, []).append(emission)
        return dict(sorted(places.items()))


def find_emissions(environment: Environment, names: Iterable[str]) -> Emissions:
    """Return what the templates with these names emit. Raises nothing for what is in them."""
    found: list[Emission] = []
    unreadable = {}
    for name in names:
        try:
            found.extend(_emissions_of(environment, name))
        except UnicodeDecodeError:
            continue  # a picture among the templates
        except (TemplateError, OSError, RuntimeError, RecursionError) as error:
            unreadable[name] = f"{type(error).__name__}: {clean(error, 300)}"
    return Emissions(tuple(found), unreadable)


def _emissions_of(environment: Environment, name: str) -> Iterator[Emission]:
    assert environment.loader is not None
    source, _filename, _is_fresh = environment.loader.get_source(environment, name)
    if not any(emitter in source for emitter in EMITTERS):
        return  # most templates: parsing takes longer than looking
    for function, call in calls_of(environment.parse(source, name), EMITTERS):
        yield _emission(call, function, name)


def _emission(call: nodes.Call, function: str, template: str) -> Emission:
    given: dict[str, nodes.Node] = {pair.key: pair.value for pair in call.kwargs}
    first = call.args[0] if call.args else given.get("tep", given.get("event"))
    second = call.args[1] if len(call.args) > 1 else given.get("typ")
    value = first.value if isinstance(first, nodes.Const) else None
    only = second.value if isinstance(second, nodes.Const) else ""
    return Emission(
        kind=EMITTERS[function],
        name=value if isinstance(value, str) else None,
        template=template,
        line=call.lineno,
        only=_ONLY.get(str(only), "") if function == "emit_tep" else "",
    )
