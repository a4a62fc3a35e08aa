"""Dynamic connection points: functions that plugins and the host push at run time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any

from flask import current_app, has_app_context
from markupsafe import Markup

from flask_pluginkit.barrier import guard
from flask_pluginkit.exceptions import NotCallableError, PluginError
from flask_pluginkit.residents import OWNER, Resident
from flask_pluginkit.snapshot import Snapshot
from flask_pluginkit.text import clean

from .slots import fault_box, no_name

_FAILED: Any = object()

BEFORE = ("left", "before")
AFTER = ("right", "after")


class _Connection:
    """One function at one event, with the plugin that pushed it."""

    __slots__ = ("call", "callback", "owner", "variant")

    def __init__(
        self,
        event: str,
        callback: Callable[..., Any],
        owner: Resident | None,
        variant: tuple[str, ...] | None,
    ) -> None:
        self.callback = callback
        self.owner = owner
        self.variant = variant
        self.call = as_text(callback)
        if owner is not None:
            self.call = guard(self.call, owner, f"dcp {event}", _FAILED)


class DcpManager:
    """The dynamic connection points of one application.

    What a plugin pushes belongs to it: it is emitted while that plugin is active.
    """

    def __init__(self, pin: Callable[[], Snapshot] | None = None) -> None:
        self._pin = pin
        self._events: dict[str, deque[_Connection]] = {}
        self._lock = Lock()

    @property
    def list(self) -> dict[str, deque[Callable[..., Any]]]:
        """The functions by event, in the order in which they are called."""
        return {
            event: deque(connection.callback for connection in connections)
            for event, connections in self._events.items()
        }

    def push(
        self,
        event: str,
        callback: Callable[..., Any],
        position: str = "right",
        variant: tuple[str, ...] | None = None,
    ) -> None:
        """Add `callback` to `event`, for the plugin whose code is running.

        Args:
            event: any name; templates emit it with ``{{ emit_dcp("name") }}``.
            callback: called with the arguments of `emit`; returns text, a number, a list or
                tuple of these, or None.
            position: ``"right"`` or ``"after"`` for the end, ``"left"`` or ``"before"`` for
                the beginning.
            variant: for what ``register()`` returned: of which variant it is a part.

        Raises:
            PluginError: `event` or `position` is wrong.
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
        connection = _Connection(event, callback, self._owner(), variant)
        # emit() reads without the lock: so a deque is replaced, not changed
        with self._lock:
            before = self._events.get(event, ())
            first = position in BEFORE
            self._events[event] = deque((connection, *before) if first else (*before, connection))

    def _owner(self) -> Resident | None:
        """The plugin whose code is running, if it is one of this application."""
        owner = OWNER.get()
        if owner is None or self._pin is None or self._pin().site is not owner.home:
            return None
        return owner

    def remove(self, event: str, callback: Callable[..., Any]) -> bool:
        """Remove the first connection of `callback`; False if there is none."""
        with self._lock:
            rest = deque(self._events.get(event, ()))
            for connection in rest:
                if connection.callback == callback:
                    rest.remove(connection)
                    self._events[event] = rest
                    return True
        return False

    def owners(self, event: str) -> tuple[str, ...]:
        """Return the plugins that pushed to `event`, in order, active or not."""
        connections = self._events.get(event, ())
        return tuple(c.owner.name for c in connections if c.owner is not None)

    def forget(self, owner: Resident, *variants: tuple[str, ...] | None) -> None:
        """Remove what `owner` pushed as a part of these variants; None is at run time."""
        with self._lock:
            for event, connections in self._events.items():
                self._events[event] = deque(
                    c for c in connections if c.owner is not owner or c.variant not in variants
                )

    def emit(self, event: str, /, *args: Any, **kwargs: Any) -> Markup:
        """Call the functions of `event` and join what they return, as safe HTML."""
        try:
            connections = self._events.get(event)
        except TypeError:  # a list, for example
            if self._pin is None:
                raise
            return no_name("emit_dcp", "the name of an event", event, self._pin().site)
        if not connections:
            return Markup("")
        active = self._pin().active if self._pin is not None else {}
        results = []
        for connection in connections:
            owner = connection.owner
            if owner is not None:
                plugin = active.get(owner.name)
                if plugin is None or plugin.resident is not owner:
                    continue
                if connection.variant is not None and connection.variant != plugin.variant:
                    continue
            result = connection.call(*args, **kwargs)
            results.append(_in_place_of_fault(owner, event) if result is _FAILED else result)
        return Markup("".join(results))  # noqa: S704 - dcps return HTML


def _in_place_of_fault(owner: Resident | None, event: str) -> str:
    """Return nothing, or in debug mode a box that tells of the fault."""
    if owner is None or not (has_app_context() and current_app.debug):
        return ""
    error = (owner.last_fault.splitlines() or [""])[-1]
    return fault_box(owner.name, f"dcp {event}", clean(error))


def as_text(function: Callable[..., Any]) -> Callable[..., str]:
    """Wrap a connection's function so that whatever it returns becomes text.

    3.x failed at numbers; None and empty values are nothing, as there.
    """

    def call(*args: Any, **kwargs: Any) -> str:
        return _text(function(*args, **kwargs))

    call.__module__ = getattr(function, "__module__", call.__module__)
    return call


def _text(value: Any) -> str:
    match value:
        case None | False:
            return ""
        case bytes():
            return value.decode("utf-8")
        case list() | tuple():
            return "".join(_text(item) for item in value)
        case _:
            return str(value)


def push_dcp(event: str, callback: Callable[..., Any], position: str = "right") -> None:
    """Add `callback` to a dynamic connection point of the current application.

    Needs an application context. Without a `PluginManager` on that application nothing
    happens, as in 3.x.

    Args and errors: see `DcpManager.push`.
    """
    manager = current_app.extensions.get("pluginkit")
    if manager is not None:
        called = current_app.ensure_sync(callback)
        manager._dcp_manager.push(event, called, position)  # noqa: SLF001 - 3.x's name
