"""Settings of plugins in processes of their own: they cross as data, and live."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inner import LoadInner, ask, inside, value
from isolation_sites import Site, _impatient, sites
from trees import clean_imports, write, write_plugin

from flask_pluginkit import PEPError, PluginError, SettingError
from flask_pluginkit.isolation.configuring import RemoteSettings, remote_settings
from flask_pluginkit.isolation.declarations import declaration_of, info_of
from flask_pluginkit.isolation.inside.configuring import seen
from flask_pluginkit.isolation.messages import (
    Configured,
    Description,
    Page,
    SettingInfo,
    Value,
    Visit,
)
from flask_pluginkit.isolation.remote import Remote
from flask_pluginkit.isolation.wire import REQUEST_LIMIT, TO_PLUGIN, WireError, encode
from flask_pluginkit.settings.fields import Field, Kind
from flask_pluginkit.text import UnusableText

__all__ = ["_impatient", "clean_imports", "inside", "sites"]

PLUGIN = """
import os, threading, time
from dataclasses import dataclass
from enum import Enum
from typing import Annotated
from flask import stream_with_context
from flask_pluginkit import SECRET, Pattern, Range, Settings

class Order(Enum):
    UP = "up"
    DOWN = "down"

@dataclass(frozen=True)
class Wishes:
    limit: Annotated[int, Range(1, 100), "How many"] = 10
    order: Order = Order.UP
    words: tuple[str, ...] = ()
    code: Annotated[str, Pattern("[a-z]+", "small letters")] = "abc"
    token: Annotated[str, SECRET] = "unset"
    def __post_init__(self):
        if self.limit == 13:
            raise ValueError("unlucky")

settings = Settings(Wishes)
go_on = threading.Event()

def show():
    return f"{settings.limit} {settings.order.name} {list(settings.words)} {settings.token}"

def pid():
    return str(os.getpid())

def stream():
    def parts():
        yield f"{settings.limit} "
        time.sleep(0.3)
        yield f"{settings.limit}"
    return stream_with_context(parts())

def slow():
    first = settings.limit
    go_on.wait(5)
    return f"{first} {settings.limit}"

def let_go():
    go_on.set()
    return ""

def register():
    rules = {"show": show, "pid": pid, "stream": stream, "slow": slow, "go": let_go}
    return {
        "settings": settings,
        "vep": [{"rule": f"/guest/{n}", "view_func": f, "endpoint": n} for n, f in rules.items()],
        "tep": {"nav": "limit {{ limit() }}"},
        "tcp": {"limit": lambda: settings.limit},
        "filter": {"times": lambda text: text * settings.limit},
    }
"""

SECRET_TEXT = "open-sesame-4711"


@pytest.fixture(scope="module")
def shared(_impatient: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose plugin runs in a process of its own, and has settings."""
    folder = tmp_path_factory.mktemp("site")
    write_plugin(folder / "plugins", "guest", PLUGIN)
    made = Site(folder)
    yield made
    made.close()


@pytest.fixture
def site(shared: Site) -> Iterator[Site]:
    """The same with nothing set."""
    yield shared
    stored = shared.manager._site().state.settings.get("guest", {})
    shared.manager.configure_plugin("guest", reset=stored)


def show(site: Site) -> str:
    """What the plugin has."""
    return site.client.get("/guest/show").text


def row_of(site: Site, field: str) -> Any:
    """What the host tells of a setting."""
    return next(row for row in site.manager.settings_of("guest") if row.field == field)


# ---- a real process ------------------------------------------------------------------------------


def test_the_host_knows_what_the_plugin_declares(site: Site) -> None:
    """Nothing of it was imported here."""
    row = row_of(site, "limit")
    assert (row.type, row.value, row.origin, row.description) == (
        "a whole number from 1 to 100",
        10,
        "default",
        "How many",
    )
    assert site.row().module is None
    assert row_of(site, "order").type == "one of 'up', 'down'"
    assert row_of(site, "token").value == "(hidden)"


def test_configured_values_reach_it(sites: Callable[..., Site], tmp_path: Path) -> None:
    """As what its dataclass makes of them."""
    write_plugin(tmp_path / "plugins", "guest", PLUGIN)
    config = {
        "PLUGINKIT_GUEST_LIMIT": "20",
        "PLUGINKIT_GUEST_ORDER": "down",
        "PLUGINKIT_GUEST_WORDS": ["a", "b"],
        "PLUGINKIT_GUEST_TOKEN": SECRET_TEXT,
    }
    assert show(sites(config=config)) == f"20 DOWN ['a', 'b'] {SECRET_TEXT}"


SHARED_KEY = "PLUGINKIT_MAIL_SERVER_PASSWORD"
ONE_TEXT = """
from dataclasses import dataclass
from flask_pluginkit import Settings
@dataclass
class Wishes:
    {}
def register(): return {{'settings': Settings(Wishes)}}
"""
ALIKE = {
    "mail": ONE_TEXT.format("server_password: str = ''"),
    "mail_server": ONE_TEXT.format("password: str = ''"),
}


@pytest.fixture
def alike(sites: Callable[..., Site], tmp_path: Path) -> Callable[..., Site]:
    """Makes a site with mail and mail_server, whose settings have the same key, which is set."""

    def make(untrusted: str, **bodies: str) -> Site:
        for name, body in (ALIKE | bodies).items():
            write_plugin(tmp_path / "plugins", name, body)
        return sites(config={SHARED_KEY: SECRET_TEXT}, isolation={untrusted: "process"})

    return make


@pytest.mark.parametrize(
    ("untrusted", "field", "trusted"),
    [("mail_server", "password", "mail"), ("mail", "server_password", "mail_server")],
)
def test_the_setting_of_another_plugin_is_not_given_to_it(
    alike: Callable[..., Site],
    caplog: pytest.LogCaptureFixture,
    untrusted: str,
    field: str,
    trusted: str,
) -> None:
    """Its name, or that of a field, may be such that its key is that of a trusted one's secret."""
    site = alike(untrusted)
    (row,) = site.manager.settings_of(untrusted)
    assert (row.field, row.value, row.origin, row.key) == (field, "", "default", "")
    words = f"{SHARED_KEY} is ignored: it may be meant for plugin {trusted!r}"
    assert words in row.problem
    assert words in caplog.text
    (row,) = site.manager.settings_of(trusted)
    assert (row.value, row.problem, row.key) == (SECRET_TEXT, "", SHARED_KEY)


@pytest.mark.parametrize("body", ["raise RuntimeError", "def register(): return {}"])
def test_the_setting_of_a_plugin_that_says_nothing_is_not_given_to_it(
    alike: Callable[..., Site], body: str
) -> None:
    """What the other declares may be unknown: it may have failed, and be mended tomorrow."""
    (row,) = alike("mail_server", mail=body).manager.settings_of("mail_server")
    assert (row.value, row.origin) == ("", "default")


def test_the_setting_of_a_disabled_plugin_is_not_given_to_it(
    alike: Callable[..., Site], tmp_path: Path
) -> None:
    """It isn't even loaded."""
    write(tmp_path / "plugins" / "mail" / "DISABLED", "")
    site = alike("mail_server")
    assert site.row("mail").status.value == "disabled"
    (row,) = site.manager.settings_of("mail_server")
    assert (row.value, row.origin) == ("", "default")


def test_a_setting_whose_key_is_kept_for_another_can_be_stored(alike: Callable[..., Site]) -> None:
    """What is stored names the plugin, so nothing is ambiguous."""
    site = alike("mail_server")
    site.manager.configure_plugin("mail_server", password="its own")
    (row,) = site.manager.settings_of("mail_server")
    assert (row.value, row.origin, row.problem) == ("its own", "stored", "")


def test_a_required_setting_whose_key_is_kept_for_another_is_told_how_to_be_set(
    alike: Callable[..., Site],
) -> None:
    """Not by the key that is ignored."""
    needy = ONE_TEXT.format("password: str")
    reason = alike("mail_server", mail_server=needy).row("mail_server").reason
    assert "flask plugins set 'mail_server' password=..." in reason
    assert "environment variable" not in reason


def test_it_moves_to_a_process_and_back_with_its_values(
    sites: Callable[..., Site], tmp_path: Path
) -> None:
    """What this process made of them isn't what the other is sent."""
    write_plugin(tmp_path / "plugins", "guest", PLUGIN)
    site = sites(isolation=None)
    site.manager.configure_plugin("guest", limit=4)
    assert show(site).startswith("4 ")
    site.manager.isolate_plugin("guest", level="process")
    assert show(site).startswith("4 ")
    site.manager.isolate_plugin("guest", level="trusted")
    assert show(site).startswith("4 ")


def test_a_change_reaches_the_same_process(site: Site) -> None:
    """Its next exchange has the new values: views, teps and filters."""
    before = site.client.get("/guest/pid").text
    assert show(site) == "10 UP [] unset"
    site.manager.configure_plugin("guest", limit=3, words=["x"])
    assert show(site) == "3 UP ['x'] unset"
    assert site.render("{{ emit_tep('nav') }} {{ 'ab'|times }}") == "limit 3 ababab"
    assert site.client.get("/guest/pid").text == before


def test_a_request_in_flight_keeps_its_values(site: Site) -> None:
    """It began with them, and ends with them, while others have the new ones."""
    answers: list[str] = []
    slow = threading.Thread(
        target=lambda: answers.append(site.app.test_client().get("/guest/slow").text)
    )
    show(site)
    slow.start()
    while not site.manager.snapshot.active["guest"].hosted.remote.pool(1e9).running:
        time.sleep(0.005)
    site.manager.configure_plugin("guest", limit=3)
    assert show(site).startswith("3 ")
    site.client.get("/guest/go")
    slow.join(10)
    assert answers == ["10 10"]


def test_a_stream_keeps_its_values(site: Site) -> None:
    """To its last byte."""
    answer = site.client.get("/guest/stream", buffered=False)
    parts = iter(answer.response)
    first = next(parts)
    site.manager.configure_plugin("guest", limit=3)
    rest = b"".join(cast("Iterator[bytes]", parts))
    assert cast("bytes", first) + rest == b"10 10"


@pytest.mark.parametrize(
    ("values", "field", "expected"),
    [
        ({"limit": 0}, "limit", "from 1 to 100"),
        ({"order": "sideways"}, "order", "one of"),
        ({"code": "ABC"}, "code", "small letters"),
        ({"limit": 13}, "", "ValueError"),
    ],
)
def test_what_cannot_be_used_changes_nothing(
    site: Site, values: dict[str, Any], field: str, expected: str
) -> None:
    """Types and bounds are checked by the host, patterns and the rest by the plugin's process."""
    with pytest.raises(SettingError) as caught:
        site.manager.configure_plugin("guest", **values)
    assert field in caught.value.field
    assert expected in str(caught.value)
    assert show(site) == "10 UP [] unset"


def test_a_wrong_configured_value_stops_it(sites: Callable[..., Site], tmp_path: Path) -> None:
    """Also one that only the plugin's process can tell."""
    write_plugin(tmp_path / "plugins", "guest", PLUGIN)
    row = sites(config={"PLUGINKIT_GUEST_CODE": "ABC"}).row()
    assert row.status.value == "failed"
    assert "small letters" in row.reason


def test_a_disabled_plugin_is_asked_about_its_values(site: Site) -> None:
    """Its process is started for that, and it stays disabled."""
    site.manager.disable_plugin("guest")
    with pytest.raises(SettingError, match="small letters"):
        site.manager.configure_plugin("guest", code="ABC")
    site.manager.configure_plugin("guest", limit=4)
    assert site.row().status.value == "disabled"
    site.manager.enable_plugin("guest")
    assert show(site).startswith("4 ")


def test_a_secret_is_told_nowhere(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """It crosses to the plugin's process alone."""
    site.manager.configure_plugin("guest", token=SECRET_TEXT)
    assert show(site).endswith(SECRET_TEXT)
    active = site.manager.snapshot.active["guest"]
    shown = (
        site.manager.settings_of("guest"),
        site.manager.audit(),
        site.manager.plugin_processes(),
        active,
        active.settings,
        active.hosted.remote.pool(1e9).placed,
    )
    assert SECRET_TEXT not in f"{shown!r}{caplog.text}"


def test_a_plugin_that_asks_too_early_is_told(sites: Callable[..., Site], tmp_path: Path) -> None:
    """While it is loaded its process knows no values."""
    body = PLUGIN + "\ndef on_app_ready(app):\n    settings.limit\n"
    write_plugin(tmp_path / "plugins", "guest", body)
    row = sites().row()
    assert row.status.value == "failed"
    assert "first request" in row.reason


# ---- what crosses ------------------------------------------------------------------------------


@pytest.fixture
def field() -> Field:
    """A field of a plugin."""
    return Field(name="limit", kind=Kind.INT, least=1, most=9, is_required=False, default=3)


def test_a_field_crosses_as_data(field: Field) -> None:
    """What the host makes of it is the same, but for what takes matching."""
    assert declaration_of([info_of(field)]).fields == (field,)
    text = Field(name="code", kind=Kind.TEXT, pattern="(a+)+$")
    [again] = declaration_of([info_of(text)]).fields
    assert (again.pattern, again.words) == ("", "text: that matches (a+)+$")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "_x"},
        {"name": "by"},
        {"name": "x" * 100},
        {"kind": "text"},
        {"least": float("nan")},
        {"least": 10},
        {"default": 0},
        {"default": "text"},
        {"is_secret": True},
        {"choices": ("a",)},
        {"kind": "choice", "least": None, "most": None},
        {"kind": "choice", "least": None, "most": None, "choices": ("a", "a")},
        {"kind": "choice", "least": None, "most": None, "choices": ("\x1b[31m",)},
        {"kind": "choice", "least": None, "most": None, "choices": tuple(range(300))},
    ],
)
def test_a_field_that_cannot_be_one_is_refused(field: Field, wrong: dict[str, Any]) -> None:
    """A worker may be in the hands of its plugin."""
    info = msgspec.structs.replace(info_of(field), **wrong)
    with pytest.raises(UnusableText):
        declaration_of([info])


def test_fields_of_equal_names_and_too_many_are_refused(field: Field) -> None:
    """Likewise."""
    info = info_of(field)
    for infos in ([info, info], [msgspec.structs.replace(info, name=f"f{n}") for n in range(101)]):
        with pytest.raises(UnusableText):
            declaration_of(infos)


infos = st.builds(
    SettingInfo,
    name=st.sampled_from(["limit", "x", "by", "_"]) | st.text(max_size=3),
    kind=st.sampled_from([kind.value for kind in Kind]),
    is_optional=st.booleans(),
    least=st.none() | st.floats(),
    most=st.none() | st.floats(),
    words=st.text(max_size=5),
    choices=st.lists(st.text(max_size=3) | st.integers(), max_size=3).map(tuple),
    is_secret=st.booleans(),
    is_required=st.booleans(),
    default=st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    description=st.text(max_size=5),
)


@given(st.lists(infos, max_size=3))
def test_whatever_a_worker_declares_is_read_or_refused(given_infos: list[SettingInfo]) -> None:
    """With nothing but `UnusableText`, and in printable words."""
    told = ""
    try:
        fields = declaration_of(given_infos).fields
        told = "".join(f"{each.words}{each.description}" for each in fields)
    except UnusableText as error:
        told = str(error)
    assert told.isprintable()


@pytest.mark.parametrize("values", [{"a": {}}, {"a": [1]}, {"a": b"x"}, {1: 1}, []])
def test_values_of_other_types_do_not_cross(values: object) -> None:
    """A frame is checked while it is decoded."""
    frame = encode({"type": "configured", "values": values}, REQUEST_LIMIT)
    with pytest.raises(WireError):
        TO_PLUGIN.decode(frame[4:])


# ---- inside --------------------------------------------------------------------------------------


def test_each_exchange_sees_what_its_connection_was_sent(inside: LoadInner) -> None:
    """Two at the same time may see different values; outside of them the last ones count."""
    inner = inside(PLUGIN)
    defaults: dict[str, Any] = {"order": "up", "words": (), "code": "abc", "token": ""}
    old = inner.configure(Configured(values={"limit": 1, **defaults}))
    new = inner.configure(Configured(values={"limit": 2, **defaults}))
    limits = []
    for given_values in (old, new, None):
        with seen(given_values):
            [reply] = inner.visit(Visit(id=1, page=Page(path="/guest/show")))
            limits.append(reply.body[:1])  # type: ignore[union-attr]
    assert limits == [b"1", b"2", b"2"]


def test_equal_values_are_made_once(inside: LoadInner) -> None:
    """Each connection is sent them."""
    inner = inside(PLUGIN)
    values: dict[str, Any] = {"limit": 1, "order": "up", "words": (), "code": "abc", "token": ""}
    assert inner.configure(Configured(values=values)) is inner.configure(Configured(values=values))


def test_values_that_the_plugin_refuses_are_its_fault(inside: LoadInner) -> None:
    """Whoever asks for a setting gets the error; nothing else breaks."""
    inner = inside(PLUGIN)
    values: dict[str, Any] = {"limit": 13, "order": "up", "words": (), "code": "abc", "token": ""}
    found = inner.configure(Configured(values=values))
    with pytest.raises(PluginError, match="accepts together"):
        _ = found.instance


def test_values_for_a_plugin_without_settings_do_no_harm(inside: LoadInner) -> None:
    """A host that sends some is mistaken."""
    inner = inside("def register():\n    return {}\n")
    assert inner.description.settings == ()
    with pytest.raises(PluginError, match="has none"):
        _ = inner.configure(Configured(values={"limit": 1})).instance


def test_the_checker_tells_field_and_expectation(inside: LoadInner) -> None:
    """And nothing of values that can be used."""
    inner = inside(PLUGIN)
    values: dict[str, Any] = {"limit": 5, "order": "up", "words": [], "code": "abc", "token": ""}
    fine, code, limit = (
        value(ask(inner, inner.description.checker, {**values, **other}))
        for other in ({}, {"code": "ABC"}, {"limit": 13})
    )
    assert (fine, code) == (None, ["code", "text: small letters"])
    assert "ValueError" in limit[1]


# ---- what the plugin's process answers ---------------------------------------------------------


class FakeRemote:
    """Answers what the test says."""

    plugin = "guest"

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def ask(self, _page: Page, _calls: list[Any]) -> list[Value]:
        """Return the one result."""
        return [Value(value=self.answer)]


def settings_of(answer: object, *infos: SettingInfo) -> RemoteSettings:
    """The settings of a plugin whose process answers so."""
    remote = cast("Remote", FakeRemote(answer))
    return remote_settings(Description(settings=infos, checker=0), remote, lambda _plugin: b"")


@pytest.mark.parametrize(
    "answer", [5, [], ["limit"], ["limit", 5], {"limit": "x"}, [[], "x\x1b[0m"]]
)
def test_an_odd_answer_about_values_refuses_them(field: Field, answer: object) -> None:
    """In printable words, whatever the process says."""
    with pytest.raises(SettingError) as caught:
        settings_of(answer, info_of(field)).check("guest", {"limit": 5})
    assert str(caught.value).isprintable()
    assert caught.value.field == "limit"


def test_a_declaration_that_cannot_be_one_stops_the_plugin(field: Field) -> None:
    """The host says what is wrong with it."""
    with pytest.raises(PEPError, match="its settings: found settings of equal names"):
        settings_of(None, info_of(field), info_of(field))
