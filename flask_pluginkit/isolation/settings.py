"""What the operator says about isolated plugins: the configuration ``PLUGINKIT_SANDBOX``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.frozen import Frozen
from flask_pluginkit.text import describe, nearest

MIB: Final = 1 << 20
PREFIX: Final = "PLUGINKIT_SANDBOX_"


class Settings(Frozen):
    """How isolated plugins are run; each is a configuration value ``PLUGINKIT_SANDBOX_<NAME>``."""

    uids: str | None = None
    """Users to run them as, where the application runs as root: ``"30000-30099"``."""
    runtime_dir: Path | None = None
    """Where the supervisor's socket and lock are; None chooses one."""
    homes: Path | None = None
    """Where plugins with the permission ``files:...`` get folders of their own; None is below
    the state. Where they have users of their own, everybody must be able to enter it."""
    lowered: bool = False
    """Whether to run a plugin without the sandbox where that can't be had."""
    deadline: float = 5.0
    """Seconds for a whole answer of a plugin, and for each chunk of one that is streamed."""
    stream: float = 60.0
    """Seconds for a whole answer that is streamed; while a visitor reads, none pass."""
    memory: int = 256 * MIB
    """Bytes of private memory of one plugin."""
    concurrency: int = 16
    """Threads of one plugin."""
    body: int = 16 * MIB
    """Bytes of a request's body, at most."""
    start: float = 10.0
    """Seconds for loading a plugin."""


def read_settings(config: Mapping[str, Any]) -> Settings:
    """Return what a Flask configuration, and else the environment, says.

    Raises:
        PluginError: a value can't be used, or a name is unknown.

    """
    found: dict[str, Any] = {}
    names = {f"{PREFIX}{name.upper()}": name for name in _READ}
    for key in config:
        if str(key).startswith(PREFIX) and key not in names:
            guess = nearest(key, names)
            hint = f"; did you mean {guess}?" if guess else ""
            raise PluginError(f"Unknown configuration {key}{hint}")
    for key, name in names.items():
        value = config.get(key, os.environ.get(key))
        if value is not None:
            found[name] = _READ[name](key, value)
    return Settings(**found)


def _number(least: float, most: float, kind: type) -> Callable[[str, Any], Any]:
    def read(key: str, value: Any) -> Any:
        try:
            number = kind(value)
        except (TypeError, ValueError):
            number = None
        if type(value) is bool or number is None or not least <= number <= most:
            raise _wrong(key, value, f"a number from {least:g} to {most:g}")
        return number

    return read


def _truth(key: str, value: Any) -> bool:
    known = {
        "1": True,
        "true": True,
        "yes": True,
        "0": False,
        "false": False,
        "no": False,
        "": False,
    }
    text = str(value).strip().lower()
    if text not in known:
        raise _wrong(key, value, "True or False")
    return known[text]


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _wrong(key, value, 'text such as "30000-30099"')
    return value.strip()


def _folder(key: str, value: Any) -> Path:
    if not isinstance(value, str | os.PathLike) or not os.path.isabs(os.fspath(value)):  # noqa: PTH117
        raise _wrong(key, value, "an absolute path")
    return Path(value)


def _wrong(key: str, value: object, expected: str) -> PluginError:
    return PluginError(f"Invalid {key}: found {describe(value)}, expected {expected}")


_READ: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "uids": _text,
    "runtime_dir": _folder,
    "homes": _folder,
    "lowered": _truth,
    "deadline": _number(0.05, 120, float),
    "stream": _number(0.05, 3600, float),
    "memory": _number(32 * MIB, 64 * 1024 * MIB, int),
    "concurrency": _number(1, 256, int),
    "body": _number(0, 16 * MIB, int),
    "start": _number(0.5, 300, float),
}
