"""Routing rules that know whether they are live, and the map that holds them."""

from __future__ import annotations

import copy
import string
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import BuildError, Map, MapAdapter, RequestRedirect, Rule

from flask_pluginkit.live.routes import LiveMap, LiveRule, attach, claim_keys, make_live


class Site:
    """A map with live rules, and the set of those that are live."""

    def __init__(self, *own: Rule, **options: Any) -> None:
        self.rules: set[int] = set()
        self.settled = 0
        self.recorded: list[Rule] = []
        self.map: Any = Map(list(own), **options)
        self.routes: list[Any] = []
        self.detach = attach(self.map, self.pin, self.recorded.append, self.settle)

    def settle(self) -> None:
        """Count."""
        self.settled += 1

    def pin(self) -> Any:
        """What stands for a snapshot."""
        routes = [route for route in self.routes if route.rule.serial in self.rules]
        serial = hash(tuple(route.rule.serial for route in routes))
        return SimpleNamespace(rules=self.rules, routes=routes, serial=serial)

    def add(self, *rules: Rule, live: bool = True) -> list[LiveRule]:
        """Add plugins' rules to the map."""
        made = [make_live(rule, self.pin, None) for rule in rules]
        for rule in made:
            rule.bind(self.map)
        self.map.adopt(made)
        self.routes += [SimpleNamespace(rule=rule) for rule in made]
        if live:
            self.rules |= {rule.serial for rule in made}
        return made

    @property
    def adapter(self) -> MapAdapter:
        """What matches and builds."""
        adapter: MapAdapter = self.map.bind("host.example")
        return adapter


def matched(site: Site, path: str, method: str = "GET") -> str:
    """The endpoint that answers, or what else becomes of the request."""
    try:
        return str(site.adapter.match(path, method)[0])
    except MethodNotAllowed as error:
        return f"405 {sorted(error.valid_methods or ())}"
    except RequestRedirect as error:
        return f"to {error.new_url}"
    except NotFound:
        return "404"


# ---- dead rules ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "method", "live", "dead"),
    [
        ("/x", "GET", "plugin", "host"),
        ("/x", "HEAD", "plugin", "host"),
        ("/x", "DELETE", "405 ['GET', 'HEAD', 'POST']", "405 ['GET', 'HEAD']"),
        ("/form", "POST", "plugin", "405 ['GET', 'HEAD']"),
        ("/slash", "GET", "to http://host.example/slash/", "host"),
        ("/own/x", "GET", "plugin", "404"),
        ("/own/x", "POST", "405 ['GET', 'HEAD']", "404"),
        ("/any/x", "PATCH", "plugin", "404"),
    ],
)
def test_a_dead_rule_matches_nothing_and_leaves_no_trace(
    path: str, method: str, live: str, dead: str
) -> None:
    """In 404, in 405, in the methods allowed and in redirects to a slash."""
    site = Site(Rule("/<name>", endpoint="host", methods=["GET"]))
    rules = site.add(
        Rule("/x", endpoint="plugin", methods=["GET", "POST"]),
        Rule("/form", endpoint="plugin", methods=["POST"]),
        Rule("/slash/", endpoint="plugin"),
        Rule("/own/x", endpoint="plugin", methods=["GET"]),
        Rule("/any/x", endpoint="plugin"),
    )
    assert matched(site, path, method) == live
    site.rules.clear()
    assert matched(site, path, method) == dead
    site.rules |= {rule.serial for rule in rules}
    assert matched(site, path, method) == live


def test_the_methods_allowed_are_those_of_live_rules() -> None:
    """What OPTIONS answers."""
    site = Site(Rule("/x", endpoint="host", methods=["GET"]))
    site.add(Rule("/x", endpoint="plugin", methods=["POST"]))
    assert sorted(site.adapter.allowed_methods("/x")) == ["GET", "HEAD", "POST"]
    site.rules.clear()
    assert sorted(site.adapter.allowed_methods("/x")) == ["GET", "HEAD"]


def test_no_url_is_built_from_a_dead_rule_and_none_is_suggested() -> None:
    """`Did you mean` knows live endpoints only."""
    site = Site(Rule("/", endpoint="home"))
    site.add(Rule("/x/<int:n>", endpoint="plugin"))
    assert site.adapter.build("plugin", {"n": 1}) == "/x/1"
    with pytest.raises(BuildError, match="Did you mean 'plugin'"):
        site.adapter.build("plugins")
    site.rules.clear()
    for endpoint in ("plugin", "plugins"):
        with pytest.raises(BuildError) as caught:
            site.adapter.build(endpoint, {"n": 1})
        assert "Did you mean 'plugin'" not in str(caught.value)


def test_dead_rules_are_not_listed() -> None:
    """Neither all of them nor those of one endpoint."""
    site = Site(Rule("/", endpoint="home"))
    site.add(Rule("/x", endpoint="plugin"))
    assert [rule.rule for rule in site.map.iter_rules()] == ["/", "/x"]
    assert [rule.rule for rule in site.map.iter_rules("plugin")] == ["/x"]
    site.rules.clear()
    assert [rule.rule for rule in site.map.iter_rules()] == ["/"]
    assert [rule.rule for rule in site.map.iter_rules("plugin")] == []


def test_a_copy_of_a_dead_rule_has_its_methods() -> None:
    """`Rule.empty()` makes one for another map."""
    site = Site()
    (rule,) = site.add(Rule("/x", endpoint="plugin", methods=["POST"]), live=False)
    assert rule.methods == frozenset()
    assert rule.get_empty_kwargs()["methods"] == {"POST"}


def test_two_rules_are_equal_only_if_they_are_one() -> None:
    """Two plugins may have equal ones, of which one is live."""
    site = Site()
    one, two = site.add(Rule("/x", endpoint="a"), Rule("/x", endpoint="a"))
    assert one == copy.copy([one])[0]
    assert one != two
    assert len({one, two}) == 2


def test_equal_rules_take_turns() -> None:
    """The second one answers while the first isn't live."""
    site = Site()
    one, two = site.add(Rule("/x", endpoint="a"), Rule("/x", endpoint="b"))
    site.rules = {two.serial}
    assert matched(site, "/x") == "b"
    site.rules = {one.serial}
    assert matched(site, "/x") == "a"


# ---- URLs ------------------------------------------------------------------------------------

words = st.text(alphabet=string.ascii_letters + "-. äß/?&", min_size=1, max_size=6)
pieces = st.sampled_from(
    ["a", "b-c", "ü", "<x>", "<int:n>", "<path:p>", "<any(u, v):c>", "v<x>w", "<float:f>"]
)


@given(
    st.lists(pieces, min_size=1, max_size=4, unique=True),
    st.booleans(),
    st.dictionaries(st.sampled_from(["x", "n", "p", "c", "f", "q", "rule", "self"]), words),
    st.integers(0, 99),
)
def test_urls_are_those_of_ordinary_rules(
    parts: list[str], slash: bool, values: dict[str, Any], number: int
) -> None:
    """Builders are compiled at their first use: the second use gives the same."""
    if any("<x>" in part for part in parts) and sum("<x>" in part for part in parts) > 1:
        parts = [part for part in parts if part != "v<x>w"]
    text = "/" + "/".join(parts) + ("/" if slash else "")
    given_values = {"x": "x", "p": "a/b", "f": 1.5, **values, "n": number, "c": "u"}
    if not isinstance(given_values["f"], float):
        given_values["f"] = 2.5
    plain = Map([Rule(text, endpoint="e")]).bind("host.example")
    site = Site()
    site.add(Rule(text, endpoint="e"))
    for append_unknown in (True, False, True):
        expected = plain.build("e", given_values, append_unknown=append_unknown)
        assert site.adapter.build("e", given_values, append_unknown=append_unknown) == expected


def test_a_builder_is_compiled_once_and_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builders are most of what a rule costs."""
    compiled: list[Rule] = []
    original = Rule._compile_builder

    def count(rule: Rule, append_unknown: bool = True) -> Any:
        compiled.append(rule)
        return original(rule, append_unknown)

    monkeypatch.setattr(Rule, "_compile_builder", count)
    site = Site()
    site.add(Rule("/x/<n>", endpoint="plugin"))
    assert compiled == []
    assert [site.adapter.build("plugin", {"n": n}) for n in range(3)] == ["/x/0", "/x/1", "/x/2"]
    assert len(compiled) == 1


def test_defaults_and_redirects_work_as_for_ordinary_rules() -> None:
    """Werkzeug builds URLs while it matches, too."""
    rules = [
        Rule("/page/", endpoint="page", defaults={"n": 1}),
        Rule("/page/<int:n>", endpoint="page"),
        Rule("/old/<int:n>", endpoint="old", redirect_to="page/<n>"),
        Rule("/alias/<int:n>", endpoint="page", alias=True),
    ]
    site = Site()
    site.add(*rules)
    assert matched(site, "/page/1") == "to http://host.example/page/"
    assert matched(site, "/page/2") == "page"
    assert matched(site, "/old/2") == "to http://host.example/page/2"
    assert matched(site, "/alias/3") == "to http://host.example/page/3"
    assert site.adapter.build("page", {"n": 1}) == "/page/"


# ---- what makes two rules the same -----------------------------------------------------------


def keys(text: str, **options: Any) -> set[Any]:
    """The claims of one rule."""
    rule = Rule(text, endpoint="e", **options)
    rule.bind(Map(host_matching="host" in options))
    return set(claim_keys(rule))


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("/x", "/x", True),
        ("/<a>", "/<b>", True),
        ("/<int:a>/b", "/<int:c>/b", True),
        ("/<int(min=1):a>", "/<int(min=2):a>", True),
        ("/<int:a>", "/<float:a>", False),
        ("/<path:a>", "/<a>", False),
        ("/x", "/x/", False),
        ("/a<b>", "/a<c>", True),
        ("/a<b>", "/<c>", False),
    ],
)
def test_rules_of_equal_parts_are_the_same(one: str, two: str, same: bool) -> None:
    """As werkzeug tells them apart: neither names of variables nor limits of numbers count."""
    assert bool(keys(one) & keys(two)) is same


def test_methods_subdomains_hosts_and_sockets_tell_rules_apart() -> None:
    """The HEAD that comes with GET is nobody's claim, one of its own is."""
    assert not keys("/x", methods=["GET"]) & keys("/x", methods=["POST"])
    assert not keys("/x", methods=["GET"]) & keys("/x", methods=["HEAD"])
    assert keys("/x", methods=["HEAD"]) & keys("/x", methods=["HEAD"])
    assert keys("/x", methods=["get", "PUT"]) & keys("/x", methods=["PUT"])
    assert not keys("/x", subdomain="a") & keys("/x", subdomain="b")
    assert not keys("/x", host="a") & keys("/x", host="b")
    assert not keys("/x", websocket=True) & keys("/x")


# ---- the map ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda map_: map_.bind("h").match("/"),
        lambda map_: map_.bind("h").build("home"),
        lambda map_: map_.bind("h").test("/"),
        lambda map_: list(map_.iter_rules()),
        lambda map_: map_.is_endpoint_expecting("home", "x"),
        lambda map_: map_.update(),
    ],
)
def test_the_map_settles_at_its_first_use_whatever_that_is(use: Any) -> None:
    """And not again until the application adds rules."""
    site = Site(Rule("/", endpoint="home"))
    assert site.settled == 0
    use(site.map)
    use(site.map)
    assert site.settled == 1
    assert "update" not in vars(site.map)
    site.map.add(Rule("/more", endpoint="more"))
    use(site.map)
    assert site.settled == 2


def test_rules_are_in_werkzeugs_order_whenever_they_come() -> None:
    """The more specific one first: at the first use, and for rules that come after it."""
    site = Site(Rule("/<x>/<int:n>", endpoint="two"), Rule("/<x>/<n>", endpoint="three"))
    assert matched(site, "/x/1") == "two"
    site.add(Rule("/p/<path:rest>", endpoint="path"), Rule("/p/<int:n>", endpoint="number"))
    site.add(Rule("/b/<n>", endpoint="text"), Rule("/b/<int:n>", endpoint="number"))
    assert [matched(site, path) for path in ("/p/1", "/p/q", "/b/1", "/b/q")] == [
        "number",
        "path",
        "number",
        "text",
    ]


def test_settling_may_look_at_the_map_itself() -> None:
    """It sees the rules of the application, and doesn't settle once more."""
    site = Site(Rule("/", endpoint="home"))
    seen = []

    def settle() -> None:
        site.settled += 1
        seen.append(matched(site, "/"))

    site.detach()
    attach(site.map, site.pin, site.recorded.append, settle)
    assert matched(site, "/") == "home"
    assert (seen, site.settled) == (["home"], 1)


def test_a_settling_that_fails_is_tried_again() -> None:
    """The next request must not find half of the rules."""
    site = Site(Rule("/", endpoint="home"))
    answers = iter([RuntimeError("no"), None])

    def settle() -> None:
        site.settled += 1
        if (error := next(answers)) is not None:
            raise error

    site.detach()
    attach(site.map, site.pin, site.recorded.append, settle)
    with pytest.raises(RuntimeError, match="no"):
        matched(site, "/")
    assert matched(site, "/") == "home"
    assert site.settled == 2


def test_threads_wait_until_the_map_has_settled() -> None:
    """None of them misses a rule."""
    site = Site(Rule("/", endpoint="home"))
    start = Barrier(8)

    def settle() -> None:
        site.settled += 1
        site.add(*(Rule(f"/{n}", endpoint="plugin") for n in range(200)))

    site.detach()
    attach(site.map, site.pin, site.recorded.append, settle)

    def ask(_number: int) -> str:
        start.wait(10)
        return matched(site, "/199")

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {"plugin"}
    assert site.settled == 1


def test_detaching_gives_the_map_its_class_back() -> None:
    """And nothing is left on it."""
    plain: Any = Map([Rule("/", endpoint="home")])
    before = {name: id(value) for name, value in vars(plain).items()}
    detach = attach(plain, cast("Any", None), print, lambda: None)
    assert isinstance(plain, LiveMap)
    detach()
    assert type(plain) is Map
    assert {name: id(value) for name, value in vars(plain).items()} == before
