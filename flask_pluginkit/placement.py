"""Where the blueprints of plugins are to be, and who builds on which of them.

A plugin can put its blueprint below another one's, or a view of its own on it. What it registers
then depends on where that one is, which changes when its owner goes, or is reworked by others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any, Final

from flask import Flask

from .exceptions import PEPError
from .live.mounts import Mount, Mounts
from .loadings import Loading

_blueprint_of: Final = itemgetter(4)
"""Gives the blueprint that a row of ``vep`` is to be on."""


class Placement:
    """Where blueprints are, given who is active now."""

    def __init__(self, app: Flask, loadings: Iterable[Loading]) -> None:
        self.mounts = Mounts(app)
        self._own: dict[Loading, Mount] = {}
        active = [loading for loading in loadings if loading.is_active]
        self._needy = dict.fromkeys([one for one in active if needs_others(one.shapes)])
        if self._needy:
            self._place([loading for loading in active if loading.shapes["bep"]])

    def _place(self, waiting: list[Loading]) -> None:
        """Find a place for each blueprint, after its parent, whichever plugin that belongs to."""
        while waiting:
            rest = []
            for loading in waiting:
                mount = self.mounts.place(loading.shapes["bep"])
                if mount is None:
                    rest.append(loading)
                else:
                    self._own[loading] = mount
                    self.mounts.add(mount)
            if len(rest) == len(waiting):
                break
            waiting = rest

    def orphans(self, *, is_settled: bool) -> Iterator[tuple[Loading, PEPError]]:
        """Yield those that build on a blueprint which isn't there, with what to tell.

        It may be another plugin's that isn't active now, which is no fault of theirs. Views wait
        for those that the application may have, unless that `is_settled`.
        """
        for loading in self._needy:
            parent = loading.shapes["bep"].get("parent")
            if parent is not None and loading not in self._own:
                yield (
                    loading,
                    PEPError(f"{loading.name}: No parent blueprint found named {parent}"),
                )
                continue
            for row in loading.shapes["vep"] if is_settled else ():
                if row[4] and self.mounts.get(row[4]) is None:
                    yield loading, _no_blueprint(loading, row)
                    break

    def places(self, loading: Loading) -> tuple[Mount | None, ...]:
        """Return where the blueprints are that a plugin builds on."""
        if loading not in self._needy:
            return ()
        names = dict.fromkeys(row[4] for row in loading.shapes["vep"] if row[4])
        has_parent = loading.shapes["bep"].get("parent") is not None
        return (
            *([self._own[loading]] if has_parent else ()),
            *[self.mounts.get(name) for name in names],
        )

    def blueprints(self, loadings: Iterable[Loading]) -> list[tuple[Loading, Mount]]:
        """Return those of `loadings` that have a blueprint, and its place, parents first."""
        found = [(loading, self._mount_of(loading)) for loading in loadings]
        order = {loading: index for index, loading in enumerate(self._own)}
        pairs = [(loading, mount) for loading, mount in found if mount is not None]
        return sorted(pairs, key=lambda pair: order.get(pair[0], 0))

    def _mount_of(self, loading: Loading) -> Mount | None:
        bep = loading.shapes["bep"]
        if not bep:
            return None
        return self._own.get(loading) or self.mounts.place(bep)


def needs_others(shapes: Mapping[str, Any]) -> bool:
    """Tell whether what a plugin registered adds something to a blueprint that may be another's."""
    return bool(shapes["bep"].get("parent")) or any(map(_blueprint_of, shapes["vep"]))


def _no_blueprint(loading: Loading, row: tuple[Any, ...]) -> PEPError:
    return PEPError(
        f"{loading.name}: The required blueprint({row[4]}) was not found when "
        f"registering vep with {row[0]}"
    )
