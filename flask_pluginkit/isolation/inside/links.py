"""``url_for`` to the host's public endpoints: the plugin's own go first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

from flask import Flask, has_request_context, request
from werkzeug.routing import BuildError, Map, Rule

from flask_pluginkit.isolation.messages import (
    PublicRoute,
)

_OPTIONS = frozenset({"_anchor", "_external", "_method", "_scheme"})


class Links:
    """The host's public routes, for building URLs only."""

    def __init__(self) -> None:
        self._routes: tuple[PublicRoute, ...] = ()
        self._map = Map()
        self._arguments: Mapping[str, frozenset[str]] = {}
        self._lock = Lock()

    def install(self, app: Flask) -> None:
        """Be asked for endpoints that aren't the plugin's."""
        app.url_build_error_handlers.append(self.build)

    def learn(self, routes: Iterable[PublicRoute]) -> None:
        """Take over what the host tells; rules with converters that we don't have are left out."""
        routes = tuple(routes)
        if routes == self._routes:
            return
        made, arguments = Map(), {}
        for route in routes:
            rule = Rule(
                route.rule,
                endpoint=route.endpoint,
                defaults=route.defaults or None,
                build_only=True,
            )
            try:
                made.add(rule)
            except (LookupError, ValueError):
                continue
            arguments[route.endpoint] = frozenset(rule.arguments)
        made.update()
        with self._lock:
            self._routes, self._map, self._arguments = routes, made, arguments

    def endpoint_with(self, *arguments: str) -> str | None:
        """Return the endpoint of a public route that takes exactly these arguments."""
        wanted = frozenset(arguments)
        return next((name for name, own in self._arguments.items() if own == wanted), None)

    def build(self, error: Exception, endpoint: str, values: dict[str, Any]) -> str:
        """Return the URL of one of the host's endpoints, or raise the BuildError `error`."""
        if not has_request_context():
            raise error
        host, script = request.host, request.root_path
        adapter = self._map.bind(host, f"{script}/", url_scheme=request.scheme)
        options = {name: values.get(name) for name in _OPTIONS}
        variables = {name: value for name, value in values.items() if name not in _OPTIONS}
        scheme, anchor = options["_scheme"], options["_anchor"]
        try:
            url = adapter.build(
                endpoint,
                variables,
                method=options["_method"],
                url_scheme=scheme,
                force_external=bool(options["_external"] or scheme),
            )
        except BuildError:
            raise error from None
        return url if anchor is None else f"{url}#{_quoted(anchor)}"


def _quoted(anchor: str) -> str:
    from urllib.parse import quote

    return quote(anchor, safe="%!#$&'()*+,/:;=?@")
