"""bep: blueprints of plugins, nested ones, and what they register for the whole application."""

from __future__ import annotations

import pytest
from flask import Blueprint, url_for
from hosts import Host, blueprint_plugin, clean_imports, host

from flask_pluginkit.exceptions import PEPError
from flask_pluginkit.snapshot import Status

__all__ = ["clean_imports", "host"]


def test_a_blueprint_stands_at_its_prefix(host: Host) -> None:
    """Its own hooks run for its views, and for nothing else."""
    host.app.add_url_rule("/", "home", lambda: "home")
    host.plugin("a", blueprint_plugin("shop", "'prefix': '/shop'"))
    host.start()
    assert host.get("/shop/") == "shop.index shop"
    assert host.get("/") == "home"
    with host.app.test_request_context():
        assert url_for("shop.index") == "/shop/"


@pytest.mark.parametrize(
    ("own", "given", "path"),
    [
        ("", "'prefix': None", "/"),
        ("", "", "/"),
        ("blueprint.url_prefix = '/own'", "'prefix': None", "/own/"),
        ("blueprint.url_prefix = '/own'", "'prefix': '/given'", "/given/"),
        ("", "'prefix': '/a/b-c'", "/a/b-c/"),
        ("", "'prefix': '/<lang>'", "/en/"),
    ],
)
def test_without_a_prefix_the_blueprints_own_one_counts(
    host: Host, own: str, given: str, path: str
) -> None:
    """As with Flask's `register_blueprint(url_prefix=None)`."""
    host.plugin("a", blueprint_plugin("shop", given, own))
    host.start()
    assert host.get(path) == "shop.index shop"


def test_the_application_lists_it_with_its_own(host: Host) -> None:
    """Extensions look up `app.blueprints` and `request.blueprint`."""
    host.app.register_blueprint(Blueprint("home", "host"))
    host.plugin("a", blueprint_plugin("shop", "'prefix': '/shop'"))
    host.start()
    plugin_blueprint = host.module("a").blueprint
    assert sorted(host.app.blueprints) == ["home", "shop"]
    assert host.app.blueprints["shop"] is plugin_blueprint
    assert plugin_blueprint in list(host.app.iter_blueprints())
    assert "shop" in host.app.blueprints
    assert host.pm.owner_of("blueprint", "shop") == "a"
    assert host.pm.owner_of("blueprint", "home") is None


def test_relative_endpoints_and_redirects_work(host: Host) -> None:
    """Flask completes `.name` with the blueprint of the request."""
    body = """
@blueprint.get("/go")
def go():
    return redirect(url_for(".index"))

@blueprint.get("/deep/")
def deep():
    return url_for(".go")
"""
    host.plugin("a", blueprint_plugin("shop", "'prefix': '/shop'", body))
    host.start()
    assert host.open("/shop/go").location == "/shop/"
    assert host.get("/shop/deep/") == "/shop/go"
    assert host.open("/shop/deep").status_code == 308


def test_its_templates_and_static_files_are_served(host: Host) -> None:
    """The blueprint's own folders, beside the plugin's."""
    body = """
blueprint = Blueprint("shop", __name__, template_folder="pages", static_folder="files")

@blueprint.get("/page")
def page():
    return render_template("page.html", address=url_for(".static", filename="a.txt"))
"""
    host.plugin(
        "a",
        blueprint_plugin("shop", "'prefix': '/shop'", body),
        files={"pages/page.html": "page {{ address }}", "files/a.txt": "file"},
    )
    host.start()
    assert host.get("/shop/page") == "page /shop/files/a.txt"
    with host.open("/shop/files/a.txt") as response:
        assert response.get_data(as_text=True) == "file"


def test_url_processors_and_context_processors_of_a_blueprint_stay_in_it(host: Host) -> None:
    """As every scoped registration of Flask's."""
    body = """
@blueprint.url_value_preprocessor
def pull(endpoint, values):
    g.lang = values.pop("lang")

@blueprint.url_defaults
def push(endpoint, values):
    values.setdefault("lang", g.lang)

@blueprint.context_processor
def variables():
    return {"lang_name": "in " + g.lang}

@blueprint.get("/page")
def page():
    return render_template("page.html", address=url_for(".page"))

@blueprint.after_request
def after(response):
    response.headers["X-Shop"] = "yes"
    return response

@blueprint.teardown_request
def teardown(error):
    current_app.config.setdefault("TORN", []).append(request.path)

@blueprint.errorhandler(KeyError)
def missing(error):
    return "no such key", 404

@blueprint.get("/boom")
def boom():
    raise KeyError
"""
    host.plugin(
        "a",
        blueprint_plugin("shop", "'prefix': '/<lang>/shop'", body),
        files={"templates/page.html": "{{ lang_name }} {{ address }}"},
    )

    @host.app.get("/boom")
    def host_boom() -> str:
        raise KeyError

    host.start(strict=False)
    assert host.get("/de/shop/page") == "in de /de/shop/page"
    assert host.open("/de/shop/boom").status_code == 404
    assert host.open("/boom").status_code == 500
    assert host.open("/de/shop/").headers["X-Shop"] == "yes"
    assert "X-Shop" not in host.open("/boom").headers
    assert set(host.app.config["TORN"]) == {"/de/shop/page", "/de/shop/boom", "/de/shop/"}


# ---- nested ones -----------------------------------------------------------------------------


def test_a_blueprint_nests_in_one_of_another_plugin(host: Host) -> None:
    """Names and prefixes add up, and the parent's hooks run first."""
    host.plugin("a", blueprint_plugin("cart", "'prefix': '/cart', 'parent': 'shop'"))
    host.plugin("b", blueprint_plugin("shop", "'prefix': '/shop'"))
    host.start()
    assert host.get("/shop/cart/") == "shop.cart.index shop cart"
    assert host.get("/shop/") == "shop.index shop"
    assert host.pm.owner_of("route", "/shop/cart/") == "a"
    with host.app.test_request_context():
        assert url_for("shop.cart.index") == "/shop/cart/"


@pytest.mark.parametrize("order", ["abcd", "dcba", "bdac"])
def test_blueprints_nest_on_several_levels(host: Host, order: str) -> None:
    """Whatever the order in which the plugins are loaded."""
    levels = ["one", "two", "three", "four"]
    for level, (name, letter) in enumerate(zip(levels, order, strict=True)):
        parent = f", 'parent': {levels[level - 1]!r}" if level else ""
        host.plugin(letter, blueprint_plugin(name, f"'prefix': '/{name}'{parent}"))
    host.start()
    assert host.get("/one/two/three/four/") == "one.two.three.four.index one two three four"
    assert host.get("/one/two/") == "one.two.index one two"


@pytest.mark.parametrize(
    ("outer", "inner", "path"),
    [
        ("None", "None", "/"),
        ("'/outer'", "None", "/outer/"),
        ("None", "'/inner'", "/inner/"),
        ("'/outer'", "'/inner'", "/outer/inner/"),
    ],
)
def test_missing_prefixes_of_nested_blueprints_are_left_out(
    host: Host, outer: str, inner: str, path: str
) -> None:
    """As when Flask nests blueprints itself."""
    host.plugin(
        "a",
        blueprint_plugin("inner", f"'prefix': {inner}, 'parent': 'outer'").replace('"/"', '"/i"'),
    )
    host.plugin("b", blueprint_plugin("outer", f"'prefix': {outer}"))
    host.start()
    assert host.get(f"{path}i") == "outer.inner.index outer inner"


def test_the_parents_own_prefix_counts_for_its_children(host: Host) -> None:
    """Where the bep gives none."""
    host.plugin("a", blueprint_plugin("cart", "'prefix': '/cart', 'parent': 'shop'"))
    host.plugin("b", blueprint_plugin("shop", "'prefix': None", "blueprint.url_prefix = '/own'"))
    host.start()
    assert host.get("/own/cart/") == "shop.cart.index shop cart"


def test_subdomains_of_nested_blueprints_add_up(host: Host) -> None:
    """As when Flask nests blueprints itself; for views that others add to them, too."""
    host = host.twin(subdomain_matching=True)
    host.app.config["SERVER_NAME"] = "site.example"
    nested = (
        "inner = Blueprint('inner', __name__, subdomain='inner')\n"
        "blueprint = Blueprint('shop', __name__, subdomain='shop')\n"
        "blueprint.register_blueprint(inner)\n"
    )
    host.plugin("a", blueprint_plugin("shop", "'prefix': None", nested))
    view = "{'rule': '/x', 'view_func': lambda: 'x', '_blueprint': 'shop.inner', 'endpoint': 'x'}"
    host.plugin("b", f"def register():\n    return {{'vep': {view}}}\n")
    host.start()
    assert host.get("/x", base_url="http://inner.shop.site.example") == "x"
    assert host.open("/x", base_url="http://shop.site.example").status_code == 404


def test_a_parents_error_handlers_and_context_count_for_its_children(host: Host) -> None:
    """Flask asks the blueprints of a request from the inside out."""
    parent = """
@blueprint.errorhandler(404)
def missing(error):
    return "the shop has no such thing", 404

@blueprint.context_processor
def variables():
    return {"shop_name": "corner shop"}
"""
    child = """
@blueprint.get("/page")
def page():
    return render_template("page.html")

@blueprint.get("/missing")
def missing():
    from flask import abort
    abort(404)
"""
    host.plugin(
        "a",
        blueprint_plugin("cart", "'prefix': '/cart', 'parent': 'shop'", child),
        files={"templates/page.html": "cart of the {{ shop_name }}"},
    )
    host.plugin("b", blueprint_plugin("shop", "'prefix': '/shop'", parent))
    host.start()
    assert host.get("/shop/cart/page") == "cart of the corner shop"
    assert host.get("/shop/cart/missing") == "the shop has no such thing"


def test_a_blueprint_nests_in_one_of_the_host(host: Host) -> None:
    """In 3.x only other plugins' blueprints could be parents."""
    outer = Blueprint("outer", "host", url_prefix="/outer")
    host.app.register_blueprint(outer)
    host.plugin("a", blueprint_plugin("inner", "'prefix': '/inner', 'parent': 'outer'"))
    host.start()
    assert host.get("/outer/inner/") == "outer.inner.index inner"


def test_a_view_stands_on_a_nested_blueprint_by_either_name(host: Host) -> None:
    """Its full name is the one that Flask knows it by, as in 3.x."""
    host.plugin("a", blueprint_plugin("cart", "'prefix': '/cart', 'parent': 'shop'"))
    host.plugin("b", blueprint_plugin("shop", "'prefix': '/shop'"))
    for letter, name in {"c": "cart", "d": "shop.cart"}.items():
        host.plugin(
            letter,
            f"""
            from flask import request
            def register():
                return {{
                    "vep": {{
                        "rule": "/{letter}",
                        "view_func": lambda: request.endpoint,
                        "endpoint": {letter!r},
                        "_blueprint": {name!r},
                    }}
                }}
            """,
        )
    host.start()
    assert host.get("/shop/cart/c") == "shop.cart.c"
    assert host.get("/shop/cart/d") == "shop.cart.d"


def test_a_nested_blueprint_brings_its_own_nested_ones(host: Host) -> None:
    """Those that its author nested with Flask's own method."""
    body = """
core = Blueprint("core", __name__)
core.add_url_rule("/core", "core", lambda: request.endpoint)
blueprint.register_blueprint(core, url_prefix="/deep")
"""
    host.plugin("a", blueprint_plugin("cart", "'prefix': '/cart', 'parent': 'shop'", body))
    host.plugin("b", blueprint_plugin("shop", "'prefix': '/shop'"))
    host.start()
    assert host.get("/shop/cart/deep/core") == "shop.cart.core.core"


@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_a_missing_parent_fails_the_plugin(host: Host, state: str) -> None:
    """Nobody has it, or only a plugin that is disabled; the text is that of 3.x."""
    host.plugin("a", blueprint_plugin("cart", "'prefix': '/cart', 'parent': 'shop'"))
    host.plugin("b", blueprint_plugin("other", "'prefix': '/shop'"), state=state)
    host.start(strict=False)
    assert host.row("a").status is Status.FAILED
    assert host.row("a").reason == "a: No parent blueprint found named shop"
    assert host.open("/cart/").status_code == 404


def test_parents_in_a_circle_are_missing(host: Host) -> None:
    """Each waits for the other one."""
    host.plugin("a", blueprint_plugin("one", "'prefix': '/one', 'parent': 'two'"))
    host.plugin("b", blueprint_plugin("two", "'prefix': '/two', 'parent': 'one'"))
    host.start(strict=False)
    assert [plugin.status.value for plugin in host.pm.plugins] == ["failed", "failed"]


def test_in_strict_mode_a_missing_parent_is_raised(host: Host) -> None:
    """As in 3.x."""
    host.plugin("a", blueprint_plugin("cart", "'prefix': '/cart', 'parent': 'shop'"))
    with pytest.raises(PEPError, match="No parent blueprint found named shop"):
        host.start(strict=True)


def test_a_parent_that_fails_later_takes_the_nested_blueprint_along(host: Host) -> None:
    """It can't be served without the parent's hooks: one of them may be a guard."""
    host.plugin("a", blueprint_plugin("cart", "'prefix': '/cart', 'parent': 'shop'"))
    host.plugin(
        "b", blueprint_plugin("shop", "'prefix': '/shop'", "def on_app_ready():\n    1 / 0\n")
    )
    host.start(strict=False)
    assert host.row("b").status is Status.FAILED
    assert host.open("/shop/cart/").status_code == 404
    assert host.row("a").status is Status.FAILED
    assert host.row("a").reason == "a: No parent blueprint found named shop"
