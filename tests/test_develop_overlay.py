"""The overlay of debug mode: what plugins did for a page, on the page."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Response, render_template, render_template_string, send_file, stream_template
from hosts import Host, clean_imports, host
from isolation_sites import Site, guest, sites
from trees import write, write_plugin

from flask_pluginkit.develop import traces
from flask_pluginkit.develop.panel import stylesheet

__all__ = ["clean_imports", "host", "sites"]

PLUGIN = """
from flask import g
from flask_pluginkit import push_dcp
def count():
    return "<i>3</i>"
def before():
    g.seen = True
def after(response):
    return response
def register():
    push = lambda app: None
    return {
        "tep": {"nav": "nav.html", "empty": "{% if 0 %}x{% endif %}", "outer": OUTER},
        "hep": {"before_request": before, "after_request": after},
        "dcp": {"counter": count},
    }
OUTER = "<u>{{ emit_tep('nav') }}</u>"
"""
PAGE = """<!doctype html><html><head><title>{{ emit_tep("nav") }}</title></head>
<body class="{{ emit_tep("nav") }}">{{ emit_tep("outer") }}{{ emit_dcp("counter") }}
{{ "full" if emit_tep("empty") else "empty" }}{{ emit_tep("nobody") }}</body></html>"""


def started(host: Host, page: str = PAGE, **config: Any) -> Host:
    """A host in debug mode with an overlay, a page, and a plugin in it."""
    host.plugin("hello", PLUGIN, files={"templates/nav.html": "<b>nav</b>"})
    host.template("page.html", page)
    host.app.config.update({"DEBUG": True, "PLUGINKIT_OVERLAY": True, **config})
    host.start(strict=False, live=False)
    host.app.add_url_rule("/", "page", lambda: render_template("page.html"))
    return host


def panel_of(html: str) -> str:
    """What the panel of a page says, as text."""
    found = re.search(r'<div id="pluginkit-overlay".*</div>\s*</body>', html, re.DOTALL)
    assert found, html
    return re.sub(r"\s*<[^>]+>\s*", "|", found[0])


def row_of(html: str, place: str, number: int = 0) -> list[str]:
    """The cells of one row of the panel, the `number`-th of those at a place, as HTML."""
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]
    return [row for row in rows if len(row) == 5 and place in row[1]][number]


def test_a_page_tells_which_plugin_rendered_which_slot(host: Host) -> None:
    """With the template and a time, in the order in which they were rendered."""
    number, slot, plugin, what, time = row_of(started(host).get("/"), "nav")
    assert (number, slot, plugin, what) == ("2", "nav", "hello", "<code>nav.html</code>")
    assert re.fullmatch(r"\d+\.\d\d", time)


def test_a_slot_in_a_part_is_shown_inside_of_it(host: Host) -> None:
    """With a sign of how deep it is."""
    assert row_of(started(host).get("/"), "nav", 2)[1] == "&#9492; nav"


def test_a_page_tells_which_function_was_called_at_an_event(host: Host) -> None:
    """By its name."""
    assert row_of(started(host).get("/"), "counter")[3] == "<code>count</code>"


@pytest.mark.parametrize("hook", ["before_request", "after_request"])
def test_a_page_tells_which_hooks_ran(host: Host, hook: str) -> None:
    """By table, plugin and function."""
    _, table, plugin, what, _ = row_of(started(host).get("/"), hook)
    assert (table, plugin, what) == (hook, "hello", f"<code>{hook.partition('_')[0]}</code>")


def test_a_page_tells_what_could_be_filled(host: Host) -> None:
    """Slots that its templates offer, and that no plugin fills."""
    assert "Filled by nobody: slot nobody." in panel_of(started(host).get("/"))


@pytest.mark.parametrize(
    ("path", "whose"), [("/", "page of the application"), ("/v", "view of plugin seer")]
)
def test_a_page_tells_which_view_has_answered(host: Host, path: str, whose: str) -> None:
    """The application's, or that of a plugin."""
    view = "def view():\n    return render_template_string('<body>{{ emit_tep(1|string) }}</body>')"
    host.plugin(
        "seer",
        f"from flask import render_template_string\n{view}\n"
        "def register():\n    return {'vep': {'rule': '/v', 'view_func': view}}\n",
    )
    assert f"The view {whose} has answered." in panel_of(started(host).get(path))


def test_parts_are_marked_in_the_page(host: Host) -> None:
    """Between comments, with the number that they have in the panel."""
    html = started(host, "<body>{{ emit_tep('nav') }}</body>").get("/")
    begin, end = "<!-- plugin part 2: slot nav, hello, nav.html -->", "<!-- /plugin part 2 -->"
    assert f"<body>{begin}<b>nav</b>{end}" in html


def test_marks_stand_nowhere_but_in_the_text(host: Host) -> None:
    """Titles and attributes of a page are what they are without the overlay."""
    html = started(host).get("/")
    assert "<title><b>nav</b></title>" in html
    assert '<body class="<b>nav</b>">' in html


def test_an_empty_part_stays_empty(host: Host) -> None:
    """Templates ask whether a slot shows anything; the panel says that this one doesn't."""
    html = started(host).get("/")
    assert "\nempty" in html
    assert "<em>nothing</em>" in row_of(html, "empty")[3]


def test_a_part_that_fails_is_shown_as_that(host: Host) -> None:
    """Where the page does without it, as here without strict mode."""
    host.plugin("bad", 'def register():\n    return {"tep": {"nav": "{{ 1 / 0 }}"}}\n')
    html = started(host, "<body>{{ emit_tep('nav') }}</body>").get("/")
    assert "<em>failed</em>" in row_of(html, "nav")[3] + row_of(html, "nav", 1)[3]


def test_a_function_that_fails_is_shown_as_that(host: Host) -> None:
    """And what stands in its place isn't marked."""
    host.plugin("bad", 'def register():\n    return {"dcp": {"counter": lambda: 1 / 0}}\n')
    html = started(host, "<body>{{ emit_dcp('counter') }}</body>").get("/")
    assert "<em>failed</em>" in row_of(html, "counter")[3]
    assert html.count("<!-- plugin part") == 1


def test_a_hook_that_answers_is_shown_as_that(host: Host) -> None:
    """It is why the view didn't."""
    host.plugin(
        "gate",
        "def answer():\n    return '<body>closed</body>'\n"
        "def register():\n    return {'hep': {'before_request': answer}}\n",
    )
    html = started(host).get("/")
    assert "<em>answered</em>" in row_of(html, "before_request")[3]


def test_what_raises_is_shown_on_the_page_of_the_error(host: Host) -> None:
    """In strict mode a part, and ever a hook, takes the page along."""
    host.plugin(
        "bad",
        "def fail():\n    raise OSError\ndef register():\n"
        "    return {'hep': {'before_request': fail}, 'tep': {'empty': '{{ 1 / 0 }}'}}\n",
    )
    started(host, PROPAGATE_EXCEPTIONS=False)
    host.app.register_error_handler(500, lambda _: ("<body>sorry</body>", 500))
    assert "<em>raised OSError</em>" in row_of(host.get("/"), "before_request")[3]


def test_a_hook_of_one_blueprint_says_so(host: Host) -> None:
    """It runs around that blueprint's pages alone."""
    host.plugin(
        "own",
        "from flask import Blueprint\nown = Blueprint('own', __name__)\n"
        "@own.before_request\ndef guard():\n    pass\n"
        "own.add_url_rule('/own', 'own', lambda: '<body></body>')\n"
        "def register():\n    return {'bep': {'blueprint': own}}\n",
    )
    html = started(host).get("/own")
    assert row_of(html, "before_request of own")[2:4] == ["own", "<code>guard</code>"]


def test_a_page_with_thousands_of_parts_keeps_some(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is counted, and not marked."""
    monkeypatch.setattr(traces, "MOST", 3)
    page = "<body>{% for _ in range(5) %}{{ emit_tep('nav') }}{% endfor %}</body>"
    html = started(host, page).get("/")
    assert html.count("<!-- plugin part") == 2  # and one hook
    assert html.count("<b>nav</b>") == 5
    assert "|4 more were left out.|" in panel_of(html)


def test_outside_of_a_request_nothing_is_marked(host: Host) -> None:
    """A job or command that renders a template shows it to nobody."""
    started(host)
    assert host.render("{{ emit_tep('nav') }}{{ emit_dcp('counter') }}") == "<b>nav</b><i>3</i>"


def test_what_plugins_say_is_escaped(host: Host) -> None:
    """In the panel and in comments: neither ends early, whatever a slot is called."""
    page = "<body>{{ emit_tep(name) }}</body>".replace("name", repr("--><script>x</script>"))
    host.plugin(
        "odd", "def register():\n    return {'tep': {'--><script>x</script>': '<b>--></b>'}}\n"
    )
    html = started(host, page).get("/")
    assert "<script>" not in html
    assert "<!-- plugin part 2: slot _script_x_/script_, odd, _b_/b_ -->" in html


def test_the_panel_has_neither_script_nor_style_in_it(host: Host) -> None:
    """A page's Content-Security-Policy may forbid both."""
    panel = started(host, "<body>{{ emit_tep('nav') }}</body>").get("/")
    assert "style=" not in panel
    assert "<style" not in panel
    assert "<script" not in panel


def test_the_length_is_that_of_the_page_with_its_panel(host: Host) -> None:
    """In bytes; and a tag of the page without it isn't sent."""
    started(host, "<body>饺子{{ emit_tep('nav') }}</body>")

    @host.app.after_request
    def tag(response: Response) -> Response:
        response.add_etag()
        return response

    answer = host.open("/")
    assert int(answer.headers["Content-Length"]) == len(answer.data)
    assert "饺子<!-- plugin" in answer.text
    assert "ETag" not in answer.headers


def test_the_panel_fits_into_a_page_in_another_encoding(host: Host) -> None:
    """It is ASCII alone."""
    started(host)
    page = "<body>caf\xe9 {{ emit_tep('outer') }}</body>"
    host.app.add_url_rule(
        "/latin",
        "latin",
        lambda: Response(
            render_template_string(page).encode("latin-1"),
            content_type="text/html; charset=iso-8859-1",
        ),
    )
    body = host.open("/latin").data
    assert b"caf\xe9 " in body
    assert b"&#9492; nav" in body


def test_json_is_what_it_is_without_the_overlay(host: Host) -> None:
    """Parts that were rendered into it lose their marks."""
    started(host)
    host.app.add_url_rule(
        "/json", "json", lambda: {"html": render_template_string("{{ emit_tep('nav') }}")}
    )
    assert json.loads(host.get("/json")) == {"html": "<b>nav</b>"}


def test_a_fragment_is_marked_and_has_no_panel(host: Host) -> None:
    """What a script puts into a page has no end of a body."""
    html = started(host, "{{ emit_tep('nav') }}").get("/")
    assert html.startswith("<!-- plugin part 2")
    assert html.endswith("<!-- /plugin part 2 -->")


def compressed() -> Response:
    """A page that is compressed, or says so."""
    html = render_template_string("<body>{{ emit_tep('nav') }}</body>")
    return Response(html, headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize("kind", ["stream", "file", "gzip", "raw"])
def test_what_cannot_be_read_is_left_alone(host: Host, kind: str) -> None:
    """Streams, files, compressed pages, and what is to be sent without being looked at."""
    started(host)
    file = write(host.folder / "file.html", "<body>file</body>")
    views: dict[str, Callable[..., Any]] = {
        "stream": lambda: stream_template("page.html"),
        "file": lambda: send_file(file),
        "gzip": compressed,
        "raw": lambda: Response(
            [render_template("page.html").encode()], mimetype="text/html", direct_passthrough=True
        ),
    }
    host.app.add_url_rule("/other", "other", views[kind])
    with host.open("/other") as answer:
        assert answer.status_code == 200
        body = b"".join(answer.iter_encoded())
        assert b"</body>" in body
        assert b"pluginkit-overlay" not in body


def test_an_error_page_has_a_panel(host: Host) -> None:
    """With the hooks that ran before it."""
    started(host).app.register_error_handler(404, lambda _: ("<body>nothing here</body>", 404))
    answer = host.open("/nowhere")
    assert answer.status_code == 404
    assert "|No view has answered: the page is an error&#39;s.|" in panel_of(answer.text)
    assert row_of(answer.text, "before_request")


def test_debug_mode_can_be_left(host: Host) -> None:
    """From then on pages are as they are."""
    started(host).app.debug = False
    html = host.get("/")
    assert "<b>nav</b>" in html
    assert "pluginkit" not in html


def test_outside_debug_mode_the_overlay_is_ignored(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """With a warning, and nothing of it is there, not even its stylesheet."""
    with caplog.at_level(logging.WARNING):
        started(host, DEBUG=False)
    assert "PLUGINKIT_OVERLAY is ignored" in caplog.text
    assert "pluginkit" not in host.get("/")
    assert host.open("/_pluginkit/overlay.css").status_code == 404


def test_the_stylesheet_is_served_past_what_the_application_shuts(host: Host) -> None:
    """As a host's login would shut it."""
    started(host)
    host.app.before_request(lambda: ("closed", 403))
    answer = host.open("/_pluginkit/overlay.css")
    assert (answer.status_code, answer.mimetype) == (200, "text/css")


def test_the_stylesheet_is_found_where_the_application_is_mounted(host: Host) -> None:
    """Below a prefix as well."""
    html = started(host).get("/", base_url="http://localhost/below")
    assert '<link rel="stylesheet" href="/below/_pluginkit/overlay.css">' in html


@pytest.mark.parametrize("is_early", [True, False], ids=["before the manager", "after it"])
def test_the_panel_comes_after_the_hosts_own_functions(host: Host, is_early: bool) -> None:
    """Whenever they were registered: they still see the page without it."""
    seen: list[bytes] = []

    def look(response: Response) -> Response:
        seen.append(response.get_data())
        return response

    if is_early:
        host.app.after_request(look)
    started(host)
    if not is_early:
        host.app.after_request(look)
    assert "pluginkit-overlay" in host.get("/")
    assert b"pluginkit-overlay" not in seen[0]


@pytest.mark.parametrize(
    ("policy", "link"),
    [
        ("", '<link rel="stylesheet" href="/_pluginkit/overlay.css">'),
        ("script-src 'none'", '<link rel="stylesheet" href="/_pluginkit/overlay.css">'),
        ("default-src 'self'", '<link rel="stylesheet" href="/_pluginkit/overlay.css">'),
        (
            "default-src 'none'; style-src 'nonce-aB3=' 'strict-dynamic'",
            '<link rel="stylesheet" href="/_pluginkit/overlay.css" nonce="aB3=">',
        ),
        ("Style-Src-Elem https://cdn.example; style-src 'self'", "<!-- plain"),
        ("default-src 'none'", "<!-- plain"),
        ("default-src", "<!-- plain"),
    ],
)
def test_the_stylesheet_goes_by_the_pages_policy(policy: str, link: str) -> None:
    """With the nonce that it names; where it lets none in, a comment says why it is plain."""
    assert stylesheet("", [policy]).startswith(link)


def test_a_strict_policy_of_the_host_is_seen(host: Host) -> None:
    """It is set by a function that was registered after the manager."""
    started(host)

    @host.app.after_request
    def protect(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = "style-src 'nonce-xyz'"
        return response

    assert 'nonce="xyz"' in host.get("/")


def test_times_by_plugin_are_its_own(host: Host) -> None:
    """What another plugin's part did inside of a part counts for that one alone."""
    started(host)
    text = panel_of(host.get("/"))
    assert re.search(r"Milliseconds by plugin: hello \d+\.\d\d\.", text)


def test_switching_works_with_the_overlay(host: Host) -> None:
    """Hooks and parts of a plugin go with it, and come back with it."""
    started(host)
    host.pm.disable_plugin("hello")
    assert "hello" not in host.get("/")
    host.pm.enable_plugin("hello")
    assert row_of(host.get("/"), "before_request")[2] == "hello"


def test_calls_are_counted_as_without_the_overlay(host: Host) -> None:
    """The manager tells of each once."""
    started(host)
    host.get("/")
    assert host.row("hello").counts["before_request"] == (1, 0)
    assert host.row("hello").counts["tep nav"] == (3, 0)


def test_what_a_plugin_pushes_while_it_registers_is_there(host: Host) -> None:
    """The overlay's connection points are there before any plugin is."""
    host.plugin(
        "early",
        "from flask_pluginkit import push_dcp\nfrom flask import current_app\n"
        "def register():\n    push_dcp('counter', lambda: 'pushed')\n    return {}\n",
    )
    with host.app.app_context():
        started(host)
    assert "-->pushed<!--" in host.get("/")


def test_a_start_that_fails_leaves_nothing_of_the_overlay(host: Host) -> None:
    """Neither around the application nor behind its responses."""
    host.plugin("bad", "def register():\n    return {'vep': {}}\n")
    host.app.config.update(DEBUG=True, PLUGINKIT_OVERLAY=True)
    before = host.app.wsgi_app
    with pytest.raises(Exception, match="bad"):
        host.start(strict=True)
    assert host.app.wsgi_app == before
    assert not host.app.after_request_funcs.get(None)


def test_the_overlay_is_not_imported_where_it_is_off() -> None:
    """Nor is anything else of the folder, in debug mode or not."""
    program = (
        "import sys; from flask import Flask; from flask_pluginkit import PluginManager\n"
        "app = Flask('host'); app.debug = True; PluginManager(app); app.test_client().get('/')\n"
        "print([name for name in sys.modules if 'pluginkit.develop' in name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.fixture
def isolated(sites: Callable[..., Site], tmp_path: Path) -> Site:
    """A site with an overlay, and two plugins: one in a process of its own."""
    guest(tmp_path)
    write_plugin(
        tmp_path / "plugins", "host", "def register():\n    return {'tep': {'nav': 'trusted'}}\n"
    )
    return sites(config={"DEBUG": True, "PLUGINKIT_OVERLAY": True}, isolation={"guest": "process"})


MIXED = "<body>{{ emit_tep('nav') }}{{ emit_tep('bad') }}{{ emit_dcp('counter') }}</body>"


def test_parts_from_other_processes_are_shown_with_their_round_trip(isolated: Site) -> None:
    """And marked as all others, beside those of trusted plugins and those that fail."""
    html = isolated.render(MIXED)
    rows = {row[2]: row for row in (row_of(html, "nav"), row_of(html, "nav", 1))}
    assert rows.keys() == {"guest <small>(process: not sandboxed: round trip)</small>", "host"}
    assert all(float(row[4]) > 0 for row in rows.values())
    assert re.search(r"<!-- plugin part \d: slot nav, guest", html)
    assert re.search(r"<!-- plugin part \d: slot nav, host, trusted -->trusted<!-- /", html)
    assert "<em>failed</em>" in row_of(html, "bad")[3]
    assert row_of(html, "counter")[2].startswith("guest <small>")


def test_parts_from_other_processes_are_plain_outside_debug_mode(isolated: Site) -> None:
    """As those of all others."""
    isolated.app.debug = False
    html = isolated.render(MIXED)
    assert "trusted" in html
    assert "pluginkit" not in html
