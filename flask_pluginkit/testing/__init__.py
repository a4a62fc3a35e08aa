"""The test kit for authors of plugins: fixtures for pytest, and a conformance suite.

The fixtures come by themselves where this package is installed (`plugin` is a pytest plugin);
the suite comes with one line in a test module::

    from flask_pluginkit.testing import conformance

Importing this package imports nothing else: whoever runs pytest for something that has no
plugins of ours doesn't pay for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .choosing import Chosen
    from .enabling import Enabled
    from .hosts import HostFactory, Values

__all__ = ["Chosen", "Enabled", "HostFactory", "Values"]

_HOMES: Final = {
    "Chosen": ".choosing",
    "Enabled": ".enabling",
    "HostFactory": ".hosts",
    "Values": ".hosts",
}


def __getattr__(name: str) -> Any:
    """A public name from its home, which is imported when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
