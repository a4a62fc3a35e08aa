"""What processes say to the supervisor about isolated plugins, and what it answers.

There are two conversations:

- a plugin's worker and the supervisor, over a pair of sockets that the worker inherits:
  `Enclosed` and then `Ready`, or `Unfit`, once; then what the plugin asks of the host;
- a web worker and the supervisor, over the control socket: `Hello`, then requests and replies.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from .messages import Description, Level, Spec

# ---- plugin's worker and supervisor ----------------------------------------------------------


class Enclosed(Struct, frozen=True, kw_only=True, tag="enclosed"):
    """The last word of the worker before it runs the plugin's code: what confines it.

    What comes later may be the plugin's own words.
    """

    layers: tuple[str, ...] = ()
    """What confines it; empty for the level ``process``."""
    notes: tuple[str, ...] = ()


class Ready(Struct, frozen=True, kw_only=True, tag="ready"):
    """The plugin is loaded; its socket is being served."""

    description: Description


class Unfit(Struct, frozen=True, kw_only=True, tag="unfit"):
    """The plugin can't be run; the worker ends."""

    reason: str
    traceback: str = ""
    is_sandbox: bool = False
    """Whether the sandbox, and not the plugin, is what failed; believed before `Enclosed` only."""


class Ask(Struct, frozen=True, kw_only=True, tag="ask"):
    """Something that the plugin wants of the host: its storage, or a connection."""

    id: int
    what: str
    """``storage.get`` and the like, or ``connect``."""
    args: list[Any] = []


class Told(Struct, frozen=True, kw_only=True, tag="told"):
    """The supervisor's reply to an `Ask`; a connection comes with it as a descriptor."""

    id: int
    value: Any = None
    error: str | None = None
    kind: str = ""
    """The exception to raise in the plugin: ``OSError``, ``PermissionError``, ..."""
    number: int = 0
    """Its errno, if it has one."""


class Stop(Struct, frozen=True, kw_only=True, tag="stop"):
    """The supervisor asks the worker to finish what it began, and end."""

    seconds: float = 5.0


ToSupervisor = Enclosed | Ready | Unfit | Ask
FromSupervisor = Told | Stop

# ---- web worker and supervisor ---------------------------------------------------------------


class Hello(Struct, frozen=True, kw_only=True, tag="hello"):
    """The first frame on the control socket, answered by `Welcome`."""

    version: str
    """Of this package: another one's supervisor is to be replaced."""
    pid: int


class Want(Struct, frozen=True, kw_only=True, tag="want"):
    """Run this plugin as long as this connection lives, or until `Release`."""

    id: int
    spec: Spec
    seconds: float = 10.0
    """How long to wait for it."""
    retry: bool = False
    """Whether to try at once what is put off, or failed, before."""


class Release(Struct, frozen=True, kw_only=True, tag="release"):
    """This web worker needs the plugin no more."""

    id: int
    spec: Spec


class Blame(Struct, frozen=True, kw_only=True, tag="blame"):
    """A worker broke a rule: it missed a deadline, or said what it must not."""

    id: int
    plugin: str
    incarnation: int
    reason: str


class Survey(Struct, frozen=True, kw_only=True, tag="survey"):
    """Tell what is running."""

    id: int


ToControl = Hello | Want | Release | Blame | Survey


class Welcome(Struct, frozen=True, kw_only=True, tag="welcome"):
    """The reply to `Hello`."""

    version: str
    pid: int


class Placed(Struct, frozen=True, kw_only=True, tag="placed"):
    """The plugin runs."""

    id: int
    incarnation: int
    """Counts the workers that this supervisor started: no two are equal."""
    socket: str
    """The path of its socket."""
    description: Description
    layers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Refused(Struct, frozen=True, kw_only=True, tag="refused"):
    """The plugin doesn't run."""

    id: int
    reason: str
    traceback: str = ""
    is_sandbox: bool = False
    retry_after: float = 0.0
    """Seconds until it is tried again; 0: only when somebody asks for it."""


class Done(Struct, frozen=True, kw_only=True, tag="done"):
    """The reply to `Release` and `Blame`."""

    id: int


class WorkerInfo(Struct, frozen=True, kw_only=True):
    """One worker of a plugin, as `Survey` sees it."""

    plugin: str
    level: Level
    digest: str
    incarnation: int
    pid: int
    uid: int
    state: str
    """``starting``, ``running``, ``draining``, ``waiting`` (for a restart) or ``failed``."""
    since: float
    """Seconds that it has been in this state."""
    restarts: int
    reason: str = ""
    layers: tuple[str, ...] = ()
    memory: int = 0
    """Bytes of its own (resident and private)."""


class Overview(Struct, frozen=True, kw_only=True, tag="overview"):
    """The reply to `Survey`."""

    id: int
    workers: tuple[WorkerInfo, ...] = ()
    clients: int = 0


FromControl = Welcome | Placed | Refused | Done | Overview
