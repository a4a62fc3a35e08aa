"""The pytest plugin: fixtures that run one plugin in an application of its own.

It is loaded by every pytest of the environment that this package is installed in. So it imports
nothing of the package, nor Flask, before one of its fixtures is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from flask_pluginkit.manager import PluginManager

    from .enabling import Enabled
    from .hosts import HostFactory, Values
    from .kits import Kit
    from .sites import Running

PLUGINS: Final = "pluginkit_plugins"
ISOLATION: Final = "pluginkit_isolation"

LEVELS: Final = ("trusted", "process", "isolated")

SUITE: Final = "flask_pluginkit.testing.conformance"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what pytest's configuration may say."""
    parser.addini(
        PLUGINS,
        "plugins for Flask-PluginKit to test: names, packages, or paths of folders "
        "(default: the one in src/pluginkit_plugins/ or pluginkit_plugins/)",
        type="args",
        default=[],
    )
    parser.addini(
        ISOLATION,
        "levels of isolation to test at: a machine that lacks one that is named fails; "
        "'trusted: <why>' says that the plugin runs nowhere else, and why (default: all levels, "
        "those that the machine lacks are skipped)",
        type="linelist",
        default=[],
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests for each plugin, and at each level, that the configuration names."""
    names = metafunc.config.getini(PLUGINS)
    if "_pluginkit_choice" in metafunc.fixturenames and len(names) > 1:
        metafunc.parametrize("_pluginkit_choice", names, indirect=True)
    if "_pluginkit_level" in metafunc.fixturenames:
        levels = demanded(metafunc.config) or LEVELS
        metafunc.parametrize("_pluginkit_level", levels, indirect=True)


def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> pytest.Collector | None:
    """Make a suite of ``from flask_pluginkit.testing import conformance``."""
    if not isinstance(obj, ModuleType) or obj.__name__ != SUITE:
        return None
    from .collecting import SuiteCollector

    return SuiteCollector.of(collector, name)


def demanded(config: pytest.Config) -> tuple[str, ...]:
    """Return the levels that the configuration names, none if it leaves that to the machine.

    Raises `pytest.UsageError` for one that there isn't.
    """
    found = []
    for line in config.getini(ISOLATION):
        names = line.partition(":")[0].replace(",", " ").split()
        if unknown := [name for name in names if name not in LEVELS]:
            raise pytest.UsageError(
                f"{ISOLATION}: {unknown[0]!r} is no level, expected some of {', '.join(LEVELS)}"
            )
        found += names
    return tuple(dict.fromkeys(found))


def reason_to_trust(config: pytest.Config) -> str:
    """Return why the plugin runs trusted alone, as ``pluginkit_isolation = trusted: why`` says."""
    for line in config.getini(ISOLATION):
        level, _, reason = line.partition(":")
        if level.strip() == "trusted" and reason.strip():
            return str(reason.strip())
    return ""


# ---- what an author may override -------------------------------------------------------------


@pytest.fixture
def _pluginkit_choice(request: pytest.FixtureRequest) -> str:
    """The name that the configuration gives to this test, empty if it gives none."""
    given: Sequence[str] = request.config.getini(PLUGINS)
    return str(getattr(request, "param", "") or next(iter(given), ""))


@pytest.fixture
def plugin_name(request: pytest.FixtureRequest, _pluginkit_choice: str) -> str:
    """The plugin that is tested: its name, the name of its package, or the path of its folder.

    By default ``pluginkit_plugins`` of pytest's configuration, else the only one of the project.
    """
    if _pluginkit_choice:
        return _pluginkit_choice
    from .choosing import ChoiceError, only

    try:
        return only(request.config.rootpath)
    except ChoiceError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def plugin_host() -> HostFactory:
    """Makes the host of the plugin in the folder that it is given; by default a small one.

    A host that makes its own `PluginManager` is as good as one that leaves that to the kit.
    """
    from .hosts import small_host

    return small_host


@pytest.fixture
def plugin_config() -> Mapping[str, Any]:
    """Values for the host's configuration; none by default."""
    return {}


@pytest.fixture
def plugin_values() -> Values:
    """What the host hands to slots, events, filters and so on, by their names; see the manual."""
    return {}


@pytest.fixture
def plugin_trusted_because(request: pytest.FixtureRequest) -> str:
    """Why the plugin runs nowhere but in the application's process, empty if it does.

    By default what ``pluginkit_isolation = trusted: why`` says.
    """
    return reason_to_trust(request.config)


# ---- what tests use --------------------------------------------------------------------------


@pytest.fixture
def pluginkit(
    request: pytest.FixtureRequest,
    plugin_name: str,
    plugin_host: HostFactory,
    plugin_config: Mapping[str, Any],
    plugin_values: Values,
    tmp_path: Path,
) -> Kit:
    """Makes applications with the plugin, for tests that need several of them."""
    from .choosing import ChoiceError, choose
    from .kits import Kit
    from .sites import Plan

    try:
        chosen = choose(request.config.rootpath, plugin_name)
    except ChoiceError as error:
        pytest.fail(str(error), pytrace=False)
    plan = Plan(
        chosen=chosen,
        folder=tmp_path / "host",
        host=plugin_host,
        config=plugin_config,
        values=plugin_values,
    )
    return Kit(plan, demanded(request.config))


@pytest.fixture
def _pluginkit_level(request: pytest.FixtureRequest) -> str:
    """The level that this run of a test is for."""
    return str(getattr(request, "param", "trusted"))


@pytest.fixture
def isolation_level(_pluginkit_level: str, pluginkit: Kit) -> str:
    """Runs a test at every level of isolation: where the plugin of `plugin_app` runs.

    A level that the machine lacks is skipped with the reason, unless ``pluginkit_isolation`` of
    pytest's configuration names it.
    """
    pluginkit.require(_pluginkit_level)
    return _pluginkit_level


@pytest.fixture
def _pluginkit_running(request: pytest.FixtureRequest, pluginkit: Kit) -> Iterator[Running]:
    """The application of a test."""
    level = "trusted"
    if "isolation_level" in request.fixturenames:
        level = request.getfixturevalue("isolation_level")
    with pluginkit.running(level) as found:
        yield found


@pytest.fixture
def plugin_app(_pluginkit_running: Running) -> Flask:
    """A host with the plugin alone, enabled, with its state and files below `tmp_path`."""
    return _pluginkit_running.app


@pytest.fixture
def plugin_client(_pluginkit_running: Running) -> FlaskClient:
    """A client of `plugin_app`."""
    return _pluginkit_running.client()


@pytest.fixture
def plugin_manager(_pluginkit_running: Running) -> PluginManager:
    """The manager of `plugin_app`."""
    return _pluginkit_running.manager


@pytest.fixture
def enabled(_pluginkit_running: Running) -> Enabled:
    """Enables other plugins, or changes settings or configuration, for a part of a test."""
    from .enabling import Enabled

    return Enabled(_pluginkit_running)
