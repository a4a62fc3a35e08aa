"""Plugins loaded as in a process of their own, but in that of the tests, and asked directly."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from trees import write_plugin

from flask_pluginkit.isolation.inside.plugin import Inner, load
from flask_pluginkit.isolation.messages import (
    Answer,
    Batch,
    Call,
    FromPlugin,
    Greeting,
    Page,
    RefusedInfo,
    Result,
    Spec,
    Value,
    Visit,
)

__all__ = ["FakeServices", "LoadInner", "ask", "inside", "refused", "value", "visited"]

LoadInner = Callable[..., Inner]

EVERYTHING = ("requests", "requests:answer", "responses")


class FakeServices:
    """The supervisor's part, kept in a dict; what was asked is in `asked`."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, str]] = {}
        self.asked: list[tuple[Any, ...]] = []
        self.address: tuple[str, int] | None = None
        self.error: OSError | None = None

    def ask(self, what: str, *args: Any) -> Any:
        self.asked.append((what, *args))
        if self.error is not None:
            raise self.error
        if what == "session.key":
            return b"k" * 32
        kept = self.kept.setdefault(args[0], {})
        match what:
            case "storage.get":
                return kept.get(args[1])
            case "storage.list":
                return dict(kept)
            case "storage.set":
                return kept.update(args[1])
            case "storage.remove":
                return kept.pop(args[1], None) is not None
            case "storage.count":
                return len(kept)
        raise OSError(f"unknown: {what}")

    def connect(self, host: str, port: int, timeout: float | None) -> socket.socket:
        self.asked.append(("connect", host, port, timeout))
        if self.address is None:
            raise PermissionError("not granted")
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, _connected(self.address))
        connection.settimeout(timeout)
        return connection


def _connected(address: tuple[str, int]) -> int:
    import _socket  # the C class, whose methods nobody replaces

    made = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    made.connect(address)
    return made.detach()


@pytest.fixture
def inside(tmp_path: Path, clean_imports: None) -> Iterator[LoadInner]:
    """Give the function that writes a plugin called hello and loads it; undone at the end."""
    loaded: list[Inner] = []

    def make(
        body: str = "def register(): return {}\n",
        *permissions: str,
        files: Mapping[str, str] | None = None,
        services: Any = None,
        level: Any = "process",
        overrides: tuple[tuple[str, str], ...] = (),
        module: str = "plugins.hello",
        debug: bool = False,
        readable: tuple[str, ...] = (),
        **dunders: object,
    ) -> Inner:
        folder = write_plugin(tmp_path / "own", "hello", body, files=files, **dunders)
        spec = Spec(
            plugin="hello",
            level=level,
            folder=str(folder),
            module=module,
            digest="0",
            application="shop.web",
            permissions=tuple(sorted(permissions)),
            overrides=overrides,
            debug=debug,
            readable=readable,
        )
        loaded.append(load(spec, services or FakeServices()))
        return loaded[-1]

    yield make
    for inner in reversed(loaded):
        inner.close()


def visited(inner: Inner, path: str, body: bytes = b"", **page: Any) -> list[FromPlugin]:
    """Return the frames of the reply to a request."""
    return list(inner.visit(Visit(id=1, page=Page(path=path, **page), body=body)))


def ask(inner: Inner, reference: int, *args: Any, page: Page | None = None, **kw: Any) -> Result:
    """Return the result of one call."""
    call = Call(reference=reference, args=list(args), kwargs=kw)
    [result] = inner.batch(Batch(id=1, page=page or Page(), calls=[call])).results
    return result


def value(result: Result) -> Any:
    """Return the value of a result, which must be one."""
    assert isinstance(result, Value), result
    return result.value


def answered(result: Result) -> Answer:
    """Return a result that must be an answer."""
    assert isinstance(result, Answer), result
    return result


def refused(inner: Inner, kind: str) -> RefusedInfo:
    """Return the one contribution of a kind that is refused."""
    [found] = [one for one in inner.description.refused if one.kind == kind]
    return found


def greet(inner: Inner, *routes: Any) -> None:
    """Tell the plugin of public routes of the host."""
    inner.greet(Greeting(public=routes))
