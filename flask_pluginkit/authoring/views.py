"""The views of a plugin: on its blueprint, on somebody else's, and classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask_pluginkit.kinds import registers_itself
from flask_pluginkit.text import describe

from . import types
from .author import Author, stand_in


class Views(Author):
    """The part of `Plugin` that is about views."""

    def __init__(self, import_name: str, **options: Any) -> None:
        super().__init__(import_name, **options)
        self._endpoints: dict[str, Callable[..., Any]] = {}

    def route(
        self, rule: str, *, on: str | None = None, **options: Any
    ) -> Callable[[types.View], types.View]:
        """Add the function as a view (bep): ``@plugin.route("/hello/<name>")``.

        Args:
            rule: Flask's URL rule, below `url_prefix`.
            on: the name of a blueprint of somebody else, in which the view is to be (vep).
            options: as for `flask.Flask.route`: ``methods``, ``endpoint``, ``defaults``, ...

        """
        self._ledger.check(
            "vep", {"rule": rule, "view_func": stand_in, "_blueprint": on or self._on}
        )

        def add(view: types.View) -> types.View:
            self.add_url_rule(rule, view_func=view, on=on, **options)
            return view

        return add

    @property
    def _on(self) -> str | None:
        """Tells whether a rule may be empty: it is, with a prefix, the prefix itself."""
        return self.name if self.url_prefix else None

    def get(self, rule: str, **options: Any) -> Callable[[types.View], types.View]:
        """As `route` with ``methods=["GET"]``."""
        return self._method("GET", rule, options)

    def post(self, rule: str, **options: Any) -> Callable[[types.View], types.View]:
        """As `route` with ``methods=["POST"]``."""
        return self._method("POST", rule, options)

    def put(self, rule: str, **options: Any) -> Callable[[types.View], types.View]:
        """As `route` with ``methods=["PUT"]``."""
        return self._method("PUT", rule, options)

    def patch(self, rule: str, **options: Any) -> Callable[[types.View], types.View]:
        """As `route` with ``methods=["PATCH"]``."""
        return self._method("PATCH", rule, options)

    def delete(self, rule: str, **options: Any) -> Callable[[types.View], types.View]:
        """As `route` with ``methods=["DELETE"]``."""
        return self._method("DELETE", rule, options)

    def _method(
        self, method: str, rule: str, options: dict[str, Any]
    ) -> Callable[[types.View], types.View]:
        if "methods" in options:
            self._ledger.refuse(
                f"{method.lower()}({describe(rule)}, methods=...)",
                "the option methods",
                f"nothing: {method} it is; @plugin.route takes methods",
            )
        return self.route(rule, methods=[method], **options)

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Callable[..., Any] | None = None,
        *,
        on: str | None = None,
        **options: Any,
    ) -> None:
        """Add a view without a decorator; arguments as for `route`."""
        row = {"rule": rule, "view_func": view_func, **options}
        if endpoint is not None:
            row["endpoint"] = endpoint
        if on is not None:
            self._ledger.append("vep", {**row, "_blueprint": on})
            return
        self._ledger.check("vep", {**row, "_blueprint": self._on})
        assert view_func is not None
        name = str(endpoint or getattr(view_func, "__name__", ""))
        self._check_endpoint(name, view_func, rule)
        self._ledger.check_open("route")
        self.blueprint.add_url_rule(rule, endpoint, view_func, **options)

    def _check_endpoint(self, endpoint: str, view: Callable[..., Any], rule: str) -> None:
        what = f"route({describe(rule)}): endpoint"
        if not endpoint or "." in endpoint:
            self._ledger.refuse(what, describe(endpoint), "a name without dots, such as 'index'")
        if self._endpoints.setdefault(endpoint, view) is not view:
            self._ledger.refuse(
                what,
                f"{describe(endpoint)}, which another view has",
                "a name of its own: another name for the function, or endpoint='...'",
            )

    def add_view(
        self,
        view_class: type[Any],
        rule: str | None = None,
        *,
        endpoint: str | None = None,
        **options: Any,
    ) -> None:
        """Add a class-based view (cvep).

        Args:
            view_class: a `flask.views.View`, or a Flask-Classful class.
            rule: the URL rule of a `flask.views.View`, below `url_prefix`.
            endpoint: by default the plugin's name, a dot, and that of the class in lower case.
            options: those of ``add_url_rule``, or of a Flask-Classful class's ``register``.

        """
        row: dict[str, Any] = {"view_class": view_class, **options}
        self._ledger.check_class("add_view", view_class)
        if registers_itself(view_class):
            if self.url_prefix:
                row.setdefault("route_prefix", self.url_prefix)
        else:
            row["rule"] = f"{self.url_prefix or ''}{rule}" if isinstance(rule, str) else rule
            row["endpoint"] = endpoint or f"{self.name}.{view_class.__name__.lower()}"
        self._ledger.append("cvep", row)
