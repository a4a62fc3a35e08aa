"""What a site with isolated plugins promises, with gunicorn, as root and as a plain user."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import pytest
from guests import (
    GUARD,
    GUARD_ASKS,
    GUEST,
    GUEST_FILES,
    KEEPER,
    SITE,
    SMALL,
    THIEF,
    files_of,
)
from isolated import ROOT, UIDS, USERS, forget_environment, site_folder
from visitors import Visited, born, build, until, visited

KEEPER_ASKS = ["storage", "files:1MB", "user:name", "cookies"]
OPTIONS = {"isolation": {"mover": "trusted", "*": "isolated"}}


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    """A server of this machine's, which no plugin may reach."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        found.setblocking(False)
        yield found


@pytest.fixture(scope="module")
def keeper_asks(listener: socket.socket) -> list[str]:
    """What the plugin that keeps things asks for."""
    return [*KEEPER_ASKS, f"net:localhost:{listener.getsockname()[1]}"]


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    yield
    forget_environment()


@pytest.fixture(scope="module", params=USERS)
def site(request: pytest.FixtureRequest, keeper_asks: list[str]) -> Iterator[Visited]:
    """A site with the plugins of `guests`; those that ask for something were approved before."""
    with site_folder(request.param) as folder:
        build(
            folder,
            {
                "site_host.py": SITE,
                **files_of("guest", GUEST, more=GUEST_FILES),
                **files_of("guard", GUARD, asks=GUARD_ASKS),
                **files_of("keeper", KEEPER, asks=keeper_asks),
                **files_of("thief", THIEF, asks=["storage", "files:1MB"]),
                **files_of("mover", SMALL),
            },
        )
        with visited(folder, request.param, OPTIONS) as found:
            yield found


# ---- permissions are given -------------------------------------------------------------------


def test_nothing_that_asks_for_something_runs_before_it_is_approved(site: Visited) -> None:
    """It is failed, with the command to run; and then it is active in every worker, at once."""
    plugins = site.state()["plugins"]
    for name in ("guard", "keeper", "thief"):
        assert plugins[name][0] == "failed"
        assert f"flask plugins approve {name}" in plugins[name][1]
        assert f"{name}: granted" in site.command("approve", name, "--yes")
    for answer in site.everywhere("/state"):
        assert {row[0] for row in answer.json["plugins"].values()} == {"active"}


# ---- every extension point -------------------------------------------------------------------


def multipart(fields: dict[str, str], file: bytes) -> tuple[bytes, dict[str, str]]:
    """A form with a file, as a browser sends it."""
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="x.bin"\r\n\r\n'
    body = b"".join(parts) + head + file + b"\r\n--edge--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=edge"}


def test_views_answer_in_every_web_worker(site: Visited) -> None:
    """Pages, streams and redirects to own pages; a redirect to elsewhere is refused."""
    assert site.texts("/guest/version") == {"1.0.0"}
    assert site.texts("/guest/stream") == {"".join(f"{number}," for number in range(1000))}
    for answer in site.everywhere("/guest/away"):
        assert (answer.status, answer.headers["Location"]) == (302, "/guest/version")
    assert {answer.status for answer in site.everywhere("/guest/out")} == {502}
    for answer in site.everywhere("/guest/"):
        assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_forms_and_uploads_arrive(site: Visited) -> None:
    """As a browser sends them; one that is too long is refused by the host."""
    body, headers = multipart({"word": "äö"}, b"x" * 300_000)
    answer = site.ask("/guest/form", "POST", body, headers)
    assert "<p>äö</p>" in answer.text
    assert "300000" in answer.text
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)) as connection:
        connection.putrequest("POST", "/guest/form")
        connection.putheader("Content-Length", str(17 << 20))
        connection.endheaders()
        assert connection.getresponse().status == 413


def test_parts_of_pages_are_shown_by_every_web_worker(site: Visited) -> None:
    """Slots, connection points, filters, tests and values for templates."""
    source = """{{ emit_tep("nav") }} {{ emit_dcp("counter", 1, 2) }} {{ "a"|shout }}
    {{ "abcd" is long }} {{ answer }} {{ year }}"""
    page = f"/page?{urlencode({'source': source})}"
    shown = {" ".join(text.split()) for text in site.texts(page)}
    link = '<a href="/guest/" rel="nofollow&#32;noopener&#32;noreferrer&#32;ugc">guest 42</a>'
    assert shown == {f"{link} <i>2</i> A! True 42 2026"}


def test_hooks_and_error_pages_do_what_they_were_granted(site: Visited) -> None:
    """A guard answers, responses are labelled, an error has the plugin's page."""
    for answer in site.everywhere("/shut"):
        assert (answer.status, answer.text) == (403, "shut by the guard")
    for answer in site.everywhere("/teapot"):
        assert (answer.status, answer.text) == (418, "the guard's teapot")
    for answer in site.everywhere("/"):
        assert (answer.text, answer.headers["Content-Language"]) == ("the site", "la")


def test_a_plugin_has_one_process_that_all_web_workers_share(site: Visited) -> None:
    """With a user of its own where the site is root's, and the layers that confine it."""
    [pid] = site.texts("/guest/pid")
    running = site.processes()
    assert {*running} == {"guest", "guard", "keeper", "thief"}
    assert len(site.state()["processes"]) == len(running)
    assert str(running["guest"]["pid"]) == pid
    uids = [one["uid"] for one in running.values()]
    if site.user == ROOT:
        first, last = map(int, UIDS.split("-"))
        assert len(set(uids)) == len(running)
        assert all(first <= uid <= last for uid in uids)
    else:
        assert {*uids} == {Path(f"/proc/{site.process.pid}").stat().st_uid} != {0}
    for one in running.values():
        assert any("landlock" in layer.lower() for layer in one["layers"])
        assert any("seccomp" in layer.lower() for layer in one["layers"])


# ---- what was granted, and no more -----------------------------------------------------------


def test_the_storage_is_a_plugins_own(site: Visited) -> None:
    """Its values and its folder can be read by it in every worker, and by no other plugin."""
    assert site.ask("/keeper/keep/treasure", "POST").text == "kept"
    [text] = site.texts("/keeper/kept")
    kept = json.loads(text)
    assert (kept["stored"], kept["file"]) == ("treasure", "treasure")
    query = urlencode({"home": kept["home"], "state": site.state_dir})
    looked = site.ask(f"/thief/look?{query}").json
    assert looked["storage"] is None
    refused = {looked[name] for name in ("listed", "read", "state", "kept")}
    # where there is a mount namespace, the rest of the machine isn't even there
    assert refused <= {"PermissionError", "FileNotFoundError"}


def test_a_folder_has_room_for_what_was_granted(site: Visited) -> None:
    """What fits is kept, a file that doesn't is refused or ends the process, not the site."""
    assert site.ask("/keeper/fill/500000", "POST").json == {"error": ""}
    answer = site.ask("/keeper/fill/5000000", "POST")
    assert answer.status in {502, 503} or answer.json["error"]
    assert until(lambda: site.ask("/keeper/kept").status == 200)


def test_no_machine_is_reached_but_the_named_one_and_never_this_one(
    site: Visited, listener: socket.socket
) -> None:
    """Names that weren't granted are refused, and so is whatever leads to this machine."""
    port = listener.getsockname()[1]
    named = site.ask(f"/keeper/connect/localhost/{port}").json["error"]
    assert "PermissionError" in named
    for host, number in (("127.0.0.1", port), ("localhost", site.port), ("example.org", 80)):
        assert "PermissionError" in site.ask(f"/keeper/connect/{host}/{number}").json["error"]
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_of_the_user_a_plugin_knows_what_was_granted(site: Visited) -> None:
    """The name, and not the address that the site's function returned too."""
    assert [answer.json for answer in site.everywhere("/keeper/user")] == [{"name": "Ada"}] * 2


def test_cookies_are_those_named_after_the_plugin(site: Visited) -> None:
    """It gets no others, sets no others, and its own go to its own pages alone."""
    cookies = {"Cookie": "session=the-site's; keeper-mine=7; thief-mine=8"}
    answer = site.ask("/keeper/cookies", headers=cookies)
    assert answer.json == {"keeper-mine": "7"}
    [cookie] = answer.headers.get_all("Set-Cookie", [])
    assert cookie.startswith("keeper-mine=1;")
    assert "Path=/keeper" in cookie


# ---- live ------------------------------------------------------------------------------------


def test_switching_by_one_web_worker_is_seen_by_the_others(site: Visited) -> None:
    """At their next requests; the process goes when nobody wants it, and comes back."""
    site.do("disable", "guest")
    assert {answer.status for answer in site.everywhere("/guest/pid")} == {404}
    source = "[{{ emit_tep('nav') }}{{ answer }}]"
    assert site.texts(f"/page?{urlencode({'source': source})}") == {"[]"}
    site.do("enable", "guest")
    answers = site.everywhere("/guest/pid")
    assert [answer.status for answer in answers] == [200, 200]
    assert len({answer.text for answer in answers}) == 1


def test_a_new_plugin_is_found_by_one_web_worker_for_all(site: Visited) -> None:
    """It answers at their next requests, from one process."""
    site.put(files_of("late", SMALL))
    site.do("rescan", "late")
    answers = site.everywhere("/late/pid")
    assert [answer.status for answer in answers] == [200, 200]
    assert len({answer.text for answer in answers}) == 1


def test_a_version_that_asks_for_more_waits(site: Visited, keeper_asks: list[str]) -> None:
    """The old one goes on with what it keeps until the new one is approved, in every worker."""
    asks = [*keeper_asks, "html:raw"]
    site.put(files_of("keeper", KEEPER, version="2.0.0", asks=asks))
    site.do("rescan", "keeper")
    assert site.texts("/keeper/version") == {"1.0.0"}
    assert json.loads(site.texts("/keeper/kept").pop())["stored"] == "treasure"
    site.command("approve", "keeper", "--yes")
    assert site.texts("/keeper/version") == {"2.0.0"}
    assert json.loads(site.texts("/keeper/kept").pop())["file"] == "treasure"


def test_a_new_version_takes_over_without_a_failed_request(site: Visited) -> None:
    """Requests move over, and the old process ends."""
    pid = site.processes()["guest"]["pid"]
    birth = born(pid)
    with site.under_load(["/guest/version", "/", "/guest/version"]) as load:
        until(lambda: load.texts.count("1.0.0") > 20)
        site.put(files_of("guest", GUEST, version="2.0.0", more=GUEST_FILES))
        site.do("rescan", "guest")
        assert site.texts("/guest/version") == {"2.0.0"}
        seen = len(load.texts)
        until(lambda: len(load.texts) > seen + 20)
    assert load.failures == []
    assert {*load.texts} == {"the site", "1.0.0", "2.0.0"}
    assert until(lambda: born(pid) != birth), "the old process goes on"
    assert site.processes()["guest"]["pid"] != pid


# ---- commands --------------------------------------------------------------------------------


def test_the_commands_tell_what_runs_where(site: Visited) -> None:
    """From a process of their own, which joins the supervisor that the site has."""
    rows = {row["name"]: row for row in json.loads(site.command("list", "--json"))}
    assert {row["status"] for row in rows.values()} == {"active"}
    assert rows["guest"]["isolation"] == "isolated"
    assert "not sandboxed" not in rows["guest"]["confinement"]
    assert rows["mover"]["isolation"] == "trusted"
    isolated = [name for name, row in rows.items() if row["isolation"] == "isolated"]
    assert until(lambda: len(site.state()["processes"]) == len(isolated)), "old ones go on"
    listed = site.command("processes")
    pattern = re.compile(r"^(\w+) +isolated +running +(\d+) +(\d+) ", re.MULTILINE)
    assert {*pattern.findall(listed)} == {
        (name, str(one["pid"]), str(one["uid"])) for name, one in site.processes().items()
    }


def test_a_plugin_is_isolated_by_a_command(site: Visited) -> None:
    """From the next requests on, in every web worker."""
    webs = {answer.web_worker for answer in site.everywhere("/state")}
    assert site.texts("/mover/pid") == webs
    assert "mover: isolated" in site.command("isolate", "mover")
    [pid] = site.texts("/mover/pid")
    assert pid not in webs
    assert site.processes()["mover"]["layers"]
    site.command("isolate", "mover", "--level", "configured")
    assert site.texts("/mover/pid") == webs


# ---- the supervisor ends ---------------------------------------------------------------------


def test_a_killed_supervisor_is_followed_by_another(site: Visited) -> None:
    """Its plugins' processes end, and every web worker finds the new ones."""
    before = {one["pid"]: born(one["pid"]) for one in site.processes().values()}
    os.kill(site.traces().supervisor, signal.SIGKILL)
    assert until(lambda: all(born(pid) != birth for pid, birth in before.items()))
    is_back = until(lambda: {a.status for a in site.everywhere("/guest/pid")} == {200})
    assert is_back, (site.state(), (site.state_dir / "sandbox.log").read_text()[-2000:])
    [after] = site.texts("/guest/pid")
    assert int(after) not in before
    assert site.show('{{ emit_dcp("counter") }}') == "<i>0</i>"
    assert site.ask("/shut").text == "shut by the guard"
    assert site.ask("/keeper/kept").json["stored"] == "treasure"
