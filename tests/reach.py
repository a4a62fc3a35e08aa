"""Which test modules depend on nothing that a version of Flask could change.

That is read from the imports: of a module, of the helpers beside it, and of the package's modules
that these import. So nobody has to keep a list, and a test that begins to use Flask runs with
every version of it from then on.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "flask_pluginkit"
TESTS = Path(__file__).parent
ROOT = TESTS.parent

WEB = frozenset({"flask", "flask_classful", "jinja2", "markupsafe", "werkzeug"})

# Programs that a test writes for other processes count, too.
_IN_A_TEXT = re.compile(
    rf"\b(?:from|import)\s+(?:{'|'.join(WEB)})\b|\"-m\",\s*\"flask\"|\bPluginManager\b"
)


@cache
def reaches_flask(path: Path) -> bool:
    """Whether a test module, or anything that it imports, imports Flask or what comes with it."""
    return _IN_A_TEXT.search(path.read_text(encoding="utf-8")) is not None or _reaches(path)


def _reaches(start: Path) -> bool:
    seen, waiting = {start}, [start]
    while waiting:
        for name in _imports(waiting.pop()):
            if name.partition(".")[0] in WEB:
                return True
            if (found := _file(name)) is not None and found not in seen:
                seen.add(found)
                waiting.append(found)
    return False


@cache
def _imports(path: Path) -> tuple[str, ...]:
    return tuple(_names(ast.parse(path.read_bytes()), path))


def _names(tree: ast.Module, path: Path) -> Iterator[str]:
    """What a file imports, as dotted names; ``from x import y`` may be the module x.y."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            folder = path.parents[node.level - 1].relative_to(ROOT).parts if node.level else ()
            source = ".".join([*folder, *filter(None, [node.module])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def _file(name: str) -> Path | None:
    """The file of a helper or of a module of the package; its ``__init__`` only hands on names."""
    if name == PACKAGE:
        return None
    if name.startswith(f"{PACKAGE}."):
        place = ROOT.joinpath(*name.split("."))
        candidates = [place.with_suffix(".py"), place / "__init__.py"]
    else:
        candidates = [TESTS / f"{name}.py"]
    return next((path for path in candidates if path.is_file()), None)
