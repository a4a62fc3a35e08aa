"""Dynamic connection points: functions that plugins and the host push at run time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from flask import current_app, has_app_context
from markupsafe import Markup

from flask_pluginkit.barrier import guard
from flask_pluginkit.functions import BEFORE, check_connection, connected_text
from flask_pluginkit.residents import OWNER, Resident
from flask_pluginkit.snapshot import Snapshot
from flask_pluginkit.text import clean

from .keeping import RECORDING, Recorder
from .slots import fault_box, no_name

FAILED: Any = object()
"""What a call gives in place of text if it failed."""

_AT_START, _WHEN_READY, _AT_RUN_TIME = range(3)


class _Connection:
    """One function at one event, with the plugin that pushed it."""

    __slots__ = ("call", "callback", "first", "owner", "recording", "time")

    def __init__(
        self,
        event: str,
        callback: Callable[..., Any],
        first: bool,
        owner: Resident | None,
        recorder: Recorder | None,
    ) -> None:
        self.callback = callback
        self.first = first
        """Whether it went to the beginning."""
        self.owner = owner
        self.recording: int | None = None
        """Of what it is a part, if the plugin registered it; it goes and comes with that."""
        self.time = _AT_RUN_TIME
        """When it was pushed, or would have been in an application that starts now."""
        if owner is not None and recorder is not None:
            self.recording = recorder.serial
            self.time = _WHEN_READY if recorder.serial is None else _AT_START
        self.call = as_text(callback)
        if owner is not None:
            self.call = guard(self.call, owner, f"dcp {event}", FAILED)


Connections = tuple[_Connection, ...]


class DcpManager:
    """The dynamic connection points of one application.

    What a plugin pushes belongs to it: it is emitted while that plugin is active.
    """

    def __init__(self, pin: Callable[[], Snapshot] | None = None) -> None:
        self._pin = pin
        self._events: dict[str, Connections] = {}
        """What was pushed, in that order."""
        self._known: dict[str, tuple[Connections, int, Connections]] = {}
        """What is called of that in one snapshot, by whose serial number."""
        self._lock = Lock()

    @property
    def list(self) -> dict[str, deque[Callable[..., Any]]]:
        """The functions by event, in the order in which they are called."""
        return {
            event: deque(connection.callback for connection in self._in_order(connections))
            for event, connections in self._events.items()
        }

    def push(self, event: str, callback: Callable[..., Any], position: str = "right") -> None:
        """Add `callback` to `event`, for the plugin whose code is running.

        Args:
            event: any name; templates emit it with ``{{ emit_dcp("name") }}``.
            callback: called with the arguments of `emit`; returns text, a number, a list or
                tuple of these, or None.
            position: ``"right"`` or ``"after"`` for the end, ``"left"`` or ``"before"`` for
                the beginning.

        Raises:
            PluginError: `event` or `position` is wrong.
            NotCallableError: `callback` is no function.

        """
        check_connection(event, callback, position)
        first = position in BEFORE
        connection = _Connection(event, callback, first, self._owner(), RECORDING.get())
        # emit() reads without the lock
        with self._lock:
            self._events[event] = (*self._events.get(event, ()), connection)

    def _owner(self) -> Resident | None:
        """The plugin whose code is running, if it is one of this application."""
        owner = OWNER.get()
        if owner is None or self._pin is None or self._pin().site is not owner.home:
            return None
        return owner

    def remove(self, event: str, callback: Callable[..., Any]) -> bool:
        """Remove the first connection of `callback`; False if there is none."""
        with self._lock:
            connections = self._events.get(event, ())
            for found in self._in_order(connections):
                if found.callback == callback:
                    self._events[event] = tuple(c for c in connections if c is not found)
                    return True
        return False

    def owners(self, event: str) -> tuple[str, ...]:
        """Return the plugins that pushed to `event`, in order, active or not."""
        connections = self._in_order(self._events.get(event, ()))
        return tuple(c.owner.name for c in connections if c.owner is not None)

    def _in_order(self, connections: Connections) -> deque[_Connection]:
        """Return connections in the order of an application that starts now.

        In that plugins push in plugin order what they register, then when all is ready, and
        everybody the rest at run time.
        """
        rows = self._pin().plugins if self._pin is not None else ()
        places = {row.resident: place for place, row in enumerate(rows)}
        ordered: deque[_Connection] = deque()
        for connection in sorted(connections, key=lambda one: _order(one, places)):
            (ordered.appendleft if connection.first else ordered.append)(connection)
        return ordered

    def _called(self, event: str, connections: Connections) -> Connections:
        """Return those of an event that are called in the pinned snapshot, in their order."""
        if self._pin is None:
            return tuple(self._in_order(connections))
        snapshot = self._pin()
        known = self._known.get(event)
        if known is None or known[0] is not connections or known[1] != snapshot.serial:
            found = self._in_order(connections)
            called = tuple(each for each in found if _is_active(each, snapshot))
            known = self._known[event] = (connections, snapshot.serial, called)
        return known[2]

    def forget(self, owner: Resident, *recordings: int | None) -> None:
        """Remove what `owner` pushed as a part of these recordings; None is at run time."""
        with self._lock:
            for event, connections in self._events.items():
                self._events[event] = tuple(
                    c for c in connections if c.owner is not owner or c.recording not in recordings
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
        results = []
        for connection in self._called(event, connections):
            result = connection.call(*args, **kwargs)
            if result is FAILED:
                result = _in_place_of_fault(connection.owner, event)
            results.append(result)
        return Markup("".join(results))  # noqa: S704 - dcps return HTML


def _order(connection: _Connection, places: Mapping[Resident, int]) -> tuple[int, int]:
    """Return by what connections are sorted that are in the order of their pushes."""
    owner, when = connection.owner, connection.time
    if owner is None or when == _AT_RUN_TIME:
        return when, 0
    return when, places.get(owner, len(places))


def _is_active(connection: _Connection, snapshot: Snapshot) -> bool:
    """Tell whether a connection is live; those of the application are."""
    if connection.owner is None:
        return True
    row = snapshot.active.get(connection.owner.name)
    return (
        row is not None
        and row.resident is connection.owner
        and connection.recording in {None, row.recording}
    )


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
        return connected_text(function(*args, **kwargs))

    call.__module__ = getattr(function, "__module__", call.__module__)
    return call


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
