"""What is installed, read once for all tests.

Every application looks for entry points, and to read those of all distributions takes longer
than the rest of its start. Where a test has put distributions of its own on the path, everything
is read as ever.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import pytest

Read = Callable[..., metadata.EntryPoints]


@contextmanager
def read_once() -> Iterator[None]:
    """Until the block ends, ask each distribution of this interpreter for entry points once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadata, "entry_points", remembering(metadata.entry_points))
        yield


def remembering(read: Read) -> Read:
    """Return `read` with a memory for as long as only the interpreter's own folders count."""
    known: dict[object, metadata.EntryPoints] = {}

    def entry_points(**wanted: str) -> metadata.EntryPoints:
        path: list[object] = [*sys.path]  # tests put into it what is no text
        if any(has_distributions(entry) for entry in path if not is_of_interpreter(entry)):
            return read(**wanted)
        key = (*sorted(wanted.items()), *filter(is_of_interpreter, path))
        if key not in known:
            known[key] = read(**wanted)
        return known[key]

    return entry_points


def is_of_interpreter(entry: object) -> bool:
    """Whether a part of the path belongs to this interpreter: there, no test installs anything."""
    return isinstance(entry, str) and entry.startswith((sys.prefix, sys.base_prefix))


def has_distributions(entry: object) -> bool:
    """Whether a part of the path has some, or is something of which one can't say."""
    if not isinstance(entry, str):
        return True
    folder = Path(entry)
    if not folder.is_dir():
        return folder.exists()
    return any(each.suffix in {".dist-info", ".egg-info"} for each in folder.iterdir())
