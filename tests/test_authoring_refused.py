"""What an author says wrongly is told at once, with the line where it stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from flask import request_finished
from test_authoring_forms import (
    Limits,
    change,
    guard,
    is_even,
    missing,
    receive,
    stamp,
    text,
    upper,
)
from trees import clean_imports, write_plugin

from flask_pluginkit import Plugin
from flask_pluginkit.exceptions import MissingExtraError, MissingTemplateError, RegistrationError

__all__ = ["clean_imports"]

Wrong = Callable[[Any], object]


def plugin(**options: Any) -> Any:
    """A plugin; Any, as these tests do what a type checker refuses."""
    return Plugin(__name__, name="hello", **options)


def twice(say: Wrong) -> Wrong:
    """Say it twice."""

    def both(plugin: Any) -> None:
        say(plugin)
        say(plugin)

    return both


def add_commands(plugin: Any) -> None:
    """Say two commands of one name."""
    plugin.cli.command("count")(lambda: None)
    plugin.cli.add_command(click.Command("count"))


async def coroutine() -> str:
    """A part of a slot that needs an extra."""
    return "text"


WRONG: list[tuple[Wrong, str, str, str]] = [
    # what is said, and of the problem: what it is about, what was found, what was expected
    (lambda p: p.route("hello")(text), "vep['rule']", "'hello'", "a URL rule"),
    (lambda p: p.route("")(text), "vep['rule']", "''", "a URL rule"),
    (lambda p: p.route(text), "vep['rule']", "type function", "a URL rule"),
    (lambda p: p.get("/")(3), "vep['view_func']", "3", "a function"),
    (lambda p: p.add_url_rule("/"), "vep['view_func']", "None", "a function"),
    (lambda p: p.get("/", endpoint="a.b")(text), "endpoint", "'a.b'", "a name without dots"),
    (lambda p: p.get("/", methods=["POST"]), "get('/', methods=...)", "methods", "GET it is"),
    (
        lambda p: (p.get("/", endpoint="x")(text), p.get("/y", endpoint="x")(upper)),
        "endpoint",
        "which another view has",
        "a name of its own",
    ),
    (lambda p: p.add_view(text, "/"), "add_view", "type function", "a flask.views.View"),
    (lambda p: p.add_view(int, "/"), "cvep[0]['view_class']", "type type", "a flask.views.View"),
    (lambda p: p.tep(text), "tep: key", "type function", "a name"),
    (lambda p: p.tep("")(text), "tep: key", "''", "a name"),
    (lambda p: p.tep("nav")(3), "tep('nav')", "3", "names of variables"),
    (lambda p: p.tep("nav")(lambda *a: ""), "tep('nav')", "the parameter *a", "variables"),
    (lambda p: p.tep("nav")(lambda **a: ""), "tep('nav')", "the parameter **a", "variables"),
    (lambda p: p.tep("nav")(lambda true: ""), "tep('nav')", "the parameter true", "variables"),
    (lambda p: p.tep("nav")(dict), "tep('nav')", "doesn't tell its parameters", "variables"),
    (lambda p: p.tep("nav", order="10")(text), "tep('nav'): order", "'10'", "a whole number"),
    (lambda p: p.tep("nav", order=-1)(text), "tep('nav'): order", "-1", "a whole number"),
    (lambda p: p.tep("nav", order=True)(text), "tep('nav'): order", "True", "a whole number"),
    (lambda p: p.tep("nav", order=10**9)(text), "order", "1000000000", "from 0 to 999999999"),
    (twice(lambda p: p.tep("nav")(text)), "tep['nav']", "a second one", "the first is at"),
    (twice(lambda p: p.add_tep("nav", "b")), "tep['nav']", "a second one", "one only"),
    (lambda p: p.add_tep("nav", "1@b", order=2), "order", "another one in '1@b'", "or 1@"),
    (lambda p: p.add_tep("nav", 3), "tep['nav']", "3", "the name of a template file, or code"),
    (lambda p: p.add_tep("nav", "no.html"), "tep['nav']", "no template file 'no.html'", "a file"),
    (lambda p: p.before_request(3), "hep['before_request']", "3", "a function"),
    (lambda p: p.before_request(upper), "before_request", "upper()", "with no argument"),
    (lambda p: p.after_request(guard), "after_request", "guard()", "with one argument"),
    (lambda p: p.teardown_request(guard), "teardown_request", "guard()", "with one argument"),
    (twice(lambda p: p.before_request(guard)), "before_request", "the second time", "once"),
    (lambda p: p.errorhandler(999), "errhandler[0]", "999", "an HTTP error code"),
    (lambda p: p.errorhandler(missing), "errhandler[0]", "type function", "an HTTP error code"),
    (lambda p: p.errorhandler(404)(guard), "errorhandler", "guard()", "with one argument"),
    (lambda p: p.errorhandler(404)(3), "errhandler[0]['handler']", "3", "a function"),
    (twice(lambda p: p.errorhandler(404)(missing)), "errhandler[404]", "a second one", "one only"),
    (lambda p: p.filter(3), "filter", "3", "a function: @plugin.filter"),
    (lambda p: p.filter("")(upper), "filter: key", "''", "a name"),
    (lambda p: p.filter(guard), "filter", "guard()", "with one argument"),
    (twice(lambda p: p.filter(upper)), "filter['upper']", "a second one", "one only"),
    (twice(lambda p: p.test(is_even)), "test['is_even']", "a second one", "one only"),
    (lambda p: p.global_(3), "global", "3", "a function: @plugin.global_"),
    (twice(lambda p: p.add_global(a=1)), "global['a']", "a second one", "one only"),
    (twice(lambda p: p.add_context(a=1)), "tcp['a']", "a second one", "one only"),
    (lambda p: p.context(upper), "context", "upper()", "with no argument"),
    (lambda p: p.dcp(text), "dcp['event']", "type function", "a name"),
    (lambda p: p.dcp("counter", "middle"), "dcp['position']", "'middle'", "one of left"),
    (lambda p: p.dcp("counter")(3), "dcp['callback']", "3", "a function"),
    (twice(lambda p: p.dcp("counter")(text)), "dcp['counter']", "a second one", "one only"),
    (lambda p: p.connect("ready"), "signal[0]", "'ready'", "a blinker signal"),
    (lambda p: p.connect(request_finished)(3), "signal[0]", "3", "a function"),
    (twice(lambda p: p.connect(request_finished)(receive)), "signal", "a second one", "one only"),
    (lambda p: p.preprocess("other", "tip"), "p3['other']['tip']", "'tip'", "one of tep"),
    (lambda p: p.preprocess("other", "tep")(guard), "preprocess('other')", "guard()", "one arg"),
    (twice(lambda p: p.preprocess("other", "tep")(change)), "p3[other][tep]", "a second", "one"),
    (lambda p: p.settings(3), "Settings()", "3", "a dataclass"),
    (twice(lambda p: p.settings(Limits)), "settings[Limits]", "a second one", "one only"),
    (add_commands, "cli", "a second command 'count'", "a name that no other one has"),
]


@pytest.mark.parametrize(("say", "what", "found", "expected"), WRONG)
def test_what_is_wrong_is_refused_with_file_and_line(
    say: Wrong, what: str, found: str, expected: str
) -> None:
    """And with what was found there and what was expected."""
    with pytest.raises(RegistrationError) as caught:
        say(plugin())
    (problem,) = caught.value.problems
    assert re.match(r"tests/test_authoring_refused\.py:\d+\b", problem.where)
    assert what in problem.what
    assert found in problem.found
    assert expected in problem.expected


def test_the_line_is_that_of_the_decorator(tmp_path: Path, clean_imports: None) -> None:
    """A plugin's file is named with its folder."""
    body = "from flask_pluginkit import Plugin\nplugin = Plugin(__name__)\n\n@plugin.after_request"
    folder = write_plugin(tmp_path, "hello", f"{body}\ndef hook():\n    pass\n")
    code = compile((folder / "__init__.py").read_text(), str(folder / "__init__.py"), "exec")
    with pytest.raises(RegistrationError) as caught:
        exec(code, {"__name__": __name__})
    assert str(caught.value).startswith("hello/__init__.py:7: after_request: found hook(), which")


def test_the_line_of_a_command_is_the_authors(tmp_path: Path) -> None:
    """And none of Click's, whose decorator adds the command."""
    commands = plugin().cli
    commands.command("count")(guard)
    with pytest.raises(RegistrationError, match=r"^tests/test_authoring_refused\.py:\d+: cli: "):
        commands.command("count")(guard)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"name": "a.b"}, "Plugin(name=...)"),
        ({"name": ""}, "Plugin(name=...)"),
        ({"name": 3}, "Plugin(name=...)"),
        ({"url_prefix": "hello"}, "bep['prefix']"),
        ({"url_prefix": "/hello/"}, "bep['prefix']"),
        ({"parent": 3}, "bep['parent']"),
    ],
)
def test_options_of_a_plugin_are_checked(options: dict[str, Any], what: str) -> None:
    """When it is made."""
    with pytest.raises(RegistrationError) as caught:
        Plugin(__name__, **{"name": "hello", **options})
    assert caught.value.problems[0].what == what


def test_a_plugin_needs_the_name_of_its_package() -> None:
    """As Flask needs that of an application."""
    wrong: Any = None
    with pytest.raises(RegistrationError, match="found None, expected the name of the plugin's"):
        Plugin(wrong)


def test_an_empty_rule_is_the_prefix_itself() -> None:
    """So it is refused only where there is no prefix."""
    made = plugin(url_prefix="/hello")
    made.get("")(text)
    assert made.register()["bep"]["prefix"] == "/hello"


def test_a_missing_template_file_is_named_as_such() -> None:
    """Who catches that error of register() catches this too."""
    with pytest.raises(MissingTemplateError):
        plugin().add_tep("nav", "no.html")


def test_an_order_is_refused_that_makes_another_file_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``10@nav.html`` is a file here, and not ``nav.html`` at 10."""
    write_plugin(tmp_path, "hello", files={"templates/nav.html": "", "templates/10@nav.html": ""})
    monkeypatch.setattr(
        "flask_pluginkit.authoring.ledger.get_root_path", lambda _: str(tmp_path / "hello")
    )
    made = plugin()
    with pytest.raises(RegistrationError, match=r"a file '10@nav\.html'.*another order"):
        made.add_tep("nav", "nav.html", order=10)


def test_a_file_with_an_order_of_its_own_takes_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of the two would be meant can't be told."""
    write_plugin(tmp_path, "hello", files={"templates/nav.html": ""})
    monkeypatch.setattr(
        "flask_pluginkit.authoring.ledger.get_root_path", lambda _: str(tmp_path / "hello")
    )
    made = plugin()
    with pytest.raises(RegistrationError, match=r"another one in '5@nav\.html'"):
        made.add_tep("nav", "5@nav.html", order=10)


LATE: list[Wrong] = [
    lambda p: p.get("/")(text),
    lambda p: p.tep("nav")(text),
    lambda p: p.add_tep("nav", ""),
    lambda p: p.before_request(guard),
    lambda p: p.after_request(stamp),
    lambda p: p.errorhandler(404)(missing),
    lambda p: p.filter(upper),
    lambda p: p.context(dict),
    lambda p: p.add_context(a=1),
    lambda p: p.dcp("counter")(text),
    lambda p: p.cli.add_command(click.Command("count")),
    lambda p: p.connect(request_finished)(receive),
    lambda p: p.preprocess("other", "tep")(change),
]


@pytest.mark.parametrize("say", LATE)
def test_what_comes_after_registering_is_refused(say: Wrong) -> None:
    """Applications have got what there was: it would never be seen."""
    made = plugin()
    made.register()
    with pytest.raises(RegistrationError, match=r"after register\(\) was called"):
        say(made)


@pytest.mark.parametrize(
    "say",
    [
        lambda p: p.tep("nav")(coroutine),
        lambda p: (p.before_request(guard), p.before_request(coroutine)),
    ],
)
def test_async_functions_need_their_extra(say: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is told when the plugin registers, and not at the first request."""
    monkeypatch.setattr("flask_pluginkit.authoring.calls.find_spec", lambda _: None)
    made = plugin()
    say(made)
    with pytest.raises(MissingExtraError, match=r"Flask-PluginKit\[async\]"):
        made.register()
