"""Routing rules that know whether they are live, and the map that holds them.

Werkzeug's matcher asks a rule for its `methods`: a rule without any matches nothing, and
leaves no trace in 404, 405 and OPTIONS answers. So a toggle rebuilds nothing: the rule asks
the pinned snapshot. Plugins' rules join the map when it is first used, after all rules of
the application, because werkzeug takes the first of two equal ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from threading import RLock
from typing import Any, cast

from werkzeug.routing import Map, Rule
from werkzeug.routing.rules import RuleFactory

from flask_pluginkit.snapshot import Snapshot

from .keeping import RECORDING
from .ties import Places, come_late, insert

_serials = count(1)
_NO_METHODS: frozenset[str] = frozenset()
_classes: dict[type, type] = {}


class LiveRule(Rule):
    """A rule that exists only for requests whose snapshot has it.

    Instances are made by `make_live` from the rules that plugins register.
    """

    serial: int
    pin: Callable[[], Snapshot]
    order: tuple[bool, int] = (False, 0)
    """Its place among all that its plugin registers; what ``on_app_ready`` registers comes last."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def is_live(self) -> bool:
        """Whether the pinned snapshot has this rule."""
        return self.serial in self.pin().rules

    @property
    def methods(self) -> Any:
        """The methods that it answers, none while it isn't live; None means all."""
        return self.__dict__["methods"] if self.is_live else _NO_METHODS

    @methods.setter
    def methods(self, methods: Any) -> None:
        self.__dict__["methods"] = methods

    def suitable_for(self, values: Any, method: str | None = None) -> bool:
        """Tell whether a URL can be built from this rule."""
        return self.is_live and super().suitable_for(values, method)

    def get_empty_kwargs(self) -> dict[str, Any]:
        """Return what a copy is made from, whether or not the rule is live."""
        return {**super().get_empty_kwargs(), "methods": self.__dict__["methods"]}

    def empty(self) -> Rule:
        """Return an unbound copy, which is live when this one is."""
        copy = cast("LiveRule", super().empty())
        copy.serial, copy.pin = self.serial, self.pin
        return copy

    def _compile_builder(self, append_unknown: bool = True) -> Any:
        """Compile the URL builder at its first use.

        Builders are most of what a rule costs, and few rules of a large site are ever built
        in one process.
        """
        return _build_unknown if append_unknown else _build

    def build_with(self, append_unknown: bool, values: dict[str, Any]) -> Any:
        """Build a URL, for the first time in one of the two ways."""
        compiled = super()._compile_builder(append_unknown).__get__(self, None)
        setattr(self, "_build_unknown" if append_unknown else "_build", compiled)
        return compiled(**values)


# two functions for all rules, as closures of their own are a good part of a rule's memory
def _build(rule: LiveRule, /, **values: Any) -> Any:
    return rule.build_with(False, values)


def _build_unknown(rule: LiveRule, /, **values: Any) -> Any:
    return rule.build_with(True, values)


def claim_keys(rule: Rule) -> Iterator[tuple[object, str]]:
    """Yield what makes two bound rules the same: equal parts, and a method in common."""
    # as one text, which takes less memory and is hashed but once
    parts = repr([(part.content, part.static, part.final) for part in rule._parts])  # noqa: SLF001 - nothing public tells
    methods = rule.__dict__["methods"]
    if methods is None:
        methods = {"any"}
    implied = {"HEAD"} if "GET" in methods else set()
    if getattr(rule, "provide_automatic_options", False):
        implied.add("OPTIONS")
    return (((parts, rule.websocket), method) for method in sorted(methods - implied))


def make_live(rule: Rule, pin: Callable[[], Snapshot], host: str | None) -> LiveRule:
    """Turn the unbound `rule` into a live one, whatever subclass of Rule it is.

    `host` is given to rules without one, for applications with host matching.
    """
    kind = type(rule)
    if kind not in _classes:
        _classes[kind] = type(f"Live{kind.__name__}", (LiveRule, kind), {})
    rule.__class__ = _classes[kind]
    live = cast("LiveRule", rule)
    live.serial = next(_serials)
    live.pin = pin
    if host and not live.host:
        live.host = host
    return live


class LiveMap(Map):
    """The application's map. `attach` makes one from it, `settle` is called once."""

    record_rule: Callable[[Rule], None]
    first_update: Callable[[], None]
    settle_lock: Any
    places: Places
    has_adopted: bool = False
    """Whether rules of plugins are in."""

    def add(self, rulefactory: RuleFactory) -> None:
        """Add rules; into the recording while one runs."""
        if RECORDING.get() is None:
            if self.has_adopted:
                for rule in rulefactory.get_rules(self):
                    rule.bind(self)
                    self.adopt([come_late(rule)])
            else:
                super().add(rulefactory)
            # a host that defines routes after the map was used still comes before plugins
            self.__dict__["update"] = self.first_update
            return
        for rule in rulefactory.get_rules(self):
            self.record_rule(rule)

    @property
    def _rules(self) -> list[Rule]:
        """The rules that exist for this request: what is listed and suggested."""
        # copied in one step, as other threads may add rules
        every = (rule for rules in list(self._rules_by_endpoint.values()) for rule in rules)
        return self.places.sorted(every)

    def iter_rules(self, endpoint: Any | None = None) -> Iterator[Rule]:
        """Yield the rules that exist for this request."""
        found = super().iter_rules(endpoint)
        return (rule for rule in found if getattr(rule, "is_live", True))

    @contextmanager
    def buildable(self, rules: Iterable[Rule]) -> Iterator[None]:
        """Let URLs be built from `rules`, which aren't in the map before it is first used."""
        if "update" not in vars(self):  # it was: then they are
            yield
            return
        by_endpoint = self._rules_by_endpoint
        before = dict(by_endpoint)
        for rule in rules:
            by_endpoint[rule.endpoint] = [*by_endpoint.get(rule.endpoint, ()), rule]
        self._remap = True
        try:
            yield
        finally:
            by_endpoint.clear()
            by_endpoint.update(before)
            self._remap = True

    def adopt(self, rules: Iterable[Rule]) -> None:
        """Add rules that are bound to this map already, while others may be using it.

        A rule that isn't live in anybody's snapshot yet does no harm half way in.
        """
        for rule in rules:
            self.has_adopted = True
            if not rule.build_only:
                insert(self._matcher._root, rule, self.places)  # noqa: SLF001 - nothing public can
            others = self._rules_by_endpoint.get(rule.endpoint, [])
            self._rules_by_endpoint[rule.endpoint] = sorted([*others, rule], key=_build_order)

    def is_endpoint_expecting(self, endpoint: Any, *arguments: str) -> bool:
        """Tell whether a live rule of `endpoint` takes all of `arguments`.

        Raises:
            KeyError: there is no such endpoint.

        """
        self.update()
        rules = list(self.iter_rules(endpoint))
        if not rules:
            raise KeyError(endpoint)
        return any(rule.arguments.issuperset(arguments) for rule in rules)


def _build_order(rule: Rule) -> Any:
    """Return by what the rules of one endpoint are sorted; of a plugin's, the first one first."""
    return *rule.build_compare_key(), getattr(rule, "order", (False, -1))


def attach(
    url_map: Map,
    pin: Callable[[], Snapshot],
    record_rule: Callable[[Rule], None],
    settle: Callable[[], None],
) -> Callable[[], None]:
    """Make `url_map` a `LiveMap` and return a function that undoes it.

    `settle` is called when the map is first used for matching, building or listing.
    """
    kind = type(url_map)
    url_map.__class__ = type(f"Live{kind.__name__}", (LiveMap, kind), {})
    live = cast("LiveMap", url_map)
    live.record_rule = record_rule
    live.places = Places(pin)
    live.settle_lock = RLock()

    settling = False

    def first_update() -> None:
        nonlocal settling
        # Other threads wait until all rules are in: a request must not miss half of them.
        # What settle() itself looks up in the map comes back here and passes.
        # A plugin that looks at the map while it registers sees that of the application.
        with live.settle_lock:
            if "update" in live.__dict__ and not settling and RECORDING.get() is None:
                settling = True
                try:
                    settle()
                    del live.__dict__["update"]
                finally:
                    settling = False
        kind.update(live)

    # Werkzeug calls update() before each use. As an instance attribute the first one hides
    # the method, then takes itself away: afterwards nothing is left in the way of requests.
    live.first_update = live.__dict__["update"] = first_update

    def detach() -> None:
        url_map.__class__ = kind
        for name in (*LiveMap.__annotations__, "update"):
            live.__dict__.pop(name, None)

    return detach
