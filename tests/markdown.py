"""Reading the manual: its sections, and the blocks of code in them."""

from __future__ import annotations

import re
from typing import NamedTuple


class Block(NamedTuple):
    """A block between two lines of three backticks."""

    language: str
    flags: str
    """What stands behind the language."""
    text: str


def blocks_of(text: str) -> list[Block]:
    """The blocks of a page or section, in their order."""
    found = re.findall(r"^```(\w+) ?(.*)\n((?:.*\n)*?)```$", text, re.MULTILINE)
    return [Block(language, flags.strip(), body) for language, flags, body in found]


def sections_of(text: str) -> list[tuple[str, str]]:
    """The sections of a page: title and text."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))
