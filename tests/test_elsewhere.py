"""What a site pays for plugins in processes of their own that it doesn't have: nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from trees import REGISTER, write_plugin

PROGRAM = """
import json, sys
from flask import Flask
from flask_pluginkit import PluginManager

app = Flask("site", root_path=sys.argv[1])
manager = PluginManager(app, plugins_base=sys.argv[1], strict=True)
assert app.test_client().get("/assets/nobody/nothing").status_code == 404
manager.disable_plugin("hello")
manager.enable_plugin("hello")
assert manager.plugin_processes() == ()
print(json.dumps([name for name in sys.modules if name.startswith("flask_pluginkit.")]))
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The modules of the package that a site of trusted plugins imports until it is at work."""
    folder = tmp_path_factory.mktemp("site")
    write_plugin(folder / "plugins", "hello", REGISTER)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    return set(json.loads(done.stdout))


def test_trusted_plugins_import_nothing_of_isolation_but_the_levels(imported: set[str]) -> None:
    """Neither the start, nor a request, nor switching needs what runs plugins elsewhere."""
    found = {name for name in imported if name.startswith("flask_pluginkit.isolation.")}
    assert found == {"flask_pluginkit.isolation.levels"}


def test_plugins_without_permissions_need_no_reader_of_them(imported: set[str]) -> None:
    """What reads ``__permissions__`` is imported for the first plugin that has some."""
    assert "flask_pluginkit.permissions" not in imported
