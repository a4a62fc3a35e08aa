"""dcp: functions that plugins and the host connect to an event, at start or at run time."""

from __future__ import annotations

import pytest
from flask import Flask
from hosts import Host, clean_imports, host
from markupsafe import Markup

from flask_pluginkit import push_dcp
from flask_pluginkit.exceptions import NotCallableError, PluginError
from flask_pluginkit.live.dcp import DcpManager

__all__ = ["clean_imports", "host"]

PUSHING = """
from flask_pluginkit import push_dcp

def push():
    push_dcp("visits", lambda: "pushed ")
    return "done"

def register():
    return {"vep": {"rule": "/push", "view_func": push}}
"""


def connecting(value: str) -> str:
    """A plugin with these dcps, whose functions say its name."""
    return f"""
from flask import render_template, request

def visits(*args, **kwargs):
    return f"{{__plugin_name__}}{{args or ''}}{{kwargs or ''}} "

def register():
    return {{"dcp": {value}}}
"""


def emitted(host: Host, call: str = "emit_dcp('visits')") -> str:
    """What a page of the host shows."""
    return host.render(f"{{{{ {call} }}}}")


# ---- what a plugin registers -----------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "{'visits': visits}",
        "{'event': 'visits', 'callback': visits}",
        "[{'event': 'visits', 'callback': visits, 'position': 'after'}]",
    ],
)
def test_a_connection_works_in_every_form(host: Host, form: str) -> None:
    """The template's arguments go to the function."""
    host.plugin("a", connecting(form))
    host.start()
    assert emitted(host) == "a "
    assert emitted(host, "emit_dcp('visits', 1, by=2)") == "a(1,){'by': 2} "
    assert host.pm.owners_of("dcp", "visits") == ("a",)


def test_connections_are_called_in_plugin_order(host: Host) -> None:
    """Each is put at the end, unless it asks for the beginning."""
    for name, position in {"a": "right", "b": "left", "c": "after", "d": "before"}.items():
        value = f"{{'event': 'visits', 'callback': visits, 'position': {position!r}}}"
        host.plugin(name, connecting(value))
    host.start()
    assert emitted(host) == "d b a c "
    assert host.pm.owners_of("dcp", "visits") == ("d", "b", "a", "c")


def test_a_function_renders_the_templates_of_its_plugin(host: Host) -> None:
    """It runs as that plugin, inside a page of the host."""
    value = "{'visits': lambda: render_template('part.html')}"
    host.plugin("a", connecting(value), files={"templates/part.html": "plugin's part"})
    host.template("part.html", "host's part")
    host.start()
    assert emitted(host) == "plugin's part"


def test_a_disabled_plugin_has_no_connections(host: Host) -> None:
    """As if it had never been."""
    host.plugin("a", connecting("{'visits': visits}"), state="disabled")
    host.start()
    assert emitted(host) == ""
    assert host.pm.owners_of("dcp", "visits") == ()


def test_a_failing_plugin_leaves_no_connections(host: Host) -> None:
    """Not even those that it pushed before it failed."""
    host.plugin(
        "a",
        """
        from flask_pluginkit import push_dcp

        def on_app_ready(app):
            push_dcp("visits", lambda: "pushed")
            raise RuntimeError("no")

        def register():
            return {"dcp": {"visits": lambda: "registered"}}
        """,
    )
    host.start(strict=False)
    assert emitted(host) == ""
    assert [len(found) for found in host.pm._dcp_manager.list.values()] == [0]


def test_a_failing_function_is_left_out(host: Host) -> None:
    """The others of its event are shown."""
    host.plugin("a", connecting("{'visits': lambda: 1 / 0}"))
    host.plugin("b", connecting("{'visits': visits}"))
    host.start(strict=False)
    assert emitted(host) == "b "
    assert host.row("a").counts["dcp visits"] == (1, 1)


# ---- what is pushed at run time --------------------------------------------------------------


def test_what_a_plugin_pushes_belongs_to_it(host: Host) -> None:
    """Whoever's code runs when it is pushed is its owner."""
    host.plugin("a", PUSHING)
    host.start()
    assert emitted(host) == ""
    host.get("/push")
    assert emitted(host) == "pushed "
    assert host.pm.owners_of("dcp", "visits") == ("a",)


def test_what_the_host_pushes_belongs_to_nobody(host: Host) -> None:
    """It is always emitted."""
    host.plugin("a", connecting("{'visits': visits}"))
    host.start()
    with host.app.app_context():
        push_dcp("visits", lambda: "host ", position="left")
    assert emitted(host) == "host a "
    assert host.pm.owners_of("dcp", "visits") == ("a",)


def test_what_is_pushed_in_on_app_ready_belongs_to_the_plugin(host: Host) -> None:
    """That is where plugins of 3.x did it."""
    host.plugin(
        "a",
        """
        from flask_pluginkit import push_dcp
        def on_app_ready():
            push_dcp("visits", lambda: "ready")
        def register():
            return {}
        """,
    )
    host.start()
    assert emitted(host) == "ready"
    assert host.pm.owners_of("dcp", "visits") == ("a",)


def test_each_application_has_its_own_connections(host: Host) -> None:
    """A push goes to the current application."""
    host.start()
    twin = host.twin()
    twin.start()
    with twin.app.app_context():
        push_dcp("visits", lambda: "twin's")
    assert (emitted(host), emitted(twin)) == ("", "twin's")


def test_pushing_needs_an_application_context() -> None:
    """Flask says so."""
    with pytest.raises(RuntimeError, match="outside of application context"):
        push_dcp("visits", lambda: "")


def test_pushing_without_a_manager_does_nothing() -> None:
    """As in 3.x: a plugin may be used without one in its own tests."""
    with Flask("bare").app_context():
        push_dcp("visits", lambda: "")


# ---- the manager of connections --------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("text", "text"),
        ("<b>", "<b>"),
        (Markup("<b>"), "<b>"),
        ("grün".encode(), "grün"),
        (7, "7"),
        (0, "0"),
        (1.5, "1.5"),
        (None, ""),
        (False, ""),
        ("", ""),
        ([], ""),
        (["a", 1, None, ("b", ["c"])], "a1bc"),
    ],
)
def test_whatever_a_function_returns_becomes_text(value: object, shown: str) -> None:
    """In 3.x a number was a fault. What it returns is HTML."""
    manager = DcpManager()
    manager.push("visits", lambda: value)
    assert manager.emit("visits") == Markup(shown)
    assert isinstance(manager.emit("visits"), Markup)


def test_an_event_without_functions_is_empty() -> None:
    """A template may offer one that nobody uses."""
    assert DcpManager().emit("nothing", 1, by=2) == ""


@pytest.mark.parametrize("event", ["", None, 1, b"visits", ["visits"]])
def test_an_event_has_a_name(event: object) -> None:
    """A PluginError, as in 3.x."""
    with pytest.raises(PluginError, match="Invalid event"):
        DcpManager().push(event, lambda: "")  # type: ignore[arg-type]


@pytest.mark.parametrize("callback", [None, "visits", 1])
def test_a_connection_can_be_called(callback: object) -> None:
    """A NotCallableError, as in 3.x."""
    with pytest.raises(NotCallableError, match="visits cannot be called"):
        DcpManager().push("visits", callback)  # type: ignore[arg-type]


@pytest.mark.parametrize("position", ["", "first", None, 0])
def test_a_position_is_one_of_four(position: object) -> None:
    """A PluginError, as in 3.x."""
    with pytest.raises(PluginError, match="Invalid position"):
        DcpManager().push("visits", print, position)  # type: ignore[arg-type]


def test_a_connection_can_be_removed() -> None:
    """The first one of that function; False if there is none."""
    manager = DcpManager()
    manager.push("visits", str)
    manager.push("visits", str)
    assert manager.remove("visits", str) is True
    assert [len(found) for found in manager.list.values()] == [1]
    assert manager.remove("visits", str) is True
    assert manager.remove("visits", str) is False
    assert manager.remove("nothing", str) is False


def test_the_list_shows_the_functions_in_their_order() -> None:
    """As in 3.x; editing it changes nothing."""
    manager = DcpManager()
    manager.push("visits", str)
    manager.push("visits", repr, "left")
    assert [*manager.list["visits"]] == [repr, str]
    manager.list["visits"].clear()
    assert [*manager.list["visits"]] == [repr, str]


def test_a_function_may_push_another_one_while_it_is_emitted() -> None:
    """It is called from the next time on."""
    manager = DcpManager()

    def first() -> str:
        manager.push("visits", lambda: "second")
        return "first"

    manager.push("visits", first)
    assert manager.emit("visits") == "first"
    assert manager.emit("visits") == "firstsecond"


def test_who_comes_live_has_its_place_in_plugin_order(host: Host) -> None:
    """At both ends, for what plugins register and what they push when all is ready."""
    for name in "abc":
        body = f"""
from flask_pluginkit import push_dcp

def on_app_ready(app):
    push_dcp("end", lambda: "{name} ready ")
    push_dcp("start", lambda: "{name} ready ", "left")

def register():
    return {{"dcp": [
        {{"event": "end", "callback": lambda: "{name} "}},
        {{"event": "start", "callback": lambda: "{name} ", "position": "before"}},
    ]}}
"""
        host.plugin(name, body, state="disabled")
    host.start(live=False)
    host.pm._dcp_manager.push("end", lambda: "host")
    for name in "cab":
        host.pm.enable_plugin(name)
    assert host.render("{{ emit_dcp('end') }}") == "a b c a ready b ready c ready host"
    assert host.render("{{ emit_dcp('start') }}") == "c ready b ready a ready c b a "
    host.pm.disable_plugin("b")
    assert host.render("{{ emit_dcp('end') }}") == "a c a ready c ready host"
    assert host.pm._dcp_manager.owners("end") == ("a", "b", "c", "a", "b", "c")
