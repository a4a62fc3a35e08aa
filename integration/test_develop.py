"""The development loop: `flask run --debug` while plugins are written, and the overlay."""

from __future__ import annotations

import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from browsers import Watched
from servers import answers, free_port, running
from trees import write, write_plugin

ROOT = Path(__file__).resolve().parents[1]
BULLETIN = ROOT / "examples" / "bulletin"
SECONDS_TO_RELOAD = 30

APPLICATION = """
import os
from flask import Flask, render_template_string
from flask_pluginkit import PluginManager

app = Flask(__name__)
manager = PluginManager(app, plugin_paths=["../elsewhere"], state_dir="state")

@app.route("/")
def index():
    rows = [f"{row.name} {row.version} {row.status}" for row in manager.plugins]
    return {"shown": render_template_string("{{ emit_tep('nav') }}"), "rows": rows,
            "process": os.getpid()}
"""


def shows(text: str) -> str:
    """A plugin's code that fills the slot."""
    return f"def register():\n    return {{'tep': {{'nav': {text!r}}}}}\n"


@dataclass
class Server:
    """A development server, and the folders of its plugins."""

    folder: Path
    port: int

    @property
    def elsewhere(self) -> Path:
        """The folder of plugins that isn't on the path."""
        return self.folder / "elsewhere" / "pluginkit_plugins"

    @property
    def plugins(self) -> Path:
        """The application's folder of plugins."""
        return self.folder / "site" / "plugins"

    def get(self) -> str:
        """Return the page, with its process; an error page, too."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=30) as answer:
                text: str = answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return f"error {error.code}: {error.read().decode(errors='replace')}"
        except OSError as error:  # it ends just now
            return str(error)
        return text

    def wait_for(self, text: str) -> str:
        """Ask until the page has `text`, and return it."""
        return self.wait_until(lambda page: text in page)

    def wait_until(self, is_there: Callable[[str], bool]) -> str:
        """Ask until the page is as it should be, and return it."""
        end = time.monotonic() + SECONDS_TO_RELOAD
        while not is_there(page := self.get()):
            assert time.monotonic() < end, f"{page}\n{self.log}"
            time.sleep(0.1)
        return page

    @property
    def log(self) -> str:
        """What the server wrote."""
        return (self.folder / "log").read_text(errors="replace")


def process_of(page: str) -> str:
    """The number of the process that made a page."""
    found = re.search(r'"process": (\d+)', page)
    assert found, page
    return found[1]


@contextmanager
def developing(
    folder: Path, app: str, cwd: Path, *options: str, **env: str
) -> Iterator[tuple[int, Path]]:
    """A port at which `flask run --debug` serves an application, and the file of its log."""
    port, log = free_port(), folder / "log"
    command = [sys.executable, "-P", "-m", "flask", "--app", app, "run", "--debug"]
    full = {**os.environ, "HOME": str(folder), **env}
    words = [*command, "--port", str(port), *options]
    with running(words, log, lambda: answers(port), cwd=cwd, env=full):
        yield port, log


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with a plugin in its folder, one elsewhere, and a disabled one there."""
    write(tmp_path / "site" / "app.py", APPLICATION)
    elsewhere = tmp_path / "elsewhere" / "pluginkit_plugins"
    write_plugin(tmp_path / "site" / "plugins", "here", shows("here one, "))
    write_plugin(elsewhere, "there", shows("nav.html"), files={"templates/nav.html": "there one, "})
    write_plugin(elsewhere, "asleep", shows("asleep"), state="disabled")
    with developing(tmp_path, "app", tmp_path / "site") as (port, _log):
        made = Server(tmp_path, port)
        made.wait_for("here one, ")
        time.sleep(1.1)  # the reloader takes its first look a moment after the first answer
        yield made


def test_code_of_a_plugin_is_loaded_anew(server: Server) -> None:
    """In the application's folder, and in one that isn't on the path."""
    write_plugin(server.plugins, "here", shows("here is two, "))
    server.wait_for("here is two, ")
    write_plugin(server.elsewhere, "there", shows("there is two, "))
    server.wait_for("there is two, ")


def test_a_new_plugin_is_found_and_one_that_is_gone_is_not(server: Server) -> None:
    """Wherever its folder appears."""
    write_plugin(server.elsewhere, "new", shows("new, "))
    server.wait_for("new, ")
    (server.elsewhere / "new").rename(server.folder / "away")
    server.wait_until(lambda page: "new, " not in page and "here one" in page)
    assert " * Detected change in " in server.log


def test_the_manifest_of_a_disabled_plugin_is_read_anew(server: Server) -> None:
    """Nothing of it is imported, so Werkzeug knows nothing of it."""
    assert "asleep 1.0.0 disabled" in server.get()
    write_plugin(server.elsewhere, "asleep", shows("asleep"), state="disabled", version="2.0.0")
    server.wait_for("asleep 2.0.0 disabled")


def test_templates_that_come_and_go_are_seen(server: Server) -> None:
    """What is in them is seen at once, and ends nothing."""
    before = server.get()
    template = server.elsewhere / "there/templates/nav.html"
    template.write_text("there three, ")
    assert process_of(server.wait_for("there three, ")) == process_of(before)
    template.unlink()
    server.wait_for("nav.html")  # an error page, as a template that is registered is missing
    template.write_text("there four, ")
    server.wait_for("there four, ")


def test_a_broken_plugin_does_not_end_the_loop(server: Server) -> None:
    """The page tells what is wrong, until it is mended."""
    file = server.elsewhere / "there/__init__.py"
    good = file.read_text()
    file.write_text(good + "\n((")
    server.wait_for("syntax error")
    file.write_text(good.replace("nav.html", "mended, "))
    server.wait_for("mended, ")


def test_switching_a_plugin_does_not_start_the_server_anew(server: Server) -> None:
    """Its state is followed live, with files in its folder or in another."""
    before = server.get()
    write(server.elsewhere / "there/DISABLED")
    write(server.elsewhere / "there/.__init__.py.swp")
    write(server.elsewhere / "there/data.sqlite3")
    after = server.wait_for("there 1.0.0 disabled")
    time.sleep(3)
    assert process_of(before) == process_of(after) == process_of(server.get())


# ---- the overlay -----------------------------------------------------------------------------

STRICT = """
from flask import Flask, render_template_string
from flask_pluginkit import PluginManager

app = Flask(__name__)
app.config["PLUGINKIT_OVERLAY"] = True
PluginManager(app, strict=False)

@app.route("/")
def index():
    return render_template_string(
        "<!doctype html><html lang=en><title>{{ emit_tep('nav') }}</title>"
        "<link rel=icon href=data:,><body class=x>{{ emit_tep('nav') }}</body></html>"
    )

@app.after_request
def protect(response):
    policy = "default-src 'none'; style-src 'self'; img-src data:"
    response.headers["Content-Security-Policy"] = policy
    return response
"""


@pytest.fixture(scope="module")
def bulletin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the example with its plugins and the overlay."""
    folder = tmp_path_factory.mktemp("bulletin")
    paths = [*map(str, BULLETIN.glob("plugins/*/src")), os.environ.get("PYTHONPATH", "")]
    variables = {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONDONTWRITEBYTECODE": "1",  # not into the checkout
        "BULLETIN_INSTANCE": str(folder / "instance"),
        "BULLETIN_PLUGINKIT_OVERLAY": "true",
    }
    with developing(folder, "bulletin", BULLETIN, "--no-reload", **variables) as (port, _log):
        yield f"http://127.0.0.1:{port}/"


def open_panel(watched: Watched, address: str) -> str:
    """Open the panel of a page as one does, and return what it then says."""
    page = watched.page
    page.goto(address)
    panel = page.locator("#pluginkit-overlay")
    table = panel.locator("table").first
    assert not table.is_visible()
    panel.locator("summary").click()
    table.wait_for(state="visible")
    return panel.inner_text()


def test_the_overlay_shows_who_filled_what(bulletin: str, desktop: Watched) -> None:
    """Slots with plugin and template, hooks, and what nobody fills."""
    text = open_panel(desktop, bulletin)
    desktop.screenshot("overlay-desktop", whole=False)
    for said in ("card_meta", "readingtime", "welcome.html", "before_request", "maintenance"):
        assert said in text
    assert desktop.page.content().count("<!-- plugin part") > 3


def test_the_overlay_leaves_room_on_a_phone(bulletin: str, phone: Watched) -> None:
    """It is a line at the bottom until it is opened, and never makes the page wider."""
    phone.page.goto(bulletin)
    box = phone.page.locator("#pluginkit-overlay").bounding_box()
    assert box
    assert box["height"] < 50
    open_panel(phone, bulletin)
    phone.screenshot("overlay-phone", whole=False)
    assert not phone.is_too_wide
    box = phone.page.locator("#pluginkit-overlay").bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert box["height"] < 600


def test_the_overlay_changes_nothing_else_of_a_page(bulletin: str, desktop: Watched) -> None:
    """Everything stands where it stands without it."""
    desktop.page.goto(bulletin)
    script = """() => [...document.querySelectorAll("body *")]
        .filter(each => !each.closest("#pluginkit-overlay"))
        .map(each => { const box = each.getBoundingClientRect();
                       return [each.tagName, box.x, box.y, box.width, box.height].join(" ") })"""
    shown = desktop.page.evaluate(script)
    desktop.page.evaluate(
        """() => { document.getElementById("pluginkit-overlay").remove();
            const walker = document.createTreeWalker(document, NodeFilter.SHOW_COMMENT);
            const found = []; while (walker.nextNode()) found.push(walker.currentNode);
            found.forEach(each => each.remove()); }"""
    )
    assert desktop.page.evaluate(script) == shown


def test_the_overlay_works_under_a_strict_policy(tmp_path: Path, desktop: Watched) -> None:
    """The browser refuses nothing of it: any refusal is an error on the page."""
    write(tmp_path / "strict.py", STRICT)
    write_plugin(tmp_path / "plugins", "hello", shows("<b>nav</b>"))
    with developing(tmp_path, "strict", tmp_path, "--no-reload") as (port, _log):
        assert "hello" in open_panel(desktop, f"http://127.0.0.1:{port}/")
        desktop.screenshot("overlay-strict", whole=False)
        assert desktop.page.title() == "<b>nav</b>"
        position = "getComputedStyle(document.getElementById('pluginkit-overlay')).position"
        assert desktop.page.evaluate(position) == "fixed"
