"""What running a plugin shows, in a process that can do no harm to the check itself."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from check_pages import INIT, codes_of, write_project
from trees import write, write_plugin

from flask_pluginkit.checks import Finding, Report, check


def run(root: Path, init: str, files: dict[str, str] | None = None, **options: object) -> Report:
    """What is found in the plugin hello with this ``__init__.py``, when it is run."""
    project = write_project(root / "project", {"hello/__init__.py": init, **(files or {})})
    return check(project, **{"base": project, "run": True, "timeout": 60.0, **options})  # type: ignore[arg-type]


def only(report: Report) -> Finding:
    """The one thing that is found."""
    (finding,) = report.findings
    return finding


def test_a_plugin_that_is_in_order_was_run(tmp_path: Path) -> None:
    """The report says so."""
    report = run(tmp_path, "def register():\n    return {'filter': {'hello': str}}\n")
    assert (report.findings, report.plugins[0].was_run) == ((), True)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 / 0", "importing it raises ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "importing it raises SystemExit: 3"),
        ("raise KeyboardInterrupt", "importing it raises KeyboardInterrupt"),
        ("from . import nothing_such", "importing it raises ImportError"),
        ("from .nothing import such", "importing it raises ModuleNotFoundError"),
        ("import os; os._exit(7)", "importing the plugin ended the process (exit code 7)"),
        ("import os; os.abort()", "importing the plugin ended the process (SIGABRT)"),
        ("import sys; sys.setrecursionlimit(9)", "importing it raises RecursionError"),
        ("class E(BaseException):\n    def __str__(self): 1 / 0\nraise E", "raises E"),
    ],
)
def test_a_plugin_that_ends_is_a_finding(tmp_path: Path, line: str, said: str) -> None:
    """Whatever it does, the check goes on and says what happened."""
    finding = only(run(tmp_path, line))
    assert finding.code == "PK701"
    assert said in finding.message


def test_the_line_that_raises_is_told(tmp_path: Path) -> None:
    """The innermost one of the plugin's own."""
    files = {"hello/views.py": "import json\n\n\nx = json.loads('{')\n"}
    finding = only(run(tmp_path, "from . import views", files))
    assert (finding.path, finding.line) == ("src/pluginkit_plugins/hello/views.py", 4)


@pytest.mark.parametrize("body", ["while True: pass", "import time; time.sleep(99)"])
def test_a_plugin_that_hangs_is_ended(tmp_path: Path, body: str) -> None:
    """After the time that was given."""
    finding = only(run(tmp_path, body, timeout=4.0))
    assert (finding.code, "takes more than 4 seconds" in finding.message) == ("PK703", True)


def test_what_a_plugin_started_ends_with_the_check(tmp_path: Path) -> None:
    """A process that it leaves behind doesn't stay."""
    body = (
        "import os, time\npid = os.fork()\nif not pid:\n    time.sleep(600)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(pid))\n"
    )
    run(tmp_path, body)
    pid = int((tmp_path / "pid").read_text())
    limit = time.monotonic() + 60  # it was told to end, which takes a moment
    while not has_ended(pid) and time.monotonic() < limit:
        time.sleep(0.01)
    assert has_ended(pid)


@pytest.mark.parametrize(
    "how",
    ["start_new_session=True", "start_new_session=True, env={}", "process_group=0, cwd='/'"],
)
def test_what_a_plugin_started_in_a_session_of_its_own_ends_with_the_check(
    tmp_path: Path, how: str
) -> None:
    """It is known by the home that it was started with, or by where it is."""
    body = (
        "import subprocess, sys\nprocess = subprocess.Popen([sys.executable, '-c', "
        f"'import time; time.sleep(600)'], {how})\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(process.pid))\n"
    )
    run(tmp_path, body)
    assert has_ended(int((tmp_path / "pid").read_text()))


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or waits for nothing but being forgotten."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return True
    return state.rpartition(")")[2].split()[0] in "ZX"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import threading; threading.Thread(target=print).start()", "starts a thread"),
        ("import socket; socket.socket().bind(('127.0.0.1', 0))", "opens a socket"),
        ("open('notes.txt', 'w').close()", "opens the file 'notes.txt' for writing"),
        ("import os; os.makedirs('made/here')", "makes a folder"),
        ("import os; os.environ['HELLO'] = '1'", "changes the environment"),
        ("import os; os.chdir('/')", "changes the current folder"),
        ("import sys; sys.path.append('/nowhere')", "changes sys.path"),
        ("import subprocess; subprocess.run(['true'])", "starts a process"),
        ("import sqlite3; sqlite3.connect('notes.db').close()", "opens the database 'notes.db'"),
        ("print('hello')", "prints"),
        ("import sys; sys.stderr.write('hello')", "prints"),
    ],
)
def test_side_effects_of_an_import_are_told(tmp_path: Path, line: str, said: str) -> None:
    """Each with what it is."""
    found = [one for one in run(tmp_path, line, ignore=["PK4"]).findings if said in one.message]
    assert codes_of(tuple(found)) == ["PK704"]
    assert found[0].message.startswith(f"importing it {said}")


def test_side_effects_of_register_are_told(tmp_path: Path) -> None:
    """With the line in which they happen, so that a comment can suppress them."""
    init = "def register():\n    open('a', 'w').close()\n    return {}\n"
    finding = only(run(tmp_path, init))
    assert (finding.message.partition(" opens")[0], finding.line) == ("register()", 5)


def test_a_side_effect_is_suppressed_at_its_line(tmp_path: Path) -> None:
    """As what is found by reading."""
    line = "open('a', 'w').close()  # pluginkit: ignore[PK704] it has to be there"
    assert run(tmp_path, line).suppressed == 1


def test_what_libraries_do_while_they_are_imported_does_not_count(tmp_path: Path) -> None:
    """It is none of the plugin's doing."""
    write(tmp_path / "lib" / "noisy.py", "open('log', 'w').close()\n")
    report = run(tmp_path, "import noisy", paths=[tmp_path / "lib"])
    assert (report.findings, report.plugins[0].was_run) == ((), True)


def test_harmless_imports_have_no_side_effects(tmp_path: Path) -> None:
    """Reading files, patterns, locks and logs are what modules are made of."""
    init = (
        "import json, logging, re, sqlite3, threading\nfrom pathlib import Path\n"
        "text = Path(__file__).read_text()\nlock = threading.Lock()\n"
        "log = logging.getLogger(__name__)\npattern = re.compile('a+')\n"
        "database = sqlite3.connect(':memory:')\nlog.debug('here')\n"
    )
    assert codes_of(run(tmp_path, init).findings) == []


def test_modules_that_are_not_installed_are_a_note(tmp_path: Path) -> None:
    """The plugin wasn't run, and its line is told."""
    report = run(tmp_path, "import not_installed_here")
    finding = only(report)
    assert (finding.code, finding.severity, report.plugins[0].was_run) == ("PK702", "note", False)


def test_folders_that_are_named_are_imported_from(tmp_path: Path) -> None:
    """Such as that of the host's package."""
    write(tmp_path / "host" / "shop" / "__init__.py", "title = 'Shop'")
    report = run(tmp_path, "from shop import title", paths=[tmp_path / "host"])
    assert codes_of(report.findings) == []


def test_plugins_of_one_check_may_import_each_other(tmp_path: Path) -> None:
    """By the names that they have in an application."""
    write_plugin(tmp_path / "plugins", "one", "word = 1\n\ndef register():\n    return {}\n")
    body = "from plugins.one import word\n\ndef register():\n    return {}\n"
    write_plugin(tmp_path / "plugins", "two", body)
    report = check(tmp_path, timeout=60.0)
    assert [plugin.was_run for plugin in report.plugins] == [True, True]


@pytest.mark.parametrize(
    ("register", "code", "said"),
    [
        ("return []", "PK705", "return value"),
        ("return {'vep': {'rule': '/a', 'view_func': 1}}", "PK705", "view_func"),
        ("return {'vep': {'rule': '/<int:>', 'view_func': str}}", "PK705", "ValueError"),
        ("return {('he' 'ps')[:3]: 1}", "PK705", "a dict"),
        ("return {'hep'.upper(): {}}", "PK101", "'HEP'"),
        ("return {'tep': {'nav': '.'.join(['nav', 'html'])}}", "PK103", "nav.html"),
        ("return {'tep': {'nav': '{% if'.strip()}}", "PK107", "the slot 'nav'"),
        ("1 / 0", "PK701", "register() raises ZeroDivisionError"),
    ],
)
def test_what_register_returns_is_looked_at(
    tmp_path: Path, register: str, code: str, said: str
) -> None:
    """Also what no reading of the source can tell."""
    finding = only(run(tmp_path, f"def register():\n    {register}\n"))
    assert (finding.code, said in finding.message) == (code, True)


@pytest.mark.parametrize(
    ("rule", "parent", "codes"),
    [("/a", None, []), ("/<int:>", None, ["PK705"]), ("/<int:>", "admin", [])],
)
def test_blueprints_are_registered_on_an_application(
    tmp_path: Path, rule: str, parent: str | None, codes: list[str]
) -> None:
    """An empty one; what is to be in another blueprint has to wait for that."""
    init = (
        "from flask import Blueprint\nbp = Blueprint('hello', __name__)\n"
        f"bp.add_url_rule({rule!r}, view_func=str, endpoint='a')\n\n\ndef register():\n"
        f"    return {{'bep': {{'blueprint': bp, 'prefix': '/hello', 'parent': {parent!r}}},\n"
        "            'vep': {'rule': '/b', 'view_func': str, '_blueprint': 'hello'}}\n"
    )
    assert codes_of(run(tmp_path, init).findings) == codes


def test_a_plugin_that_breaks_the_check_is_told(tmp_path: Path) -> None:
    """It can reach whatever is in its process, and harms but its own check."""
    init = "import flask_pluginkit.checks.child as child\nchild.normalise = None\n"
    finding = only(run(tmp_path, init))
    assert (finding.code, "the check itself failed" in finding.message) == ("PK701", True)


def test_a_plugin_that_takes_the_output_away_is_no_problem(tmp_path: Path) -> None:
    """Nothing is printed then."""
    init = "import os, sys\nsys.stdout = None\nos.close(1)\n"
    assert codes_of(run(tmp_path, init).findings) == []


def test_what_the_source_told_is_not_told_again(tmp_path: Path) -> None:
    """One mistake is one finding."""
    init = "def register():\n    return {'filters': {}, 'tep': {'nav': 'gone.html'}}\n"
    assert codes_of(run(tmp_path, init).findings) == ["PK101", "PK103"]


def test_computed_metadata_is_checked_when_it_is_known(tmp_path: Path) -> None:
    """A version that only running the module tells."""
    init = (
        "__plugin_name__ = 'hello'\n__version__ = str(1.0)\n__author__ = 'Ada'\n\n\n"
        "def register():\n    return {}\n"
    )
    assert sorted(codes_of(run(tmp_path, init).findings)) == ["PK003", "PK603"]


def test_the_environment_of_the_check_is_not_the_plugins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret there isn't handed on, and neither is the home folder."""
    monkeypatch.setenv("HELLO_SECRET", "x")
    home = str(Path.home())
    init = (
        "import os\n"
        f"assert 'HELLO_SECRET' not in os.environ and os.path.expanduser('~') != {home!r}\n"
    )
    assert codes_of(run(tmp_path, init).findings) == []


def test_a_plugin_that_floods_the_output_is_no_problem(tmp_path: Path) -> None:
    """It is told once that it prints."""
    assert only(run(tmp_path, "print('x' * 9_000_000)")).code == "PK704"


def test_a_plugin_that_writes_the_answer_itself_is_no_problem(tmp_path: Path) -> None:
    """What it writes is no finding, unless it is one."""
    init = (
        "import glob, os\nfor fd in range(3, 9):\n"
        "    try: os.write(fd, b'[1]\\n{\"code\": [1]}\\n')\n"
        "    except OSError: pass\n"
    )
    assert codes_of(run(tmp_path, init).findings) == []


def test_nothing_is_run_of_a_plugin_with_a_broken_manifest(tmp_path: Path) -> None:
    """An application wouldn't import it either."""
    report = run(tmp_path, "__plugin_name__ = 'hello'\n__version__ = '1'\nraise SystemExit\n")
    assert (report.plugins[0].was_run, "PK701" in codes_of(report.findings)) == (False, False)


def test_the_check_imports_nothing_of_the_plugin(tmp_path: Path) -> None:
    """Running it happens elsewhere."""
    run(tmp_path, "def register():\n    return {}\n")
    assert not [name for name in sys.modules if name.startswith("pluginkit_plugins.hello")]
    assert not list((tmp_path / "project" / INIT).parent.rglob("__pycache__"))


ROOM = "import os\nfrom pathlib import Path\nroom = Path(os.environ['HOME']).parent\n"


def test_a_plugin_that_puts_a_pipe_in_place_of_its_answer_is_not_waited_for(
    tmp_path: Path,
) -> None:
    """No time limit would end the check itself."""
    body = "(room / 'answer').unlink()\nos.mkfifo(room / 'answer')\nos._exit(0)\n"
    finding = only(run(tmp_path, ROOM + body))
    assert (finding.code, "ended the process (exit code 0)" in finding.message) == ("PK701", True)


def test_folders_in_folders_that_a_plugin_makes_are_no_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there are too many of them to be removed one in another."""

    def cleanup(scratch: tempfile.TemporaryDirectory[str]) -> None:
        original(scratch)
        raise RecursionError

    original = tempfile.TemporaryDirectory.cleanup
    monkeypatch.setattr(tempfile.TemporaryDirectory, "cleanup", cleanup)
    assert codes_of(run(tmp_path, "").findings) == []


def test_folders_in_folders_that_a_plugin_makes_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However deep they are, and whether or not one may enter them."""
    rooms = tmp_path / "rooms"
    rooms.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(rooms))
    body = (
        "import os\nos.mkdir('closed')\nos.mkdir('closed/in')\nos.chmod('closed', 0)\n"
        "os.symlink('/', 'root')\n"
        "for _ in range(3000):\n    os.mkdir('a')\n    os.chdir('a')\n"
    )
    try:
        run(tmp_path, body)
        assert list(rooms.iterdir()) == []
    finally:  # what is left is too deep for pytest, too
        subprocess.run(["rm", "-rf", str(rooms)], check=True)


def test_a_plugin_that_takes_all_memory_is_stopped(tmp_path: Path) -> None:
    """Long before the machine is."""
    body = "import mmap\nkept = [mmap.mmap(-1, 2**30, flags=mmap.MAP_PRIVATE) for _ in range(9)]\n"
    finding = only(run(tmp_path, body))
    assert "OSError: [Errno 12]" in finding.message
