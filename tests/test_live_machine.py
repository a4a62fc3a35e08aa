"""Any sequence of changes leaves what an application has that starts with the final files."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from effort import examples
from flask import g, render_template_string, url_for
from hosts import Host
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from werkzeug.exceptions import ImATeapot, ServiceUnavailable

from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.following import Follower
from flask_pluginkit.importing import FINDER
from flask_pluginkit.loading import forget
from flask_pluginkit.pulse import PULSE
from flask_pluginkit.snapshot import Status

NAMES = "abcd"


@dataclass(frozen=True)
class Made:
    """One plugin as it is written to the disk."""

    disabled: bool
    requires: tuple[str, ...]
    p3: str | None
    parent: str | None
    on: str | None
    fails: str | None
    shares: bool
    """Whether names are ones that others have as well."""
    shares_blueprint: bool
    guards: bool
    overlaps: bool
    """Whether routes match what those of others match, equally well."""
    moves: bool
    """Whether ``p3`` puts another's blueprint elsewhere, too."""

    def write(self, host: Host, name: str) -> None:
        """Write it."""
        host.plugin(
            name,
            self.body(name),
            state="disabled" if self.disabled else "enabled",
            requires={other: ">=1" for other in self.requires if other != name},
        )

    def body(self, name: str) -> str:
        """Its code; everything that it adds has its name, or one that others have as well."""
        shared = "shared" if self.shares else name
        parent = f"'parent': 'bp_{self.parent}'," if self.parent and self.parent != name else ""
        on = f"bp_{self.on}" if self.on else ""
        views = [f"{{'rule': '/{shared}', 'view_func': view, 'endpoint': {name!r}}}"]
        if on:
            views.append(
                f"{{'rule': '/on_{name}', 'view_func': view, 'endpoint': 'on_{name}', "
                f"'_blueprint': {on!r}}}"
            )
        if self.overlaps:
            rules = (
                "/over/<x>",
                "/over/<any(a, b):x>",
                "/over/<string(length=1):x>",
                "/over/<path:x>",
            )
            views.append(
                f"{{'rule': {rules[NAMES.index(name)]!r}, 'view_func': lambda x: {name!r}, "
                f"'endpoint': 'over_{name}'}}"
            )
        bep = ", 'bep': move" if self.moves else ""
        p3 = f"{{{self.p3!r}: {{'tep': again, 'filter': more{bep}}}}}" if self.p3 else "{}"
        blueprint = "bp_a" if self.shares_blueprint else f"bp_{name}"
        return f"""
import click
from flask import Blueprint, g, request_started
if {self.fails == "import"}:
    raise RuntimeError("import")

@click.command("do_{shared}")
def command():
    pass

seen = []

def view():
    return {name!r}

def again(teps):
    return {{slot: {{kind: value + {name.upper()!r} for kind, value in part.items()}}
            for slot, part in teps.items()}}

def more(filters):
    return [*filters, ("from_{name}", str)]

def move(bep):
    return {{**bep, "prefix": "/moved"}} if bep else bep

def note(*args):
    g.seen = [*g.get("seen", ()), {name!r}]

def on_app_ready(app):
    if {self.fails == "ready"}:
        raise RuntimeError("ready")
    app.add_url_rule("/ready_{name}", "ready_{name}", view)
    app.jinja_env.globals["global_{shared}"] = {name!r}
    app.url_value_preprocessor(note)
    app.context_processor(lambda: {{"processed": {name!r}}})

blueprint = Blueprint({blueprint!r}, __name__, url_prefix="/bp_{name}")
blueprint.add_url_rule("/", "index", view)
blueprint.app_errorhandler(404)(lambda error: ({name!r} + " knows nothing", 404))
blueprint.errorhandler(ZeroDivisionError)(lambda error: "{name} " + "".join(g.seen))
blueprint.add_url_rule("/fail", "fail", lambda: str(1 / 0))
blueprint.before_app_request(note)
blueprint.app_url_defaults(lambda endpoint, values: values.setdefault("who", {name!r}))

def register():
    if {self.fails == "register"}:
        raise RuntimeError("register")
    return {{
        "tep": {{"nav": {name!r}}},
        "bep": {{"blueprint": blueprint, {parent}}},
        "vep": [{", ".join(views)}],
        "filter": [("f_{shared}", lambda value: {name!r})],
        "tcp": {{"c_{shared}": {name!r}}},
        "dcp": {{"visits": lambda: {name!r}}},
        "hep": {{"before_request": lambda: None}} if {self.guards} else {{}},
        "p3": {p3},
        "test": [("t_shared", lambda value: value == {name!r})],
        "global": {{"g_{shared}": {name!r}}},
        "errhandler": {{418: lambda error: {name!r}}},
        "cli": [command],
        "signal": [(request_started, lambda sender: seen.append({name!r}))],
    }}
"""


MADE = st.builds(
    Made,
    disabled=st.booleans(),
    requires=st.lists(st.sampled_from(NAMES), max_size=1).map(tuple),
    p3=st.none() | st.sampled_from(NAMES),
    parent=st.none() | st.sampled_from(NAMES),
    on=st.none() | st.sampled_from(NAMES),
    fails=st.sampled_from([None, None, None, None, "import", "register", "ready"]),
    shares=st.booleans(),
    shares_blueprint=st.sampled_from([False, False, True]),
    guards=st.booleans(),
    overlaps=st.booleans(),
    moves=st.booleans(),
)
PATHS = [
    *("/", "/shared", "/nowhere", "/over/a", "/over/b", "/over/z", "/over/a/b", "/moved/"),
    *(f"/{place}/fail" for place in ("moved", *(f"bp_{name}" for name in NAMES))),
    *(f"/{place}{name}" for name in NAMES for place in ("", "ready_", "on_", "bp_")),
    *(f"/bp_{one}/{rest}" for one in NAMES for rest in ("", *(f"on_{two}" for two in NAMES))),
    *(f"/bp_{one}/bp_{two}/" for one in NAMES for two in NAMES if one != two),
]


OUT = {Status.FAILED: "out", Status.INCOMPATIBLE: "out"}
"""A fault of a plugin's own stays with it; one that starts now may miss a requirement first."""


def follower(host: Host) -> Follower:
    """What keeps an application in step."""
    make = host.pm._site().follower
    assert make is not None
    return cast("Follower", make())


def look(host: Host) -> dict[str, Any]:
    """What an application has."""
    app = host.app
    answers = {path: host.open(path) for path in PATHS}
    snapshot = host.pm.snapshot
    page = (
        "{{ emit_tep('nav') }}|"
        "{% if 'f_shared' is filter %}{{ 1|f_shared }}{% endif %}|"
        "{% if 't_shared' is test %}{{ 'a' is t_shared }}{{ 'b' is t_shared }}{% endif %}"
        "{{ processed }}|"
        + "".join(
            f"{{{{ c_{name} }}}}{{{{ global_{name} }}}}{{{{ g_{name} }}}}|"
            for name in (*NAMES, "shared")
        )
    )
    return {
        "plugins": [
            (
                row.name,
                OUT.get(row.status, row.status),
                row.wanted,
                row.variant,
                tuple(row.conflicts),
            )
            for row in host.pm.plugins
        ],
        "answers": {path: (answer.status_code, answer.text) for path, answer in answers.items()},
        "active": list(snapshot.active),
        "closed": snapshot.closed,
        "page": rendered(host, page),
        "dcp": host.render("{{ emit_dcp('visits') }}"),
        "owners": dict(snapshot.owners),
        "conflicts": sorted(map(str, snapshot.conflicts)),
        "urls": urls(host),
        "seen": seen(host),
        "commands": [
            (name, sorted(getattr(app.cli.commands[name], "commands", ())))
            for name in sorted(app.cli.commands)
        ],
        "tests": sorted(app.jinja_env.tests),
        "teapot": handled(host),
        "filters": sorted(app.jinja_env.filters),
        "globals": sorted(app.jinja_env.globals),
        "blueprints": sorted(app.blueprints),
        "endpoints": sorted(f"{one} {one.endpoint}" for one in app.url_map.iter_rules()),
    }


def rendered(host: Host, page: str) -> str:
    """A page of the application, with all that context processors give."""
    with host.app.app_context():
        return render_template_string(page)


def urls(host: Host) -> list[str]:
    """The URLs that are built for each endpoint, as far as they need nothing."""
    with host.app.test_request_context():
        return [
            url_for(rule.endpoint) for rule in host.app.url_map.iter_rules() if not rule.arguments
        ]


def seen(host: Host) -> list[str]:
    """Whom one request passes, and who hears of it."""
    modules = [row.module for row in host.pm.plugins if row.module is not None]
    for module in modules:
        vars(module)["seen"] = []
    with host.app.test_request_context("/over/a"):
        try:
            host.app.preprocess_request()
            passed = list(g.get("seen", ()))
        except ServiceUnavailable as closed:  # a plugin that guards pages is out
            passed = [str(closed)]
    host.get("/")
    return [*passed, *(name for module in modules for name in module.seen)]


def handled(host: Host) -> str:
    """What an error that several claim becomes."""
    with host.app.test_request_context():
        return str(host.app.handle_user_exception(ImATeapot()))


def differences(found: Any, wanted: Any) -> Any:
    """Return what of two nested values isn't equal, an empty dict if all is."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        rows = {key: differences(found.get(key), wanted.get(key)) for key in {*found, *wanted}}
        return {key: row for key, row in rows.items() if row != {}}
    return {} if found == wanted else (found, wanted)


names = st.sampled_from(NAMES)
workers = st.integers(0, 1)


class Live(RuleBasedStateMachine):
    """Two workers, whatever is done to them, and one that starts at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.known = set(FINDER.folders)
        self.folder = Path(tempfile.mkdtemp())
        self.made: dict[str, Made] = {}

    @initialize(own=st.booleans(), made=st.dictionaries(names, MADE))
    def start(self, own: bool, made: dict[str, Made]) -> None:
        """Start two workers with some plugins."""
        self.options: dict[str, Any] = {"strict": False, "enable_timeout": 0}
        if own:
            self.options["state_dir"] = self.folder / "state"
        self.hosts = [Host(self.folder) for _ in range(2)]
        for name, one in made.items():
            self.write(name, one)
        for host in self.hosts:
            host.app.config["PLUGINKIT_BREAKER"] = {"retry_after": None}
            host.start(live=True, **self.options)
            host.get("/")

    def place(self, name: str) -> Path:
        """Where a plugin lies."""
        return self.folder / "plugins" / name

    @rule(name=names, made=MADE)
    def write(self, name: str, made: Made) -> None:
        """Install a plugin; one that was removed comes back as it was: code stays imported."""
        if name not in self.made:
            self.made[name] = made
            made.write(self.hosts[0], name)
        elif not self.place(name).exists():
            (self.folder / f"gone_{name}").rename(self.place(name))

    @rule(name=names)
    def remove(self, name: str) -> None:
        """Remove a plugin."""
        if self.place(name).exists():
            self.place(name).rename(self.folder / f"gone_{name}")

    @rule(which=workers, name=names, cascade=st.booleans())
    def enable(self, which: int, name: str, cascade: bool) -> None:
        """Enable a plugin, which may be refused."""
        with contextlib.suppress(PluginError):
            self.hosts[which].pm.enable_plugin(name, cascade=cascade)
            assert self.hosts[which].row(name).status == "active"

    @rule(which=workers, name=names, cascade=st.booleans())
    def disable(self, which: int, name: str, cascade: bool) -> None:
        """Disable a plugin, which may be refused."""
        with contextlib.suppress(PluginError):
            self.hosts[which].pm.disable_plugin(name, cascade=cascade)
            # one that was removed, and that nobody wants any more, has no row
            rows = [row for row in self.hosts[which].pm.plugins if row.name == name]
            assert {row.status for row in rows} <= {"disabled"}

    @rule(which=workers, name=names)
    def crash(self, which: int, name: str) -> None:
        """Let a plugin fail too often."""
        host = self.hosts[which]
        row = host.pm._site().current.active.get(name)
        if row is not None:
            follower(host).trip(row.resident, "view")

    @rule(which=workers)
    def rescan(self, which: int) -> None:
        """Look for plugins."""
        self.hosts[which].pm.rescan()

    @rule(which=workers)
    def request(self, which: int) -> None:
        """Answer a request."""
        self.hosts[which].get("/")

    @rule(name=names, marker=st.sampled_from(["ENABLED", "DISABLED"]))
    @precondition(lambda self: "state_dir" not in self.options)
    def touch(self, name: str, marker: str) -> None:
        """Switch a plugin by hand."""
        if self.place(name).exists():
            for other in ("ENABLED", "DISABLED"):
                (self.place(name) / other).unlink(missing_ok=True)
            (self.place(name) / marker).touch()

    @rule(which=workers)
    def tick(self, which: int) -> None:
        """Let a worker look at files."""
        follower(self.hosts[which]).tick()

    @rule(which=workers)
    def compare(self, which: int) -> None:
        """All workers, and one that starts now, have the same."""
        self.hosts[which].pm.rescan()
        for host in self.hosts:
            follower(host).tick()
        for host in self.hosts:
            host.get("/")
        fresh = Host(self.folder)
        fresh.start(live=False, **self.options)
        wanted = look(fresh)
        for host in self.hosts:
            found = differences(look(host), wanted)
            assert found == {}, found

    def teardown(self) -> None:
        """Forget what was imported."""
        try:
            if hasattr(self, "hosts") and all(host.manager for host in self.hosts):
                self.compare(0)
        finally:
            for name in set(FINDER.folders) - self.known:
                forget(name)
            shutil.rmtree(self.folder)


@pytest.fixture(autouse=True)
def _by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing happens in the helper thread."""
    monkeypatch.setattr(PULSE, "add", lambda _member: None)


TestLive = Live.TestCase
TestLive.settings = settings(
    max_examples=examples(12),
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
