"""What a plugin may do beyond its own pages and parts: ``__permissions__``.

A plugin asks for permissions in its manifest, by texts such as ``storage`` or
``net:api.example.org:443``; the operator approves them. Everything that a plugin in a process
of its own wants of the host is held against the `Permissions` that it was granted.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from .exceptions import ManifestError, Problem
from .frozen import Frozen
from .text import UnusableText, as_text, describe, nearest

DUNDER: Final = "__permissions__"

MOST: Final = 100
"""Permissions that one plugin may ask for: what an operator can still read."""

LONGEST: Final = 300
"""Characters of one permission: the longest host name is 253."""

LARGEST_MB: Final = 1024
"""Megabytes that a plugin may ask for as room for its files."""

KB: Final = 1 << 10
MB: Final = 1 << 20

FLAGS: Final = {
    "requests": "may see the method and the path of every request to the site",
    "requests:answer": "may answer any request to the site itself, in place of its pages",
    "responses": "may see and change every response of the site",
    "assets:script": "may serve scripts of its own, which run in its own pages",
    "storage": "may keep a few values on this machine",
    "html:raw": "may put any HTML into the site's pages, and so do there what their reader may do",
    "cookies": "may keep cookies of its own in browsers, sent back to its own pages alone",
}
"""The permissions that are one word, and what they mean to people."""

_FORMS: Final = {
    "net": "net:<host>:<port>, such as 'net:api.example.org:443'",
    "routes": "routes:<path>, such as 'routes:/blog'",
    "files": "files:<size>, such as 'files:16MB'",
    "user": "user:<name>, such as 'user:email'",
}

_EXAMPLES: Final = ", ".join((*FLAGS, *_FORMS.values()))

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~-]+")
_SIZE: Final = re.compile(r"([1-9][0-9]{0,6})(KB|MB)")
_USER: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label by which browsers and resolvers take a name for an IPv4 address."""


class Endpoint(NamedTuple):
    """A host, as a DNS name in lower case or an IP address, and a TCP port."""

    host: str
    port: int


class Permissions(Frozen):
    """What a plugin asks for, or was granted."""

    texts: tuple[str, ...] = ()
    """All of it in its canonical form, sorted; equal permissions have equal texts."""
    endpoints: frozenset[Endpoint] = frozenset()
    """Where connections may be opened to."""
    paths: tuple[str, ...] = ()
    """Paths, such as ``/blog``, at and below which rules may lie; sorted."""
    files: int = 0
    """Bytes of room for files, 0 for none."""
    user: frozenset[str] = frozenset()
    """What of the user the host may hand out."""

    def __contains__(self, text: object) -> bool:
        return text in self.texts


NONE: Final = Permissions()


def parse(value: object, where: str) -> tuple[Permissions, tuple[Problem, ...]]:
    """Return what the value of ``__permissions__`` asks for, and everything wrong with it.

    Never raises; `where` names the file in problems. ``requests:answer`` brings ``requests``.
    """
    if value is None:
        return NONE, ()
    if not issubclass(type(value), list | tuple):
        expected = "a list of texts, such as ['storage']"
        return NONE, (_problem(where, DUNDER, UnusableText(describe(value), expected)),)
    items = [*value]  # type: ignore[misc]  # a list or tuple, says its type
    problems = []
    texts = set()
    for index, item in enumerate(items[:MOST]):
        try:
            texts.add(canonical(item))
        except UnusableText as error:
            problems.append(_problem(where, f"{DUNDER}[{index}]", error))
    if len(items) > MOST:
        fault = UnusableText(f"{len(items)} permissions", f"at most {MOST}")
        problems.append(_problem(where, DUNDER, fault))
    if len(sizes := sorted(text for text in texts if text.startswith("files:"))) > 1:
        fault = UnusableText(" and ".join(map(describe, sizes)), "one of them")
        problems.append(_problem(where, DUNDER, fault))
    return (NONE if problems else _of(texts)), tuple(problems)


def permissions_of(texts: Iterable[object]) -> Permissions:
    """Return the permissions that `texts` stand for; raise `ManifestError` with all problems."""
    permissions, problems = parse(list(texts), "permissions")
    if problems:
        raise ManifestError(problems)
    return permissions


def canonical(item: object) -> str:
    """Return one permission in the form in which equal ones are equal; raise `UnusableText`."""
    if (text := as_text(item)) is None or len(text) > LONGEST:
        raise UnusableText(describe(item), f"a text, one of {_EXAMPLES}")
    kind, colon, rest = text.partition(":")
    if text in FLAGS:
        return text
    match kind:
        case "net" if colon:
            endpoint = _endpoint(text, rest)
            return f"net:{bracketed(endpoint.host)}:{endpoint.port}"
        case "routes" if colon:
            return f"routes:{_path(text, rest)}"
        case "files" if colon:
            size = _size(text, rest)
            return f"files:{size // MB}MB" if size % MB == 0 else f"files:{size // KB}KB"
        case "user" if colon and _USER.fullmatch(rest):
            return text
    raise UnusableText(describe(text), _FORMS.get(kind) or _meant(text))


def host_of(text: str) -> str:
    """Return the host `text` in canonical form: a DNS name or an IP address, without brackets.

    Raises `UnusableText` for what isn't one, wildcards and zones of IPv6 included.
    """
    host = text.lower()
    expected = "the name or address of a host, such as 'api.example.org' or '[2001:db8::1]'"
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise UnusableText(describe(text), expected)
    try:
        if ":" in host:
            return _ipv6(host)
        labels = host.split(".")
        if _NUMERIC.fullmatch(labels[-1]):
            return str(ipaddress.IPv4Address(host))
    except ValueError:
        raise UnusableText(describe(text), expected) from None
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        if not host.isascii():
            expected = "the form of the name in ASCII, which begins with 'xn--'"
        raise UnusableText(describe(text), expected)
    return host


def bracketed(host: str) -> str:
    """Return a host as it stands in front of a port."""
    return f"[{host}]" if ":" in host else host


def missing(asked: Permissions, granted: Permissions) -> tuple[str, ...]:
    """Return what of `asked` isn't covered by `granted`, sorted; nothing if all of it is.

    More room for files covers less of it, and a path covers what lies below it.
    """
    return tuple(text for text in asked.texts if not _covers(granted, text))


def common(asked: Permissions, granted: Permissions) -> Permissions:
    """Return what of `asked` is covered by `granted`."""
    lacking = missing(asked, granted)
    return _of({text for text in asked.texts if text not in lacking})


def words(text: str) -> str:
    """Return what a canonical permission allows, to be read after the name of the plugin."""
    kind, _, rest = text.partition(":")
    match kind:
        case "net":
            host, _, port = rest.rpartition(":")
            return f"may open connections to {host}, port {port}"
        case "routes" if rest == "/":
            return "may have pages anywhere in the site"
        case "routes":
            return f"may have pages at {rest} and below"
        case "files":
            return f"may keep files of {rest[:-2]} {rest[-2:]} in a folder of its own"
        case "user":
            return f"may know the {rest.replace('_', ' ')} of who looks at a page"
    return FLAGS[text]


def is_below(path: str, top: str) -> bool:
    """Tell whether `path` is `top` or lies below it; ``/blogs`` isn't below ``/blog``."""
    return path == top or path.startswith(top if top.endswith("/") else f"{top}/")


def _of(given: set[str]) -> Permissions:
    texts = given | ({"requests"} if "requests:answer" in given else set())
    parts = [text.partition(":") for text in texts]
    endpoints = [rest.rpartition(":") for kind, _, rest in parts if kind == "net"]
    return Permissions(
        texts=tuple(sorted(texts)),
        endpoints=frozenset(Endpoint(host.strip("[]"), int(port)) for host, _, port in endpoints),
        paths=tuple(sorted(rest for kind, _, rest in parts if kind == "routes")),
        files=sum(_size(rest, rest) for kind, _, rest in parts if kind == "files"),
        user=frozenset(rest for kind, _, rest in parts if kind == "user"),
    )


def _covers(granted: Permissions, text: str) -> bool:
    kind, _, rest = text.partition(":")
    if kind == "files":
        return _size(rest, rest) <= granted.files
    if kind == "routes":
        return any(is_below(rest, top) for top in granted.paths)
    return text in granted.texts


def _endpoint(text: str, rest: str) -> Endpoint:
    host, colon, port = rest.rpartition(":")
    if not colon or not host:
        raise UnusableText(describe(text), _FORMS["net"])
    if ":" in host and not host.startswith("["):
        raise UnusableText(describe(text), "an IPv6 address in brackets, and one port behind it")
    if not (port.isascii() and port.isdecimal()) or not 1 <= int(port[:6]) <= 65535:
        raise UnusableText(f"the port {describe(port)}", "a port from 1 to 65535")
    return Endpoint(host_of(host), int(port[:6]))


def _ipv6(host: str) -> str:
    address = ipaddress.IPv6Address(host)
    # its text is another one from one release of Python to the next
    if address.scope_id is not None or address.ipv4_mapped is not None:
        raise ValueError
    return str(address)


def _path(text: str, rest: str) -> str:
    segments = rest.removesuffix("/").split("/")[1:]
    if rest.startswith("/") and all(
        _SEGMENT.fullmatch(part) and part not in {".", ".."} for part in segments
    ):
        return "/" + "/".join(segments)
    raise UnusableText(describe(text), f"{_FORMS['routes']}: ASCII letters, digits and '-._~'")


def _size(text: str, rest: str) -> int:
    if (found := _SIZE.fullmatch(rest)) is not None:
        size = int(found[1]) * (MB if found[2] == "MB" else KB)
        if size <= LARGEST_MB * MB:
            return size
    raise UnusableText(describe(text), f"{_FORMS['files']}, in KB or MB, up to {LARGEST_MB}MB")


def _meant(text: str) -> str:
    kind = text.partition(":")[0]
    if (guess := nearest(text, FLAGS) or nearest(kind, {**_FORMS, **FLAGS})) is not None:
        return f"perhaps {_FORMS.get(guess) or describe(guess)}"
    return f"one of {_EXAMPLES}"


def _problem(where: str, what: str, fault: UnusableText) -> Problem:
    return Problem(where=where, what=what, found=fault.found, expected=fault.expected)
