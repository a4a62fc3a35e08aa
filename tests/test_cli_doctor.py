"""``flask plugins doctor``: why a plugin isn't found, or isn't active, and what to do."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import examined, invoke, invoke_for, told
from flask import Flask
from flask.cli import NoAppException
from hosts import Host, clean_imports, host
from trees import write, write_plugin

from flask_pluginkit.exceptions import StateError

__all__ = ["clean_imports", "host"]

NOTHING = "def register():\n    return {}\n"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder is the application's, and nothing else lies around."""
    monkeypatch.chdir(tmp_path)


# --- one plugin -------------------------------------------------------------------------------


def test_a_plugin_that_is_active_is_fine(host: Host) -> None:
    """Exit code 0, though others aren't."""
    host.plugin("hello", NOTHING)
    host.plugin("bad", NOTHING + "1 / 0")
    assert examined(host, "hello", code=0).endswith("plugins, is active")
    assert "- bad is failed -> see what it says above" in examined(host, code=1)


def test_of_two_with_one_name_the_active_one_is_told(host: Host) -> None:
    """And that the other isn't, which is the surprise."""
    host.plugin("hello", NOTHING)
    write_plugin(host.folder / "more" / "pluginkit_plugins", "hello", NOTHING)
    text = examined(host, "hello", code=0, plugin_paths=["more"])
    assert f"hello, found in {host.folder}/plugins, is active" in text
    assert f"hello was found in {host.folder}/more/pluginkit_plugins, and is failed" in text


@pytest.mark.parametrize(
    ("dunders", "expected"),
    [
        ({"state": "disabled"}, "is disabled: disabled by its __state__ -> flask plugins enable"),
        ({"requires": {"ghost": ""}}, "is incompatible: hello/__init__.py: __requires__['ghost']"),
        ({"version": "one"}, "is failed: hello/__init__.py: __version__: found 'one'"),
    ],
)  # fmt: skip
def test_a_plugin_that_isnt_active_is_told_with_what_to_do(
    host: Host, dunders: dict[str, object], expected: str
) -> None:
    """Where it was found, its status and its reason."""
    host.plugin("hello", NOTHING, **dunders)
    text = examined(host, "hello", code=1)
    assert f"hello was found in {host.folder / 'plugins'}, and {expected}" in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("helo", "there is a plugin 'hello' -> if you mean that one: flask plugins doctor hello"),
        ("Hello", "there is a plugin 'hello'"),
        ("folder_name", "is a plugin with another name: 'other name' -> use that name"),
        ("single", "single.py, in {}, is passed over: a plugin is a folder -> make it"),
        ("hidden", ".hidden, in {}, is passed over: its name begins with a dot -> rename it"),
        ("pack", "pack-1.0.zip, in {}, is passed over: an archive isn't looked into"),
        ("a/b", "no plugin can be called so: found 'a/b', which holds '/'"),
    ],
)
def test_near_misses_are_told(host: Host, name: str, expected: str) -> None:
    """What looks like it, and what to do then."""
    host.plugin("hello", NOTHING)
    host.plugin("folder_name", NOTHING, plugin_name="other name")
    host.plugin(".hidden", NOTHING)
    write(host.folder / "plugins" / "single.py")
    write(host.folder / "plugins" / "pack-1.0.zip")
    text = examined(host, name, code=1)
    assert f"no plugin called {name!r} was found in these places" in text
    assert "folder_name: active: its name is 'other name'" in text
    assert expected.format(host.folder / "plugins") in text


def test_a_plugin_that_lies_elsewhere_is_found(host: Host) -> None:
    """Below the application, with the option that finds it."""
    write_plugin(host.folder / "old" / "pluginkit_plugins", "lost", NOTHING)
    text = examined(host, "lost", code=1)
    assert f"a plugin lies in {host.folder}/old/pluginkit_plugins/lost, where nobody looks" in text
    assert f"plugin_paths=['{host.folder}/old']" in text
    write_plugin(host.folder / "older", "relic", NOTHING)
    assert f"plugins_folder='{host.folder}/older'" in examined(host, "relic", code=1)


def test_a_distribution_without_a_plugin_is_told(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was installed, but nobody can find anything in it."""
    monkeypatch.syspath_prepend(str(host.folder / "site"))
    info = host.folder / "site" / "flask_pluginkit_shop-1.0.0.dist-info"
    write(info / "METADATA", "Metadata-Version: 2.1\nName: flask-pluginkit-shop\nVersion: 1.0.0\n")
    write(info / "RECORD", "shop.py,,\n")
    text = examined(host, "shop", code=1)
    assert "the distribution flask-pluginkit-shop is installed, and brings nothing" in text
    assert "plugin_packages=['shop']" in text


def test_a_plugin_that_is_nowhere_is_told_how_to_bring_it(host: Host) -> None:
    """All the ways that there are."""
    text = examined(host, "ghost", code=1)
    assert f"put its folder into {host.folder / 'plugins'}" in text
    assert f"{sys.executable} -m pip install" in text
    assert "plugin_packages=['ghost']" in text
    assert "plugin_paths=[...]" in text


def test_a_plugin_may_be_named_by_its_folder(host: Host) -> None:
    """As a shell completes it."""
    host.plugin("folder_name", NOTHING, plugin_name="hello")
    assert examined(host, f".{os.sep}plugins{os.sep}folder_name", code=0).endswith(
        "plugins, is active"
    )


def test_a_plugin_that_is_wanted_and_gone_is_told(host: Host) -> None:
    """It is in no place."""
    folder = host.plugin("hello", NOTHING)
    host.start(strict=False, live=False, state_dir=host.folder / "state")
    host.pm.disable_plugin("hello")
    host.pm.enable_plugin("hello")
    shutil.rmtree(folder)
    again = host.twin()
    again.start(strict=False, live=False, state_dir=host.folder / "state")
    assert "- hello is missing: hello: the plugin: found no such plugin" in examined(again, code=1)


def test_text_of_others_reaches_no_terminal_as_it_is(host: Host) -> None:
    """Names of files and reasons are made printable."""
    write(host.folder / "plugins" / "a\x1b[31m\u202eb.py")
    host.plugin("bad", NOTHING + "raise RuntimeError('\\x1b[2J\\u202ex')")
    host.start(strict=False, live=False)
    output = invoke(host.app, "doctor").output
    assert "ab.py: passed over" in output
    assert "\x1b" not in output
    assert "\u202e" not in output


def test_it_fits_80_columns(host: Host) -> None:
    """But for paths, which one wants to copy."""
    host.plugin("bad", NOTHING + "raise RuntimeError('word ' * 50)")
    write(host.folder / "plugins" / "odd-name" / "data.txt")
    host.start(strict=False, live=False)
    lines = invoke(host.app, "doctor", "ghost").stdout.splitlines()
    assert max(len(line) for line in lines if os.sep not in line) <= 80


# --- without an application -------------------------------------------------------------------


def failing(error: Exception) -> Callable[[], Flask]:
    """The factory of an application that can't be started."""

    def create_app() -> Flask:
        raise error

    return create_app


@pytest.mark.parametrize("error", [NoAppException("no application"), StateError("no state")])
def test_without_an_application_the_current_folder_is_looked_at(
    tmp_path: Path, clean_imports: None, error: Exception
) -> None:
    """Manifests are read, nothing is imported; exit code 1."""
    trace = tmp_path / "imported"
    write_plugin(tmp_path / "plugins", "hello", f"open({str(trace)!r}, 'w')\n{NOTHING}")
    write_plugin(tmp_path / "plugins", "bad", NOTHING, version="one")
    text = told(invoke_for(failing(error), "doctor"), 1)
    assert str(error) in text
    assert "found: hello" in text
    assert "bad: refused: bad/__init__.py: __version__" in text
    assert not trace.exists()


def test_one_plugin_without_an_application(tmp_path: Path, clean_imports: None) -> None:
    """It is found; whether it can be active isn't known."""
    write_plugin(tmp_path / "plugins", "hello", NOTHING)
    text = told(invoke_for(failing(StateError("no state")), "doctor", "hello"), 1)
    assert "more is known once the application starts" in text


def test_a_start_that_failed_is_asked_where_it_looked(host: Host) -> None:
    """Its options are known, though there is no manager."""
    write_plugin(host.folder / "odd", "bad", NOTHING + "1 / 0")

    def create_app() -> Flask:
        host.start(strict=True, plugins_folder="odd")
        return host.app

    text = told(invoke_for(create_app, "doctor"), 1)
    assert f"{host.folder / 'odd'} found: bad" in text
    assert "ZeroDivisionError" in text


def test_an_application_without_a_manager_is_told(tmp_path: Path) -> None:
    """It looks nowhere; what it would find in its folder is told."""
    app = Flask("plain", root_path=str(tmp_path))
    write_plugin(tmp_path / "plugins", "hello", NOTHING)
    text = told(invoke(app, "doctor"), 1)
    assert "makes no PluginManager(app)" in text
    assert "found: hello" in text


def test_a_pipe_in_place_of_a_file_isnt_waited_for(host: Host) -> None:
    """Which lies deeper in a folder that isn't taken for a plugin."""
    host.plugin("hello", NOTHING)
    inner = host.folder / "plugins" / "my-plugin" / "inner"
    inner.mkdir(parents=True)
    os.mkfifo(inner / "__init__.py")
    assert "my-plugin: passed over" in examined(host, "hello", code=0)
