"""Static files of plugins: their tags and URLs, and how they are served."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app, render_template_string
from hosts import Host, clean_imports, host
from markupsafe import Markup
from trees import write
from werkzeug.test import TestResponse

from flask_pluginkit import PluginManager
from flask_pluginkit.exceptions import ParamError

__all__ = ["clean_imports", "host"]

REGISTER = "def register():\n    return {}\n"
FILES = {
    "static/app.css": "body {}",
    "static/app.js": "alert(1)",
    "static/a.png": "picture",
    "static/sub/deep.css": "deep {}",
    "static/two words.js": "alert(2)",
    "static/é.js": "alert(3)",
    "static/100%.txt": "percent",
    "static/UPPER.CSS": "x",
    "secret.txt": "secret",
}
IMMUTABLE = "public, max-age=31536000, immutable"


@pytest.fixture
def hello(host: Host) -> Host:
    """A host with the plugin ``hello``, which has static files."""
    host.plugin("hello", REGISTER, files=FILES)
    host.start()
    return host


def emit(host: Host, arguments: str) -> str:
    """What ``emit_assets`` gives in a template."""
    with host.app.test_request_context():
        return render_template_string(f"{{{{ emit_assets({arguments}) }}}}")


def url(host: Host, name: str) -> str:
    """The URL of a file, with its hash."""
    with host.app.test_request_context():
        return str(host.pm.emit_assets("hello", name, _raw=True))


def digest(text: str) -> str:
    """The hash of a content, as it stands in URLs."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def get(host: Host, path: str, **headers: str) -> TestResponse:
    """Ask for a path, with headers whose names have underscores here."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return host.open(path, headers=fields, buffered=True)


# ---- tags and URLs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("'hello', 'app.css'", '<link rel="stylesheet" href="/assets/hello/app.css?v=V">'),
        ("'hello', 'app.js'", '<script src="/assets/hello/app.js?v=V"></script>'),
        ("'hello', 'a.png'", "/assets/hello/a.png?v=V"),
        (
            "'hello', 'sub/deep.css'",
            '<link rel="stylesheet" href="/assets/hello/sub/deep.css?v=V">',
        ),
        ("'hello', 'app.css', _raw=True", "/assets/hello/app.css?v=V"),
        ("'hello', 'app.js', True", "/assets/hello/app.js?v=V"),
        ("'hello', 'a.png', _external=True", "http://localhost/assets/hello/a.png?v=V"),
        (
            "'hello', 'app.js', False, True",
            '<script src="http://localhost/assets/hello/app.js?v=V"></script>',
        ),
        ("'hello', 'two words.js'", '<script src="/assets/hello/two%20words.js?v=V"></script>'),
        ("'hello', 'é.js'", '<script src="/assets/hello/%C3%A9.js?v=V"></script>'),
        ("'hello', '100%.txt'", "/assets/hello/100%25.txt?v=V"),
        ("'hello', 'UPPER.CSS'", "/assets/hello/UPPER.CSS?v=V"),
        ("filename='a.png', plugin_name='hello'", "/assets/hello/a.png?v=V"),
    ],
)
def test_css_and_js_become_tags_and_others_urls(hello: Host, arguments: str, text: str) -> None:
    """As in 3.x, with a hash of the content behind."""
    assert re.sub("v=[0-9a-f]{16}", "v=V", emit(hello, arguments)) == text


@pytest.mark.parametrize(
    ("arguments", "attributes"),
    [
        ("nonce='abc'", ' nonce="abc"'),
        ("defer=True", " defer"),
        ("defer=False, nonce=None", ""),
        ("type='module'", ' type="module"'),
        ("async_=True, crossorigin='anonymous'", ' async crossorigin="anonymous"'),
        ("data_turbo_track='reload'", ' data-turbo-track="reload"'),
        ("crossorigin=''", ' crossorigin=""'),
        ("tabindex=0", ' tabindex="0"'),
        ("nonce='\"><script>'", ' nonce="&#34;&gt;&lt;script&gt;"'),
        ("nonce='a'|safe", ' nonce="a"'),
        ("**{'x\"><script>': 'y'}", ' x&#34;&gt;&lt;script&gt;="y"'),
    ],
)
def test_further_attributes_stand_in_the_tag(hello: Host, arguments: str, attributes: str) -> None:
    """Escaped; True is an attribute without value, False and None are none."""
    v = digest("alert(1)")
    tag = f'<script src="/assets/hello/app.js?v={v}"{attributes}></script>'
    assert emit(hello, f"'hello', 'app.js', {arguments}") == tag


def test_a_stylesheet_takes_attributes_too(hello: Host) -> None:
    """``media`` and ``title`` for example."""
    tag = (
        f'<link rel="stylesheet" href="/assets/hello/app.css?v={digest("body {}")}" media="print">'
    )
    assert emit(hello, "'hello', 'app.css', media='print'") == tag


def test_what_is_emitted_is_safe_text(hello: Host) -> None:
    """It isn't escaped again by the page."""
    with hello.app.test_request_context():
        assert type(hello.pm.emit_assets("hello", "app.css")) is Markup
        assert type(hello.pm.emit_assets("hello", "a.png")) is Markup


def test_a_url_below_a_mount_point(hello: Host) -> None:
    """Where the application isn't at the root of its host."""
    with hello.app.test_request_context("/", base_url="http://localhost/app"):
        found = hello.pm.emit_assets("hello", "a.png")
    assert found == f"/app/assets/hello/a.png?v={digest('picture')}"


def test_endpoint_and_path_can_be_chosen(host: Host) -> None:
    """By the options of 3.x."""
    host.plugin("hello", REGISTER, files=FILES)
    host.start(static_endpoint="things", static_url_path="/plugin/things")
    assert emit(host, "'hello', 'a.png'").startswith("/plugin/things/hello/a.png?v=")
    assert get(host, "/plugin/things/hello/a.png").text == "picture"
    with host.app.test_request_context():
        path = render_template_string("{{ url_for('things', plugin_name='hello', filename='x') }}")
    assert path == "/plugin/things/hello/x"


@pytest.mark.parametrize("name", ["my plugin", "a.b-c_d", "été"])
def test_plugins_with_unusual_names(host: Host, name: str) -> None:
    """The name is one segment of the path."""
    host.plugin("hello", REGISTER, plugin_name=name, files=FILES)
    host.start()
    found = emit(host, f"{name!r}, 'a.png'")
    assert get(host, found).text == "picture"


def test_a_changed_file_has_another_url(hello: Host) -> None:
    """The hash is that of the content, also where time or size alone is as before."""
    path = hello.folder / "plugins/hello/static/a.png"
    before = url(hello, "a.png")
    assert before.endswith(f"?v={digest('picture')}")
    time = path.stat().st_mtime_ns
    write(path, "Picture")
    os.utime(path, ns=(time, time + 1))
    assert url(hello, "a.png").endswith(f"?v={digest('Picture')}")
    write(path, "longer picture")
    os.utime(path, ns=(time, time + 1))
    assert url(hello, "a.png").endswith(f"?v={digest('longer picture')}")


def test_a_content_is_read_once(hello: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page with many tags must not read all those files."""
    url(hello, "a.png")
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert url(hello, "a.png").endswith(digest("picture"))


# ---- what isn't there ------------------------------------------------------------------------

MISSING = [
    ("'nobody', 'a.png'", "no active plugin 'nobody' (for its file 'a.png')"),
    ("'off', 'a.png'", "no active plugin 'off' (for its file 'a.png')"),
    ("'hello', 'missing.css'", "plugin 'hello' has no file 'missing.css' in "),
    ("'hello', 'sub'", "plugin 'hello' has no file 'sub' in "),
    ("'hello', ''", "plugin 'hello' has no file '' in "),
    ("'hello', '../secret.txt'", "plugin 'hello' has no file '../secret.txt' in "),
    ("'hello', '/etc/passwd'", "plugin 'hello' has no file '/etc/passwd' in "),
    ("'hello', 'a\\x00.png'", "plugin 'hello' has no file 'a\\x00.png' in "),
    ("'hello', 'link.txt'", "plugin 'hello' has no file 'link.txt' in "),
]


@pytest.fixture
def lacking(host: Host) -> Host:
    """A host with a disabled plugin beside ``hello``, which has a link to outside."""
    host.plugin("hello", REGISTER, files=FILES)
    host.plugin("off", REGISTER, files=FILES, state="disabled")
    (host.folder / "plugins/hello/static/link.txt").symlink_to("../secret.txt")
    return host


@pytest.mark.parametrize(("arguments", "reason"), MISSING)
def test_an_unknown_plugin_or_file_is_an_error_in_strict_mode(
    lacking: Host, arguments: str, reason: str
) -> None:
    """It says what is missing and where it was looked for."""
    lacking.start(strict=True)
    with pytest.raises(ParamError, match=re.escape(f"emit_assets: {reason}")):
        emit(lacking, arguments)


@pytest.mark.parametrize(("arguments", "reason"), MISSING)
def test_else_it_is_empty_and_a_log_line(
    lacking: Host, caplog: pytest.LogCaptureFixture, arguments: str, reason: str
) -> None:
    """The page is shown without it."""
    lacking.start(strict=False)
    with caplog.at_level(logging.WARNING):
        assert emit(lacking, arguments) == ""
    assert f"emit_assets: {reason}" in caplog.text


def test_a_plugin_without_static_files(host: Host) -> None:
    """Not every plugin has the folder."""
    host.plugin("hello", REGISTER)
    host.start(strict=False)
    assert emit(host, "'hello', 'a.png'") == ""
    assert get(host, "/assets/hello/a.png").status_code == 404


# ---- serving ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mimetype"),
    [("app.css", "text/css"), ("app.js", "text/javascript"), ("a.png", "image/png")],
)
def test_a_file_is_served_with_its_type(hello: Host, name: str, mimetype: str) -> None:
    """And browsers are told not to guess another."""
    response = get(hello, f"/assets/hello/{name}")
    assert response.status_code == 200
    assert response.text == FILES[f"static/{name}"]
    assert response.mimetype == mimetype
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "name", ["app.css", "sub/deep.css", "two words.js", "é.js", "100%.txt", "UPPER.CSS"]
)
def test_emitted_urls_are_cached_for_ever(hello: Host, name: str) -> None:
    """Another content has another URL: a client need never ask again."""
    response = get(hello, url(hello, name))
    assert response.text == FILES[f"static/{name}"]
    assert response.headers["Cache-Control"] == IMMUTABLE


@pytest.mark.parametrize("query", ["", "?v=", "?v=0123456789abcdef", "?w=1", "?v=%00"])
def test_other_urls_are_checked_each_time(hello: Host, query: str) -> None:
    """Without the right hash, what stands there can change."""
    response = get(hello, f"/assets/hello/a.png{query}")
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-cache"


def test_the_hash_of_an_older_content_isnt_cached(hello: Host) -> None:
    """A page from before a deployment gets the new file, and must ask again."""
    before = url(hello, "a.png")
    write(hello.folder / "plugins/hello/static/a.png", "new picture")
    response = get(hello, before)
    assert response.text == "new picture"
    assert "immutable" not in response.headers["Cache-Control"]


def test_flasks_setting_is_used_for_urls_without_hash(hello: Host) -> None:
    """SEND_FILE_MAX_AGE_DEFAULT, in seconds."""
    hello.app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 60
    assert "max-age=60" in get(hello, "/assets/hello/a.png").headers["Cache-Control"]
    assert get(hello, url(hello, "a.png")).headers["Cache-Control"] == IMMUTABLE


def test_a_file_that_the_client_has_isnt_sent_again(hello: Host) -> None:
    """By its ETag or its date; the answer keeps what belongs to it."""
    path = url(hello, "a.png")
    first = get(hello, path)
    for header in (
        {"If_None_Match": first.headers["ETag"]},
        {"If_Modified_Since": first.headers["Last-Modified"]},
    ):
        second = get(hello, path, **header)
        assert (second.status_code, second.data) == (304, b"")
        assert second.headers["Cache-Control"] == IMMUTABLE
        assert second.headers["X-Content-Type-Options"] == "nosniff"


def test_a_changed_file_is_sent_again(hello: Host) -> None:
    """Its ETag is another one."""
    first = get(hello, "/assets/hello/a.png")
    write(hello.folder / "plugins/hello/static/a.png", "new picture")
    second = get(hello, "/assets/hello/a.png", If_None_Match=first.headers["ETag"])
    assert (second.status_code, second.text) == (200, "new picture")


@pytest.mark.parametrize(
    ("wanted", "status", "text"),
    [
        ("bytes=0-2", 206, "pic"),
        ("bytes=-3", 206, "ure"),
        ("bytes=4-", 206, "ure"),
        ("bytes=99-", 416, None),
        ("lines=1", 416, None),
    ],
)
def test_a_part_of_a_file(hello: Host, wanted: str, status: int, text: str | None) -> None:
    """Players of videos and resumed downloads ask for ranges."""
    response = get(hello, url(hello, "a.png"), Range=wanted)
    assert response.status_code == status
    if text is not None:
        assert response.text == text
        assert response.headers["Content-Range"].endswith("/7")


def test_the_head_of_a_file(hello: Host) -> None:
    """Its length and headers without its content."""
    response = hello.open(url(hello, "a.png"), method="HEAD", buffered=True)
    assert (response.data, response.content_length) == (b"", 7)
    assert response.headers["Cache-Control"] == IMMUTABLE


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_files_are_only_read(hello: Host, method: str) -> None:
    """Other methods aren't allowed."""
    assert hello.open("/assets/hello/a.png", method=method).status_code == 405


# ---- what must not be served -----------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "sub/../../secret.txt",
        "%2e%2e/secret.txt",
        "..%2fsecret.txt",
        "%2e%2e%2fsecret.txt",
        "..%252fsecret.txt",
        "..\\secret.txt",
        "..%5csecret.txt",
        "%2fetc/passwd",
        "%2f%2fetc/passwd",
        "/etc/passwd",
        "a.png%00",
        "a.png%00.css",
        "%00",
        "",
        "sub",
        "sub/",
        ".",
        "..",
        "missing.css",
        "../__init__.py",
        "link.txt",
        "folder/secret.txt",
        "loop",
        "x" * 5000,
    ],
)
@pytest.mark.parametrize("query", ["", "?v=0123456789abcdef"])
def test_nothing_outside_the_static_folder_is_served(lacking: Host, path: str, query: str) -> None:
    """Neither by climbing, nor by an absolute path, nor by a link that leads out of it."""
    static = lacking.folder / "plugins/hello/static"
    (static / "folder").symlink_to("..")
    (static / "loop").symlink_to("loop")
    lacking.start()
    response = lacking.open(f"/assets/hello/{path}{query}", follow_redirects=True, buffered=True)
    assert response.status_code == 404


@pytest.mark.parametrize("plugin", ["nobody", "off", "..", "hello/..", "%2e%2e", "%00"])
def test_nothing_of_a_plugin_that_isnt_active_is_served(lacking: Host, plugin: str) -> None:
    """A disabled one's files were, in 3.x."""
    lacking.start()
    assert get(lacking, f"/assets/{plugin}/a.png").status_code == 404
    assert get(lacking, f"/assets/{plugin}/static/a.png").status_code == 404


def test_links_inside_the_static_folder_are_followed(host: Host) -> None:
    """They lead to what is served anyway."""
    host.plugin("hello", REGISTER, files=FILES)
    (host.folder / "plugins/hello/static/logo.png").symlink_to("a.png")
    host.start()
    assert get(host, url(host, "logo.png")).text == "picture"


def test_the_static_folder_itself_may_be_a_link(host: Host) -> None:
    """To what a front-end tool built, for example; and so may the plugin's folder."""
    host.plugin("hello", REGISTER)
    write(host.folder / "dist/a.png", "picture")
    (host.folder / "plugins/hello/static").symlink_to(host.folder / "dist")
    real = host.folder / "checkout"
    (host.folder / "plugins/hello").rename(real)
    (host.folder / "plugins/hello").symlink_to(real)
    host.start()
    assert get(host, url(host, "a.png")).text == "picture"


def test_a_link_that_changes_is_looked_at_again(host: Host) -> None:
    """What it led to before doesn't count."""
    host.plugin("hello", REGISTER, files=FILES)
    link = host.folder / "plugins/hello/static/logo.png"
    link.symlink_to("a.png")
    host.start()
    assert get(host, "/assets/hello/logo.png").status_code == 200
    link.unlink()
    link.symlink_to("../secret.txt")
    assert get(host, "/assets/hello/logo.png").status_code == 404
    link.unlink()
    link.symlink_to("app.css")
    assert get(host, "/assets/hello/logo.png").text == "body {}"


def test_a_plugins_folder_given_by_a_relative_path(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is relative to where the process started, for static files as for modules."""
    host.plugin("hello", REGISTER, files=FILES)
    monkeypatch.chdir(host.folder.parent)
    app = Flask(__name__)
    PluginManager(app, plugins_base=host.folder.name, strict=True)
    monkeypatch.chdir("/")
    assert app.test_client().get("/assets/hello/a.png", buffered=True).text == "picture"


def test_hooks_of_the_application_see_these_requests(hello: Host) -> None:
    """A login guard protects plugins' files as well, if it wants to."""
    hello.app.before_request(lambda: ("no", 403))
    assert get(hello, "/assets/hello/a.png").status_code == 403


def test_two_applications_serve_their_own_files(hello: Host, tmp_path: Path) -> None:
    """Each from its folder."""
    other = Host(tmp_path / "other")
    other.plugin("hello", REGISTER, files={"static/a.png": "other picture"})
    other.start()
    assert get(hello, url(hello, "a.png")).text == "picture"
    assert get(other, url(other, "a.png")).text == "other picture"


def test_an_application_with_host_matching(host: Host) -> None:
    """The option ``host`` says where plugins' files are."""

    def start() -> Any:
        host.app = Flask(
            "host", root_path=str(host.folder), host_matching=True, static_host="localhost"
        )
        return host.start(host="localhost")

    host.plugin("hello", REGISTER, files=FILES)
    start()
    assert get(host, "/assets/hello/a.png").text == "picture"
    with host.app.test_request_context():
        assert current_app.url_map.host_matching
