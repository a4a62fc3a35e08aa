"""What can be imported from `flask_pluginkit` itself, and what that costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import flask_pluginkit

NAMES_OF_3X = (
    "ExpiredLocalStorage",
    "Flask",
    "JsonResponse",
    "LocalStorage",
    "PluginError",
    "PluginManager",
    "RedisStorage",
    "__version__",
    "push_dcp",
    "string_types",
)


@pytest.mark.parametrize("name", flask_pluginkit.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """Each name of __all__ has a value, and keeps it."""
    assert getattr(flask_pluginkit, name) is getattr(flask_pluginkit, name)


@pytest.mark.parametrize("name", NAMES_OF_3X)
def test_what_3x_offered_is_public(name: str) -> None:
    """The names that plugins and applications of 3.x import are in __all__."""
    assert name in flask_pluginkit.__all__


def test_the_names_are_those_of_their_homes() -> None:
    """A lazy name is the very object of the module that defines it."""
    from flask_pluginkit.exceptions import PluginError
    from flask_pluginkit.manager import PluginManager

    found = (flask_pluginkit.PluginError, flask_pluginkit.PluginManager)
    assert found == (PluginError, PluginManager)


def test_type_checkers_see_the_same_homes() -> None:
    """The imports under TYPE_CHECKING name each lazy name's real home, and leave none out."""
    tree = ast.parse(Path(flask_pluginkit.__file__).read_bytes())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    homes = {
        alias.name: "." * node.level + str(node.module)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    eager = {"__author__", "__version__"}
    assert homes == {
        name: flask_pluginkit._HOMES.get(name, ".exceptions")
        for name in flask_pluginkit.__all__
        if name not in eager
    }


def test_dir_lists_names_that_were_not_asked_for() -> None:
    """Editors and consoles see the lazy names."""
    assert set(flask_pluginkit.__all__) <= set(dir(flask_pluginkit))


def test_an_unknown_name_is_an_import_error() -> None:
    """A name of a later or other release fails as it does in any package."""
    with pytest.raises(ImportError, match="cannot import name 'no_such_name'"):
        exec("from flask_pluginkit import no_such_name")


@pytest.mark.parametrize("module", ["exceptions", "utils", "_compat"])
def test_modules_are_attributes_without_an_import(module: str) -> None:
    """In 3.x `import flask_pluginkit` was enough for ``flask_pluginkit.utils``."""
    code = f"import flask_pluginkit; print(flask_pluginkit.{module}.__name__)"
    assert run(code) == f"flask_pluginkit.{module}"


@pytest.mark.parametrize("module", ["exceptions", "text", "versions", "manifest", "state"])
def test_the_lower_layers_are_imported_without_flask(module: str) -> None:
    """A process that reads manifests or state needs neither Flask nor the manager."""
    code = f"import sys, flask_pluginkit.{module}; print(*sys.modules)"
    loaded = run(code).split()
    assert not {"flask", "jinja2", "flask_pluginkit.manager"} & set(loaded)


def run(code: str) -> str:
    """What a fresh interpreter prints, which imports the same copy of the package."""
    folder = str(Path(flask_pluginkit.__file__).parents[1])
    code = f"import sys; sys.path.insert(0, {folder!r}); {code}"
    command = [sys.executable, "-P", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
