"""Makes applications with the plugin that is tested, for the fixtures and for the suite."""

from __future__ import annotations

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
        demanded_by: the option that demands the levels that tests run at, empty if none does.

    """

    def __init__(self, plan: Plan, demanded_by: str = "") -> None:
        self._plan = plan
        self._demanded_by = demanded_by
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
        if self._demanded_by:
            pytest.fail(f"{text} ({self._demanded_by} demands it)", pytrace=False)
        pytest.skip(text)
