"""Where the files of storages lie, and who may read them."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_pluginkit.exceptions import ParamError, RunError
from flask_pluginkit.storage import (
    ExpiredLocalStorage,
    LocalStorage,
    places,
)


@pytest.fixture(params=[LocalStorage, ExpiredLocalStorage])
def file_class(request: pytest.FixtureRequest) -> type[LocalStorage]:
    """Each class of storages in files."""
    found: type[LocalStorage] = request.param
    return found


@pytest.fixture
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Send storages outside of application contexts to a folder of the test."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "flask_pluginkit"


def test_in_an_application_the_file_lies_in_its_instance_folder(
    file_class: type[LocalStorage], tmp_path: Path, state_home: Path
) -> None:
    """One storage object serves each application from its own instance folder."""
    storage = file_class()
    for name in ("one", "two"):
        with Flask("app", instance_path=str(tmp_path / name)).app_context():
            assert len(storage) == 0
            storage.set("key", name)
            assert storage.get("key") == name
        assert (tmp_path / name / "pluginkit" / "flask_pluginkit_dat.json").is_file()
    assert not state_home.exists()


def test_outside_of_an_application_the_file_lies_with_the_user(
    file_class: type[LocalStorage], state_home: Path
) -> None:
    """Without an application context the file is in the user's folder for state."""
    file_class().set("key", 1)
    assert (state_home / "flask_pluginkit_dat.json").is_file()


def test_only_the_owner_can_read_what_is_stored(state_home: Path) -> None:
    """Files get the mode 0600 and their folder 0700, whatever the umask is."""
    before = os.umask(0)
    try:
        LocalStorage().set("key", 1)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state_home.iterdir()}
    assert modes == {"flask_pluginkit_dat.json": 0o600, "flask_pluginkit_dat.json.lock": 0o600}
    assert stat.S_IMODE(state_home.stat().st_mode) == 0o700


def test_a_file_in_an_open_folder_is_closed_too(tmp_path: Path) -> None:
    """Where a path leads into a folder for everybody, the file is for its owner alone."""
    tmp_path.chmod(0o755)
    LocalStorage(tmp_path / "data").set("key", 1)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o600


def test_a_mode_that_was_changed_by_hand_is_kept(tmp_path: Path) -> None:
    """An operator who lets a group read the file doesn't have to do so again."""
    storage = LocalStorage(tmp_path / "data")
    storage.set("key", 1)
    (tmp_path / "data").chmod(0o640)
    storage.set("key", 2)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o640


def test_a_path_is_the_file_itself(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file_class: type[LocalStorage],
    state_home: Path,
) -> None:
    """A path given as argument is used as it is, from the folder that was current then."""
    monkeypatch.chdir(tmp_path)
    storage = file_class("data")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    storage.set("key", 1)
    assert (tmp_path / "data").is_file()
    assert storage.index == str(tmp_path / "data")
    assert not state_home.exists()


def test_an_index_with_a_folder_is_a_path_and_another_a_name(
    tmp_path: Path, state_home: Path
) -> None:
    """COVERED_INDEX, DEFAULT_INDEX and index of subclasses work as paths and as names."""

    class Placed(LocalStorage):
        COVERED_INDEX = str(tmp_path / "deep" / "placed")

    class Named(LocalStorage):
        DEFAULT_INDEX = "named"

    Placed().set("key", 1)
    Named().set("key", 2)
    turned = LocalStorage()
    turned.index = str(tmp_path / "turned")
    turned.set("key", 3)
    assert (tmp_path / "deep" / "placed").is_file()
    assert (state_home / "named.json").is_file()
    assert (tmp_path / "turned").is_file()


@pytest.mark.parametrize("index", [5, b"name", "a\0b"])
def test_an_index_that_is_no_name_is_refused(index: Any) -> None:
    """An index that can't be a file is a ParamError that shows it."""
    storage = LocalStorage()
    storage.index = index
    with pytest.raises(ParamError, match="index"):
        storage.get("key")


def test_a_path_object_may_be_the_index(tmp_path: Path) -> None:
    """An index may be a pathlib.Path."""
    storage = LocalStorage()
    storage.index = tmp_path / "data"  # type: ignore[assignment] # 3.x users do so
    storage.set("key", 1)
    assert (tmp_path / "data").is_file()


def test_a_link_to_the_file_is_followed_and_stays(tmp_path: Path) -> None:
    """Both names of a linked file are one storage under one lock."""
    (tmp_path / "link").symlink_to(tmp_path / "real")
    LocalStorage(tmp_path / "link").set("key", 1)
    assert (tmp_path / "link").is_symlink()
    assert LocalStorage(tmp_path / "real").list == {"key": 1}
    assert not (tmp_path / "link.lock").exists()


def test_a_loop_of_links_is_an_error(tmp_path: Path) -> None:
    """A path that leads nowhere is named."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(RunError, match="loop"):
        LocalStorage(tmp_path / "loop").set("key", 1)


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, "/home/me/.local/state"),
        ("linux", {"XDG_STATE_HOME": "/state"}, "/state"),
        ("linux", {"XDG_STATE_HOME": "relative"}, "/home/me/.local/state"),
        ("win32", {"XDG_STATE_HOME": "/state"}, "/home/me/AppData/Local"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local"),
        ("darwin", {"XDG_STATE_HOME": "/state"}, "/home/me/Library/Application Support"),
    ],
)
def test_each_platform_has_its_folder_for_state(
    platform: str, environ: dict[str, str], expected: str
) -> None:
    """The user's folder follows the custom of the platform."""
    found = places.user_state_folder(platform, environ, Path("/home/me"))
    assert found == Path(expected)


def test_a_user_without_a_home_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is neither application nor home, the error names the ways out."""

    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(RunError, match="give the storage a path"):
        LocalStorage().get("key")


def make_device(path: Path) -> None:
    """Make another /dev/null."""
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))


@pytest.mark.parametrize("make", [os.mkfifo, make_device])
def test_a_pipe_or_device_is_no_storage(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A pipe would hang the reader, and a device such as /dev/null would be replaced by a file."""
    path = tmp_path / "odd"
    try:
        make(path)
    except OSError:  # device numbers need a privilege; the pipe shows the same check
        os.mkfifo(path)
    with pytest.raises(RunError, match="no regular file"):
        LocalStorage(str(path)).set("key", 1)
    assert not path.is_file()
