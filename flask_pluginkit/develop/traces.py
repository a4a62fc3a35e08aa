"""What one page asked of plugins, and what puts that down while the page is made.

Nothing here is imported unless the overlay is on. Then a slot's parts are rendered one by one,
each between two markers; functions at events and hooks are wrapped. Markers are HTML comments,
which `pages` makes readable where they stand as such, and takes away everywhere else.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Final

from flask import Flask, has_request_context, request
from markupsafe import Markup

from flask_pluginkit.bundles import Slot
from flask_pluginkit.frozen import replace
from flask_pluginkit.live.dcp import FAILED, Connections, DcpManager
from flask_pluginkit.live.remote_slots import pieces
from flask_pluginkit.live.slots import Rendering, Slots, fault_box
from flask_pluginkit.points import Hook, TemplatePart
from flask_pluginkit.snapshot import APPLICATION, Chain, Snapshot
from flask_pluginkit.text import clean

KEY: Final = "flask_pluginkit.develop"
"""Where a request keeps what was put down, in its environ."""

MOST: Final = 1000
"""How many entries of one page are kept."""

SHOWN: Final = 60
"""How much is shown of a part's code."""


class Entry:
    """One thing that a plugin did for a page."""

    __slots__ = ("depth", "kind", "note", "number", "place", "plugin", "seconds", "what")

    def __init__(self, number: int, depth: int, named: tuple[str, str, str, str]) -> None:
        self.number = number
        self.depth = depth
        """Inside of how many others."""
        self.kind, self.place, self.plugin, self.what = named
        """``slot``, ``event`` or ``hook``; its name; whose; a template, code or function."""
        self.seconds = 0.0
        """With what was done inside of it."""
        self.note = ""


class Page:
    """What plugins did for one page."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(4)
        """What tells this page's markers from those of others."""
        self.entries: list[Entry] = []
        self.offered: dict[tuple[str, str], None] = {}
        """The kinds and names of all slots and events, also of those that nobody fills."""
        self.left_out = 0
        self._depth = 0

    @contextmanager
    def noting(self, kind: str, place: str, plugin: str, what: str) -> Iterator[Entry]:
        """Put down what happens in the block, with its time and the error that it raises."""
        entry = Entry(len(self.entries) + 1, self._depth, (kind, place, plugin, what))
        if entry.number <= MOST:
            self.entries.append(entry)
        else:
            self.left_out += 1
        self._depth += 1
        started = perf_counter()
        try:
            yield entry
        except BaseException as error:
            entry.note = f"raised {type(error).__name__}"
            raise
        finally:
            entry.seconds = perf_counter() - started
            self._depth -= 1

    def marked(self, entry: Entry, text: str) -> str:
        """Return what stands on the page for an entry, between markers.

        What shows nothing gets none: templates ask whether a slot is empty.
        """
        if not text.strip():
            entry.note = entry.note or "nothing"
            return text
        if entry.number > MOST:
            return text
        begin, end = (f"<!--pluginkit:{self.token}:{entry.number}{end}-->" for end in ("", ":end"))
        return f"{begin}{text}{end}"


class Tracer:
    """Puts down what plugins do for the pages of one application, as long as it's in debug mode."""

    def __init__(self, app: Flask) -> None:
        self.app = app

    @property
    def page(self) -> Page | None:
        """The page that is being made, if that is of interest."""
        if not self.app.debug or not has_request_context():
            return None
        environ = request.environ
        page = environ.get(KEY)
        if not isinstance(page, Page):
            page = environ[KEY] = Page()
        return page

    def hooks(self, snapshot: Snapshot) -> Snapshot:
        """Return a snapshot like `snapshot` whose hooks are put down."""
        chains = {key: self._chain(key[0], chain) for key, chain in snapshot.hooks.items()}
        return replace(snapshot, hooks=chains)

    def _chain(self, table: str, chain: Chain) -> Chain:
        place = table.removesuffix("_funcs")
        hooks = tuple(replace(hook, function=self._hook(place, hook)) for hook in chain.hooks)
        return Chain(hooks, tuple((hook.function, hook.meter) for hook in hooks))

    def _hook(self, place: str, hook: Hook) -> Callable[..., Any]:
        function, what = hook.function, named(hook.function)
        place = f"{place} of {hook.scope}" if hook.scope else place

        def traced(*args: Any) -> Any:
            page = self.page
            if page is None:
                return function(*args)
            with page.noting("hook", place, hook.owner, what) as entry:
                answer = function(*args)
                if answer is not None and place.startswith("before_request"):
                    entry.note = "answered"
                return answer

        return traced


def named(function: object) -> str:
    """Return how a function is called, for people."""
    name = getattr(function, "__qualname__", None) or type(function).__name__
    return clean(name, SHOWN)


class TracedSlots(Slots):
    """Slots whose parts are put down and marked."""

    tracer: Tracer

    def emit(self, tep: str, typ: str = "all", **context: Any) -> Markup:
        """Render a slot, as `Slots.emit`."""
        page = self.tracer.page
        if page is not None and isinstance(tep, str):
            page.offered["slot", tep] = None
        return super().emit(tep, typ, **context)

    def _emit_remote(
        self, snapshot: Snapshot, slot: Slot, parts: tuple[TemplatePart, ...], context: Any
    ) -> str:
        page = self.tracer.page
        if page is None:
            return super()._emit_remote(snapshot, slot, parts, context)
        own = self.own_renderer(snapshot, context)
        done = []
        for piece in pieces(snapshot, slot, parts, context, own, fault_box):
            part = piece.part
            if part is None:
                done.append(piece.text)  # trusted plugins' parts, marked by `TracedRendering`
                continue
            with page.noting("slot", part.slot, part.owner, clean(part.text, SHOWN)) as entry:
                entry.note = "failed" if piece.has_failed else ""
                done.append(page.marked(entry, piece.text))
            entry.seconds = piece.seconds
        return "".join(done)


class TracedRendering(Rendering):
    """One emit whose parts are put down and marked."""

    def __init__(self, slots: TracedSlots, snapshot: Snapshot, variables: dict[str, Any]) -> None:
        super().__init__(slots, snapshot, variables)
        self.page = slots.tracer.page

    def render(self, parts: tuple[TemplatePart, ...]) -> str:
        """Render the parts, as `Rendering.render`."""
        page = self.page
        if page is None:
            return super().render(parts)
        return "".join([self._one(page, part) for part in parts])

    def _one(self, page: Page, part: TemplatePart) -> str:
        errors = part.meter.errors
        what = part.text if part.is_file else " ".join(part.text.split())
        with page.noting("slot", part.slot, part.owner, clean(what, SHOWN)) as entry:
            text = super().render((part,))
        if part.meter.errors != errors:
            entry.note = "failed"
        return page.marked(entry, text)


class TracedDcp(DcpManager):
    """Dynamic connection points whose functions are put down and marked."""

    tracer: Tracer

    def emit(self, event: str, /, *args: Any, **kwargs: Any) -> Markup:
        """Call the functions of an event, as `DcpManager.emit`."""
        page = self.tracer.page
        if page is not None and isinstance(event, str):
            page.offered["event", event] = None
        return super().emit(event, *args, **kwargs)

    def _called(self, event: str, connections: Connections) -> Connections:
        called = super()._called(event, connections)
        page = self.tracer.page
        if page is None:
            return called
        found = []
        for connection in called:
            traced = copy.copy(connection)
            owner = APPLICATION if connection.owner is None else connection.owner.name
            named_so = ("event", event, owner, named(connection.callback))
            traced.call = _traced_call(page, connection.call, named_so)
            found.append(traced)
        return tuple(found)


def _traced_call(
    page: Page, function: Callable[..., Any], names: tuple[str, str, str, str]
) -> Callable[..., Any]:
    def traced(*args: Any, **kwargs: Any) -> Any:
        with page.noting(*names) as entry:
            text = function(*args, **kwargs)
        if text is FAILED:
            entry.note = "failed"
            return text
        return page.marked(entry, text)

    return traced
