"""A plugin that is switched off and on again, at every extension point at once."""

from __future__ import annotations

from typing import Any

from hosts import Host, clean_imports, host

__all__ = ["clean_imports", "host"]

EVERYTHING = """
from flask import Blueprint, request_finished

seen = []
blueprint = Blueprint("shop", __name__, cli_group="stock")
blueprint.add_url_rule("/shop", "index", lambda: "shop")
blueprint.cli.command("count")(lambda: None)

def on_app_ready(app):
    app.url_defaults(lambda endpoint, values: values.setdefault("by", "plugin"))

def register():
    return {
        "tep": {"nav": "nav"},
        "hep": {"before_request": lambda: seen.append("before")},
        "bep": {"blueprint": blueprint, "prefix": None},
        "vep": {"rule": "/x", "view_func": lambda: "x", "endpoint": "x"},
        "filter": {"loud": lambda value: f"{value}!"},
        "test": {"odd_one": lambda value: True},
        "global": {"answer": 42},
        "tcp": {"year": 2000},
        "errhandler": {404: lambda error: ("gone", 404)},
        "dcp": {"visits": lambda: "visits"},
        "signal": {request_finished: lambda sender, **values: seen.append("finished")},
    }
"""


def test_a_plugin_that_goes_leaves_no_trace_and_comes_back_whole(host: Host) -> None:
    """At every extension point, without anything being rebuilt."""
    host.plugin("a", EVERYTHING)
    host.app.add_url_rule("/<path:rest>", "rest", lambda rest: f"host {rest}")
    host.start()

    def look() -> list[Any]:
        app, seen = host.app, host.module("a").seen
        seen.clear()
        answers = [host.get(path) for path in ("/x", "/shop")]
        with app.test_request_context():
            url = app.url_for("rest", rest="r")
        return [
            answers,
            host.open("/", "GET").status_code,
            host.get("/"),
            list(seen),
            url,
            host.render("{{ emit_tep('nav') }}{{ emit_dcp('visits') }}{{ answer }}"),
            sorted({"loud", "odd_one"} & {*app.jinja_env.filters, *app.jinja_env.tests}),
            "shop" in app.blueprints,
            "stock" in app.cli.commands,
            {rule.endpoint for rule in app.url_map.iter_rules()} - {"rest", "static", "assets"},
        ]

    with_it = look()
    host.pm.disable_plugin("a")
    without = look()
    host.pm.enable_plugin("a")
    again = look()
    assert with_it == again
    assert with_it == [
        ["x", "shop"],
        404,
        "gone",
        ["before", "finished"] * 4,
        "/r?by=plugin",
        "navvisits42",
        ["loud", "odd_one"],
        True,
        True,
        {"x", "shop.index"},
    ]
    assert without[:2] == [["host x", "host shop"], 404]
    assert "gone" not in without[2]
    assert without[3:] == [[], "/r", "", [], False, False, set()]
