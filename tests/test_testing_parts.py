"""The parts of the test kit that run in the author's own process."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request_started
from jinja2 import DictLoader, Environment
from trees import clean_imports, write, write_plugin

from flask_pluginkit.exceptions import Problem, SandboxUnavailable
from flask_pluginkit.sandbox import identity, kernel
from flask_pluginkit.testing import (
    choosing,
    clean_starts,
    escaping,
    exercising,
    fingerprints,
    forks,
    hosts,
    levels,
    permitting,
    watching,
)
from flask_pluginkit.testing.kits import Kit
from flask_pluginkit.testing.placeholders import SCRIPT, undeclared, unescaped
from flask_pluginkit.testing.sites import Plan, Running, inactive

__all__ = ["clean_imports"]

VIEW = """
def view(**values):
    return "text"
"""


@pytest.fixture(autouse=True)
def _clean(clean_imports: None) -> Iterator[None]:
    """Leave no plugin in this process."""
    yield
    choosing.choose.cache_clear()


def kit(root: Path, body: str, **plan: Any) -> Kit:
    """What makes applications with a plugin of this code."""
    files = plan.pop("files", {})
    write_plugin(root / "src" / "pluginkit_plugins", "hello", body, files=files)
    chosen = choosing.choose(root, "hello")
    return Kit(Plan(chosen=chosen, folder=root / "host", host=hosts.small_host, **plan))


def made(root: Path, body: str, **plan: Any) -> AbstractContextManager[Running]:
    """An application with a plugin of this code."""
    return kit(root, body, **plan).running()


# ---- what a machine has ----------------------------------------------------------------------


@pytest.fixture
def _forgetful() -> Iterator[None]:
    """Look at the machine anew, before and afterwards."""
    for function in (levels.obstacle, levels.python):
        function.cache_clear()
    yield
    for function in (levels.obstacle, levels.python):
        function.cache_clear()


@pytest.mark.usefixtures("_forgetful")
def test_a_kernel_that_cant_isolate_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it lacks; processes are to be had there."""
    problem = Problem(where="isolated", what="Landlock", found="none", expected="ABI 3")
    monkeypatch.setattr(kernel, "lacks", lambda _kernel: (problem,))
    assert "Landlock: found none" in levels.obstacle("isolated")
    assert levels.obstacle("process") == ""


@pytest.mark.usefixtures("_forgetful")
def test_an_interpreter_that_nobody_can_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's tests need one that the users of plugins can read."""
    monkeypatch.setattr(kernel, "lacks", lambda _kernel: ())
    monkeypatch.setattr(identity, "can_become_another", lambda: True)
    monkeypatch.setattr(levels, "_can_run", lambda _path: False)
    assert "can't be read by the users of plugins" in levels.obstacle("isolated")


@pytest.mark.usefixtures("_forgetful")
def test_packages_that_nobody_can_read_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise."""
    monkeypatch.setattr(kernel, "lacks", lambda _kernel: ())
    monkeypatch.setattr(identity, "can_become_another", lambda: True)
    monkeypatch.setattr(levels, "_can_run", lambda path: path.startswith("/usr"))
    monkeypatch.setattr(identity, "obstacle", lambda path, _user: f"{path}/closed")
    assert "/closed can't be read by the users of plugins" in levels.obstacle("isolated")


@pytest.mark.usefixtures("_forgetful")
def test_a_plain_user_takes_the_interpreter_that_runs_the_tests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There plugins have no users of their own."""
    monkeypatch.setattr(kernel, "lacks", lambda _kernel: ())
    monkeypatch.setattr(identity, "can_become_another", lambda: False)
    assert (levels.python(), levels.obstacle("isolated")) == ("", "")


def test_an_interpreter_that_isnt_there_cant_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is no error."""

    def run(*_args: Any, **_options: Any) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", run)
    assert not levels._can_run("/nowhere/python3")


def test_a_missing_extra_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names what to install."""
    monkeypatch.setitem(__import__("sys").modules, "nh3", None)
    assert "pip install 'Flask-PluginKit[sandbox]'" in levels.obstacle.__wrapped__("process")


# ---- several applications --------------------------------------------------------------------


def test_a_plugin_that_starts_only_once_disturbs(tmp_path: Path) -> None:
    """The second application says why it hasn't got it."""
    body = VIEW + (
        "started = []\n"
        "def on_app_ready():\n"
        "    started.append(1)\n"
        "    if len(started) > 1: raise LookupError('taken')\n"
        "def register():\n    return {}\n"
    )
    (found,) = clean_starts.disturbances(kit(tmp_path, body).running)
    assert found.startswith("in the second application it is failed")
    assert "taken" in found


COUNTING = """
count = [0]
def view():
    count[0] += 1
    return str(count[0])
def register():
    return {"vep": {"rule": "/hello/", "view_func": view, "endpoint": "hello"}}
"""


def test_without_forks_both_applications_are_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows copies no processes: what differs is seen all the same."""
    monkeypatch.setattr(clean_starts, "can_fork", lambda: False)
    make = kit(tmp_path, COUNTING).running
    (found,) = clean_starts.remembered(make)
    assert found.startswith("GET /hello/ isn't as it was in the first application: '200 OK 1'")
    assert clean_starts.left_behind(make) == []


def test_what_fails_in_a_copy_of_the_process_is_told(tmp_path: Path) -> None:
    """As what an application would say."""
    make = kit(tmp_path, "def register():\n    raise LookupError('no tea')\n").running
    assert "LookupError: no tea" in clean_starts.remembered(make)[0]
    assert "LookupError: no tea" in " ".join(clean_starts.left_behind(make))


def test_a_copy_of_the_process_gives_what_the_function_returns() -> None:
    """And leaves nothing here."""
    here = [1]

    def change() -> int:
        here.append(2)
        return len(here)

    assert (forks.in_fork(change), here) == (2, [1])


def test_a_copy_of_the_process_that_just_ends_is_an_error() -> None:
    """It gave no answer."""
    with pytest.raises(forks.ForkError, match="without an answer"):
        forks.in_fork(partial(os._exit, 3))


def test_what_a_copy_of_the_process_leaves_running_is_not_waited_for() -> None:
    """A plugin may start a process that outlives its import, and holds what it inherited."""
    reading, writing = os.pipe()

    def start() -> int:
        os.close(writing)
        if (child := os.fork()) == 0:
            os.read(reading, 1)  # until the test is over
            os._exit(0)
        return child

    pid = forks.in_fork(start)
    os.kill(pid, 0)  # it still runs
    os.close(writing)
    os.close(reading)


# ---- exercising ------------------------------------------------------------------------------


def test_a_command_that_is_listed_and_missing_is_told(tmp_path: Path) -> None:
    """Click leaves it out of the help without a word."""
    body = (
        "import click\n"
        "class Lazy(click.Group):\n"
        "    def list_commands(self, context): return ['lost']\n"
        "    def get_command(self, context, name): return None\n"
        "def register():\n    return {'cli': Lazy('tools')}\n"
    )
    with made(tmp_path, body) as running:
        found = list(exercising.commands(running))
    assert found == ["`flask hello tools lost` is listed, and isn't there"]


def test_values_reach_what_they_are_for(tmp_path: Path) -> None:
    """Events, filters, functions and rules get what the host is said to hand to them."""
    body = (
        "def register():\n"
        "    return {\n"
        "        'vep': {'rule': '/hello/<code>', 'endpoint': 'page',\n"
        "                'view_func': lambda code: {'A1': 'fine'}[code]},\n"
        "        'dcp': {'about': lambda post: post['title']},\n"
        "        'filter': {'money': lambda value, unit: {'EUR': str(value + 0.5)}[unit]},\n"
        "        'global': {'add': lambda a, b: {3: 'three'}[a + b]},\n"
        "    }\n"
    )
    values = {
        "page": {"code": "A1"},
        "about": {"post": {"title": "Bread"}},
        "money": (1.5, "EUR"),
        "add": {"a": 1, "b": 2},
    }
    values_of_none: dict[str, Any] = {}
    looks = (exercising.routes, exercising.connections, exercising.functions)
    with made(tmp_path, body, values=values) as running:
        assert [line for look in looks for line in look(running)] == []
        assert '<ul data-event="about">Bread</ul>' in running.client().get("/").text
    with made(tmp_path, body, values=values_of_none) as running:
        told = [line for look in looks for line in look(running)]
        assert [line.partition(":")[0] for line in told] == [
            "GET /hello/text (page)",
            "filter 'money'",
            "global 'add'",
        ]
        assert "a fixture `plugin_values` that returns {'money': ...}" in told[1]
        assert "data-event" not in running.client().get("/").text


@pytest.mark.parametrize(
    "part",
    [
        "any(red,blue):x", "string(length=2):x", "string(minlength=9):x", "int(min=5,max=9):x",
        "int(fixed_digits=3):x", "float(max=1):x", "uuid:x", "path:x",
    ],
)  # fmt: skip
def test_pages_are_reached_whatever_their_arguments_are(tmp_path: Path, part: str) -> None:
    """What is made up is such as the converter takes."""
    rule = f"{{'rule': '/hello/<{part}>', 'endpoint': 'page', 'view_func': lambda x: 1 / 0}}"
    with made(tmp_path, f"def register():\n    return {{'vep': {rule}}}\n") as running:
        (told,) = exercising.routes(running)
    assert "ZeroDivisionError" in told


def test_a_page_whose_address_cant_be_made_up_is_told(tmp_path: Path) -> None:
    """Rather than passed over."""
    body = (
        "from werkzeug.routing import BaseConverter\n"
        "class Odd(BaseConverter):\n"
        "    regex = 'q{3}'\n"
        "def on_app_ready(app):\n"
        "    app.url_map.converters['odd'] = Odd\n"
        "    app.add_url_rule('/hello/<odd:x>', 'page', lambda x: x)\n"
        "def register():\n"
        "    return {}\n"
    )
    with made(tmp_path, body) as running:
        (told,) = exercising.routes(running)
    assert told.startswith("GET /hello/<odd:x> (page): no address could be made up; say what")
    with made(tmp_path, body, values={"page": {"x": "qqq"}}) as running:
        assert list(exercising.routes(running)) == []


def test_a_plugin_may_have_the_front_page(tmp_path: Path) -> None:
    """The small host has none of its own then."""
    body = VIEW + (
        "def register():\n"
        "    return {'vep': {'rule': '/', 'view_func': view, 'endpoint': 'front'}}\n"
    )
    with made(tmp_path, body) as running:
        running.app.url_map.update()
        assert (running.client().get("/").text, running.row.conflicts) == ("text", ())


def test_a_plugin_that_is_disabled_by_itself_is_enabled(tmp_path: Path) -> None:
    """Whoever tests it means it."""
    write_plugin(tmp_path / "src" / "pluginkit_plugins", "hello", state="disabled")
    plan = Plan(
        chosen=choosing.choose(tmp_path, "hello"), folder=tmp_path / "host", host=hosts.small_host
    )
    with Kit(plan).running() as running:
        assert inactive(running) == []


def test_what_a_plugin_requires_comes_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing else that is installed."""
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    place = tmp_path / "src" / "pluginkit_plugins"
    write_plugin(place, "hello", requires={"base": ">=1"})
    write_plugin(place, "base")
    write_plugin(place, "other")
    plan = Plan(
        chosen=choosing.choose(tmp_path, "hello"), folder=tmp_path / "host", host=hosts.small_host
    )
    with Kit(plan).running() as running:
        assert sorted(row.name for row in running.manager.plugins) == ["base", "hello"]


def test_functions_without_a_signature_need_nothing() -> None:
    """Nobody can tell what they take."""
    assert hosts.needed_arguments(dict.fromkeys) == 1
    assert hosts.needed_arguments(type("Odd", (), {"__signature__": 1})) == 0


def test_an_error_without_a_line_of_the_plugin_has_none() -> None:
    """It came from elsewhere."""
    assert exercising.told(LookupError("tea"), Path("/nowhere")) == "LookupError: tea"


# ---- templates -------------------------------------------------------------------------------


def test_templates_that_are_left_out_on_purpose_are_no_fault(tmp_path: Path) -> None:
    """``ignore missing`` says that a template may not be there; names may be computed."""
    page = "{% include 'lost.html' ignore missing %}{% if no %}{% include name %}{% endif %}"
    files = {"templates/page.html": page, "templates/broken.html": "{% if %}"}
    files["templates/shows.html"] = "{% if no %}{% include 'broken.html' %}{% endif %}"
    with made(tmp_path, "def register():\n    return {}\n", files=files) as running:
        (found,) = escaping.uncompiled(running)
        assert list(escaping.missing_assets(running)) == []
    assert found.startswith("templates/broken.html, line 1")


def test_variables_of_included_templates_count() -> None:
    """As do those of templates that are extended; one that includes itself ends."""
    sources = {
        "a.html": "{{ one }}{% include 'b.html' %}{{ known }}",
        "b.html": "{{ two }}{% include 'a.html' %}{% include 'lost.html' %}",
    }
    environment = Environment(loader=DictLoader(sources), autoescape=True)
    found = undeclared(environment, "a.html", sources["a.html"], {"known"})
    assert found == {"one", "two"}
    assert undeclared(environment, "c.html", "{% if %}", ()) == set()


def test_a_script_is_found_where_it_came_through() -> None:
    """With what stands around it."""
    assert unescaped(f"<p>{SCRIPT}</p>") == f"<p>{SCRIPT}</p>"
    assert unescaped("<p>&lt;script&gt;</p>") == ""


# ---- fingerprints ----------------------------------------------------------------------------


def test_differences_are_told_in_words() -> None:
    """What is new, what is gone, what is another, and what stands elsewhere."""
    before = {"a": [1, 2], "b": {"x": 1, "y": 2}, "c": "then", "d": [1, 2], "e": 5}
    after = {"a": [2, 3], "b": {"x": 4}, "c": "now", "d": [2, 1], "e": 5}
    assert fingerprints.difference(before, after) == [
        "a: left behind 3; lost 1",
        "b: left behind x: 4; lost y",
        "c: 'then' has become 'now'",
        "d: another order",
    ]


def test_further_configuration_is_nobodys_business() -> None:
    """Extensions leave defaults of their own."""
    before = {fingerprints.CONFIGURATION: {"DEBUG": "False"}}
    after = {fingerprints.CONFIGURATION: {"DEBUG": "False", "SHOP": "'corner'"}}
    assert fingerprints.difference(before, after) == []
    changed = {fingerprints.CONFIGURATION: {"DEBUG": "True"}}
    assert fingerprints.difference(before, changed) == ["configuration: left behind DEBUG: 'True'"]


def test_receivers_count_however_they_are_held() -> None:
    """Weakly, as by default, or not."""

    def hear(_app: Flask, **_more: Any) -> None:
        raise AssertionError("it isn't called for being counted")

    before = fingerprints.of_process()
    with request_started.connected_to(hear):
        (found,) = fingerprints.difference(before, fingerprints.of_process())
    assert "request-started" in found
    request_started.connect(hear, weak=False)
    try:
        assert fingerprints.difference(before, fingerprints.of_process()) == [found]
    finally:
        request_started.disconnect(hear)


# ---- what an import does ---------------------------------------------------------------------


def act(folder: Path, code: str) -> None:
    """Run code as a file in a folder."""
    path = write(folder / "acting.py", code)
    exec(compile(code, str(path), "exec"), {"__name__": "acting", "threading": threading})


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[watching.Watch]:
    """A watch on the folder of the test, off again afterwards."""
    start = threading.Thread.start
    found = watching.Watch(str(tmp_path))
    found.is_on = True
    yield found
    found.is_on = False
    threading.Thread.start = start  # type: ignore[method-assign]


def test_a_watch_names_the_line(watch: watching.Watch, tmp_path: Path) -> None:
    """Of the code in the folder that is behind what happens."""
    act(
        tmp_path,
        "\nthreading.Thread(target=int).start()\nopen(__import__('os').devnull, 'w').close()",
    )
    watch.is_on = False
    assert list(watch.found) == [
        "starts a thread (acting.py, line 2)",
        f"writes the file {os.devnull} (acting.py, line 3)",
    ]


def test_a_watch_passes_over_others(watch: watching.Watch, tmp_path: Path) -> None:
    """Code elsewhere, files that are read, and what somebody's module does while imported."""
    socket.socket().close()
    code = "import os\nos.close(os.open(os.devnull, os.O_WRONLY))\n"
    other = write(tmp_path.parent / f"{tmp_path.name}-other.py", code)
    act(
        tmp_path,
        f"with open({str(other)!r}) as file:\n"
        f"    code = compile(file.read(), {str(other)!r}, 'exec')\n"
        "exec(code)",
    )
    watch.is_on = False
    assert list(watch.found) == []


@pytest.mark.parametrize(
    ("event", "args", "told"),
    [
        ("open", (b"/x", None, os.O_WRONLY), ["writes the file /x (acting.py, line 1)"]),
        ("open", ("/x", "a", 0), ["writes the file /x (acting.py, line 1)"]),
        ("open", ("/x", "r", 0), []),
        ("open", (3, None, os.O_RDONLY), []),
        ("os.putenv", ("A", "1"), ["changes the environment variable A (acting.py, line 1)"]),
        ("import", ("os",), []),
    ],
)
def test_a_watch_hears_what_changes_something(
    watch: watching.Watch, tmp_path: Path, event: str, args: tuple[Any, ...], told: list[str]
) -> None:
    """Reading changes nothing."""
    path = write(tmp_path / "acting.py", "hear(event, args)")
    code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
    watch.found.clear()
    exec(code, {"__name__": "acting", "hear": watch.hear, "event": event, "args": args})
    watch.is_on = False
    watch.hear(event, args)
    assert list(watch.found) == told


def test_a_watch_knows_whose_import_it_is(watch: watching.Watch) -> None:
    """What stands between is somebody else's module, or nothing of the plugin at all."""
    exec(
        compile("hear('os.system', ('x',))", "/elsewhere.py", "exec"),
        {"__name__": "elsewhere", "hear": watch.hear},
    )
    watch.hear("os.system", ("x",))
    watch.is_on = False
    assert not any(line.startswith("starts a process") for line in watch.found)


def test_a_plugin_that_cant_be_imported_is_told(tmp_path: Path) -> None:
    """With the last of what Python said."""
    write_plugin(tmp_path / "src" / "pluginkit_plugins", "hello", "raise LookupError('no tea')")
    (found,) = watching.side_effects(choosing.choose(tmp_path, "hello"))
    assert found.startswith("it can't be imported: ")
    assert found.endswith("LookupError: no tea")


# ---- permissions -----------------------------------------------------------------------------


def test_a_refusal_that_names_no_permission_asks_for_none(tmp_path: Path) -> None:
    """Nor does one that can't be read."""
    with made(tmp_path, "def register():\n    return {}\n") as running:
        row = running.row
    assert list(permitting._asked("ask for __permissions__ = [storage]")) == []
    assert list(permitting._asked("ask for __permissions__ = ['sorage']")) == []
    assert list(permitting._asked("__permissions__ = ['storage']")) == ["storage"]
    assert permitting.lacking(row) == []
    assert "pluginkit_isolation = trusted" in permitting.lacking(row, ["it answered 500"])[-1]


def test_a_sandbox_that_isnt_to_be_had_after_all_is_a_skip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only trying shows is told as loudly."""
    from flask_pluginkit.testing.conformance import Conformance

    found = kit(tmp_path, "def register():\n    return {}\n")

    def running(*_args: Any, **_options: Any) -> None:
        raise SandboxUnavailable(
            Problem(where="isolated", what="canaries", found="alive", expected="none")
        )

    monkeypatch.setattr(found, "running", running)
    monkeypatch.setattr(found, "require", lambda _level: None)
    with pytest.raises(pytest.skip.Exception, match="NOTHING WAS ISOLATED: isolated: canaries"):
        Conformance().isolated(found, "")
