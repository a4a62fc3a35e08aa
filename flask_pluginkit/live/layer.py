"""The WSGI layer: what a request pays for plugins being live, and the pin that it gets."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Protocol

from flask import Flask

from flask_pluginkit.residents import OWNER
from flask_pluginkit.snapshot import ENVIRON_KEY, PIN, Snapshot

from .privacy import marking


class Hint(Protocol):
    """What tells that the shared state has changed."""

    @property
    def hint(self) -> int:
        """A number that is another one after each change; read from memory."""


class Live(Protocol):
    """What the layer asks of the application's side."""

    app: Flask
    current: Snapshot
    seen: int
    """The hint that `current` follows."""

    @property
    def store(self) -> Hint:
        """What tells that the state has changed."""

    def follow(self) -> None:
        """Bring `current` up to what the hint tells of; raises nothing."""


def _telling(start_response: Any, snapshot: Snapshot) -> Any:
    """Add headers that tell a developer which state was seen, and which plugins took how long.

    Times are those that passed in this process meanwhile: requests that run at the same time
    are in them.
    """
    before = _times(snapshot)

    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        spent = {name: total - before[name] for name, total in _times(snapshot).items()}
        timings = ", ".join(
            f"{name};dur={seconds * 1000:.2f}"
            for name, seconds in spent.items()
            if seconds and name.isascii()
        )
        headers.append(("X-Pluginkit-Generation", str(snapshot.generation)))
        if timings:
            headers.append(("Server-Timing", timings))
        return start_response(status, headers, *rest)

    return start


def _times(snapshot: Snapshot) -> dict[str, float]:
    return {
        name: sum(total for total, _slowest in row.times.values())
        for name, row in snapshot.active.items()
    }


class PinLayer:
    """Brings the snapshot up to date, and pins it for the length of a request."""

    def __init__(self, wsgi_app: Any, site: Live) -> None:
        self.wsgi_app = wsgi_app
        self.site = site
        # holds "update" as long as something waits to be settled (`live.routes`)
        self.map_state = vars(site.app.url_map)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Run the application with the snapshot pinned.

        The ContextVar is for everything inside this call. The environ is for what comes
        after it: streams and the teardown that follows them. The first request settles what
        it is to see; a conflict that raises then does so again below, where Flask handles it.
        """
        site = self.site
        if "update" in self.map_state:
            with suppress(Exception):
                site.app.url_map.update()
        if site.store.hint != site.seen:
            site.follow()
        environ[ENVIRON_KEY] = snapshot = site.current
        if snapshot.is_personal:
            start_response = marking(start_response, environ)
        if site.app.config["DEBUG"]:
            start_response = _telling(start_response, snapshot)
        if OWNER.get() is not None:
            # a request that a plugin's view sends to an application isn't that plugin's code
            return self._as_application(snapshot, environ, start_response)
        token = PIN.set(snapshot)
        try:
            return self.wsgi_app(environ, start_response)
        finally:
            PIN.reset(token)

    def _as_application(self, snapshot: Snapshot, environ: dict[str, Any], start: Any) -> Any:
        owner, token = OWNER.set(None), PIN.set(snapshot)
        try:
            return self.wsgi_app(environ, start)
        finally:
            PIN.reset(token)
            OWNER.reset(owner)
