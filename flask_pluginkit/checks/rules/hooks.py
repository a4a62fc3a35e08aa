"""Hooks that run at every request, and keep it waiting."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from flask_pluginkit.checks.modules import Function, Module, argument, body_of
from flask_pluginkit.checks.reports import Finding
from flask_pluginkit.checks.subjects import Subject
from flask_pluginkit.text import describe

BLOCKING: Final = frozenset(
    {
        *("time.sleep", "os.system", "os.popen", "socket.create_connection", "socket.getaddrinfo"),
        *("socket.gethostbyname", "urllib.request.urlopen", "urllib.request.urlretrieve"),
        *("subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output"),
        *("subprocess.getoutput", "subprocess.Popen", "smtplib.SMTP", "smtplib.SMTP_SSL"),
        *("http.client.HTTPConnection", "http.client.HTTPSConnection", "ftplib.FTP"),
    }
)
"""Functions that wait for something outside of the process."""

REQUESTERS: Final = tuple(
    f"{package}.{method}"
    for package in ("requests", "httpx", "niquests")
    for method in ("get", "post", "put", "patch", "delete", "head", "options", "request", "stream")
)

_DEEPEST: Final = 3
"""Calls of functions of the plugin that are followed."""


def check_hooks(subject: Subject) -> Iterator[Finding]:
    """Yield calls in hooks for all requests that wait for the network, a process, or the disk."""
    seen: set[tuple[int, str]] = set()
    looked_at: set[tuple[int, str]] = set()
    for item in subject.registered.of("hep", "context"):
        if item.function is None:
            continue
        hook = item.name or "the context of every template"
        if (id(item.function[1]), hook) in looked_at:
            continue
        looked_at.add((id(item.function[1]), hook))
        for home, call, reason in _waits(subject, *item.function, set(), 0):
            if (id(call), hook) not in seen:
                seen.add((id(call), hook))
                message = (
                    f"{reason} in what runs at every request ({hook}): each visitor waits for it; "
                    "do it in a task of its own, or seldom, and remember the answer"
                )
                yield subject.at("PK301", home, call, message)


def _waits(
    subject: Subject, module: Module, function: Function, seen: set[int], depth: int
) -> Iterator[tuple[Module, ast.Call, str]]:
    """Yield the calls that wait, also those in functions of the plugin that are called."""
    if id(function) in seen or depth > _DEEPEST:
        return
    seen.add(id(function))
    for node in body_of(function):
        if not isinstance(node, ast.Call):
            continue
        called = subject.modules.external(module.origin(node.func))
        if (reason := waiting(subject, module, node, called)) is not None:
            yield module, node, reason
        elif (inner := subject.modules.function(module, node.func)) is not None:
            yield from _waits(subject, *inner, seen, depth + 1)


def waiting(subject: Subject, module: Module, call: ast.Call, called: str) -> str | None:
    """Return what a call waits for, None if it doesn't."""
    if called in BLOCKING or called in REQUESTERS:
        return f"{called}()"
    if called in {"builtins.open", "io.open"}:
        mode = subject.modules.text(module, argument(call, 1, "mode"))
        if mode is not None and set(mode) & set("wax+"):
            return f"open() for writing ({describe(mode)})"
    return None
