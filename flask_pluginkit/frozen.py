"""Values of named fields that are given once and never change.

A class that derives from `Frozen` is what a frozen dataclass with slots is, and type checkers
take it for one (PEP 681). But a dataclass has six functions written and compiled for it, which
takes more than half a millisecond, and the forty of a start took as long as everything else in
it. Here all classes share their methods. What a start doesn't import may be a dataclass.

A default is one object for all values, hence nothing that can be changed: `NO_ENTRIES`, no dict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeVar, dataclass_transform

NO_ENTRIES: Final[Mapping[Any, Any]] = MappingProxyType({})
"""The default of fields that are mappings."""

T = TypeVar("T", bound="Frozen")


@dataclass_transform(kw_only_default=True, frozen_default=True)
class _FrozenClass(type):
    """Makes slots of the annotated names; those that it derives from come first."""

    _fields: tuple[str, ...]
    _field_defaults: Mapping[str, Any]
    __setters__: tuple[tuple[str, Callable[[Any, Any], None]], ...]
    """Of each field its name and what fills its slot, past the class's own ``__setattr__``."""

    def __new__(
        cls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        eq: bool = True,
        kw_only: bool = True,  # noqa: ARG004 - what type checkers go by
    ) -> _FrozenClass:
        named = tuple(namespace.get("__annotations__", ()))
        given = {field: namespace.pop(field) for field in named if field in namespace}
        base = bases[0] if bases else None
        before: tuple[str, ...] = ()
        if isinstance(base, _FrozenClass):
            before, given = base._fields, {**base._field_defaults, **given}
        if not eq:
            namespace.update(__eq__=object.__eq__, __hash__=object.__hash__)
        own = tuple([field for field in named if field not in before])
        made = super().__new__(cls, name, bases, {"__slots__": own, **namespace})
        made._fields, made._field_defaults = before + own, given
        made.__setters__ = tuple([(field, getattr(made, field).__set__) for field in made._fields])
        return made


class Frozen(metaclass=_FrozenClass):
    """The base of values that never change.

    Two are equal if they are of one class and their fields are; with ``eq=False`` in the class
    statement each is equal to itself alone. With ``kw_only=False`` fields may be given by their
    order, too.
    """

    def __init__(self, *ordered: Any, **values: Any) -> None:
        kind = type(self)
        if ordered:
            if len(ordered) > len(kind._fields):
                raise TypeError(f"{kind.__name__}() has {len(kind._fields)} fields")
            values.update(zip(kind._fields, ordered, strict=False))
        if len(values) < len(kind._fields):
            values = {**kind._field_defaults, **values}
        try:
            for name, put in kind.__setters__:
                put(self, values.pop(name))
        except KeyError as error:
            raise TypeError(f"{kind.__name__}() lacks {error}") from None
        if values:
            raise TypeError(f"{kind.__name__}() has no {', '.join(map(repr, values))}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name!r} of a {type(self).__name__} never changes")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{name!r} of a {type(self).__name__} never changes")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self.compared() == other.compared()

    def __hash__(self) -> int:
        return hash(self.compared())

    def __repr__(self) -> str:
        shown = ", ".join([f"{name}={getattr(self, name)!r}" for name in type(self)._fields])
        return f"{type(self).__qualname__}({shown})"

    def __reduce__(self) -> tuple[partial[Any], tuple[()]]:
        # what copies and pickles would otherwise do is to set the fields of a value
        return partial(type(self), **as_dict(self)), ()

    def compared(self) -> tuple[Any, ...]:
        """Return what another value must have too to be equal."""
        return tuple([getattr(self, name) for name in type(self)._fields])


def replace(value: T, **changes: Any) -> T:
    """Return a value like `value`, with other fields."""
    return type(value)(**{**as_dict(value), **changes})


def as_dict(value: Frozen) -> dict[str, Any]:
    """Return the fields of `value` by name; what is in them isn't copied."""
    return {name: getattr(value, name) for name in type(value)._fields}


def names_of(kind: type[Frozen]) -> tuple[str, ...]:
    """Return the names of the fields, in their order."""
    return kind._fields
