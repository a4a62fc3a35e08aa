"""Tests that reach nothing of Flask are known by their imports."""

from __future__ import annotations

from pathlib import Path

import pytest
from reach import reaches_flask
from trees import write


@pytest.mark.parametrize(
    "source",
    [
        "from werkzeug.routing import Map",
        "def test():\n    import jinja2",
        "from hosts import Host",
        "from flask_pluginkit.manager import Site",
        "from flask_pluginkit import manager",
        "from flask_pluginkit.state import base\nfrom flask_pluginkit.live import slots",
        "import flask_pluginkit\nmade = flask_pluginkit.PluginManager()",
        'PROGRAM = "import sys; from flask import Flask"',
        'run([sys.executable, "-m", "flask", "plugins", "list"])',
    ],
)
def test_a_module_that_reaches_flask_is_known(tmp_path: Path, source: str) -> None:
    """By itself, by a helper, by a module of the package, or in a process that it starts."""
    assert reaches_flask(write(tmp_path / "test_one.py", source))


@pytest.mark.parametrize(
    "source",
    [
        "",
        "import flask_pluginkit\nfolder = flask_pluginkit.__file__",
        "from flask_pluginkit import text",
        "from flask_pluginkit.state.base import State\nfrom trees import write",
        'show("flask")',
    ],
)
def test_a_module_without_flask_is_known(tmp_path: Path, source: str) -> None:
    """Importing the package alone imports nothing of Flask."""
    assert not reaches_flask(write(tmp_path / "test_one.py", source))
