"""A type checker refuses a function that a decorator of `Plugin` can't use, and no other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[1]
COMMAND = (sys.executable, "-P", "-m", "mypy")

BEGIN = """
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_type

import click
from flask import Response, request_finished
from flask.typing import ResponseReturnValue
from flask.views import MethodView
from markupsafe import Markup
from werkzeug.exceptions import HTTPException, NotFound

from flask_pluginkit import Plugin

plugin = Plugin(__name__, url_prefix="/hello", name="hello", parent=None)


class Items(MethodView):
    pass


@dataclass(frozen=True)
class Limits:
    limit: int = 3
"""

GOOD = {
    "a_view_with_its_options": """
        @plugin.route("/<name>", methods=["GET"], endpoint="greet", strict_slashes=False)
        def greet(name: str) -> str:
            return name
        """,
    "views_of_all_methods": """
        @plugin.get("/")
        @plugin.post("/")
        @plugin.put("/")
        @plugin.patch("/")
        @plugin.delete("/")
        def view() -> ResponseReturnValue:
            return {"a": 1}, 200
        """,
    "an_async_view": """
        @plugin.get("/")
        async def view() -> tuple[str, int]:
            return "text", 200
        """,
    "a_function_keeps_its_type": """
        @plugin.get("/")
        def view(name: str = "you") -> str:
            return name

        @plugin.filter("loud")
        def upper(text: str, times: int = 1) -> str:
            return text.upper() * times

        assert_type(view("me"), str)
        assert_type(upper("me", times=2), str)
        """,
    "parts_of_slots": """
        @plugin.tep("side", order=10)
        def side(user: str, *, age: int = 3) -> str:
            return user

        @plugin.tep("rich")
        def rich() -> Markup | None:
            return plugin.render("part.html", who="me")

        @plugin.tep("later")
        async def later() -> str:
            return "later"

        plugin.add_tep("nav", "nav.html", order=1)
        """,
    "hooks": """
        @plugin.before_request
        def guard() -> None: ...

        @plugin.before_request
        def answer() -> ResponseReturnValue | None:
            return "stop"

        @plugin.after_request
        def stamp(response: Response) -> Response:
            return response

        @plugin.teardown_request
        def tidy(error: BaseException | None) -> None: ...
        """,
    "async_hooks": """
        @plugin.before_request
        async def guard() -> str | None:
            return None

        @plugin.after_request
        async def stamp(response: Response) -> Response:
            return response

        @plugin.teardown_request
        async def tidy(error: BaseException | None = None) -> None: ...
        """,
    "error_handlers": """
        @plugin.errorhandler(404)
        def missing(error: HTTPException) -> tuple[str, int]:
            return "missing", 404

        @plugin.errorhandler(LookupError)
        async def lost(error: LookupError) -> str:
            return "lost"

        @plugin.errorhandler(NotFound)
        def broad(error: Exception) -> str:
            return "broad"
        """,
    "what_templates_call": """
        @plugin.filter
        def loud(text: str) -> str:
            return text

        @plugin.test(name="even")
        def is_even(number: int) -> bool:
            return True

        @plugin.global_
        def twice(number: int) -> int:
            return number

        @plugin.context
        def who() -> dict[str, str]:
            return {"who": "me"}

        plugin.add_global(answer=42)
        plugin.add_context(year=2026)
        """,
    "everything_else": """
        @plugin.dcp("counter", "left")
        def counter() -> str:
            return "1"

        @plugin.cli.command("greet", help="Say hello.")
        @click.argument("name")
        def greet(name: str) -> None: ...

        @plugin.cli.command
        def wave() -> None: ...

        assert_type(wave, click.Command)

        @plugin.connect(request_finished)
        def finished(sender: object, **values: Any) -> None: ...

        @plugin.preprocess("other", "tep")
        def louder(teps: dict[str, Any]) -> dict[str, Any]:
            return teps

        plugin.add_view(Items, "/items", endpoint="items")
        register = plugin.register
        """,
    "settings_are_their_dataclass": """
        settings = plugin.settings(Limits)
        assert_type(settings.limit, int)
        """,
}

BAD = {
    "a_filter_of_nothing": """
        @plugin.filter
        def shout() -> str:
            return "!"
        """,
    "a_test_of_nothing": """
        @plugin.test
        def odd() -> bool:
            return True
        """,
    "a_position_that_there_isnt": """
        @plugin.dcp("counter", "middle")
        def count() -> str:
            return "1"
        """,
    "a_view_that_answers_nothing": """
        @plugin.get("/")
        def view() -> None: ...
        """,
    "a_view_that_answers_a_number": """
        @plugin.route("/")
        def view() -> int:
            return 3
        """,
    "a_decorator_without_its_rule": """
        @plugin.route
        def view() -> str:
            return "text"
        """,
    "a_rule_that_is_no_text": "plugin.get(3)",
    "a_hook_before_requests_with_a_parameter": """
        @plugin.before_request
        def guard(request: object) -> None: ...
        """,
    "a_hook_before_requests_that_answers_a_bool": """
        @plugin.before_request
        def guard() -> bool:
            return True
        """,
    "an_async_hook_before_requests_with_a_parameter": """
        @plugin.before_request
        async def guard(request: object) -> None: ...
        """,
    "a_hook_after_requests_that_returns_nothing": """
        @plugin.after_request
        def stamp(response: Response) -> None: ...
        """,
    "a_hook_after_requests_without_parameter": """
        @plugin.after_request
        def stamp() -> Response:
            return Response()
        """,
    "an_async_hook_after_requests_that_returns_nothing": """
        @plugin.after_request
        async def stamp(response: Response) -> None: ...
        """,
    "a_hook_at_the_end_of_requests_without_parameter": """
        @plugin.teardown_request
        def tidy() -> None: ...
        """,
    "a_hook_at_the_end_of_requests_that_wants_an_exception": """
        @plugin.teardown_request
        def tidy(error: BaseException) -> None: ...
        """,
    "a_part_of_a_slot_that_is_a_number": """
        @plugin.tep("side")
        def side() -> int:
            return 3
        """,
    "a_decorator_without_its_slot": """
        @plugin.tep
        def side() -> str:
            return "side"
        """,
    "an_order_that_is_a_text": 'plugin.add_tep("nav", "nav.html", order="10")',
    "a_handler_of_another_error": """
        @plugin.errorhandler(LookupError)
        def lost(error: OSError) -> str:
            return "lost"
        """,
    "a_handler_without_parameter": """
        @plugin.errorhandler(404)
        def missing() -> str:
            return "missing"
        """,
    "a_handler_that_answers_nothing": """
        @plugin.errorhandler(404)
        def missing(error: HTTPException) -> None: ...
        """,
    "a_handler_of_what_is_no_exception": """
        @plugin.errorhandler(int)
        def missing(error: int) -> str:
            return "missing"
        """,
    "a_test_that_gives_a_text": """
        @plugin.test
        def is_even(number: int) -> str:
            return "yes"
        """,
    "a_context_function_with_a_parameter": """
        @plugin.context
        def who(request: object) -> dict[str, str]:
            return {}
        """,
    "a_context_function_that_gives_a_list": """
        @plugin.context
        def who() -> list[str]:
            return []
        """,
    "a_connection_that_gives_an_object": """
        @plugin.dcp("counter")
        def counter() -> object:
            return 3
        """,
    "a_signal_that_is_a_name": 'plugin.connect("request_finished")',
    "a_preprocessor_with_two_parameters": """
        @plugin.preprocess("other", "tep")
        def louder(teps: dict[str, Any], more: object) -> dict[str, Any]:
            return teps
        """,
    "a_misspelt_option_of_the_plugin": 'Plugin(__name__, prefix="/hello")',
    "a_misspelt_decorator": "plugin.before_requests",
    "a_misspelt_setting": "plugin.settings(Limits).limmit",
    "a_text_from_a_setting_that_is_a_number": "text: str = plugin.settings(Limits).limit",
}


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What mypy says of each snippet; one run for all, as it takes its time to begin."""
    folder = tmp_path_factory.mktemp("snippets")
    files = {f"good_{name}": text for name, text in GOOD.items()}
    files |= {f"bad_{name}": text for name, text in BAD.items()}
    for name, text in files.items():
        (folder / f"{name}.py").write_text(BEGIN + dedent(text), encoding="utf-8")
    options = [
        "--strict",
        "--cache-dir",
        str(ROOT / ".mypy_cache"),
        "--no-error-summary",
        "--no-pretty",
    ]
    found: dict[str, list[str]] = {name: [] for name in files}
    # in a process of its own: mypy raises the limit of recursion for all that comes after it
    done = subprocess.run(
        [*COMMAND, *options, "--config-file", str(ROOT / "pyproject.toml"), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    for line in done.stdout.splitlines():
        if match := re.search(r"(\w+)\.py:\d+: error: (.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


@pytest.mark.parametrize("name", GOOD)
def test_what_is_right_passes(complaints: dict[str, list[str]], name: str) -> None:
    """Without a word."""
    assert complaints[f"good_{name}"] == []


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_refused(complaints: dict[str, list[str]], name: str) -> None:
    """And nothing beside it."""
    found = complaints[f"bad_{name}"]
    assert found
    assert not any("Cannot find implementation" in line for line in found)


def test_the_snippets_see_the_types_of_the_package(complaints: dict[str, list[str]]) -> None:
    """What is refused is the author's mistake, and not that types are unknown."""
    assert "has no attribute" in complaints["bad_a_misspelt_decorator"][0]
    assert "Value of type variable" in complaints["bad_a_view_that_answers_nothing"][0]
