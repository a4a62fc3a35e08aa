"""The conformance suite as pytest sees it: ``tests/test_hello.py::conformance::manifest``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


class SuiteCollector(pytest.Class):
    """Collects the tests of the suite, which are called by what they are about."""

    @classmethod
    def of(cls, parent: pytest.Collector, name: str) -> SuiteCollector:
        """Return the suite as a part of a test module."""
        from .conformance import Conformance

        made: SuiteCollector = cls.from_parent(parent, name=name)
        made.obj = Conformance
        return made

    def funcnamefilter(self, name: str) -> bool:
        """Take every public method of the suite as a test."""
        return not name.startswith("_")

    def classnamefilter(self, _name: str) -> bool:
        """Take no class."""
        return False

    def collect(self) -> Iterable[Any]:
        """Return the tests in the order in which they are written, at the place of the import."""
        for item in super().collect():
            if isinstance(item, pytest.Function):
                path, _line, name = item.reportinfo()
                place = (self.parent.path, 0, name) if self.parent else (path, 0, name)
                vars(item)["reportinfo"] = lambda place=place: place
            yield item
