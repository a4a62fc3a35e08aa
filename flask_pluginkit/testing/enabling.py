"""Other plugins, settings and configuration for a part of a test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Final

from .sites import BY, Running

_MISSING: Final = object()


class Enabled:
    """What the fixture `enabled` gives: called, it changes what is live until its block ends."""

    def __init__(self, running: Running) -> None:
        self._running = running

    def __call__(
        self,
        *plugins: str,
        settings: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        without: Iterable[str] = (),
    ) -> AbstractContextManager[None]:
        """Enable other plugins, or change settings or configuration, in the block that follows.

        Args:
            plugins: names of further plugins that are installed.
            settings: of the plugin that is tested, as an operator sets them while the site runs.
            config: values of ``app.config``.
            without: names of plugins to disable, such as the one that is tested.

        Raises:
            PluginError: there is no such plugin, or it can't be active, or a setting is wrong.

        """
        return self._changed(plugins, settings or {}, config or {}, tuple(without))

    @contextmanager
    def _changed(
        self,
        plugins: tuple[str, ...],
        settings: Mapping[str, Any],
        config: Mapping[str, Any],
        without: tuple[str, ...],
    ) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(self._config(config))
            stack.enter_context(self._without(without))
            stack.enter_context(self._with(plugins))
            stack.enter_context(self._settings(settings))
            yield

    @contextmanager
    def _config(self, config: Mapping[str, Any]) -> Iterator[None]:
        values = self._running.app.config
        before = {name: values.get(name, _MISSING) for name in config}
        values.update(config)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is _MISSING:
                    values.pop(name, None)
                else:
                    values[name] = value

    @contextmanager
    def _without(self, names: tuple[str, ...]) -> Iterator[None]:
        manager = self._running.manager
        changed = manager.disable_plugin(*names, by=BY).changed if names else ()
        try:
            yield
        finally:
            if changed:
                manager.enable_plugin(*changed, by=BY)

    @contextmanager
    def _with(self, names: tuple[str, ...]) -> Iterator[None]:
        manager, site = self._running.manager, self._running.site
        changed: tuple[str, ...] = ()
        if names:
            site.others = (*site.others, *names)
            manager.rescan()
            changed = manager.enable_plugin(*names, cascade=True, by=BY).changed
        try:
            yield
        finally:
            if names:
                # what came with the search came enabled, so the change may be empty
                live = {row.name for row in manager.plugins if row.name in names}
                manager.disable_plugin(*sorted({*changed, *live}), by=BY)

    @contextmanager
    def _settings(self, settings: Mapping[str, Any]) -> Iterator[None]:
        if not settings:
            yield
            return
        manager: Any = self._running.manager
        name = self._running.name
        stored = dict(self._running.site.state.settings.get(name, {}))
        before = {field: stored[field] for field in settings if field in stored}
        manager.configure_plugin(name, by=BY, **settings)
        try:
            yield
        finally:
            reset = tuple(field for field in settings if field not in before)
            manager.configure_plugin(name, by=BY, reset=reset, **before)
