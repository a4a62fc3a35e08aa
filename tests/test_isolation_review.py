"""What a review of isolated plugins found, each shown to be so no more."""

from __future__ import annotations

import decimal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from isolation_sites import Site, _impatient, sites
from trees import write, write_plugin

from flask_pluginkit import cli
from flask_pluginkit.exceptions import ManifestError
from flask_pluginkit.isolation import scanning, wire
from flask_pluginkit.isolation.answers.fragments import MOST_REFERENCES, cleaner
from flask_pluginkit.isolation.answers.headers import is_for_script
from flask_pluginkit.isolation.answers.own import AnswerError
from flask_pluginkit.isolation.faults import PluginFault
from flask_pluginkit.isolation.inside.frames import frame_of
from flask_pluginkit.isolation.levels import Isolation, Levels
from flask_pluginkit.isolation.messages import Failure, Head, Results, Value
from flask_pluginkit.isolation.processes import asking, runtime
from flask_pluginkit.isolation.standins import Standins
from flask_pluginkit.isolation.supervision import Ask
from flask_pluginkit.source import read_bindings

__all__ = ["_impatient", "sites"]


# ---- whose a name is -------------------------------------------------------------------------

IMPOSTOR = """
__plugin_name__ = {name!r}
__version__ = "1.0.0"
__author__ = "somebody"
import sys
sys.modules["was_imported"] = sys

def register():
    return {{}}
"""


@pytest.fixture
def imported() -> Iterator[Callable[[], bool]]:
    """Tell whether code of the impostor ran in this process."""
    sys.modules.pop("was_imported", None)
    yield lambda: "was_imported" in sys.modules
    sys.modules.pop("was_imported", None)


def test_nobody_gets_into_the_host_by_the_name_of_a_trusted_plugin(
    sites: Callable[..., Site], tmp_path: Path, imported: Callable[[], bool]
) -> None:
    """Of two plugins that claim a name neither runs, as one of them may be an impostor."""
    for folder in ("aaa", "hello"):
        write(tmp_path / "plugins" / folder / "__init__.py", IMPOSTOR.format(name="hello"))
    manager = sites(isolation={"hello": "trusted", "*": "isolated"}).manager
    assert [row.status for row in manager.plugins] == ["failed", "failed"]
    assert not imported()


def test_a_plugin_that_runs_keeps_its_name(sites: Callable[..., Site], tmp_path: Path) -> None:
    """Another one that is put beside it later can't switch it off by claiming its name."""
    write_plugin(tmp_path / "plugins", "hello")
    manager = sites(isolation={"hello": "trusted", "*": "isolated"}).manager
    write(tmp_path / "plugins" / "aaa" / "__init__.py", IMPOSTOR.format(name="hello"))
    manager.rescan()
    found = {row.candidate.folder.name: row.status for row in manager.plugins}
    assert found == {"aaa": "failed", "hello": "active"}


def test_a_new_version_cannot_leave_its_level_by_another_name(
    sites: Callable[..., Site], tmp_path: Path, imported: Callable[[], bool]
) -> None:
    """The name of its folder, which its files don't choose, counts as well."""
    write(tmp_path / "plugins" / "hello" / "__init__.py", IMPOSTOR.format(name="renamed"))
    manager = sites(isolation={"hello": "isolated", "*": "trusted"}).manager
    assert [row.isolation for row in manager.plugins] == ["isolated"]
    assert not imported()


def test_the_stricter_of_two_names_counts() -> None:
    """Whichever of both the operator wrote down."""
    levels = Levels(given={"a": Isolation.TRUSTED, "b": Isolation.ISOLATED})
    assert levels.of("a", folder="b") is Isolation.ISOLATED
    assert levels.of("b", folder="a") is Isolation.ISOLATED
    assert levels.of("a", folder="c") is Isolation.TRUSTED


# ---- what a frame becomes --------------------------------------------------------------------


def frame_with(value: bytes) -> bytes:
    """Return the body of a reply that holds a value as it stands in msgpack."""
    body = msgspec.msgpack.encode(Results(id=1, results=[Value(value="@@")]))
    return body.replace(b"\xa2@@", value)


def test_a_frame_becomes_no_hundredfold_of_its_length() -> None:
    """Nine megabytes of empty dicts were 650 MB in the host."""
    count = 1 << 20
    with pytest.raises(wire.WireError, match="holds more than"):
        wire.FROM_PLUGIN.decode(frame_with(b"\xdd" + struct.pack(">I", count) + b"\x80" * count))


def test_keys_of_dicts_are_text_in_long_frames() -> None:
    """Decimals of one hash were keys: a dict of a few hundred thousand took an hour."""
    key = b"\xc7\x03\x031E5"
    many = b"\xde" + struct.pack(">H", 1000) + (key + b"\xc0") * 1000
    with pytest.raises(wire.WireError, match="a key that isn't text"):
        wire.FROM_PLUGIN.decode(frame_with(many))


def test_a_long_body_is_no_long_look() -> None:
    """Its bytes aren't looked at one by one, and it comes as it was sent."""
    head = Head(id=1, status=200, body=b"\xdf" * (1 << 20))
    frame = wire.encode(head, wire.REPLY_LIMIT)
    assert wire.FROM_PLUGIN.decode(frame[4:]) == head


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    # of all the lengths that are written in another way
    | st.text(max_size=300)
    | st.binary(max_size=300)
    | st.dates()
    | st.uuids(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20),
    max_leaves=40,
)


@given(PLAIN)
def test_whatever_can_cross_passes_the_look(value: Any) -> None:
    """It understands all that the encoder writes."""
    scanning.require_modest(msgspec.msgpack.encode(wire.plain(value)))


@given(st.binary(max_size=200))
def test_the_look_ends_for_any_bytes(data: bytes) -> None:
    """With a ValueError, or without one; what is no msgpack is told of by the decoder."""
    with suppress(ValueError):
        scanning.require_modest(data)


@pytest.mark.parametrize("text", ["1E999999999", "-1E999999999", "1E-999999999", "sNaN"])
def test_decimals_that_no_arithmetic_is_safe_with_do_not_cross(text: str) -> None:
    """An int of one was a gigabyte in the host's template; in either direction."""
    with pytest.raises(wire.NotPlainError):
        wire.plain(decimal.Decimal(text))
    data = bytes([0xC7, len(text), 3]) + text.encode()
    with pytest.raises(wire.WireError):
        wire.FROM_PLUGIN.decode(frame_with(data))


# ---- answers ---------------------------------------------------------------------------------

PLUGIN = """
from flask import Blueprint, abort

blueprint = Blueprint("guest", __name__)

@blueprint.route("/abort/<int:code>")
def aborts(code):
    abort(code, description="told\\r\\nSet-Cookie: a=b")

def register():
    return {"bep": {"blueprint": blueprint, "prefix": "/guest"}}
"""


@pytest.mark.parametrize("code", [405, 416])
def test_the_text_of_an_error_is_no_header(
    sites: Callable[..., Site], tmp_path: Path, code: int
) -> None:
    """Of some errors the first argument is one: the host failed over a line end in it."""
    write_plugin(tmp_path / "plugins", "guest", PLUGIN)
    answer = sites().client.get(f"/guest/abort/{code}")
    assert answer.status_code == code
    assert "told" in answer.text
    assert not {"Allow", "Content-Range", "Set-Cookie"} & set(answer.headers.keys())


@pytest.mark.parametrize("value", [{1: "a key"}, "no dict", None])
def test_a_context_processor_gives_names_or_is_a_fault(value: Any) -> None:
    """A worker that sent a key that is no text made every page of the site fail."""

    class Told:
        plugin = level = "process"

        def hook(self, _remote: object, _table: str) -> list[Value]:
            return [Value(value=value)]

    told: Any = Told()
    processor = Standins(told, told, told)._context_processor("template_context_processors")
    with pytest.raises(PluginFault, match="expected a dict with text as keys"):
        processor()


def test_scripts_that_say_what_they_are_get_no_markup() -> None:
    """Browsers send Sec-Fetch over HTTPS alone."""
    assert is_for_script({"X-Requested-With": "XMLHttpRequest"})
    assert not is_for_script({"Accept": "text/html"})


def test_a_plugin_called_as_the_sites_session_begins_gets_no_session(
    sites: Callable[..., Site], tmp_path: Path
) -> None:
    """A plugin chooses its name: "board-session" begins as the cookies of one called "board"."""
    body = """
from flask import Blueprint, make_response, request

blueprint = Blueprint("board", __name__)

@blueprint.route("/")
def index():
    answer = make_response(" ".join(request.cookies))
    answer.headers.extend([("Set-Cookie", "board-session=x"), ("Set-Cookie", "board-a=x")])
    return answer

def register():
    return {"bep": {"blueprint": blueprint, "prefix": "/board"}}
"""
    write_plugin(tmp_path / "plugins", "board", body)
    site = sites(config={"SESSION_COOKIE_NAME": "board-session"})
    site.client.set_cookie("board-session", "secret")
    site.client.set_cookie("board-a", "1")
    answer = site.client.get("/board/")
    assert answer.text == "board-a"
    assert [one.partition("=")[0] for one in answer.headers.getlist("Set-Cookie")] == ["board-a"]


def test_ampersands_of_a_fragment_are_few() -> None:
    """A part of 256 KB of them took seconds to be cleaned, and a page may have many."""
    clean = cleaner("guest", frozenset(), "isolated")
    assert clean("a &amp; b" * 100).count("&amp;") == 100
    with pytest.raises(AnswerError, match="ampersands"):
        clean("&a " * (MOST_REFERENCES + 1))


# ---- files -----------------------------------------------------------------------------------


def test_f_strings_that_take_minutes_are_not_parsed(tmp_path: Path) -> None:
    """The host reads the manifest of a plugin before anything else: 0.9 MB held it up 120 s."""
    file = tmp_path / "__init__.py"
    file.write_text('__x__ = f"' + "{1}" * 300_000 + '"', encoding="ascii")
    with pytest.raises(ManifestError, match="f-strings"):
        read_bindings(file, "guest")


def test_a_runtime_folder_that_others_use_keeps_their_files(tmp_path: Path) -> None:
    """The operator may have named one with something in it."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    for name in ("board.pid", "control.sock", "worker-3.sock", "starting"):
        write(folder / name, "")
    runtime.sweep(folder, tmp_path)
    assert {path.name for path in folder.iterdir()} == {"board.pid", "starting"}
    runtime.leave(folder, tmp_path, is_named=True)
    assert {path.name for path in folder.iterdir()} == {"board.pid"}


def test_results_that_are_too_many_together_are_faults_of_the_plugin() -> None:
    """The worker says so, and isn't ended for a reply that its host can't take."""
    many = Value(value=[None] * (scanning.MOST_VALUES * 2 // 3))
    frame = frame_of(Results(id=1, results=[many, many]))
    reply = wire.FROM_PLUGIN.decode(frame[4:])
    assert isinstance(reply, Results)
    assert all(isinstance(result, Failure) for result in reply.results)


# ---- questions to the supervisor -------------------------------------------------------------


class Quiet:
    """A loop and a connection that note what they are told."""

    is_open = True

    def __init__(self) -> None:
        self.is_paused = False
        self.soon_called: list[Callable[[], object]] = []
        self.timers: list[tuple[float, Callable[[], object]]] = []

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def send(self, *_: object) -> None:
        pass

    def soon(self, callback: Callable[[], object]) -> None:
        self.soon_called.append(callback)

    def later(self, seconds: float, callback: Callable[[], object]) -> None:
        self.timers.append((seconds, callback))


def test_a_plugin_that_asks_without_end_has_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor works for all plugins: what one asks too much isn't read for a while."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    quiet: Any = Quiet()
    desk = asking.Desk(quiet, asking.NoAnswers)
    for number in range(int(asking.BURST) + 1000):
        desk.take("worker", Ask(id=number, what="nothing"), quiet)
    assert desk._threads is not None
    desk._threads.shutdown()
    for callback in quiet.soon_called:
        callback()
    assert quiet.is_paused  # although everything is answered
    [(seconds, again)] = quiet.timers
    now[0] += seconds
    again()
    [*_, (seconds, again)] = quiet.timers
    now[0] += seconds
    again()
    assert not quiet.is_paused


# ---- names of others -------------------------------------------------------------------------

LOGIN = """
from flask import Blueprint

blueprint = Blueprint("auth", __name__)

@blueprint.route("/login")
def login():
    return __plugin_name__

def register():
    return {{
        "bep": {{"blueprint": blueprint, "prefix": "/{0}"}},
        "filter": {{"money": lambda amount: "{0}"}},
    }}
"""


def test_names_of_trusted_plugins_are_no_others(sites: Callable[..., Site], tmp_path: Path) -> None:
    """A link of the site to its sign-in page led to that of a plugin that comes before it."""
    for name in ("aaa", "auth"):
        write_plugin(tmp_path / "plugins", name, LOGIN.format(name))
    site = sites(isolation={"auth": "trusted", "*": "process"})
    assert site.render("{{ url_for('auth.login') }} {{ 1|money }}") == "/auth/login auth"
    assert site.client.get("/auth/login").text == "auth"
    assert {conflict.loser for conflict in site.manager.conflicts} == {"aaa"}


def test_nothing_is_granted_that_was_not_shown(
    sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plugin's files were replaced while the operator thought about what they ask for."""
    folder = tmp_path / "plugins"
    write_plugin(folder, "guest", permissions=["storage"])

    def confirm(_question: str) -> bool:
        write_plugin(folder, "guest", permissions=["storage", "html:raw"])
        return True

    monkeypatch.setattr(click, "confirm", confirm)
    site = sites(isolation=None)
    answer = site.app.test_cli_runner().invoke(cli.plugins, ["approve", "guest"])
    assert answer.exit_code == 1
    assert "asks for something else by now" in answer.output
    assert not (tmp_path / "state/approvals.json").exists()
