"""``p3``: plugins whose functions rework what other plugins register.

What comes of it is a *variant* of the other plugin, kept by who made it: the functions are
plugins' code, and run once. So is a fault kept: who fails at a plugin is out while that one is
there, and isn't asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .kinds import recheck
from .loading_errors import in_register, other_type
from .loadings import Fault, Loading, Variant, fault_of
from .snapshot import Status

Functions = Mapping[str, Callable[[Any], Any]]
"""What one plugin's ``p3`` has for another one: a function by kind."""


class Preprocessing:
    """Lets plugins rework others, and tells of those that fail at it."""

    def __init__(
        self,
        stop: Callable[[Loading, Fault], None],
        refuse_dependants: Callable[[], None],
    ) -> None:
        self.stop = stop
        self.refuse_dependants = refuse_dependants

    def run(self, loadings: Iterable[Loading]) -> None:
        """Let each plugin's ``p3`` functions rework what others registered.

        An author that fails at it is no author: then all is looked at once more.
        """
        loadings = tuple(loadings)
        is_settled = False
        while not is_settled:
            is_settled = all(self._vary(*pair) for pair in _authors(loadings))
            self.refuse_dependants()

    def _vary(self, target: Loading, authors: Mapping[str, Loading]) -> bool:
        """Give `target` the variant that `authors` make of it; False if one of them fails."""
        names = tuple(authors)
        for place, author in enumerate(authors.values()):
            if (fault := author.fault_at(target, names[:place])) is not None:
                self.stop(author, fault)
                return False
        for place, author in enumerate(authors.values()):
            if names[: place + 1] not in target.variants and not self._rework(
                author, target, names[:place]
            ):
                return False
        target.variant = names
        return True

    def _rework(self, author: Loading, target: Loading, before: Variant) -> bool:
        """Let `author` make one more variant out of the one `before`; False if it fails."""
        shapes = target.variants[before]
        functions: Functions = author.variants[()]["p3"][target.name]
        for kind, function in functions.items():
            try:
                shapes = {**shapes, kind: _reworked(author, target, kind, shapes[kind], function)}
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - plugins raise anything, SystemExit too
                fault = fault_of(Status.FAILED, in_register(author, error))
                author.note_fault_at(target, before, fault)
                self.stop(author, fault)
                return False
        target.variants[(*before, author.name)] = shapes
        return True


def _authors(loadings: Iterable[Loading]) -> list[tuple[Loading, dict[str, Loading]]]:
    """Return each active plugin that others rework, with those that do."""
    active = {loading.name: loading for loading in loadings if loading.is_active}
    authors: dict[str, dict[str, Loading]] = {}
    for author in active.values():
        author.variant = ()
        for target in author.variants[()]["p3"]:
            if target in active:
                authors.setdefault(target, {})[author.name] = author
    return [(active[target], found) for target, found in authors.items()]


def _reworked(
    author: Loading, target: Loading, kind: str, before: Any, function: Callable[[Any], Any]
) -> Any:
    """Return what one function makes of a copy."""
    assert author.resident is not None
    with author.resident.running():
        after = function(_copy(kind, before))
    if type(after) is not type(before):
        raise other_type(author, target, kind, after)
    return recheck(author.name, target.candidate.folder, kind, after)


def _copy(kind: str, shape: Any) -> Any:
    """Copy a normal form down to where plugins' own values begin."""
    match kind:
        case "tep":
            return {slot: dict(part) for slot, part in shape.items()}
        case "vep":
            return [(*row[:3], dict(row[3]), row[4]) for row in shape]
        case "cvep":
            return [(row[0], dict(row[1])) for row in shape]
    return shape.copy()
