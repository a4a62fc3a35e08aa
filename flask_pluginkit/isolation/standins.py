"""Functions that stand in the host for those of an isolated plugin.

Each asks the plugin's worker, and believes of the answer what `answers` lets pass. A worker
that is gone, too slow or talks nonsense is a fault of the plugin: its views answer 502 or 503,
its guards 503, and the barrier leaves out the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn

from flask import Response, abort, current_app, has_request_context, request
from markupsafe import Markup
from werkzeug.exceptions import HTTPException, default_exceptions

from flask_pluginkit.barrier import on_fault
from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.points import GUARDS
from flask_pluginkit.residents import Meter, Resident
from flask_pluginkit.text import describe

from .answers import headers
from .answers.fragments import LONGEST
from .client.pool import Streamed
from .faults import PluginFault, raised, value_of
from .messages import (
    Aborted,
    Answer,
    Broken,
    Call,
    FunctionInfo,
    Head,
)
from .pages import cookies_of_site, page_of, page_of_view
from .remote import Remote
from .stages import Stages
from .wire import DeadlineError, plain


class Standins:
    """Makes the functions of one plugin."""

    def __init__(self, remote: Remote, resident: Resident, stages: Stages) -> None:
        self.remote = remote
        self.stages = stages
        self.resident = resident

    def view(self, endpoint: str) -> Callable[..., Response]:
        """Return what stands for the views behind one endpoint."""
        meter = self.resident.meter(f"view {endpoint}")

        def visit(**_values: Any) -> Response:
            try:
                page = page_of_view(self.remote, request)
                visited = self.remote.visit(page, self._body())
                return self._response(visited, endpoint, bool(page.user))
            except PluginFault:
                raise
            except PluginError as error:
                self._unavailable(meter, error)

        visit.__name__ = endpoint.rpartition(".")[2]
        return visit

    def _body(self) -> bytes:
        limit = self.remote.settings.body
        if (request.content_length or 0) > limit:
            abort(413)
        data = request.stream.read(limit + 1)
        if len(data) > limit:
            abort(413)
        return data

    def _response(self, visited: Streamed, endpoint: str, is_private: bool) -> Response:
        first = visited.reply
        self.remote.log(first.records)
        if isinstance(first, Aborted):
            if first.code not in default_exceptions:
                raise PluginFault(f"plugin {self.remote.plugin!r} aborted with {first.code}")
            # by its name: of some errors the first argument becomes a header
            abort(first.code, description=first.description)
        if isinstance(first, Broken):
            raised(first.failure, self.remote.plugin, f"view {endpoint}")
        assert isinstance(first, Head)  # `Results` are in reply to a `Batch` only
        body: Any = self._stream(visited, first) if first.more else first.body
        return self._make(first.status, first.headers, body, is_private)

    def _stream(self, visited: Streamed, head: Head) -> Iterator[bytes]:
        # a generator: closed with the response, which lets go of the connection
        with visited:
            if head.body:
                yield head.body
            for chunk in visited:
                self.remote.log(chunk.records)
                if chunk.failure is not None:
                    raised(chunk.failure, self.remote.plugin, "its streamed response")
                yield chunk.data

    def _make(
        self, status: int, given: Iterable[tuple[str, str]], body: Any, is_private: bool
    ) -> Response:
        remote = self.remote
        kept = headers.response_headers(
            status,
            given,
            plugin=remote.plugin,
            permissions=remote.permissions,
            level=remote.level,
            page=request,
            is_private=is_private,
            assets=remote.assets,
            hidden=cookies_of_site(),
        )
        response = Response(body, status=status, headers=kept)
        if remote.level == "isolated" and _may_become_markup(response):
            # a script of the site may put it into a page, where no policy holds it
            response.set_data(remote.fragment(_beginning(response)))
        return response

    def hook(self, table: str, references: Sequence[int]) -> Callable[..., Any]:
        """Return what stands for all functions of the plugin in one table of hooks."""
        self.remote.hooks[table] = tuple(references)
        make: dict[str, Callable[[str], Callable[..., Any]]] = {
            "before_request_funcs": self._before_request,
            "after_request_funcs": self._after_request,
            "teardown_request_funcs": self._teardown_request,
            "template_context_processors": self._context_processor,
        }
        return make[table](table)

    def _before_request(self, table: str) -> Callable[[], Response | None]:
        meter = self.resident.meter("before_request")

        def before_request() -> Response | None:
            if self._is_own_page():
                return None
            try:
                for result in self.stages.hook(self.remote, table):
                    if isinstance(result, Answer):
                        return self._make(result.status, result.headers, result.body, True)
                    value_of(result, self.remote.plugin, meter.point)
            except HTTPException:
                raise
            except PluginError as error:
                if self.resident.optional:
                    raise
                self._unavailable(meter, error)
            return None

        return before_request

    def _after_request(self, _table: str) -> Callable[[Response], Response]:
        remote = self.remote

        def after_request(response: Response) -> Response:
            if self._is_own_page():
                return response
            is_open = "html:raw" in remote.permissions and not response.is_streamed
            for reference in remote.hooks["after_request_funcs"]:
                shown = headers.shown_headers(response.headers)
                body = response.get_data() if is_open else None
                call = Call(reference=reference, args=[response.status_code, shown, body])
                [result] = remote.ask(page_of(remote), [call])
                if isinstance(result, Answer):
                    headers.change(response, result, remote.plugin, may_change_body=is_open)
                else:
                    value_of(result, remote.plugin, "after_request")
            return response

        return after_request

    def _teardown_request(self, table: str) -> Callable[[BaseException | None], None]:
        def teardown_request(error: BaseException | None) -> None:
            if self._is_own_page():
                return
            args = [None if error is None else type(error).__name__]
            for result in self.stages.hook(self.remote, table, args):
                value_of(result, self.remote.plugin, "teardown_request")

        return teardown_request

    def _is_own_page(self) -> bool:
        """Tell whether one of its views answers: its hooks run around that, in its process."""
        return has_request_context() and request.endpoint in self.remote.endpoints

    def _context_processor(self, table: str) -> Callable[[], dict[str, Any]]:
        def context() -> dict[str, Any]:
            merged: dict[str, Any] = {}
            for result in self.stages.hook(self.remote, table):
                given = value_of(result, self.remote.plugin, "context processor")
                if not isinstance(given, dict) or not all(type(name) is str for name in given):
                    raise PluginFault(
                        f"plugin {self.remote.plugin!r}: a context processor returned "
                        f"{describe(given)}, expected a dict with text as keys"
                    )
                merged |= given
            if self.remote.level == "isolated":
                # as of what it told at its start: others have these names in every template
                taken = current_app.jinja_env.globals
                merged = {name: value for name, value in merged.items() if name not in taken}
            return merged

        return context

    def error_handler(self, code: int, reference: int) -> Callable[[Exception], Any]:
        """Return what stands for a handler of an HTTP error."""

        def handle(error: Exception) -> Any:
            described = [code, getattr(error, "name", ""), getattr(error, "description", None)]
            call = Call(reference=reference, args=described)
            [result] = self.remote.ask(page_of(self.remote), [call])
            if isinstance(result, Answer):
                return self._make(result.status, result.headers, result.body, True)
            value_of(result, self.remote.plugin, f"errorhandler {code}")
            return error

        return handle

    def function(self, info: FunctionInfo) -> Callable[..., Any]:
        """Return what stands for a filter or a test: it takes and gives plain data."""

        def ask(*args: Any, **kwargs: Any) -> Any:
            call = Call(reference=info.reference, args=plain(args), kwargs=plain(kwargs))
            value = self.remote.ask_memoised(page_of(self.remote), call, f"{info.kind} {info.name}")
            return bool(value) if info.kind == "test" else value

        ask.__name__ = info.name
        return ask

    def connection(self, info: FunctionInfo) -> Callable[..., Markup]:
        """Return what stands for a function at a dynamic connection point."""

        def connect(*args: Any, **kwargs: Any) -> Markup:
            call = Call(reference=info.reference, args=plain(args), kwargs=plain(kwargs))
            [result] = self.remote.ask(page_of(self.remote), [call])
            return self.remote.fragment(value_of(result, self.remote.plugin, f"dcp {info.name}"))

        connect.__name__ = info.name
        return connect

    def _unavailable(self, meter: Meter, error: PluginError) -> NoReturn:
        """Count and tell a fault of the plugin's process, and answer with a page that says so."""
        on_fault(self.resident, meter, error, None, final=True)
        abort(
            503 if meter.point in _GUARD_POINTS or isinstance(error, DeadlineError) else 502,
            f"The plugin {self.remote.plugin!r} can't answer at the moment.",
        )


def _may_become_markup(response: Response) -> bool:
    """Tell whether a script of the site may make a part of a page of it."""
    kind = response.mimetype or ""
    return headers.is_for_script(dict(request.headers)) and (
        kind.startswith("text/") or kind.endswith("xml") or "HX-Request" in request.headers
    )


def _beginning(response: Response) -> str:
    """Return the text of a response, or more of it than a fragment may have."""
    body = bytearray()
    for part in response.iter_encoded():
        body += part
        if len(body) > _LONGEST_TEXT:
            break
    response.close()
    return body.decode("utf-8", "replace")


_LONGEST_TEXT = 4 * LONGEST
"""Bytes that are more than so many characters, or none that can be read."""

_GUARD_POINTS = frozenset(table.removesuffix("_funcs") for table in GUARDS)
