"""Routes that Werkzeug has no preference between are as if the application had just started."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from effort import examples
from hosts import Host, clean_imports, host
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import BuildError, Map, RequestRedirect, Rule

from flask_pluginkit.live.routes import attach, make_live

__all__ = ["clean_imports", "host"]

PATTERNS = (
    "/<x>", "/<string(length=1):x>", "/<any(a, b):x>", "/<int:x>", "/<path:x>", "/<path:x>/a",
    "/<path:x>/b", "/<x>/<y>", "/<any(a, b):x>/a", "/<any(a, b):x>/<y>", "/<x>/a", "/<x>/",
    "/<any(a, b):x>/", "/a", "/a/",
)  # fmt: skip
PATHS = ("/a", "/b", "/1", "/z", "/a/", "/b/", "/a/a", "/a/b", "/b/a", "/z/a", "/a/b/a", "/a/z/b")
NAMES = ("one", "two", "three")

given_rules = st.lists(
    st.tuples(st.sampled_from(PATTERNS), st.sampled_from([None, ("GET",), ("POST",)])),
    min_size=1,
    max_size=4,
)
Given = list[tuple[str, tuple[str, ...] | None]]


def made(owner: str, rules: Given, start: int = 0) -> list[Rule]:
    """Rules whose endpoints tell whose they are; two share an endpoint."""
    return [
        Rule(pattern, endpoint=f"{owner} {(start + index) // 2}", methods=methods)
        for index, (pattern, methods) in enumerate(rules)
    ]


class Site:
    """A map with live rules of some plugins, each of which may be active."""

    def __init__(self, own: Given, plugins: dict[str, Given]) -> None:
        self.map: Any = Map(made("host", own))
        self.own = list(own)
        self.plugins = plugins
        self.rules: dict[str, list[Any]] = {}
        self.active: frozenset[str] = frozenset()
        self.snapshot: Any = SimpleNamespace(serial=0, rules=frozenset(), routes=())
        self.detach = attach(self.map, self.pin, print, lambda: None)
        self.map.update()

    def pin(self) -> Any:
        """What stands for a snapshot."""
        return self.snapshot

    def switch(self, active: frozenset[str]) -> None:
        """Let these plugins be the active ones; who hasn't been joins the map now."""
        for name in sorted(active - self.rules.keys(), reverse=True):
            rules = [make_live(rule, self.pin, None) for rule in made(name, self.plugins[name])]
            for order, rule in enumerate(rules):
                rule.order = (False, order)
                rule.bind(self.map)
            self.rules[name] = rules
            self.map.adopt(rules)
        routes = [rule for name in NAMES if name in active for rule in self.rules[name]]
        self.active = active
        self.snapshot = SimpleNamespace(
            serial=self.snapshot.serial + 1,
            rules=frozenset(rule.serial for rule in routes),
            routes=[SimpleNamespace(rule=rule) for rule in routes],
        )

    def add(self, given: Given) -> None:
        """Let the application add rules late."""
        for rule in made("host", given, len(self.own)):
            self.map.add(rule)
        self.own += given
        self.map.update()
        self.switch(self.active)  # as settling does

    def fresh(self) -> Map:
        """A map of Werkzeug's own, to which all that is live now is added in its order."""
        rules = made("host", self.own)
        for name in NAMES:
            if name in self.active:
                rules += made(name, self.plugins[name])
        return Map(rules)


def answers(url_map: Map) -> dict[str, str]:
    """What becomes of each path and method, which URLs are built, and what is listed."""
    adapter = url_map.bind("host.example")
    found = {}
    for path in PATHS:
        for method in ("GET", "POST", "HEAD"):
            try:
                found[f"{method} {path}"] = str(adapter.match(path, method))
            except MethodNotAllowed as error:
                found[f"{method} {path}"] = f"405 {sorted(error.valid_methods or ())}"
            except RequestRedirect as error:
                found[f"{method} {path}"] = f"to {error.new_url}"
            except NotFound:
                found[f"{method} {path}"] = "404"
    for endpoint in sorted({rule.endpoint for rule in url_map.iter_rules()}):
        for values in ({}, {"x": "a"}, {"x": "a", "y": "b"}, {"x": "1"}):
            try:
                found[f"{endpoint} {values}"] = adapter.build(endpoint, values)
            except (BuildError, ValueError):
                found[f"{endpoint} {values}"] = "none"
        for name in ("x", "y"):
            found[f"{endpoint} {name}"] = str(url_map.is_endpoint_expecting(endpoint, name))
    return found


actives = st.frozensets(st.sampled_from(NAMES))


@given(
    own=given_rules,
    plugins=st.fixed_dictionaries(dict.fromkeys(NAMES, given_rules)),
    steps=st.lists(actives | given_rules, min_size=1, max_size=6),
)
@settings(max_examples=examples(50), deadline=None)
def test_routes_are_matched_as_in_an_application_that_starts_now(
    own: Given, plugins: dict[str, Given], steps: list[frozenset[str] | Given]
) -> None:
    """Whoever comes and goes in whichever order, and whatever the application adds late."""
    site = Site(own, plugins)
    site.switch(frozenset())
    for step in steps:
        if isinstance(step, frozenset):
            site.switch(step)
        else:
            site.add(step)
        assert answers(site.map) == answers(site.fresh())


def test_a_request_that_began_earlier_has_the_order_of_its_snapshot() -> None:
    """Although the lists of the matcher are one and the same."""
    plugins: dict[str, Given] = {
        "one": [("/<x>", None)], "two": [("/<any(a, b):x>", None)], "three": [],
    }  # fmt: skip
    site = Site([], plugins)
    site.switch(frozenset({"two"}))
    earlier = site.snapshot
    site.switch(frozenset({"one", "two"}))
    later = site.snapshot
    for snapshot, winner in ((earlier, "two 0"), (later, "one 0")) * 2:
        site.snapshot = snapshot
        assert site.map.bind("host.example").match("/a")[0] == winner


def test_a_plugin_that_is_enabled_live_has_its_place_in_plugin_order(host: Host) -> None:
    """Of two views that match equally well the first plugin's answers, whenever it came."""
    for name, rule, state in (("a", "/<x>", "disabled"), ("b", "/<any(one):x>", "enabled")):
        view = f"{{'rule': {rule!r}, 'view_func': lambda x: {name!r}, 'endpoint': {name!r}}}"
        host.plugin(name, f"def register():\n    return {{'vep': {view}}}\n", state=state)
    host.start(live=False)
    assert host.get("/one") == "b"
    host.pm.enable_plugin("a")
    assert host.get("/one") == "a"
    assert [rule.endpoint for rule in host.app.url_map.iter_rules()][-2:] == ["a", "b"]
    host.pm.disable_plugin("a")
    assert host.get("/one") == "b"
