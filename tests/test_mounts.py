"""Where plugins' blueprints and views are that stand on blueprints of the host."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Blueprint, Flask
from hosts import Host, blueprint_plugin, clean_imports, host, views

from flask_pluginkit.live.mounts import own_mount

__all__ = ["clean_imports", "host"]


def on(name: str) -> str:
    """A plugin with a view on the blueprint `name`."""
    return views(f"{{'rule': '/extra', 'view_func': where, '_blueprint': {name!r}}}")


def shop(**options: Any) -> Blueprint:
    """A blueprint of the host with rules that look alike."""
    blueprint = Blueprint("shop", "host", **options)
    for rule in ("/list/", "/", "/shop/list/"):
        blueprint.add_url_rule(rule, "index", str)
    return blueprint


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("own", "options", "path"),
    [
        ("/own", {"url_prefix": "/shop"}, "/shop"),
        (None, {"url_prefix": "/shop"}, "/shop"),
        (None, {"url_prefix": "/shop/"}, "/shop"),
        (None, {"url_prefix": "/shop/list"}, "/shop/list"),
        ("/own", {}, "/own"),
        ("/own", {"url_prefix": "/"}, ""),
        (None, {}, ""),
    ],
)
def test_a_view_is_where_the_host_put_its_blueprint(
    host: Host, own: str | None, options: dict[str, str], path: str, late: bool
) -> None:
    """By what ``register_blueprint`` was told, before the manager was made or after."""
    host.plugin("a", on("shop"))
    if late:
        host.start()
    host.app.register_blueprint(shop(url_prefix=own), **options)
    if not late:
        host.start()
    assert host.get(f"{path}/extra") == f"shop.where shop {path}/extra"


def test_a_name_that_the_host_gave_has_a_place_of_its_own(host: Host) -> None:
    """One blueprint can be registered several times."""
    blueprint = shop()
    host.app.register_blueprint(blueprint, url_prefix="/one")
    host.app.register_blueprint(blueprint, url_prefix="/two", name="two")
    host.plugin("a", on("shop"))
    host.plugin("b", on("two"))
    host.start()
    assert host.get("/one/extra") == "shop.where shop /one/extra"
    assert host.get("/two/extra") == "two.where two /two/extra"


@pytest.mark.parametrize("late", [False, True])
def test_a_view_is_on_the_subdomain_where_the_host_put_its_blueprint(
    host: Host, late: bool
) -> None:
    """Its prefix and its subdomain are found by the same rule."""
    host = host.twin(subdomain_matching=True)
    host.app.config["SERVER_NAME"] = "site.example"
    host.plugin("a", on("shop"))
    if late:
        host.start()
    host.app.register_blueprint(shop(), url_prefix="/shop", subdomain="buy")
    if not late:
        host.start()
    assert host.open("/shop/extra", base_url="http://buy.site.example").status_code == 200
    assert host.open("/shop/extra", base_url="http://site.example").status_code == 404


@pytest.mark.parametrize(("name", "path"), [("shop", "/top"), ("shop.cart", "/top/mine/deep")])
@pytest.mark.parametrize("late", [False, True])
def test_a_view_is_where_the_host_nested_its_blueprint(
    host: Host, name: str, path: str, late: bool
) -> None:
    """A blueprint without rules is known by those of the blueprints in it."""
    outer, inner = Blueprint("shop", "host"), Blueprint("cart", "host", url_prefix="/own")
    core = Blueprint("core", "host", url_prefix="/core")
    core.add_url_rule("", "index", lambda: "index")
    inner.register_blueprint(core)
    outer.register_blueprint(inner, url_prefix="/mine/deep")
    host.plugin("a", on(name))
    if late:
        host.start()
    host.app.register_blueprint(outer, url_prefix="/top")
    if not late:
        host.start()
    assert host.get(f"{path}/extra") == f"{name}.where {name} {path}/extra"


@pytest.mark.parametrize("name", ["shop", "shop.cart"])
def test_a_blueprint_nests_where_the_host_put_its_parent(host: Host, name: str) -> None:
    """With all prefixes before its own."""
    outer, inner = shop(), Blueprint("cart", "host")
    outer.register_blueprint(inner, url_prefix="/cart")
    host.app.register_blueprint(outer, url_prefix="/top")
    host.plugin("a", blueprint_plugin("inner", f"'prefix': '/in', 'parent': {name!r}"))
    host.start()
    path = "/top/in/" if name == "shop" else "/top/cart/in/"
    assert host.get(path) == f"{name}.inner.index inner"


def test_a_blueprint_with_no_rule_is_where_the_host_says_later(host: Host) -> None:
    """Flask keeps nothing of what it was told: only the manager does."""
    host.plugin("a", on("shop"))
    host.start()
    host.app.register_blueprint(Blueprint("shop", "host"), url_prefix="/shop")
    assert host.get("/shop/extra") == "shop.where shop /shop/extra"


def test_a_blueprint_is_known_by_its_static_files(host: Host) -> None:
    """Their rule is the only one that Flask adds by itself."""
    host.app.register_blueprint(Blueprint("shop", "host", static_folder="x"), url_prefix="/shop")
    host.plugin("a", on("shop"))
    host.start()
    assert host.get("/shop/extra") == "shop.where shop /shop/extra"


def test_looking_for_a_place_runs_nothing_again(host: Host) -> None:
    """What a blueprint records is written to run once."""
    ran = []
    blueprint = shop()
    blueprint.record(lambda state: ran.append(state.url_prefix))
    host.app.register_blueprint(blueprint, url_prefix="/shop")
    host.plugin("a", on("shop"))
    host.start()
    assert host.get("/shop/extra") == "shop.where shop /shop/extra"
    assert ran == ["/shop"]


def test_rules_with_a_subdomain_of_their_own_dont_tell_that_of_their_blueprint() -> None:
    """Whatever the blueprint has, they have theirs."""
    app = Flask("host", subdomain_matching=True)
    blueprint = Blueprint("shop", "host")
    blueprint.add_url_rule("/a", "a", lambda: "a", subdomain="other")
    blueprint.add_url_rule("/b", "b", lambda: "b")
    inner = Blueprint("inner", "host", subdomain="inner")
    inner.add_url_rule("/c", "c", lambda: "c")
    blueprint.register_blueprint(inner)
    app.register_blueprint(blueprint, url_prefix="/shop", subdomain="buy")
    mount, child = own_mount(app, "shop"), own_mount(app, "shop.inner")
    assert mount is not None
    assert child is not None
    assert (mount.prefix, mount.subdomain) == ("/shop", "buy")
    assert (child.prefix, child.subdomain) == ("/shop", "inner.buy")
    assert own_mount(app, "nothing") is None
