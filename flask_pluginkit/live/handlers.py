"""The table of the application's error handlers, in which plugins' come and go with the pin."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Self

from .keeping import RECORDING, keeps_entries


class _Entries(dict[Any, Any]):
    """A dict that is written entry by entry, as ``__setitem__`` does it."""

    __slots__ = ()

    place = "app.error_handler_spec"

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As for dict."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, entries: Any) -> Self:  # type: ignore[misc]
        self.update(entries)
        return self

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """As for dict."""
        if key not in self:
            self[key] = default
        return self[key]


@keeps_entries("__delitem__", "clear", "pop", "popitem")
class HandlerMap(_Entries):
    """The error handlers of one scope and code: exception class -> function."""

    __slots__ = ("code", "live", "scope")

    def __init__(self, scope: Any, code: Any, own: Mapping[Any, Any], live: Callable[..., Any]):
        super().__init__(own)
        self.scope = scope
        self.code = code
        self.live = live

    def __setitem__(self, error: Any, function: Any) -> None:
        if (recording := RECORDING.get()) is None:
            super().__setitem__(error, function)
        else:
            recording.error(self.scope, self.code, error, function)

    def get(self, error: Any, default: Any = None) -> Any:
        """Return the handler of the last active plugin that has one, else the application's."""
        function = self.live(self.scope, self.code).get(error)
        return function if function is not None else super().get(error, default)

    def setdefault(self, error: Any, function: Any = None) -> Any:
        """As for dict."""
        if error not in self:
            self[error] = function
        return self.get(error, function)

    def __contains__(self, error: object) -> bool:
        return super().__contains__(error) or error in self.live(self.scope, self.code)

    def __bool__(self) -> bool:
        return dict.__len__(self) > 0 or bool(self.live(self.scope, self.code))


@keeps_entries("__delitem__", "clear", "pop", "popitem")
class CodeTable(_Entries, defaultdict[Any, Any]):
    """The error handlers of one scope: code -> `HandlerMap`, None for exception classes."""

    def __init__(self, scope: Any, own: Mapping[Any, Any], live: Callable[..., Any]) -> None:
        super().__init__(dict)
        self.scope = scope
        self.live = live
        for code, handlers in own.items():
            super().__setitem__(code, HandlerMap(scope, code, handlers, live))

    def __missing__(self, code: Any) -> HandlerMap:
        handlers = HandlerMap(self.scope, code, {}, self.live)
        super().__setitem__(code, handlers)
        return handlers

    def __setitem__(self, code: Any, handlers: Mapping[Any, Any]) -> None:
        if RECORDING.get() is None:
            super().__setitem__(code, HandlerMap(self.scope, code, handlers, self.live))
        else:
            self[code].update(handlers)

    def __contains__(self, code: object) -> bool:
        return super().__contains__(code) or bool(self.live(self.scope, code))


@keeps_entries("__delitem__", "clear", "pop", "popitem")
class HandlerTable(_Entries, defaultdict[Any, Any]):
    """All error handlers: scope -> `CodeTable`."""

    def __init__(self, own: Mapping[Any, Any], live: Callable[..., Any]) -> None:
        super().__init__(dict)
        self.live = live
        for scope, codes in own.items():
            self[scope] = codes

    def __missing__(self, scope: Any) -> CodeTable:
        codes = CodeTable(scope, {}, self.live)
        super().__setitem__(scope, codes)
        return codes

    def __setitem__(self, scope: Any, codes: Mapping[Any, Any]) -> None:
        if RECORDING.get() is None:
            super().__setitem__(scope, CodeTable(scope, codes, self.live))
        else:
            self[scope].update(codes)
