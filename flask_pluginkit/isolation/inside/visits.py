"""One request for a view of the plugin: from its WSGI application to the frames of a reply."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from flask_pluginkit.isolation.messages import (
    Aborted,
    Broken,
    Chunk,
    FromPlugin,
    Head,
    Headers,
    Visit,
)

from .application import InnerFlask, Unanswered
from .calls import failure
from .environ import environ_of
from .records import collecting, sendable

CHUNK: Final = 64 << 10
"""Bytes of a body that travel at once."""
WHOLE: Final = 1 << 20
"""A body up to so many bytes, whose length is known, travels with its head."""


class _Reply:
    """Takes what the WSGI application says, and its body."""

    def __init__(self, app: InnerFlask, environ: dict[str, Any]) -> None:
        self.status = 0
        self.headers: Headers = []
        self.length: int | None = None
        self.written: list[bytes] = []
        self.body: Iterable[bytes] = app.wsgi_app(environ, self.start)
        self._parts = iter(self.body)

    def start(self, status: str, headers: list[tuple[str, str]], _info: Any = None) -> Any:
        """Be WSGI's ``start_response``."""
        self.status = int(status[:3])
        self.headers = [(sendable(name), sendable(value)) for name, value in headers]
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        self.length = int(lengths[0]) if lengths and lengths[0].isdigit() else None
        return self.written.append

    def first(self, method: str) -> tuple[bytes, bool]:
        """Return the body, or its beginning and True."""
        if method == "HEAD" or (self.length is not None and self.length <= WHOLE):
            data = b"".join([*self.written, *self._limited()])
            return data, False
        data = b"".join([*self.written, next(self._parts, b"")])
        return data, True

    def _limited(self) -> Iterator[bytes]:
        size = 0
        for part in self._parts:
            size += len(part)
            if size > WHOLE:
                raise ValueError("the body is longer than its Content-Length says")
            yield part

    def rest(self) -> Iterator[bytes]:
        """Yield what follows; small parts of a body of known length together."""
        if self.length is None:
            # not "yield from", which would close the body as well
            for part in self._parts:
                yield part
            return
        waiting = bytearray()
        for part in self._parts:
            waiting += part
            if len(waiting) >= CHUNK:
                yield bytes(waiting)
                waiting.clear()
        if waiting:
            yield bytes(waiting)

    def close(self) -> None:
        """Be done with the body, whether or not all of it was wanted."""
        close = getattr(self.body, "close", None)
        if close is not None:
            close()


def visit(app: InnerFlask, asked: Visit, *, cookies: bool) -> Iterator[FromPlugin]:
    """Yield the reply to a request: one frame, or a head and chunks of a streamed body."""
    number, page = asked.id, asked.page
    with collecting() as records:
        reply: _Reply | None = None
        more = False
        begun: FromPlugin
        try:
            reply = _Reply(app, environ_of(page, asked.body, cookies=cookies))
            body, more = reply.first(page.method)
            begun = Head(
                id=number,
                status=reply.status,
                headers=reply.headers,
                body=body[:CHUNK] if more else body,
                more=more,
                records=records.take(),
            )
        except Unanswered as error:
            begun = _aborted(number, error)
        except BaseException as error:  # noqa: BLE001 - plugins raise anything, SystemExit too
            begun = Broken(id=number, failure=failure(error))
        if not more:
            fault = _closed(reply)
            if fault is not None:
                begun = Broken(id=number, failure=failure(fault))
            begun = _with(begun, records.take())
            yield begun
            return
        assert reply is not None
        yield begun
        yield from _chunks(number, reply, body[CHUNK:], records)


def _chunks(number: int, reply: _Reply, early: bytes, records: Any) -> Iterator[Chunk]:
    fault: BaseException | None = None
    try:
        yield from (Chunk(id=number, data=part) for part in _pieces(early))
        parts = reply.rest()
        while fault is None:
            try:
                part = next(parts, None)
            except BaseException as error:  # noqa: BLE001 - as above
                fault = error
                break
            if part is None:
                break
            for piece in _pieces(part):
                yield Chunk(id=number, data=piece, records=records.take())
    finally:
        late = _closed(reply)
    fault = fault or late
    failed = None if fault is None else failure(fault)
    yield Chunk(id=number, last=True, failure=failed, records=records.take())


def _pieces(data: bytes) -> Iterator[bytes]:
    return (data[start : start + CHUNK] for start in range(0, len(data), CHUNK))


def _closed(reply: _Reply | None) -> BaseException | None:
    try:
        if reply is not None:
            reply.close()
    except BaseException as error:  # noqa: BLE001 - as above
        return error
    return None


def _aborted(number: int, error: Unanswered) -> Aborted:
    found = error.error
    described = found.description
    text = None if described is None else sendable(str(described))
    return Aborted(id=number, code=found.code or 500, description=text)


def _with(begun: Any, records: Any) -> FromPlugin:
    """Return the same message with further records."""
    if not records:
        found: FromPlugin = begun
        return found
    fields = {name: getattr(begun, name) for name in begun.__struct_fields__}
    fields["records"] = [*fields["records"], *records]
    made: FromPlugin = type(begun)(**fields)
    return made
