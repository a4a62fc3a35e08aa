"""The application's own tables, in which plugins' entries come and go with the pin.

Flask keeps what was registered in dicts and lists on the application. They are replaced by
the subclasses in here, which differ at two moments only. While a plugin registers, writes go
to its recording and not into the table. And what the application doesn't have itself is
looked up among the plugins of the pinned snapshot. The application's own entries are read
by the C code of dict and list: for them nothing becomes slower.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from contextvars import ContextVar, Token
from typing import Any, Final, Protocol, Self, SupportsIndex

from flask_pluginkit.barrier import OWNER, run_as_host


class Recorder(Protocol):
    """What the tables need of the recording that is running."""

    is_running: bool

    def named(self, kind: str, name: str, value: Any) -> None:
        """Take an entry of a table."""

    def pending(self, kind: str) -> Mapping[str, Any]:
        """Give what this recording has taken for a table so far."""

    def hook(self, table: str, scope: str | None, function: Any) -> None:
        """Take a function of a function table."""

    def error(self, scope: str | None, code: int | None, error: Any, function: Any) -> None:
        """Take an error handler."""


class _Running:
    """A context variable for a recording, which is None again when the recording is over.

    A task that a plugin starts while it registers goes on in a copy of that moment's context.
    """

    def __init__(self) -> None:
        self._var: ContextVar[Recorder | None] = ContextVar("flask_pluginkit.recording")

    def get(self) -> Recorder | None:
        recorder = self._var.get(None)
        return recorder if recorder is not None and recorder.is_running else None

    def set(self, recorder: Recorder) -> Token[Recorder | None]:
        return self._var.set(recorder)

    def reset(self, token: Token[Recorder | None]) -> None:
        self._var.reset(token)


RECORDING: Final = _Running()
"""The recording of the plugin that registers in this context, None at all other times."""

HOST_REGISTERS: ContextVar[bool] = ContextVar("flask_pluginkit.host_registers", default=False)
"""Whether the application adds a route or blueprint: what plugins have is free for it then.

Flask raises where an endpoint or a blueprint is there already. That must not happen in the
application's code for a plugin's sake: who gets the name is decided later.
"""


class LiveDict(dict[str, Any]):
    """A dict of the application with the plugins' entries behind its own ones."""

    __slots__ = ("kind", "live", "wrapped")

    def __init__(self, kind: str, own: Mapping[str, Any], live: Callable[[], Mapping[str, Any]]):
        super().__init__(own)
        self.kind = kind
        self.live = live
        self.wrapped: set[str] = set()
        """The plugins' entries that the application has put something of its own in place of."""

    def __missing__(self, key: str) -> Any:
        return self._behind()[key]

    def _behind(self) -> Mapping[str, Any]:
        registers = HOST_REGISTERS.get() and self.kind in {"endpoint", "blueprint"}
        if (recording := RECORDING.get()) is None:
            return {} if registers else self.live()
        pending = recording.pending(self.kind)
        return pending if registers else {**self.live(), **pending}

    def __setitem__(self, key: str, value: Any) -> None:
        if (recording := RECORDING.get()) is not None:
            recording.named(self.kind, key, value)
            return
        if not dict.__contains__(self, key) and key in self._behind():
            self.wrapped.add(key)
        super().__setitem__(key, value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As for dict, entry by entry."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, entries: Any) -> Self:  # type: ignore[override,misc]
        self.update(entries)
        return self

    def setdefault(self, key: str, default: Any = None) -> Any:
        """As for dict."""
        if key not in self:
            self[key] = default
        return self[key]

    def get(self, key: str, default: Any = None) -> Any:
        """As for dict.

        Flask asks its view functions by this method whether an endpoint is taken, and raises
        if so. While a plugin registers it is answered from the recording alone: who gets an
        endpoint that two want is decided later, and costs the other one only that view.
        """
        is_asked_by_flask = (
            RECORDING.get() is not None and HOST_REGISTERS.get() and self.kind == "endpoint"
        )
        if not is_asked_by_flask and dict.__contains__(self, key):
            return dict.__getitem__(self, key)
        return self._behind().get(key, default)

    def __contains__(self, key: object) -> bool:
        return dict.__contains__(self, key) or key in self._behind()

    def _merged(self) -> dict[str, Any]:
        return {**self._behind(), **dict(dict.items(self))}

    def own(self) -> dict[str, Any]:
        """Return the application's own entries."""
        return dict(dict.items(self))

    def __iter__(self) -> Iterator[str]:
        return iter(self._merged())

    def __len__(self) -> int:
        return len(self._merged())

    def __bool__(self) -> bool:
        return dict.__len__(self) > 0 or bool(self._behind())

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        """As for dict, of a copy."""
        return self._merged().keys()

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        """As for dict, of a copy."""
        return self._merged().values()

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        """As for dict, of a copy."""
        return self._merged().items()

    def copy(self) -> dict[str, Any]:
        """Return a plain dict."""
        return self._merged()


# found once, as templates look their filters up at each rendering
_getitem = dict.__getitem__


class LiveFunctions(LiveDict):
    """Jinja's filters or tests: those of the application run as the application.

    A page of a plugin uses them too, and the templates that they render there must be the
    application's.
    """

    __slots__ = ()

    def __getitem__(self, key: str) -> Any:
        if OWNER.get() is None:
            return _getitem(self, key)
        return self._as_owned(key, _getitem(self, key))

    def get(self, key: str, default: Any = None) -> Any:
        """As for dict."""
        return self._as_owned(key, super().get(key, default))

    def _as_owned(self, key: str, function: Any) -> Any:
        if OWNER.get() is None or not dict.__contains__(self, key):
            return function
        return run_as_host(function)


class FunctionList(list[Any]):
    """A list of functions of the application, whose additions can be recorded."""

    __slots__ = ("scope", "table")

    def __init__(self, table: str, scope: str | None, own: Iterable[Any] = ()) -> None:
        super().__init__(own)
        self.table = table
        self.scope = scope

    def append(self, function: Any) -> None:
        """As for list; into the recording while one runs."""
        if (recording := RECORDING.get()) is None:
            super().append(function)
        else:
            recording.hook(self.table, self.scope, function)

    def insert(self, index: SupportsIndex, function: Any) -> None:
        """As for list; into the recording while one runs."""
        if RECORDING.get() is None:
            super().insert(index, function)
        else:
            self.append(function)

    def extend(self, functions: Iterable[Any]) -> None:
        """As for list; into the recording while one runs."""
        for function in list(functions):
            self.append(function)

    def __iadd__(self, functions: Iterable[Any]) -> Self:  # type: ignore[misc]
        self.extend(functions)
        return self


class ProcessorList(FunctionList):
    """The application's context processors, which run as the application in every page."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        functions = super().__iter__()
        return functions if OWNER.get() is None else map(run_as_host, functions)


_LISTS: Final[Mapping[str, type[FunctionList]]] = {"template_context_processors": ProcessorList}


class FunctionTable(defaultdict[Any, Any]):
    """A table of function lists by blueprint name, None for the whole application."""

    def __init__(self, table: str, own: Mapping[Any, Iterable[Any]]) -> None:
        super().__init__(list)
        self.table = table
        self.make_list = _LISTS.get(table, FunctionList)
        for scope, functions in own.items():
            self[scope] = functions

    def __missing__(self, scope: Any) -> Any:
        functions = self.make_list(self.table, scope)
        # a scope that only a recording asks for stays out of the table
        if RECORDING.get() is None:
            super().__setitem__(scope, functions)
        return functions

    def __setitem__(self, scope: Any, functions: Iterable[Any]) -> None:
        if RECORDING.get() is None:
            super().__setitem__(scope, self.make_list(self.table, scope, functions))
        else:
            self[scope].extend(functions)

    def setdefault(self, scope: Any, default: Any = None) -> Any:
        """As for dict."""
        functions = self[scope]
        if not functions and default:
            functions.extend(default)
        return functions


class HandlerMap(dict[Any, Any]):
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

    def __contains__(self, error: object) -> bool:
        return super().__contains__(error) or error in self.live(self.scope, self.code)

    def __bool__(self) -> bool:
        return dict.__len__(self) > 0 or bool(self.live(self.scope, self.code))


class CodeTable(defaultdict[Any, Any]):
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

    def __contains__(self, code: object) -> bool:
        return super().__contains__(code) or bool(self.live(self.scope, code))


class HandlerTable(defaultdict[Any, Any]):
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
        if (recording := RECORDING.get()) is None:
            super().__setitem__(scope, CodeTable(scope, codes, self.live))
            return
        for code, handlers in codes.items():
            for error, function in handlers.items():
                recording.error(scope, code, error, function)
