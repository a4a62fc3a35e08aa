"""What all parts of `Plugin` have in common: its name, its blueprint, and what was added so far."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from .ledger import Ledger, plugin_name


class Author:
    """A plugin that adds nothing yet."""

    def __init__(
        self,
        import_name: str,
        *,
        url_prefix: str | None = None,
        name: str | None = None,
        parent: str | None = None,
    ) -> None:
        self.import_name = import_name
        self.name = plugin_name(import_name, name)
        """Also that of the blueprint: ``url_for("hello.index")``."""
        self.url_prefix = url_prefix
        self._parent = parent
        self._ledger = Ledger(import_name, self.name)
        self._blueprint: Blueprint | None = None
        self._ledger.check("bep", self._bep(Blueprint(self.name, import_name)))

    def __repr__(self) -> str:
        return f"<Plugin {self.name!r}>"

    @property
    def blueprint(self) -> Blueprint:
        """The blueprint of the plugin's views, made when it is first needed (bep).

        For what a blueprint can beside this: hooks, handlers and URL values of own views only.
        """
        if self._blueprint is None:
            self._blueprint = Blueprint(self.name, self.import_name)
        return self._blueprint

    def _bep(self, blueprint: Blueprint) -> dict[str, Any]:
        made: dict[str, Any] = {"blueprint": blueprint, "prefix": self.url_prefix}
        return made if self._parent is None else {**made, "parent": self._parent}

    def register(self) -> dict[str, Any]:
        """Return what the plugin adds, as ``register()`` is to return it.

        A new dict each time. Nothing can be added once it was called: applications have it then.
        """
        made = self._ledger.close()
        if self._blueprint is not None:
            made["bep"] = self._bep(self._blueprint)
        return made


def stand_in(*_args: Any) -> None:
    """Stand for the function that is still to come, where the rest can be checked already."""
