"""What a plugin asks for its settings: the values of the request that is being answered."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.text import clean, nearest

from .declaring import Declared, declare

T = TypeVar("T")

Source = Callable[[str], Any]
"""Returns the instance that counts now, by the name of a plugin; raises PluginError."""


class Settings(Generic[T]):
    """The settings of one plugin: ``settings = Settings(MySettings)``.

    Each attribute of the dataclass can be asked for: ``settings.limit`` is the value that counts
    for the request that is being answered, from its beginning to its end. Outside of requests,
    in commands and jobs, it is the one that was current when their application context began.

    Hand it to `flask_pluginkit.Plugin`, or return it from ``register()`` as ``"settings"``.

    Args:
        dataclass: a dataclass whose fields are `bool`, `int`, `float`, `str`, ``Literal[...]``,
            enumerations, ``tuple[str, ...]``, one of these or None, or one of these with bounds:
            ``Annotated[int, Range(1, 100)]``.

    Raises:
        RegistrationError: for what can't be used in it, with every problem.

    """

    __slots__ = ("__weakref__", "_attributes", "_declared", "_plugin", "_source")

    def __init__(self, dataclass: type[T], /) -> None:
        put = object.__setattr__
        declared = declare(dataclass)
        put(self, "_declared", declared)
        put(self, "_attributes", frozenset({*declared.declaration.names, *dir(dataclass)}))
        put(self, "_plugin", "")
        put(self, "_source", _unknown)

    def current(self) -> T:
        """Return the instance of the dataclass that counts now; changing it changes nothing.

        Raises PluginError outside of any application, and while the plugin is being imported.
        """
        declared: Declared = self._declared
        instance = self._source(self._plugin)
        return cast("T", instance if declared.is_frozen else copy.copy(instance))

    def __getattr__(self, name: str) -> Any:
        if name[:1] != "_":
            if name in self._attributes:
                return getattr(self._source(self._plugin), name)
            declared: Declared = self._declared
            guess = nearest(name, declared.declaration.names)
            hint = f"; did you mean {guess!r}?" if guess else ""
            raise AttributeError(
                f"{declared.kind.__name__} has no field {clean(name, 100)!r}{hint}"
            )
        raise AttributeError(name)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"{name!r} can't be set here: settings belong to the operator (flask plugins set)"
        )

    def __delattr__(self, name: str) -> None:
        self.__setattr__(name, None)

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self._declared.declaration.names]

    def __repr__(self) -> str:
        return f"<settings {self._declared.kind.__name__} of plugin {self._plugin!r}>"


def _unknown(_plugin: str) -> Any:
    raise PluginError(
        "these settings belong to no plugin that is loaded: ask for them in a request, command or "
        "on_app_ready, and not while the plugin is imported, and let register() return them as "
        "'settings' (Plugin.settings() does)"
    )


def declared_of(settings: Settings[Any]) -> Declared:
    """Return what the plugin declares."""
    found: Declared = settings._declared  # noqa: SLF001 - of this module
    return found


def bind(settings: Settings[Any], plugin: str, source: Source) -> None:
    """Let settings be those of a plugin, which `source` knows.

    Raises:
        PluginError: they are another plugin's.

    """
    owner = settings._plugin  # noqa: SLF001 - of this module
    if owner not in {"", plugin}:
        raise PluginError(
            f"plugin {plugin!r}: its settings are those of plugin {owner!r}: each needs its own"
        )
    object.__setattr__(settings, "_plugin", plugin)
    object.__setattr__(settings, "_source", source)
