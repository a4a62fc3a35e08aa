"""Static files of plugins: ``/assets/<plugin>/<file>`` and ``{{ emit_assets(...) }}``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from stat import S_ISREG
from typing import Any, Final

from flask import Flask, Response, abort, request, send_file, url_for
from markupsafe import Markup
from werkzeug.security import safe_join

from flask_pluginkit.exceptions import ParamError
from flask_pluginkit.snapshot import Plugin, Snapshot
from flask_pluginkit.text import as_text

YEAR: Final = 31_536_000
"""Seconds; what RFC 9111 caches treat as for ever."""

HASH_LENGTH: Final = 16
"""Hex digits of a SHA-256: enough to tell the versions of one file apart."""

Found = tuple[str, os.stat_result]
"""The path of a file, and what the system says of it; asked once a request, as text, as that
is a tenth of what serving a small file takes."""


class Assets:
    """Serves the static files of the active plugins of one application."""

    def __init__(
        self, app: Flask, pin: Callable[[], Snapshot], strict: Callable[[], bool], endpoint: str
    ) -> None:
        self.app = app
        self.pin = pin
        self.strict = strict
        self.endpoint = endpoint
        self._hashes: dict[str, tuple[int, int, str]] = {}
        self._inside: dict[str, tuple[int, int]] = {}

    def send(self, plugin_name: str, filename: str) -> Response:
        """Serve one file of an active plugin; 404 for anything else.

        A URL that carries the hash of the file's content is cached as immutable: another
        content has another URL.
        """
        plugin = self.pin().active.get(plugin_name)
        if plugin is not None and plugin.isolation == "isolated":
            return _send_untrusted(plugin, filename)
        found = self._find(plugin, filename) if plugin is not None else None
        if found is None or not S_ISREG(found[1].st_mode):
            abort(404)
        response = send_file(found[0])
        response.headers["X-Content-Type-Options"] = "nosniff"
        version = _asked_version()
        if version and version == self._hash(*found):
            response.headers["Cache-Control"] = f"public, max-age={YEAR}, immutable"
        return response

    def emit(
        self,
        plugin_name: str,
        filename: str,
        _raw: bool = False,
        _external: bool = False,
        **attributes: Any,
    ) -> Markup:
        """Return the tag (css, js) or URL (others) of a plugin's static file.

        Args:
            plugin_name: the plugin's ``__plugin_name__``.
            filename: the path below its ``static`` folder.
            _raw: give the URL of a css or js file too.
            _external: give a full URL with scheme and host.
            attributes: further attributes of the tag: ``nonce="..."``, ``type="module"``,
                ``defer=True``; a trailing underscore is dropped (``async_=True``), other
                underscores become hyphens; False and None leave one out.

        Raises:
            ParamError: in strict mode, for a plugin or file that isn't there. Else the
                result is empty, and the log says why.

        """
        # templates give anything, such as a variable that isn't defined
        plugin = self.pin().active.get(as_text(plugin_name) or "")
        name = as_text(filename) or ""
        found = self._find(plugin, name) if plugin is not None else None
        version = self._hash(*found) if found is not None else None
        if version is None:
            return self._nothing(plugin, plugin_name, filename)
        url = url_for(
            self.endpoint,
            plugin_name=plugin_name,
            filename=filename,
            v=version,
            _external=_external,
        )
        extra = _attributes(attributes)
        if _raw is not True and filename.endswith(".css"):
            return Markup('<link rel="stylesheet" href="{}"{}>').format(url, extra)
        if _raw is not True and filename.endswith(".js"):
            return Markup('<script src="{}"{}></script>').format(url, extra)
        return Markup.escape(url)

    def _nothing(self, plugin: Plugin | None, name: str, filename: str) -> Markup:
        if plugin is None:
            reason = f"emit_assets: no active plugin {name!r} (for its file {filename!r})"
        else:
            reason = f"emit_assets: plugin {name!r} has no file {filename!r} in {_static(plugin)}"
        if self.strict():
            raise ParamError(reason)
        self.app.logger.warning("%s", reason)
        return Markup("")

    def _find(self, plugin: Plugin, filename: str) -> Found | None:
        """Return the path of a static file and what the system says of it.

        None if it isn't in the plugin's folder for them. A plugin's archive may hold links to
        anywhere: those that lead out of the folder aren't followed. Looked up once for each
        file that a path leads to, as that takes long.
        """
        folder = _static(plugin)
        if (path := safe_join(str(folder), filename)) is None:
            return None
        try:
            status = os.stat(path)  # noqa: PTH116 - no `Path` is made, for speed
            found = (status.st_dev, status.st_ino)
            if self._inside.get(path) != found:
                if not Path(path).resolve(strict=True).is_relative_to(folder.resolve()):
                    return None
                self._inside[path] = found
        except (OSError, ValueError, RuntimeError):
            return None
        return path, status

    def _hash(self, path: str, status: os.stat_result) -> str | None:
        """Return the hash of a file's content, None if it is no regular file.

        Computed once for each size and time of modification.
        """
        known = self._hashes.get(path)
        if known is not None and known[:2] == (status.st_mtime_ns, status.st_size):
            return known[2]
        if not S_ISREG(status.st_mode):
            return None
        try:
            with Path(path).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()[:HASH_LENGTH]
        except (OSError, ValueError):
            return None
        self._hashes[path] = (status.st_mtime_ns, status.st_size, digest)
        return digest


def _send_untrusted(plugin: Plugin, filename: str) -> Response:
    """Serve a static file of a plugin that nobody trusts; 404 if it isn't one to be served."""
    from flask_pluginkit.isolation.answers.files import file_headers, open_static

    scripts = "assets:script" in plugin.hosted.remote.permissions
    found = open_static(_static(plugin), filename, scripts=scripts)
    if found is None:
        abort(404)
    response = send_file(
        found.file,
        mimetype=found.content_type,
        last_modified=found.modified,
        etag=False,
        conditional=False,  # nor ranges: what is sent was looked at as a whole
    )
    response.headers.update(file_headers(found.content_type))
    response.content_length = found.size
    response.make_conditional(request)
    return response


def _asked_version() -> str | None:
    """Return the query's ``v``; a query that is no text has none, and is no reason to fail."""
    try:
        return request.args.get("v")
    except UnicodeDecodeError:
        return None


def _static(plugin: Plugin) -> Path:
    return plugin.candidate.folder / "static"


def _attributes(attributes: dict[str, Any]) -> Markup:
    """Return HTML attributes, each with a leading blank."""
    done = Markup("")
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        name = key.rstrip("_").replace("_", "-")
        form = Markup(" {}") if value is True else Markup(' {}="{}"')
        done += form.format(name, value)
    return done
