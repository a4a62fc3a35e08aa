"""Several applications in one process: they don't disturb each other, and each begins anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Final

from flask_pluginkit.loading import forget, load, module_name

from . import exercising
from .exercising import paths, told
from .fingerprints import difference, of_application, of_process
from .forks import ForkError, can_fork, in_fork
from .sites import Running, inactive

Make = Callable[..., AbstractContextManager[Running]]
"""Makes an application with the plugin (`plugin.Kit.running`)."""

A_TICK: Final = 1.1
"""Seconds in which what shows the time of day shows another one."""

FRONT: Final = "GET /"

SHOWN: Final = 80
"""Characters of a page that has changed."""

Seen = dict[str, str]
"""What each page of a plugin shows, and what its parts of the host's pages do."""


def look(running: Running) -> Seen:
    """Return what an application shows; what fails is shown as the fault that it is."""
    found: Seen = {}
    for path in ["/", *(path for path, _endpoint in paths(running))]:
        try:
            response = running.client().get(path)
            found[f"GET {path}"] = f"{response.status}\n{response.get_data(as_text=True)}"
        except Exception as error:  # noqa: BLE001 - it is shown
            found[f"GET {path}"] = told(error, running.plan.chosen.folder)
    return found


def unserved(running: Running) -> Iterator[str]:
    """Ask for every static file by the address that ``emit_assets`` gives."""
    folder = running.plan.chosen.folder / "static"
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        name = path.relative_to(folder).as_posix()
        with running.app.test_request_context("/"):
            try:
                address = str(running.manager.emit_assets(running.name, name, _raw=True))
            except Exception as error:  # noqa: BLE001 - it is what is looked for
                yield f"static/{name}: {told(error, folder.parent)}"
                continue
        response = running.client().get(address.replace("&amp;", "&"))
        if response.status_code != 200:
            yield f"static/{name}: GET {address} answered {response.status}"
        response.close()


def left_behind(make: Make) -> list[str]:
    """Return what is there after a plugin was disabled, and wasn't before it was enabled."""
    if not can_fork():
        return _left_behind(make, is_new=False)
    try:
        return in_fork(partial(_left_behind, make))
    except ForkError as error:
        return [str(error).strip().splitlines()[-1]]


def _left_behind(make: Make, *, is_new: bool = True) -> list[str]:
    with make(is_enabled=False) as running:
        if is_new:
            _forget(running)
        with suppress(Exception):  # that it can't be imported is told by other tests
            load(running.plan.chosen.candidate)
        process = of_process()
        before = of_application(running.app)
        for _ in range(2):
            running.enable()
            for look_at in exercising.EVERYTHING:
                list(look_at(running))  # what fails is told by other tests
            running.disable()
            found = difference(before, of_application(running.app))
            if found := found + difference(process, of_process()):
                return found
    return []


def disturbances(make: Make) -> list[str]:
    """Return what changes in an application while a second one has the plugin, too."""
    with make() as first:
        before = look(first)
        with make(is_strict=False) as second:
            if found := inactive(second):
                return [f"in the second application {line}" for line in found]
            gone = before.keys() - look(second).keys()
            meanwhile = [(look(first), "shows something else while a second application runs")]
            second.disable()
            meanwhile.append((look(first), "changed when the second application disabled it"))
            left = [page for page in look(second) if page != FRONT]
        meanwhile.append((look(first), "changed when the second application ended"))
    if any(before != now for now, _when in meanwhile):
        before = _steady(make, before)
    return [
        *(f"{page} isn't in the second application" for page in sorted(gone)),
        *(f"{page} is in the second application, though it is disabled there" for page in left),
        *(line for now, when in meanwhile for line in _changed(before, now, when)),
    ]


def _steady(make: Make, seen: Seen) -> Seen:
    """Return those pages that don't change by themselves, as what shows the time of day does."""
    with make() as alone:
        first = look(alone)
        time.sleep(A_TICK)
        return {page: seen[page] for page, text in look(alone).items() if first[page] == text}


def _changed(before: Seen, now: Seen, what: str) -> list[str]:
    return [
        f"{page} {what}: {_difference(text, now.get(page, 'nothing'))}"
        for page, text in before.items()
        if now.get(page) != text
    ]


def _difference(then: str, now: str) -> str:
    """Return two texts from shortly before where they part."""
    parting = next((n for n, (a, b) in enumerate(zip(then, now, strict=False)) if a != b), 0)
    start = max(0, parting - SHOWN // 2)
    shown = [" ".join(text[start : start + SHOWN].split()) for text in (then, now)]
    return f"{shown[0]!r} has become {shown[1]!r}"


def remembered(make: Make) -> list[str]:
    """Return what a second application shows otherwise than the first one, when both are new.

    Each is looked at in a copy of this process that has never had the plugin.
    """
    if not can_fork():
        first, second = _two(make, is_new=False)
        return _changed(first, second, "isn't as it was in the first application")
    try:
        first, second = in_fork(partial(_two, make))
        if first == second:
            return []
        # what differs though the plugin is new each time, such as a time of day, says nothing
        one, other = in_fork(partial(_two_new, make))
    except ForkError as error:
        return [f"an application can't be made anew: {str(error).strip().splitlines()[-1]}"]
    steady = {page: text for page, text in first.items() if other.get(page) == one.get(page)}
    return _changed(steady, second, "isn't as it was in the first application")


def _two(make: Make, *, is_new: bool = True) -> tuple[Seen, Seen]:
    first = _one(make, is_new=is_new)
    with make() as second:
        return first, look(second)


def _two_new(make: Make) -> tuple[Seen, Seen]:
    first = _one(make)
    time.sleep(A_TICK)
    return first, _one(make)


def _one(make: Make, *, is_new: bool = True) -> Seen:
    with make(is_enabled=False) as running:
        if is_new:
            _forget(running)
    with make() as running:
        seen = look(running)
        look(running)
        return seen


def _forget(running: Running) -> None:
    """Have the plugin imported anew; only in a process in which nobody else has it."""
    forget(module_name(running.plan.chosen.candidate))
