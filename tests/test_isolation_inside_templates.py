"""Templates inside: the names of the host, and nobody's but the plugin's."""

from __future__ import annotations

import pytest
from inner import LoadInner, inside, visited
from trees import clean_imports

from flask_pluginkit.isolation.messages import (
    Broken,
    Head,
)

__all__ = ["clean_imports", "inside"]

_PAGES = """
from flask import Blueprint, render_template, request
bp = Blueprint("hello", __name__, url_prefix="/hello", template_folder="pages")
@bp.get("/")
def page(): return render_template(request.args["name"])
def register(): return {"bep": {"blueprint": bp, "prefix": None}}
"""

_FILES = {
    "templates/page.html": "own",
    "templates/base.html": "<{% block b %}base{% endblock %}>",
    "templates/child.html": "{% extends 'base.html' %}{% block b %}child{% endblock %}",
    "templates/full.html": "{% include 'hello:page.html' %}",
    "templates/past.html": "{% include 'hello::page.html' %}",
    "templates/odd.txt": "{{ '<' }}",
    "pages/from_blueprint.html": "blueprint",
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("page.html", "own"),
        ("hello:page.html", "own"),
        ("hello::page.html", "own"),
        ("child.html", "<child>"),
        ("full.html", "own"),
        ("past.html", "own"),
        ("from_blueprint.html", "blueprint"),
        ("odd.txt", "<"),
    ],
)
def test_templates_have_the_names_of_the_host(inside: LoadInner, name: str, text: str) -> None:
    """Bare ones and full ones."""
    [head] = visited(inside(_PAGES, files=_FILES), "/hello/", query=f"name={name}")
    assert isinstance(head, Head), head
    assert head.body.decode() == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("page.html", "host of own"),
        ("hello:page.html", "host of own"),
        ("hello::page.html", "own"),
        ("full.html", "host of own"),
        ("past.html", "own"),
        ("only.html", "only the host"),
    ],
)
def test_the_hosts_overrides_go_first(inside: LoadInner, name: str, text: str) -> None:
    """They may include what they stand in the place of."""
    overrides = (
        ("page.html", "host of {% include 'hello:page.html' %}"),
        ("only.html", "only the host"),
    )
    [head] = visited(
        inside(_PAGES, files=_FILES, overrides=overrides), "/hello/", query=f"name={name}"
    )
    assert isinstance(head, Head), head
    assert head.body.decode() == text


@pytest.mark.parametrize("name", ["../__init__.py", "/etc/passwd", "other:page.html"])
def test_nothing_else_is_found(inside: LoadInner, name: str) -> None:
    """By no name."""
    inner = inside(_PAGES, files=_FILES)
    [found] = visited(inner, "/hello/", query=f"name={name}")
    assert isinstance(found, Broken)
    assert "TemplateNotFound" in found.failure.error


def test_templates_of_the_host_are_missed_when_the_plugin_is_loaded(inside: LoadInner) -> None:
    """Each is named with the template that uses it; names that are computed can't be checked."""
    files = {
        "templates/a.html": "{% extends 'layout.html' %}",
        "templates/b.html": "{% include ['nix.html', 'page.html'] %}{% include x %}",
        "templates/c.html": "{%- from 'page.html' import y %}",
        "templates/d.html": "{% if %}{% include 'x' %}",
        "templates/page.html": "",
    }
    found = inside(_PAGES, files=files).description.warnings
    assert [text.partition(",")[0] for text in found[:2]] == [
        "template 'hello:a.html' uses 'layout.html'",
        "template 'hello:b.html' uses 'nix.html'",
    ]
    assert found[2].startswith("template 'hello:d.html' can't be used: Expected an expression")
    assert len(found) == 3


def test_a_changed_template_is_seen_in_debug_mode(inside: LoadInner) -> None:
    """As Flask does it."""
    inner = inside(_PAGES, files=_FILES, debug=True)
    [first] = visited(inner, "/hello/", query="name=page.html")
    from pathlib import Path

    Path(inner.app.root_path, "templates", "page.html").write_text("changed")
    [second] = visited(inner, "/hello/", query="name=page.html")
    assert isinstance(first, Head)
    assert isinstance(second, Head)
    assert (first.body, second.body) == (b"own", b"changed")
