"""The overlay: on each page of an application in debug mode, what plugins did for it.

It is there if ``PLUGINKIT_OVERLAY`` is set and the application is in debug mode when
``PluginManager(app)`` is called. Otherwise nothing of this is imported, and nothing of it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flask import Flask, Response, request

from flask_pluginkit.live.stage import Stage
from flask_pluginkit.snapshot import Snapshot

from .pages import end_of_body, with_comments, without_markers
from .panel import STYLE, STYLE_PATH, comment, panel, stylesheet
from .traces import KEY, Page, TracedDcp, TracedRendering, TracedSlots, Tracer

LARGEST: Final = 8 << 20
"""Bytes of a page that is looked through, at most."""

_OF_CONTENT: Final = (
    "Content-Digest", "Content-MD5", "Digest", "ETag", "Last-Modified", "Repr-Digest",
)  # fmt: skip
"""Headers that say something of a page's content, which is another one with a panel."""


class Overlay:
    """Puts a panel on the pages of one application."""

    def __init__(self, app: Flask, pin: Callable[[], Snapshot], strict: Callable[[], bool]) -> None:
        self.app = app
        self.pin = pin
        tracer = self.tracer = Tracer(app)
        self.slots = TracedSlots(app, pin, strict)
        """What takes the place of `Slots`."""
        self.slots.tracer = tracer
        self.slots.rendering = TracedRendering
        self.dcp = TracedDcp(pin)
        """What takes the place of `DcpManager`."""
        self.dcp.tracer = tracer

    def attach(self, stage: Stage) -> None:
        """Stand around the application, and behind all that it does with a response."""
        stage.tables.replace(self.app, "wsgi_app", StyleLayer(self.app.wsgi_app))
        functions = self.app.after_request_funcs
        # Flask calls the last one first
        functions[None] = [self.finish, *functions.get(None, ())]
        stage.dispatchers.make_room("after_request_funcs")

    def finish(self, response: Response) -> Response:
        """Put the panel on a page; any other response loses its markers, and no more."""
        page = request.environ.get(KEY)
        if not isinstance(page, Page) or not _is_open(response):
            return response
        before = response.get_data()
        if len(before) > LARGEST:
            return response
        after = without_markers(before)
        if response.mimetype == "text/html":
            after = self._with_panel(before, page, response)
        if after != before:
            response.set_data(after)
            for name in _OF_CONTENT:
                response.headers.pop(name, None)
        return response

    def _with_panel(self, html: bytes, page: Page, response: Response) -> bytes:
        entries = {entry.number: entry for entry in page.entries}
        html = with_comments(
            html, page.token, lambda number, end: comment(entries.get(number), is_end=end)
        )
        end = end_of_body(html)
        if end < 0:
            return html
        active = self.pin().active
        shown = panel(
            page,
            view=self._view(),
            confined={
                name: row.confinement for name, row in active.items() if row.isolation != "trusted"
            },
            link=stylesheet(
                request.script_root, response.headers.getlist("Content-Security-Policy")
            ),
        )
        return html[:end] + shown + html[end:]

    def _view(self) -> str:
        """Tell in words what has answered the request."""
        endpoint = request.endpoint
        if endpoint is None:
            return "No view has answered: the page is an error's."
        owner = self.pin().owners.get(("endpoint", endpoint))
        whose = f"plugin {owner}" if owner else "the application"
        return f"The view {endpoint} of {whose} has answered."


def _is_open(response: Response) -> bool:
    """Tell whether a response is all there, and can be read."""
    return (
        response.is_sequence
        and not response.direct_passthrough
        and not response.headers.get("Content-Encoding")
        and not response.headers.get("Content-Range")
    )


class StyleLayer:
    """Serves the panel's stylesheet, whatever the application shuts."""

    def __init__(self, wsgi_app: Any) -> None:
        self.wsgi_app = wsgi_app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer for the stylesheet, or let the application answer."""
        if environ.get("PATH_INFO") != STYLE_PATH:
            return self.wsgi_app(environ, start_response)
        response = Response(STYLE.read_bytes(), mimetype="text/css")
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response(environ, start_response)
