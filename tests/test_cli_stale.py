"""``flask plugins`` where the application can't be started, and what it tells then."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from commands import invoke, invoke_for
from flask import Flask
from flask.cli import NoAppException
from hosts import Host, clean_imports, host

from flask_pluginkit.cli.stale import STALE, ago
from flask_pluginkit.exceptions import LoadError, Problem, StateError
from flask_pluginkit.inventory import INVENTORY, write_inventory

__all__ = ["clean_imports", "host"]

NOTHING = "def register():\n    return {}\n"

REASON = "no \x1b[31mdatabase\x1b[0m \u202ereverse"


def failing(error: BaseException) -> Callable[[], Flask]:
    """The factory of an application that can't be started."""

    def create_app() -> Flask:
        raise error

    return create_app


def call(*arguments: str, error: BaseException | None = None) -> Result:
    """Call a command where the application raises `error`."""
    return invoke_for(failing(error or RuntimeError(REASON)), *arguments)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder of instances lies around, and nothing is in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PLUGINKIT_STATE_DIR", raising=False)


@pytest.fixture
def state(host: Host) -> Path:
    """The folder that a good start left: with two plugins, of which one is broken."""
    host.plugin("hello", NOTHING, version="1.2.3")
    host.plugin("broken", NOTHING + "raise RuntimeError('oh \x1b[2Jdear')")
    folder = host.folder / "state"
    manager = host.start(strict=False, state_dir=folder, live=False)
    manager.disable_plugin("hello")
    site = manager._site()
    assert write_inventory(site.store, site.control, site.current.plugins)
    return folder


def test_the_list_comes_from_the_inventory(state: Path) -> None:
    """As of the last good start; its exit code tells programs so."""
    result = call("list", "--state-dir", str(state))
    assert result.exit_code == STALE == 3
    lines = [line.split() for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert ["hello", "1.2.3", "disabled", "trusted", "folder"] in lines
    assert ["broken", "1.0.0", "failed", "trusted", "folder"] in lines


def test_the_fault_of_the_application_is_told_on_stderr(state: Path) -> None:
    """In short, printable, with the line that raised it; and how old the answer is."""
    os.utime(state / INVENTORY, (time.time() - 7300, time.time() - 7300))
    result = call("list", "--state-dir", str(state))
    told = " ".join(result.stderr.split())
    assert "the application can't be started: RuntimeError: no database reverse (" in told
    assert f"{Path(__file__).name}, line " in told
    assert "Traceback" not in told
    assert "2 hours ago" in told


def test_the_folder_may_stand_in_the_environment(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For scripts, and for who looks often."""
    monkeypatch.setenv("PLUGINKIT_STATE_DIR", str(state))
    assert call("list").exit_code == STALE


def test_as_json_the_rows_have_the_same_keys(state: Path, host: Host) -> None:
    """So that programs needn't care where they come from."""
    old = json.loads(call("list", "--json", "--state-dir", str(state)).stdout)
    new = json.loads(invoke(host.app, "list", "--json").stdout)
    assert old == new
    assert {"name", "version", "status", "isolation", "reason", "origin"} <= old[0].keys()


def test_a_working_application_is_asked_itself(state: Path, host: Host) -> None:
    """Whatever is in the folder."""
    (state / INVENTORY).write_text('{"plugins": {"ghost": {}}}')
    result = invoke(host.app, "list", "--state-dir", str(state))
    assert (result.exit_code, result.stderr) == (0, "")
    assert "ghost" not in result.stdout


def test_without_the_folder_one_is_told_what_to_give(tmp_path: Path) -> None:
    """With the folders that there are."""
    place = tmp_path / "instance" / "pluginkit" / "site-1234"
    place.mkdir(parents=True)
    (place / INVENTORY).write_text("{}")
    result = call("list")
    assert (result.exit_code, result.stdout) == (1, "")
    told = " ".join(result.stderr.split())
    assert "give --state-dir (or PLUGINKIT_STATE_DIR)" in told
    assert f"perhaps {Path('instance/pluginkit/site-1234')}" in told


@pytest.mark.parametrize("content", [None, "", "[]", '{"plugins": 5}', "{"])
def test_a_folder_without_an_inventory_is_refused(tmp_path: Path, content: str | None) -> None:
    """Nothing is made up."""
    if content is not None:
        (tmp_path / INVENTORY).write_text(content)
    result = call("list", "--state-dir", str(tmp_path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no inventory is in" in result.stderr


def test_what_others_wrote_into_an_inventory_is_made_printable(tmp_path: Path) -> None:
    """And what isn't a text is none."""
    row = {"version": 5, "status": "act\x1b[2Jive", "reason": "a\u202eb", "isolation": ["x"]}
    content = {"plugins": {"na\x1b[31mme": row}}
    (tmp_path / INVENTORY).write_text(json.dumps(content))
    result = call("list", "--state-dir", str(tmp_path))
    assert result.exit_code == STALE
    assert result.stdout.splitlines()[1:] == ["name           active", "    ab"]


def test_one_plugin_is_shown_from_the_inventory(state: Path) -> None:
    """As far as it was written down."""
    result = call("show", "hello", "--state-dir", str(state))
    assert result.exit_code == STALE
    assert result.stdout.splitlines()[0] == "hello 1.2.3: disabled"
    assert str(state.parent / "plugins" / "hello") in result.stdout


def test_a_plugin_that_the_inventory_doesnt_know_is_refused(state: Path) -> None:
    """With the nearest name."""
    result = call("show", "hallo", "--state-dir", str(state))
    assert result.exit_code == 1
    assert "did you mean 'hello'" in result.stderr


def test_the_audit_is_read_without_the_application(state: Path) -> None:
    """It is in the same folder."""
    result = call("audit", "--state-dir", str(state))
    assert result.exit_code == STALE
    assert "disable hello" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [("enable", "a"), ("disable", "a"), ("workers",), ("owners", "route", "/"), ("tep",)],
)
@pytest.mark.parametrize(
    "error", [RuntimeError("why"), StateError("why"), SystemExit("why"), ImportError("why")]
)
def test_what_needs_the_application_says_why_it_cannot(
    arguments: tuple[str, ...], error: BaseException
) -> None:
    """In a line, without a traceback, and with exit code 1."""
    result = call(*arguments, error=error)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: the application can't be started: ")
    assert "why" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_plugin_that_hinders_the_application_can_be_disabled(host: Host) -> None:
    """In safe mode, as the message says."""
    problem = Problem(where="a", what="b", found="c", expected="d")
    told = " ".join(call("disable", "a", error=LoadError(problem)).stderr.split())
    assert "With PLUGINKIT_SAFE_MODE=1 no plugin is loaded" in told
    assert "SAFE_MODE" not in call("disable", "a", error=StateError("x")).stderr
    host.plugin("bad", "raise RuntimeError('broken')")
    host.app.config["PLUGINKIT_SAFE_MODE"] = "1"
    host.start(live=False)
    result = invoke(host.app, "disable", "bad")
    assert (result.exit_code, result.stdout) == (0, "bad: disabled (generation 1)\n")


def test_an_import_that_fails_is_told_without_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_imports: None
) -> None:
    """Flask puts all of it into the message; one line says where it is."""
    (tmp_path / "wsgi.py").write_text("import os\nimport nothing_like_that\n")
    monkeypatch.setenv("FLASK_APP", "wsgi.py")

    def create_app() -> Flask:
        from flask.cli import locate_app

        monkeypatch.syspath_prepend(str(tmp_path))
        return locate_app("wsgi", None)

    result = invoke_for(create_app, "enable", "x")
    assert result.exit_code == 1
    told = " ".join(result.stderr.split())
    assert "ModuleNotFoundError: No module named 'nothing_like_that' (" in told
    assert "wsgi.py, line 2)" in told
    assert "Traceback" not in result.stderr


def test_no_application_at_all_is_a_fault_of_the_call(state: Path) -> None:
    """Exit code 2, as Flask has it; but with a folder there is an answer."""
    error = NoAppException("Could not locate a Flask application.")
    assert call("list", error=error).exit_code == 2
    assert call("list", "--state-dir", str(state), error=error).exit_code == STALE


def test_a_strict_start_that_fails_at_a_plugin_is_told(host: Host) -> None:
    """By the reason of the plugin, once."""
    host.plugin("bad", NOTHING + "raise RuntimeError('broken')")

    def create_app() -> Flask:
        host.start(strict=True)
        return host.app

    result = invoke_for(create_app, "list")
    assert result.exit_code == 1
    assert "RuntimeError: broken" in result.stderr


def test_a_disabled_plugin_is_not_imported_by_the_list(host: Host) -> None:
    """Whatever it would do: it is listed by what stands in its source."""
    trace = host.folder / "imported"
    host.plugin("off", f"open({str(trace)!r}, 'w').close()\nraise RuntimeError", state="disabled")
    host.plugin("on", NOTHING)

    def create_app() -> Flask:
        host.start(strict=False)
        return host.app

    result = invoke_for(create_app, "list", "--json")
    statuses = {row["name"]: row["status"] for row in json.loads(result.stdout)}
    assert statuses == {"off": "disabled", "on": "active"}
    assert not trace.exists()


def test_plugins_that_failed_are_told_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the table; what the start logs of them isn't printed as well."""
    for logger in (logging.getLogger(), logging.getLogger("flask_pluginkit")):
        monkeypatch.setattr(logger, "handlers", [])  # as where nobody sets up logging
    host.plugin("bad", NOTHING + "raise RuntimeError('broken')")

    def create_app() -> Flask:
        host.start(strict=False)
        return host.app

    result = invoke_for(create_app, "list")
    assert "RuntimeError: broken" in " ".join(result.stdout.split())
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "just now"),
        (0.2, "just now"),
        (1.5, "1 second ago"),
        (59, "59 seconds ago"),
        (60.5, "1 minute ago"),
        (7300, "2 hours ago"),
        (3 * 86_400 + 5, "3 days ago"),
    ],
)
def test_ages_are_told_in_one_unit(seconds: float, expected: str) -> None:
    """As people say it."""
    assert ago(time.time() - seconds) == expected
