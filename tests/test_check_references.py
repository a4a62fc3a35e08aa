"""References to templates, files and endpoints that may be somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_pages import told

RENDER = (
    "from flask import Blueprint, render_template\n\n\ndef f():\n    return render_template({!r})\n"
)
BLUEPRINT = "\n\nbp = Blueprint('b', __name__, template_folder={!r})\n"

FILES: dict[str, str | None] = {"hello/templates/page.html": "", "hello/templates/in/deep.html": ""}


@pytest.mark.parametrize(
    "name", ["page.html", "hello:page.html", "hello::page.html", "other:page.html", "in/deep.html"]
)
def test_templates_that_are_there_are_found(tmp_path: Path, name: str) -> None:
    """By their bare and their full name; those of other plugins aren't looked for."""
    assert told(tmp_path, RENDER.format(name), FILES) == []


@pytest.mark.parametrize("name", ["deep.html", "hello:deep.html", "pages.html", "../page.html"])
def test_templates_that_are_not_there_are_told(tmp_path: Path, name: str) -> None:
    """Names count from the folder of templates."""
    assert told(tmp_path, RENDER.format(name), FILES) == ["PK104"]


@pytest.mark.parametrize(
    ("folder", "name", "codes"),
    [
        ("templates/in", "deep.html", []),
        ("templates/in", "gone.html", ["PK104"]),
        ("pages", "deep.html", []),
    ],
)
def test_a_blueprint_may_have_a_folder_of_its_own(
    tmp_path: Path, folder: str, name: str, codes: list[str]
) -> None:
    """One that isn't below the plugin's templates may hold anything."""
    init = RENDER.format(name) + BLUEPRINT.format(folder)
    assert told(tmp_path, init, FILES) == codes


VIEWS = (
    "from flask import Blueprint, url_for\n\nbp = Blueprint('hello', __name__)\n\n\n"
    "@bp.get('/')\ndef index():\n    return url_for({!r})\n\n\n"
    "def register():\n    return {{'bep': {{'blueprint': bp, 'prefix': '/hello'}}}}\n"
)


@pytest.mark.parametrize("name", ["hello.index", ".index", "hello.static", "other.x", "x", ".x.y"])
def test_endpoints_that_may_be_there_are_left_alone(tmp_path: Path, name: str) -> None:
    """The plugin's own, and everybody else's."""
    assert told(tmp_path, VIEWS.format(name)) == []


@pytest.mark.parametrize("name", ["hello.indx", ".indx"])
def test_endpoints_that_are_not_there_are_told(tmp_path: Path, name: str) -> None:
    """By their full name, and by the one that is short for it."""
    assert told(tmp_path, VIEWS.format(name)) == ["PK106"]


@pytest.mark.parametrize(
    "more",
    [
        "\nextend(bp)\n",
        "\nbp.register_blueprint(other)\n",
        "\nbp.record(other)\n",
        "\nbp.add_url_rule('/x', made(), made)\n",
        "\nRestful(app=bp)\n",
    ],
)
def test_endpoints_of_a_blueprint_that_others_fill_are_not_judged(
    tmp_path: Path, more: str
) -> None:
    """They may be there."""
    assert told(tmp_path, VIEWS.format("hello.more") + more) == []


@pytest.mark.parametrize(
    ("call", "codes"),
    [
        ("manager.emit_assets('hello', 'a.css')", []),
        ("manager.emit_assets('hello', '/a.css?v=1')", []),
        ("manager.emit_assets('other', 'b.css')", []),
        ("manager.emit_assets('hello', name)", []),
        ("manager.emit_assets('hello', 'b.css')", ["PK105"]),
        ("manager.emit_config('SECRET_KEY')", ["PK606"]),
        ("manager.emit_config('TITLE')", []),
    ],
)
def test_calls_of_the_manager_are_looked_at(tmp_path: Path, call: str, codes: list[str]) -> None:
    """In Python as in templates."""
    files: dict[str, str | None] = {"hello/static/a.css": ""}
    assert told(tmp_path, f"def f(manager, name):\n    return {call}\n", files) == codes
