"""Settings in the file of the state: what is stored, and what never shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flask_pluginkit.exceptions import StateError
from flask_pluginkit.state.base import State
from flask_pluginkit.state.document import Document, parse, render

SECRET = "open-sesame-4711"


def read(**members: object) -> State:
    """The state in a file with these members."""
    data = {"format": 1, "generation": 3, "wanted": {}, **members}
    return parse("state.json", json.dumps(data).encode()).state


def test_a_file_without_settings_is_read() -> None:
    """As those are that an earlier release wrote."""
    assert read().settings == {}


def test_a_file_without_settings_is_written_as_before() -> None:
    """An earlier release can read it again."""
    assert b"settings" not in render(Document(state=State(generation=3)))


def test_lists_are_tuples_in_memory() -> None:
    """So what was stored equals what is read again."""
    state = State(generation=3, settings={"hello": {"words": ("a", "b"), "limit": 1}})
    assert parse("state.json", render(Document(state=state))).state == state


def test_a_state_does_not_show_its_settings() -> None:
    """It is logged and compared; some of them are secrets."""
    state = read(settings={"hello": {"token": SECRET}})
    assert state.settings["hello"]["token"] == SECRET
    assert SECRET not in repr(Document(state=state))
    assert "hello" in repr(state)


@pytest.mark.parametrize("value", [{"token": SECRET}, [SECRET, 1], [[SECRET]]])
def test_a_wrong_setting_is_refused_without_its_value(value: object) -> None:
    """The message ends up in a log."""
    with pytest.raises(StateError, match="put back a copy") as caught:
        read(settings={"hello": {"token": value}})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("settings", [SECRET, {"hello": SECRET}])
def test_settings_that_are_a_text_are_refused_without_it(settings: object) -> None:
    """Whatever was lost around it, it may be a secret."""
    with pytest.raises(StateError, match="no object") as caught:
        read(settings=settings)
    assert SECRET not in str(caught.value)


def test_the_folder_of_secrets_is_private(tmp_path: Path) -> None:
    """One that this package makes is for its owner alone, and so is the file in it."""
    from flask_pluginkit.frozen import replace
    from flask_pluginkit.state.files import FileStateStore

    store = FileStateStore(tmp_path / "state", tmp_path / "state")
    with store.exclusive():
        state = store.load()
        store.swap(state.generation, replace(state, settings={"hello": {"token": SECRET}}))
    modes = [
        path.stat().st_mode & 0o077 for path in (tmp_path / "state", tmp_path / "state/state.json")
    ]
    assert modes == [0, 0]
