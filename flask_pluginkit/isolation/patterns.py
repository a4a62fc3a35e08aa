"""Rules of plugins that would hold up the host, which looks for the one that fits a request.

Werkzeug makes one regular expression of each part of a rule between two slashes, and of all
that follows the first argument that may hold slashes. Python matches by trying, and nobody can
stop it: the arguments of one expression that can share a text in many ways multiply. The
pages of the whole site would wait for a request that some accomplice sends.
"""

from __future__ import annotations

import re
from typing import Final

ARGUMENT: Final = re.compile(
    r"<(?:(?P<converter>[a-z_]+)(?:\((?P<options>[\w\s,=.'\"-]*)\))?:)?[A-Za-z_]\w*>"
)
"""An argument in a rule."""

MOST_TOGETHER: Final = 2
"""Arguments of one expression that have to find out where one ends and the next begins."""

MOST_EXPRESSIONS: Final = 200
"""Different expressions of one plugin: Python keeps a few hundred, and compiles others anew."""

_LARGE: Final = re.compile(r"\d{5}")


class Patterns:
    """The expressions that the rules of one plugin become."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def objection(self, rule: str) -> str | None:
        """Return why a rule can't be had, None if it can: then its expressions count."""
        if (reason := _objection(rule)) is not None:
            return reason
        found = {_nameless(part) for part in rule.split("/") if "<" in part}
        if len(self._known | found) > MOST_EXPRESSIONS:
            return f"it is one too many with arguments: expected at most {MOST_EXPRESSIONS} kinds"
        self._known |= found
        return None


def _objection(rule: str) -> str | None:
    loose = 0
    has_path = False
    for part in rule.split("/"):
        found = list(ARGUMENT.finditer(part))
        kinds = [argument["converter"] or "string" for argument in found]
        if any(k == "string" and _LARGE.search(a["options"] or "") for k, a in zip(kinds, found)):  # noqa: B905 - made of each other
            return "it asks for a text that no URL has room for"
        has_path = has_path or "path" in kinds
        if has_path:
            if "any" in kinds:
                return "it has an argument of the kind any behind one of the kind path"
            loose += len(kinds) if len(kinds) > 1 else kinds.count("path")
        if max(len(found), loose) > MOST_TOGETHER:
            return (
                f"it has more than {MOST_TOGETHER} arguments that nothing separates: looking for "
                "what fits it could take for ever"
            )
    return None


def _nameless(part: str) -> str:
    return ARGUMENT.sub(lambda one: f"<{one['converter']}({one['options']})>", part)
