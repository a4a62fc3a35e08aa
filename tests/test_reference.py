"""The page of all extension points: each kind and each decorator is there, and works."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from flask import render_template_string
from flask.testing import FlaskClient
from hosts import Host, clean_imports, host
from inner import LoadInner, inside
from isolation_sites import Site, _impatient, sites
from markdown import Block, blocks_of, sections_of
from trees import write, write_plugin

from flask_pluginkit import Plugin
from flask_pluginkit.isolation.checking import checked
from flask_pluginkit.kinds import KINDS
from flask_pluginkit.permissions import FLAGS

__all__ = ["_impatient", "clean_imports", "host", "inside", "sites"]

PAGE = (Path(__file__).parents[1] / "docs" / "reference.md").read_text(encoding="utf-8")
SECTIONS = {
    match[1]: text for title, text in sections_of(PAGE) if (match := re.match(r"`(\w+)`: ", title))
}
ROWS = ("value", "decorator", "function", "runs", "isolated")

SHOP = """
from flask import Blueprint

def register():
    return {"bep": {"blueprint": Blueprint("shop", __name__), "prefix": "/shop"},
            "tep": {"cart": "Cart"}}
"""

FILES = {"templates/greeting.html": "<b>Hello {{ user }}</b>"}


class Example(NamedTuple):
    """One way of saying something, and what it shows."""

    kind: str
    code: str
    shows: tuple[tuple[str, str], ...]
    is_isolated: bool


def rows_of(text: str) -> dict[str, str]:
    """The rows of a section's table by their names."""
    return dict(re.findall(r"^\| (\w+) \| (.+) \|$", text, re.MULTILINE))


def permissions_of(kind: str) -> list[str]:
    """What a plugin with an example of this kind asks for, by the row about isolation."""
    words = re.findall(r"`([\w:]+)`", rows_of(SECTIONS[kind])["isolated"])
    return sorted({word for word in words if word in FLAGS and word != "html:raw"})


def examples_of(kind: str) -> list[Example]:
    """The examples of a section: several ways of saying it, then what each of them shows."""
    found: list[Example] = []
    ways: list[Block] = []
    for block in blocks_of(SECTIONS[kind]):
        if block.language == "python":
            ways.append(block)
            continue
        shows = tuple(tuple(line.split(" → ", 1)) for line in block.text.splitlines())
        is_isolated = block.flags != "trusted"
        found += [Example(kind, way.text, shows, is_isolated) for way in ways]  # type: ignore[arg-type]
        ways = []
    assert not ways, f"{kind}: an example without what it shows"
    return found


EXAMPLES = [example for kind in SECTIONS for example in examples_of(kind)]
NAMES = [f"{example.kind}-{number}" for number, example in enumerate(EXAMPLES)]


def body_of(example: Example) -> str:
    """The plugin's code below its dunders."""
    if "register" in example.code:
        return example.code
    begin = "from flask_pluginkit import Plugin\nplugin = Plugin(__name__)\n"
    return f"{begin}{example.code}\nregister = plugin.register\n"


def check(line: tuple[str, str], client: FlaskClient, render: Callable[[str], str]) -> None:
    """Compare what one line says is shown with what is shown."""
    asked, wanted = line
    if match := re.fullmatch(r"([A-Z]+) (/\S*)", asked):
        answer = client.open(match[2], method=match[1])
        status = "" if answer.status_code == 200 else str(answer.status_code)
        text = answer.text if not answer.text.startswith("<!doctype") else ""
        assert f"{status} {text}".strip() == wanted
    else:
        assert render(asked) == wanted


@pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)
def test_an_example_shows_what_it_says(host: Host, example: Example) -> None:
    """By hand and by decorators alike."""
    host.plugin("shop", SHOP)
    host.plugin("hello", body_of(example), files=FILES)
    template = ""
    host.app.add_url_rule("/page", "page", lambda: render_template_string(template))
    host.start()
    for line in example.shows:
        template = line[0]
        if line[0].startswith("flask "):
            words = shlex.split(line[0])[1:]
            assert host.app.test_cli_runner().invoke(args=words).output.strip() == line[1]
        else:
            check(line, host.app.test_client(), lambda _: host.get("/page"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    "example",
    # what is written by hand is the same thing, which other tests have looked at already
    [each for each in EXAMPLES if each.is_isolated and "def register" not in each.code],
    ids=lambda example: example.kind,
)
def test_an_example_works_in_a_process_of_its_own(
    sites: Callable[..., Site], tmp_path: Path, example: Example
) -> None:
    """With the permissions that its section names, and nothing of it is refused."""
    asked = {"permissions": permissions_of(example.kind)}
    write_plugin(tmp_path / "plugins", "hello", body_of(example), files=FILES, **asked)
    site = sites()
    assert site.row("hello").reason == ""
    assert site.row("hello").conflicts == ()
    for line in example.shows:
        check(line, site.client, site.render)


@pytest.mark.parametrize("kind", [kind for kind in SECTIONS if permissions_of(kind)])
def test_a_permission_that_is_named_is_needed(inside: LoadInner, kind: str) -> None:
    """Without those that its section names, something of the example is refused."""
    body = body_of(examples_of(kind)[-1])
    asked = permissions_of(kind)
    for given in (asked, *([name for name in asked if name != one] for one in asked)):
        inner = inside(body, *given)
        is_refused = bool(checked(inner.description, inner.app.spec).refused)
        assert is_refused == (given != asked), given
        inner.close()


@pytest.mark.parametrize(
    "example", [each for each in EXAMPLES if not each.is_isolated and each.kind != "p3"]
)
def test_what_cannot_be_isolated_is_refused_there(inside: LoadInner, example: Example) -> None:
    """As its section says."""
    assert inside(body_of(example)).description.refused


def test_every_kind_has_a_section() -> None:
    """In both directions."""
    assert set(SECTIONS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_section_is_complete(kind: str) -> None:
    """It has all rows, an example by hand and one with decorators."""
    assert tuple(rows_of(SECTIONS[kind])) == ROWS
    codes = [example.code for example in examples_of(kind)]
    assert any("def register" in code for code in codes)
    assert any("plugin." in code for code in codes)


NAMES_OF_PLUGIN = [name for name in dir(Plugin(__name__, name="x")) if not name.startswith("_")]


@pytest.mark.parametrize("name", NAMES_OF_PLUGIN)
def test_everything_of_a_plugin_is_on_the_page(name: str) -> None:
    """What an editor offers is explained."""
    assert f"`plugin.{name}" in PAGE or f"`@plugin.{name}" in PAGE or f"= plugin.{name}" in PAGE


@pytest.mark.parametrize(
    "name", [name for name in NAMES_OF_PLUGIN if name not in {"name", "import_name", "url_prefix"}]
)
def test_every_decorator_has_an_example(name: str) -> None:
    """Which is run, as all of them are."""
    assert any(f"plugin.{name}" in body_of(example) for example in EXAMPLES)


def test_the_first_example_is_a_whole_plugin(host: Host) -> None:
    """As it stands, with its dunders."""
    first, shown, *_ = blocks_of(PAGE)
    write(host.folder / "plugins" / "hello" / "__init__.py", first.text)
    host.start()
    asked, wanted = shown.text.strip().split(" → ")
    assert host.render(asked) == wanted
