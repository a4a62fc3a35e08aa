"""Attacks on a site that take more than one request: from outside, sideways, and from below."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from isolated import ROOT, readable_python
from sieged import NASTY
from sieges import Answer, ask, parent, state_of, status_of, web_workers

from flask_pluginkit.isolation.supervision import Survey
from flask_pluginkit.isolation.wire import CONTROL_LIMIT, encode

STRANGER = 65533
"""A user that has nothing to do with the site."""


# ---- from outside ----------------------------------------------------------------------------

SPOOFED = {
    "Cookie": "session=stolen-cookie; neighbour-x=stolen-cookie",
    "Authorization": "Bearer stolen-bearer",
    "Proxy-Authorization": "Basic stolen-bearer",
    "X-Forwarded-For": "stolen-address",
    "X-Real-IP": "stolen-address",
    "Forwarded": "for=stolen-address",
    "Referer": "http://127.0.0.1/reset?token=stolen-token",
    "HX-Current-URL": "http://127.0.0.1/reset?token=stolen-token",
    "X-CSRF-Token": "stolen-token",
    "X-Api-Key": "stolen-token",
}
"""Headers that no plugin is shown, nor anything of ``stolen``."""

ODD_PATHS = (
    "/neighbour/..%2f..%2fpage1", "/neighbour/%00", "/neighbour/%ff%fe", "/neighbour/" + "a" * 3000,
    "/neighbour//", "/neighbour/%2e%2e/page1", "/neighbour/?" + "a=1&" * 900, "/neighbour%0d%0aX:1",
)  # fmt: skip

HEAVY_PATHS = (
    "/liepaths/" + "a/" * 60, "/liedashes/" + "-" * 200, "/lieany/" + "a/" * 20 + "a" * 18,
    "/liemany/x/x/x", "/lietwo/" + "/a" * 1500, "/lieconverter/x", "/lieargument/x",
)  # fmt: skip
"""What an accomplice asks for, so that the host looks for the rule that fits."""


def from_outside(url: str) -> dict[str, Answer]:
    """Ask for a plugin's view in ways that a browser doesn't."""
    found = {
        "spoofed": ask(url, "/neighbour/told", headers=SPOOFED),
        "large": sent(url, b"x" * 65536, 17 << 20),
        "brew": ask(url, "/neighbour/", method="BREW"),
        "slow": sent(url, b"x" * 9, 10, pause=0.03),
    }
    for number, path in enumerate(ODD_PATHS):
        found[f"odd{number}"] = ask(url, path)
    for number, path in enumerate(HEAVY_PATHS):
        found[f"heavy{number}"] = ask(url, path, timeout=5)
    return found


def sent(url: str, body: bytes, length: int, *, pause: float = 0.0) -> Answer:
    """Send a body of some length, or its beginning; ask for the host's page meanwhile."""
    head = f"POST /neighbour/told HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=10) as connection:
        connection.sendall(head.encode())
        for byte in body if pause else ():
            connection.sendall(bytes([byte]))
            time.sleep(pause)
        meanwhile = ask(url, "/")
        connection.sendall(b"x" if pause else body)
        line = connection.recv(1 << 16).split(b"\r\n", 1)[0]
    return Answer(status=int(line.split()[1]), body=meanwhile.body)


# ---- parts of pages --------------------------------------------------------------------------

FORBIDDEN = frozenset(
    [
        "script",
        "style",
        "iframe",
        "form",
        "input",
        "object",
        "embed",
        "svg",
        "math",
        "base",
        "meta",
        "link",
        "template",
        "noscript",
        "x",
    ]
)


class Reader(HTMLParser):
    """Reads a page as browsers do, and notes what it must not have."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at a tag."""
        if tag in FORBIDDEN:
            self.found.append(f"<{tag}>")
        for name, given in attrs:
            value = "".join((given or "").split()).lower()
            is_url = name in {"href", "src", "action"}
            if (
                name.startswith(("on", "hx-", "data-"))
                or name in {"style", "srcdoc", "contenteditable"}
                or (is_url and value.startswith(("javascript:", "data:", "//", "x")))
                or (name in {"id", "class"} and not value.startswith("markup-") and tag != "div")
            ):
                self.found.append(f"<{tag} {name}={given!r}>")


def nasty_pages(url: str) -> dict[str, list[str]]:
    """What is wrong with pages that show nasty parts, in the text and in an attribute."""
    found = {}
    for number in range(len(NASTY)):
        for kind in ("tep", "dcp"):
            part = f"{{{{ emit_{kind}('nasty{number}') }}}}"
            source = quote(f'<div id="own" title="{part}">{part}</div><p>end</p>')
            answer = ask(url, f"/page?source={source}")
            reader = Reader()
            reader.feed(answer.text)
            if answer.status != 200 or not answer.text.endswith("<p>end</p>"):
                reader.found.append(f"{answer.status} {answer.text[-100:]}")
            found[f"{kind} {NASTY[number]}"] = reader.found
    return found


TYPES = ("text/html", "text/plain", "application/json", "application/xhtml+xml", "image/svg+xml")


def for_scripts(url: str) -> dict[str, Answer]:
    """What scripts of the site get, which may put it into its pages; and a reader."""
    found = {"reader": ask(url, "/markup/page?type=text/html")}
    for kind in TYPES:
        for name in ("HX-Request", "hx-request"):
            path = f"/markup/page?type={quote(kind)}"
            found[f"{name} {kind}"] = ask(url, path, headers={name: "true"})
    fetched = {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
    found["fetch"] = ask(url, "/markup/page?type=text/html", headers=fetched)
    found["endless"] = ask(url, "/endlesshtml/attack", headers={"HX-Request": "true"})
    return found


STATIC = (
    "link.png", "fifo.png", "folder/secret.png", "x.js", "x.html", "__init__.py", "../__init__.py",
    "..%2f__init__.py", "..%2f..%2f..%2fsecret.txt", "%2e%2e/%2e%2e/secret.png", "ok.png%00.js",
    "ok.png/", "folder/", "", "etc%2fpasswd", "..%5csecret.png",
)  # fmt: skip
"""Static files that nobody gets."""


def write_static(plugin: Path, secret: Path) -> None:
    """Write static files of which one may be served."""
    folder = plugin / "static"
    folder.mkdir()
    for name in ("ok.png", "x.js", "x.html"):
        (folder / name).write_bytes(b"<script>alert(1)</script>")
    (folder / "link.png").symlink_to(secret)
    (folder / "folder").symlink_to(secret.parent)
    (secret.parent / "secret.png").write_bytes(secret.read_bytes())
    os.mkfifo(folder / "fifo.png")


def static_files(url: str) -> dict[str, Answer]:
    """Ask for static files."""
    return {name: ask(url, f"/assets/markup/{name}", timeout=5) for name in ("ok.png", *STATIC)}


# ---- sideways --------------------------------------------------------------------------------


def spies(url: str, folder: Path, hidden: dict[str, Any], runtime: Path) -> dict[str, Answer]:
    """Have one plugin look for all that is another's, or the site's."""
    zygote = parent(hidden["pid"])
    pids = [hidden["pid"], zygote, parent(zygote), *web_workers(url)]
    home = Path(hidden["home"])
    places = [
        *(folder / name for name in ("secret.txt", "site_host.py", "gunicorn.log", "state")),
        *(home / "treasure", home, home.parent, runtime, folder / "plugins", Path("/tmp")),
        *(Path(f"/proc/{pid}/environ") for pid in pids),
        *(folder / "state").rglob("*.json"),
    ]
    sockets = sorted(map(str, runtime.glob("*.sock")))[:8]
    wanted = urlencode({"place": list(map(str, places))}, doseq=True)
    reached = urlencode(
        {
            "pid": pids,
            "socket": [str(runtime / "control.sock"), *sockets],
            "folder": list(map(str, (home, folder / "state", folder / "plugins", runtime))),
        },
        doseq=True,
    )
    return {
        "seen": ask(url, f"/seen/attack?{wanted}"),
        "reach": ask(url, f"/reach/attack?{reached}"),
        "othersvalues": ask(url, "/othersvalues/attack"),
    }


# ---- from below ------------------------------------------------------------------------------

CONNECT = """
import socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.settimeout(3)
    try:
        connection.connect(sys.argv[1])
        connection.sendall(bytes.fromhex(sys.argv[2]))
        print("GOT" if connection.recv(100) else "closed")
    except OSError as error:
        print(type(error).__name__)
"""

RUBBISH = {
    "nothing": b"",
    "garbage": bytes(range(1, 250)) * 20,
    "length": b"\xff\xff\xff\xff" + b"x" * 100,
    "nesting": (100_000).to_bytes(4, "big") + b"\x91" * 100_000,
    "survey": encode(Survey(id=1), CONTROL_LIMIT),
}


def connect(path: Path, sent: bytes, user: str | None) -> str:
    """Connect to a socket as some user, and tell what came of it."""
    within = [] if user is None else ["setpriv", f"--reuid={user}", "--clear-groups"]
    words = [*within, readable_python(), "-c", CONNECT, str(path), sent.hex()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.strip() or done.stderr


def control_socket(user: str, runtime: Path) -> dict[str, str]:
    """Speak to the supervisor as a stranger, and nonsense as the site's own user."""
    path = runtime / "control.sock"
    found = {}
    own = None if user == ROOT or os.geteuid() != 0 else "nobody"
    for name, sent in RUBBISH.items():
        if name != "nothing" and len(sent) < 50_000:
            found[f"own {name}"] = connect(path, sent, own)
    if os.geteuid() == 0:
        found["stranger"] = connect(path, RUBBISH["survey"], str(STRANGER))
        modes = runtime.stat().st_mode, path.stat().st_mode
        runtime.chmod(0o711)
        path.chmod(0o666)
        found["stranger inside"] = connect(path, RUBBISH["survey"], str(STRANGER))
        path.chmod(modes[1])
        runtime.chmod(modes[0])
    return found


def death_of_the_supervisor(url: str, hidden: dict[str, Any]) -> dict[str, Any]:
    """Kill the supervisor while a plugin floods; tell what became of everybody."""
    flooding = threading.Thread(target=ask, args=(url, "/flood/attack"))
    flooding.start()
    before = [one["pid"] for one in state_of(url)["processes"] if one["pid"]]
    zygote = parent(hidden["pid"])
    supervisor = parent(zygote)
    os.kill(supervisor, signal.SIGKILL)
    begun = time.monotonic()
    while status_of(hidden["pid"]) and time.monotonic() < begun + 5:
        time.sleep(0.02)
    recovery, pages = None, []
    while recovery is None and time.monotonic() < begun + 10:
        pages.append(ask(url, "/").body)
        if ask(url, "/neighbour/").body == b"neighbour":
            recovery = time.monotonic() - begun
        else:
            time.sleep(0.3)
    flooding.join()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(map(status_of, before)):
        time.sleep(0.05)
    for _ in range(10):  # the other web worker may have yet to hear of it
        kept = ask(url, "/neighbour/kept")
        if kept.status == 200:
            break
        time.sleep(0.3)
    return {
        "recovery": recovery,
        "pages": set(pages),
        "left": [pid for pid in (*before, zygote, supervisor) if status_of(pid)],
        "row": state_of(url)["plugins"]["neighbour"],
        "kept": kept.text,
    }


def dying_again_and_again(url: str) -> dict[str, Any]:
    """Have a plugin die until it is put off, and tell what is said of it."""
    answers = [ask(url, "/abort/attack").status for _ in range(8)]
    state = state_of(url)
    process = next(one for one in state["processes"] if one["plugin"] == "abort")
    return {"answers": answers, "process": process, "row": state["plugins"]["abort"]}
