"""The plugin's settings in its own process: the host sends the values that an exchange sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from flask_pluginkit.exceptions import PluginError, SettingError
from flask_pluginkit.isolation.declarations import info_of
from flask_pluginkit.isolation.messages import Configured, Result, SettingInfo, Value
from flask_pluginkit.settings.declaring import Declared
from flask_pluginkit.settings.proxy import Settings, bind, declared_of
from flask_pluginkit.settings.values import exact
from flask_pluginkit.text import UnusableText

from .calls import Caller


class Given:
    """Values that the host sent, as the plugin's code sees them."""

    def __init__(self, message: Configured, instance: Any, error: PluginError | None) -> None:
        self.message = message
        self._instance = instance
        self._error = error

    @property
    def instance(self) -> Any:
        """The instance of the plugin's dataclass. Raises PluginError if it can't be made."""
        if self._error is not None:
            raise PluginError(str(self._error))
        return self._instance


_GIVEN: Final[ContextVar[Given | None]] = ContextVar("flask_pluginkit.given", default=None)
"""What the running exchange sees."""


class InnerSettings:
    """The settings of the one plugin of this process."""

    def __init__(self, plugin: str, given: Sequence[Settings[Any]]) -> None:
        self.plugin = plugin
        self._declared: Declared | None = None
        self._latest: Given | None = None
        """For threads of the plugin's own, in which no exchange runs."""
        for settings in given:
            bind(settings, plugin, self._current)
            self._declared = declared_of(settings)

    @property
    def infos(self) -> tuple[SettingInfo, ...]:
        """What the plugin declares."""
        fields = () if self._declared is None else self._declared.declaration.fields
        return tuple(map(info_of, fields))

    def learn(self, message: Configured) -> Given:
        """Take over the values that the exchanges of a connection see from now on."""
        if self._latest is None or self._latest.message != message:
            instance, error = None, None
            try:
                instance = self._made(message.values)
            except PluginError as failed:
                error = failed
            self._latest = Given(message, instance, error)
        return self._latest

    def _made(self, values: dict[str, Any]) -> Any:
        if self._declared is None:
            raise PluginError("settings of a plugin that has none")
        return self._declared.make(self.plugin, values)

    def checker(self) -> Caller:
        """Return what tells whether values can be used: None, or the field and what is expected."""

        def check(args: Sequence[Any], _kwargs: dict[str, Any]) -> Result:
            fields = () if self._declared is None else self._declared.declaration.fields
            values = {}
            for field in fields:
                try:
                    values[field.name] = exact(field, args[0][field.name])
                except UnusableText as error:
                    return Value(value=[field.name, error.expected])
            try:
                self._made(values)
            except SettingError as error:
                return Value(value=["", f"{error.expected} ({error.found})"])
            return Value()

        return check

    def _current(self, plugin: str) -> Any:
        given = _GIVEN.get() or self._latest
        if given is None:
            raise PluginError(
                f"the settings of plugin {plugin!r} aren't known yet: it runs in a process of its "
                "own, which learns of them with its first request"
            )
        return given.instance


@contextmanager
def seen(given: Given | None) -> Iterator[None]:
    """Let what runs inside the block see these values."""
    if given is None:
        yield
        return
    token = _GIVEN.set(given)
    try:
        yield
    finally:
        _GIVEN.reset(token)
