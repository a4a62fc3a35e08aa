"""What one page wants of isolated plugins: one message per plugin and stage, all at the same time.

The first plugin that is asked at a stage has all others asked that take part in it; the rest
find their answers there. Which slots a page shows is learned from the last time it was shown,
so that the second visitor's page needs one exchange for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from flask import has_request_context, request

from flask_pluginkit.contexts import REQUEST_CONTEXT
from flask_pluginkit.exceptions import PluginError
from flask_pluginkit.points import TemplatePart

from .messages import (
    Call,
    Result,
)
from .pages import page_of
from .remote import Remote, ask_all

KEY: Final = "flask_pluginkit.isolation"
"""Where a request keeps what was asked for it, in its environ."""

PAGES: Final = 1000
"""Of how many pages the slots are remembered."""

ONCE: Final = frozenset({"before_request_funcs", "teardown_request_funcs"})
"""Tables whose functions run once a request: their answers are used up."""

Outcome = list[Result] | PluginError
Parts = tuple[TemplatePart, ...]


class Stages:
    """Asks the isolated plugins of one application."""

    def __init__(self, active: Callable[[], Iterable[Remote]]) -> None:
        self.active = active
        self._shown: dict[str, dict[str, Parts]] = {}
        """By endpoint: the slots with isolated parts that its page showed without variables."""

    def hook(self, remote: Remote, table: str, args: Sequence[Any] = ()) -> list[Result]:
        """Return what a plugin's functions in a table of hooks return. Raises PluginError."""
        answers = self._answers(table)
        if remote not in answers:
            others = (o for o in self.active() if o is not remote and o not in answers)
            asked = [o for o in (remote, *others) if table in o.hooks]
            rows = [(o, page_of(o), _calls(o.hooks[table], args)) for o in asked]
            answers.update(zip(asked, ask_all(rows), strict=True))
        outcome = answers.pop(remote) if table in ONCE else answers[remote]
        if isinstance(outcome, PluginError):
            raise outcome
        return outcome

    def teps(self, slot: str, parts: Parts, variables: dict[str, Any]) -> dict[Any, Any]:
        """Return what the isolated parts of a slot render: a `Result` or PluginError of each."""
        own = tuple(part for part in parts if part.remote is not None)
        if variables or (context := REQUEST_CONTEXT.get(None)) is None:
            return _render(own, variables)
        asks = context.request  # not by the proxy: a page has many slots
        endpoint = asks.endpoint or ""
        kept: dict[Any, Any] = asks.environ.setdefault(KEY, {}).setdefault("teps", {})
        shown = self._shown.get(endpoint)
        if shown is None:
            if len(self._shown) >= PAGES:
                self._shown.clear()
            shown = self._shown[endpoint] = {}
        if any(part not in kept for part in own):
            is_first = not kept
            kept[None] = True
            wanted = dict.fromkeys((*own, *(self._still_live(shown) if is_first else ())))
            kept.update(_render(tuple(wanted), {}))
        shown[slot] = own
        # a slot that is shown again is asked for again: it may not look the same
        return {part: kept.pop(part) for part in own}

    def _still_live(self, shown: dict[str, Parts]) -> Iterable[TemplatePart]:
        """Return the parts that the page showed and that this request's plugins still have."""
        active = set(self.active())
        return [
            part for parts in list(shown.values()) for part in parts if part.remote.remote in active
        ]

    def _answers(self, table: str) -> dict[Remote, Outcome]:
        if not has_request_context():
            return {}
        found: dict[Remote, Outcome] = request.environ.setdefault(KEY, {}).setdefault(table, {})
        return found


def _calls(references: Iterable[int], args: Sequence[Any]) -> list[Call]:
    return [Call(reference=reference, args=list(args)) for reference in references]


def _render(parts: Parts, variables: dict[str, Any]) -> dict[Any, Any]:
    """Ask for parts: one message for each plugin, all of them at the same time."""
    by_remote: dict[Remote, list[TemplatePart]] = {}
    for part in parts:
        by_remote.setdefault(part.remote.remote, []).append(part)
    rows = [
        (
            remote,
            page_of(remote),
            [Call(reference=part.remote.reference, kwargs=variables) for part in own],
        )
        for remote, own in by_remote.items()
    ]
    found: dict[Any, Any] = {}
    for own, outcome in zip(by_remote.values(), ask_all(rows), strict=True):
        if isinstance(outcome, PluginError):
            found.update(dict.fromkeys(own, outcome))
        else:
            found.update(zip(own, outcome, strict=True))
    return found
