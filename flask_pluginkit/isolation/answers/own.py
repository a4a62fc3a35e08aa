"""What of the site is a plugin's own: names that begin with its own, and paths."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Protocol
from urllib.parse import quote

from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.permissions import permissions_of

ASSETS: Final = "/assets"
"""Where the static files of all plugins lie, unless the host says otherwise."""


class AnswerError(PluginError):
    """A plugin answered what it must not, or what nobody can use."""


class Place(Protocol):
    """Where a request went: a `flask.Request` is one, and a `messages.Page`."""

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""

    @property
    def host(self) -> str:
        """With the port, where that isn't the usual one."""

    @property
    def root_path(self) -> str:
        """Where the application is mounted, without a slash at the end."""

    @property
    def path(self) -> str:
        """Below `root_path`, decoded."""


def named(text: str) -> frozenset[str]:
    """Return the words of `text`, for lists of names that are to be read at a glance."""
    return frozenset(text.split())


def own_prefix(plugin: str) -> str:
    """Return what names of a plugin's own begin with: cookies, classes and ids in pages.

    Of the characters that a plugin's name may have, only those that may stand in all of them.
    Two plugins may have one prefix: the paths of cookies, not their names, keep them apart.
    """
    return f"{re.sub('[^A-Za-z0-9_-]', '_', plugin)}-"


def own_paths(plugin: str, permissions: Iterable[str]) -> tuple[str, ...]:
    """Return the paths at and below which a plugin's rules lie, decoded, below the root.

    The first one is ``/<plugin>``; the others were granted by ``routes:``.
    """
    granted = [text for text in permissions if text.startswith("routes:")]
    return (f"/{plugin}", *permissions_of(granted).paths)


def own_assets(plugin: str, assets: str = ASSETS) -> str:
    """Return the path below which a plugin's static files lie, decoded, below the root."""
    return f"{assets.rstrip('/')}/{plugin}/"


def in_url(path: str) -> str:
    """Return a decoded path as it stands in URLs, and in headers that list them."""
    return quote(path, safe="/-._~")
