"""``flask plugins settings``, ``set`` and ``unset``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from commands import invoke
from hosts import Host, clean_imports, host

from flask_pluginkit import cli

__all__ = ["clean_imports", "host"]

HELLO = """
from dataclasses import dataclass
from typing import Annotated
from flask_pluginkit import SECRET, Range, Settings

@dataclass(frozen=True)
class Wishes:
    limit: Annotated[int, Range(1, 100), "How many greetings a page shows at most"] = 10
    words: tuple[str, ...] = ("a", "b")
    token: Annotated[str, SECRET, "The key to the service"] = "unset"

settings = Settings(Wishes)

def register():
    return {
        "settings": settings,
        "vep": {"rule": "/show", "view_func": lambda: f"{settings.limit} {settings.token}"},
    }
"""

SECRET = "open-sesame-4711"


@pytest.fixture
def run(host: Host) -> Callable[..., Result]:
    """Call ``flask plugins`` with arguments."""
    host.plugin("hello", HELLO)
    host.start(strict=False)

    def invoke(*arguments: str, **options: Any) -> Result:
        return host.app.test_cli_runner().invoke(cli.plugins, arguments, **options)

    return invoke


def test_settings_are_listed(run: Callable[..., Result]) -> None:
    """Within 80 columns, with where each comes from."""
    shown = run("settings", "hello")
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[:4] == [
        "SETTING  VALUE     FROM     WHAT",
        "limit    10        default  How many greetings a page shows at most: a whole",
        "                            number from 1 to 100",
        "words    a,b       default  texts, separated by commas",
    ]


def test_settings_are_listed_as_json(run: Callable[..., Result]) -> None:
    """For other programs."""
    run("set", "hello", "limit=42")
    rows = json.loads(run("settings", "hello", "--json").output)
    assert rows[0] == {
        "field": "limit",
        "type": "a whole number from 1 to 100",
        "value": 42,
        "origin": "stored",
        "default": 10,
        "description": "How many greetings a page shows at most",
        "is_secret": False,
        "key": "PLUGINKIT_HELLO_LIMIT",
        "problem": "",
    }


def test_a_setting_is_set(host: Host, run: Callable[..., Result]) -> None:
    """From the next request on."""
    assert host.get("/show").startswith("10 ")
    done = run("set", "hello", "limit=42", "words=x, y")
    assert (done.exit_code, done.output) == (0, "hello: limit, words set (generation 1)\n")
    assert host.get("/show").startswith("42 ")


def test_the_same_once_more_changes_nothing(run: Callable[..., Result]) -> None:
    """And says so."""
    run("set", "hello", "limit=42")
    assert run("set", "hello", "limit=42").output == "hello: limit set already (generation 1)\n"


def test_a_setting_is_unset(host: Host, run: Callable[..., Result]) -> None:
    """Then the default counts again."""
    run("set", "hello", "limit=42")
    done = run("unset", "hello", "limit", "limit")
    assert (done.exit_code, done.output) == (0, "hello: limit unset (generation 2)\n")
    assert host.get("/show").startswith("10 ")


@pytest.mark.parametrize("is_typed", [True, False])
def test_a_secret_is_asked_for_and_never_shown(
    host: Host, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, is_typed: bool
) -> None:
    """Neither while it is typed, nor in any list; a script may send it."""
    monkeypatch.setattr("flask_pluginkit.cli.settings.is_at_terminal", lambda: is_typed)
    done = run("set", "hello", "token", input=f"{SECRET}\n")
    assert done.exit_code == 0
    assert host.get("/show") == f"10 {SECRET}"
    outputs = [
        done,
        run("settings", "hello"),
        run("settings", "hello", "--json"),
        run("audit"),
        run("audit", "--json"),
        run("show", "hello"),
        run("list", "--json"),
    ]
    assert all(one.exit_code == 0 for one in outputs)
    assert not [one.output for one in outputs if SECRET in one.output]
    assert "(hidden)" in outputs[1].output


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("set", "hello", "limit=0"), 1, "found 0, expected a whole number from 1 to 100"),
        (("set", "hello", "limti=1"), 1, "did you mean 'limit'"),
        (("set", "hello", "=1"), 1, "a setting that it doesn't have"),
        (("set", "helo", "limit=1"), 1, "did you mean 'hello'"),
        (("set", "hello", "limit=1", "limit=2"), 2, "given twice"),
        (("set", "hello", "by=me"), 2, "No setting can be called by"),
        (("unset", "hello", "limti"), 1, "did you mean 'limit'"),
        (("settings", "helo"), 1, "did you mean 'hello'"),
    ],
)
def test_what_cannot_be_done_is_refused(
    host: Host, run: Callable[..., Result], arguments: tuple[str, ...], code: int, told: str
) -> None:
    """With the reason; nothing changes."""
    refused = run(*arguments)
    assert refused.exit_code == code
    assert told in refused.output
    assert host.pm.snapshot.generation == 0


def test_a_wrong_value_is_listed_with_what_is_wrong(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator sees which of them keeps the plugin out."""
    monkeypatch.setenv("PLUGINKIT_HELLO_LIMIT", "many")
    shown = " ".join(run("settings", "hello").output.split())
    assert "found 'many' (environment variable PLUGINKIT_HELLO_LIMIT)" in shown


def test_a_plugin_that_is_still_out_is_told(host: Host) -> None:
    """It may lack further settings."""
    host.plugin(
        "hello",
        HELLO.replace(' = "unset"', "")
        .replace(" = 10", "")
        .replace('= ("a", "b")', "= ()")
        .replace("words: tuple[str, ...] = ()", ""),
    )
    host.start(strict=False)
    done = invoke(host.app, "set", "hello", "limit=5")
    assert done.exit_code == 0
    assert "hello is failed" in done.stderr
    assert "setting token: found nothing" in done.stderr
