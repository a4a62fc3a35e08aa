"""The settings of a plugin that runs in a process of its own, as the host has them.

The host checks types and bounds, and knows which values count for which request. They go to
the plugin's process ahead of an exchange, on each connection that hasn't got these values yet.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from flask_pluginkit.exceptions import PEPError, SettingError
from flask_pluginkit.frozen import Frozen
from flask_pluginkit.settings.fields import Declaration, Values
from flask_pluginkit.settings.values import shown
from flask_pluginkit.text import UnusableText, clean

from .declarations import declaration_of, sendable
from .faults import value_of
from .messages import Call, Configured, Description, Page
from .remote import Remote
from .wire import REQUEST_LIMIT, encode


class RemoteSettings(Frozen, eq=False):
    """What a plugin declares, and how it is asked about values."""

    declaration: Declaration
    remote: Remote
    checker: int
    """The reference of what checks values in the plugin's process."""

    def make(self, plugin: str, values: Values) -> bytes:  # noqa: ARG002 - as `Configurable`
        """Return the frame that gives the values to the plugin's process."""
        return encode(Configured(values=dict(values)), REQUEST_LIMIT)

    def check(self, plugin: str, values: Values) -> None:
        """Ask the plugin's process about values.

        Raises:
            SettingError: it doesn't want them.
            PluginError: it can't be asked.

        """
        call = Call(reference=self.checker, args=[sendable(values)])
        [result] = self.remote.ask(Page(), [call])
        answer = value_of(result, plugin, "settings")
        if answer is None:
            return
        match answer:
            case [str(name), str(expected)] if (field := self.declaration.field(name)) is not None:
                found = shown(field, values[name])
            case [_, str(expected)]:
                name, found = ", ".join(values), "these values"
            case _:
                name, found, expected = ", ".join(values), "these values", "others"
        raise SettingError(plugin, name, found, clean(expected, 300))


def remote_settings(
    description: Description, remote: Remote, frame: Callable[[str], bytes]
) -> RemoteSettings:
    """Return the settings that a plugin's worker described.

    Args:
        description: what it said.
        remote: what asks it, and from now on sends it `frame`.
        frame: gives the values that the request sees, by the plugin's name.

    Raises:
        PEPError: nothing can be such a setting.

    """
    try:
        declaration = declaration_of(description.settings)
    except UnusableText as error:
        raise PEPError(f"plugin {remote.plugin}: its settings: {error}") from None
    remote.settings_frame = partial(frame, remote.plugin)
    return RemoteSettings(declaration=declaration, remote=remote, checker=description.checker)
