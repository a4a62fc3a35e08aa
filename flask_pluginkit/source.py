"""What a module's source says about the names that it binds, found without running it.

Only what is certain counts as known: a name bound on the top level to a literal, to a
constant bound so before, or to texts put together of such. A name bound in any other way is
*computed*, and known when the module has been imported.
"""

from __future__ import annotations

import ast
import codecs
import re
import stat
import tokenize
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.util import decode_source
from io import BytesIO, IncrementalNewlineDecoder
from pathlib import Path
from typing import Final

from .durable import open_regular
from .exceptions import ManifestError, Problem
from .frozen import Frozen
from .text import clean

SOURCE: Final = "source"
"""What a problem of a whole file is about."""

LARGEST_SOURCE: Final = 1024 * 1024
"""Bytes. The tree of a source takes up to a hundred times its size in memory."""

FAR_ENOUGH: Final = 256 * 1024
"""Bytes in which the name of a plugin is looked for."""

LONGEST_TEXT: Final = 10_000
"""Characters. Longer texts aren't put together: doubling one 40 times takes 40 short lines."""

MOST_BRACES: Final = 10**10
"""Braces times characters of a source with f-strings: Python parses those in such a time."""

_SLOW_ENCODINGS: Final = frozenset({"punycode"})
"""Python accepts these for source too, but decodes a megabyte in minutes."""

_TRICKS: Final = frozenset({"globals", "locals", "vars", "exec", "eval"})
"""Functions by which a module may bind names that its source doesn't show."""

_MAY_BIND_LATER: Final = (*sorted(_TRICKS), "global", "modules")
"""What a source must contain for the whole of it to be searched, which takes its time."""

_F_STRING: Final = re.compile("[fFtT][rR]?[\"']")

_Scalar = str | int | float | bytes | bool | None


class Bindings(Frozen):
    """The names that a module binds on its top level."""

    values: Mapping[str, object]
    """Those whose value is known."""
    computed: frozenset[str]
    """Those that are bound, but whose value isn't a literal."""
    open_ended: bool = False
    """True if there may be more: after ``from x import *``, ``globals()`` and the like."""

    def __contains__(self, name: object) -> bool:
        return name in self.values or name in self.computed

    def __iter__(self) -> Iterator[str]:
        yield from self.values
        yield from self.computed


def read_bindings(path: Path, where: str) -> Bindings:
    """Return what the source file `path` binds; `where` names that file in problems.

    Nothing is imported or executed. Raises `ManifestError` with one problem if the file can't
    be read or isn't Python: no regular file, too large, undecodable, a syntax error.
    """
    source = read_source(path, where)
    return _Reader().read(parse_source(source, where), source)


def read_source(path: Path, where: str) -> str:
    """Return the text of a source file, its line ends as newlines; raises as `read_bindings`."""
    return _decode(_read(path, where), where)


def names_a_plugin(init: Path) -> bool:
    """Tell whether a file has the name of a plugin in it, without parsing it. Raises nothing."""
    try:
        with open_regular(init) as file:
            return b"__plugin_name__" in file.read(FAR_ENOUGH)
    except OSError:
        return False


def parse_source(source: str, where: str) -> ast.Module:
    """Return the syntax tree of a source; raises `ManifestError` if it isn't Python."""
    return _parse(source, where)


def _read(path: Path, where: str) -> bytes:
    try:
        status = path.stat()  # first of all, as opening some devices does something
        if not stat.S_ISREG(status.st_mode):
            raise _unusable(where, "something that isn't a regular file", "a file of Python source")
        with open_regular(path) as file:
            # room for as much as there seems to be, and then whatever came since
            data = file.read(min(status.st_size, LARGEST_SOURCE) + 1)
            if len(data) != status.st_size:
                data += file.read(LARGEST_SOURCE + 1 - len(data))
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        reason = error.strerror if isinstance(error, OSError) else None
        raise _unusable(where, f"no readable file ({clean(reason or error, 100)})") from error
    if len(data) > LARGEST_SOURCE:
        size = max(status.st_size, len(data))  # the size of special files is 0
        raise _unusable(where, f"{size} bytes", f"at most {LARGEST_SOURCE} bytes")
    return data


def _decode(data: bytes, where: str) -> str:
    if not data.startswith(codecs.BOM_UTF8) and b"coding" not in b"".join(data.split(b"\n", 2)[:2]):
        with suppress(UnicodeDecodeError):
            return IncrementalNewlineDecoder(None, translate=True).decode(data.decode())
    try:
        encoding = tokenize.detect_encoding(BytesIO(data).readline)[0]
        if codecs.lookup(encoding).name not in _SLOW_ENCODINGS:
            return decode_source(data)
        reason = f"the encoding {encoding}"
    except (SyntaxError, ValueError, LookupError) as error:
        reason = clean(error, 100)
    raise _unusable(
        where,
        f"bytes that can't be decoded ({reason})",
        "UTF-8, or an encoding declared in the first two lines",
    )


def _parse(source: str, where: str) -> ast.Module:
    if source.count("{") * len(source) > MOST_BRACES and _F_STRING.search(source) is not None:
        raise _unusable(where, "f-strings that would take minutes to be parsed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the author's concern, when the module is imported
            return ast.parse(source)
    except SyntaxError as error:
        found = f"a syntax error in line {error.lineno or 1}: {clean(error.msg, 150)}"
    except ValueError as error:  # NUL characters before Python 3.12, and surrogates
        found = f"a syntax error: {clean(error, 150)}"
    except (RecursionError, MemoryError):
        found = "expressions that are nested too deep to be parsed"
    raise _unusable(where, found)


def _unusable(where: str, found: str, expected: str = "valid Python source") -> ManifestError:
    return ManifestError(Problem(where=where, what=SOURCE, found=found, expected=expected))


class _NotLiteralError(Exception):
    """The value of an expression isn't known without running it."""


class _Reader:
    """Follows the statements of one module in their order."""

    def __init__(self) -> None:
        self._values: dict[str, object] = {}
        self._computed: set[str] = set()
        self._global: frozenset[str] = frozenset()
        """What functions may bind whenever they are called: such names have no known value."""

    def read(self, tree: ast.Module, source: str) -> Bindings:
        open_ended = False
        if any(word in source for word in _MAY_BIND_LATER):
            nodes = list(ast.walk(tree))
            self._global = frozenset(_declared_global(nodes))
            open_ended = any(_is_trick(node) for node in nodes)
        for statement in tree.body:
            self._follow(statement)
        self._compute(self._global)
        open_ended = open_ended or not self._computed.isdisjoint({"*", "__getattr__"})
        return Bindings(
            values=self._values,
            computed=frozenset(self._computed - {"*"}),
            open_ended=open_ended,
        )

    def _follow(self, statement: ast.stmt) -> None:
        match statement:  # the most frequent first
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                self._compute((name,))
            case ast.Assign(targets=targets, value=value):
                self._assign(targets, value)
            case ast.AnnAssign(value=None):
                pass  # a bare annotation binds nothing
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign([target], value)
            case ast.AugAssign(target=ast.Name(id=name) as target, op=change, value=value):
                old = ast.Name(id=name, ctx=ast.Load())
                self._assign([target], ast.BinOp(left=old, op=change, right=value))
            case ast.Expr(value=ast.Constant()):
                pass  # a docstring
            case _:
                self._compute(self._names_bound_in(statement))

    def _assign(self, targets: list[ast.expr], value: ast.expr) -> None:
        match targets, value:
            case [ast.Tuple(elts=parts)], ast.Tuple(elts=values) if _are_pairs(parts, values):
                for part, one_value in zip(parts, values, strict=True):
                    self._assign([part], one_value)
                return
        try:
            found = self._value_of(targets, value)
        except (_NotLiteralError, RecursionError):
            for part in (*targets, value):
                self._compute(self._names_bound_in(part))
            return
        for target in targets:
            assert isinstance(target, ast.Name)
            self._values[target.id] = found
            self._computed.discard(target.id)

    def _value_of(self, targets: list[ast.expr], value: ast.expr) -> object:
        match targets:
            case [*names] if any(isinstance(n, ast.Name) and n.id in self._global for n in names):
                raise _NotLiteralError
            case [ast.Name(id=name)] if name.startswith("__"):
                return _literal(value, self._values)
            case _ if all(isinstance(target, ast.Name) for target in targets):
                # Of names that aren't metadata only constants are followed. Nor is a literal
                # that has two names, as either can change it.
                return _scalar(value, self._values)
        raise _NotLiteralError

    def _compute(self, names: Iterable[str]) -> None:
        for name in names:
            self._computed.add(name)
            self._values.pop(name, None)

    def _names_bound_in(self, root: ast.AST) -> Iterator[str]:
        """Yield what `root` may bind in the module's own scope, now or never.

        A value that isn't a constant counts as bound again wherever it is mentioned, because
        whatever it is handed to may change it.
        """
        pending = [root]
        while pending:
            node = pending.pop()
            match node:
                case (
                    ast.FunctionDef(name=name)
                    | ast.AsyncFunctionDef(name=name)
                    | ast.ClassDef(name=name)
                ):
                    yield name
                    continue  # what stands inside is in a scope of its own
                case ast.Lambda():
                    continue
                case ast.Name(id=name, ctx=context):
                    is_constant = isinstance(self._values.get(name), _Scalar)
                    if not (isinstance(context, ast.Load) and is_constant):
                        yield name
                case ast.alias(name=name, asname=other_name):
                    yield other_name or name.partition(".")[0]
                case (
                    ast.ExceptHandler(name=str(name))
                    | ast.MatchAs(name=str(name))
                    | ast.MatchStar(name=str(name))
                    | ast.MatchMapping(rest=str(name))
                ):
                    yield name
            pending += [n for n in ast.iter_child_nodes(node) if type(n) not in _BIND_NOTHING]


_BIND_NOTHING: Final = frozenset({ast.Constant, ast.Load, ast.Store, ast.Pass})
"""Nodes that most of a tree consists of, and in which nothing is to be found."""


def _are_pairs(targets: list[ast.expr], values: list[ast.expr]) -> bool:
    """Tell whether ``a, b = "x", "y"`` gives each name a value that needs no other name."""
    return len(targets) == len(values) and all(isinstance(v, ast.Constant) for v in values)


def _declared_global(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Global):
            yield from node.names


def _is_trick(node: ast.AST) -> bool:
    """Tell whether `node` is one of the ways to bind names unseen."""
    match node:
        case ast.Name(id=name):
            return name in _TRICKS
        case ast.Attribute(value=ast.Name(id="sys"), attr="modules"):
            return True
        case ast.ImportFrom(module="sys", names=names):
            return any(alias.name == "modules" for alias in names)
    return False


def _literal(node: ast.expr, known: Mapping[str, object]) -> object:
    """Return the value of a literal that may hold others, or raise `_NotLiteralError`."""
    match node:
        case ast.Dict(keys=keys, values=values):
            return {
                _scalar(key, known): _literal(value, known)
                for key, value in zip(keys, values, strict=True)
            }
        case ast.List(elts=elements):
            return [_literal(element, known) for element in elements]
        case ast.Tuple(elts=elements):
            return tuple(_literal(element, known) for element in elements)
        case ast.Set(elts=elements):
            return {_scalar(element, known) for element in elements}
    return _scalar(node, known)


def _scalar(node: ast.expr | None, known: Mapping[str, object]) -> _Scalar:
    """Return the value of a constant, or of a text put together of constants.

    Raises `_NotLiteralError` for everything else, such as None: the key of ``**other`` in a dict.
    """
    match node:
        case ast.Constant(value=str() | int() | float() | bytes() | None as value):
            return value
        case ast.Name(id=name) if name in known:
            if isinstance(constant := known[name], _Scalar):
                return constant
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _joined([_scalar(left, known), _scalar(right, known)])
        case ast.JoinedStr(values=parts):
            return _joined([_scalar(part, known) for part in parts])
        case ast.FormattedValue(value=inner, conversion=-1, format_spec=None):
            value = _scalar(inner, known)
            # a number in ``f"{MAJOR}.{MINOR}"``; a long one may not be convertible
            short = type(value) is int and value.bit_length() <= 64
            return str(value) if short else value
    raise _NotLiteralError


def _joined(parts: list[_Scalar]) -> str:
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) < len(parts) or sum(map(len, texts)) > LONGEST_TEXT:
        raise _NotLiteralError
    return "".join(texts)
