"""Dynamic connection points of the plugin: what it pushes, in its own process."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from flask import current_app
from markupsafe import Markup

from flask_pluginkit.functions import BEFORE, check_connection, connected_text

_log = logging.getLogger(__name__)


class Connections:
    """Functions by event, as 3.x's ``DcpManager`` has them."""

    def __init__(self) -> None:
        self.pushed: list[tuple[str, Callable[..., Any], str]] = []
        """Event, function and position, in the order in which they were pushed."""
        self.is_described = False
        """Whether the host knows them already: what comes now it never asks for."""

    @property
    def list(self) -> dict[str, deque[Callable[..., Any]]]:
        """The functions by event, in the order in which they are called."""
        events: dict[str, deque[Callable[..., Any]]] = {}
        for event, function, position in self.pushed:
            functions = events.setdefault(event, deque())
            (functions.appendleft if position in BEFORE else functions.append)(function)
        return events

    def push(self, event: str, callback: Callable[..., Any], position: str = "right") -> None:
        """Add `callback` to `event`.

        Raises:
            PluginError: `event` or `position` is wrong.
            NotCallableError: `callback` is no function.

        """
        check_connection(event, callback, position)
        if self.is_described:
            _log.warning(
                "push_dcp(%r) came too late to be seen by the host's pages: push in "
                "on_app_ready(), or return it from register()",
                event,
            )
        self.pushed.append((event, callback, position))

    def remove(self, event: str, callback: Callable[..., Any]) -> bool:
        """Remove the first connection of `callback`; False if there is none."""
        for row in self.pushed:
            if row[:2] == (event, callback):
                self.pushed.remove(row)
                return True
        return False

    def emit(self, event: str, /, *args: Any, **kwargs: Any) -> Markup:
        """Call the plugin's own functions of `event` and join what they return."""
        functions = self.list.get(event, ())
        joined = "".join(connected_text(function(*args, **kwargs)) for function in functions)
        return Markup(joined)  # noqa: S704 - dcps return HTML


def push_dcp(event: str, callback: Callable[..., Any], position: str = "right") -> None:
    """Add `callback` to a dynamic connection point; needs an application context."""
    manager = current_app.extensions.get("pluginkit")
    if manager is not None:
        manager._dcp_manager.push(  # noqa: SLF001 - 3.x's name
            event, current_app.ensure_sync(callback), position
        )
