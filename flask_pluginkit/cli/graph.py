"""``flask plugins graph``: requirements and contributions, as text, for Graphviz, or Mermaid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from flask_pluginkit.text import clean

from .contributions import Told, contributions_of
from .host import find_manager, refusals, with_quiet_host
from .requirements import needs_of
from .tables import coloured, paragraph, say, terminal_width

if TYPE_CHECKING:
    from flask_pluginkit.manager import PluginManager

FORMATS: Final = ("text", "dot", "mermaid")


class Node(NamedTuple):
    """A plugin, or something that plugins contribute."""

    key: tuple[str, str]
    """Kind and name."""
    label: str
    status: str = ""
    """Of a plugin; empty for what is contributed."""


class Edge(NamedTuple):
    """That one plugin requires or reworks another, or contributes something."""

    start: tuple[str, str]
    end: tuple[str, str]
    label: str
    kind: str
    """``requires``, ``reworks`` or ``contributes``."""


class Graph(NamedTuple):
    """What is drawn."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


@click.command("graph")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="'dot' is for Graphviz, 'mermaid' for Markdown.",
)
@click.option(
    "--requirements", "only_plugins", is_flag=True, help="Leave out what plugins contribute."
)
@with_quiet_host
def graph(form: str, only_plugins: bool) -> None:
    """Draw what plugins require and contribute."""
    with refusals():
        found = _graph(find_manager(), only_plugins=only_plugins)
    draw = {"text": _text, "dot": _dot, "mermaid": _mermaid}[form]
    for line in draw(found):
        say(line)


def _graph(manager: PluginManager, *, only_plugins: bool) -> Graph:
    manager.conflicts  # noqa: B018 - asking settles who gets which name
    rows = manager.plugins
    nodes: dict[tuple[str, str], Node] = {}
    edges: list[Edge] = []
    for row in rows:
        key = ("plugin", row.name)
        label = f"{row.name} {row.version}".strip()
        nodes.setdefault(key, Node(key, clean(label, 100), row.status.value))
    for row in rows:
        key = ("plugin", row.name)
        for need in needs_of(row, rows):
            other = ("plugin", need.name)
            nodes.setdefault(other, Node(other, clean(need.name, 100), "missing"))
            edges.append(Edge(key, other, clean(need.versions, 50), "requires"))
        edges += [Edge(("plugin", by), key, "", "reworks") for by in row.variant]
        for told in () if only_plugins else contributions_of(manager, row):
            thing = _thing(told)
            nodes.setdefault(thing.key, thing)
            edges.append(Edge(key, thing.key, "", "contributes"))
    return Graph(tuple(nodes.values()), tuple(dict.fromkeys(edges)))


def _thing(told: Told) -> Node:
    return Node((told.kind, told.name), f"{told.kind} {told.name}")


# --- the formats ------------------------------------------------------------------------------


def _text(graph: Graph) -> Iterator[str]:
    labels = {node.key: node.label for node in graph.nodes}
    width = terminal_width()
    for number, node in enumerate(node for node in graph.nodes if node.status):
        if number:
            yield ""
        yield f"{click.style(node.label, bold=True)} ({coloured(node.status)})"
        own = [edge for edge in graph.edges if edge.start == node.key]
        for edge in own:
            if edge.kind != "contributes":
                text = f"{edge.kind} {labels[edge.end]}"
                text += f" ({edge.label})" if edge.label else ""
                yield from paragraph(text, width, indent=6, first="--> ")
        yield from _by_kind(own, width)


def _by_kind(edges: Iterable[Edge], width: int) -> Iterator[str]:
    """Yield a line for each kind of contribution, with all names of that kind."""
    names: dict[str, list[str]] = {}
    for edge in edges:
        if edge.kind == "contributes":
            kind, name = edge.end
            found = names.setdefault(kind, [])
            if name not in found:
                found.append(name)
    for kind, found in names.items():
        yield from paragraph(", ".join(found), width, indent=14, first=f"  {kind:<12}")


_DOT_EDGES: Final = {
    "requires": "",
    "reworks": ", style=bold",
    "contributes": ", style=dashed, arrowhead=none",
}

_DOT_COLOURS: Final = {"active": "black", "disabled": "gray"}


def _dot(graph: Graph) -> Iterator[str]:
    ids = _ids(graph.nodes)
    yield "digraph plugins {"
    yield "  rankdir=LR;"
    for node in graph.nodes:
        shape = "box" if node.status else "ellipse"
        colour = f", color={_DOT_COLOURS.get(node.status, 'red')}" if node.status else ""
        yield f"  {ids[node.key]} [label={_quoted(_labelled(node))}, shape={shape}{colour}];"
    for edge in graph.edges:
        line = f"{ids[edge.start]} -> {ids[edge.end]}"
        yield f"  {line} [label={_quoted(_label(edge))}{_DOT_EDGES[edge.kind]}];"
    yield "}"


def _quoted(text: str) -> str:
    """Return a string of the DOT language, in which only these two mean something."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_MERMAID_EDGES: Final = {"requires": "-->", "reworks": "==>", "contributes": "-.-"}


def _mermaid(graph: Graph) -> Iterator[str]:
    ids = _ids(graph.nodes)
    yield "flowchart LR"
    for node in graph.nodes:
        opening, closing = ("[", "]") if node.status else ("([", "])")
        yield f'  {ids[node.key]}{opening}"{_entities(_labelled(node))}"{closing}'
    for edge in graph.edges:
        label = _label(edge)
        shown = f'|"{_entities(label)}"|' if label else ""
        yield f"  {ids[edge.start]} {_MERMAID_EDGES[edge.kind]}{shown} {ids[edge.end]}"


def _entities(text: str) -> str:
    """Return a text for a label of Mermaid, where all but plain characters may mean something."""
    return "".join(
        character if character.isalnum() or character in " .,_-:/" else f"#{ord(character)};"
        for character in text
    )


def _label(edge: Edge) -> str:
    """Return what stands at an arrow; that of a contribution speaks for itself."""
    return {"requires": edge.label, "reworks": "reworks"}.get(edge.kind, "")


def _labelled(node: Node) -> str:
    return node.label if node.status in {"", "active"} else f"{node.label} ({node.status})"


def _ids(nodes: Sequence[Node]) -> dict[tuple[str, str], str]:
    return {node.key: f"n{number}" for number, node in enumerate(nodes)}
