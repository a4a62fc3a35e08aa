"""How far a plugin is trusted, and who says so.

The operator decides, plugin by plugin: at the command line (stored with the wanted state), in
the configuration (``PLUGINKIT_ISOLATION``) or in the host's code (``isolation=``), in this
order. A plugin has no say in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.frozen import NO_ENTRIES, Frozen
from flask_pluginkit.text import describe, nearest

EVERY: Final = "*"
"""Stands for every plugin that isn't named."""


class Isolation(StrEnum):
    """Where a plugin runs, and what keeps it from doing harm there."""

    TRUSTED = "trusted"
    """In the application's own processes, behind a fault barrier: no security."""
    PROCESS = "process"
    """In a process of its own: the site survives its crashes, hangs and leaks. No security."""
    ISOLATED = "isolated"
    """In a process of its own, in a sandbox that was verified before its code was loaded."""


class Levels(Frozen):
    """What the host's code and its configuration say."""

    configured: Mapping[str, Isolation] = NO_ENTRIES
    given: Mapping[str, Isolation] = NO_ENTRIES

    def of(
        self, plugin: str, stored: Mapping[str, str] = NO_ENTRIES, *, folder: str = ""
    ) -> Isolation:
        """Return the level of one plugin; `stored` is what was said at the command line.

        A name counts before ``"*"``, wherever it stands: who names a plugin means it. The name
        of its `folder` counts as well, and the stricter of both: a new version may call itself
        something else, and would come under ``"*"`` by that.
        """
        named = [self._said(key, stored) for key in dict.fromkeys((plugin, folder))]
        known = [level for level in named if level is not None]
        if known:
            return max(known, key=list(Isolation).index)
        return self._said(EVERY, stored) or Isolation.TRUSTED

    def _said(self, key: str, stored: Mapping[str, str]) -> Isolation | None:
        for levels in (stored, self.configured, self.given):
            if key in levels:
                return Isolation(levels[key])
        return None

    @property
    def is_used(self) -> bool:
        """Whether anything but trusted is asked for."""
        return any(
            level is not Isolation.TRUSTED
            for levels in (self.configured, self.given)
            for level in levels.values()
        )


def read_levels(value: object, where: str) -> Mapping[str, Isolation]:
    """Return what an option or a configuration value says.

    Args:
        value: None, a mapping such as ``{"hello": "isolated", "*": "trusted"}``, or the level
            of every plugin.
        where: what it is, for errors.

    Raises:
        PluginError: it is none of these.

    """
    if value is None:
        return {}
    if isinstance(value, str):
        value = {EVERY: value}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise PluginError(
            f"Invalid {where}: found {describe(value)}, expected a level, or levels by plugin "
            "such as {'hello': 'isolated', '*': 'trusted'}"
        )
    return {name: read_level(level, f"{where}[{name!r}]") for name, level in value.items()}


def read_level(value: object, where: str) -> Isolation:
    """Return one level, or raise PluginError with the ones that there are."""
    try:
        return Isolation(value)  # type: ignore[arg-type]
    except ValueError:
        known = [level.value for level in Isolation]
        guess = nearest(value, known) if isinstance(value, str) else None
        hint = f"; did you mean {guess!r}?" if guess else ""
        raise PluginError(
            f"Invalid {where}: found {describe(value)}, expected one of {', '.join(known)}{hint}"
        ) from None
