"""What is asked of functions that plugins hand over, wherever the plugin runs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

from .exceptions import NotCallableError, PluginError

BEFORE: Final = ("left", "before")
AFTER: Final = ("right", "after")
"""Where a function goes among those of a dynamic connection point."""
PRIVATE: Final = "_pluginkit_part_"
"""A name among Jinja's globals that begins so is for the plugin's own part of a slot."""
_PART: Final = rf"\{{\{{ {PRIVATE}(\w+)_[0-9a-f]{{8}}\("


def private_name(function: str, mark: bytes) -> str:
    """Return a name among the globals that nobody else has, unless his `mark` is equal."""
    readable = re.sub(r"\W", "_", function, flags=re.ASCII)
    return f"{PRIVATE}{readable}_{sha256(mark).hexdigest()[:8]}"


def called_function(code: str) -> str | None:
    """Return the name of the function that is all of a slot's code, None if there is more to it."""
    match = re.match(_PART, code)
    return match[1] if match else None


def takes_argument(function: Callable[..., Any]) -> bool:
    """Tell whether a function can be called with one argument; a builtin may not tell."""
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def check_connection(event: object, callback: object, position: object) -> None:
    """Check what is pushed to a dynamic connection point.

    Raises:
        PluginError: `event` is no name, or `position` none of the four.
        NotCallableError: `callback` is no function.

    """
    if not event or not isinstance(event, str):
        raise PluginError(f"Invalid event: expected non-empty text, found {event!r}")
    if not callable(callback):
        raise NotCallableError(f"The event {event} cannot be called: found {callback!r}")
    if position not in BEFORE + AFTER:
        raise PluginError(
            f"Invalid position: expected one of {', '.join(BEFORE + AFTER)}, found {position!r}"
        )


def connected_text(value: object) -> str:
    """Return as text what a dynamic connection point's function returned.

    Nothing for None and False; lists and tuples are joined. Raises UnicodeDecodeError for bytes
    that are no UTF-8.
    """
    match value:
        case None | False:
            return ""
        case bytes():
            return value.decode("utf-8")
        case list() | tuple():
            return "".join([connected_text(item) for item in value])
        case _:
            return str(value)
