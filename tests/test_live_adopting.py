"""Rules that join a map while others match in it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BuildError, Map, Rule
from werkzeug.routing.exceptions import RequestRedirect

from flask_pluginkit.live.routes import LiveMap, attach, make_live

PARTS = ["a", "b", "<x>", "<int:x>", "<any(a, b):x>", "<float:x>", "<path:x>", "c-<x>", "<x>.txt"]
SEGMENTS = ["a", "b", "1", "1.5", "c-d", "d.txt", "é", ""]


def snapshot(live: set[int]) -> Any:
    """What stands for a snapshot that has these rules, in the order of their numbers."""
    routes = [SimpleNamespace(rule=SimpleNamespace(serial=serial)) for serial in sorted(live)]
    return SimpleNamespace(rules=live, routes=routes, serial=hash(frozenset(live)))


def live_rule(text: str, endpoint: str, live: set[int], **options: Any) -> Rule:
    """A rule that is live while its serial number is in `live`."""
    return make_live(Rule(text, endpoint=endpoint, **options), lambda: snapshot(live), None)


def adopt(url_map: Map, rules: list[Rule]) -> None:
    """Add rules in the way in which plugins' ones are added live."""
    for rule in rules:
        rule.bind(url_map)
    cast("LiveMap", url_map).adopt(rules)


def live_map(rules: list[Rule], live: set[int]) -> Map:
    """A map in use."""
    url_map = Map(rules)
    attach(url_map, lambda: snapshot(live), lambda _rule: None, lambda: None)
    url_map.update()
    return url_map


def answer(url_map: Map, path: str, method: str = "GET") -> object:
    """What a request to `path` finds."""
    try:
        return url_map.bind("h").match(path, method)
    except RequestRedirect as error:
        return error.new_url
    except HTTPException as error:
        return error.code, sorted(getattr(error, "valid_methods", None) or ())


def url(url_map: Map, endpoint: str, values: dict[str, Any]) -> str:
    """The URL that is built."""
    try:
        return url_map.bind("h").build(endpoint, values)
    except BuildError:
        return ""
    except ValueError:  # of a converter
        return "ValueError"


RULES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(PARTS), max_size=3).filter(
            lambda parts: sum("<" in part for part in parts) <= 1
        ),
        st.booleans(),  # a slash at the end
        st.sampled_from(["e1", "e2"]),
        st.sampled_from([None, ["GET"], ["POST"]]),
        st.sampled_from([None, {"x": 1}]),
        st.booleans(),  # build only
    ),
    max_size=7,
)


def arguments(row: Any) -> tuple[str, str, dict[str, Any]]:
    """What a rule is made from."""
    parts, slash, endpoint, methods, defaults, build_only = row
    text = "/" + "/".join(parts) + ("/" if slash and parts else "")
    defaults = None if "<" in text else defaults
    return (
        text,
        endpoint,
        {"methods": methods, "defaults": defaults, "build_only": build_only},
    )


@settings(max_examples=examples(60))
@given(rows=RULES, data=st.data())
def test_a_map_that_grew_answers_as_one_built_at_once(rows: list[Any], data: Any) -> None:
    """Whatever was there before, and in however many steps the rest came."""
    cut = data.draw(st.integers(0, len(rows)))
    further = data.draw(st.integers(cut, len(rows)))
    live: set[int] = set()

    def made(these: list[Any]) -> list[Rule]:
        rules = [live_rule(*arguments(row)[:2], live, **arguments(row)[2]) for row in these]
        live.update(cast("Any", rule).serial for rule in rules)
        return rules

    first = [Rule(text, endpoint=end, **rest) for text, end, rest in map(arguments, rows[:cut])]
    grown = live_map(first, live)
    for these in (rows[cut:further], rows[further:]):
        adopt(grown, made(these))
    scratch = Map([Rule(text, endpoint=end, **rest) for text, end, rest in map(arguments, rows)])
    for one in SEGMENTS:
        for two in SEGMENTS:
            for path in (f"/{one}/{two}", f"/{one}/{two}/a"):
                for method in ("GET", "POST"):
                    assert answer(grown, path, method) == answer(scratch, path, method)
    for endpoint in ("e1", "e2"):
        for values in ({}, {"x": 1}, {"x": "a"}, {"x": 1.5}, {"x": "a", "q": 2}):
            assert url(grown, endpoint, values) == url(scratch, endpoint, values)
    listed = [sorted(f"{one} {one.endpoint}" for one in it.iter_rules()) for it in (grown, scratch)]
    assert listed[0] == listed[1]


def test_the_map_may_be_updated_after_it_grew() -> None:
    """As when the application adds a route late; nothing is lost."""
    live: set[int] = set()
    url_map = live_map([Rule("/a", endpoint="a")], live)
    rule = live_rule("/b", "b", live)
    adopt(url_map, [rule])
    live.add(cast("Any", rule).serial)
    url_map.add(Rule("/c", endpoint="c"))
    assert [answer(url_map, f"/{name}") for name in "abc"] == [("a", {}), ("b", {}), ("c", {})]


def test_a_rule_that_is_adopted_is_nowhere_until_it_is_live() -> None:
    """It changes no answer half way in."""
    live: set[int] = set()
    url_map = live_map([Rule("/<x>", endpoint="all")], live)
    rule = live_rule("/a", "a", live, methods=["POST"])
    adopt(url_map, [rule])
    assert answer(url_map, "/a") == ("all", {"x": "a"})
    assert url(url_map, "a", {}) == ""
    live.add(cast("Any", rule).serial)
    assert answer(url_map, "/a", "POST") == ("a", {})


@pytest.fixture
def _switching() -> Iterator[None]:
    """Let threads take turns more often than usual."""
    import sys

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_switching")
def test_requests_are_matched_right_while_rules_join() -> None:
    """Thousands of them, in four threads: none finds another rule than before."""
    live: set[int] = set()
    texts = [f"/{name}/<{kind}x>/{name}" for name in "abcdef" for kind in ("", "int:", "float:")]
    texts += [f"/{name}/<path:x>" for name in "abcdef"]
    url_map = live_map([Rule(text, endpoint=text) for text in texts], live)
    wanted = {
        path: answer(url_map, path)
        for name in "abcdef"
        for path in (f"/{name}/1/{name}", f"/{name}/x/{name}", f"/{name}/x/y/z", f"/{name}/1.5/b")
    }
    urls = {text: url(url_map, text, {"x": 1}) for text in texts}
    wrong: list[object] = []
    counts = [0] * 4
    is_over = threading.Event()

    def match(index: int) -> None:
        while not is_over.is_set():
            for path, right in wanted.items():
                if (found := answer(url_map, path)) != right:
                    wrong.append((path, found))
            for text, right_url in urls.items():
                if (built := url(url_map, text, {"x": 1})) != right_url:
                    wrong.append((text, built))
            counts[index] += len(wanted)

    threads = [threading.Thread(target=match, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for number in range(600):
        name = "abcdef"[number % 6]
        more = [
            live_rule(f"/{name}/<int:x>/{name}/{number}", f"{number}", live),
            live_rule(f"/{name}/<any(q{number}, r):x>/{name}", f"any{number}", live),
            live_rule(f"/{name}/{number}/{name}", "a", live),
            live_rule(f"/{name}/<x>/{name}", f"/{name}/<x>/{name}", live),
        ]
        adopt(url_map, more)
    is_over.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sum(counts) > 1000
