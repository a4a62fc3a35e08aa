"""Helpers of 3.x under the import paths that applications and plugins use.

Those that have a home elsewhere are handed on; the others are small checks of texts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from semver import Version

from .attribution import Attribution
from .kinds import is_prefix
from .live.dcp import DcpManager
from .pip import is_venv, pip_install, pip_list, pip_show
from .responses import JsonResponse
from .storage import BaseStorage, ExpiredLocalStorage, LocalStorage, RedisStorage
from .versions import is_compatible_with_us, is_semantic

__all__ = [
    "Attribution",
    "BaseStorage",
    "DcpManager",
    "ExpiredLocalStorage",
    "JsonResponse",
    "LocalStorage",
    "RedisStorage",
    "allowed_uploaded_plugin_suffix",
    "check_url",
    "isValidPrefix",
    "isValidSemver",
    "is_match_version_req",
    "is_venv",
    "pip_install",
    "pip_list",
    "pip_show",
    "sortedSemver",
]

_ARCHIVES: Final = (".tar.gz", ".tgz", ".zip")

_URL: Final = re.compile(
    r"""(?a:
        https?://
        (?:
            localhost
            | (?: [a-z0-9] (?: [a-z0-9-]{0,61} [a-z0-9] )? \. )+ [a-z0-9-]{2,} \.?
            | [0-9]{1,3} (?: \. [0-9]{1,3} ){3}
        )
        (?: : [0-9]+ )?
    )
    (?: / | [/?] \S+ )?  # here blanks of all scripts end it
    """,
    re.IGNORECASE | re.VERBOSE,
)


def isValidPrefix(prefix: Any, allow_none: bool = False) -> bool:
    """Tell whether `prefix` can be the URL prefix of a blueprint, such as ``/notes``."""
    return allow_none is True if prefix is None else is_prefix(prefix)


def isValidSemver(version: Any) -> bool:
    """Tell whether `version` is a semantic version, such as 1.0.0 or 1.0.0-beta."""
    return is_semantic(version)


def sortedSemver(versions: Sequence[str], sort: str = "ASC") -> list[str]:
    """Return `versions` in the order of semantic versions, with ``sort="DESC"`` highest first.

    Raises TypeError if that isn't a list or tuple with something in it, and ValueError if one
    of several isn't a semantic version.
    """
    if not versions or not isinstance(versions, list | tuple):
        raise TypeError("expected a list or tuple of versions")
    if len(versions) == 1:  # with nothing to compare it with, 3.x took any text
        return list(versions)
    return sorted(versions, key=Version.parse, reverse=sort.upper() == "DESC")


def is_match_version_req(appversion: str | bytes | None = None) -> bool:
    """Tell whether the release part of this version of Flask-PluginKit is in a range.

    `appversion` is what plugins give as ``__appversion__``, such as ``>=3.11.0,<5``; nothing is
    every version. What isn't a range is no match.
    """
    if not appversion:
        return True
    try:
        text = appversion.decode() if isinstance(appversion, bytes) else appversion
        return is_compatible_with_us(text)
    except ValueError:
        return False


def allowed_uploaded_plugin_suffix(filename: Any) -> bool:
    """Tell whether `filename` ends like an archive that plugins are installed from."""
    return isinstance(filename, str) and filename.endswith(_ARCHIVES)


def check_url(addr: Any) -> bool:
    """Tell whether `addr` is an http or https URL of a host name with a dot, or of localhost.

    Other URLs, such as those with a user name, aren't recognised. It says nothing about where
    the host is.
    """
    return isinstance(addr, str) and _URL.fullmatch(addr) is not None
