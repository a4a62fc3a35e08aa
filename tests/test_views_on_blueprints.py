"""vep with ``_blueprint``: views on the blueprints of plugins and of the host."""

from __future__ import annotations

import pytest
from flask import Blueprint, url_for
from hosts import VIEWS, Host, clean_imports, host, views

from flask_pluginkit.exceptions import PEPError
from flask_pluginkit.snapshot import Status

__all__ = ["clean_imports", "host"]

BLUEPRINT = "blueprint = Blueprint('shop', __name__, url_prefix='/own')\n"


def on_shop(rule: str = "/extra") -> str:
    """A vep on the blueprint ``shop``."""
    return f"{{'rule': {rule!r}, 'view_func': where, '_blueprint': 'shop'}}"


@pytest.mark.parametrize(("prefix", "path"), [("'/shop'", "/shop/extra"), ("None", "/own/extra")])
def test_a_view_stands_on_the_blueprint_of_its_own_plugin(
    host: Host, prefix: str, path: str
) -> None:
    """It takes the prefix, also the one that the bep gave."""
    bep = f"{{'blueprint': blueprint, 'prefix': {prefix}}}"
    host.plugin("a", f"{VIEWS}{BLUEPRINT}{views(on_shop(), bep=bep)}")
    host.start()
    assert host.get(path) == f"shop.where shop {path}"


@pytest.mark.parametrize("name", ["a", "z"])
def test_a_view_stands_on_the_blueprint_of_another_plugin(host: Host, name: str) -> None:
    """Whichever of the two is loaded first; the blueprint's hooks run for it."""
    host.plugin(
        "m",
        f"{VIEWS}{BLUEPRINT}"
        "seen = []\n"
        "blueprint.before_request(lambda: seen.append(request.path))\n"
        + views("[]", bep="{'blueprint': blueprint, 'prefix': '/shop'}"),
    )
    host.plugin(name, views(on_shop()))
    host.start()
    assert host.get("/shop/extra") == "shop.where shop /shop/extra"
    assert host.module("m").seen == ["/shop/extra"]
    assert host.pm.owner_of("route", "/shop/extra") == name
    assert host.pm.owner_of("route", "/shop") is None


def test_a_view_may_stand_at_the_prefix_itself(host: Host) -> None:
    """As in Flask, an empty rule on a blueprint is its prefix."""
    bep = "{'blueprint': blueprint, 'prefix': '/shop'}"
    host.plugin("a", f"{VIEWS}{BLUEPRINT}{views(on_shop(''), bep=bep)}")
    host.start()
    assert host.get("/shop") == "shop.where shop /shop"


@pytest.mark.parametrize("late", [False, True])
def test_a_view_stands_on_a_blueprint_of_the_host(host: Host, late: bool) -> None:
    """Registered before the manager was made, or after."""
    blueprint = Blueprint("shop", "host", url_prefix="/own")
    host.plugin("a", views(on_shop()))
    if late:
        host.start()
    host.app.register_blueprint(blueprint)
    if not late:
        host.start()
    assert host.get("/own/extra") == "shop.where shop /own/extra"
    with host.app.test_request_context():
        assert url_for("shop.where") == "/own/extra"


def test_a_blueprint_of_the_host_may_have_another_name_there(host: Host) -> None:
    """The name is that under which the application knows it."""
    host.app.register_blueprint(Blueprint("inner", "host", url_prefix="/own"), name="shop")
    host.plugin("a", views(on_shop()))
    host.start()
    assert host.get("/own/extra") == "shop.where shop /own/extra"


def test_a_view_stands_on_a_nested_blueprint_of_the_host(host: Host) -> None:
    """With all prefixes and names above it."""
    outer = Blueprint("outer", "host", url_prefix="/outer")
    outer.register_blueprint(Blueprint("inner", "host"), url_prefix="/inner")
    host.app.register_blueprint(outer)
    host.plugin("a", views("{'rule': '/x', 'view_func': where, '_blueprint': 'outer.inner'}"))
    host.start()
    assert host.get("/outer/inner/x") == "outer.inner.where outer.inner /outer/inner/x"


@pytest.mark.parametrize("name", ["outer.inner", "outer.inner.core"])
def test_a_view_stands_on_a_blueprint_nested_in_a_plugins_one(host: Host, name: str) -> None:
    """The blueprint's author may have nested them, without a word to us."""
    host.plugin(
        "a",
        """
        from flask import Blueprint
        outer = Blueprint("outer", __name__, url_prefix="/outer")
        inner = Blueprint("inner", __name__, url_prefix="/inner")
        core = Blueprint("core", __name__)
        inner.register_blueprint(core, url_prefix="/core")
        outer.register_blueprint(inner)

        def register():
            return {"bep": {"blueprint": outer, "prefix": "/top"}}
        """,
    )
    host.plugin("b", views(f"{{'rule': '/x', 'view_func': where, '_blueprint': {name!r}}}"))
    host.start()
    path = "/top/" + "/".join([*name.split(".")[1:], "x"])
    assert host.get(path) == f"{name}.where {name} {path}"


def test_a_blueprint_that_nobody_registers_fails_the_plugin_at_the_first_use(host: Host) -> None:
    """Before that, the host might still register it."""
    host.plugin("a", views(on_shop(), filter="{'late': str}"))
    host.plugin("b", views("[]"), requires={"a": ">=1"})
    host.plugin("c", views("{'rule': '/fine', 'view_func': hello}"))
    host.start(strict=False)
    assert host.row("a").status is Status.ACTIVE
    assert host.get("/fine") == "hello []"
    assert host.row("a").status is Status.FAILED
    assert host.row("b").status is Status.FAILED
    assert host.row("a").reason == (
        "a: The required blueprint(shop) was not found when registering vep with /extra"
    )
    assert "late" not in host.app.jinja_env.filters
    assert host.get("/fine") == "hello []"


def test_in_strict_mode_a_missing_blueprint_is_raised_at_each_use(host: Host) -> None:
    """3.x raised it when the application was made."""
    host.plugin("a", views(on_shop()))
    host.start(strict=True)
    host.app.testing = True
    for _attempt in range(2):
        with pytest.raises(PEPError, match=r"The required blueprint\(shop\) was not found"):
            host.get("/")


def test_a_late_view_that_flask_refuses_fails_its_plugin_only(host: Host) -> None:
    """The application's first request is answered as if nothing had happened."""
    host.plugin("a", views("{'rule': '/<', 'view_func': where, '_blueprint': 'shop'}"))
    host.start(strict=False)
    host.app.register_blueprint(Blueprint("shop", "host", url_prefix="/own"))
    host.app.add_url_rule("/", "index", lambda: "host")
    assert host.get("/") == "host"
    assert host.row("a").status is Status.FAILED
    assert "malformed url rule" in host.row("a").reason
