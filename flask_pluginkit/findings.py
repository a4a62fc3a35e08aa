"""Collecting what is wrong with a value that a plugin gave, and reading its usual shapes.

Every reader notes what it can't use, with the path to it, and goes on: all problems of one
value are reported together.
"""

# ruff: noqa: PTH113, PTH118
# Thousands of names are looked for at a start: paths as strings are three times as fast.

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import TemplateNotFound
from jinja2.loaders import split_template_path

from .exceptions import MissingTemplateError, Problem, RegistrationError
from .text import as_text, clean, describe, nearest


class Findings:
    """Collects what is wrong with the value that one ``register()`` returned."""

    def __init__(self, plugin: str, folder: Path) -> None:
        self.where = f"{plugin}: register()"
        self.folder = folder
        self.problems: list[Problem] = []
        self.missing_templates = 0

    def add(self, what: str, found: object, expected: str) -> None:
        """Note that the value `found` at `what` (a path such as ``vep[1]['rule']``) is wrong."""
        self._note(what, describe(found), expected)

    def add_unknown(self, what: str, name: object, known: Iterable[str]) -> None:
        """Note that nothing is called `name`, and what may have been meant."""
        known = tuple(known)
        guess = nearest(clean(name), known)
        advice = f"did you mean {guess!r}?" if guess else ""
        self._note(what, f"the unknown name {describe(name)}", "one of " + ", ".join(known), advice)

    def add_missing_template(self, what: str, name: str) -> None:
        """Note that the plugin has no template file `name`."""
        self.missing_templates += 1
        folder = clean(str(self.folder / "templates"), 200)
        self._note(what, f"no template file {describe(name)}", f"a file below {folder}")

    def _note(self, what: str, found: str, expected: str, advice: str = "") -> None:
        self.problems.append(
            Problem(
                where=self.where, what=clean(what), found=found, expected=expected, advice=advice
            )
        )

    def has_template(self, name: str) -> bool:
        """Tell whether the plugin has a template file `name` inside its folder."""
        try:
            # as Jinja's loader reads names: nothing above the folder, separators only "/"
            segments = split_template_path(name)
            return os.path.isfile(os.path.join(self.folder, "templates", *segments))
        except (OSError, ValueError, TemplateNotFound):
            return False

    def finish(self) -> None:
        """Raise what was found.

        Raises:
            MissingTemplateError: template files that don't exist, and nothing else.
            RegistrationError: anything else.

        """
        if not self.problems:
            return
        if self.missing_templates == len(self.problems):
            raise MissingTemplateError(self.problems)
        raise RegistrationError(self.problems)

    # --- the usual shapes ------------------------------------------------------------

    def mapping(self, value: object, what: str) -> Iterator[tuple[str, Any]]:
        """Yield the items of a dict whose keys are non-empty text.

        The keys are plain strings, as those of subclasses may fail when they are compared.
        """
        if not isinstance(value, Mapping):
            self.add(what, value, "a dict")
            return
        for key, item in value.items():
            if name := as_text(key):
                yield name, item
            else:
                self.add(f"{what}: key", key, "a name, as non-empty text")

    def is_callable(self, value: object, what: str) -> bool:
        """Tell whether `value` can be called, and note it if not."""
        if callable(value):
            return True
        self.add(what, value, "a function or another callable")
        return False

    def dicts(self, value: object, what: str) -> Iterator[tuple[str, Mapping[Any, Any]]]:
        """Yield (path, dict) for a dict or a list of dicts."""
        if isinstance(value, Mapping):
            yield what, value
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                if isinstance(item, Mapping):
                    yield f"{what}[{index}]", item
                else:
                    self.add(f"{what}[{index}]", item, "a dict")
        else:
            self.add(what, value, "a dict or a list of dicts")

    def pairs(self, value: object, what: str) -> Iterator[tuple[str, Any, Any]]:
        """Yield (path, key, item) for a dict, or for a list of pairs."""
        if not isinstance(value, Mapping | list | tuple):
            self.add(what, value, "a dict or a list of pairs")
            return
        rows = value.items() if isinstance(value, Mapping) else value
        for index, pair in enumerate(rows):
            if isinstance(pair, list | tuple) and len(pair) == 2:
                yield f"{what}[{index}]", pair[0], pair[1]
            else:
                self.add(f"{what}[{index}]", pair, "a pair (key, value)")
