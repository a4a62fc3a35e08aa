"""What a host sees of plugins that are broken: a status, a reason, and no other plugin harmed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from trees import clean_imports, write, write_plugin

from flask_pluginkit import PluginManager
from flask_pluginkit.exceptions import (
    LoadError,
    ManifestError,
    PEPError,
    PluginError,
    RequirementError,
    TemplateNotFound,
    VersionError,
)
from flask_pluginkit.snapshot import Plugin, Status

__all__ = ["clean_imports"]  # a fixture, imported for its effect

pytestmark = pytest.mark.usefixtures("clean_imports")

NOTHING = "def register(): return {}"


def start(base: Path, **options: Any) -> dict[str, Plugin]:
    """The plugins by name, of a host that starts whatever they are like."""
    app = Flask("host", root_path=str(base))
    app.add_url_rule("/", view_func=lambda: "host")
    manager = PluginManager(app, strict=False, **options)
    assert app.test_client().get("/").data == b"host"
    return {plugin.name: plugin for plugin in manager.plugins}


# name: (source below the dunders, part of the reason, what strict mode raises)
BROKEN: dict[str, tuple[str, str, type[Exception]]] = {
    "syntax": ("def register(: pass", "a syntax error in line 4", ManifestError),
    "no_register": ("x = 1", "expected a function register()", PEPError),
    "value_error": (f"{NOTHING}\nraise ValueError('boom')", "ValueError: boom", LoadError),
    "system_exit": (f"{NOTHING}\nimport sys; sys.exit(3)", "SystemExit: 3", LoadError),
    "import_error": (f"import not_there\n{NOTHING}", "No module named 'not_there'", PluginError),
    "register_raises": ("def register(): raise KeyError('k')", "KeyError: 'k'", PEPError),
    "register_exits": ("def register(): raise SystemExit(1)", "SystemExit: 1", PEPError),
    "register_none": ("def register(): return None", "found None", PEPError),
    "unknown_key": ("def register(): return {'teb': {}}", "did you mean 'tep'?", PEPError),
    "no_template": (
        "def register(): return {'tep': {'nav': 'no.html'}}",
        "no template file 'no.html'",
        TemplateNotFound,
    ),
    "no_callable": (
        "def register(): return {'vep': {'rule': '/x', 'view_func': 3}}",
        "vep['view_func']: found 3",
        PEPError,
    ),
    "prefix": (
        (
            "from flask import Blueprint\n"
            "def register(): return {'bep': {'blueprint': Blueprint('a', 'a'), 'prefix': 'x'}}"
        ),
        "bep['prefix']: found 'x'",
        PEPError,
    ),
    "converter": (
        "def register(): return {'vep': {'rule': '/<foo:x>', 'view_func': str}}",
        "the converter 'foo' does not exist",
        PEPError,
    ),
    "huge": (f"x = '{'a' * 10_000_000}'\n{NOTHING}", "expected at most 1048576 bytes", PEPError),
    "needs": (f"__requires__ = {{'nobody': '>=1'}}\n{NOTHING}", "no such plugin", RequirementError),
    "ready": (
        "def on_app_ready(app): raise OSError('no disk')\n" + NOTHING,
        "failed on_app_ready: OSError: no disk",
        PEPError,
    ),
    "old": (f"__appversion__ = '<4'\n{NOTHING}", "a range that has Flask-PluginKit", VersionError),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_listed_with_a_reason(tmp_path: Path, name: str) -> None:
    """The host starts, the good plugin works, and the broken one says what is wrong."""
    body, reason, _error = BROKEN[name]
    write_plugin(tmp_path / "plugins", name, body)
    write_plugin(tmp_path / "plugins", "good")
    plugins = start(tmp_path)
    assert plugins["good"].status is Status.ACTIVE
    assert plugins[name].status in {Status.FAILED, Status.INCOMPATIBLE}
    assert reason in plugins[name].reason


@pytest.mark.parametrize("name", BROKEN)
def test_strict_mode_raises_the_reason(tmp_path: Path, name: str) -> None:
    """The exception is the one of 3.x, with the text of the reason."""
    body, reason, error = BROKEN[name]
    write_plugin(tmp_path / "plugins", name, body)
    app = Flask("host", root_path=str(tmp_path))
    with pytest.raises(error) as caught:
        PluginManager(app, strict=True)
    assert reason in str(caught.value)
    assert app.extensions == {}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_that_is_disabled_is_just_disabled(tmp_path: Path, name: str) -> None:
    """Disabling is how one gets rid of it, in strict mode too."""
    folder = write_plugin(tmp_path / "plugins", name, BROKEN[name][0])
    write(folder / "DISABLED")
    manager = PluginManager(Flask("host", root_path=str(tmp_path)), strict=True)
    assert [plugin.status for plugin in manager.plugins] == [Status.DISABLED]
    assert f"plugins.{name}" not in sys.modules


def no_init(plugins: Path) -> None:
    """A folder with a module but without ``__init__.py``."""
    write(plugins / "odd" / "module.py")


def no_identifier(plugins: Path) -> None:
    """A folder whose name can't be imported."""
    write_plugin(plugins, "my-plugin")


def loop(plugins: Path) -> None:
    """A symbolic link to itself."""
    plugins.mkdir(parents=True)
    (plugins / "odd").symlink_to(plugins / "odd")


def undecodable(plugins: Path) -> None:
    """Bytes that are no text."""
    folder = write_plugin(plugins, "odd")
    (folder / "__init__.py").write_bytes(b"x = '\xff\xfe'\n")


def not_semantic(plugins: Path) -> None:
    """A version that isn't semantic."""
    write_plugin(plugins, "odd", version="1.0")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (no_init, "expected the file that makes a plugin of a folder"),
        (no_identifier, "expected a name that can be imported"),
        (loop, "Too many levels of symbolic links"),
        (undecodable, "bytes that can't be decoded"),
        (not_semantic, "expected a semantic version"),
    ],
)
def test_an_odd_folder_is_listed_with_a_reason(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    """What isn't a plugin, or can't be read as one, doesn't stop the host."""
    make(tmp_path / "plugins")
    (plugin,) = start(tmp_path).values()
    assert plugin.status is Status.FAILED
    assert reason in plugin.reason


def test_all_problems_of_a_manifest_are_reported_together(tmp_path: Path) -> None:
    """One start shows everything that is to be mended."""
    write_plugin(tmp_path / "plugins", "odd", NOTHING, version=3, author=None, url=4)
    reason = start(tmp_path)["odd"].reason
    assert all(dunder in reason for dunder in ("__version__", "__author__", "__url__"))


def test_a_namespace_with_an_init_file_is_refused(tmp_path: Path) -> None:
    """It is named and never executed, and the plugins beside it are loaded."""
    namespace = tmp_path / "more" / "pluginkit_plugins"
    write(namespace / "__init__.py", "raise AssertionError('executed')")
    write_plugin(namespace, "fine")
    plugins = start(tmp_path, plugin_paths=[tmp_path / "more"])
    assert plugins["fine"].status is Status.ACTIVE
    assert str(namespace / "__init__.py") in plugins["pluginkit_plugins"].reason


def test_the_second_plugin_of_a_name_is_refused(tmp_path: Path) -> None:
    """Both paths are named; the host's own folder goes first."""
    first = write_plugin(tmp_path / "plugins", "twin")
    second = write_plugin(tmp_path / "more" / "pluginkit_plugins", "twin")
    app = Flask("host", root_path=str(tmp_path))
    manager = PluginManager(app, strict=False, plugin_paths=[tmp_path / "more"])
    found = {plugin.candidate.folder: plugin for plugin in manager.plugins}
    assert found[first].status is Status.ACTIVE
    assert found[second].status is Status.FAILED
    assert str(first) in found[second].reason
    assert str(second) in found[second].reason


def test_a_cycle_of_requirements_is_shown_as_a_path(tmp_path: Path) -> None:
    """Each member is told its own way around."""
    for name, other in (("one", "two"), ("two", "three"), ("three", "one")):
        write_plugin(tmp_path / "plugins", name, f"__requires__ = {{{other!r}: '>=1'}}\n{NOTHING}")
    assert "one -> two -> three -> one" in start(tmp_path)["one"].reason


def test_reasons_are_printable(tmp_path: Path) -> None:
    """Colours, line breaks and bidirectional controls of a plugin's text don't get through."""
    body = NOTHING + "\nraise ValueError('\\x1b[31mred\\u202etxt\\n' + 'x' * 5000)"
    write_plugin(tmp_path / "plugins", "odd", body)
    reason = start(tmp_path)["odd"].reason
    assert reason.isprintable()
    assert len(reason) <= 1001
