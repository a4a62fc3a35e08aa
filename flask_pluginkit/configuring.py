"""What an operator asks about the settings of plugins, and sets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .isolating import board_of

if TYPE_CHECKING:
    from .application import Site
    from .settings.resolving import Setting
    from .switching import Change


class Configuring:
    """The part of `PluginManager` that knows the settings of plugins."""

    if TYPE_CHECKING:  # what it works on; the manager has it

        def _site(self) -> Site:
            """Return the site of the current application."""

    def settings_of(self, plugin_name: str) -> tuple[Setting, ...]:
        """Return one row for each setting of a plugin, in the order in which it declares them.

        Each has ``field``, ``type`` (in words), ``value``, ``origin`` (``stored``,
        ``environment``, ``configuration``, ``default`` or ``unset``), ``default``,
        ``description``, ``is_secret``, ``key`` and ``problem``. Instead of a secret there is
        ``(hidden)``.

        Raises:
            PluginError: there is no such plugin, it has no settings, or they can't be known as
                it isn't loaded.

        """
        from .reconfiguring import settings_of

        return settings_of(self._site(), plugin_name)

    def configure_plugin(
        self,
        plugin_name: str,
        /,
        *,
        by: str | None = None,
        reset: Iterable[str] = (),
        **values: Any,
    ) -> Change:
        """Set settings of a plugin: every request that begins after this sees them, everywhere.

        All of them are stored, or nothing is changed. What is stored comes before environment,
        configuration and defaults. A plugin that is disabled is loaded for this, to know what it
        declares, and stays disabled.

        Args:
            plugin_name: its name.
            by: as for `enable_plugin`.
            reset: the fields whose stored values are to go.
            values: by field; a text is read as in the environment where the field is no text.

        Raises:
            SettingError: a value can't be used, with field, found and expected; or the plugin is
                active, and couldn't be with it.
            StateError: the state, or the audit, can't be written; or a secret is to be stored
                where every user of the machine could read it.
            PluginError: there is no such plugin, or its settings aren't known.

        """
        from .reconfiguring import Wish, configure
        from .switching import who

        user, source = who()
        names = (reset,) if isinstance(reset, str) else tuple(dict.fromkeys(map(str, reset)))
        wish = Wish(plugin=plugin_name, values=values, reset=names, by=by or user, source=source)
        return configure(board_of(self._site()), wish)
