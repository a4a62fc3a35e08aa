"""The settings of plugins in this process: read for each state, found by the code that asks.

Few plugins have settings: this module is imported by the first that does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from flask import Flask

from .contexts import APP_CONTEXT
from .exceptions import PluginError, SettingError
from .isolation.levels import Isolation
from .loadings import Loading
from .residents import OWNER
from .settings.fields import Declaration, key_of, prefix_of
from .settings.proxy import Settings, bind, declared_of
from .settings.resolving import (
    Configurable,
    Resolved,
    Sources,
    are_same,
    inputs_of,
    resolve,
    unknown_keys,
    withheld,
)
from .snapshot import PIN, Snapshot, pinned
from .state.base import State
from .text import clean

OURS = frozenset(
    f"PLUGINKIT_{name}"
    for name in (
        "BREAKER", "ISOLATION", "OVERLAY", "PIP_TARGET_DIR", "PUBLIC_ENDPOINTS", "RELOAD",
        "SAFE_MODE", "SANDBOX", "SECRET_KEYS", "SHARED_TEMPLATES", "STATE_DIR", "USER",
    )
)  # fmt: skip
"""The keys that mean something to the application or to `flask plugins`."""

OUR_PREFIXES = ("PLUGINKIT_SANDBOX_",)
"""What further ones begin with."""


def _adopt(loading: Loading, app: Flask, others: Iterable[Loading]) -> Configurable:
    """Return what a plugin that was just loaded declares.

    Raises:
        SettingError: for a field whose key means something else.
        PluginError: its settings are another plugin's.

    """
    plugin, given = loading.name, loading.variants[()]["settings"][0]
    if isinstance(given, Settings):
        bind(given, plugin, current)
        given = declared_of(given)
    found: Configurable = given
    for name in found.declaration.names:
        key = key_of(plugin, name)
        if key in OURS or key.startswith(OUR_PREFIXES):
            raise SettingError(
                plugin,
                name,
                f"the key {key}, which is one of Flask-PluginKit's own",
                "a field with another name",
                "rename the field, or the plugin",
            )
    assert loading.resident is not None
    home: Any = loading.resident.home  # the site
    home.secret_keys.update(
        key_of(plugin, field.name) for field in found.declaration.fields if field.is_secret
    )
    keys = {*os.environ, *(key for key in app.config if isinstance(key, str))} - OURS
    prefixes = [*(prefix_of(other.name) for other in others), *OUR_PREFIXES]
    for key, nearest in unknown_keys(plugin, found.declaration, keys, prefixes):
        home.logger.warning(
            "plugin %r has no setting for %s; did you mean %s?",
            plugin,
            clean(key),
            nearest,
            extra={"plugin": plugin},
        )
    _warn_of_shared(loading, found.declaration, others)
    return found


def _warn_of_shared(loading: Loading, declaration: Declaration, others: Iterable[Loading]) -> None:
    """Log where one key sets two plugins: field ``b_c`` of ``a``, and field ``c`` of ``a_b``.

    One that isn't trusted gets nothing by such a key: see `_foreign`.
    """
    if loading.level is not Isolation.TRUSTED:
        return
    own = {key_of(loading.name, name) for name in declaration.names}
    for other in others:
        if other is loading or other.configurable is None or other.level is not Isolation.TRUSTED:
            continue
        names = other.configurable.declaration.names
        for key in sorted(own & {key_of(other.name, name) for name in names}):
            assert loading.resident is not None
            loading.resident.home.logger.warning(
                "%s sets plugins %r and %r, whose names are too much alike: set them by "
                "flask plugins set",
                key,
                loading.name,
                other.name,
                extra={"plugin": loading.name},
            )


def sources(loading: Loading, state: State, app: Flask, others: Iterable[Loading]) -> Sources:
    """Return what the values of a plugin come from; `others` are all plugins."""
    return Sources(
        stored=state.settings.get(loading.name, {}),
        environ=os.environ,
        config=app.config,
        foreign=_foreign(loading, state, others),
    )


def _foreign(
    loading: Loading, state: State, others: Iterable[Loading]
) -> tuple[tuple[str, str], ...]:
    """Return what keys begin with that may be another plugin's, if this one isn't trusted.

    It may be called so, or have such a field, to be given a secret of the other. Whether that one
    has the field isn't asked: while it is disabled, or has failed, nobody knows.
    """
    if loading.level is Isolation.TRUSTED:
        return ()
    own = prefix_of(loading.name)
    names = {*(other.name for other in others), *state.wanted} - {loading.name}
    found = ((prefix_of(name), name) for name in sorted(names))
    return tuple(one for one in found if own.startswith(one[0]) or one[0].startswith(own))


def configure(loading: Loading, state: State, app: Flask, others: Iterable[Loading]) -> None:
    """Give a plugin the values that count now; the same object as before if they are the same.

    Args:
        loading: the plugin, which has settings.
        state: with those that are stored.
        app: with those that are configured.
        others: all plugins.

    Raises:
        SettingError: with every setting that is wrong, or has to be set and isn't.

    """
    before, loading.settings = loading.settings, None
    is_new = loading.configurable is None
    if loading.configurable is None:
        loading.configurable = _adopt(loading, app, others)
    configurable = loading.configurable
    assert loading.resident is not None
    declaration, found = configurable.declaration, sources(loading, state, app, others)
    if is_new:
        for _name, words in withheld(loading.name, declaration, found):
            loading.resident.home.logger.warning("%s", words, extra={"plugin": loading.name})
    inputs = inputs_of(loading.name, declaration, found)
    if before is not None and are_same(before.inputs, inputs):
        loading.settings = before
        return
    values, origins = resolve(loading.name, declaration, found)
    with loading.resident.running():
        made = configurable.make(loading.name, values)
    if not loading.is_asked:
        configurable.check(loading.name, values)
        loading.is_asked = True
    loading.settings = loading.resident.settings = Resolved(
        values=values, origins=origins, made=made, inputs=inputs
    )


# ---- what a plugin's code asks ----------------------------------------------------------------


def current(plugin: str) -> Any:
    """Return the instance of a plugin's settings that the running code uses; see `Settings`."""
    snapshot = PIN.get()
    context = APP_CONTEXT.get(None)
    if snapshot is None or (context is not None and snapshot.site.app is not context.app):  # type: ignore[attr-defined]
        snapshot = _snapshot(context)
    row = None if snapshot is None else snapshot.active.get(plugin)
    if row is not None and row.settings is not None:
        return row.settings.made
    return _of_owner(plugin).made


def _snapshot(context: Any) -> Snapshot | None:
    if context is not None:
        manager = context.app.extensions.get("pluginkit")
        return None if manager is None else manager.snapshot
    owner = OWNER.get()
    return None if owner is None else pinned(owner.home)


def _of_owner(plugin: str) -> Resolved:
    """Return the settings of the plugin whose code runs, as it is being registered."""
    owner = OWNER.get()
    if owner is not None and owner.name == plugin and owner.settings is not None:
        found: Resolved = owner.settings
        return found
    if owner is None and APP_CONTEXT.get(None) is None and PIN.get() is None:
        raise PluginError(
            f"the settings of plugin {plugin!r} were asked for outside of any application: ask in "
            "a request or command, or within app.app_context()"
        )
    raise PluginError(f"plugin {plugin!r} isn't active here, so it has no settings")
