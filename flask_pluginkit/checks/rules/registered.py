"""What ``register()`` returns, as far as its source tells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from flask_pluginkit.checks.contributions import Contribution
from flask_pluginkit.checks.reports import Finding
from flask_pluginkit.checks.subjects import Subject
from flask_pluginkit.kinds import FILE_SUFFIXES, HOOKS, KINDS
from flask_pluginkit.ordering import parse_code
from flask_pluginkit.text import clean, describe, nearest

_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_LIKE_A_NUMBER: Final = re.compile(r"\s*[+-]?\s*[\d.,]*\d[\d.,]*\s*")
_WORD_BEFORE_MARKUP: Final = re.compile(r"([\w.+ -]{0,20})@\s*[<{]")
_MAIL: Final = re.compile(r"[0-9]{1,9}@[\w-]+\.\w")
_FILE_NAME: Final = re.compile(r"(?:[0-9]+@)?[\w./-]+\.(?:html5|shtml|tpl|tmpl|jnj|xml|svg|md|txt)")


def check_registered(subject: Subject) -> Iterator[Finding]:
    """Yield unknown keys, missing template files, and orders that are read as something else."""
    yield from _unknown(subject, "key", "", (*KINDS,))
    yield from _unknown(subject, "hep", "hep: ", HOOKS)
    yield from _unknown(subject, "p3 kind", "p3: ", [kind for kind in KINDS if kind != "p3"])
    for item in subject.registered.of("tep"):
        yield from _missing_file(subject, item)
        yield from _order(subject, item)


def _unknown(subject: Subject, kind: str, where: str, known: Iterable[str]) -> Iterator[Finding]:
    names = tuple(known)
    for item in subject.registered.of(kind):
        if item.name is None or item.name in names:
            continue
        guess = nearest(clean(item.name, 100), names)
        advice = f"; did you mean {guess!r}?" if guess else ""
        message = f"{where}found {describe(item.name)}, expected one of {', '.join(names)}{advice}"
        yield subject.at("PK101", item.module, item.node, message)


def _missing_file(subject: Subject, item: Contribution) -> Iterator[Finding]:
    name = subject.slot_file(item)
    if name is None or not subject.tree.is_whole or name in subject.tree.template_names:
        return
    guess = nearest(clean(name, 100), islice(sorted(subject.tree.template_names), 200))
    advice = f"; did you mean {describe(guess)}?" if guess else ""
    message = f"the slot {describe(item.name)} has {describe(name)}, no file below templates/"
    yield subject.at("PK103", item.module, item.value or item.node, message + advice)


def _order(subject: Subject, item: Contribution) -> Iterator[Finding]:
    text = subject.slot_text(item)
    if text is None:
        return
    reason = _misread_file(subject, text) if text.endswith(FILE_SUFFIXES) else _misread_code(text)
    is_name = text in subject.tree.template_names and not text.endswith(FILE_SUFFIXES)
    if reason is None and is_name:
        reason = _no_file(text)
    if reason is not None:
        yield subject.at("PK102", item.module, item.value or item.node, reason)


def _misread_file(subject: Subject, text: str) -> str | None:
    before, at, _name = text.partition("@")
    if not at or _NUMBER.fullmatch(before):
        return None
    if text in subject.tree.template_names:
        return None
    if not before.strip() or _LIKE_A_NUMBER.fullmatch(before):
        return (
            f"{describe(before)} before the @ is read as a word, which comes after all numbers: "
            "an order is up to nine digits, such as 10@"
        )
    return None


def _misread_code(text: str) -> str | None:
    if parse_code(text)[0] is not None:
        rest = parse_code(text)[1]
        return _no_file(text) if _FILE_NAME.fullmatch(rest) else None
    if _MAIL.match(text):
        return (
            f"{describe(text[:30])} begins like a mail address, so it has no order: put the code "
            "into a file, or let it begin with a tag"
        )
    if found := _WORD_BEFORE_MARKUP.match(text):
        return (
            f"{describe(found[1] + '@')} is no order but shows on the page: the order of code is "
            "up to nine digits, such as 10@"
        )
    return _no_file(text) if _FILE_NAME.fullmatch(text) else None


def _no_file(text: str) -> str:
    return (
        f"{describe(text)} is read as code and shows on the page: files are what ends with "
        + ", ".join(FILE_SUFFIXES)
    )
