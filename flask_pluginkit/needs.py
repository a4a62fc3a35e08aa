"""Who goes along with whom when plugins are switched: what they require, and who requires them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from .loadings import Loading
from .snapshot import Status

_THERE: Final = frozenset({Status.ACTIVE, Status.QUARANTINED})
"""Who goes along with what it requires; a plugin that is out is out already."""


def dependants(names: Iterable[str], rows: Mapping[str, Loading]) -> set[str]:
    """Return the plugins that can't go on without `names`, theirs included."""
    gone, others = set(names), set[str]()
    needy = [row for row in rows.values() if row.manifest.requires and row.status in _THERE]
    while True:
        more = {
            row.name
            for row in needy
            if row.name not in gone
            and any(required.plugin in gone for required in row.manifest.requires)
        }
        if not more:
            return others
        gone |= more
        others |= more


def required_by(names: Iterable[str], rows: Mapping[str, Loading]) -> set[str]:
    """Return the plugins that `names` need, and what those need."""
    waiting, found = list(names), set[str]()
    while waiting:
        row = rows.get(waiting.pop())
        for required in row.manifest.requires if row is not None else ():
            if required.plugin in rows and required.plugin not in found:
                found.add(required.plugin)
                waiting.append(required.plugin)
    return found
