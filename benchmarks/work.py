"""The pieces of work that are measured, on an application that :mod:`contenders` built."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from time import process_time_ns
from types import FrameType
from typing import Any, NamedTuple

from contenders import Built
from plugin_tree import slot_name


class Work(StrEnum):
    """What one iteration does."""

    HOST = "host"
    """A request for a view of the host that answers five letters."""
    STATIC = "static"
    """A request for a plugin's static file."""
    EMIT_CODE = "emit_code"
    """``emit_tep`` of one slot with ten string parts, inside a view."""
    EMIT_FILE = "emit_file"
    """``emit_tep`` of one slot with ten template files, inside a view."""
    PAGE = "page"
    """A request for a page that emits ten slots with ten string parts each."""


class Answer(NamedTuple):
    """What one iteration produced: equal answers mean equal work."""

    status: str
    content_type: str
    body: str
    hook_calls: dict[str, int]
    """How often each kind of the plugins' hooks was called."""


HOOKS = frozenset({"before_hook", "after_hook", "teardown_hook"})
EMIT_CONTEXT = {"title": "fish & chips"}


class Bench:
    """One application and the work that can be done on it."""

    def __init__(self, built: Built, tree: Path) -> None:
        self._built = built
        self._app = built.app
        self._plugins = str(tree / "plugins")
        self._job: Callable[[], str] = str
        # after the plugin manager, as in most applications
        self._app.add_url_rule("/job", "job", self._do_job)

    def _do_job(self) -> str:
        """The view that does what is asked at the time."""
        return self._job()

    def runner(self, work: Work) -> Callable[[int], int]:
        """A function that does `work` the given number of times and returns nanoseconds.

        They are processor time of this whole process: equal to what a clock shows on an idle
        machine, and hardly disturbed by what else runs on a busy one.
        """
        if work in (Work.EMIT_CODE, Work.EMIT_FILE):
            return self._emit_runner(_slot(work))
        return self._request_runner(self._path(work))

    def answer(self, work: Work) -> Answer:
        """Do `work` once and look closely at what comes out."""
        if work in (Work.EMIT_CODE, Work.EMIT_FILE):
            self._job = lambda: self._built.emit(_slot(work), **EMIT_CONTEXT)
            path = "/job"
        else:
            path = self._path(work)
        self.request(path)  # settles what an application does on its first use
        calls: Counter[str] = Counter()

        def count_hooks(frame: FrameType, event: str, _argument: object) -> None:
            code = frame.f_code
            if (
                event == "call"
                and code.co_name in HOOKS
                and code.co_filename.startswith(self._plugins)
            ):
                calls[code.co_name] += 1

        sys.setprofile(count_hooks)
        try:
            status, content_type, body = self.request(path)
        finally:
            sys.setprofile(None)
        return Answer(status, content_type, body, dict(sorted(calls.items())))

    def _path(self, work: Work) -> str:
        """The path to request for `work`."""
        if work is Work.STATIC:
            self._job = self._built.asset_url
            return self.request("/job")[2]
        return "/page" if work is Work.PAGE else "/"

    def request(self, path: str) -> tuple[str, str, str]:
        """Status line, content type and body of a GET."""
        answered: list[tuple[str, dict[str, str]]] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], _error: object = None
        ) -> Callable[[bytes], object]:
            answered.append((status, dict(headers)))
            return bytes

        chunks = self._app(_environ(path), start_response)
        body = b"".join(chunks)
        if (close := getattr(chunks, "close", None)) is not None:
            close()
        status, headers = answered[-1]
        return status, headers.get("Content-Type", ""), body.decode()

    def _request_runner(self, path: str) -> Callable[[int], int]:
        """A loop of GETs, as a server would make them, without a server's own work."""
        app, environ = self._app, _environ(path)

        def start_response(
            _status: str, _headers: list[tuple[str, str]], _error: object = None
        ) -> Callable[[bytes], object]:
            return bytes

        def run(times: int) -> int:
            begin = process_time_ns()
            for _ in range(times):
                chunks = app(environ.copy(), start_response)
                b"".join(chunks)
                if (close := getattr(chunks, "close", None)) is not None:
                    close()
            return process_time_ns() - begin

        return run

    def _emit_runner(self, slot: str) -> Callable[[int], int]:
        """A loop of `emit_tep` in one request; the request itself isn't counted."""
        emit = self._built.emit
        times = spent = 0

        def job() -> str:
            nonlocal spent
            begin = process_time_ns()
            for _ in range(times):
                emit(slot, **EMIT_CONTEXT)
            spent = process_time_ns() - begin
            return ""

        def run(wanted: int) -> int:
            nonlocal times
            times, self._job = wanted, job
            self.request("/job")
            return spent

        return run


def _slot(work: Work) -> str:
    """The slot of the first ten plugins."""
    return slot_name("code" if work is Work.EMIT_CODE else "file", 0)


def _environ(path: str) -> dict[str, Any]:
    """The environment of a GET, with the keys that PEP 3333 demands."""
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path.partition("?")[0],
        "QUERY_STRING": path.partition("?")[2],
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
