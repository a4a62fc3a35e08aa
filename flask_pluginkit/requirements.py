"""Which plugin needs which: the order of loading, and who can't be loaded.

The order is topological, then by name; it never depends on the order in which folders are
listed. A cycle is shown as a path.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

from .exceptions import Problem
from .frozen import Frozen
from .manifest import Manifest, Requirement
from .snapshot import Status


class Refusal(Frozen, kw_only=False):
    """Why a plugin can't be active because of those that it requires."""

    status: Status
    problem: Problem


def order(manifests: Mapping[str, Manifest]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the names in plugin order, and for each name in a cycle the cycle's path.

    Requirements that aren't among `manifests` don't count here; members of cycles, and those
    that require them, come last.
    """
    needed: dict[str, set[str]] = {
        name: {other.plugin for other in manifest.requires if other.plugin in manifests}
        for name, manifest in manifests.items()
    }
    needed_by: dict[str, list[str]] = {name: [] for name in needed}
    for name, others in needed.items():
        for other in others:
            needed_by[other].append(name)
    waiting = {name: len(others) for name, others in needed.items()}
    ready = [name for name, count in waiting.items() if not count]
    heapq.heapify(ready)
    done: list[str] = []
    while ready:
        name = heapq.heappop(ready)
        done.append(name)
        for dependant in needed_by[name]:
            waiting[dependant] -= 1
            if not waiting[dependant]:
                heapq.heappush(ready, dependant)
    rest = sorted(needed.keys() - set(done))
    cycles = {name: path for name in rest if (path := _cycle(name, needed))}
    return done + rest, cycles


def _cycle(start: str, needed: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the shortest path from `start` back to itself, empty if there is none."""
    paths = [[start]]
    seen = {start}
    while paths:
        following = []
        for path in paths:
            for name in sorted(needed[path[-1]]):
                if name == start:
                    return [*path, start]
                if name not in seen:
                    seen.add(name)
                    following.append([*path, name])
        paths = following
    return []


def refusal(
    manifest: Manifest,
    versions: Mapping[str, str],
    not_active: Mapping[str, tuple[Status, str]],
) -> Refusal | None:
    """Return why `manifest`'s plugin can't be active, None if all that it requires is there.

    Args:
        manifest: of the plugin.
        versions: the version of every plugin that was found, by name.
        not_active: status and reason of those that aren't going to be active.

    """
    for required in manifest.requires:
        found = _found(required, versions, not_active)
        if found is None:
            continue
        status, text, advice = found
        problem = Problem(
            where=f"{manifest.package}/__init__.py",
            what=f"__requires__[{required.plugin!r}]",
            found=text,
            expected=f"an active plugin {required.plugin!r} {required.versions}",
            advice=advice,
        )
        return Refusal(status, problem)
    return None


def _found(
    required: Requirement,
    versions: Mapping[str, str],
    not_active: Mapping[str, tuple[Status, str]],
) -> tuple[Status, str, str] | None:
    name = required.plugin
    if name not in versions:
        return Status.INCOMPATIBLE, "no such plugin", f"install {name!r}"
    if name in not_active:
        status, reason = not_active[name]
        if status is Status.DISABLED:
            return Status.INCOMPATIBLE, f"{name!r} is disabled", f"enable {name!r}"
        return Status.FAILED, f"{name!r} is {status}: {reason}", f"mend {name!r} first"
    # a version that only importing the plugin can tell is looked at once that is done
    if versions[name] and versions[name] not in required.versions:
        return (
            Status.INCOMPATIBLE,
            f"version {versions[name]}",
            f"install a version of {name!r} that fits",
        )
    return None


def cycle_refusal(manifest: Manifest, path: list[str]) -> Refusal:
    """Return the refusal of a plugin that requires itself by way of others."""
    problem = Problem(
        where=f"{manifest.package}/__init__.py",
        what="__requires__",
        found="a cycle: " + " -> ".join(path),
        expected="requirements without a cycle",
        advice="remove one of them",
    )
    return Refusal(Status.FAILED, problem)
