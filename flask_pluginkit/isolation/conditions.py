"""What must be so before a plugin can run in a process of its own."""

from __future__ import annotations

from typing import Final

from flask_pluginkit.exceptions import LoadError, MissingExtraError, Problem
from flask_pluginkit.manifest import Manifest

NEEDED: Final = frozenset({"__plugin_name__", "__version__", "__author__", "__state__"})
"""What only running the plugin could tell must not be any of these."""


def require_extra() -> None:
    """Raise MissingExtraError if what isolated plugins need isn't installed."""
    try:
        import msgspec  # noqa: F401
        import nh3  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "plugins in processes of their own need an extra: "
            "pip install 'Flask-PluginKit[sandbox]'"
        ) from error


def require_literal(manifest: Manifest) -> None:
    """Raise LoadError for a manifest that only running the plugin could complete."""
    if computed := sorted(manifest.computed & NEEDED):
        raise LoadError(
            [
                Problem(
                    where=str(manifest.folder / "__init__.py"),
                    what=name,
                    found="a value that is computed",
                    expected="a literal, as nothing of an isolated plugin runs in the host",
                    advice=f"write {name} = '...' at the top level",
                )
                for name in computed
            ]
        )
