"""What templates name, read from their syntax trees: functions that they call, other templates."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from jinja2 import nodes

_REFERENCES: Final = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)


def calls_of(tree: nodes.Template, names: Collection[str]) -> Iterator[tuple[str, nodes.Call]]:
    """Yield each call of a function that has one of these names, after that name."""
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name in names:
            yield call.node.name, call


def references_of(tree: nodes.Template) -> Iterator[tuple[str, int]]:
    """Yield the template names that stand in a tree, where none of several would do; and lines."""
    for reference in tree.find_all(_REFERENCES):
        if getattr(reference, "ignore_missing", False):
            continue
        found = getattr(reference, "template", None)
        if isinstance(found, nodes.Const) and isinstance(found.value, str):
            yield found.value, reference.lineno
