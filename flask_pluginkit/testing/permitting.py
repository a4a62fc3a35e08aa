"""What a plugin can't do isolated: for want of a permission, or at all."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Final

from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.permissions import DUNDER, canonical, permissions_of, words
from flask_pluginkit.snapshot import Plugin, Status
from flask_pluginkit.text import UnusableText

_LINE: Final = re.compile(rf"{DUNDER} = (\[[^\]]*\])")
"""How each refusal says what to ask for."""

_SCRIPTS: Final = (".js", ".mjs")


def lacking(row: Plugin, further: Iterable[str] = ()) -> list[str]:
    """Return why a plugin doesn't work isolated, and the line that lets it, as far as one does.

    Args:
        row: the plugin, isolated.
        further: what failed when it was used.

    """
    failed = [f"it is {row.status.value}: {row.reason}"] if row.status is not Status.ACTIVE else []
    failed += [f"{one.kind} {one.name}: {one.reason}" for one in row.conflicts if _asks(one.reason)]
    failed += list(further)
    texts = [*failed, row.last_fault]
    if not failed:
        texts = []
    missing = {one for text in texts for one in _asked(text)}
    if scripts := _scripts(row):
        failed.append(f"static/{scripts}: scripts aren't served without a permission")
        missing.add("assets:script")
    if not failed:
        return []
    return [*failed, advice(row, missing)]


def advice(row: Plugin, missing: Iterable[str]) -> str:
    """Return what to write into the plugin, or into the configuration, to mend that."""
    asked = set(row.manifest.permissions)
    new = sorted(set(missing) - asked)
    if not new:
        return (
            "if it can't be helped, say so in pytest's configuration: "
            "pluginkit_isolation = trusted: <why it runs nowhere else>"
        )
    told = "; ".join(f"{one} ({words(one)})" for one in new)
    listed = ", ".join(f'"{one}"' for one in permissions_of({*asked, *new}).texts)
    return f"it lacks permissions: {told}. In __init__.py write: {DUNDER} = [{listed}]"


def impossible(row: Plugin) -> list[str]:
    """Return what the plugin has and can't do isolated, whatever it asks for."""
    return [f"{one.kind} {one.name}" for one in row.conflicts if not _asks(one.reason)]


def _asks(text: str) -> bool:
    return _LINE.search(text) is not None


def _asked(text: str) -> Iterator[str]:
    """Yield the permissions that a refusal names."""
    for found in _LINE.findall(text):
        try:
            named = ast.literal_eval(found)
            yield from (canonical(one) for one in named)
        except (SyntaxError, ValueError, UnusableText, PluginError):
            continue


def _scripts(row: Plugin) -> str:
    """Return a script among the static files that isn't served, empty if there is none."""
    if "assets:script" in row.manifest.permissions:
        return ""
    folder = row.candidate.folder / "static"
    found = sorted(path for path in folder.rglob("*") if path.suffix in _SCRIPTS)
    return found[0].relative_to(folder).as_posix() if found else ""
