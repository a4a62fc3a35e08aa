"""``flask plugins doctor``: where plugins are looked for, and what is seen there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from commands import examined, invoke
from hosts import Host, clean_imports, host
from trees import write, write_distribution, write_plugin

__all__ = ["clean_imports", "host"]

NOTHING = "def register():\n    return {}\n"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder is the application's, and nothing else lies around."""
    monkeypatch.chdir(tmp_path)


def test_places_are_told_in_the_order_of_the_search(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder, packages, the namespace by path, entry points; with what is in each."""
    host.plugin("local", NOTHING)
    monkeypatch.syspath_prepend(str(host.folder / "site"))
    write_plugin(host.folder / "site", "packaged", NOTHING)
    write_plugin(host.folder / "site" / "pluginkit_plugins", "spaced", NOTHING)
    write_plugin(host.folder / "more" / "pluginkit_plugins", "pathed", NOTHING)
    write_plugin(host.folder / "site", "pointed", NOTHING)
    write_distribution(host.folder / "site", "dist-name", "pointed", "pluginkit_plugins.spaced")
    text = examined(host, code=0, plugin_packages=["packaged"], plugin_paths=["more"])
    folder = host.folder
    places = [
        f"1. the folder of local plugins {folder}/plugins active: local",
        "2. plugin_packages active: packaged",
        f"3. the namespace pluginkit_plugins, found by sys.path {folder}/site/pluginkit_plugins",
        f"4. the namespace pluginkit_plugins, of plugin_paths {folder}/more/pluginkit_plugins",
        "5. entry points of the group flask_pluginkit.plugins",
    ]
    positions = [text.find(place) for place in places]
    assert -1 not in positions
    assert positions == sorted(positions)
    assert "active: pointed = pointed, of dist-name" in text
    assert "spaced = pluginkit_plugins.spaced, of dist-name: found already: as namespace" in text
    assert text.endswith("Nothing is wrong.")


def test_the_python_is_told(host: Host) -> None:
    """What was installed into another one isn't found."""
    assert examined(host, code=0).startswith(f"Python {sys.executable} Application host")


def test_places_that_arent_there_are_told(host: Host) -> None:
    """A misspelt folder is the simplest reason."""
    (host.folder / "empty").mkdir()
    text = examined(host, code=0, plugin_paths=["empty", "nowhere"], plugins_folder="plugin")
    assert f"{host.folder}/plugin it doesn't exist" in text
    assert f"plugin_paths {host.folder}/empty it has no folder pluginkit_plugins" in text
    assert f"plugin_paths {host.folder}/nowhere it doesn't exist" in text


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("single.py", "single.py: passed over: a plugin is a folder"),
        ("pack-1.0.zip", "pack-1.0.zip: passed over: an archive isn't looked into"),
        (".hidden/__init__.py", ".hidden: passed over: its name begins with a dot"),
        ("__under/__init__.py", "__under: passed over: its name begins with two underscores"),
        ("bare/data.txt", "bare: refused: __init__.py: found no such file"),
        ("odd-name/data.txt", "odd-name: passed over: no __init__.py in it, and no name"),
        ("odd-name/__init__.py", "odd-name: refused: the folder's name: found 'odd-name'"),
        ("gone/__pycache__/x", "gone: passed over: what a plugin left behind"),
    ],
)
def test_what_isnt_taken_for_a_plugin_is_told(host: Host, path: str, expected: str) -> None:
    """With the reason."""
    write(host.folder / "plugins" / path)
    host.start(strict=False, live=False)
    assert expected in " ".join(invoke(host.app, "doctor").stdout.split())


@pytest.mark.parametrize("path", ["static/x.css", "templates/x.html", "README.md", "__init__.py"])
def test_what_nobody_takes_for_a_plugin_isnt_told(host: Host, path: str) -> None:
    """Folders of the host, and files that aren't code."""
    write(host.folder / "plugins" / path)
    assert f"{host.folder / 'plugins'} nothing 2." in examined(host, code=0)


def test_a_plugin_that_lies_too_deep_is_found(host: Host) -> None:
    """As it does when an archive was unpacked there."""
    write_plugin(host.folder / "plugins" / "deep-1.0" / "src", "deep", NOTHING)
    text = examined(host, code=0)
    assert "deep-1.0: passed over: no __init__.py in it, but a plugin lies deeper: src/deep" in text
    assert "there is a plugin" not in text
    text = examined(host, "deep", code=1)
    assert f"a plugin lies in {host.folder}/plugins/deep-1.0/src/deep, where nobody looks" in text


def test_a_file_that_hides_the_plugins_of_others_is_told(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The namespace has no __init__.py, and what to do about it."""
    monkeypatch.syspath_prepend(str(host.folder / "site"))
    write_plugin(host.folder / "site" / "pluginkit_plugins", "spaced", NOTHING)
    write(host.folder / "site" / "pluginkit_plugins" / "__init__.py")
    text = examined(host, code=1)
    assert "__init__.py: refused: a file that makes an ordinary package of the namespace" in text
    assert "-> remove it, or uninstall what brought it" in text
    assert "active: spaced" in text


def test_a_module_that_hides_the_namespace_is_told(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file ``pluginkit_plugins.py`` on the path does, too."""
    monkeypatch.syspath_prepend(str(host.folder / "site"))
    write(host.folder / "site" / "pluginkit_plugins.py")
    assert f"{host.folder}/site/pluginkit_plugins.py: refused" in examined(host, code=1)


def test_a_package_that_isnt_installed_is_told(host: Host) -> None:
    """With what to do."""
    text = examined(host, code=1, plugin_packages=["absent_package"])
    assert "absent_package: refused: 'absent_package': found No module named" in text
    assert "-> install what brings it, or remove the name" in text


def test_a_link_that_leads_nowhere_is_told(host: Host) -> None:
    """As a refused plugin."""
    (host.folder / "plugins").mkdir()
    (host.folder / "plugins" / "linked").symlink_to(host.folder / "nowhere")
    assert "linked: refused: the link: found one to a place" in examined(host, code=1)


def test_a_folder_that_cannot_be_read_is_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason of the system."""
    write(host.folder / "plugins" / "odd-name" / "x")
    host.start(strict=False, live=False)
    listed = os.listdir

    def listdir(path: Path) -> list[str]:
        if Path(path).name == unreadable:
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "listdir", listdir)
    unreadable = "odd-name"
    assert "odd-name: passed over: it can't be read: Permission denied" in examined(host, code=0)
    unreadable = "plugins"
    assert "plugins it can't be read: Permission denied" in examined(host, code=0)


def test_entry_points_that_cannot_be_read_are_told(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One broken distribution hides no other place."""
    host.start(strict=False, live=False)

    def fail(group: str) -> None:
        raise ValueError("broken \x1b[31mmetadata")

    monkeypatch.setattr("flask_pluginkit.cli.places.metadata.entry_points", fail)
    monkeypatch.setattr("flask_pluginkit.discovery.metadata.distributions", lambda path: [])
    assert "plugins they can't be read: broken metadata" in examined(host, code=0)


def test_an_entry_point_that_leads_nowhere_is_told(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the distribution that has it."""
    monkeypatch.syspath_prepend(str(host.folder / "site"))
    write_distribution(host.folder / "site", "dist-name", "absent_package")
    text = examined(host, code=1)
    assert "absent_package = absent_package, of dist-name: refused: 'absent_package'" in text


def test_a_folder_that_is_found_twice_is_told_once(host: Host) -> None:
    """Where it counts, and where it is found already."""
    target = host.plugin("hello", NOTHING)
    space = host.folder / "more" / "pluginkit_plugins"
    space.mkdir(parents=True)
    (space / "hello").symlink_to(target)
    text = examined(host, code=0, plugin_paths=["more"])
    assert "active: hello" in text
    assert "hello: found already: as folder plugins.hello" in text
