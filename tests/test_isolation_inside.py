"""A plugin is loaded in a process of its own: its imports, and what it says that it adds."""

from __future__ import annotations

import json
import logging
import mimetypes
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from inner import LoadInner, inside, visited
from trees import clean_imports, write, write_plugin

import flask_pluginkit
from flask_pluginkit.exceptions import LoadError, PluginError, RegistrationError
from flask_pluginkit.isolation.inside.services import NoServices
from flask_pluginkit.isolation.messages import (
    Head,
    RouteInfo,
)

__all__ = ["clean_imports", "inside"]

_FRESH = """
import json, sys
sys.path.insert(0, {root!r})
from flask_pluginkit.isolation.inside import plugin, serving
from flask_pluginkit.isolation.inside.services import NoServices
from flask_pluginkit.isolation.messages import (
    Spec,
)
inner = plugin.load(
    Spec(plugin="hello", level="process", folder={folder!r}, module="plugins.hello", digest="0"),
    NoServices(),
)
real = [name for name, one in sys.modules.items() if getattr(one, "__file__", None)]
print(json.dumps([name for name in real if name.startswith("flask_pluginkit.")]))
"""


def test_neither_the_modules_nor_a_plugin_import_the_manager(tmp_path: Path) -> None:
    """A fresh interpreter that loads a plugin has nothing of the manager afterwards."""
    body = "from flask_pluginkit import push_dcp, PluginManager, LocalStorage, utils\n"
    folder = write_plugin(tmp_path, "hello", body + "def register(): return {}\n")
    root = str(Path(flask_pluginkit.__file__).parents[1])
    program = _FRESH.format(root=root, folder=str(folder))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=60
    )
    names = json.loads(done.stdout)
    assert "flask_pluginkit.kinds" in names
    heavy = ("manager", "application", "live", "switching", "startup", "snapshot", "barrier")
    assert [name for name in names if name.split(".")[1] in heavy] == []


# ---- imports --------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["plugins.hello", "pluginkit_plugins.hello", "lonely"])
def test_a_plugin_is_imported_under_its_name_of_3x(inside: LoadInner, module: str) -> None:
    """Its own absolute imports mean itself."""
    body = f"from {module}.parts import TEXT\ndef register(): return {{'tcp': {{'text': TEXT}}}}\n"
    inner = inside(body, files={"parts.py": "TEXT = __name__\n"}, module=module)
    assert inner.description.context == {"text": f"{module}.parts"}


def test_other_plugins_of_the_host_are_not_found(inside: LoadInner, tmp_path: Path) -> None:
    """The folder beside it is nobody's to look into."""
    write(tmp_path / "own" / "other" / "__init__.py")
    with pytest.raises(LoadError, match=r"No module named 'plugins.other'.*run the plugin as"):
        inside("import plugins.other\n")


def test_an_import_from_the_host_is_refused_with_a_reason(inside: LoadInner) -> None:
    """The message tells that it is the host's, and not that a package is missing."""
    with pytest.raises(LoadError, match=r"No module named 'shop'.*the host's own modules"):
        inside("from shop import db\n")


def test_a_plugin_finds_its_own_dependencies(inside: LoadInner, tmp_path: Path) -> None:
    """Their folders come last on the path, and go with the plugin."""
    write(tmp_path / "needs" / "only_for_hello.py", "ANSWER = 42\n")
    body = "import only_for_hello as o\ndef register(): return {'tcp': {'answer': o.ANSWER}}\n"
    inner = inside(body, readable=(str(tmp_path / "needs"),))
    assert inner.description.context == {"answer": 42}
    assert sys.path[-1] == str(tmp_path / "needs")
    inner.close()
    assert str(tmp_path / "needs") not in sys.path


def test_what_fails_in_the_plugin_is_raised_as_it_is(inside: LoadInner) -> None:
    """Whoever started the worker reports it."""
    with pytest.raises(ZeroDivisionError):
        inside("1 / 0\n")
    assert "plugins.hello" not in sys.modules


def test_a_plugin_without_register_is_refused(inside: LoadInner) -> None:
    """It can't be one."""
    with pytest.raises(PluginError, match=r"hello: it has no function register\(\)"):
        inside("x = 1\n")


def test_a_wrong_register_is_refused_as_in_the_host(inside: LoadInner) -> None:
    """By the same table, with all problems."""
    with pytest.raises(RegistrationError, match="tepp"):
        inside("def register(): return {'tepp': {}}\n")


def test_loading_leaves_nothing_behind_once_closed(inside: LoadInner) -> None:
    """The names of the package and of sockets are what they were."""
    before = flask_pluginkit.LocalStorage, socket.socket.connect, logging.getLogger().handlers[:]
    inner = inside("from flask_pluginkit import LocalStorage\ndef register(): return {}\n")
    assert flask_pluginkit.LocalStorage is not before[0]
    inner.close()
    after = flask_pluginkit.LocalStorage, socket.socket.connect, logging.getLogger().handlers[:]
    assert after == before


@pytest.mark.parametrize(
    "statement",
    [
        "from flask_pluginkit import Flask, JsonResponse, PluginError, __version__, string_types",
        "from flask_pluginkit import ExpiredLocalStorage, LocalStorage, RedisStorage, push_dcp",
        "from flask_pluginkit import PluginManager, always_open, metrics_view",
        "from flask_pluginkit.exceptions import PEPError, TarError",
        "from flask_pluginkit.utils import Attribution, DcpManager, LocalStorage, isValidSemver",
        "from flask_pluginkit._compat import PY2, iteritems",
        "from flask_pluginkit.version import __version__",
        "from flask_pluginkit.live.dcp import push_dcp",
    ],
)
def test_what_plugins_of_3x_import_is_there(inside: LoadInner, statement: str) -> None:
    """From every path that they use."""
    inside(f"{statement}\ndef register(): return {{}}\n")


def test_modules_that_were_imported_before_have_the_stand_ins_too(inside: LoadInner) -> None:
    """Whoever forks workers may have imported them."""
    import flask_pluginkit.utils as before

    body = "from flask_pluginkit import utils\ndef register(): return {'tcp': {'n': found()}}\n"
    names = "def found(): return [utils.DcpManager.__module__, utils.LocalStorage.__module__]\n"
    assert before.DcpManager.__module__ == "flask_pluginkit.live.dcp"
    assert inside(names + body).description.context == {
        "n": [
            "flask_pluginkit.isolation.inside.connections",
            "flask_pluginkit.isolation.inside.stores",
        ]
    }


def test_the_manager_says_that_it_is_not_here(inside: LoadInner) -> None:
    """To whoever makes one, not to whoever imports it."""
    body = "from flask_pluginkit import PluginManager\ndef register(): PluginManager()\n"
    with pytest.raises(PluginError, match="PluginManager can't be used by a plugin that runs in"):
        inside(body)


def test_the_current_manager_says_what_it_lacks(inside: LoadInner) -> None:
    """``app.extensions["pluginkit"]`` is there for what can be done."""
    body = """
    def register(): return {}
    def on_app_ready(app): app.extensions["pluginkit"].get_all_plugins
    """
    with pytest.raises(PluginError, match="the manager's get_all_plugins can't be had") as caught:
        inside(body)
    assert isinstance(caught.value, AttributeError)


def test_a_table_of_file_types_that_is_not_readable_does_no_harm(
    inside: LoadInner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there to be seen in a sandbox, but not to be opened."""

    def denied(*_args: object) -> None:
        raise PermissionError("/etc/mime.types")

    for name in ("encodings_map", "suffix_map", "types_map", "common_types"):
        monkeypatch.setattr(mimetypes, name, getattr(mimetypes, name))  # to be put back
    for name, found in (("inited", False), ("_db", None), ("knownfiles", [__file__])):
        monkeypatch.setattr(mimetypes, name, found)
    monkeypatch.setattr(mimetypes.MimeTypes, "read", denied)
    body = "import mimetypes\ndef register(): return {'tcp': {'t': mimetypes.guess_type('a.css')}}"
    assert inside(body).description.context == {"t": ["text/css", None]}


# ---- the application ------------------------------------------------------------------------


def test_the_application_has_the_hosts_name_and_the_plugins_folder(inside: LoadInner) -> None:
    """As ``current_app`` shows them."""
    inner = inside()
    assert inner.app.import_name == "shop.web"
    assert Path(inner.app.root_path).name == "hello"


def test_on_app_ready_may_take_the_application_or_nothing(inside: LoadInner) -> None:
    """Told by its signature; it runs in an application context."""
    body = """
    from flask import current_app
    seen = []
    def register(): return {"tcp": {"seen": seen}}
    def on_app_ready(): seen.append(current_app.import_name)
    """
    assert inside(body).description.context == {"seen": ["shop.web"]}


# ---- the description ------------------------------------------------------------------------

_ROUTES = """
from flask import Blueprint
from flask.views import View

bp = Blueprint("hello", __name__, static_folder="static")

@bp.route("/list/<int:page>", methods=["GET", "POST"], defaults={"kind": "all"})
def listed(page, kind): return f"{page} {kind}"

class Shown(View):
    def dispatch_request(self): return "shown"

def register():
    return {
        "bep": {"blueprint": bp, "prefix": "/hello"},
        "vep": [
            {"rule": "/hello/view", "view_func": lambda: "view", "endpoint": "view"},
            {"rule": "/more", "view_func": lambda: "more", "endpoint": "more",
             "_blueprint": "hello"},
        ],
        "cvep": {"view_class": Shown, "rule": "/hello/class"},
    }
"""


def test_every_rule_is_described(inside: LoadInner) -> None:
    """Those of blueprints with their static files, of views and of classes."""
    inner = inside(_ROUTES)
    assert {route.rule for route in inner.description.routes} == {
        "/hello/list/<int:page>",
        "/hello/static/<path:filename>",
        "/hello/view",
        "/hello/more",
        "/hello/class",
    }
    [listed] = [one for one in inner.description.routes if one.endpoint == "hello.listed"]
    assert listed == RouteInfo(
        rule="/hello/list/<int:page>",
        endpoint="hello.listed",
        methods=("GET", "HEAD", "OPTIONS", "POST"),
        defaults={"kind": "all"},
        strict_slashes=True,
    )
    assert inner.description.blueprints == ("hello",)


@pytest.mark.parametrize("path", ["view", "more", "class", "list/2"])
def test_every_described_rule_answers(inside: LoadInner, path: str) -> None:
    """Also that of a view on a blueprint with a prefix."""
    [head] = visited(inside(_ROUTES), f"/hello/{path}")
    assert isinstance(head, Head)
    assert head.status == 200


def test_a_view_may_join_a_nested_blueprint(inside: LoadInner) -> None:
    """Below the prefixes of all of them."""
    body = """
    from flask import Blueprint
    outer, child = Blueprint("outer", __name__), Blueprint("child", __name__, url_prefix="/child")
    outer.register_blueprint(child)
    vep = {"rule": "/x", "view_func": lambda: "x", "endpoint": "x", "_blueprint": "outer.child"}
    def register(): return {"bep": {"blueprint": outer, "prefix": "/hello"}, "vep": vep}
    """
    [route] = inside(body).description.routes
    assert (route.rule, route.endpoint) == ("/hello/child/x", "outer.child.x")


def test_teps_keep_their_order_and_filters_their_names(inside: LoadInner) -> None:
    """As they were given; the host sorts them among those of others."""
    body = """
    def register():
        return {
            "tep": {"nav": "2@nav.html", "foot": "1@<p>{{ 1 }}</p>"},
            "filter": {"up": str.upper},
            "test": {"big": lambda n: n > 9},
            "dcp": {"event": "ev", "callback": lambda: "x", "position": "left"},
            "global": {"limit": 3},
        }
    """
    description = inside(body, files={"templates/nav.html": "nav"}).description
    assert [(tep.slot, tep.given, tep.is_file) for tep in description.teps] == [
        ("nav", "2@nav.html", True),
        ("foot", "1@<p>{{ 1 }}</p>", False),
    ]
    assert [(one.kind, one.name, one.position) for one in description.functions] == [
        ("filter", "up", ""),
        ("test", "big", ""),
        ("dcp", "ev", "left"),
    ]
    assert description.names == {"limit": 3}


def test_what_on_app_ready_registers_is_described(inside: LoadInner) -> None:
    """With Flask's own methods, and pushed connections."""
    body = """
    from flask_pluginkit import push_dcp
    def register(): return {}
    def on_app_ready(app):
        app.add_template_filter(str.lower, "down")
        app.add_url_rule("/hello/late", "late", lambda: "late")
        app.context_processor(lambda: {"a": 1})
        push_dcp("ev", lambda: "x")
    """
    description = inside(body).description
    assert [route.rule for route in description.routes] == ["/hello/late"]
    assert [one.name for one in description.functions] == ["down", "ev"]
    assert [hook.table for hook in description.hooks] == ["template_context_processors"]


def test_hooks_of_a_blueprint_run_inside(inside: LoadInner) -> None:
    """The host has nothing to do with them."""
    body = """
    from flask import Blueprint, g
    bp = Blueprint("hello", __name__, url_prefix="/hello")
    @bp.before_request
    def begin(): g.who = "me"
    @bp.errorhandler(404)
    def lost(error): return "lost", 404
    @bp.get("/")
    def index(): return g.who
    def register(): return {"bep": {"blueprint": bp, "prefix": "/hello"}}
    """
    inner = inside(body)
    assert inner.description.hooks == ()
    assert inner.description.errors == ()
    assert inner.description.refused == ()
    [head] = visited(inner, "/hello/")
    assert isinstance(head, Head)
    assert head.body == b"me"


def test_without_services_a_plugin_loads(tmp_path: Path, inside: LoadInner) -> None:
    """They are asked when they are needed."""
    inner = inside(services=NoServices())
    assert inner.description.refused == ()


_PREPARED = """
import json, sys
sys.path.insert(0, {root!r})
from flask_pluginkit.isolation.inside import plugin, serving
from flask_pluginkit.isolation.inside.services import NoServices
from flask_pluginkit.isolation.messages import (
    Page,
    Spec,
    Visit,
)
plugin.prepare()
before = set(sys.modules)
inner = plugin.load(
    Spec(plugin="hello", level="process", folder={folder!r}, module="plugins.hello", digest="0"),
    NoServices(),
)
[head] = inner.visit(Visit(id=1, page=Page(path="/hello/")))
assert head.status == 200, head
new = [name for name in set(sys.modules) - before if getattr(sys.modules[name], "__file__", None)]
print(json.dumps(sorted(new)))
"""


def test_a_worker_imports_nothing_but_its_plugin(tmp_path: Path) -> None:
    """What forks workers has imported what loading and a first request need."""
    body = """
    from flask import render_template_string
    def page(): return render_template_string("{% for x in [1] %}{{ x }}{% endfor %}")
    def register(): return {"vep": {"rule": "/hello/", "view_func": page}}
    """
    folder = write_plugin(tmp_path, "hello", body)
    root = str(Path(flask_pluginkit.__file__).parents[1])
    program = _PREPARED.format(root=root, folder=str(folder))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=60
    )
    assert json.loads(done.stdout) == ["plugins.hello"]
