"""A plugin that isn't found: what looks like it, there and elsewhere."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from flask_pluginkit.finding import INIT, NAMESPACE
from flask_pluginkit.names import parse_name
from flask_pluginkit.source import names_a_plugin
from flask_pluginkit.text import UnusableText, clean, nearest

from .overlooked import PASSED_OVER, Seen
from .places import ELSEWHERE, REFUSED, Place, Search

DEEPEST: Final = 5
"""Levels of folders in which a plugin is looked for that lies where nobody looks."""

MOST_FOLDERS: Final = 3000

_SKIPPED: Final = frozenset({"node_modules", "site-packages", "dist-packages", "lib", "lib64"})


class Hint(NamedTuple):
    """Something that may be what was meant, and what to do then."""

    text: str
    advice: str


def hints(name: str, places: Iterable[Place]) -> Iterator[Hint]:
    """Yield what a name that no plugin has may stand for, the likeliest first."""
    yield from _name_itself(name)
    known = [(place, seen) for place in places for seen in place.seen]
    plugins = {seen.plugin for _place, seen in known if seen.plugin}
    alike = next((plugin for plugin in plugins if _alike(plugin, name)), None)
    guess = alike or nearest(name, plugins)
    for place, seen in known:
        label = re.split(r"-[0-9]", seen.label.removesuffix(".py"))[0]  # hello-1.0.zip
        if not _alike(label.rpartition(".")[2], name):
            continue
        if seen.verdict == ELSEWHERE or (alike and seen.plugin == alike):
            continue
        yield _seen_as(place, seen)
        guess = None if seen.plugin == guess else guess
    if guess is not None:
        text = f"there is a plugin {clean(guess, 100)!r}"
        yield Hint(text, f"if you mean that one: flask plugins doctor {clean(guess, 100)}")
    yield from _distributions(name, known_names={_plain(plugin) for plugin in plugins})


def _name_itself(name: str) -> Iterator[Hint]:
    try:
        parse_name(name)
    except UnusableText as error:
        yield Hint(f"no plugin can be called so: {clean(error, 500)}", "give the plugin's name")


def _seen_as(place: Place, seen: Seen) -> Hint:
    where = f"in {place.path}" if place.path else f"among {place.title}"
    if seen.verdict in {PASSED_OVER, REFUSED}:
        text = f"{seen.label}, {where}, is {seen.verdict}: {seen.remark}"
        return Hint(text, seen.advice or "mend that")
    return Hint(
        f"{seen.label}, {where}, is a plugin with another name: {clean(seen.plugin, 100)!r}",
        f"use that name, or change its __plugin_name__ in {INIT}",
    )


def _distributions(name: str, known_names: set[str]) -> Iterator[Hint]:
    """Yield distributions with that name that bring no plugin."""
    wanted = _plain(name)
    seen = set()
    for distribution in metadata.distributions():
        found = clean(distribution.metadata["Name"] or "", 100)
        endings = {_plain(found[start:]) for start in [0, *_starts_of_words(found)]}
        if not wanted or wanted not in endings or found in seen or wanted in known_names:
            continue
        seen.add(found)
        files = distribution.files or ()
        if not any(file.parts[:1] == (NAMESPACE,) for file in files):
            yield Hint(
                f"the distribution {found} is installed, and brings nothing in {NAMESPACE}",
                "if its package is a plugin, name it: PluginManager(app, plugin_packages=["
                f"{clean(name, 100)!r}]), or give it an entry point",
            )


def _starts_of_words(name: str) -> list[int]:
    return [match.end() for match in re.finditer(r"[-_.]", name)]


def lies_elsewhere(name: str, search: Search, folders: Iterable[Path]) -> Iterator[Hint]:
    """Yield folders among `folders` that are plugins of that name."""
    for folder in folders:
        init = folder / INIT
        if _alike(folder.name, name) and init.is_file() and names_a_plugin(init):
            yield Hint(
                f"a plugin lies in {clean(folder)}, where nobody looks",
                f"move it to {clean(search.root)}, or say where it is: " + _option_for(folder),
            )


def _option_for(folder: Path) -> str:
    if folder.parent.name == NAMESPACE:
        return f"PluginManager(app, plugin_paths=[{clean(folder.parent.parent)!r}])"
    return f"PluginManager(app, plugins_folder={clean(folder.parent)!r})"


def folders_near(search: Search, places: Iterable[Place]) -> list[Path]:
    """Return the folders around the application and here that aren't searched for plugins."""
    searched = {place.path for place in places if place.path}
    found: dict[Path, None] = {}
    for top in dict.fromkeys((search.base.resolve(), Path.cwd())):
        walk = os.walk(top)
        for place, names, _files in islice(walk, MOST_FOLDERS):
            deep = len(Path(place).relative_to(top).parts)
            names[:] = sorted(name for name in names if deep < DEEPEST and not _is_skipped(name))
            if place not in searched:
                found.update(dict.fromkeys(Path(place) / name for name in names))
    return list(found)


def _is_skipped(name: str) -> bool:
    return name.startswith((".", "__")) or name in _SKIPPED


def how_to_bring_it(name: str, search: Search) -> list[str]:
    """Return the ways in which a plugin comes to an application."""
    shown = clean(name, 100)
    return [
        f"put its folder into {clean(search.root)}",
        f"or install what brings it, into this Python: {sys.executable} -m pip install ...",
        f"or name its package: PluginManager(app, plugin_packages=[{shown!r}])",
        f"or give the folder that holds {NAMESPACE}: PluginManager(app, plugin_paths=[...])",
    ]


def _alike(one: str, other: str) -> bool:
    plain = _plain(one)
    return bool(plain) and plain == _plain(other)


def _plain(name: str) -> str:
    """Return a name without what people mix up: case, and the characters between words."""
    return re.sub(r"[-_. ]", "", name).casefold()
