"""What no shared cache may keep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Response
from isolation_sites import Site, guest, sites
from trees import clean_imports

from flask_pluginkit.live.privacy import personal

__all__ = ["clean_imports", "sites"]

BODY = """
from flask import g
def register():
    return {"tep": {"nav": "<b>{{ 1 }}</b>"}, "filter": {"shout": str.upper}}
"""


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, "private"),
        ("", "private"),
        ("public, max-age=60", "private, max-age=60"),
        ("Public, S-MaxAge=60, immutable", "private, immutable"),
        ("no-store", "no-store"),
        ("max-age=5, Private", "max-age=5, Private"),
        ('private="Set-Cookie", max-age=5', "private, max-age=5"),
        ("no-cache", "private, no-cache"),
    ],
)
def test_a_page_for_one_user_is_kept_by_no_shared_cache(given: str | None, sent: str) -> None:
    """And what the application said stays as far as it is as strict."""
    headers = [("Content-Type", "text/html")]
    headers += [] if given is None else [("cache-control", given)]
    assert personal(headers) == [("Content-Type", "text/html"), ("Cache-Control", sent)]


@pytest.mark.parametrize(
    "name",
    [
        "Surrogate-Control",
        "CDN-Cache-Control",
        "Some-CDN-Cache-Control",
        "X-Accel-Expires",
        "Edge-Control",
    ],
)
def test_what_single_caches_are_told_goes(name: str) -> None:
    """It would go before all the rest."""
    assert personal([(name, "max-age=60")]) == [("Cache-Control", "private")]


def test_several_lines_are_one() -> None:
    """As whoever reads them takes them."""
    name = "Cache-Control"
    given = [(name, "public"), (name, "max-age=1")]
    assert personal(given) == [(name, "private, max-age=1")]


@pytest.fixture
def site(sites: Callable[..., Site], tmp_path: Path, clean_imports: None) -> Site:
    """A site whose plugin is told who reads."""
    guest(tmp_path, BODY, permissions=["user:name"])
    made = sites(config={"PLUGINKIT_USER": lambda plugin, names: {"name": "Ada"}})
    made.manager.approve_plugin("guest")
    assert made.row().status == "active", made.row().reason

    @made.app.after_request
    def cached(response: Response) -> Response:
        response.headers["Cache-Control"] = "public, max-age=60"
        return response

    return made


def test_a_page_with_a_part_that_knows_the_user_is_private(site: Site) -> None:
    """Whatever hooks of the application say last."""
    site.template = "{{ emit_tep('nav') }}"
    answer = site.client.get("/page")
    assert answer.text == "<b>1</b>"
    assert answer.headers["Cache-Control"] == "private, max-age=60"


def test_a_page_with_its_filter_is_private(site: Site) -> None:
    """It is told as much."""
    site.template = "{{ 'a'|shout }}"
    answer = site.client.get("/page")
    assert answer.text == "A"
    assert answer.headers["Cache-Control"] == "private, max-age=60"


def test_a_page_without_anything_of_it_stays_everybodys(site: Site) -> None:
    """Nobody was told anything."""
    site.template = "page"
    assert site.client.get("/page").headers["Cache-Control"] == "public, max-age=60"


def test_a_plugin_that_asks_for_no_user_makes_nothing_private(
    sites: Callable[..., Site], tmp_path: Path, clean_imports: None
) -> None:
    """Most don't."""
    guest(tmp_path, BODY)
    site = sites(config={"PLUGINKIT_USER": lambda plugin, names: {"name": "Ada"}})
    site.template = "{{ emit_tep('nav') }}"
    answer = site.client.get("/page")
    assert answer.text == "<b>1</b>"
    assert "Cache-Control" not in answer.headers
