"""How an application's plugins are to be run: what a supervisor is started with."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True):
    """The same for all web workers of an application. Holds nothing secret."""

    control: str
    """The application's control folder: absolute; logs, users and plugins' folders go there."""
    runtime: str = ""
    """The folder for sockets; empty for the one that `runtime.locate` finds."""
    is_named: bool = False
    """Whether the operator named that folder: then it stays."""
    homes: str = ""
    """The folder with the plugins' own folders (``files:...``); empty for one in `control`.
    Where plugins have own users, it must lie below folders that everybody may enter."""
    sandbox_uids: str = ""
    """The users for plugins where the application runs as root: ``30000-30099``."""
    python: str = ""
    """The interpreter; empty for the one that runs now."""
    paths: tuple[str, ...] = ()
    """Folders with the dependencies of this package, where that interpreter doesn't look."""
    inside: str = "flask_pluginkit.isolation.inside"
    """The package with `plugin.load` and `serving.serve`, which run a plugin in its worker."""
    namespaces: bool = True
    """Whether to enter namespaces where that is permitted."""
    grace: float = 5.0
    """Seconds until all ends when the last web worker is gone."""
    linger: float = 5.0
    """Seconds until a plugin's worker ends when no web worker wants it any more."""
    drain: float = 5.0
    """Seconds that a worker gets to finish what it began."""
    terminate: float = 10.0
    """Seconds that web workers get to go after a SIGTERM."""
    starting: float = 20.0
    """Seconds that a plugin may take to be loaded."""
    deaths: int = 5
    """So many within `window` seconds, and a plugin is put off for `retry_after` seconds."""
    window: float = 60.0
    retry_after: float = 30.0
    log_rate: int = 16 << 10
    """Bytes a second of its log that a plugin may fill on the average."""
    log_size: int = 1 << 20
    """Bytes after which the log begins anew; the one before is kept."""
    scan: float = 1.0
    """Seconds between two looks at what the plugins' folders hold."""


_DECODER: Final = msgspec.json.Decoder(Settings)


def read(text: bytes) -> Settings:
    """Return the settings in a text that `written` made. Raises ValueError."""
    return _DECODER.decode(text)


def written(settings: Settings) -> bytes:
    """Return the settings as one line of text."""
    return msgspec.json.encode(settings)
