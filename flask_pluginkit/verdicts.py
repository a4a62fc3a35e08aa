"""What was decided on all plugins, and whom a change of the state concerns.

To decide on every plugin takes longer than all the rest of a switch. Most plugins have to do with
no other one: nobody requires them, reworks them or builds on them. Where only such are switched,
the verdicts on all others still hold, and a decision on everybody would come to the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from .frozen import names_of
from .isolation.levels import Isolation
from .loadings import Loading
from .placement import needs_others
from .state.base import State

_OF_ONE: Final = frozenset({"wanted", "quarantined"})
"""The fields of a state whose entries are about one plugin each."""

_OF_ALL: Final = tuple(sorted({*names_of(State)} - _OF_ONE - {"generation"}))
"""Those whose change may concern everybody."""

_TRUSTED: Final = Isolation.TRUSTED
_is_open: Final = attrgetter("is_open")


class Verdicts:
    """The verdicts on everybody under one state."""

    def __init__(self, loadings: Sequence[Loading], state: State) -> None:
        """Keep what was decided on `loadings` under `state`, and has been recorded."""
        for loading in loadings:
            loading.close()
        self._loadings = tuple(loadings)
        self._elsewhere = [loading for loading in loadings if loading.level is not _TRUSTED]
        self._named = {loading.name: loading for loading in loadings}
        self._bound = frozenset(_bound(loadings))
        self._state = state

    def concerned(self, state: State) -> list[Loading] | None:
        """Return the only ones that the change to `state` concerns.

        None if it may concern others, or if a verdict wouldn't be the same any more: then
        everybody is to be decided on.
        """
        before = self._state
        if any(getattr(before, field) != getattr(state, field) for field in _OF_ALL):
            return None
        if any(map(_is_open, self._loadings)):
            return None
        if any(loading.hosted and loading.hosted.remote.is_retired for loading in self._elsewhere):
            return None
        names = {*_changed(before.wanted, state.wanted)}
        names.update(_changed(before.quarantined, state.quarantined))
        found = [self._named[name] for name in names if name in self._named]
        are_alone = len(found) == len(names) and names.isdisjoint(self._bound)
        return found if are_alone and all(map(_is_recorded, found)) else None

    def hold(self, state: State, concerned: Sequence[Loading]) -> bool:
        """Keep what was decided on those that it `concerned`; False if some must be done more."""
        for loading in concerned:
            loading.close()
        self._state = state
        return not any(map(_is_open, concerned))


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of which the two say something else."""
    if before is not after:
        yield from before.keys() - after.keys()
        yield from [name for name, value in after.items() if before.get(name) != value]


def _is_recorded(loading: Loading) -> bool:
    """Tell whether a plugin is loaded, so that it can come and go without more being done."""
    return (
        loading.level is _TRUSTED
        and loading.is_registered
        and ((), ()) in loading.recorded
        and not loading.dropped
    )


def _bound(loadings: Sequence[Loading]) -> Iterator[str]:
    """Yield the names of those that have to do with others, whether these are active or not."""
    met: set[str] = set()
    builders = [loading.name for loading in loadings if _builds_on_others(loading)]
    yield from builders
    for loading in loadings:
        if loading.name in met:
            yield loading.name  # two claim it
        met.add(loading.name)
        if loading.manifest.requires:
            yield loading.name
            yield from [required.plugin for required in loading.manifest.requires]
        for shapes in loading.variants.values():
            if shapes["p3"]:
                yield loading.name
                yield from shapes["p3"]
            if builders and shapes["bep"]:
                yield loading.name


def _builds_on_others(loading: Loading) -> bool:
    """Tell whether a plugin, in any of its variants, adds to a blueprint that may be another's."""
    return any(map(needs_others, loading.variants.values()))
