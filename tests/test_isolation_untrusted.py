"""What a site does with a plugin that nobody trusts; where it can't be confined, it is lowered."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from isolation_sites import Site, _impatient, sites
from trees import write, write_plugin

from flask_pluginkit import cli
from flask_pluginkit.cli import isolation as isolation_commands
from flask_pluginkit.exceptions import MissingExtraError
from flask_pluginkit.frozen import replace
from flask_pluginkit.isolation import remote
from flask_pluginkit.isolation.answers import fragments
from flask_pluginkit.isolation.approvals import Approvals
from flask_pluginkit.isolation.conditions import require_extra
from flask_pluginkit.isolation.hosting import Hosting, distribution_of
from flask_pluginkit.isolation.remote import Remote

__all__ = ["_impatient", "sites"]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

BODY = """
from flask import Response, abort, g, request

calls = []

def before():
    calls.append(request.path)
    if request.path == "/page" and request.method == "PUT":
        return "answered there", 202
    if request.path == "/page" and request.method == "PATCH":
        raise ValueError("in the guard")

def after(response):
    response.headers["Content-Language"] = "la"
    return response

def teardown(error):
    calls.append(repr(error))

def teapot(error):
    return "the plugin's teapot", 418

def own_page():
    return "<p>ok</p><script>alert(1)</script>"

def endless():
    return ("<b>x</b>" for _ in range(100))

def odd(code):
    abort(code)

def told():
    return "|".join(calls)

def me():
    return {"name": request.environ.get("x", "")}

def register():
    return {
        "hep": {"before_request": before, "after_request": after, "teardown_request": teardown},
        "errhandler": {418: teapot},
        "tep": {"nav": "<b onclick='x()'>nav</b>"},
        "vep": [
            {"rule": "/guest/page", "view_func": own_page},
            {"rule": "/guest/endless", "view_func": endless},
            {"rule": "/guest/odd/<int:code>", "view_func": odd},
            {"rule": "/guest/told", "view_func": told},
        ],
    }

def on_app_ready(app):
    @app.context_processor
    def more():
        return {"more": 7, "range": "stolen"}
"""

ASKS = ["requests:answer", "responses", "user:name"]


@pytest.fixture
def site(sites: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site whose plugin was granted what it asks for."""
    # also where its worker can't be confined
    monkeypatch.setattr(Remote, "level", "isolated")
    real = fragments.cleaner
    monkeypatch.setattr(
        remote,
        "cleaner",
        lambda plugin, granted, _level, assets: real(
            plugin, granted - {"html:raw"}, "isolated", assets=assets
        ),
    )
    files = {
        "static/x.css": "b { color: red }",
        "static/x.js": "alert(1)",
        "static/x.png": "png",
    }
    write_plugin(tmp_path / "plugins", "guest", BODY, files=files, permissions=ASKS)
    config = {
        "PLUGINKIT_SANDBOX_LOWERED": True,
        "PLUGINKIT_USER": lambda plugin, names: {"name": "Ada", "secret": "x"},
    }
    made = sites(isolation="isolated", config=config)
    made.app.add_url_rule("/pot", "pot", lambda: pytest.importorskip("flask").abort(418))
    assert "approve" in made.row().reason
    made.manager.approve_plugin("guest")
    assert made.row().status == "active", made.row().reason
    return made


def test_guards_answer_for_the_site(site: Site) -> None:
    """What they answer is the plugin's: with its policy, and never stored."""
    answer = site.client.put("/page")
    assert (answer.status_code, answer.text) == (202, "answered there")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert (
        "no-store" in answer.headers["Cache-Control"]
        or "private" in answer.headers["Cache-Control"]
    )


def test_a_guard_that_fails_lets_nobody_through(site: Site) -> None:
    """The page isn't served."""
    assert site.client.patch("/page").status_code in {500, 503, 405}
    assert "in the guard" in site.row().last_fault


def test_responses_and_teardowns_pass_it(site: Site) -> None:
    """Once for each request of the site."""
    assert site.client.get("/page").headers["Content-Language"] == "la"
    assert "/page" in site.client.get("/guest/told").text


def test_its_error_page_stands_in_for_the_sites(site: Site) -> None:
    """With the permission to answer."""
    answer = site.client.get("/pot")
    assert (answer.status_code, answer.text) == (418, "the plugin's teapot")


def test_context_processors_give_values_and_shadow_nothing(site: Site) -> None:
    """What templates of the site have already stays theirs."""
    assert site.render("{{ more }} {{ range(3)|list }}") == "7 [0, 1, 2]"


def test_parts_of_pages_are_cleaned(site: Site) -> None:
    """Handlers are gone, text stays."""
    assert site.render('{{ emit_tep("nav") }}') == "<b>nav</b>"


@pytest.mark.parametrize("path", ["/guest/page", "/guest/endless"])
def test_what_a_script_of_the_site_asks_for_is_cleaned(site: Site, path: str) -> None:
    """As it may become a part of a page; what a reader opens is sandboxed instead."""
    assert "<script>" not in site.client.get(path, headers={"HX-Request": "true"}).text
    assert "sandbox" in site.client.get(path).headers["Content-Security-Policy"]


def test_an_odd_abort_is_a_fault(site: Site) -> None:
    """abort(200) isn't an error page of anybody's."""
    assert site.client.get("/guest/odd/404").status_code == 404
    assert site.client.get("/guest/odd/200").status_code == 500


def test_its_static_files_are_those_that_browsers_dont_run(site: Site) -> None:
    """Pictures and styles, with a policy; a file that isn't there is 404."""
    with site.client.get("/assets/guest/x.css") as style:
        assert (style.status_code, style.get_data(as_text=True)) == (200, "b { color: red }")
        assert "sandbox" in style.headers["Content-Security-Policy"]
    with site.client.get("/assets/guest/x.png") as picture:
        assert picture.mimetype == "image/png"
    for name in ("x.js", "nothing.css", "../__init__.py"):
        assert site.client.get(f"/assets/guest/{name}").status_code == 404


def test_a_new_version_that_asks_for_no_more_is_taken(site: Site, tmp_path: Path) -> None:
    """Without anybody's approval: it was given for what it asks."""
    body = BODY.replace("<p>ok</p>", "<p>new</p>")
    write_plugin(tmp_path / "plugins", "guest", body, version="2.0.0", permissions=ASKS)
    site.manager.rescan()
    assert (site.row().version, site.row().status) == ("2.0.0", "active")
    assert "new" in site.client.get("/guest/page").text


def test_a_page_knows_of_the_user_what_was_granted(site: Site) -> None:
    """And its answer is nobody else's."""
    answer = site.client.get("/guest/page")
    assert "private" in answer.headers["Cache-Control"]


def test_an_odd_answer_about_the_user_is_told(site: Site) -> None:
    """The host's callback must give plain data."""
    site.app.config["PLUGINKIT_USER"] = lambda plugin, names: {"name": object()}
    assert site.client.get("/guest/page").status_code in {500, 502, 503}


def test_shared_templates_and_large_overrides(sites: Callable[..., Site], tmp_path: Path) -> None:
    """A layout can be shared; megabytes of overrides are refused, saying so."""
    body = "def register():\n    return {'tep': {'nav': 'nav.html'}}"
    files = {"templates/nav.html": "{% extends 'base.html' %}{% block x %}mine{% endblock %}"}
    write_plugin(tmp_path / "plugins", "guest", body, files=files)
    write(tmp_path / "templates/base.html", "<b>{% block x %}{% endblock %}</b>")
    site = sites(config={"PLUGINKIT_SHARED_TEMPLATES": ["base.html"]})
    assert site.render('{{ emit_tep("nav") }}') == "<b>mine</b>"
    write(tmp_path / "templates/plugins/guest/nav.html", "x" * (2 << 20))
    site.manager.disable_plugin("guest")
    with pytest.raises(Exception, match="expected fewer"):
        site.manager.enable_plugin("guest")


def test_a_body_whose_length_nobody_told_is_limited_too(site: Site) -> None:
    """What comes in chunks is counted as it comes."""
    chunks = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    data = b"x" * ((16 << 20) + 2)
    answer = site.client.post("/guest/page", data=data, environ_overrides=chunks)
    assert answer.status_code in {405, 413}


def test_who_brought_a_plugin_is_found(tmp_path: Path) -> None:
    """By the list of files, also where nobody said so; None for one of the site's own."""

    class Candidate:
        distribution: str | None = "pytest"
        folder = tmp_path

    found: Any = Candidate()
    assert distribution_of(found) is not None
    found.distribution = None
    assert distribution_of(found) is None


def test_nothing_runs_before_anything_is_asked(tmp_path: Path) -> None:
    """A site without such plugins has no supervisor, and asking starts none."""
    from flask import Flask

    from flask_pluginkit.isolation.levels import Levels

    app = Flask("none", root_path=str(tmp_path))
    hosting = Hosting.__new__(Hosting)
    hosting._control = None
    assert hosting.processes() == ()
    assert Levels().is_used is False
    assert app.name == "none"


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "nh3", None)
    with pytest.raises(MissingExtraError, match=r"Flask-PluginKit\[sandbox\]"):
        require_extra()


def test_a_version_that_asks_for_more_waits(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The one that runs goes on, and the log says what to do."""
    hosting = site.manager._site().hosting
    row = site.row()

    class Spec:
        level = "isolated"
        folder = str(row.candidate.folder)
        plugin = "guest"
        digest = row.hosted.remote.spec.digest
        permissions = row.hosted.remote.spec.permissions

    class Running:
        spec = Spec
        is_retired = False

    class Loaded:
        remote = Running
        needs_approval = True

    running: Any = Loaded
    assert not hosting.must_wait(running, row.manifest)
    write(row.candidate.folder / "new.py", "")
    more = replace(row.manifest, permissions=(*row.manifest.permissions, "storage"))
    assert hosting.must_wait(running, more)
    assert "flask plugins approve guest" in caplog.text
    Approvals(site.folder / "state").revoke("guest")
    assert not hosting.must_wait(running, more)  # nor may the old one go on


def test_slots_mix_parts_of_here_and_of_there(sites: Callable[..., Site], tmp_path: Path) -> None:
    """In their order; one that fails there is told in debug mode, and the rest stays."""
    parts = "def register():\n    return {'tep': {'nav': '%s'}}"
    write_plugin(tmp_path / "plugins", "afirst", parts % "1@here")
    write_plugin(tmp_path / "plugins", "bfar", parts % "2@far")
    write_plugin(tmp_path / "plugins", "cbad", parts % "3@{{ 1 / 0 }}")
    write_plugin(tmp_path / "plugins", "dlast", parts % "4@last")
    levels = {"bfar": "process", "cbad": "process", "*": "trusted"}
    site = sites(isolation=levels, stpl=True)
    assert site.render('{{ emit_tep("nav") }}') == "herefarlast"
    site.app.debug = True
    shown = site.render('{{ emit_tep("nav") }}')
    assert shown.startswith("herefar")
    assert "division" in shown
    assert "cbad" in shown
    assert shown.endswith("last")


def test_the_supervisor_is_kept_until_somebody_interrupts(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking at it now and then."""
    naps = iter([None])

    def sleep(_seconds: float) -> None:
        if next(naps, "done") == "done":
            raise KeyboardInterrupt

    monkeypatch.setattr(isolation_commands, "time", SimpleNamespace(sleep=sleep))
    done = site.app.test_cli_runner().invoke(cli.plugins, ["serve"])
    assert done.exit_code == 0
