"""What plugins contribute, in words: for `show`, `graph` and `owners`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flask_pluginkit.functions import PRIVATE, called_function
from flask_pluginkit.text import clean

if TYPE_CHECKING:
    from flask_pluginkit.manager import PluginManager
    from flask_pluginkit.points import Contribution, TemplatePart
    from flask_pluginkit.snapshot import Plugin

CODE_SHOWN: Final = 40
"""Characters of the code of a slot's part."""

NAMES_SHOWN: Final = 200

_LISTED: Final = "_funcs"
"""What Flask's tables of functions have behind the name of the hook."""


class Told(NamedTuple):
    """One contribution, as it is told; all texts are printable."""

    kind: str
    """``route``, ``slot``, ``hook``, ``filter``, ``error``, ``signal``, ``event``, ..."""
    name: str
    detail: str = ""


def contributions_of(manager: PluginManager, row: Plugin) -> list[Told]:
    """Return what an active plugin contributes, in the order in which it came."""
    told = [_told(item) for item in row.contributions]
    connections = manager._dcp_manager  # noqa: SLF001 - 3.x's name
    told += [
        Told("event", clean(event, NAMES_SHOWN))
        for event in connections.list
        if row.resident is not None and row.name in connections.owners(event)
    ]
    # an endpoint says no more than the routes to it, nor what calls a slot's function than the slot
    return [
        one
        for one in told
        if one.kind != "endpoint" and not (one.kind == "global" and one.name.startswith(PRIVATE))
    ]


def _told(item: Contribution) -> Told:
    from flask_pluginkit import points

    match item:
        case points.TemplatePart():
            kind, name = "slot", item.slot
            detail = with_order(part_in_words(item), order_in_words(item))
        case points.Route():
            kind, name, detail = "route", item.rule.rule, _route_in_words(item.rule)
        case points.Hook():
            kind, name = "hook", item.table.removesuffix(_LISTED)
            detail = _name_of(item.function) + _of_blueprint(item.scope)
        case points.ErrorHandler():
            kind, name = "error", item.error.__name__ if item.code is None else str(item.code)
            detail = _of_blueprint(item.scope).strip()
        case points.SignalReceiver():
            kind, name = "signal", getattr(item.signal, "name", "") or "without a name"
            detail = _name_of(item.function)
        case points.Named():
            kind, name, detail = item.kind, item.name, ""
        case _:
            kind, name, detail = "other", type(item).__name__, ""
    return Told(kind, clean(name, NAMES_SHOWN), clean(detail, NAMES_SHOWN))


def _of_blueprint(scope: str | None) -> str:
    return f" of blueprint {scope}" if scope else ""


def _route_in_words(rule: Any) -> str:
    methods = vars(rule).get("methods") or ()
    shown = ", ".join(sorted(set(methods) - {"HEAD", "OPTIONS"})) or "any method"
    where = rule.subdomain or rule.host
    return f"{shown}{f' at {where}' if where else ''}, endpoint {rule.endpoint}"


def part_in_words(part: TemplatePart) -> str:
    """Return what one plugin puts into a slot."""
    if part.is_file:
        text = f"file {part.text}"
    elif (function := called_function(part.text)) is not None:
        text = f"function {function}"
    else:
        code = " ".join(part.text.split())
        text = f"code {code if len(code) <= CODE_SHOWN else code[: CODE_SHOWN - 1] + '…'}"
    return clean(text, NAMES_SHOWN)


def order_in_words(part: TemplatePart) -> str:
    """Return the ``order@`` of a part, empty if it has none and so comes last."""
    if part.order is None:
        return ""
    is_word, number, word = part.order
    return clean(word if is_word else number, 50)


def with_order(what: str, order: str) -> str:
    """Return what is put into a slot, with its order if it has one."""
    return f"{what}, order {order}" if order else what


def _name_of(function: Any) -> str:
    function = getattr(function, "__wrapped__", function)  # what the barrier stands around
    name = getattr(function, "__qualname__", None)
    return name.replace("<locals>.", "") if isinstance(name, str) else type(function).__name__
