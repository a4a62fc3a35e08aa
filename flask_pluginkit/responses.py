"""A response class whose error handlers and hooks may answer with plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Response, jsonify

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.wrappers import Response as BaseResponse


class JsonResponse(Response):
    """A `flask.Response` that makes JSON of dicts and lists wherever a response is wanted.

    Views may return those anyway. With ``app.response_class = JsonResponse`` so may everything
    that calls `force_type`.
    """

    @classmethod
    def force_type(cls, response: Any, environ: WSGIEnvironment | None = None) -> BaseResponse:
        """Return `response` as a response of this class; a dict or list becomes JSON."""
        if isinstance(response, dict | list):
            response = jsonify(response)
        return super().force_type(response, environ)
