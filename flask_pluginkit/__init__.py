"""Make a Flask application extensible by plugins that other people write.

The public names, each resolved from its home when it is first asked for (PEP 562):
``import flask_pluginkit.exceptions`` therefore imports neither Flask nor the manager, and a
process that needs only a part of this package starts fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .version import __version__

if TYPE_CHECKING:
    from flask import Flask

    from ._compat import string_types
    from .authoring import Plugin
    from .exceptions import (
        ConflictError,
        InstallError,
        LoadError,
        ManifestError,
        MissingExtraError,
        MissingTemplateError,
        NotCallableError,
        ParamError,
        PEPError,
        PluginError,
        Problem,
        ProblemsError,
        RegistrationError,
        RequirementError,
        RunError,
        SandboxUnavailable,
        SettingError,
        StateConflictError,
        StateError,
        SwitchError,
        TarError,
        TemplateNotFound,
        VersionError,
        ZipError,
    )
    from .live.dcp import push_dcp
    from .live.gate import always_open
    from .manager import PluginManager
    from .metrics import metrics_view
    from .settings import SECRET, Pattern, Range, Settings
    from .storage import BaseStorage, ExpiredLocalStorage, LocalStorage, RedisStorage
    from .utils import JsonResponse

__author__ = "Flask-PluginKit contributors"

__all__ = [
    "SECRET",
    "BaseStorage",
    "ConflictError",
    "ExpiredLocalStorage",
    "Flask",
    "InstallError",
    "JsonResponse",
    "LoadError",
    "LocalStorage",
    "ManifestError",
    "MissingExtraError",
    "MissingTemplateError",
    "NotCallableError",
    "PEPError",
    "ParamError",
    "Pattern",
    "Plugin",
    "PluginError",
    "PluginManager",
    "Problem",
    "ProblemsError",
    "Range",
    "RedisStorage",
    "RegistrationError",
    "RequirementError",
    "RunError",
    "SandboxUnavailable",
    "SettingError",
    "Settings",
    "StateConflictError",
    "StateError",
    "SwitchError",
    "TarError",
    "TemplateNotFound",
    "VersionError",
    "ZipError",
    "__author__",
    "__version__",
    "always_open",
    "metrics_view",
    "push_dcp",
    "string_types",
]

_HOMES: Final[dict[str, str]] = {
    "BaseStorage": ".storage",
    "ExpiredLocalStorage": ".storage",
    "Flask": "flask",  # applications written for early releases import it from here
    "JsonResponse": ".utils",
    "LocalStorage": ".storage",
    "Plugin": ".authoring",
    "Pattern": ".settings",
    "PluginManager": ".manager",
    "Range": ".settings",
    "RedisStorage": ".storage",
    "SECRET": ".settings",
    "Settings": ".settings",
    "always_open": ".live.gate",
    "metrics_view": ".metrics",
    "push_dcp": ".live.dcp",
    "string_types": "._compat",
}
"""The module of each lazy name; those not listed are at home in ``exceptions``."""

_MODULES: Final = frozenset({"_compat", "exceptions", "utils"})
"""What 3.x had imported already: ``import flask_pluginkit`` and then ``flask_pluginkit.utils``."""


def __getattr__(name: str) -> Any:
    """A public name from its home, or a module that 3.x would have imported by now."""
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(_HOMES.get(name, ".exceptions"), __name__)
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    """Everything public, whether or not it was asked for before."""
    return sorted({*globals(), *__all__, *_MODULES})
