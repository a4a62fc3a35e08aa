"""The names of plugins."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final, NewType

from .text import UnusableText, as_text, describe

PluginName = NewType("PluginName", str)
"""A text that `parse_name` has accepted; nothing else makes one."""

LONGEST_NAME: Final = 64

NAME_RULE: Final = (
    f"1 to {LONGEST_NAME} letters, digits, '_', '-', '.' and blanks, "
    "beginning with a letter, a digit or '_' and not ending with a blank or '.'"
)


def parse_name(text: object) -> PluginName:
    """Return `text` as a plugin's name, or raise `UnusableText` (a ValueError) that says why not.

    3.x allowed any text. But a name becomes a segment of paths and URLs, the prefix of its
    templates (``name:page.html``) and a command (``flask name``), so it has 1 to 64 characters:
    letters and digits of any script, ``_ - .`` and blanks; it begins with a letter, a digit or
    ``_`` and doesn't end with a blank or ``.``. Accents must be composed with their letters
    (Unicode's form NFC), or two names could look alike and differ.
    """
    if (name := as_text(text)) is None:
        raise UnusableText(describe(text), NAME_RULE)
    if (fault := next(_faults(name), None)) is not None:
        raise UnusableText(f"{describe(name)}, which {fault}", NAME_RULE)
    return PluginName(name)


def name_of_package(package: str) -> PluginName:
    """Return the last part of a package's dotted name, with "_" for what no name may hold.

    This is what a plugin is called while its own name isn't known.
    """
    folder = unicodedata.normalize("NFC", package.rpartition(".")[2])
    name = "".join(c if _may_hold(c) else "_" for c in folder[:LONGEST_NAME])
    if not name or not _may_begin_with(name[0]):
        name = f"_{name}"[:LONGEST_NAME]
    return parse_name(name.rstrip(" ."))


def _faults(name: str) -> Iterator[str]:
    """Yield why `name` can't be a plugin's name, each to be read after "which"."""
    if not 1 <= len(name) <= LONGEST_NAME:
        yield f"has {len(name)} characters"
    for character in name:
        if not _may_hold(character):
            yield f"holds {describe(character)}"
    if not _may_begin_with(name[:1]):
        yield f"begins with {describe(name[:1])}"
    if name.endswith((" ", ".")):
        yield f"ends with {describe(name[-1:])}"
    if not unicodedata.is_normalized("NFC", name):
        yield "isn't in Unicode's form NFC"


def _may_hold(character: str) -> bool:
    # marks are the accents of Latin letters and the vowels of Indic and Thai ones
    return character in "_-. " or unicodedata.category(character)[0] in "LMN"


def _may_begin_with(character: str) -> bool:
    return character == "_" or unicodedata.category(character)[0] in "LN"
