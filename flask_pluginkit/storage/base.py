"""What all storages have in common: an index, and the manners of a dict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask_pluginkit.exceptions import NotImplementedError as MethodMissingError


class BaseStorage:
    """Base of storages; a subclass overrides `get`, `set`, `remove` and `list`.

    Square brackets call these methods: what isn't there reads as None.
    """

    DEFAULT_INDEX: str = "flask_pluginkit_dat"
    """Where the data is kept, unless `COVERED_INDEX` says otherwise."""

    COVERED_INDEX: str | None = None
    """Takes the place of `DEFAULT_INDEX`; set by a subclass or through `index`."""

    @property
    def index(self) -> str:
        """The name under which the data is kept, such as a file or a key of Redis."""
        return self.COVERED_INDEX or self.DEFAULT_INDEX

    @index.setter
    def index(self, index: str) -> None:
        self.COVERED_INDEX = index

    @property
    def list(self) -> dict[str, Any]:
        """All keys and values, as a dict of the caller's own."""
        raise MethodMissingError(f"{type(self).__name__} must override list")

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ARG002 - for subclasses
        """Return the value of `key`, or `default` if there is none."""
        raise MethodMissingError(f"{type(self).__name__} must override get")

    def set(self, key: str, value: Any) -> Any:  # noqa: ARG002 - for subclasses
        """Keep `value` under `key`."""
        raise MethodMissingError(f"{type(self).__name__} must override set")

    def remove(self, key: str) -> Any:  # noqa: ARG002 - for subclasses
        """Forget `key`."""
        raise MethodMissingError(f"{type(self).__name__} must override remove")

    def __getitem__(self, key: str) -> Any:
        return self.get(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        self.remove(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.list)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {id(self):#x}, index is {self.index}>"
