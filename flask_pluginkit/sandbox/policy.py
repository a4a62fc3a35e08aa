"""What a process is to be confined to, and what came of it: values that can be sent around."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import StrEnum

from flask_pluginkit.exceptions import Problem, SandboxUnavailable

from .canaries import Canaries
from .identity import Identity
from .kernel import WHERE
from .limits import Limits
from .places import below


class Layer(StrEnum):
    """One of the layers that confine, as reports and status pages name it."""

    ENVIRONMENT = "clean environment"
    DESCRIPTORS = "no descriptors left open"
    IDENTITY = "own user"
    NAMESPACES = "namespaces"
    CAPABILITIES = "no capabilities"
    PARENT = "ends with its parent"
    NO_NEW_PRIVILEGES = "no_new_privs"
    LIMITS = "rlimits"
    LANDLOCK = "Landlock"
    SECCOMP = "seccomp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How to confine the process of one plugin. Raises SandboxUnavailable if it can't be meant."""

    plugin: str
    """Its name, for messages."""
    code: str
    """Its folder, read-only; absolute."""
    parent: int
    """The process id of what forks the worker; when that ends, the worker does."""
    canaries: Canaries
    """What the probes try to reach."""
    data: str | None = None
    """Its own folder, read and write, if that was granted; absolute, neither in nor around
    `code`: a plugin that could change its own code would do so for the day it runs trusted."""
    readable: tuple[str, ...] = ()
    """What else it may read, such as its own dependencies; absolute."""
    identity: Identity | None = None
    """The user to become; None stays the one that runs the application."""
    descriptors: frozenset[int] = frozenset()
    """The descriptors to keep open beside 0, 1 and 2: sockets and pipes only."""
    limits: Limits = field(default_factory=Limits)
    namespaces: bool = False
    """Whether to enter namespaces of its own; `namespaces.permitted` tells if that will do."""

    def __post_init__(self) -> None:
        paths = (self.code, *(() if self.data is None else (self.data,)), *self.readable)
        problems = [
            _problem("policy", f"{path!r}", "an absolute path other than /, such as /srv/hello")
            for path in paths
            if not os.path.isabs(path) or os.path.realpath(path) == "/"  # noqa: PTH117
        ]
        if not problems:
            problems = [*self._overlaps()]
        if problems:
            raise SandboxUnavailable(problems)

    def _overlaps(self) -> list[Problem]:
        code, canary = os.path.realpath(self.code), os.path.realpath(self.canaries.folder)
        problems = []
        if self.data is not None:
            data = os.path.realpath(self.data)
            if below(data, code) or below(code, data):
                found = f"{self.data!r} for data, {self.code!r} for code"
                problems.append(_problem("policy", found, "two folders, none inside the other"))
        for path in (self.code, self.data, *self.readable):
            if path is not None and below(canary, os.path.realpath(path)):
                found = f"the canaries' folder {self.canaries.folder!r} in {path!r}"
                problems.append(_problem("policy", found, "canaries outside of what is allowed"))
        return problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What confines this process, so far only as the kernel said; `verify` tries it."""

    policy: Policy
    layers: tuple[Layer, ...]
    """In the order in which they were applied."""
    landlock_abi: int
    uid: int
    gid: int
    namespaces: tuple[str, ...]
    """Which it entered: user, mount, net, ipc, or none."""
    notes: tuple[str, ...]
    """What couldn't be had and isn't needed, one sentence each."""


def _problem(what: str, found: str, expected: str) -> Problem:
    return Problem(where=WHERE, what=what, found=found, expected=expected)
