"""What the documentation says is there, and what is there is documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask
from trees import clean_imports, write

import flask_pluginkit
from flask_pluginkit import PluginManager
from flask_pluginkit.kinds import KINDS
from flask_pluginkit.manifest import KNOWN
from flask_pluginkit.options import KNOWN_OPTIONS

__all__ = ["clean_imports"]  # a fixture, imported for its effect

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize(
    "name", [name for name in flask_pluginkit.__all__ if name not in {"__author__", "__version__"}]
)
def test_every_public_name_is_in_the_guide(name: str) -> None:
    """A name that one can import is explained."""
    if name not in {"Flask", "string_types"}:  # kept for old code, and for nothing else
        assert f"`{name}" in GUIDE or f" {name}" in GUIDE


@pytest.mark.parametrize("word", [*KINDS, *KNOWN_OPTIONS])
def test_every_key_and_option_is_in_the_guide(word: str) -> None:
    """Each key of register() and each option has its row."""
    assert f"`{word}`" in GUIDE


@pytest.mark.parametrize("dunder", [name for name in KNOWN if name != "__permissions__"])
def test_every_dunder_is_in_the_guide(dunder: str) -> None:
    """Each dunder that means something has its row."""
    assert f"`{dunder}`" in GUIDE


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in dir(PluginManager)
        if not name.startswith(("_", "get_enabled_")) or name == "get_enabled_plugins"
    ],
)
def test_every_method_of_the_manager_is_in_the_guide(name: str) -> None:
    """Whatever the manager can be asked is explained."""
    assert name in GUIDE


@pytest.mark.usefixtures("clean_imports")
def test_the_hello_world_of_the_readme_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Application and plugin are run as they stand on the first page."""
    application, plugin = blocks(README)
    write(tmp_path / "hello_host.py", application)
    write(tmp_path / "plugins" / "hello" / "__init__.py", plugin)
    monkeypatch.syspath_prepend(str(tmp_path))
    app: Flask = __import__("hello_host").app
    client = app.test_client()
    assert '<a href="/hello">Say hello</a>' in client.get("/").text
    assert client.get("/hello").text == "Hello from a plugin"


@pytest.mark.usefixtures("clean_imports")
def test_the_plugin_of_the_guide_works(tmp_path: Path) -> None:
    """The example of a plugin is a plugin."""
    write(tmp_path / "plugins" / "hello" / "__init__.py", blocks(GUIDE)[1])
    app = Flask("guide", root_path=str(tmp_path))
    manager = PluginManager(app, strict=True)
    with app.app_context():
        assert manager.emit_tep("nav") == "<a href='/'>Hello</a>"


def test_links_between_pages_lead_somewhere() -> None:
    """Relative links of all pages name files that are there."""
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
    missing = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert missing == []
