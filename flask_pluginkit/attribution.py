"""The form of records that plugins of 3.x read as mappings and by attribute."""

from __future__ import annotations

from typing import Any


class Attribution(dict[str, Any]):
    """A dict whose values can be read as attributes too; a method of dict goes first."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None
