"""``flask plugins``: what a terminal shows, what other programs read, and exit codes."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path

import click
import pytest
from commands import Run, invoke
from flask import Flask
from hosts import Host, clean_imports, host, views

from flask_pluginkit import cli
from flask_pluginkit.cli import listing
from flask_pluginkit.cli.tables import COLOURS
from flask_pluginkit.discovery import Origin
from flask_pluginkit.exceptions import PluginError, RequirementError, StateError
from flask_pluginkit.exceptions import Problem as Fault
from flask_pluginkit.snapshot import Status
from flask_pluginkit.state.base import WantedState

__all__ = ["clean_imports", "host"]

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Found:
    """How the plugin was found."""

    origin: Origin = Origin.FOLDER


@dataclass
class Row:
    """What the manager tells of one plugin."""

    name: str
    version: str = "1.0.0"
    status: Status = Status.ACTIVE
    wanted: WantedState = WantedState.ENABLED
    reason: str = ""
    isolation: str = "trusted"
    confinement: str = "trusted"
    candidate: Found = Found()


@dataclass
class Change:
    """What a switch did."""

    changed: tuple[str, ...]
    generation: int = 7
    silent: tuple[str, ...] = ()


@dataclass
class Manager:
    """In the place of the manager: it notes what it is asked, and answers as a test wants."""

    plugins: tuple[Row, ...] = (Row("hello"), Row("shop"))
    change: Change | None = None
    error: Exception | None = None
    asked: list[tuple[str, str, bool]] = field(default_factory=list)

    def enable_plugin(self, *names: str, cascade: bool = False) -> Change:
        return self._switch("enable", names, cascade)

    def disable_plugin(self, *names: str, cascade: bool = False) -> Change:
        return self._switch("disable", names, cascade)

    def workers(self) -> str:
        if self.error:
            raise self.error
        return "3 of 4 workers on generation 42"

    def _switch(self, verb: str, names: tuple[str, ...], cascade: bool) -> Change:
        self.asked.append((verb, " ".join(names), cascade))
        if self.error:
            raise self.error
        return self.change or Change(names)


@pytest.fixture
def manager() -> Manager:
    """A manager that a test may set up."""
    return Manager()


@pytest.fixture
def run(manager: Manager) -> Run:
    """Call ``flask plugins`` with arguments, in an application with that manager."""
    app = Flask("shopfront")
    app.extensions["pluginkit"] = manager

    return partial(invoke, app)


# --- list -------------------------------------------------------------------------------------


def test_plugins_are_listed_in_aligned_columns(manager: Manager, run: Run) -> None:
    """Each column as wide as it must be; why a plugin isn't active stands below it."""
    manager.plugins = (
        Row("hello"),
        Row("a-longer-name", "10.20.30", Status.DISABLED, reason="switched off"),
        Row("odd", "", Status.FAILED, reason="SyntaxError"),
    )
    result = run("list")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "NAME           VERSION   STATUS    ISOLATION  ORIGIN",
        "hello          1.0.0     active    trusted    folder",
        "a-longer-name  10.20.30  disabled  trusted    folder",
        "    switched off",
        "odd                      failed    trusted    folder",
        "    SyntaxError",
    ]


def test_a_long_reason_is_broken_into_lines_of_80_columns(manager: Manager, run: Run) -> None:
    """Below its plugin, and no word is lost."""
    reason = " ".join(f"word{number}" for number in range(60))
    manager.plugins = (Row("hello", status=Status.FAILED, reason=reason), Row("shop"))
    _head, _first, *lines, last = run("list").stdout.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert {line[:4] for line in lines} == {"    "}
    assert " ".join(lines).split() == reason.split()
    assert last.split()[:3] == ["shop", "1.0.0", "active"]


def test_a_terminal_says_how_wide_a_table_is(
    manager: Manager, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere it is 80 columns, whatever COLUMNS says."""
    manager.plugins = (Row("hello", status=Status.FAILED, reason="word " * 40),)
    monkeypatch.setenv("COLUMNS", "200")
    assert max(map(len, run("list").stdout.splitlines())) <= 80
    monkeypatch.setattr(listing, "terminal_width", lambda: 200)
    assert 150 < max(map(len, run("list").stdout.splitlines())) <= 200


def test_wide_characters_take_two_columns(manager: Manager, run: Run) -> None:
    """Names of East Asian characters leave the columns aligned."""
    manager.plugins = (Row("你好"), Row("shop"), Row("e\u0301"))
    lines = run("list").stdout.splitlines()
    assert lines[1:] == [
        "你好  1.0.0    active  trusted    folder",
        "shop  1.0.0    active  trusted    folder",
        "e\u0301     1.0.0    active  trusted    folder",
    ]


def test_text_of_others_reaches_no_terminal_as_it_is(manager: Manager, run: Run) -> None:
    """Escape sequences in a reason or a version are taken out."""
    manager.plugins = (Row("hello", "1\x1b[2J", Status.FAILED, reason="a\x1b]0;owned\x07\nb"),)
    result = run("list", color=True)
    assert "\x1b[2J" not in result.stdout
    assert "owned" not in result.stdout
    assert result.stdout.splitlines()[2].strip() == "a b"


def test_colours_are_for_terminals(
    manager: Manager, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe gets none, nor does a terminal whose user set NO_COLOR."""
    manager.plugins = (Row("hello", status=Status.QUARANTINED),)
    assert "\x1b[" not in run("list").stdout
    assert click.style("quarantined", fg="yellow") in run("list", color=True).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in run("list", color=True).stdout


def test_every_status_has_a_colour() -> None:
    """None is forgotten when one is added."""
    assert set(COLOURS) == {status.value for status in Status}


def test_the_list_as_json_has_everything(manager: Manager, run: Run) -> None:
    """For other programs, whatever the status and the characters."""
    manager.plugins = (
        Row("你好", "1.2.3", Status.QUARANTINED, reason="too many\nfaults"),
        Row("shop", "", Status.DISABLED, WantedState.DISABLED),
    )
    result = run("list", "--json", color=True)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == [
        {
            "name": "你好",
            "version": "1.2.3",
            "status": "quarantined",
            "wanted": "enabled",
            "reason": "too many\nfaults",
            "isolation": "trusted",
            "confinement": "trusted",
            "origin": "folder",
        },
        {
            "name": "shop",
            "version": "",
            "status": "disabled",
            "wanted": "disabled",
            "reason": "",
            "isolation": "trusted",
            "confinement": "trusted",
            "origin": "folder",
        },
    ]


def test_an_application_without_plugins_has_an_empty_list(manager: Manager, run: Run) -> None:
    """People are told so, programs get a list."""
    manager.plugins = ()
    assert run("list").stdout == "no plugins\n"
    assert json.loads(run("list", "--json").stdout) == []


# --- enable and disable -----------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["enable", "disable"])
@pytest.mark.parametrize("cascade", [False, True])
def test_plugins_are_switched_together(
    manager: Manager, run: Run, verb: str, cascade: bool
) -> None:
    """All or none, each once, with or without what hangs on them."""
    result = run(verb, "shop", "hello", "shop", *(["--cascade"] if cascade else []))
    assert (result.exit_code, result.stderr) == (0, "")
    assert manager.asked == [(verb, "shop hello", cascade)]
    assert result.stdout == f"shop, hello: {verb}d (generation 7)\n"


def test_what_was_switched_along_is_named(manager: Manager, run: Run) -> None:
    """The plugin that was asked for comes first."""
    manager.change = Change(("hello", "shop", "zoo"), 8)
    assert run("disable", "shop", "--cascade").stdout == (
        "shop, hello, zoo: disabled (generation 8)\n"
    )


def test_what_was_so_already_is_told(manager: Manager, run: Run) -> None:
    """Asking twice is no fault."""
    manager.change = Change((), 8)
    result = run("enable", "hello")
    assert result.exit_code == 0
    assert result.stdout == "hello: enabled already (generation 8)\n"


def test_silent_workers_are_named_on_stderr(manager: Manager, run: Run) -> None:
    """The change has happened; what is said about it doesn't disturb other programs."""
    manager.change = Change(("hello",), 8, ("pid 3 on web", "pid 4 on web"))
    result = run("enable", "hello")
    assert result.exit_code == 0
    assert result.stdout == "hello: enabled (generation 8)\n"
    assert result.stderr.startswith("2 of the workers didn't answer in time")
    assert result.stderr.endswith(": pid 3 on web, pid 4 on web\n")


def test_an_unknown_plugin_is_refused_before_anything_changes(manager: Manager, run: Run) -> None:
    """With the one that was probably meant; those named before it aren't switched either."""
    result = run("disable", "hello", "shap")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "Error: No plugin named shap was found; did you mean 'shop'?\n"
    assert manager.asked == []


def test_a_plugin_unlike_all_others_is_refused_without_a_guess(run: Run) -> None:
    """Nothing is suggested that nobody can have meant; what was typed is made printable."""
    result = run("enable", "\x1b[31mxyzzy\x1b[0m")
    assert result.stderr == "Error: No plugin named xyzzy was found\n"


@pytest.mark.parametrize("arguments", [("enable", "hello"), ("disable", "hello"), ("workers",)])
@pytest.mark.parametrize(
    "error",
    [
        PluginError("no, because\nof this"),
        StateError("no, because\nof this"),
        RequirementError(Fault(where="no", what="because\nof this", found="x", expected="y")),
    ],
)
def test_a_refusal_is_a_message_and_exit_code_1(
    manager: Manager, run: Run, arguments: tuple[str, ...], error: PluginError
) -> None:
    """Without a traceback, on stderr, with all of its lines."""
    manager.error = error
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == f"Error: {error}\n"


def test_a_fault_of_ours_isnt_hidden(manager: Manager, run: Run) -> None:
    """Only what is refused on purpose is told in a line."""
    manager.error = KeyError("bug")
    assert isinstance(run("enable", "hello").exception, KeyError)


@pytest.mark.parametrize("arguments", [("enable",), ("disable",), ("enable", "hello", "--casc")])
def test_what_isnt_understood_has_exit_code_2(run: Run, arguments: tuple[str, ...]) -> None:
    """As with all commands of Flask."""
    assert run(*arguments).exit_code == 2


# --- workers, and applications without plugins ------------------------------------------------


def test_workers_are_told_in_a_line(run: Run) -> None:
    """As the manager puts it."""
    result = run("workers")
    assert (result.exit_code, result.stdout) == (0, "3 of 4 workers on generation 42\n")


@pytest.mark.parametrize("arguments", [("list",), ("enable", "x"), ("disable", "x"), ("workers",)])
def test_an_application_without_a_manager_is_told_so(arguments: tuple[str, ...]) -> None:
    """With what it lacks, and exit code 2."""
    result = invoke(Flask("plain"), *arguments)
    assert result.exit_code == 2
    assert "the application 'plain' has no plugins" in result.stderr
    assert "PluginManager(app)" in result.stderr


# --- the real things --------------------------------------------------------------------------


def test_flask_finds_the_command_by_the_metadata_of_the_distribution() -> None:
    """The entry point leads to this very group."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, name = project["entry-points"]["flask.commands"]["plugins"].partition(":")
    assert getattr(import_module(module), name) is cli.plugins


def test_a_plugin_is_switched_in_a_real_application(host: Host) -> None:
    """What the command says is what requests see."""
    host.plugin("hello", views("[{'rule': '/hello', 'view_func': hello}]"))
    host.start()
    assert "hello" in invoke(host.app, "list").stdout
    result = invoke(host.app, "disable", "hello")
    assert (result.exit_code, result.stdout.split(" (")[0]) == (0, "hello: disabled")
    (row,) = json.loads(invoke(host.app, "list", "--json").stdout)
    assert (row["status"], row["wanted"]) == ("disabled", "disabled")
    assert host.open("/hello").status_code == 404
    invoke(host.app, "enable", "hello")
    assert host.get("/hello") == "hello []"
    assert "worker" in invoke(host.app, "workers").stdout
