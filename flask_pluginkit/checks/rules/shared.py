"""Values of a module that requests change: threads do so at the same time, workers don't share."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from flask_pluginkit.checks.modules import Function, Module, body_of
from flask_pluginkit.checks.reports import Finding
from flask_pluginkit.checks.subjects import Subject

_CHANGING: Final = frozenset(
    {
        *("append", "extend", "insert", "remove", "clear", "add", "discard", "update"),
        *("setdefault", "pop", "popitem", "appendleft", "popleft"),
    }
)
_MADE: Final = frozenset(
    {
        *("builtins.dict", "builtins.list", "builtins.set", "collections.defaultdict"),
        *("collections.OrderedDict", "collections.Counter", "collections.deque"),
    }
)
_DEEPEST: Final = 3


def check_shared(subject: Subject) -> Iterator[Finding]:
    """Yield changes of a module's own values in functions that run during requests."""
    seen: set[int] = set()
    told: set[tuple[str, str]] = set()
    for item in subject.requests_code():
        assert item.function is not None
        for module, node, name in _changes(subject, *item.function, seen, 0):
            if (module.key, name) not in told:
                told.add((module.key, name))
                message = (
                    f"{name} belongs to the module, and a request changes it: threads do so at "
                    "the same time, and other workers have another one; keep it in a storage, or "
                    "change it under a lock"
                )
                yield subject.at("PK302", module, node, message)


def _changes(
    subject: Subject, module: Module, function: Function, seen: set[int], depth: int
) -> Iterator[tuple[Module, ast.AST, str]]:
    """Yield the changes in a function and in those that it calls, with what is changed."""
    if id(function) in seen or depth > _DEEPEST:
        return
    seen.add(id(function))
    declared = {
        name for node in body_of(function) if isinstance(node, ast.Global) for name in node.names
    }
    local = _local_names(function) - declared
    for node in body_of(function):
        name = _changed(node, declared)
        is_ours = name is not None and name not in local and _is_shared(module, name, declared)
        if name is not None and is_ours and not _is_locked(module, node):
            yield module, node, name
        inner = subject.modules.function(module, node.func) if isinstance(node, ast.Call) else None
        if inner is not None:
            yield from _changes(subject, *inner, seen, depth + 1)


def _changed(node: ast.AST, declared: set[str]) -> str | None:
    """Return the name of what a statement or call changes in place."""
    match node:
        case ast.Assign(targets=[target, *_]) | ast.AugAssign(target=target):
            if isinstance(target, ast.Name):
                # a plain new value for a declared name is one step; adding to it is two
                changes = isinstance(node, ast.AugAssign) and target.id in declared
                return target.id if changes else None
            return _root(target) if isinstance(target, ast.Subscript) else None
        case ast.Delete(targets=[ast.Subscript() as target, *_]):
            return _root(target)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr)) if attr in _CHANGING:
            return name
    return None


def _root(node: ast.expr) -> str | None:
    for _ in range(50):
        if isinstance(node, ast.Subscript):
            node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _is_shared(module: Module, name: str, declared: set[str]) -> bool:
    """Tell whether a name of the module is bound to something that can be changed."""
    values = module.assigned.get(name, [])
    if name in declared:
        return bool(values)
    return any(
        isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp)
        or (isinstance(value, ast.Call) and module.origin(value.func) in _MADE)
        for value in values
    )


def _is_locked(module: Module, node: ast.AST) -> bool:
    """Tell whether a change stands in a ``with``: most likely that of a lock."""
    return any(isinstance(each, ast.With | ast.AsyncWith) for each in module.enclosing(node))


def _local_names(function: Function) -> set[str]:
    arguments = function.args
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    names = {each.arg for each in (*every, arguments.vararg, arguments.kwarg) if each is not None}
    for node in body_of(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names
