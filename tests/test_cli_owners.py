"""``flask plugins owners``: who provides what."""

from __future__ import annotations

import json

import pytest
from commands import invoke
from hosts import Host, clean_imports, host, views

__all__ = ["clean_imports", "host"]

PLUGIN = """
from flask import Blueprint
import click

class Sold(Exception):
    pass

blueprint = Blueprint("shop", __name__, url_prefix="/shop", template_folder="templates")

@blueprint.get("/")
def index():
    return "shop"

@blueprint.get("/<int:item>")
def item(item):
    return str(item)

@click.command("count")
def count():
    pass

def register():
    return {
        "bep": {"blueprint": blueprint, "prefix": "/shop"},
        "tep": {"nav": "<b>nav</b>"},
        "hep": {"after_request": lambda response: response},
        "filter": {"money": str},
        "errhandler": [
            {"error": Sold, "handler": lambda error: "sold"},
            {"error": 410, "handler": lambda error: "gone"},
        ],
        "tcp": {"shop_name": "corner"},
        "dcp": {"counter": lambda: "1"},
        "cli": count,
    }
"""


@pytest.fixture
def shop(host: Host) -> Host:
    """A host with a page, and a plugin of many parts."""
    host.plugin("shop", PLUGIN, files={"templates/shop.html": "shop", "templates/page.html": "x"})
    host.app.add_url_rule("/host/<name>", "page", lambda name: name)
    host.app.add_url_rule("/posted", "posted", lambda: "", methods=["POST"])
    host.template("page.html", "host")
    host.start(strict=False, live=False)
    return host


@pytest.mark.parametrize(
    ("kind", "name", "owner"),
    [
        ("route", "/shop/<int:item>", "shop"),
        ("route", "/shop/7", "shop"),
        ("route", "/shop", "shop"),
        ("route", "/host/x", "the application"),
        ("route", "/posted", "the application"),
        ("route", "/host/<name>", "the application"),
        ("endpoint", "shop.item", "shop"),
        ("endpoint", "page", "the application"),
        ("blueprint", "shop", "shop"),
        ("filter", "money", "shop"),
        ("filter", "upper", "the application"),
        ("test", "defined", "the application"),
        ("global", "url_for", "the application"),
        ("context", "shop_name", "shop"),
        ("command", "shop", "shop"),
        ("template", "shop.html", "shop"),
        ("template", "shop:page.html", "shop"),
        ("template", "page.html", "the application"),
        ("slot", "nav", "shop"),
        ("tep", "nav", "shop"),
        ("event", "counter", "shop"),
        ("hook", "after_request", "shop"),
        ("error", "410", "shop"),
        ("errhandler", "Sold", "shop"),
    ],
)
def test_the_owner_is_told(shop: Host, kind: str, name: str, owner: str) -> None:
    """On a line of its own, for programs and people."""
    result = invoke(shop.app, "owners", kind, name)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{owner}\n", "")


@pytest.mark.parametrize(
    ("kind", "name", "guess"),
    [("filter", "mony", "money"), ("route", "/shopp/", "/shop/"), ("tep", "nab", "nav"),
     ("dcp", "countr", "counter"), ("hep", "after_requests", "after_request"),
     ("error", "409", None), ("context", "shopname", "shop_name")],
)  # fmt: skip
def test_what_nobody_provides_is_refused(
    shop: Host, kind: str, name: str, guess: str | None
) -> None:
    """With exit code 1, and what was probably meant."""
    result = invoke(shop.app, "owners", kind, name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nobody provides" in result.stderr
    assert ("did you mean" in result.stderr) is (guess is not None)
    assert guess is None or repr(guess) in result.stderr


def test_as_json_there_is_always_an_answer(shop: Host) -> None:
    """Empty if nobody does."""
    result = invoke(shop.app, "owners", "slot", "nav", "--json")
    assert json.loads(result.stdout) == {
        "kind": "tep", "name": "nav", "owners": ["shop"], "refused": []
    }  # fmt: skip
    result = invoke(shop.app, "owners", "slot", "none", "--json")
    assert (result.exit_code, json.loads(result.stdout)["owners"]) == (1, [])


def test_who_wanted_it_too_is_told_on_stderr(shop: Host) -> None:
    """With the reason of the refusal."""
    shop.plugin("zoo", views("[]", filter="{'money': str}"))
    again = shop.twin()
    again.start(strict=False, live=False)
    result = invoke(again.app, "owners", "filter", "money")
    assert result.stdout == "shop\n"
    assert result.stderr.startswith("zoo wants it, too: it belongs to ")


def test_an_unknown_kind_is_a_fault_of_the_call(shop: Host) -> None:
    """With the kinds that there are."""
    result = invoke(shop.app, "owners", "filtre", "x")
    assert result.exit_code == 2
    assert "filter" in result.stderr
