"""The options of `PluginManager`, checked once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from .exceptions import PluginError
from .frozen import Frozen
from .kinds import is_prefix
from .text import nearest


class Options(Frozen):
    """The options of `PluginManager`, checked."""

    logger: logging.Logger
    sorting: str = ""
    plugin_packages: tuple[str, ...] = ()
    plugin_paths: tuple[Path, ...] = ()
    static_endpoint: str = "assets"
    static_url_path: str = "/assets"
    pluginkit_config: dict[str, Any]
    strict: bool | None = None
    state_dir: Path | None = None
    live: bool | None = None
    isolation: Any = None
    """Levels by plugin, or one level for all; read by `isolation.levels`."""
    enable_timeout: float = 10.0
    host: str | None = None


def read_options(options: dict[str, Any]) -> Options:
    """Check the options of a manager."""
    for name in options.keys() - set(KNOWN_OPTIONS):
        guess = nearest(name, KNOWN_OPTIONS)
        hint = f"; did you mean {guess!r}?" if guess else ""
        raise TypeError(f"PluginManager got an unknown option {name!r}{hint}")
    read = {name: check(options[name]) for name, check in _OPTIONS.items() if name in options}
    sorting = read.pop("stpl", "")
    if read.pop("stpl_reverse", False) and sorting and options["stpl"] is True:
        sorting = "desc"
    read.setdefault("pluginkit_config", {})
    read.setdefault("logger", logging.getLogger("flask_pluginkit"))
    endpoint = read.get("static_endpoint", "assets")
    read["static_url_path"] = read.get("static_url_path") or f"/{endpoint}"
    return Options(sorting=sorting, **read)


def _sorting(value: Any) -> str:
    if value is False or value is None:
        return ""
    if value is True:
        return "asc"
    if value in ("asc", "ASC", "desc", "DESC"):
        return str(value).lower()
    raise PluginError(f"Invalid stpl: found {value!r}, expected True, False, 'asc' or 'desc'")


def _names(value: Any) -> tuple[str, ...]:
    names = value or ()
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise PluginError(
            f"Invalid plugin_packages: found {value!r}, expected a list of names such as ['hello']"
        )
    return tuple(names)


def _paths(value: Any) -> tuple[Path, ...]:
    if not isinstance(value or (), list | tuple):
        raise PluginError(f"Invalid plugin_paths: found {value!r}, expected a list of folders")
    return tuple(read_folder("plugin_paths", path) for path in value or ())


def read_folder(option: str, value: Any) -> Path:
    """Check the path of a folder, which need not exist."""
    path = fspath(value) if isinstance(value, str | PathLike) else None
    if not isinstance(path, str) or not path or "\0" in path:
        raise PluginError(f"Invalid {option}: found {value!r}, expected the path of a folder")
    return Path(path)


def _url_path(value: Any) -> str | None:
    if value and not (isinstance(value, str) and is_prefix(value)):
        raise PluginError(
            f"Invalid static_url_path: found {value!r}, expected text such as '/assets'"
        )
    return value or None


def _config(value: Any) -> dict[str, Any]:
    if not isinstance(value or {}, dict):
        raise PluginError(f"Invalid pluginkit_config: found {value!r}, expected a dict")
    return value or {}


def _type_checked(name: str, kinds: type | tuple[type, ...], expected: str) -> Any:
    def check(value: Any) -> Any:
        if not isinstance(value, kinds):
            raise PluginError(f"Invalid {name}: found {value!r}, expected {expected}")
        return value

    return check


def _seconds(name: str, value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < float("inf"):
        raise PluginError(f"Invalid {name}: found {value!r}, expected a number of seconds")
    return float(value)


_OPTIONS: Mapping[str, Any] = {
    "logger": _type_checked("logger", (logging.Logger, logging.LoggerAdapter), "a Logger"),
    "stpl": _sorting,
    "stpl_reverse": _type_checked("stpl_reverse", bool, "True or False"),
    "plugin_packages": _names,
    "plugin_paths": _paths,
    "static_endpoint": lambda value: _type_checked("static_endpoint", str, "a name")(
        value or "assets"
    ),
    "static_url_path": _url_path,
    "pluginkit_config": _config,
    "strict": _type_checked("strict", (bool, type(None)), "True, False or None"),
    "live": _type_checked("live", (bool, type(None)), "True, False or None"),
    "isolation": lambda value: value,
    "enable_timeout": lambda value: _seconds("enable_timeout", value),
    "state_dir": lambda value: None if value is None else read_folder("state_dir", value),
    "host": _type_checked("host", (str, type(None)), "a host pattern as text"),
}
"""The options and what checks each; a wrong value is a `PluginError`, as in 3.x."""

KNOWN_OPTIONS = (*_OPTIONS, "install_packages")


PIP_SETTINGS = ("target_dir", "index", "upgrade", "quiet")
"""What ``install_packages`` may say to `pip.pip_install`."""


def read_install_packages(value: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Check ``install_packages`` and return the packages and pip's settings."""
    settings = dict(value or {}) if isinstance(value or {}, Mapping) else None
    packages = settings.pop("pkgs", () if not settings else None) if settings is not None else None
    if settings is None or not isinstance(packages, list | tuple):
        raise PluginError(
            f"Invalid install_packages: found {value!r}, expected a dict such as "
            "{'pkgs': ['flask-pluginkit-demo']}"
        )
    if unknown := settings.keys() - set(PIP_SETTINGS):
        raise PluginError(
            f"Invalid install_packages: unknown {sorted(unknown)}, expected "
            f"{', '.join(['pkgs', *PIP_SETTINGS])}"
        )
    return tuple(packages), settings
