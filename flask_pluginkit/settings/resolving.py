"""Which value of a setting counts, and where it came from.

What was stored at run time comes before the environment, that before the configuration of the
application, and that before the default.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final, Protocol

from flask_pluginkit.exceptions import Problem, SettingError
from flask_pluginkit.frozen import Frozen
from flask_pluginkit.text import UnusableText, nearest

from .fields import HIDDEN, Declaration, Field, Value, Values, key_of, prefix_of
from .values import exact, from_given, from_text

_MISSING: Final = object()


class Origin(StrEnum):
    """Where the value of a setting comes from."""

    STORED = "stored"
    ENVIRONMENT = "environment"
    CONFIGURATION = "configuration"
    DEFAULT = "default"
    UNSET = "unset"
    """Nobody has set it, and it has no default."""


class Sources(Frozen, eq=False):
    """What the values of one plugin come from."""

    stored: Mapping[str, Any]
    """By field, in the form of JSON."""
    environ: Mapping[str, str]
    config: Mapping[str, Any]
    foreign: tuple[tuple[str, str], ...] = ()
    """What keys begin with that environment and configuration don't give it, and whose they are."""

    def owner_of(self, key: str) -> str:
        """Return the plugin that a key is kept for, empty if this one may have it."""
        return next((name for prefix, name in self.foreign if key.startswith(prefix)), "")

    def __repr__(self) -> str:
        return f"Sources({', '.join(self.stored)})"


class Configurable(Protocol):
    """A plugin with settings: what it declares, and what is made of values for it."""

    @property
    def declaration(self) -> Declaration:
        """Its fields."""

    def make(self, plugin: str, values: Values) -> Any:
        """Return what its code uses; raise SettingError."""

    def check(self, plugin: str, values: Values) -> None:
        """Ask the plugin itself about values that nobody has asked it about; SettingError."""


class Resolved(Frozen, eq=False):
    """The settings of one plugin, as a snapshot has them."""

    values: Values
    origins: Mapping[str, Origin]
    made: Any
    """What `Configurable.make` returned."""
    inputs: tuple[object, ...] = ()
    """What all of this came from, to see that nothing has changed."""

    def __repr__(self) -> str:
        return f"Resolved({', '.join(self.values)})"  # values may be secrets


class Setting(Frozen):
    """One row of `PluginManager.settings_of`."""

    field: str
    type: str
    """In words, with its bounds."""
    value: Any
    """What counts; ``(hidden)`` for a secret that is set."""
    origin: str
    """``stored``, ``environment``, ``configuration``, ``default``, or ``unset``."""
    default: Any
    """None too if it has none; ``(hidden)`` for a secret that has one."""
    description: str
    is_secret: bool
    key: str
    """What sets it in the environment, and in the application's configuration; empty if nothing."""
    problem: str = ""
    """Why what is set can't be used, else empty."""


def inputs_of(plugin: str, declaration: Declaration, sources: Sources) -> tuple[object, ...]:
    """Return everything that `resolve` depends on."""
    found: list[object] = []
    for field in declaration.fields:
        key = key_of(plugin, field.name)
        found.append(sources.stored.get(field.name, _MISSING))
        is_ours = not sources.owner_of(key)
        configured = (sources.environ, sources.config)
        found.extend(source.get(key, _MISSING) if is_ours else _MISSING for source in configured)
    return tuple(found)


def withheld(plugin: str, declaration: Declaration, sources: Sources) -> Iterator[tuple[str, str]]:
    """Yield each field whose key is set and kept for another plugin, and in words that it is."""
    for field in declaration.fields:
        key = key_of(plugin, field.name)
        other = sources.owner_of(key)
        if other and (key in sources.environ or key in sources.config):
            words = (
                f"{key} is ignored: it may be meant for plugin {other!r}, and {plugin!r} isn't "
                f"trusted; flask plugins set {plugin!r} {field.name}=... sets it"
            )
            yield field.name, words


def are_same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    """Tell whether two results of `inputs_of` give the same values; True is not 1 here."""
    return len(one) == len(other) and all(
        a is b or (type(a) is type(b) and type(a) in _SIMPLE and a == b)
        for a, b in zip(one, other, strict=True)
    )


_SIMPLE: Final = frozenset({str, int, bool})


def resolve(
    plugin: str, declaration: Declaration, sources: Sources
) -> tuple[dict[str, Value], dict[str, Origin]]:
    """Return value and origin of each field.

    Raises:
        SettingError: with every field that isn't set and has to be, or has a wrong value.

    """
    values: dict[str, Value] = {}
    origins: dict[str, Origin] = {}
    problems: list[SettingError] = []
    for field in declaration.fields:
        origin, given = _given(plugin, field, sources)
        try:
            values[field.name] = _read(plugin, field, origin, given, sources)
            origins[field.name] = origin
        except SettingError as error:
            problems.append(error)
    if problems:
        raise together(problems)
    return values, origins


def together(errors: list[SettingError]) -> SettingError:
    """Return several errors about one plugin as one."""
    first = errors[0]
    more: tuple[Problem, ...] = tuple(p for error in errors[1:] for p in error.problems)
    return SettingError(
        first.plugin, first.field, first.found, first.expected, first.advice, (*first.more, *more)
    )


def _given(plugin: str, field: Field, sources: Sources) -> tuple[Origin, object]:
    key = key_of(plugin, field.name)
    if field.name in sources.stored:
        return Origin.STORED, sources.stored[field.name]
    if not sources.owner_of(key):
        if key in sources.environ:
            return Origin.ENVIRONMENT, sources.environ[key]
        if key in sources.config:
            return Origin.CONFIGURATION, sources.config[key]
    return (Origin.UNSET if field.is_required else Origin.DEFAULT), field.default


def _read(plugin: str, field: Field, origin: Origin, given: Any, sources: Sources) -> Value:
    key, name = key_of(plugin, field.name), field.name
    try:
        match origin:
            case Origin.STORED:
                return exact(field, given)
            case Origin.ENVIRONMENT:
                return from_text(field, given)
            case Origin.CONFIGURATION:
                return from_given(field, given)
            case Origin.UNSET:
                found, expected = "nothing: nobody has set it, and it has no default", field.words
            case _:
                return field.default
    except UnusableText as error:
        found, expected = _found(error.found, origin, key), error.expected
    advice = _advice(plugin, name, origin, "" if sources.owner_of(key) else key)
    raise SettingError(plugin, name, found, expected, advice)


def _found(found: str, origin: Origin, key: str) -> str:
    match origin:
        case Origin.STORED:
            return f"{found} (stored)"
        case Origin.ENVIRONMENT:
            return f"{found} (environment variable {key})"
        case Origin.CONFIGURATION:
            return f"{found} (configuration {key})"
    return found


def _advice(plugin: str, name: str, origin: Origin, key: str) -> str:
    change = f"flask plugins set {plugin!r} {name}=..."
    match origin:
        case Origin.STORED:
            return f"take it away (flask plugins unset {plugin!r} {name}), or {change}"
        case Origin.ENVIRONMENT | Origin.CONFIGURATION:
            return f"set {key} to such a value, or {change}"
    return f"{change}, or set the environment variable or configuration {key}" if key else change


def explain(plugin: str, declaration: Declaration, sources: Sources) -> Iterator[Setting]:
    """Yield a row for each field; a value that can't be used is one with a problem."""
    ignored = dict(withheld(plugin, declaration, sources))
    for field in declaration.fields:
        origin, given = _given(plugin, field, sources)
        key = key_of(plugin, field.name)
        value, problem = None, "" if origin is Origin.STORED else ignored.get(field.name, "")
        try:
            value = _read(plugin, field, origin, given, sources)
        except SettingError as error:
            wrong = f"found {error.found}, expected {error.expected}; {error.advice}"
            problem = problem or wrong
        yield Setting(
            field=field.name,
            type=field.words,
            value=visible(field, value),
            origin=origin.value,
            default=visible(field, field.default),
            description=field.description,
            is_secret=field.is_secret,
            key="" if sources.owner_of(key) else key,
            problem=problem,
        )
    for name in sorted(sources.stored.keys() - set(declaration.names)):
        yield Setting(
            field=name,
            type="unknown",
            value=HIDDEN,
            origin=Origin.STORED.value,
            default=None,
            description="stored for another version: this one has no such field",
            is_secret=True,
            key="",
        )


def visible(field: Field, value: Value) -> Any:
    """Return a value as it may be shown."""
    return HIDDEN if field.is_secret and value is not None else value


def unknown_keys(
    plugin: str, declaration: Declaration, keys: Iterable[str], others: Iterable[str]
) -> Iterator[tuple[str, str | None]]:
    """Yield each key that looks like a setting of the plugin and is none, and which is meant.

    Args:
        plugin: its name.
        declaration: its fields.
        keys: those of the environment and the configuration, as text.
        others: what the keys of other plugins begin with.

    """
    prefix = prefix_of(plugin)
    known = {key_of(plugin, name) for name in declaration.names}
    longer = tuple(other for other in others if other != prefix and other.startswith(prefix))
    for key in sorted({key for key in keys if key.startswith(prefix)}):
        if key not in known and not (longer and key.startswith(longer)):
            yield key, nearest(key, known, cutoff=0.0)
