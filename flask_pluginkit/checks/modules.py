"""A plugin's modules as their syntax trees tell of them: what each name stands for.

What a name means is written as a dotted text, its *origin*: ``flask.request`` for what was
imported from elsewhere, ``builtins.open``, and ``@.views.add`` for what the plugin has itself.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from .sources import PythonFile

OWN: Final = "@"
"""What origins begin with that lie in the plugin."""

ABOVE: Final = "^"
"""What relative imports that leave the plugin lead to."""

BUILTINS: Final = frozenset(dir(builtins))

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

LONGEST_CHAIN: Final = 50
"""Steps that are followed from one name to the next, or into an expression."""

LONGEST_TEXT: Final = 100_000
"""Characters of a text that is put together."""


@dataclass
class Module:
    """One module of a plugin."""

    file: PythonFile
    packages: tuple[str, ...]
    """The dotted names by which the plugin may be imported."""
    aliases: dict[str, str] = field(default_factory=dict)
    """What imported names stand for, wherever in the module they are imported."""
    assigned: dict[str, list[ast.expr]] = field(default_factory=dict)
    """What is assigned to names on the top level, in order."""
    functions: dict[str, Function] = field(default_factory=dict)
    """Functions on the top level, lambdas with a name included."""
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in self.nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.aliases.update(self._imported(node))
        for statement in _top_level(self.file.tree):
            match statement:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    self.functions[name] = statement
                case ast.ClassDef(name=name):
                    self.classes[name] = statement
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._assign(target, value)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    self._assign(target, value)

    @property
    def key(self) -> str:
        """Its dotted name in the plugin."""
        return self.file.key

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the tree, those above first."""
        return list(ast.walk(self.file.tree))

    @cached_property
    def parents(self) -> dict[int, ast.AST]:
        """The node above each one, by its id."""
        return {id(child): node for node in self.nodes for child in ast.iter_child_nodes(node)}

    def calls(self) -> Iterator[tuple[ast.Call, str]]:
        """Yield every call with the origin of what is called, "" where that isn't known."""
        for node in self.nodes:
            if isinstance(node, ast.Call):
                yield node, self.origin(node.func)

    def origin(self, node: ast.expr | None) -> str:
        """Return what a name or a dotted name stands for, "" for anything else."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        if (base := self._base(node.id)) is None:
            return ""
        return ".".join([base, *reversed(parts)])

    def _base(self, name: str) -> str | None:
        if name in self.assigned or name in self.functions or name in self.classes:
            return own_name(self.key, name)
        if (alias := self.aliases.get(name)) is not None:
            return alias
        if name in BUILTINS and name not in self._bound:
            return f"builtins.{name}"
        return None

    @cached_property
    def _bound(self) -> frozenset[str]:
        """Names that functions bind, by which a builtin may be hidden."""
        names = {
            node.id
            for node in self.nodes
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        return frozenset(names | {node.arg for node in self.nodes if isinstance(node, ast.arg)})

    def enclosing(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield what a node stands in, the innermost first."""
        above = self.parents.get(id(node))
        while above is not None:
            yield above
            above = self.parents.get(id(above))

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.assigned.setdefault(target.id, []).append(value)
            if isinstance(value, ast.Lambda):
                self.functions[target.id] = value

    def _imported(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    yield alias.asname, self._own(alias.name)
                else:
                    first = alias.name.partition(".")[0]
                    yield first, self._own(first)
            return
        source = self._source_of(node)
        for alias in node.names:
            yield alias.asname or alias.name, f"{source}.{alias.name}"

    def _source_of(self, node: ast.ImportFrom) -> str:
        named = node.module or ""
        if not node.level:
            return self._own(named)
        parts = self.key.split(".") if self.key else []
        up = node.level - 1 if self.file.is_package else node.level
        if up > len(parts):
            return f"{ABOVE}.{named}".rstrip(".")
        return ".".join([OWN, *parts[: len(parts) - up], *filter(None, [named])])

    def _own(self, name: str) -> str:
        """Return the origin of a dotted name that may be the plugin's own full one."""
        for package in self.packages:
            if name == package or name.startswith(f"{package}."):
                return OWN + name[len(package) :]
        return name


class Modules:
    """All modules of a plugin."""

    def __init__(self, files: Iterable[PythonFile], packages: tuple[str, ...]) -> None:
        self.by_key: Mapping[str, Module] = {
            file.key: Module(file=file, packages=packages) for file in files
        }
        self._texts: dict[int, str | None] = {}

    def __iter__(self) -> Iterator[Module]:
        yield from self.by_key.values()

    @property
    def root(self) -> Module | None:
        """The plugin's ``__init__``, if it could be read."""
        return self.by_key.get("")

    def find(self, origin: str) -> tuple[Module, str] | None:
        """Return the module that defines an own name, and the name there; re-exports followed."""
        for _ in range(LONGEST_CHAIN):
            if not origin.startswith(f"{OWN}."):
                return None
            key, _dot, name = origin.removeprefix(f"{OWN}.").rpartition(".")
            module = self.by_key.get(key)
            if module is None:
                return None
            if name in module.functions or name in module.assigned or name in module.classes:
                return module, name
            if name not in module.aliases or module.aliases[name] == origin:
                return None
            origin = module.aliases[name]
        return None

    def external(self, origin: str) -> str:
        """Return what an own name that is only handed on stands for elsewhere, else `origin`."""
        for _ in range(LONGEST_CHAIN):
            if not origin.startswith(f"{OWN}."):
                return origin
            key, _dot, name = origin.removeprefix(f"{OWN}.").rpartition(".")
            module = self.by_key.get(key)
            if module is None or name not in module.aliases or name in module.assigned:
                return origin
            origin = module.aliases[name]
        return origin

    def function(self, module: Module, node: ast.expr | None) -> tuple[Module, Function] | None:
        """Return the function that an expression stands for, if it is one of the plugin's own."""
        if isinstance(node, ast.Lambda):
            return module, node
        if (found := self.find(module.origin(node))) is None:
            return None
        home, name = found
        function = home.functions.get(name)
        return None if function is None else (home, function)

    def value(self, module: Module, node: ast.expr | None) -> tuple[Module, ast.expr] | None:
        """Return what an expression stands for, where names that are bound once are followed."""
        for _ in range(LONGEST_CHAIN):
            if node is None:
                return None
            if not isinstance(node, ast.Name | ast.Attribute):
                return module, node
            if (found := self.find(module.origin(node))) is None:
                return None
            module, name = found
            given = module.assigned.get(name, [])
            if len(given) != 1:
                return None
            node = given[0]
        return None

    def text(self, module: Module, node: ast.expr | None, depth: int = 0) -> str | None:
        """Return a text that stands in the source, also by a name or joined, else None."""
        if depth > LONGEST_CHAIN or (found := self.value(module, node)) is None:
            return None
        home, value = found
        # kept, as names that double each other would take for ever otherwise
        if id(value) not in self._texts:
            self._texts[id(value)] = self._joined(home, value, depth)
        return self._texts[id(value)]

    def _joined(self, home: Module, value: ast.expr, depth: int) -> str | None:
        match value:
            case ast.Constant(value=str() as text):
                return text
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                parts = [self.text(home, left, depth + 1), self.text(home, right, depth + 1)]
            case ast.JoinedStr(values=values):
                parts = [self.text(home, part, depth + 1) for part in values]
            case ast.FormattedValue(value=inner, conversion=-1, format_spec=None):
                return self.text(home, inner, depth + 1)
            case _:
                return None
        texts = [part for part in parts if part is not None]
        if len(texts) < len(parts) or sum(map(len, texts)) > LONGEST_TEXT:
            return None
        return "".join(texts)


def own_name(key: str, name: str) -> str:
    """Return the origin of a name of a module of the plugin."""
    return ".".join([OWN, *filter(None, [key]), name])


def body_of(function: Function) -> Iterator[ast.AST]:
    """Yield all nodes of a function's body, those of functions in it included."""
    pending: list[ast.AST] = (
        [function.body] if isinstance(function, ast.Lambda) else [*reversed(function.body)]
    )
    while pending:
        node = pending.pop()
        yield node
        pending += ast.iter_child_nodes(node)


def place_of(node: ast.AST) -> tuple[int, int]:
    """Return line and column, both from 1."""
    return getattr(node, "lineno", 0), getattr(node, "col_offset", -1) + 1


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """Return the value of a named argument, None if it isn't given."""
    return next((given.value for given in call.keywords if given.arg == name), None)


def argument(call: ast.Call, index: int, name: str) -> ast.expr | None:
    """Return an argument by its place or its name, None if it isn't given so."""
    if index < len(call.args) and not any(
        isinstance(each, ast.Starred) for each in call.args[: index + 1]
    ):
        return call.args[index]
    return keyword(call, name)


def _top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements of a module, those below ``if`` and ``try`` included."""
    pending: list[ast.stmt] = [*reversed(tree.body)]
    while pending:
        statement = pending.pop()
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With):
            inside = [
                node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.stmt)
            ]
            handlers = [
                node for handler in getattr(statement, "handlers", ()) for node in handler.body
            ]
            pending += reversed([*inside, *handlers])
