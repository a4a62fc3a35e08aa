"""Who provides what: `owner_of` for names and routes, `owners_of` for what several share."""

from __future__ import annotations

import pytest
from hosts import Host, clean_imports, host

from flask_pluginkit.exceptions import PluginError

__all__ = ["clean_imports", "host"]


def owning(value: str) -> str:
    """A plugin that returns this."""
    return f"""
NAME = __plugin_name__

def view(**values):
    return NAME

def function(value=None):
    return NAME

def register():
    return {value}
"""


def test_the_owner_of_a_route_is_found_by_rule_and_by_address(host: Host) -> None:
    """For every method, with and without variables."""
    host.plugin(
        "a",
        owning(
            "{'vep': [{'rule': '/shop/<int:item>', 'view_func': view},"
            " {'rule': '/form', 'view_func': view, 'endpoint': 'f', 'methods': ['POST']}]}"
        ),
    )
    host.app.add_url_rule("/host", "host_view", lambda: "host")
    host.start()
    owner_of = host.pm.owner_of
    assert owner_of("route", "/shop/<int:item>") == "a"
    assert owner_of("route", "/shop/7") == "a"
    assert owner_of("route", "/form") == "a"
    assert owner_of("route", "/shop/seven") is None
    assert owner_of("route", "/host") is None
    assert owner_of("route", "/missing") is None


def test_the_owner_of_a_template_is_found_by_full_and_bare_name(host: Host) -> None:
    """The host's, and names that several offer, have none."""
    for name in "ab":
        host.plugin(
            name, owning("{}"), files={"templates/both.html": "", f"templates/{name}.html": ""}
        )
    host.template("host.html", "")
    host.start()
    owner_of = host.pm.owner_of
    assert (owner_of("template", "a:a.html"), owner_of("template", "a.html")) == ("a", "a")
    assert owner_of("template", "host.html") is None
    assert owner_of("template", "a:missing.html") is None
    assert owner_of("template", "missing.html") is None


@pytest.mark.parametrize(
    ("kind", "name"),
    [("endpoint", "x"), ("filter", "x"), ("blueprint", "x"), ("command", "x"), ("context", "x")],
)
def test_what_nobody_has_belongs_to_nobody(host: Host, kind: str, name: str) -> None:
    """None, and not an error."""
    host.start()
    assert host.pm.owner_of(kind, name) is None


def test_an_unknown_kind_is_an_error_that_lists_the_kinds(host: Host) -> None:
    """For both questions."""
    host.start()
    with pytest.raises(PluginError, match="expected one of route, template, endpoint"):
        host.pm.owner_of("nonsense", "x")
    with pytest.raises(PluginError, match="expected tep, hep, errhandler or dcp"):
        host.pm.owners_of("nonsense", "x")


def test_the_owners_of_what_several_share_are_in_order(host: Host) -> None:
    """Slots, hooks, error handlers and events."""
    value = (
        "{'tep': {'nav': '1@x' if NAME == 'b' else '2@x'},"
        " 'hep': {'before_request': lambda: None},"
        " 'errhandler': [{'error': 404, 'handler': function},"
        "                {'error': KeyError, 'handler': function}],"
        " 'dcp': {'event': 'e', 'callback': function, 'position': 'left'}}"
    )
    for name in "ab":
        host.plugin(name, owning(value))
    host.start(stpl=True)
    owners_of = host.pm.owners_of
    assert owners_of("tep", "nav") == ("b", "a")
    assert owners_of("hep", "before_request") == ("a", "b")
    assert owners_of("hep", "after_request") == ()
    assert owners_of("errhandler", 404) == owners_of("errhandler", KeyError) == ("a", "b")
    assert owners_of("dcp", "e") == ("b", "a")
    assert owners_of("tep", "nothing") == owners_of("dcp", "nothing") == ()
