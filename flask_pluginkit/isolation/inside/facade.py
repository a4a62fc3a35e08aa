"""What plugins import of this package inside: everything of 3.x that makes sense, and no manager.

The modules of the manager are replaced before anything can import them: their names lead to
stand-ins, so that ``from flask_pluginkit import push_dcp, PluginManager`` works as it does in
the host, and costs nothing of the manager.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from types import ModuleType
from typing import Any, Final, NoReturn, TypeVar

from flask_pluginkit import storage
from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.isolation.messages import (
    Spec,
)
from flask_pluginkit.storage import local
from flask_pluginkit.storage import redis as of_redis

from . import stores
from .connections import Connections, push_dcp
from .services import Services

PACKAGE: Final = "flask_pluginkit"

View = TypeVar("View")
_MISSING: Final = object()


def always_open(view: View) -> View:
    """Mark a view that answers also while the gate is shut; which is up to the host."""
    return view


class _NotHere:
    """Stands for something of the host's; asking for anything of it fails and says why."""

    name = ""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        self._fail()

    @classmethod
    def _fail(cls) -> NoReturn:
        raise PluginError(
            f"flask_pluginkit.{cls.name} can't be used by a plugin that runs in a process of its "
            "own: it belongs to the host's; run the plugin as trusted if it can't do without"
        )


class PluginManager(_NotHere):
    """Stands for the manager."""

    name = "PluginManager"


def metrics_view(*_args: Any, **_kwargs: Any) -> NoReturn:
    """Stand for the view of metrics."""
    raise PluginError("flask_pluginkit.metrics_view can't be used by a plugin: it is the host's")


_MODULES: Final[Mapping[str, Mapping[str, Any]]] = {
    "manager": {"PluginManager": PluginManager},
    "metrics": {"metrics_view": metrics_view},
    "live": {"__path__": []},
    "live.dcp": {"DcpManager": Connections, "push_dcp": push_dcp},
    "live.gate": {"always_open": always_open},
}
"""What stands for which module, with the names that the package's own hand on."""

_NAMES: Final[Mapping[str, Any]] = {
    "PluginManager": PluginManager,
    "always_open": always_open,
    "metrics_view": metrics_view,
    "push_dcp": push_dcp,
}


def install(spec: Spec, services: Services, undo: ExitStack) -> None:
    """Put the stand-ins in place, until `undo` is run."""
    replacing = Replacing(undo)
    for name, values in _MODULES.items():
        module = ModuleType(f"{PACKAGE}.{name}", "Stands for a module of the host's.")
        vars(module).update(values)
        replacing.entry(sys.modules, module.__name__, module)
    package = sys.modules[PACKAGE]
    for name, value in _NAMES.items():
        replacing.entry(vars(package), name, value)
    replacing.absent(sys.modules, f"{PACKAGE}.utils")
    replacing.absent(vars(package), "utils")
    replacing.attribute(stores._Kept, "services", services)  # noqa: SLF001 - of this folder
    replacing.attribute(stores._Kept, "permitted", "storage" in spec.permissions)  # noqa: SLF001
    for name in ("LocalStorage", "ExpiredLocalStorage", "RedisStorage"):
        kept = getattr(stores, name)
        replacing.entry(vars(package), name, kept)
        for module in (storage, of_redis if name == "RedisStorage" else local):
            replacing.attribute(module, name, kept)


class Replacing:
    """Replaces things of this process, and puts them back at the end."""

    def __init__(self, undo: ExitStack) -> None:
        self._undo = undo

    def entry(self, table: dict[str, Any], name: str, value: Any) -> None:
        """Set an entry of a dict."""
        self._undo.callback(_restore, table, name, table.get(name, _MISSING))
        table[name] = value

    def absent(self, table: dict[str, Any], name: str) -> None:
        """Take an entry out of a dict."""
        self._undo.callback(_restore, table, name, table.pop(name, _MISSING))

    def attribute(self, holder: Any, name: str, value: Any) -> None:
        """Set an attribute that the holder itself has or gets."""
        before = vars(holder).get(name, _MISSING)
        if before is _MISSING:
            self._undo.callback(delattr, holder, name)
        else:
            self._undo.callback(setattr, holder, name, before)
        setattr(holder, name, value)


def _restore(table: dict[str, Any], name: str, before: Any) -> None:
    if before is _MISSING:
        table.pop(name, None)
    else:
        table[name] = before
