"""Who says where a plugin runs, and what is a setting of the sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.isolation.levels import Isolation, Levels, read_level, read_levels
from flask_pluginkit.isolation.settings import read_settings


def test_a_plugin_is_trusted_unless_somebody_says_otherwise() -> None:
    """As in 3.x."""
    assert Levels().of("hello") is Isolation.TRUSTED


def test_the_command_line_counts_before_the_configuration_and_that_before_the_code() -> None:
    """Whoever is nearer to the running site."""
    levels = Levels(
        configured=read_levels({"a": "process"}, "x"),
        given=read_levels({"a": "isolated", "b": "isolated"}, "x"),
    )
    assert levels.of("a", {"a": "trusted"}) is Isolation.TRUSTED
    assert levels.of("a") is Isolation.PROCESS
    assert levels.of("b") is Isolation.ISOLATED


def test_a_name_counts_before_every() -> None:
    """Who names a plugin means it."""
    levels = Levels(
        configured=read_levels("isolated", "x"), given=read_levels({"a": "process"}, "x")
    )
    assert levels.of("a") is Isolation.PROCESS
    assert levels.of("b") is Isolation.ISOLATED


@pytest.mark.parametrize(
    "value", ["jail", 3, ["isolated"], {"a": "jail"}, {1: "trusted"}, {"a": 1}]
)
def test_what_is_no_level_is_refused(value: Any) -> None:
    """Naming what was found and what there is."""
    with pytest.raises(PluginError, match="Invalid isolation"):
        read_levels(value, "isolation")


def test_the_nearest_level_is_suggested() -> None:
    """For a slip of the finger."""
    with pytest.raises(PluginError, match="did you mean 'isolated'"):
        read_level("isolate", "level")


def test_settings_come_from_the_configuration_and_else_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under one name."""
    monkeypatch.setenv("PLUGINKIT_SANDBOX_DEADLINE", "2.5")
    assert read_settings({}).deadline == 2.5
    assert read_settings({"PLUGINKIT_SANDBOX_DEADLINE": 3}).deadline == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("DEADLINE", 0),
        ("DEADLINE", "soon"),
        ("DEADLINE", True),
        ("MEMORY", 1),
        ("CONCURRENCY", 1000),
        ("LOWERED", "perhaps"),
        ("RUNTIME_DIR", "relative"),
        ("UIDS", ""),
        ("UIDS", 30000),
    ],
)
def test_unusable_settings_are_refused(key: str, value: object) -> None:
    """With the name, what was found and what was expected."""
    with pytest.raises(PluginError, match=f"Invalid PLUGINKIT_SANDBOX_{key}: found .* expected"):
        read_settings({f"PLUGINKIT_SANDBOX_{key}": value})


def test_unknown_settings_are_refused() -> None:
    """Or an operator would believe in a limit that isn't there."""
    with pytest.raises(PluginError, match="did you mean PLUGINKIT_SANDBOX_MEMORY"):
        read_settings({"PLUGINKIT_SANDBOX_MEMROY": 1})
