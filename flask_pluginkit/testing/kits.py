"""Makes applications with the plugin that is tested, for the fixtures and for the suite."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Any

import pytest

from .choosing import Chosen
from .levels import obstacle
from .sites import Plan, Running, beside, running


class Kit:
    """Makes applications with the plugin that is tested.

    Args:
        plan: of an application; each that is made gets a folder beside that one's.
        demanded: the levels that the machine has to have, as the author said.

    """

    def __init__(self, plan: Plan, demanded: Collection[str] = ()) -> None:
        self._plan = plan
        self._demanded = demanded
        self._made = 0

    @property
    def chosen(self) -> Chosen:
        """The plugin that is tested."""
        return self._plan.chosen

    def running(self, level: str = "trusted", **changes: Any) -> AbstractContextManager[Running]:
        """Make an application in a folder of its own; its processes are gone after the block.

        Args:
            level: where the plugin is to run.
            changes: of the `sites.Plan`, such as ``is_enabled=False``.

        """
        self.require(level)
        self._made += 1
        return running(beside(self._plan, str(self._made), level=level, **changes))

    def require(self, level: str) -> None:
        """Skip the test where the machine lacks a level, or fail if that level was demanded."""
        if not (reason := obstacle(level)):
            return
        text = f"NOTHING RAN AT THE LEVEL {level!r}: {reason}"
        if level in self._demanded:
            pytest.fail(f"{text} (pluginkit_isolation demands it)", pytrace=False)
        pytest.skip(text)
