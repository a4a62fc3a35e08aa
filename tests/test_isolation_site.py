"""A plugin in a process of its own does in a site what a trusted one does."""

from __future__ import annotations

import io
import logging
import os
import py_compile
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
from isolation_sites import PLUGIN, Site, _impatient, guest, site, sites
from trees import write, write_plugin

from flask_pluginkit.isolation.wire import DeadlineError
from flask_pluginkit.loading import module_name

__all__ = ["_impatient", "site", "sites"]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_a_plugin_is_active_and_says_where_it_runs(site: Site) -> None:
    """Its row tells the level, and its module was never imported here."""
    row = site.row()
    assert (row.status, row.isolation, row.confinement) == (
        "active",
        "process",
        "process: not sandboxed",
    )
    assert row.module is None


def test_its_views_answer(site: Site) -> None:
    """Path and query cross, and URLs of its own endpoints are those of the host."""
    assert site.client.get("/guest/?name=Ada").text == "hello Ada at /guest/"


def test_urls_of_the_hosts_public_pages_can_be_built_there(
    sites: Callable[..., Site], tmp_path: Path
) -> None:
    """Also of those that the host registers after its plugins, as most do."""
    body = """
    from flask import url_for
    def links():
        return url_for("later") + url_for("static", filename="x.css")
    def register():
        return {"vep": {"rule": "/guest/links", "view_func": links}}
    """
    write_plugin(tmp_path / "plugins", "guest", body)
    site = sites()
    site.app.add_url_rule("/", "later", lambda: "later")
    assert site.client.get("/guest/links").text == "//static/x.css"


def test_forms_and_uploads_cross(site: Site) -> None:
    """A multipart body arrives as it was sent."""
    data = {"word": "äö", "file": (io.BytesIO(b"x" * 100_000), "x.bin")}
    answer = site.client.post("/guest/form", data=data)
    assert answer.json == {"form": {"word": "äö"}, "files": {"file": 100_000}}


def test_a_body_that_is_too_long_is_refused(site: Site) -> None:
    """The host answers 413 without asking the plugin."""
    assert site.client.post("/guest/form", data=b"x" * (17 << 20)).status_code == 413


def test_secrets_of_the_request_stay_here(site: Site) -> None:
    """Neither cookies nor credentials cross, and cookies don't come back."""
    site.client.set_cookie("session", "secret")
    answer = site.client.get("/guest/headers", headers={"Authorization": "Basic secret"})
    assert "secret" not in answer.text
    assert "Set-Cookie" not in answer.headers


def test_streams_cross(site: Site) -> None:
    """A body that comes in pieces arrives whole, and its connection is free afterwards."""
    for _ in range(3):
        assert site.client.get("/guest/stream").text == "".join(f"{n}," for n in range(1000))


def test_redirects_and_errors_are_as_with_a_trusted_plugin(site: Site) -> None:
    """abort() becomes the site's own page for the error, own handlers handle."""
    assert site.client.get("/guest/away").headers["Location"] == "/guest/"
    assert site.client.get("/guest/abort/418").status_code == 418
    assert (site.client.get("/guest/own").text, site.client.get("/guest/own").status_code) == (
        "handled",
        409,
    )


def test_an_exception_is_a_fault_with_the_plugins_traceback(site: Site) -> None:
    """The page is a 500, and the plugin's row tells what happened in its process."""
    assert site.client.get("/guest/boom").status_code == 500
    assert "kaboom" in site.row().last_fault
    assert "in boom" in site.row().last_fault


def test_its_log_is_the_hosts(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """What it logs while it answers is logged here, with its name."""
    with caplog.at_level(logging.WARNING):
        site.client.get("/guest/")
    [record] = [one for one in caplog.records if "asked for" in one.getMessage()]
    assert getattr(record, "plugin", "") == "guest"


def test_parts_of_slots_are_rendered_there(site: Site) -> None:
    """With its own context, what the page gives, and in their order."""
    assert site.render('{{ emit_tep("nav") }}') == '<a href="/guest/">/page</a>42'
    assert site.render('{{ emit_tep("foot", word="<x>") }}') == "<b>&lt;x&gt;</b>"


def test_a_part_that_fails_is_left_out(site: Site) -> None:
    """The rest of the page stays."""
    assert site.render('[{{ emit_tep("bad") }}]{{ emit_tep("nav") }}').startswith("[]<a")


def test_filters_tests_values_and_connections_work_in_the_hosts_templates(site: Site) -> None:
    """They take and give plain data."""
    assert site.render('{{ emit_dcp("counter", 1, 2) }}') == "<i>2</i>"
    assert site.render('{{ "abcd" is long }} {{ answer }} {{ year }}') == "True 42 2026"
    assert site.render('{{ "a"|shout|first }}') == "A"


def test_a_filter_is_asked_once_for_equal_values_in_one_request(site: Site) -> None:
    """A loop of a thousand costs one message."""
    shown = site.render('{% for _ in range(5) %}{{ "same"|shout }} {% endfor %}').split()
    assert len(shown) == 5
    assert len(set(shown)) == 1


def test_one_page_asks_a_plugin_once_for_all_its_parts(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the second visit on, when it is known which slots the page shows."""
    from flask_pluginkit.isolation import remote, stages

    asked: list[int] = []
    ask_all = remote.ask_all

    def counted(rows: Any) -> Any:
        asked.append(len(rows))
        return ask_all(rows)

    monkeypatch.setattr(stages, "ask_all", counted)
    page = '{{ emit_tep("nav") }}{{ emit_tep("foot") }}'
    first = site.render(page)
    asked.clear()
    assert site.render(page) == first
    assert asked == [1]


def test_its_templates_are_no_templates_of_the_host(site: Site) -> None:
    """A template is code: a page of the site can't include one of the plugin's."""
    site.template = '{% include "guest:nav.html" %}'
    assert site.client.get("/page").status_code == 500
    site.template = '{% include "nav.html" %}'
    assert site.client.get("/page").status_code == 500


def test_nobody_can_import_it_in_the_host(site: Site) -> None:
    """Not even by accident: its code would run with everything that the host may do."""
    with pytest.raises(ImportError, match="runs in a process of its own"):
        __import__(module_name(site.row().candidate))


def test_a_worker_that_dies_costs_one_answer(sites: Callable[..., Site], tmp_path: Path) -> None:
    """The view is a 502, and the next request has a new worker."""
    guest(tmp_path)
    site = sites()
    before = site.client.get("/guest/pid").text
    assert site.client.get("/guest/die").status_code == 502
    after = site.client.get("/guest/pid")
    assert after.status_code == 200
    assert after.text != before


def test_a_worker_that_hangs_is_given_up_at_the_deadline(
    sites: Callable[..., Site], tmp_path: Path
) -> None:
    """The view is a 503 in time, and the worker is ended."""
    guest(tmp_path)
    site = sites(deadline=1)
    begun = time.monotonic()
    assert site.client.get("/guest/hang").status_code == 503
    assert time.monotonic() - begun < 10
    assert site.client.get("/guest/").status_code == 200


def test_a_killed_supervisor_is_followed_by_another(
    sites: Callable[..., Site], tmp_path: Path
) -> None:
    """Its workers end by themselves, and requests elect a new one."""
    guest(tmp_path)
    site = sites()
    for _ in range(2):
        [worker] = site.manager.plugin_processes()
        link = site.manager._site().hosting.control._link
        assert link is not None
        os.kill(link.pid, signal.SIGKILL)
        # the worker may answer, or fail to, while it is ending too
        begun = time.monotonic()
        while pids(site) in ([], [worker.pid]):
            assert time.monotonic() - begun < 20
    assert site.client.get("/guest/").status_code == 200


def test_the_end_of_the_supervisor_is_no_fault_of_a_plugin(
    sites: Callable[..., Site], tmp_path: Path
) -> None:
    """A request that waited for it fails all the same."""
    guest(tmp_path)
    site = sites()
    site.client.get("/guest/")
    link = site.manager._site().hosting.control._link
    assert link is not None
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(site.app.test_client().get, "/guest/hang") for _ in range(3)]
        time.sleep(0.3)
        os.kill(link.pid, signal.SIGKILL)
        assert {one.result().status_code for one in waiting} == {502}
    assert sum(errors for _calls, errors in site.row().counts.values()) == 0
    assert site.client.get("/guest/die").status_code == 502
    assert sum(errors for _calls, errors in site.row().counts.values()) == 1


SLOW = """
import time
def view():
    time.sleep(0.9)
    return "at last"
def register():
    return {"vep": {"rule": "/guest/slow", "view_func": view, "endpoint": "guest.slow"}}
"""


def test_answers_just_before_the_deadline_are_faults_in_the_end(
    sites: Callable[..., Site], tmp_path: Path
) -> None:
    """They are used; but who misses no deadline by a hair would never be blamed."""
    guest(tmp_path, SLOW)
    site = sites(deadline=1, config={"PLUGINKIT_BREAKER": {"faults": 3}})
    for _ in range(3):
        assert site.row().status == "active"
        assert site.client.get("/guest/slow").text == "at last"
    begun = time.monotonic()
    while site.row().status == "active":  # the helper thread is at it
        assert time.monotonic() - begun < 10
        time.sleep(0.02)
    assert site.row().status == "quarantined"
    assert "its deadline" in site.row().reason


def test_answers_in_good_time_are_none(sites: Callable[..., Site], tmp_path: Path) -> None:
    """However many."""
    guest(tmp_path, SLOW)
    site = sites(deadline=5, config={"PLUGINKIT_BREAKER": {"faults": 1}})
    assert site.client.get("/guest/slow").text == "at last"
    assert site.row().status == "active"


def pids(site: Site) -> list[int]:
    """Ask the plugin, and return the processes that there are then."""
    site.client.get("/guest/")
    return [one.pid for one in site.manager.plugin_processes()]


def test_a_supervisor_that_is_gone_runs_nothing(sites: Callable[..., Site], tmp_path: Path) -> None:
    """Whoever asks is told so, and none is started for the question."""
    guest(tmp_path)
    site = sites()
    link = site.manager._site().hosting.control._link
    assert link is not None
    os.kill(link.pid, signal.SIGKILL)
    assert site.manager.plugin_processes() == ()


def test_switching_is_live(sites: Callable[..., Site], tmp_path: Path) -> None:
    """Disabled it is gone at every point, enabled it is back, and its worker goes and comes."""
    guest(tmp_path)
    site = sites()
    page = '{{ emit_tep("nav") }}{{ answer }}'
    shown = site.render(page)
    site.manager.disable_plugin("guest")
    assert site.client.get("/guest/").status_code == 404
    assert site.render(page) == ""
    site.manager.enable_plugin("guest")
    assert site.client.get("/guest/").status_code == 200
    assert site.render(page) == shown


def test_a_new_version_needs_no_restart(sites: Callable[..., Site], tmp_path: Path) -> None:
    """A look for plugins is enough: the new code answers, and the old worker ends."""
    guest(tmp_path)
    site = sites()
    assert "hello" in site.client.get("/guest/").text
    guest(tmp_path, PLUGIN.replace("hello {", "goodbye {"), version="2.0.0")
    site.manager.rescan()
    assert site.client.get("/guest/").text.startswith("goodbye")
    assert site.row().version == "2.0.0"


def test_a_plugin_moves_between_levels(sites: Callable[..., Site], tmp_path: Path) -> None:
    """Stored, and from the next request on."""
    guest(tmp_path)
    site = sites(isolation=None)
    assert site.client.get("/guest/pid").text == str(os.getpid())
    site.manager.isolate_plugin("guest", level="process")
    assert site.client.get("/guest/pid").text != str(os.getpid())
    site.manager.isolate_plugin("guest", level=None)
    assert site.client.get("/guest/pid").text == str(os.getpid())


def test_what_cannot_work_from_another_process_is_told(
    sites: Callable[..., Site], tmp_path: Path
) -> None:
    """As conflicts of the plugin, which is active without it."""
    body = """
    import click
    @click.command("count")
    def count(): pass
    def register():
        return {"cli": [count], "p3": {"other": {"tep": lambda tep: tep}},
                "tcp": {"call": lambda: 1, "fine": 1}}
    """
    write_plugin(tmp_path / "plugins", "guest", body)
    site = sites()
    row = site.row()
    assert row.status == "active"
    assert {conflict.kind for conflict in row.conflicts} >= {"cli", "p3", "tcp"}
    assert all(conflict.winner == "the sandbox" for conflict in row.conflicts)


def test_a_plugin_that_fails_to_load_says_why(sites: Callable[..., Site], tmp_path: Path) -> None:
    """With the traceback of its own process."""
    write_plugin(
        tmp_path / "plugins", "guest", "raise RuntimeError('at import')\ndef register(): pass"
    )
    row = sites().row()
    assert row.status == "failed"
    assert "at import" in row.reason


def test_a_manifest_that_must_be_run_is_refused(sites: Callable[..., Site], tmp_path: Path) -> None:
    """Nothing of the plugin runs in the host, so its version must stand there itself."""
    body = "__version__ = '.'.join('123')\ndef register():\n    return {}"
    write_plugin(tmp_path / "plugins", "guest", body, version=None)
    row = sites().row()
    assert row.status == "failed"
    assert "literal" in row.reason


def test_bytecode_beside_the_source_is_never_run(
    sites: Callable[..., Site], tmp_path: Path
) -> None:
    """What an operator approves is the source; a forged file that claims to be newer isn't it."""
    body = "from .part import word\ndef register():\n    return {'tcp': {'word': word}}"
    files = {"part.py": "word = 'source'"}
    folder = write_plugin(tmp_path / "plugins", "guest", body, files=files)
    part = folder / "part.py"
    py_compile.compile(str(part), doraise=True)
    stat = part.stat()
    write(part, "word = 'SOURCE'")
    os.utime(part, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert sites().render("{{ word }}") == "SOURCE"


def test_the_hosts_overrides_of_its_templates_are_used(
    sites: Callable[..., Site], tmp_path: Path
) -> None:
    """As with a trusted plugin: a file below templates/plugins/<plugin> comes first."""
    guest(tmp_path)
    write(tmp_path / "templates/plugins/guest/nav.html", "the site's {{ answer }}")
    assert sites().render('{{ emit_tep("nav") }}') == "the site's 42"


def test_hooks_of_a_trustworthy_process_run(sites: Callable[..., Site], tmp_path: Path) -> None:
    """Guards answer, and responses are changed, in other processes too."""
    body = """
    from flask import request
    def guard():
        if request.path == "/page" and request.method == "DELETE":
            return "never", 405
    def after(response):
        response.headers["Content-Language"] = "la"
        return response
    def register():
        return {"hep": {"before_request": guard, "after_request": after}}
    """
    write_plugin(tmp_path / "plugins", "guest", body)
    site = sites()
    answer = site.client.get("/page")
    assert (answer.status_code, answer.headers["Content-Language"]) == (200, "la")


def test_a_guard_whose_process_is_gone_shuts_the_site(
    sites: Callable[..., Site], tmp_path: Path
) -> None:
    """A guard that can't be asked never opens a door."""
    body = """
    import os
    def guard():
        os._exit(1)
    def register():
        return {"hep": {"before_request": guard}}
    """
    write_plugin(tmp_path / "plugins", "guest", body)
    assert sites().client.get("/page").status_code == 503


def test_a_stream_may_take_longer_than_a_page_but_not_for_ever(
    sites: Callable[..., Site], tmp_path: Path
) -> None:
    """The deadline holds for each chunk, and a visitor who reads slowly is no fault of it."""
    body = """
    import time
    def slow(pause, count):
        def chunks():
            for number in range(count):
                yield f"{number},"
                time.sleep(pause / 10)
        return chunks()
    def register():
        return {"vep": {"rule": "/guest/<int:pause>/<int:count>", "view_func": slow}}
    """
    write_plugin(tmp_path / "plugins", "guest", body)
    site = sites(deadline=0.5, config={"PLUGINKIT_SANDBOX_STREAM": 3})
    assert site.client.get("/guest/1/8").text == "0,1,2,3,4,5,6,7,"
    reading = iter(site.client.get("/guest/0/2000").response)
    next(reading)
    time.sleep(1)
    assert b"".join(cast("Iterator[bytes]", reading)).endswith(b"1999,")
    with pytest.raises(DeadlineError):
        assert site.client.get("/guest/20/3").text
    with pytest.raises(DeadlineError):
        assert site.client.get("/guest/2/900").text


def test_hooks_run_once_around_the_plugins_own_pages(
    sites: Callable[..., Site], tmp_path: Path
) -> None:
    """In its process, where they share what the view sees; not in the host as well."""
    body = """
    from flask import g
    calls = []
    def before():
        calls.append(1)
        g.word = "shared"
    def view():
        return f"{g.word} {len(calls)}"
    def register():
        return {"hep": {"before_request": before},
                "vep": {"rule": "/guest/view", "view_func": view}}
    """
    write_plugin(tmp_path / "plugins", "guest", body)
    site = sites()
    assert site.client.get("/guest/view").text == "shared 1"
    assert site.client.get("/page").status_code == 200
    assert site.client.get("/guest/view").text == "shared 3"
