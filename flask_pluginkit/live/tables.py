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
from contextvars import ContextVar
from typing import Any, Final, NoReturn, Self, SupportsIndex

from jinja2 import pass_context

from flask_pluginkit.residents import OWNER, run_as_host

from .keeping import RECORDING, keeps_entries, refuse

HOST_REGISTERS: ContextVar[bool] = ContextVar("flask_pluginkit.host_registers", default=False)
"""Whether the application adds a route or blueprint: what plugins have is free for it then.

Flask raises where an endpoint or a blueprint is there already. That must not happen in the
application's code for a plugin's sake: who gets the name is decided later.
"""


_PLACES: Final = {
    "endpoint": "app.view_functions",
    "blueprint": "app.blueprints",
    "command": "app.cli.commands",
}
"""Where the dict of each kind is, if not among Jinja's."""


@keeps_entries("__delitem__", "popitem", "clear")
class LiveDict(dict[str, Any]):
    """A dict of the application with the plugins' entries behind its own ones."""

    __slots__ = ("kind", "live", "wrapped")

    def __init__(self, kind: str, own: Mapping[str, Any], live: Callable[[], Mapping[str, Any]]):
        super().__init__(own)
        self.kind = kind
        self.live = live
        self.wrapped: set[str] = set()
        """The plugins' entries that the application has put something of its own in place of."""

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return _PLACES.get(self.kind, f"app.jinja_env.{self.kind}s")

    def __missing__(self, key: str) -> Any:
        return self._behind()[key]

    def _behind(self) -> Mapping[str, Any]:
        registers = HOST_REGISTERS.get() and self.kind in {"endpoint", "blueprint"}
        if (recording := RECORDING.get()) is None:
            return {} if registers else self.live()
        pending = recording.pending(self.kind)
        return pending if registers else {**recording.others(self.live()), **pending}

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

    def pop(self, key: str, *default: Any) -> Any:
        """As for dict, of the application's own entries."""
        if key in self:
            refuse(f"called {self.place}.pop({key!r})")
        return super().pop(key, *default)

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


class ListedDict(LiveDict):
    """A `LiveDict` that lists the application's own entries only, by the C code of dict.

    It is for copying all entries often, for as long as no plugin has any. What a plugin
    registers meanwhile is recorded all the same.
    """

    __slots__ = ()

    __iter__ = dict.__iter__
    __len__ = dict.__len__
    keys = dict.keys
    values = dict.values
    items = dict.items
    copy = dict.copy


class LiveBlueprints(LiveDict):
    """The application's blueprints, with what ``register_blueprint`` was told about each."""

    __slots__ = ("told",)

    def __init__(self, kind: str, own: Mapping[str, Any], live: Callable[[], Mapping[str, Any]]):
        super().__init__(kind, own, live)
        self.told: dict[str, dict[str, Any]] = {}


# found once, as templates look their filters up at each rendering
_getitem = dict.__getitem__


COMPILING: ContextVar[bool] = ContextVar("flask_pluginkit.compiling", default=False)
"""Whether Jinja compiles a template, and asks in which form a filter or test is called."""


class LiveFunctions(LiveDict):
    """Jinja's filters or tests: those of the application run as the application.

    A page of a plugin uses them too, and the templates that they render there must be the
    application's.

    All those of plugins are called in one form. A template that is compiled while such a plugin
    isn't active is to use it as soon as it is: so Jinja is told that form then, too.
    """

    __slots__ = ("offers",)

    def __init__(self, kind: str, own: Mapping[str, Any], live: Callable[[], Mapping[str, Any]]):
        super().__init__(kind, own, live)
        self.offers: Callable[[], Mapping[tuple[str, str], str]] = dict
        """Whose each function of a loaded plugin is, by kind and name."""

    def __getitem__(self, key: str) -> Any:
        if OWNER.get() is None:
            return _getitem(self, key)
        return self._as_owned(key, _getitem(self, key))

    def get(self, key: str, default: Any = None) -> Any:
        """As for dict."""
        found = super().get(key)
        if found is None:
            is_offered = COMPILING.get() and (self.kind, key) in self.offers()
            return not_active if is_offered else default
        return self._as_owned(key, found)

    def _as_owned(self, key: str, function: Any) -> Any:
        if OWNER.get() is None or not dict.__contains__(self, key):
            return function
        return run_as_host(function)


@pass_context
def not_active(*_args: Any, **_kwargs: Any) -> NoReturn:
    """Stands for a plugin's filter or test when a template is compiled; never called."""
    raise AssertionError


@keeps_entries(
    "__delitem__", "__imul__", "__setitem__", "clear", "pop", "remove", "reverse", "sort"
)
class FunctionList(list[Any]):
    """A list of functions of the application, whose additions can be recorded."""

    __slots__ = ("scope", "table")

    def __init__(self, table: str, scope: str | None, own: Iterable[Any] = ()) -> None:
        super().__init__(own)
        self.table = table
        self.scope = scope

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"app.{self.table}"

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


@keeps_entries("__delitem__", "clear", "pop", "popitem")
class FunctionTable(defaultdict[Any, Any]):
    """A table of function lists by blueprint name, None for the whole application."""

    def __init__(self, table: str, own: Mapping[Any, Iterable[Any]]) -> None:
        super().__init__(list)
        self.table = table
        self.make_list = _LISTS.get(table, FunctionList)
        for scope, functions in own.items():
            self[scope] = functions

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"app.{self.table}"

    def __missing__(self, scope: Any) -> Any:
        functions = self.make_list(self.table, scope)
        # a scope that only a recording asks for stays out of the table
        if RECORDING.get() is None:
            super().__setitem__(scope, functions)
        return functions

    def __setitem__(self, scope: Any, functions: Iterable[Any]) -> None:
        # a slice has the functions themselves, and not as `ProcessorList` hands them out
        given = functions[:] if isinstance(functions, list) else list(functions)
        if RECORDING.get() is None:
            super().__setitem__(scope, self.make_list(self.table, scope, given))
            return
        # an addition by += comes here, too, with the list itself
        there = self[scope]
        if any(function not in given for function in there[:]):
            refuse(f"replaced {self.place}[{scope!r}]")
        there.extend(function for function in given if function not in there)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As for dict, entry by entry."""
        for scope, functions in dict(*args, **kwargs).items():
            self[scope] = functions

    def __ior__(self, entries: Any) -> Self:  # type: ignore[misc]
        self.update(entries)
        return self

    def setdefault(self, scope: Any, default: Any = None) -> Any:
        """As for dict."""
        functions = self[scope]
        if not functions and default:
            functions.extend(default)
        return functions
