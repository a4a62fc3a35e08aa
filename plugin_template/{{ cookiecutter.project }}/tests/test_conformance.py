"""What holds for every good plugin, tried by Flask-PluginKit."""

from flask_pluginkit.testing import conformance

__all__ = ["conformance"]
