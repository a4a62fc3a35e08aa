"""The fixtures of the test kit, as authors of plugins use them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from kit_projects import Run, environment, run_pytest, write_project
from trees import REGISTER, write, write_plugin

from flask_pluginkit.testing import choosing, levels, plugin
from flask_pluginkit.testing.conformance import Conformance
from flask_pluginkit.testing.placeholders import HARMLESS, Placeholder

HELLO = """
from dataclasses import dataclass
from flask_pluginkit import Settings
from flask import Blueprint, current_app, render_template

blueprint = Blueprint("hello", __name__)

@blueprint.get("/")
def index():
    return f"hello from {current_app.config.get('PLACE', 'nowhere')}"

@dataclass
class Limits:
    limit: int = 3

settings = Settings(Limits)

@blueprint.get("/limit")
def limit():
    return str(settings.limit)

def register():
    return {
        "settings": settings,
        "bep": {"blueprint": blueprint, "prefix": "/hello"},
        "tep": {"nav": "<a>{{ user.name }}</a>"},
        "dcp": {"counter": lambda: "<li>one</li>"},
    }
"""

OTHER = """
def register():
    return {"vep": {"rule": "/other/", "view_func": lambda: "other", "endpoint": "other"}}
"""

TESTS = """
import os
import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_pluginkit import PluginManager
from flask_pluginkit.testing import Enabled

def test_the_plugin_answers(plugin_client):
    assert plugin_client.get("/hello/").text == "hello from nowhere"

def test_the_front_page_shows_slots_and_events(plugin_client):
    page = plugin_client.get("/").text
    assert '<div data-slot="nav"><a>text</a></div>' in page
    assert '<ul data-event="counter"><li>one</li></ul>' in page

def test_it_is_alone(plugin_manager):
    assert [row.name for row in plugin_manager.plugins] == ["hello"]

def test_everything_lies_in_the_folder_of_the_test(plugin_app, tmp_path):
    assert plugin_app.instance_path.startswith(str(tmp_path))
    assert plugin_app.testing and plugin_app.secret_key

def test_at_every_level(plugin_client, isolation_level, plugin_manager):
    assert plugin_client.get("/hello/").text == "hello from nowhere"
    assert plugin_manager.plugins[0].isolation == isolation_level

def test_enabled_others(enabled, plugin_client):
    with enabled("other"):
        assert plugin_client.get("/other/").text == "other"
    assert plugin_client.get("/other/").status_code == 404

def test_enabled_twice(enabled, plugin_client):
    for _ in range(2):
        with enabled("other"):
            assert plugin_client.get("/other/").status_code == 200
        assert plugin_client.get("/other/").status_code == 404

def test_enabled_config(enabled, plugin_client, plugin_app):
    with enabled(config={"PLACE": "here", "DEBUG": False}):
        assert plugin_client.get("/hello/").text == "hello from here"
    assert plugin_client.get("/hello/").text == "hello from nowhere"
    assert "PLACE" not in plugin_app.config

def test_enabled_settings(enabled, plugin_client, plugin_manager, isolation_level):
    plugin_manager.configure_plugin("hello", limit=4)
    for _ in range(2):
        with enabled(settings={"limit": 5}):
            assert plugin_client.get("/hello/limit").text == "5"
        assert plugin_client.get("/hello/limit").text == "4"
    plugin_manager.configure_plugin("hello", reset="limit")
    with enabled(settings={"limit": 6}):
        assert plugin_client.get("/hello/limit").text == "6"
    assert plugin_client.get("/hello/limit").text == "3"

def test_enabled_without(enabled, plugin_client):
    with enabled(without=["hello"]):
        assert plugin_client.get("/hello/").status_code == 404
    assert plugin_client.get("/hello/").status_code == 200

def test_faults_are_raised(plugin_app, plugin_client):
    with plugin_app.test_request_context():
        with pytest.raises(ZeroDivisionError):
            plugin_app.jinja_env.from_string("{{ 1 / 0 }}").render()

class TestOverridden:
    @pytest.fixture
    def plugin_values(self):
        return {"nav": {"user": {"name": "Ada"}}}

    @pytest.fixture
    def plugin_config(self):
        return {"PLACE": "the fixture"}

    def test_values(self, plugin_client):
        assert "<a>Ada</a>" in plugin_client.get("/").text

    def test_config(self, plugin_client):
        assert plugin_client.get("/hello/").text == "hello from the fixture"

class TestOther:
    @pytest.fixture
    def plugin_name(self):
        return "other"

    def test_another_plugin(self, plugin_client, plugin_manager):
        assert plugin_client.get("/other/").text == "other"

class TestOwnHost:
    @pytest.fixture
    def plugin_config(self):
        return {"PLACE": "early"}

    @pytest.fixture
    def plugin_host(self):
        def make(folder):
            app = Flask("own", root_path=str(folder), instance_path=str(folder / "mine"))
            app.add_url_rule("/own", "own", lambda: "my own host")
            PluginManager(app)
            assert app.config["PLACE"] == "early"
            return app
        return make

    def test_a_host_with_a_manager_of_its_own(self, plugin_client, plugin_manager):
        assert plugin_client.get("/own").text == "my own host"
        assert plugin_client.get("/hello/").status_code == 200
        assert [row.name for row in plugin_manager.plugins] == ["hello"]
"""


def project(root: Path, **options: str) -> Path:
    """A project with two plugins, of which the first is tested."""
    plugins = {"hello": HELLO, "other": OTHER}
    files = {"tests/test_hello.py": TESTS}
    return write_project(root, plugins, files, **{"pythonpath": "src", **options})


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of the author's tests above, at the levels that there are everywhere."""
    root = project(tmp_path_factory.mktemp("used"), pluginkit_plugins="hello")
    return run_pytest(root)


@pytest.mark.parametrize(
    "test",
    [line[8:].partition("(")[0] for line in TESTS.splitlines() if line.strip().startswith("def t")],
)
def test_a_fixture_does_what_its_author_expects(used: Run, test: str) -> None:
    """Each of the tests that an author has written above passes."""
    name = test.removeprefix("_") if test.startswith("_") else test
    found = [row for node, row in used.outcomes.items() if name in node]
    assert found, used.output
    skips = [row for row in found if row.result == "skipped" and "NOTHING RAN" in row.why]
    assert all(row.result == "passed" for row in found if row not in skips), found


def test_a_project_without_plugins_pays_nothing(tmp_path: Path) -> None:
    """Where no fixture of the kit is used, pytest imports neither Flask nor the manager."""
    write(tmp_path / "test_it.py", "def test_it(): pass\n")
    code = (
        "import sys, pytest\n"
        "pytest.main(['--co', '-q', '-p', 'flask_pluginkit.testing.plugin'])\n"
        "print('LOADED', sorted(n for n in sys.modules if n.startswith(('flask', 'jinja2'))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    expected = ["flask_pluginkit", "flask_pluginkit.testing", "flask_pluginkit.testing.plugin"]
    assert f"LOADED {[*expected, 'flask_pluginkit.version']}" in done.stdout, done.stdout


NEEDS = "def test_it(plugin_app): pass\n"


def test_several_plugins_without_a_choice_are_an_error(tmp_path: Path) -> None:
    """It names them, and says how to choose."""
    root = project(tmp_path)
    write(root / "tests/test_hello.py", NEEDS)
    found = run_pytest(root).of("test_it")
    assert found.result == "error"
    assert "several plugins are below" in found.why
    assert "`pluginkit_plugins = hello other` in pytest's configuration" in found.why


def test_no_plugin_is_an_error(tmp_path: Path) -> None:
    """It says where was looked, and how to name one."""
    root = write_project(tmp_path, {}, {"test_hello.py": NEEDS})
    found = run_pytest(root).of("test_it")
    assert found.result == "error"
    assert "no plugin is in src/pluginkit_plugins/ or pluginkit_plugins/" in found.why
    assert "pluginkit_plugins = <name>" in found.why


def test_a_name_that_nobody_has_is_an_error(tmp_path: Path) -> None:
    """It says where was looked."""
    root = project(tmp_path, pluginkit_plugins="helo")
    write(root / "tests/test_hello.py", NEEDS)
    found = run_pytest(root).of("test_it")
    assert found.result == "error"
    assert "no plugin 'helo' is found" in found.why


def test_a_level_that_was_named_is_demanded(tmp_path: Path) -> None:
    """It fails where the machine lacks it, instead of being skipped."""
    root = project(tmp_path, pluginkit_plugins="hello", pluginkit_isolation="trusted isolated")
    write(root / "tests/test_hello.py", "def test_it(plugin_app, isolation_level): pass\n")
    lacking = "from flask_pluginkit.testing import kits\nkits.obstacle = lambda level: 'no'\n"
    write(root / "tests/conftest.py", lacking)
    run = run_pytest(root)
    assert sorted(node.partition("[")[2] for node in run.outcomes) == ["isolated]", "trusted]"]
    assert {row.result for row in run.outcomes.values()} == {"error"}
    assert "pluginkit_isolation demands it" in run.of("[isolated]").why


def test_a_level_that_was_not_named_is_not_demanded(tmp_path: Path) -> None:
    """The suite's test of isolation is skipped where others were named and this one is lacking."""
    root = project(tmp_path, pluginkit_plugins="hello", pluginkit_isolation="trusted process")
    write(
        root / "tests/test_hello.py", "from flask_pluginkit.testing import conformance as suite\n"
    )
    write(
        root / "tests/conftest.py",
        "from flask_pluginkit.testing import kits\n"
        "kits.obstacle = lambda level: 'no' if level == 'isolated' else ''\n",
    )
    run = run_pytest(
        root, "tests/test_hello.py::suite::isolated", "tests/test_hello.py::suite::names"
    )
    assert run.of("::suite::names").result == "passed"
    assert run.of("::suite::isolated").result == "skipped"


def test_a_level_that_is_lacking_is_skipped_loudly(tmp_path: Path) -> None:
    """With the reason."""
    root = project(tmp_path, pluginkit_plugins="hello")
    write(root / "tests/test_hello.py", "def test_it(plugin_app, isolation_level): pass\n")
    lacking = (
        "from flask_pluginkit.testing import kits\n"
        "kits.obstacle = lambda level: 'no room' if level != 'trusted' else ''\n"
    )
    write(root / "tests/conftest.py", lacking)
    run = run_pytest(root)
    assert run.of("[trusted]").result == "passed"
    assert run.of("[process]").result == "skipped"
    assert "NOTHING RAN AT THE LEVEL 'process': no room" in run.of("[process]").why


def test_an_unknown_level_is_a_usage_error(tmp_path: Path) -> None:
    """It names those that there are."""
    root = project(tmp_path, pluginkit_plugins="hello", pluginkit_isolation="isolatd")
    write(root / "tests/test_hello.py", "def test_it(isolation_level): pass\n")
    output = run_pytest(root).output
    assert "'isolatd' is no level, expected some of trusted, process, isolated" in output


def test_a_plugin_that_cant_start_says_why(tmp_path: Path) -> None:
    """The error is the one that an application would raise."""
    root = write_project(
        tmp_path, {"hello": f"{REGISTER}raise LookupError('no tea')"}, {"test_it.py": NEEDS}
    )
    assert "LookupError: no tea" in run_pytest(root).of("test_it").why


# ---- which plugin ----------------------------------------------------------------------------


def test_the_only_plugin_of_a_project_is_found(tmp_path: Path) -> None:
    """In either place; folders without __init__.py and files don't count."""
    write_plugin(tmp_path / "pluginkit_plugins", "hello")
    write(tmp_path / "src" / "pluginkit_plugins" / "notes.txt")
    write(tmp_path / "src" / "pluginkit_plugins" / "empty" / "notes.txt")
    assert choosing.only(tmp_path) == "hello"


@pytest.mark.parametrize(
    "given", ["hi there", "hello", "pluginkit_plugins.hello", "src/pluginkit_plugins/hello"]
)
def test_a_plugin_is_chosen_by_any_of_its_names(tmp_path: Path, given: str) -> None:
    """The name that it gives itself, its folder's, its package's, or the path of its folder."""
    write_plugin(tmp_path / "src" / "pluginkit_plugins", "hello", plugin_name="hi there")
    write_plugin(tmp_path / "src" / "pluginkit_plugins", "other")
    assert choosing.choose(tmp_path, given).name == "hi there"


def test_a_plugin_of_an_application_is_chosen_by_its_path(tmp_path: Path) -> None:
    """One in the folder ``plugins`` of an application has the module name of one there."""
    write_plugin(tmp_path / "shop" / "plugins", "hello")
    found = choosing.choose(tmp_path, "shop/plugins/hello")
    assert (found.name, found.candidate.module) == ("hello", "plugins.hello")


# ---- placeholders ----------------------------------------------------------------------------


def test_a_placeholder_does_for_anything() -> None:
    """Attributes, items, calls, loops, arithmetic and formats all give something."""
    value = Placeholder(HARMLESS)
    assert [str(one.name["key"].title()) for one in value] == [HARMLESS]
    assert f"{value:.2f} {value + 1} {1 + value} {value - 1}" == "text text text text"
    assert (int(value), float(value), round(value), value > 3, value < 3) == (
        1,
        1.0,
        1,
        False,
        True,
    )


def test_no_level_is_lacking_for_trusted_plugins() -> None:
    """They run anywhere."""
    assert levels.obstacle("trusted") == ""


# ---- the manual ------------------------------------------------------------------------------

MANUAL = (Path(__file__).parents[1] / "docs" / "testing.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in vars(Conformance) if not name.startswith("_")])
def test_every_test_of_the_suite_is_in_the_manual(name: str) -> None:
    """Each has its row."""
    assert f"| `{name}` |" in MANUAL


def test_every_fixture_is_in_the_manual() -> None:
    """Each has its row, but for those that are our own business."""
    marked = [name for name, one in vars(plugin).items() if hasattr(one, "_get_wrapped_function")]
    names = [name for name in marked if not name.startswith("_")]
    assert "plugin_app" in names
    assert [
        name for name in names if not re.search(rf"^\| `{name}[`(]", MANUAL, re.MULTILINE)
    ] == []


def test_every_option_is_in_the_manual() -> None:
    """Each is shown in a configuration."""
    assert f"{plugin.PLUGINS} = [" in MANUAL
    assert f"{plugin.ISOLATION} = [" in MANUAL
