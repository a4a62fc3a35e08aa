"""``emit_config``: configuration values for templates, and never a secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask

from flask_pluginkit.options import Options

from .slots import no_name


class Configuration:
    """The configuration of one application, as templates may see it."""

    def __init__(self, app: Flask, options: Options, is_strict: Callable[[], bool]) -> None:
        self.app = app
        self.options = options
        self.logger = options.logger
        self.is_strict = is_strict
        self.secret_keys: set[str] = set()
        """The keys of plugins' settings that are secrets."""

    def emit(self, conf_name: str) -> Any:
        """Return a value of pluginkit_config, else of the application's configuration.

        Secrets are never handed out: ``SECRET_KEY``, its fallbacks, the secrets among plugins'
        settings, and what the configuration ``PLUGINKIT_SECRET_KEYS`` (a list of names, or a
        text of them) adds. They are None.
        """
        try:
            hash(conf_name)
        except TypeError:  # a list, for example
            no_name("emit_config", "the name of a configuration value", conf_name, self)
            return None
        secret = {"SECRET_KEY", "SECRET_KEY_FALLBACKS", *self.secret_keys}
        added = self.app.config.get("PLUGINKIT_SECRET_KEYS") or ()
        # an environment variable gives text
        secret.update(added.replace(",", " ").split() if isinstance(added, str) else added)
        if conf_name in secret:
            self.logger.warning("emit_config(%r) was refused: it is a secret", conf_name)
            return None
        if conf_name in self.options.pluginkit_config:
            return self.options.pluginkit_config[conf_name]
        return self.app.config.get(conf_name)
