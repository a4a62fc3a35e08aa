"""Everything that confines a process, applied in the one order that works.

What needs /proc or the host's user comes first; the user changes before the namespaces, as
those belong to it; what the kernel undoes at a change of user comes after both; Landlock
forbids mounting and the filter forbids all the rest, so they are last.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flask_pluginkit.exceptions import Problem, SandboxUnavailable

from . import identity, landlock, limits, namespaces, places, seccomp, system
from .canaries import require_reachable
from .kernel import OTHERWISE, WHERE, Kernel, detect, require
from .policy import Layer, Policy, Report

_STANDARD: Final = frozenset({0, 1, 2})


def confine(policy: Policy, *, kernel: Kernel | None = None) -> Report:
    """Confine this process for good, and tell to what.

    To be called in a fork of an interpreter that was started with `limits.environment`, before
    it starts threads and before it imports anything of a plugin; `verify` is to follow. Tests
    hand in a `kernel` that offers less than the machine's.

    Raises SandboxUnavailable with what is missing. The process may be confined in part then
    and must end.
    """
    offered = kernel if kernel is not None else detect()
    architecture = require(offered)
    layers: list[Layer] = []
    with _layer(Layer.ENVIRONMENT, layers):
        _require_single_thread()
        limits.clean_environment(policy.data)
    with _layer(Layer.DESCRIPTORS, layers):
        _close_all_but(policy.descriptors | _STANDARD)
    notes = [*limits.defer_to_host()]
    if policy.identity is not None:
        with _layer(Layer.IDENTITY, layers):
            identity.assume(policy.identity)
    require_reachable(policy.canaries)
    entered = _namespaces(policy, layers)
    _give_up(policy, layers)
    with _layer(Layer.LANDLOCK, layers):
        landlock.restrict(_rules(policy), offered.landlock)
    with _layer(Layer.SECCOMP, layers):
        seccomp.install(architecture, os.getpid())
    return Report(
        policy=policy,
        layers=tuple(layers),
        landlock_abi=offered.landlock,
        uid=os.getuid(),
        gid=os.getgid(),
        namespaces=entered,
        notes=(*notes, *_shared_user(policy)),
    )


def prepare() -> Kernel:
    """Do what is the same for each confinement, and return what the kernel offers.

    For what forks workers, before it does, so that no fork has to do it again. Raises
    SandboxUnavailable if nothing can be confined here.
    """
    offered = detect()
    seccomp.without_arguments(require(offered))
    places.interpreter()
    places.machine()
    return offered


def reachable(policy: Policy) -> tuple[str, ...]:
    """Return every path that a policy lets a process read or write."""
    own = (policy.data,) if policy.data is not None else ()
    return (*_readable(policy), *own)


def namespaces_permitted(policy: Policy) -> bool:
    """Tell whether a process with this policy could have namespaces of its own here.

    Tried in a process of its own, so to be asked once, by a process with a single thread.
    """
    return namespaces.permitted(reachable(policy), policy.canaries.folder, policy.identity)


def _namespaces(policy: Policy, layers: list[Layer]) -> tuple[str, ...]:
    os.chdir("/")
    if not policy.namespaces:
        return ()
    with _layer(Layer.NAMESPACES, layers):
        return namespaces.enter(reachable(policy), policy.canaries.folder)


def _give_up(policy: Policy, layers: list[Layer]) -> None:
    """Everything between the last change of user and the last door."""
    with _layer(Layer.CAPABILITIES, layers):
        identity.renounce()
    layers.append(Layer.NO_NEW_PRIVILEGES)
    with _layer(Layer.PARENT, layers):
        identity.end_with(policy.parent)
    with _layer(Layer.LIMITS, layers):
        limits.apply(policy.limits, own_user=policy.identity is not None)


def _rules(policy: Policy) -> tuple[landlock.Rule, ...]:
    own = () if policy.data is None else (policy.data,)
    return landlock.rules(_readable(policy), own)


def _readable(policy: Policy) -> tuple[str, ...]:
    named = (policy.code, *policy.readable)
    return tuple(dict.fromkeys((*places.interpreter(), *places.machine(), *named)))


def _require_single_thread() -> None:
    if (count := system.threads()) != 1:
        raise SandboxUnavailable(
            Problem(
                where=WHERE,
                what="threads",
                found=f"{count} of them run already",
                expected="one, as Landlock confines the calling thread only",
                advice="confine before anything starts a thread",
            )
        )


def _close_all_but(kept: frozenset[int]) -> None:
    """Close every other descriptor. Raises OSError for one that would be a way to a file."""
    for descriptor in sorted(int(name) for name in os.listdir("/proc/self/fd")):  # noqa: PTH208
        if descriptor not in kept:
            os.closerange(descriptor, descriptor + 1)
            continue
        found = os.fstat(descriptor)
        if stat.S_ISSOCK(found.st_mode) or stat.S_ISFIFO(found.st_mode):
            continue
        if not (stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(1, 3)):
            raise PermissionError(
                f"the descriptor {descriptor} is neither a socket nor a pipe nor /dev/null"
            )


def _shared_user(policy: Policy) -> Iterator[str]:
    if policy.identity is None:
        yield f"it shares the user {os.getuid()} with the application"
        if groups := os.getgroups():
            yield f"it keeps the application's groups {', '.join(map(str, groups))}"


@contextmanager
def _layer(layer: Layer, layers: list[Layer]) -> Iterator[None]:
    """Record a layer when it stands; raise SandboxUnavailable with its name if it doesn't."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise SandboxUnavailable(
            Problem(
                where=WHERE,
                what=layer.value,
                found=str(error),
                expected="a kernel and a user that can do this",
                advice=f"look for a container's or security module's own rules, {OTHERWISE}",
            )
        ) from error
    layers.append(layer)
