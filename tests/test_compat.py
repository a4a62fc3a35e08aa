"""Applications and plugins written for 3.x, and the faults of 3.x that must not come back."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, has_request_context
from markupsafe import Markup
from trees import clean_imports, write, write_plugin

import flask_pluginkit
from flask_pluginkit import PluginManager, push_dcp
from flask_pluginkit.exceptions import NotCallableError, PEPError, PluginError

DEMO = """
from flask import Blueprint, jsonify

bp = Blueprint("demo", "demo")

class ApiError(Exception):
    pass

calls = []

@bp.route("/")
def index():
    return "demo index"

def limit():
    return "limit"

def api():
    raise ApiError()

def on_app_ready(app):
    calls.append(app.name)

def register():
    return dict(
        tep=dict(nav="2@<i>two</i>", side="demo/side.html"),
        hep=dict(before_request=lambda: None, after_request=lambda response: None),
        bep=dict(blueprint=bp, prefix="/demo"),
        vep=[
            dict(rule="/limit", view_func=limit, endpoint="view_limit"),
            dict(
                rule="/on-blueprint", view_func=lambda: "bvep", endpoint="bvep", _blueprint="demo"
            ),
            dict(rule="/api", view_func=api),
        ],
        filter=[limit, ("twice", lambda text: text * 2)],
        errhandler=[
            dict(error=403, handler=lambda error: ("permission deny", 403)),
            dict(error=ApiError, handler=lambda error: jsonify(code=10000)),
        ],
        tcp=dict(timestamp=lambda: 7, im="demo"),
    )
"""


__all__ = ["clean_imports"]  # a fixture, imported for its effect

pytestmark = pytest.mark.usefixtures("clean_imports")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """An application's folder with the plugin ``demo``, forgotten afterwards."""
    write_plugin(
        tmp_path / "plugins",
        "demo",
        DEMO,
        files={"templates/demo/side.html": "side", "static/css/style.css": "a{}"},
    )
    return tmp_path


def make(base: Path, **options: Any) -> tuple[Flask, PluginManager]:
    """An application and its manager."""
    app = Flask("host", root_path=str(base))
    app.add_url_rule("/", view_func=lambda: "host", endpoint="index")
    return app, PluginManager(app, **options)


def test_the_manager_is_the_extension(base: Path) -> None:
    """``app.extensions["pluginkit"]`` is the manager."""
    app, manager = make(base)
    assert app.extensions["pluginkit"] is manager


def test_a_manager_can_be_made_before_its_application(base: Path) -> None:
    """``init_app`` with a base, as factories call it."""
    app, manager = Flask("late"), PluginManager(stpl="ASC", plugin_packages=())
    manager.init_app(app, plugins_base=str(base))
    assert [plugin.plugin_name for plugin in manager.get_enabled_plugins] == ["demo"]


def test_records_read_as_mapping_and_by_attribute(base: Path) -> None:
    """Every field of 3.x is there both ways."""
    _app, manager = make(base)
    record = manager.get_plugin_info("demo")
    assert record["plugin_name"] == record.plugin_name == "demo"
    assert record.plugin_package_name == "demo"
    assert record.plugin_package_abspath == str(base / "plugins" / "demo")
    assert (record.plugin_version, record.plugin_author) == ("1.0.0", "Somebody")
    assert record.plugin_state == "enabled"
    assert record.plugin_tpl_path == str(base / "plugins" / "demo" / "templates")
    assert record.plugin_ats_path == str(base / "plugins" / "demo" / "static")
    assert record.plugin_url is record.plugin_license is record.plugin_description is None
    assert record.__proxy__.calls == ["host"]
    assert record["__load_time__"] > 0


def test_the_empty_shapes_of_a_record_are_its_own(base: Path) -> None:
    """What a host writes into one shows in no other, as most plugins have most shapes empty."""
    write_plugin(base / "plugins", "one")
    write_plugin(base / "plugins", "two")
    _app, manager = make(base)
    for value in manager.get_plugin_info("one").values():
        if value == []:
            value.append("extra")
        elif value == {}:
            value["extra"] = "extra"
    record = manager.get_plugin_info("two")
    assert (record.plugin_tep, record.plugin_vep, record.plugin_filter) == ({}, [], [])
    assert manager.get_enabled_veps == manager.get_plugin_info("demo").plugin_vep


def test_the_shapes_are_those_of_3x(base: Path) -> None:
    """``get_enabled_*`` give the normal forms that plugins and hosts of 3.x read."""
    _app, manager = make(base)
    assert manager.get_enabled_teps == {
        "nav": {"fil": [], "cod": ["2@<i>two</i>"]},
        "side": {"fil": ["demo/side.html"], "cod": []},
    }
    assert [len(found) for found in manager.get_enabled_heps.values()] == [1, 1, 0]
    assert [bep["prefix"] for bep in manager.get_enabled_beps] == ["/demo"]
    rule, view, endpoint, options, blueprint = manager.get_enabled_veps[1]
    assert (rule, endpoint, options, blueprint) == ("/on-blueprint", "bvep", {}, "demo")
    assert view() == "bvep"
    assert manager.get_enabled_cveps == []
    assert [name for name, _ in manager.get_enabled_filters] == ["limit", "twice"]
    assert manager.get_enabled_errhandlers[0][0] == 403
    assert {"im": "demo"} in manager.get_enabled_tcps


def test_tables_of_the_application_show_what_plugins_have(base: Path) -> None:
    """Hosts and tests of 3.x look into Flask's own tables."""
    app, _manager = make(base)
    app.url_map.update()
    assert {"demo.bvep", "view_limit"} <= set(app.view_functions)
    assert len(app.blueprints) == 1
    assert app.jinja_env.filters["twice"]("x") == "xx"
    assert {403} <= {code for code in (403, 404) if code in app.error_handler_spec[None]}
    processors: list[Any] = app.template_context_processors[None]
    found = {k: v for f in processors for k, v in f().items()}
    assert found["im"] == "demo"
    assert "emit_tep" in app.jinja_env.globals


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/", b"host", 200),
        ("/demo/", b"demo index", 200),
        ("/limit", b"limit", 200),
        ("/demo/on-blueprint", b"bvep", 200),
        ("/api", b'{"code":10000}\n', 200),
        ("/assets/demo/css/style.css", b"a{}", 200),
    ],
)
def test_pages_of_a_3x_plugin(base: Path, path: str, body: bytes, status: int) -> None:
    """Blueprint, views, error class and static files answer as in 3.x."""
    app, _manager = make(base)
    with app.test_client().get(path) as answer:
        assert (answer.data, answer.status_code) == (body, status)


def test_emitters_of_the_manager(base: Path) -> None:
    """The methods work like the template globals, in a request."""
    app, manager = make(base, stpl=True, pluginkit_config={"whoami": "board"})
    app.config["SITE"] = "notices"
    with app.test_request_context():
        assert manager.emit_tep("nav") == Markup("<i>two</i>")
        assert manager.emit_tep(tep="side", typ="fil") == "side"
        assert manager.emit_config("whoami") == "board"
        assert manager.emit_config("SITE") == "notices"
        assert manager.emit_assets("demo", "css/style.css").startswith(
            '<link rel="stylesheet" href="/assets/demo/css/style.css?v='
        )


def test_push_dcp_checks_and_emits(base: Path) -> None:
    """Wrong arguments raise what 3.x raised; numbers, which failed there, are text."""
    app, manager = make(base)
    with app.app_context():
        push_dcp("counter", lambda: 3)
        push_dcp("counter", lambda: ["a", "b"], position="left")
        assert manager._dcp_manager.emit("counter") == Markup("ab3")
        with pytest.raises(PluginError, match="Invalid event"):
            push_dcp(["x"], lambda: "")  # type: ignore[arg-type]
        with pytest.raises(NotCallableError):
            push_dcp("counter", "abc")  # type: ignore[arg-type]
        with pytest.raises(PluginError, match="position"):
            push_dcp("counter", lambda: "", "middle")


def test_push_dcp_needs_an_application_context() -> None:
    """Outside of one it is Flask's own error."""
    with pytest.raises(RuntimeError, match="application context"):
        push_dcp("counter", lambda: "")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"plugin_packages": 123}, "Invalid plugin_packages"),
        ({"install_packages": ["x"]}, "Invalid install_packages"),
        ({"install_packages": {"pkgs": "x"}}, "Invalid install_packages"),
        ({"install_packages": {"pkgs": [], "color": "x"}}, "Invalid install_packages"),
        ({"static_url_path": "assets"}, "Invalid static_url_path"),
        ({"pluginkit_config": [1]}, "Invalid pluginkit_config"),
        ({"stpl": "upwards"}, "Invalid stpl"),
        ({"logger": "print"}, "Invalid logger"),
        ({"strict": "yes"}, "Invalid strict"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], text: str) -> None:
    """A value of a wrong type is a PluginError that says what was expected."""
    with pytest.raises(PluginError, match=text):
        PluginManager(**options)


def test_an_unknown_option_suggests_the_nearest_one() -> None:
    """3.x swallowed every misspelt option."""
    with pytest.raises(TypeError, match="'stlp'; did you mean 'stpl'"):
        PluginManager(stlp=True)


def test_names_that_3x_code_imports() -> None:
    """Import paths in use go on working."""
    for module, names in {
        "flask_pluginkit": "PluginManager push_dcp LocalStorage RedisStorage ExpiredLocalStorage "
        "JsonResponse __version__ Flask PluginError string_types",
        "flask_pluginkit.exceptions": "PluginError ParamError RunError VersionError PEPError "
        "TemplateNotFound TarError ZipError InstallError NotCallableError NotImplementedError",
        "flask_pluginkit.utils": "isValidPrefix isValidSemver sortedSemver is_match_version_req "
        "BaseStorage LocalStorage RedisStorage ExpiredLocalStorage JsonResponse Attribution "
        "DcpManager allowed_uploaded_plugin_suffix check_url is_venv pip_install pip_list "
        "pip_show",
        "flask_pluginkit._compat": "PY2 string_types text_type iteritems integer_types",
        "flask_pluginkit.version": "__version__",
    }.items():
        found = importlib.import_module(module)
        assert [name for name in names.split() if not hasattr(found, name)] == []
    assert flask_pluginkit.__version__ == "4.0.0"


def test_one_manager_serves_two_applications(base: Path, tmp_path: Path) -> None:
    """Plugins don't pile up, and a plugin's own dicts serve the second application too."""
    manager = PluginManager()
    apps = [Flask(name, root_path=str(base)) for name in ("one", "two")]
    for app in apps:
        manager.init_app(app)
    for app in apps:
        with app.app_context():
            assert len(manager.get_all_plugins) == 1
        assert app.test_client().get("/demo/").data == b"demo index"
        assert app.test_client().get("/limit").data == b"limit"


def test_two_applications_with_equally_named_plugins(tmp_path: Path) -> None:
    """Each gets the module of its own folder."""
    answers = []
    for name in ("left", "right"):
        body = f"def register(): return {{'vep': {{'rule': '/w', 'view_func': lambda: '{name}'}}}}"
        write_plugin(tmp_path / name / "plugins", "which", body)
        app = Flask(name, root_path=str(tmp_path / name))
        PluginManager(app, strict=True)
        answers.append(app)
    assert [app.test_client().get("/w").data for app in answers] == [b"left", b"right"]


def test_a_manager_is_made_once_for_an_application(base: Path) -> None:
    """A second one would register everything twice."""
    app, _manager = make(base)
    with pytest.raises(PluginError, match="has a PluginManager already"):
        PluginManager(app)


def test_disabled_plugins_are_neither_imported_nor_served(base: Path) -> None:
    """3.x imported them, ran their register() and served their files."""
    write_plugin(
        base / "plugins",
        "off",
        "raise AssertionError('imported')",
        state="disabled",
        files={"static/x.txt": "x"},
    )
    app, manager = make(base, strict=True)
    assert manager.get_plugin_info("off").plugin_state == "disabled"
    assert app.test_client().get("/assets/off/x.txt").status_code == 404
    assert [record.plugin_name for record in manager.get_enabled_plugins] == ["demo"]


def test_the_proxy_of_a_disabled_plugin_is_imported_when_read(base: Path) -> None:
    """Reading ``__proxy__`` is one of the two ways to import a disabled plugin."""
    write_plugin(base / "plugins", "off", "value = 5\ndef register(): return {}", state="disabled")
    _app, manager = make(base)
    record = manager.get_plugin_info("off")
    assert "plugins.off" not in sys.modules
    assert "__proxy__" in record
    assert record.__proxy__.value == 5
    assert record.get("__proxy__") is record["__proxy__"]


def test_a_computed_state_is_learnt_by_importing(base: Path, monkeypatch: Any) -> None:
    """Published plugins take ``__state__`` from the environment; register() isn't called."""
    body = "import os\n__state__ = os.environ['DEMO_STATE']\ndef register(): raise AssertionError"
    write_plugin(base / "plugins", "computed", body)
    monkeypatch.setenv("DEMO_STATE", "disabled")
    _app, manager = make(base, strict=True)
    assert manager.get_plugin_info("computed").plugin_state == "disabled"


def test_secrets_are_not_handed_to_templates(base: Path, caplog: Any) -> None:
    """3.x gave SECRET_KEY to any template."""
    app, manager = make(base, pluginkit_config={"SECRET_KEY": "theirs"})
    app.config.update(SECRET_KEY="hush", DB_URL="hush", PLUGINKIT_SECRET_KEYS=["DB_URL"])
    with app.app_context(), caplog.at_level(logging.WARNING):
        for name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS", "DB_URL"):
            assert manager.emit_config(name) is None
    assert "it is a secret" in caplog.text


def test_enable_and_disable_work_at_the_next_start(base: Path) -> None:
    """Markers of 3.x, and what they mean to the next application."""
    _app, manager = make(base)
    manager.disable_plugin("demo")
    assert (base / "plugins" / "demo" / "DISABLED").exists()
    assert make(base)[1].get_enabled_plugins == []
    make(base)[1].enable_plugin("demo")
    assert len(make(base)[1].get_enabled_plugins) == 1
    with pytest.raises(PluginError, match="No plugin named nobody was found"):
        manager.enable_plugin("nobody")


def test_an_error_at_import_costs_one_plugin_only(base: Path, caplog: Any) -> None:
    """3.x died of every error at import that wasn't an ImportError."""
    write_plugin(base / "plugins", "broken", "def register(): return {}\nraise SystemExit('no')")
    _app, manager = make(base)
    by_name = {plugin.name: plugin for plugin in manager.plugins}
    assert by_name["broken"].status.value == "failed"
    assert "SystemExit: no" in by_name["broken"].reason
    assert "raise SystemExit" in by_name["broken"].traceback
    assert by_name["demo"].status.value == "active"
    assert "plugin 'broken' is failed" in caplog.text


def test_strict_raises_with_the_reason_as_text(base: Path) -> None:
    """The exception of 3.x, saying what the status would have said."""
    write_plugin(base / "plugins", "broken", "def register(): return {'teb': {}}")
    app = Flask("host", root_path=str(base))
    reason = {p.name: p.reason for p in make(base)[1].plugins}["broken"]
    with pytest.raises(PEPError) as caught:
        PluginManager(app, strict=True)
    assert str(caught.value) == reason


def test_an_init_app_that_fails_leaves_the_application_as_it_was(base: Path) -> None:
    """Tables, WSGI layer, environment, extensions and routes are the application's own again."""
    write_plugin(
        base / "plugins",
        "late",
        "def on_app_ready(app): app.extensions['x'] = 1; 1 / 0\n"
        "def register(): return {'filter': {'f': str}}",
    )
    app = Flask("host", root_path=str(base))
    app.add_url_rule("/", view_func=lambda: "host", endpoint="index")
    names = ("view_functions", "before_request_funcs", "error_handler_spec", "blueprints")
    before = {name: getattr(app, name) for name in names} | {"wsgi": vars(app).get("wsgi_app")}
    filters, kind = app.jinja_env.filters, type(app.jinja_env)
    globals_ = dict(app.jinja_env.globals)
    with pytest.raises(PEPError, match="late failed on_app_ready: ZeroDivisionError"):
        PluginManager(app, strict=True)
    after = {name: getattr(app, name) for name in names} | {"wsgi": vars(app).get("wsgi_app")}
    assert all(after[name] is before[name] for name in before)
    assert app.jinja_env.filters is filters
    assert type(app.jinja_env) is kind
    assert dict(app.jinja_env.globals) == globals_
    assert app.extensions == {}
    assert [rule.rule for rule in app.url_map.iter_rules()] == ["/static/<path:filename>", "/"]
    PluginManager(app, strict=False)
    assert app.test_client().get("/demo/").data == b"demo index"


def test_no_plugins_folder_is_no_error(tmp_path: Path) -> None:
    """An application without plugins starts."""
    app = Flask("bare", root_path=str(tmp_path))
    assert PluginManager(app, strict=True).get_all_plugins == []


def test_an_application_inside_a_package_finds_its_plugins(tmp_path: Path) -> None:
    """3.x found none, silently, as the folder couldn't be imported by its name."""
    package = tmp_path / "shop"
    write(package / "__init__.py")
    write_plugin(package / "plugins", "inside")
    manager = PluginManager(Flask("shop", root_path=str(package)), strict=True)
    assert [record.plugin_name for record in manager.get_enabled_plugins] == ["inside"]


def test_packages_are_installed_only_if_they_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``#egg=`` of something installed is passed over, and nothing lists packages by pip."""
    asked = []
    monkeypatch.setattr(
        "flask_pluginkit.pip.pip_install", lambda package, **kw: asked.append((package, kw))
    )
    app = Flask("installing", root_path=str(tmp_path))
    app.config["PLUGINKIT_PIP_TARGET_DIR"] = "/srv/packages"
    option = {"pkgs": ["git+https://example.org/x#egg=flask", "flask-other"], "quiet": True}
    PluginManager(app, install_packages=option)
    assert asked == [("flask-other", {"quiet": True, "target_dir": "/srv/packages"})]
    assert option == {"pkgs": ["git+https://example.org/x#egg=flask", "flask-other"], "quiet": True}


def test_the_return_value_of_after_request_counts(base: Path) -> None:
    """A response replaces the response; 3.x dropped it, and ignored all other values."""
    body = (
        "from flask import make_response\n"
        "def register(): return {'hep': {'after_request': lambda r: make_response('changed')}}"
    )
    write_plugin(base / "plugins", "zlast", body)
    app, _manager = make(base)
    assert app.test_client().get("/").data == b"changed"


def test_hosts_import_what_the_manager_loaded(base: Path) -> None:
    """``import plugins.demo`` gives the module that registered, not a second one."""
    _app, manager = make(base)
    module = importlib.import_module("plugins.demo")
    assert manager.get_plugin_info("demo").__proxy__ is module


def test_request_is_available_in_hooks(base: Path) -> None:
    """Hooks run in the request context, as 3.x plugins expect."""
    write_plugin(
        base / "plugins",
        "seen",
        "from flask import request\nseen = []\n"
        "def register():\n"
        "    return {'hep': {'before_request': lambda: seen.append(request.path)}}",
    )
    app, manager = make(base)
    app.test_client().get("/limit")
    assert manager.get_plugin_info("seen").__proxy__.seen == ["/limit"]
    assert not has_request_context()
