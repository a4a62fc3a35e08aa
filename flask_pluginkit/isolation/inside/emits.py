"""What templates and plugins of 3.x find inside: ``emit_*``, and what stands for the manager."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from flask import url_for
from markupsafe import Markup
from werkzeug.security import safe_join

from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.ordering import parse_code, parse_file, sort_parts

from .application import InnerFlask
from .connections import Connections
from .links import Links
from .recording import ELSEWHERE, Recorded
from .templates import OwnEnvironment

HASH_LENGTH: Final = 16
"""Hex digits of a file's SHA-256 in its URL, as the host writes and expects them."""

_log = logging.getLogger(__name__)


class NotHereError(PluginError, AttributeError):
    """Something of the manager is asked for that only the host has."""


class Stand:
    """Stands for the manager in ``app.extensions``: what of it makes sense in here."""

    def __init__(self, app: InnerFlask, connections: Connections, links: Links) -> None:
        self.app = app
        self.links = links
        self._dcp_manager = connections
        self.recorded: Recorded | None = None

    def install(self) -> None:
        """Offer the globals of 3.x to the plugin's templates."""
        self.app.extensions["pluginkit"] = self
        self.app.jinja_env.globals.update(
            emit_tep=self.emit_tep,
            emit_assets=self.emit_assets,
            emit_config=self.emit_config,
            emit_dcp=self._dcp_manager.emit,
        )

    def __getattr__(self, name: str) -> Any:
        raise NotHereError(
            f"plugin {self.app.spec.plugin!r}: the manager's {name} can't be had: {ELSEWHERE}; "
            "what it needs of the host has to come from the host's templates or permissions"
        )

    def emit_tep(self, tep: str, typ: str = "all", **context: Any) -> Markup:
        """Render the plugin's own parts of a slot; those of others are in the host alone."""
        wanted = {"fil": (True,), "cod": (False,)}.get(typ, (True, False))
        rows = self.recorded.teps if self.recorded is not None else ()
        parts = [
            (*split(self.app, given, is_file), is_file)
            for slot, given, is_file in rows
            if slot == tep and is_file in wanted
        ]
        done = []
        for _order, text, is_file in sort_parts(parts, lambda part: part[0], descending=False):
            variables = dict(context)
            self.app.update_template_context(variables)
            done.append(template_of(self.app, tep, text, is_file)().render(variables))
        return Markup("".join(done))  # noqa: S704 - templates have escaped what was to be escaped

    def emit_assets(
        self,
        plugin_name: str,
        filename: str,
        _raw: bool = False,
        _external: bool = False,
        **attributes: Any,
    ) -> Markup:
        """Return the tag (css, js) or URL (others) of one of the plugin's own static files."""
        endpoint = self.links.endpoint_with("plugin_name", "filename")
        version = self._hash(filename) if plugin_name == self.app.spec.plugin else None
        if version is None or endpoint is None:
            reason = "the host doesn't say where" if version else "it isn't a file of this plugin"
            _log.warning("emit_assets(%r, %r): %s", plugin_name, filename, reason)
            return Markup("")
        values = {"plugin_name": plugin_name, "filename": filename, "v": version}
        url = url_for(endpoint, _external=_external, **values)
        extra = Markup("").join(_attribute(key, value) for key, value in attributes.items())
        if _raw is not True and filename.endswith(".css"):
            return Markup('<link rel="stylesheet" href="{}"{}>').format(url, extra)
        if _raw is not True and filename.endswith(".js"):
            return Markup('<script src="{}"{}></script>').format(url, extra)
        return Markup.escape(url)

    def _hash(self, filename: str) -> str | None:
        path = safe_join(str(Path(self.app.spec.folder, "static")), filename)
        try:
            return None if path is None else _hash_of(path)
        except (OSError, ValueError):
            return None

    def emit_config(self, conf_name: str) -> Any:
        """Nothing of the host's configuration is known here."""
        _log.warning("emit_config(%r): the host's configuration can't be read", conf_name)


def split(app: InnerFlask, given: str, is_file: bool) -> tuple[Any, str]:
    """Return the order of a tep and its file name or code."""
    if not is_file:
        return parse_code(given)
    folder = Path(app.spec.folder, "templates")
    return parse_file(given, lambda name: (folder / name).is_file())


def template_of(app: InnerFlask, slot: str, text: str, is_file: bool) -> Callable[[], Any]:
    """Return what gives the compiled template of a tep, compiled at its first use."""
    environment = app.jinja_env
    if is_file:
        return lambda: environment.get_template(text)

    @cache
    def compiled() -> Any:
        # the ending lets it be escaped as Flask escapes templates without a name
        name = f"{app.spec.plugin}:<tep {slot}>.html"
        code = environment.compile(text, name=name, filename=f"<{name}>")
        names = environment.make_globals(None)
        return OwnEnvironment.template_class.from_code(environment, code, names)

    return compiled


@cache
def _hash_of(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:HASH_LENGTH]


def _attribute(key: str, value: Any) -> Markup:
    if value is None or value is False:
        return Markup("")
    form = Markup(" {}") if value is True else Markup(' {}="{}"')
    return form.format(key.rstrip("_").replace("_", "-"), value)
