"""The application that runs the plugin: Flask's own, with what differs in another process.

What nothing in the plugin handles isn't answered here but raised, as the host answers it. Hooks of
the whole application run here for requests of the plugin's own views, in the context of the
view; for all other pages the host asks for them one by one.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from flask import Flask, Response, request
from flask.signals import got_request_exception
from jinja2 import BaseLoader
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.routing import RoutingException

from flask_pluginkit.isolation.messages import (
    Spec,
)

from .environ import ASIDE, InnerRequest
from .templates import OwnEnvironment, OwnTemplates

BODY: Final = 16 << 20
"""Bytes of a request's body, as many as fit into a frame."""


class Unanswered(BaseException):
    """An HTTP error that nothing in the plugin handles; no fault of anybody's."""

    def __init__(self, error: HTTPException) -> None:
        super().__init__(error)
        self.error = error


class InnerFlask(Flask):
    """The application that a plugin's code takes for its host's."""

    jinja_environment = OwnEnvironment
    request_class = InnerRequest

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        super().__init__(
            spec.application,
            root_path=spec.folder,
            instance_path=_data_folder(spec),
            static_folder=None,
            template_folder="templates",
        )
        self.debug = spec.debug
        self.config["MAX_CONTENT_LENGTH"] = BODY
        self.config["PROPAGATE_EXCEPTIONS"] = False

    def create_global_jinja_loader(self) -> BaseLoader:  # type: ignore[override]
        """Return what finds the plugin's templates."""
        spec = self.spec
        return OwnTemplates(self, spec.plugin, Path(spec.folder), dict(spec.overrides))

    def handle_http_exception(self, e: HTTPException) -> Any:
        """Have the plugin's handlers answer an HTTP error, or leave it to the host."""
        answer = super().handle_http_exception(e)
        is_made = isinstance(e, RoutingException) or e.code is None or e.response is not None
        if answer is e and not is_made:
            raise Unanswered(e)
        return answer

    def handle_exception(self, e: Exception) -> Response:
        """Have the plugin's handler of error 500 answer, or raise the exception on."""
        got_request_exception.send(self, _async_wrapper=self.ensure_sync, exception=e)
        error = InternalServerError(original_exception=e)
        handler = self._find_error_handler(error, request.blueprints)
        if handler is None:
            raise e
        self.log_exception(sys.exc_info())
        return self.finalize_request(self.ensure_sync(handler)(error), from_error_handler=True)

    def should_ignore_error(self, error: BaseException | None) -> bool:
        """Tell whether an error is none for the functions that run at the end of a request."""
        return isinstance(error, Unanswered)

    def do_teardown_request(self, *args: Any, **kwargs: Any) -> None:
        """Run the functions for the end of a request of the plugin's own views."""
        if not request.environ.get(ASIDE):
            super().do_teardown_request(*args, **kwargs)


def _data_folder(spec: Spec) -> str:
    """Return the plugin's own folder, or a place that isn't there if it has none."""
    folder = tempfile.tempdir or os.environ.get("TMPDIR")
    return folder if spec.files and folder else str(Path(spec.folder) / "instance")
