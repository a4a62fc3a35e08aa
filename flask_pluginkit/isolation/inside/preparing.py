"""What is done once, before workers are forked: each of them would do it anew otherwise.

A first request, a first template and a first rule make Python, Flask and Jinja import and compile
things of their own, which takes longer than loading a small plugin.
"""

from __future__ import annotations

import mimetypes
import traceback

from flask import Flask, abort, jsonify, render_template_string, url_for

import flask_pluginkit.authoring  # noqa: F401 - many plugins ask for it at once
from flask_pluginkit.isolation.messages import (
    Page,
)

from .environ import environ_of

_PAGE = "{% for name in names %}{{ loop.index }} {{ name|upper }}{% else %}none{% endfor %}"


def know_types() -> None:
    """Read the system's table of file types, if that is allowed, before it is needed.

    A confined process sees that there is one, and can't open it: its first static file would
    fail.
    """
    if not mimetypes.inited:
        try:
            mimetypes.init()
        except OSError:
            mimetypes.knownfiles.clear()
            mimetypes.init()


def prepare() -> None:
    """Serve some requests with an application that is thrown away."""
    know_types()
    app = Flask(__name__, root_path="/", instance_path="/instance", static_folder=None)
    app.add_url_rule("/<int:number>/<path:rest>", "page", _page)
    app.add_url_rule("/data", "data", lambda: jsonify(url=url_for("page", number=1, rest="x")))
    app.add_url_rule("/gone", "gone", lambda: abort(410))
    for path in ("/1/x", "/data", "/gone"):
        environ = environ_of(Page(path=path, query="a=1", headers=[("Accept", "*/*")]))
        list(app.wsgi_app(environ, lambda *_begun: lambda _written: None))
    try:
        abort(500)
    except Exception as error:  # noqa: BLE001 - for the modules that telling of one needs
        traceback.format_exception(error)


def _page(number: int, rest: str) -> str:
    return render_template_string(_PAGE, names=[str(number), rest])
