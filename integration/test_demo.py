"""The README's demo command in a fresh clone: served, looked at in a browser, ended."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from browsers import Watched

ROOT = Path(__file__).resolve().parents[1]
SECONDS_TO_START = 600
SECONDS_TO_END = 30
PLUGINS = {
    "comments",
    "feeds",
    "maintenance",
    "markdownish",
    "readingtime",
    "search",
    "visitors",
    "welcome",
}

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the README's commands are for a POSIX shell"
)


class Demo:
    """The demo, started by the README's command in a clone of its own."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "clone"
        self.log = folder / "demo.log"
        self._clone_checkout(folder)
        self.environment = fresh_environment(folder)
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                ["sh", "-c", readme_command()],
                cwd=self.clone,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _clone_checkout(self, folder: Path) -> None:
        # In a container the checkout may belong to somebody else; git clones it all the same
        # if a configuration file (not the command line: that is for its own repository) says so.
        (folder / "gitconfig").write_text("[safe]\n\tdirectory = *\n")
        subprocess.run(
            ["git", "clone", "--quiet", str(ROOT), str(self.clone)],
            check=True,
            env={**os.environ, "GIT_CONFIG_GLOBAL": str(folder / "gitconfig")},
        )

    @property
    def output(self) -> str:
        """What the command has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for_address(self) -> str:
        """The printed address, as soon as all of the overview is printed."""
        end = time.monotonic() + SECONDS_TO_START
        while "Ctrl-C ends it" not in self.output:
            if time.monotonic() > end or self.process.poll() is not None:
                pytest.fail(f"the demo didn't start:\n{self.output[-6000:]}")
            time.sleep(0.2)
        found = re.search(r"^  (http://127\.0\.0\.1:\d+)$", self.output, re.MULTILINE)
        assert found, self.output
        return found[1]

    def processes(self) -> dict[int, str]:
        """The command lines, by process number, of what is of the demo's group or its clone."""
        return {
            number: line
            for number, group, line in running_processes()
            if group == self.process.pid or str(self.clone) in line
        }

    def end(self, number: int) -> int:
        """Send a signal to the group, as a terminal does for Ctrl-C; return the exit code.

        The shell may be gone a moment before the last of the others.
        """
        os.killpg(self.process.pid, number)
        code = self.process.wait(SECONDS_TO_END)
        end = time.monotonic() + 3
        while self.processes() and time.monotonic() < end:
            time.sleep(0.1)
        return code


def running_processes() -> Iterator[tuple[int, int, str]]:
    """Number, group and command line of every process that lives."""
    if Path("/proc/self/stat").exists():  # Linux, also where a small image has no ps
        yield from _processes_of_linux()
        return
    lines = subprocess.run(
        ["ps", "-A", "-o", "pid=,pgid=,stat=,args="], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    for number, group, state, *words in map(str.split, lines):
        if not state.startswith("Z"):
            yield int(number), int(group), " ".join(words)


def _processes_of_linux() -> Iterator[tuple[int, int, str]]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # after the name, which is in brackets and may hold anything: state, parent, group
            state, _, group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended in the meantime
            continue
        if state != "Z":
            yield int(folder.name), int(group), line


def readme_command() -> str:
    """The one line of the README that starts the demo."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^python3 -m venv .* -s demo$", text, re.MULTILINE)
    return str(command)


def fresh_environment(folder: Path) -> dict[str, str]:
    """The environment of a user who has `python3`, and nothing of this test run."""
    programs = folder / "bin"
    programs.mkdir()
    python3 = programs / "python3"
    python3.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python3.chmod(0o755)
    ours = ("PYTHON", "PLUGINKIT", "BULLETIN", "COVERAGE", "NOX", "VIRTUAL_ENV", "PYTEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The running demo; the last test of this module ends it."""
    if shutil.which("git") is None:
        pytest.skip("git isn't installed: THE DEMO WAS NOT RUN")
    found = Demo(tmp_path_factory.mktemp("demo"))
    try:
        found.wait_for_address()
        yield found
    finally:
        if found.process.poll() is None:
            found.end(signal.SIGTERM)
        for number in found.processes():  # only if a test failed: nothing may go on serving
            os.kill(number, signal.SIGKILL)


@pytest.fixture(scope="module")
def address(demo: Demo) -> str:
    """Where the demo is served, such as ``http://127.0.0.1:5000``."""
    return demo.wait_for_address()


def sign_in(address: str, watched: Watched) -> None:
    """Sign in as the moderator `demo`, from the front page."""
    page = watched.page
    page.goto(address)
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("Name").fill("demo")
    page.get_by_label("Password").fill("demo")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("Welcome back, demo.").wait_for()


def test_the_overview_lists_all_plugins_as_active_in_80_columns(demo: Demo) -> None:
    """What is printed names each plugin with version and status, and fits a terminal."""
    overview = demo.output[demo.output.index("  Linden Street") :]
    rows = re.findall(r"^  (\w+) +(\d+\.\d+\.\d+) +(\w+)$", overview, re.MULTILINE)
    assert {name for name, _, status in rows if status == "active"} == PLUGINS
    # paths of the clone, which lies deep in a temporary folder here, aren't counted
    lines = [line for line in overview.splitlines() if str(demo.clone) not in line]
    assert max(map(len, lines)) <= 80


def test_the_front_page_shows_notices_and_what_plugins_add(address: str, desktop: Watched) -> None:
    """Cards, search box, reading time, counters, feed link and welcome stand on one page."""
    page = desktop.page
    page.goto(address)
    assert page.locator(".card").count() == 8
    assert page.get_by_label("Search the board").is_visible()
    assert page.get_by_text("min read").count() == 8
    assert page.get_by_text("pages read today").is_visible()
    assert page.get_by_role("link", name="Atom feed").is_visible()
    assert page.get_by_role("link", name="Join the board").is_visible()
    desktop.screenshot("front")
    page.get_by_role("link", name="Page 2").click()
    page.wait_for_url("**/?page=2")
    assert page.locator(".card").count() > 0


@pytest.mark.parametrize(("query", "title"), [("bicycle", "Cargo bicycle"), ("饺子", "包饺子")])
def test_the_search_finds_notices(address: str, desktop: Watched, query: str, title: str) -> None:
    """What is typed into the box is found, English and Chinese, with the matches marked."""
    page = desktop.page
    page.goto(address)
    page.keyboard.press("/")  # the plugin's script jumps to the box
    page.keyboard.type(query)
    page.keyboard.press("Enter")
    page.wait_for_url("**/search/?q=*")
    assert page.locator(".search-hits").get_by_role("link").filter(has_text=title).is_visible()
    assert page.locator(".search-hits mark").first.text_content() == query
    desktop.screenshot(f"search-{len(query)}")


def test_a_reply_is_shown_as_the_other_plugin_formats_it(address: str, desktop: Watched) -> None:
    """A moderator replies to a notice; what stands between stars is bold, tags are text."""
    sign_in(address, desktop)
    page = desktop.page
    page.get_by_role("link", name="Street party").click()
    page.get_by_label("Your reply").fill("I bring **two** benches <b>and</b> 饺子.")
    page.get_by_role("button", name="Reply").click()
    reply = page.locator(".reply").last
    reply.get_by_text("benches").wait_for()
    assert reply.locator("strong").text_content() == "two"
    assert reply.locator("b").filter(has_text="and").count() == 0
    desktop.screenshot("post")


def test_a_notice_is_written_found_changed_and_deleted(address: str, desktop: Watched) -> None:
    """A notice goes on the board, into the index, through the editor, and off again."""
    sign_in(address, desktop)
    page = desktop.page
    page.get_by_role("link", name="Pin a notice").click()
    page.get_by_label("Title").fill("Telescope to lend")
    page.get_by_label("Section").select_option(label="Helping hands")
    page.get_by_label("Notice", exact=True).fill("## Saturn\n\n- clear nights\n- warm socks")
    page.get_by_label("Tags").fill("stars, share")
    desktop.screenshot("editor")
    page.get_by_role("button", name="Put it on the board").click()
    page.get_by_role("heading", name="Saturn").wait_for()

    page.get_by_label("Search the board").fill("telesc")
    page.get_by_label("Search the board").press("Enter")
    page.get_by_role("link", name="Telescope to lend").click()

    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Title").fill("Telescope to give away")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="Telescope to give away").wait_for()

    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    page.get_by_text("The notice was taken off the board.").wait_for()
    page.goto(f"{address}/search/?q=telescope")
    assert page.get_by_text("No notice holds all of these words.").is_visible()


def test_a_new_neighbour_registers(address: str, desktop: Watched) -> None:
    """Who makes an account is signed in, and may write but not change what others wrote."""
    page = desktop.page
    page.goto(address)
    page.get_by_role("link", name="Join the board").click()
    page.get_by_label("Name").fill(f"Zoë {time.time_ns() % 1_000_000}")
    page.get_by_label("Password").fill("correct horse")
    desktop.screenshot("register")
    page.get_by_role("button", name="Join the board").click()
    page.get_by_text("Welcome to the board").wait_for()
    page.get_by_role("link", name="Oak desk").click()
    page.get_by_role("heading", name="Replies").wait_for()
    assert page.get_by_role("link", name="Edit").count() == 0


def test_the_feed_is_atom_and_the_interface_json(address: str, desktop: Watched) -> None:
    """Programs get the notices as Atom and JSON; browsers show the feed in its own style."""
    page = desktop.page
    feed = page.request.get(f"{address}/feed.atom", headers={"Accept": "application/atom+xml"})
    assert feed.headers["content-type"].startswith("application/atom+xml")
    entries = ET.fromstring(feed.body()).findall("{http://www.w3.org/2005/Atom}entry")
    notices = page.request.get(f"{address}/api/notices").json()
    assert len(entries) == notices["total"] > 12
    page.goto(f"{address}/feed.atom")
    assert page.locator("entry title").first.is_visible()
    # Chromium never finishes the screenshot of a whole XML document
    desktop.screenshot("feed", whole=False)


def test_pages_fit_a_phone(address: str, phone: Watched) -> None:
    """No page has to be scrolled sideways on a narrow screen."""
    sign_in(address, phone)
    wide = []
    for name, path in {
        "front": "/",
        "post": "/posts/1",
        "editor": "/posts/new",
        "search": "/search/?q=bicycle",
    }.items():
        phone.page.goto(f"{address}{path}")
        phone.screenshot(f"phone-{name}")
        if phone.is_too_wide:
            wide.append(path)
    assert wide == []


def flask_plugins(demo: Demo, *arguments: str) -> str:
    """What ``flask plugins`` prints, called as the overview says."""
    words = re.search(r"(\S+flask)\s+--app\s+(\S+)\s+plugins\s+disable search", demo.output)
    assert words is not None, demo.output
    command = [words[1], "--app", words[2], "plugins", *arguments]
    done = subprocess.run(
        command, cwd=demo.clone, env=demo.environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_plugin_is_switched_off_while_a_page_is_open(
    demo: Demo, address: str, desktop: Watched
) -> None:
    """The next click shows it gone, in both workers, and the one after that shows it back."""
    page = desktop.page
    page.goto(address)
    assert page.get_by_label("Search the board").is_visible()
    assert "search: disabled" in flask_plugins(demo, "disable", "search")
    try:
        page.get_by_role("link", name="Page 2").click()
        page.wait_for_url("**/?page=2")
        assert page.get_by_label("Search the board").count() == 0
        desktop.screenshot("without-search")
        answers = [page.request.get(f"{address}/search/?q=bicycle") for _ in range(12)]
        assert {answer.status for answer in answers} == {404}
        assert re.search(r"search +\S+ +disabled", flask_plugins(demo, "list"))
    finally:
        assert "search: enabled" in flask_plugins(demo, "enable", "search")
    answers = [page.request.get(f"{address}/search/?q=bicycle") for _ in range(12)]
    assert {answer.status for answer in answers} == {200}
    page.reload()
    assert page.get_by_label("Search the board").is_visible()
    assert "2 of 2 workers" in flask_plugins(demo, "workers")


def test_the_board_closes_in_every_worker_and_opens_again(
    demo: Demo, address: str, desktop: Watched
) -> None:
    """While the sign hangs out, visitors get the 503 page and moderators get in."""
    sign = demo.clone / "examples" / "bulletin" / "instance" / "maintenance.txt"
    page = desktop.page
    sign.write_text("Drying paint", encoding="utf-8")
    try:
        answers = [page.request.get(address) for _ in range(12)]
        assert {answer.status for answer in answers} == {503}
        page.goto(address)
        assert page.get_by_text("Drying paint").is_visible()
        desktop.screenshot("closed")
        page.get_by_role("link", name="Sign in as a moderator").click()
        page.get_by_label("Name").fill("demo")
        page.get_by_label("Password").fill("demo")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("Closed to visitors: Drying paint").wait_for()
        assert page.locator(".card").count() == 8
    finally:
        sign.unlink()
    assert page.request.get(f"{address}/register").status == 200
    (expected,) = desktop.errors  # the browser's own word about the 503 that it was to get
    assert "503" in expected
    desktop.errors.clear()


def test_sigint_leaves_no_process_and_no_listener(demo: Demo, address: str) -> None:
    """Ctrl-C ends nox, the server and its workers, without a traceback."""
    # the last test of this module, as it ends what the others look at
    assert len(demo.processes()) > 3  # sh, nox, the master and its two workers
    code = demo.end(signal.SIGINT)
    assert code in {0, 130, -signal.SIGINT}
    assert demo.processes() == {}
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) != 0
    assert "Traceback" not in demo.output
