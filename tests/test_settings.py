"""Settings of trusted plugins: where values come from, and changing them in a running site."""

from __future__ import annotations

import json
import logging
import re
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from flask import Flask
from hosts import Host, clean_imports, host

import flask_pluginkit
from flask_pluginkit import PluginError, SettingError, StateError, SwitchError, reconfiguring
from flask_pluginkit.configured import OURS
from flask_pluginkit.following import Follower
from flask_pluginkit.frozen import replace
from flask_pluginkit.settings.resolving import Setting
from flask_pluginkit.state.base import Quarantine

__all__ = ["clean_imports", "host"]

HELLO = """
from dataclasses import dataclass
from typing import Annotated
from flask import stream_with_context
from flask_pluginkit import SECRET, Range, Settings

@dataclass(frozen=True)
class Wishes:
    limit: Annotated[int, Range(1, 100), "How many"] = 10
    words: tuple[str, ...] = ()
    token: Annotated[str, SECRET] = "unset"

settings = Settings(Wishes)
ready = []

def on_app_ready(app):
    ready.append(settings.limit)

def show():
    return f"{settings.limit} {settings.token} {' '.join(settings.words)}"

def twice():
    from flask import current_app
    first = settings.limit
    current_app.extensions["pluginkit"].configure_plugin("hello", limit=first + 1)
    return f"{first} {settings.limit} {settings.current().limit}"

def stream():
    def parts():
        from flask import current_app
        yield f"{settings.limit} "
        current_app.extensions["pluginkit"].configure_plugin("hello", limit=99)
        yield f"{settings.limit}"
    return stream_with_context(parts())

def register():
    return {
        "settings": settings,
        "vep": [
            {"rule": "/show", "view_func": show},
            {"rule": "/twice", "view_func": twice},
            {"rule": "/stream", "view_func": stream},
        ],
        "tep": {"nav": "limit {{ hello_limit() }}"},
        "tcp": {"hello_limit": lambda: settings.limit},
    }
"""

DEMANDING = """
from dataclasses import dataclass
from typing import Annotated
from flask_pluginkit import SECRET, Settings

@dataclass(frozen=True)
class Wishes:
    url: str
    token: Annotated[str, SECRET]

settings = Settings(Wishes)

def guard():
    if not settings.url:
        return "no"

def register():
    return {"settings": settings, "hep": {"before_request": guard}}
"""


@pytest.fixture
def hello(host: Host) -> Host:
    """A site with a plugin that has settings."""
    host.plugin("hello", HELLO)
    return host


@pytest.fixture
def set_variable(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """What sets an environment variable for one test."""
    return monkeypatch.setenv


def row_of(host: Host, field: str) -> Setting:
    """What is told of one setting."""
    return next(row for row in host.pm.settings_of("hello") if row.field == field)


def state_file(host: Host) -> Any:
    """What is stored."""
    return json.loads((host.pm._site().control / "state.json").read_bytes())


def ticked(host: Host) -> None:
    """Let what happens once a second happen now."""
    follower = host.pm._site().follower
    assert follower is not None
    cast("Follower", follower()).tick()


def limit_and_origin(host: Host) -> tuple[Any, str]:
    """The value of one setting, and where it comes from."""
    row = row_of(host, "limit")
    return row.value, row.origin


# ---- where values come from --------------------------------------------------------------------


def test_defaults_count_where_nobody_says_more(hello: Host) -> None:
    """The plugin works as it comes."""
    hello.start()
    assert hello.get("/show") == "10 unset "
    assert limit_and_origin(hello) == (10, "default")


def test_each_source_comes_before_the_next(
    hello: Host, set_variable: Callable[[str, str], None]
) -> None:
    """Stored, environment, configuration, default."""
    hello.app.config["PLUGINKIT_HELLO_LIMIT"] = 20
    hello.start()
    assert limit_and_origin(hello) == (20, "configuration")
    other = hello.twin()
    other.app.config["PLUGINKIT_HELLO_LIMIT"] = 20
    set_variable("PLUGINKIT_HELLO_LIMIT", " 30 ")
    other.start()
    assert limit_and_origin(other) == (30, "environment")
    other.pm.configure_plugin("hello", limit=40)
    assert limit_and_origin(other) == (40, "stored")
    assert other.get("/show") == "40 unset "


def test_the_row_of_a_setting_has_everything(hello: Host) -> None:
    """For tables of operators."""
    hello.start()
    assert row_of(hello, "limit") == Setting(
        field="limit",
        type="a whole number from 1 to 100",
        value=10,
        origin="default",
        default=10,
        description="How many",
        is_secret=False,
        key="PLUGINKIT_HELLO_LIMIT",
    )


def test_a_wrong_configured_value_stops_the_plugin_alone(
    hello: Host, set_variable: Callable[[str, str], None]
) -> None:
    """Its reason names field, found, expected, and where it stands; the site runs."""
    set_variable("PLUGINKIT_HELLO_LIMIT", "many")
    hello.plugin("news", "def register():\n    return {'vep': {'rule': '/news', 'view_func': str}}")
    hello.start(strict=False)
    row = hello.row("hello")
    assert row.status.value == "failed"
    assert row.reason.startswith(
        "plugin hello: setting limit: found 'many' (environment variable PLUGINKIT_HELLO_LIMIT), "
        "expected a whole number from 1 to 100; set PLUGINKIT_HELLO_LIMIT to such a value, or "
        "flask plugins set 'hello' limit=..."
    )
    assert hello.open("/news").status_code == 200
    assert "whole number" in row_of(hello, "limit").problem


def test_all_wrong_values_are_told_at_once(hello: Host) -> None:
    """An operator mends them in one go."""
    hello.app.config.update(PLUGINKIT_HELLO_LIMIT=0, PLUGINKIT_HELLO_WORDS=5)
    with pytest.raises(SettingError) as caught:
        hello.start()
    assert [problem.what for problem in caught.value.problems] == ["setting limit", "setting words"]


def test_a_setting_that_nobody_has_set_stops_the_plugin(host: Host) -> None:
    """With all that are missing, and what to do; setting them starts it."""
    host.plugin("hello", DEMANDING)
    host.start(strict=False)
    reason = host.row("hello").reason
    assert "setting url: found nothing: nobody has set it" in reason
    assert "PLUGINKIT_HELLO_TOKEN" in reason
    assert row_of(host, "url").origin == "unset"
    host.pm.configure_plugin("hello", url="https://example.org")
    assert "setting url" not in host.row("hello").reason
    host.pm.configure_plugin("hello", token="opensesame")
    assert host.row("hello").status.value == "active"


def test_a_guard_that_lacks_a_setting_keeps_the_site_shut(host: Host) -> None:
    """What protected pages until yesterday isn't left out silently."""
    host.plugin("hello", DEMANDING)
    host.app.add_url_rule("/", "index", lambda: "secret page")
    host.start(strict=False)
    host.pm.configure_plugin("hello", url="https://example.org", token="opensesame")
    assert host.get("/") == "secret page"
    site = host.pm._site()
    ticked(host)  # which notes who guards the site
    other = host.twin()
    other.app.add_url_rule("/", "index", lambda: "secret page")
    other.app.config["PLUGINKIT_HELLO_URL"] = "x"
    stored = site.control / "state.json"
    stored.write_text(json.dumps({**json.loads(stored.read_text()), "settings": {}}))
    other.start(strict=False)
    assert other.row("hello").status.value == "failed"
    assert other.open("/").status_code == 503


def test_an_unknown_key_is_told_with_the_nearest(
    hello: Host, set_variable: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither one of another plugin, nor one of ours."""
    set_variable("PLUGINKIT_HELLO_LIMTI", "5")
    hello.app.config.update(PLUGINKIT_HELLO_WORLD_URL="x", PLUGINKIT_SAFE_MODE="")
    hello.plugin("hello_world", DEMANDING)
    with caplog.at_level(logging.WARNING):
        hello.start(strict=False)
    [record] = [record for record in caplog.records if "no setting" in record.message]
    assert "PLUGINKIT_HELLO_LIMTI; did you mean PLUGINKIT_HELLO_LIMIT?" in record.message


@pytest.mark.parametrize(("plugin", "field"), [("sandbox", "memory"), ("safe", "mode")])
def test_a_setting_with_a_key_of_ours_is_refused(host: Host, plugin: str, field: str) -> None:
    """Else it would change what the key means already."""
    host.plugin(plugin, DEMANDING.replace("url: str", f"{field}: str").replace("url", field))
    host.start(strict=False)
    assert "one of Flask-PluginKit's own" in host.row(plugin).reason


def test_every_key_of_ours_is_known() -> None:
    """A setting of a plugin must not change what one of them means."""
    root = Path(flask_pluginkit.__file__).parent
    text = "".join(path.read_text(encoding="utf-8") for path in root.rglob("*.py"))
    keys = set(re.findall(r"PLUGINKIT_[A-Z_]*[A-Z]", text))
    assert keys - OURS == {key for key in keys if key.startswith("PLUGINKIT_SANDBOX_")}


def test_plugins_that_share_a_key_are_told(hello: Host, caplog: pytest.LogCaptureFixture) -> None:
    """Field ``b_c`` of plugin ``a`` is field ``c`` of plugin ``a_b``."""
    hello.plugin("hello_my", DEMANDING)
    hello.plugin("hello", HELLO.replace("    limit:", "    my_url: str = ''\n    limit:"))
    with caplog.at_level(logging.WARNING):
        hello.start(strict=False)
    assert "PLUGINKIT_HELLO_MY_URL sets plugins 'hello_my' and 'hello'" in caplog.text


def test_settings_of_another_plugin_are_refused(host: Host) -> None:
    """Two plugins never share what the operator says of one."""
    host.plugin("hello", HELLO)
    host.plugin(
        "news", "from plugins.hello import settings\ndef register(): return {'settings': settings}"
    )
    host.start(strict=False)
    assert "settings are those of plugin 'hello'" in host.row("news").reason


# ---- who asks ------------------------------------------------------------------------------------


def test_settings_are_there_when_the_application_is_ready(hello: Host) -> None:
    """A plugin may open connections then."""
    hello.app.config["PLUGINKIT_HELLO_LIMIT"] = 5
    hello.start()
    assert hello.module("hello").ready == [5]


def test_settings_are_there_while_a_blueprint_is_registered(host: Host) -> None:
    """Before there is any snapshot with the plugin."""
    made = """
from flask import Blueprint
blueprint = Blueprint("hello", __name__)
blueprint.record(lambda state: ready.append(settings.limit))

def register():
    return {**all_of_it(), "bep": {"blueprint": blueprint, "prefix": None}}

def all_of_it():
"""
    host.plugin("hello", HELLO.replace("def register():\n", made))
    host.start()
    assert host.module("hello").ready == [10, 10]


def test_settings_are_there_in_commands_and_jobs(hello: Host) -> None:
    """Wherever there is an application context."""
    hello.start()
    hello.get("/show")
    with hello.app.app_context():
        assert hello.module("hello").settings.limit == 10


def test_outside_of_any_application_there_are_no_settings(hello: Host) -> None:
    """As nobody could tell whose they are."""
    hello.start()
    with pytest.raises(PluginError, match="outside of any application"):
        _ = hello.module("hello").settings.limit


def test_settings_of_a_plugin_that_is_out_are_refused(hello: Host) -> None:
    """A thread that it left running learns it so."""
    hello.start()
    settings = hello.module("hello").settings
    hello.pm.disable_plugin("hello")
    with hello.app.app_context(), pytest.raises(PluginError, match="isn't active here"):
        _ = settings.limit


def test_in_an_application_without_plugins_there_are_no_settings(hello: Host) -> None:
    """Rather an error than the values of another site."""
    hello.start()
    settings = hello.module("hello").settings
    with Flask("other").app_context(), pytest.raises(PluginError, match="isn't active here"):
        _ = settings.limit


def test_each_application_has_its_own_values(hello: Host) -> None:
    """Though both use the same module."""
    hello.app.config["PLUGINKIT_HELLO_LIMIT"] = 5
    hello.start()
    other = hello.twin()
    other.app.config["PLUGINKIT_HELLO_LIMIT"] = 6
    other.start()
    assert other.module("hello") is hello.module("hello")
    assert (hello.get("/show"), other.get("/show")) == ("5 unset ", "6 unset ")
    with hello.app.test_request_context():
        assert hello.module("hello").settings.limit == 5
        with other.app.app_context():
            assert hello.module("hello").settings.limit == 6


def test_a_page_may_look_into_another_application(hello: Host) -> None:
    """Whose values count within its context, in the middle of a request."""
    hello.start()
    other = hello.twin()
    other.app.config["PLUGINKIT_HELLO_LIMIT"] = 6
    other.start()

    def both() -> str:
        settings = hello.module("hello").settings
        with other.app.app_context():
            inner = settings.limit
        return f"{inner} {settings.limit}"

    hello.app.add_url_rule("/both", "both", both)
    assert hello.get("/both") == "6 10"


# ---- changing them -------------------------------------------------------------------------------


def test_a_change_counts_for_the_next_request(hello: Host) -> None:
    """In views, templates and whatever asks."""
    hello.start()
    hello.get("/show")
    change = hello.pm.configure_plugin("hello", limit=42, words=["a", "b"])
    assert (change.changed, change.generation) == (("hello",), 1)
    assert hello.get("/show") == "42 unset a b"
    assert hello.render("{{ emit_tep('nav') }}") == "limit 42"


def test_a_request_sees_one_state(hello: Host) -> None:
    """Also if it changes the very setting."""
    hello.start()
    assert hello.get("/twice") == "10 10 10"
    assert hello.get("/twice") == "11 11 11"


def test_a_stream_sees_the_state_of_its_request(hello: Host) -> None:
    """To its last byte."""
    hello.start()
    assert hello.get("/stream") == "10 10"
    assert hello.get("/show").startswith("99 ")


def test_every_worker_follows(hello: Host) -> None:
    """Another application on the same state, as another process has it."""
    hello.start()
    other = hello.twin()
    other.start()
    assert (hello.get("/show"), other.get("/show")) == ("10 unset ", "10 unset ")
    hello.pm.configure_plugin("hello", limit=42)
    assert other.get("/show") == "42 unset "
    other.pm.configure_plugin("hello", reset=["limit"])
    assert hello.get("/show") == "10 unset "


def test_what_is_set_outlives_the_process(hello: Host) -> None:
    """The next start has it."""
    hello.start()
    hello.pm.configure_plugin("hello", limit=42)
    other = hello.twin()
    other.start()
    assert other.get("/show") == "42 unset "


def test_a_text_is_read_as_in_the_environment(hello: Host) -> None:
    """Commands and forms have nothing else."""
    hello.start()
    hello.pm.configure_plugin("hello", limit="42", words="a, b")
    assert state_file(hello)["settings"] == {"hello": {"limit": 42, "words": ["a", "b"]}}


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"limit": 0}, ["limit"]),
        ({"limit": 5, "words": 3, "token": 7}, ["words", "token"]),
        ({"limti": 5}, ["limti"]),
        ({"reset": ["nothing"], "limit": 5}, ["nothing"]),
        ({"reset": ["limit"], "limit": 5}, ["limit"]),
        ({"self": 1, "plugin_name": 2}, ["self", "plugin_name"]),
    ],
)
def test_what_cannot_be_used_changes_nothing(
    hello: Host, values: dict[str, Any], fields: list[str]
) -> None:
    """All that is wrong is told, and what is right isn't stored either."""
    hello.start()
    hello.pm.configure_plugin("hello", limit=42)
    before = state_file(hello)
    with pytest.raises(SettingError) as caught:
        hello.pm.configure_plugin("hello", **values)
    assert [problem.what for problem in caught.value.problems] == [f"setting {n}" for n in fields]
    assert state_file(hello) == before
    assert hello.get("/show") == "42 unset "


def test_the_same_once_more_changes_nothing(hello: Host) -> None:
    """No generation is spent on it, and no worker has to follow."""
    hello.start()
    first = hello.pm.configure_plugin("hello", limit=42)
    again = hello.pm.configure_plugin("hello", limit=42)
    assert (again.changed, again.generation) == ((), first.generation)


def test_values_that_the_dataclass_refuses_are_not_stored(host: Host) -> None:
    """Its own check comes last."""
    body = HELLO.replace(
        "settings = Settings",
        "    def __post_init__(self):\n        if self.limit == 13: raise ValueError('unlucky')\n"
        "settings = Settings",
    )
    host.plugin("hello", body)
    host.start()
    with pytest.raises(SettingError, match="ValueError"):
        host.pm.configure_plugin("hello", limit=13)
    assert host.get("/show") == "10 unset "


def test_a_disabled_plugin_is_asked_about_its_values(host: Host) -> None:
    """Else it could be enabled only after somebody has taken them away."""
    body = HELLO.replace(
        "settings = Settings",
        "    def __post_init__(self):\n        if self.limit == 13: raise ValueError('unlucky')\n"
        "settings = Settings",
    )
    host.plugin("hello", body, state="disabled")
    host.start()
    with pytest.raises(SettingError, match="ValueError"):
        host.pm.configure_plugin("hello", limit=13)
    host.pm.configure_plugin("hello", limit=14)
    host.pm.enable_plugin("hello")
    assert host.get("/show") == "14 unset "


def test_an_unknown_plugin_is_told_with_the_nearest(hello: Host) -> None:
    """Whether it is asked about, or to be changed."""
    hello.start()
    calls: list[Callable[[], object]] = [
        lambda: hello.pm.settings_of("helo"),
        lambda: hello.pm.configure_plugin("helo", limit=1),
        lambda: hello.pm.configure_plugin("helo"),
        lambda: hello.pm.configure_plugin("helo", reset="limit"),
    ]
    for call in calls:
        with pytest.raises(PluginError, match="did you mean 'hello'"):
            call()


def test_a_plugin_without_settings_says_so(host: Host) -> None:
    """It can't be configured."""
    host.plugin("hello", "def register():\n    return {}\n")
    host.start()
    for call in (host.pm.settings_of, lambda name: host.pm.configure_plugin(name, limit=1)):
        with pytest.raises(PluginError, match="'hello' has no settings"):
            call("hello")


def test_a_plugin_cannot_change_settings_while_it_is_loaded(host: Host) -> None:
    """As with every other switch."""
    host.plugin(
        "hello",
        "def on_app_ready(app):\n"
        "    app.extensions['pluginkit'].configure_plugin('hello', limit=1)\n"
        "def register():\n    return {}\n",
    )
    host.start(strict=False)
    assert "just being loaded" in host.row("hello").reason


# ---- plugins that are disabled, failing or changed -----------------------------------------------


def test_settings_of_a_disabled_plugin_can_be_set(hello: Host) -> None:
    """It is loaded for that, as nobody else knows what it takes, and stays disabled."""
    hello.plugin("hello", HELLO, state="disabled")
    hello.start()
    with pytest.raises(PluginError, match="aren't known: it is disabled"):
        hello.pm.settings_of("hello")
    with pytest.raises(SettingError):
        hello.pm.configure_plugin("hello", limit=0)
    hello.pm.configure_plugin("hello", limit=42)
    assert hello.row("hello").status.value == "disabled"
    assert hello.open("/show").status_code == 404
    hello.pm.enable_plugin("hello")
    assert hello.get("/show") == "42 unset "


def test_settings_of_a_quarantined_plugin_can_be_set(hello: Host) -> None:
    """A process that begins later hasn't loaded it, and a wrong value may be why it is held."""
    hello.start()
    site = hello.pm._site()
    with site.store.exclusive():
        state = site.store.load()
        held = Quarantine(since=time.time(), reason="it failed", traceback="", by="test")
        site.store.swap(state.generation, replace(state, quarantined={"hello": held}))
    later = hello.twin()
    later.start(live=False)
    later.pm.configure_plugin("hello", limit=20)
    assert site.store.load().settings == {"hello": {"limit": 20}}
    assert later.row("hello").status.value == "quarantined"


def test_a_plugin_that_lacks_a_setting_cannot_be_enabled(host: Host) -> None:
    """Until it is set, also while the plugin is disabled."""
    host.plugin("hello", DEMANDING, state="disabled")
    host.start()
    with pytest.raises(SwitchError, match="setting url: found nothing"):
        host.pm.enable_plugin("hello")
    host.pm.configure_plugin("hello", url="x", token="opensesame")
    host.pm.enable_plugin("hello")
    assert host.row("hello").status.value == "active"


def test_what_a_new_version_cannot_use_stops_it_and_can_be_taken_away(hello: Host) -> None:
    """The reason says how."""
    hello.start()
    hello.pm.configure_plugin("hello", limit=90)
    state = hello.pm._site().control / "state.json"
    state.write_text(state.read_text().replace("90", "900"))
    other = hello.twin()
    other.start(strict=False)
    reason = other.row("hello").reason
    assert "found 900 (stored)" in reason
    assert "flask plugins unset 'hello' limit" in reason
    other.pm.configure_plugin("hello", reset=["limit"])
    assert other.get("/show") == "10 unset "


def test_what_a_new_version_does_not_know_is_kept_and_can_be_taken_away(hello: Host) -> None:
    """A version that is put back finds its values; nobody knows whether they are secret."""
    hello.start()
    hello.pm.configure_plugin("hello", limit=90)
    state = hello.pm._site().control / "state.json"
    state.write_text(state.read_text().replace('"limit": 90', '"limit": 90, "old": "secret"'))
    other = hello.twin()
    other.start()
    assert other.get("/show") == "90 unset "
    row = next(row for row in other.pm.settings_of("hello") if row.field == "old")
    assert (row.value, row.is_secret) == ("(hidden)", True)
    other.pm.configure_plugin("hello", reset=["old"])
    assert state_file(other)["settings"] == {"hello": {"limit": 90}}


def test_what_is_stored_of_a_plugin_that_is_gone_can_be_taken_away(hello: Host) -> None:
    """Nothing has to be loaded for that."""
    hello.start()
    hello.pm.configure_plugin("hello", limit=90)
    state = hello.pm._site().control / "state.json"
    state.write_text(state.read_text().replace('"hello"', '"gone"'))
    other = hello.twin()
    other.start()
    with pytest.raises(PluginError, match="No plugin named gone"):
        other.pm.configure_plugin("gone", limit=5)
    other.pm.configure_plugin("gone", reset=["limit"])
    assert "settings" not in state_file(other)


def test_a_switch_keeps_what_is_set(hello: Host) -> None:
    """Enabling and disabling are about something else."""
    hello.start()
    hello.pm.configure_plugin("hello", limit=42)
    hello.pm.disable_plugin("hello")
    hello.pm.enable_plugin("hello")
    assert hello.get("/show") == "42 unset "


def test_a_change_of_others_leaves_the_row_as_it_is(
    hello: Host, set_variable: Callable[[str, str], None]
) -> None:
    """Nothing is made anew that didn't change."""
    set_variable("PLUGINKIT_HELLO_WORDS", "a,b")
    hello.plugin("news", DEMANDING)
    hello.start(strict=False)
    hello.pm.configure_plugin("hello", limit=42)
    before = hello.row("hello")
    hello.pm.configure_plugin("news", url="x", token="opensesame")
    hello.pm.disable_plugin("news")
    assert hello.row("hello") is before


def test_dependants_follow_a_plugin_that_lacks_a_setting(host: Host) -> None:
    """They need what it can't give."""
    host.plugin("hello", DEMANDING)
    host.plugin("news", "def register():\n    return {}\n", requires={"hello": ""})
    host.start(strict=False)
    assert host.row("news").status.value == "failed"
    host.pm.configure_plugin("hello", url="x", token="opensesame")
    assert host.row("news").status.value == "active"


# ---- secrets -----------------------------------------------------------------------------------

SECRET = "open-sesame-4711"


@pytest.fixture
def told(hello: Host, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """Everything that is written or shown of a site that has a secret."""

    def collect() -> str:
        site = hello.pm._site()
        files = [
            path.read_text(errors="replace")
            for path in hello.folder.rglob("*")
            if path.is_file() and path.name not in {"state.json", "generation"}
        ]
        snapshot = hello.pm.snapshot
        shown = (
            hello.pm.settings_of("hello"),
            hello.pm.plugins,
            hello.pm.audit(),
            hello.pm.health(),
            hello.pm.workers(),
            site.state,
            site.store._ledger.read(),
            snapshot.active["hello"].settings,
            site.startup.loadings[0].configurable,
            hello.module("hello").settings,
        )
        instance = snapshot.active["hello"].settings.made
        return "\n".join([*files, *map(repr, shown), repr(instance), caplog.text])

    with caplog.at_level(logging.DEBUG):
        yield collect


def test_a_stored_secret_is_shown_nowhere(hello: Host, told: Callable[[], str]) -> None:
    """It is used, and stands in the file of the state alone."""
    hello.start(strict=False)
    hello.pm.configure_plugin("hello", token=SECRET)
    ticked(hello)
    assert SECRET in hello.get("/show")
    assert state_file(hello)["settings"]["hello"]["token"] == SECRET
    assert SECRET not in told()
    assert row_of(hello, "token").value == "(hidden)"


def test_a_configured_secret_is_shown_nowhere(
    hello: Host, told: Callable[[], str], set_variable: Callable[[str, str], None]
) -> None:
    """Nor one in the environment."""
    set_variable("PLUGINKIT_HELLO_TOKEN", SECRET)
    hello.start(strict=False)
    assert SECRET in hello.get("/show")
    assert SECRET not in told()


def test_a_secret_that_is_refused_is_shown_nowhere(
    hello: Host, told: Callable[[], str], set_variable: Callable[[str, str], None]
) -> None:
    """Neither in the error, nor in the audit, nor in the reason of the plugin's status."""
    hello.plugin(
        "hello",
        HELLO.replace("[str, SECRET]", "[str, SECRET, Pattern('[a-z]+')]").replace(
            "import SECRET", "import Pattern, SECRET"
        ),
    )
    hello.start(strict=False)
    with pytest.raises(SettingError) as caught:
        hello.pm.configure_plugin("hello", token=SECRET)
    assert SECRET not in f"{caught.value!r} {caught.value}"
    assert SECRET not in told()
    set_variable("PLUGINKIT_HELLO_TOKEN", SECRET)
    other = hello.twin()
    other.start(strict=False)
    assert SECRET not in f"{other.row('hello')!r}{other.pm.settings_of('hello')}"
    assert "isn't shown" in other.row("hello").reason


def test_templates_get_no_configured_secret(hello: Host) -> None:
    """``emit_config`` hands out configuration, and no secret of a plugin."""
    hello.app.config.update(PLUGINKIT_HELLO_TOKEN=SECRET, PLUGINKIT_HELLO_LIMIT=5)
    hello.start()
    assert hello.render("{{ emit_config('PLUGINKIT_HELLO_TOKEN') }}") == "None"
    assert hello.render("{{ emit_config('PLUGINKIT_HELLO_LIMIT') }}") == "5"


def test_a_secret_is_not_stored_where_everybody_reads(
    hello: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator is told how to take that away; what is no secret is stored."""
    monkeypatch.setattr(reconfiguring, "can_others_enter", lambda _folder: True)
    place = hello.folder / "state"
    place.mkdir()
    place.chmod(0o755)
    hello.start(state_dir=place)
    with pytest.raises(StateError, match="every user of this machine") as caught:
        hello.pm.configure_plugin("hello", token=SECRET)
    assert "chmod o-rwx" in str(caught.value)
    hello.pm.configure_plugin("hello", limit=5)
    place.chmod(0o750)
    hello.pm.configure_plugin("hello", token=SECRET)
    assert not (place / "state.json").stat().st_mode & stat.S_IROTH


def test_a_folder_below_a_private_one_is_private(tmp_path: Path) -> None:
    """Whatever its own mode says."""
    inner = tmp_path / "inner"
    inner.mkdir()
    tmp_path.chmod(0o700)
    assert not reconfiguring.can_others_enter(inner)
    assert reconfiguring.can_others_enter(Path("/"))
