"""Semantic versions and ranges of them.

A range is a list of conditions, joined by commas, that a version must all meet::

    >=1.2,<2          < <= > >= == !=, as in 3.x
    1.2.3             a bare version means >=, as in 3.x
    ^1.2.3            >=1.2.3 and below 2: what semantic versioning calls compatible
    ~1.2.3            >=1.2.3 and below 1.3

- Blanks may stand around versions, operators and commas. Nothing at all, or ``*``, is every
  version.
- Versions may be short: ``1.2`` is ``1.2.0`` and ``<2`` is ``<2.0.0``.
- ``^`` and ``~`` mean what they mean to npm. ``^`` keeps the first number that isn't zero, as
  below 1.0.0 every minor version may break: ``^0.2.3`` is below 0.3, ``^0.0.3`` below 0.0.4.
  Where a short version gives only zeros, the last one given is kept: ``^0.0`` is below 0.1
  and ``^0`` below 1. ``~`` keeps the minor number if there is one: ``~1.2`` is below 1.3,
  ``~1`` below 2.
- Prereleases are ordered as semantic versioning orders them and are nothing special
  otherwise: 2.0.0-rc.1 is below 2.0.0, therefore in ``<2`` and, if it is the only condition,
  not in ``>=2``. Only the upper ends of ``^`` and ``~`` leave out the prereleases of the next
  version: 2.0.0-rc.1 is not in ``^1.2``.
- Build metadata (``1.2.3+build``) plays no part.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from .frozen import Frozen
from .text import UnusableText, as_text, describe
from .version import __version__

if TYPE_CHECKING:
    from semver import Version

LONGEST_VERSION: Final = 256
"""Characters in a version; the FAQ of semantic versioning thinks 255 are too many already."""

LONGEST_RANGE: Final = 1000
"""Characters in a range; nobody writes as many, and a message must stay readable."""

RANGE_RULE: Final = (
    "versions such as 1.2.3 or 1.2 after one of < <= > >= == != ^ ~, joined by commas, "
    "such as '>=1.2,<2'"
)


class Operator(StrEnum):
    """How a version may be compared."""

    AT_MOST = "<="
    AT_LEAST = ">="
    EQUAL = "=="
    DIFFERENT = "!="
    BELOW = "<"
    ABOVE = ">"


_COMPARE: Final[dict[Operator, Callable[[Any, Any], bool]]] = {
    Operator.AT_MOST: operator.le,
    Operator.AT_LEAST: operator.ge,
    Operator.EQUAL: operator.eq,
    Operator.DIFFERENT: operator.ne,
    Operator.BELOW: operator.lt,
    Operator.ABOVE: operator.gt,
}

_SPELLINGS: Final = (*Operator, "^", "~")
"""What a condition may begin with; ``<=`` before ``<``, so that the first match is right."""

_RELEASE: Final = r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,2}"
"""Compiled by the first plugin that says which versions of us it works with."""

_SIMPLE: Final = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:\.(?:0|[1-9][0-9]{0,8})){2}", re.ASCII)
"""Versions that semver needn't be asked about: no prerelease, no build metadata."""


class Comparator(Frozen, kw_only=False):
    """One comparison with a version."""

    operator: Operator
    version: Version
    """What to compare with, without build metadata."""

    def matches(self, version: Version) -> bool:
        """Tell whether `version` is on the right side."""
        return _COMPARE[self.operator](version, self.version)


class VersionRange(Frozen, kw_only=False):
    """A set of semantic versions; made by `parse`, equal if its comparisons are.

    ``str()`` gives what its author wrote, without blanks; parsing that gives an equal range.
    """

    comparators: tuple[Comparator, ...]
    """All that a version must meet; ``^`` and ``~`` have become two."""
    text: str

    def compared(self) -> tuple[object, ...]:
        """Return the comparisons, however their author wrote them."""
        return (self.comparators,)

    @classmethod
    def parse(cls, text: object) -> VersionRange:
        """Return the range that `text` describes in the form that this module documents.

        Raises `UnusableText`, a ValueError that says what was found where and what is expected.
        """
        written = as_text(text)
        if written is None or len(written) > LONGEST_RANGE:
            raise UnusableText(describe(text), RANGE_RULE)
        if written.strip() in {"", "*"}:
            return cls((), "*")
        comparators: list[Comparator] = []
        parts: list[str] = []
        position = 0
        for part in written.split(","):
            condition = part.strip()
            try:
                comparators += _comparators(condition)
            except ValueError:
                found = f"{describe(condition)} at character {position + 1} of {describe(written)}"
                raise UnusableText(found, RANGE_RULE) from None
            parts.append("".join(condition.split()))
            position += len(part) + 1
        return cls(tuple(comparators), ",".join(parts))

    def matches(self, version: str) -> bool:
        """Tell whether `version` is in this range; one that isn't semantic is in none."""
        if not is_semantic(version):
            return False
        parsed = _parsed(version)
        return all(comparator.matches(parsed) for comparator in self.comparators)

    def __contains__(self, version: object) -> bool:
        return isinstance(version, str) and self.matches(version)

    def __str__(self) -> str:
        return self.text


def is_semantic(text: object) -> bool:
    """Tell whether `text` is a complete semantic version (semver.org 2.0.0), such as 1.0.0."""
    if not isinstance(text, str):
        return False
    if _SIMPLE.fullmatch(text):
        return True
    try:
        return _is_plain(text) and _parsed(text) is not None
    except ValueError:
        return False


def matches_release(versions: VersionRange, version: str) -> bool:
    """Tell whether the release part of `version` is in `versions`.

    Whoever writes ``<4`` means the prereleases of 4 as well: the release part of 4.0.0rc1,
    4.0.0-rc.1 and 4.0.0.dev1 is 4.0.0. Raises ValueError if `version` begins with no number.
    """
    release = re.match(_RELEASE, version, re.ASCII)
    if release is None:
        raise ValueError(f"found {describe(version)}, expected a version such as 4.0.0")
    return versions.matches(str(_parsed(release[0], short=True)))


def is_compatible_with_us(range_text: str) -> bool:
    """Tell whether this Flask-PluginKit is in the range that a plugin's `__appversion__` gives.

    Raises ValueError as `VersionRange.parse` does.
    """
    versions = VersionRange.parse(range_text)
    return not versions.comparators or matches_release(versions, __version__)


def _comparators(condition: str) -> tuple[Comparator, ...]:
    """Return what one condition without blanks around it stands for, or raise ValueError."""
    spelling = next((known for known in _SPELLINGS if condition.startswith(known)), "")
    version, given = _version(condition.removeprefix(spelling).lstrip())
    at_least = Comparator(Operator.AT_LEAST, version)
    match spelling:
        case "":
            return (at_least,)
        case "^":
            return at_least, Comparator(Operator.BELOW, _after_compatible(version, given))
        case "~":
            return at_least, Comparator(Operator.BELOW, _after_similar(version, given))
    return (Comparator(Operator(spelling), version),)


def _version(text: str) -> tuple[Version, int]:
    """Return a version that may be short, and how many of its numbers are given."""
    if not _is_plain(text):
        raise ValueError
    given = re.split(r"[-+]", text, maxsplit=1)[0].count(".") + 1
    return _parsed(text, short=True).replace(build=None), given


def _parsed(text: str, *, short: bool = False) -> Version:
    """Return the version that `text` is, a `short` one with zeros added, or raise ValueError."""
    # imported here as that takes longer than importing all of our own, and most never need it
    from semver import Version

    return Version.parse(text, optional_minor_and_patch=short)


def _is_plain(text: str) -> bool:
    # older releases of semver take digits of other scripts, and a newline at the end
    return len(text) <= LONGEST_VERSION and text.isascii() and text.isprintable()


def _after_compatible(version: Version, given: int) -> Version:
    """Return the lowest version that ``^`` excludes."""
    if version.major or given == 1:
        return _lowest(version.major + 1)
    if version.minor or given == 2:
        return _lowest(0, version.minor + 1)
    return _lowest(0, 0, version.patch + 1)


def _after_similar(version: Version, given: int) -> Version:
    """Return the lowest version that ``~`` excludes."""
    return _lowest(version.major + 1) if given == 1 else _lowest(version.major, version.minor + 1)


def _lowest(major: int, minor: int = 0, patch: int = 0) -> Version:
    """Return the first of all prereleases: the lowest of all versions with these numbers."""
    return _parsed(f"{major}.{minor}.{patch}-0")
