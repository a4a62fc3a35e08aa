"""Projects made of the template: every combination of its options, and the few that are built.

``python tests/template_projects.py FOLDER`` makes one as it is by default, in ``FOLDER/built``;
with ``all`` behind it a set in which each two answers meet, and in ``FOLDER/every`` all there are.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, product
from pathlib import Path
from typing import Final

from flask_pluginkit.cli.generating import generate
from flask_pluginkit.cli.new import LICENSES, PARTS

Answers = Mapping[str, str | bool]


def every() -> Iterator[Answers]:
    """All combinations of parts and licenses."""
    combinations = product(LICENSES, product((True, False), repeat=len(PARTS)))
    for number, (license_, chosen) in enumerate(combinations):
        parts = dict(zip(PARTS, chosen, strict=True))
        yield {"name": f"every_{number}", "license": license_, **parts}


def pairwise() -> Iterator[Answers]:
    """Eight combinations in which each answer meets each answer to another question.

    Each license has two, one with the opposite parts of the other; so it meets both answers
    about every part. Two parts meet in all four ways if there is a license for which they
    are alike and one for which they aren't: so each part has a pattern of its own over the
    licenses, whose first is always yes.
    """
    for turn, license_ in enumerate(LICENSES):
        chosen = [turn == 0 or bool(part >> (turn - 1) & 1) for part in range(len(PARTS))]
        for opposite in (False, True):
            yield {
                "name": f"pair_{turn}_{'b' if opposite else 'a'}",
                "license": license_,
                **{part: yes is not opposite for part, yes in zip(PARTS, chosen, strict=True)},
            }


def extremes() -> Iterator[Answers]:
    """All parts and none, with the shortest and the longest name: lines are laid out by length."""
    for chosen in (True, False):
        for name in ("x" if chosen else "y", ("long" if chosen else "none") + "n" * 26):
            yield {"name": name, **dict.fromkeys(PARTS, chosen)}


ONE: Final[Answers] = {"name": "hello"}


def make(answers: Iterable[Answers], folder: Path) -> list[Path]:
    """Make a project of each; they lie beside each other in `folder`."""
    return [generate(each, folder) for each in answers]


if __name__ == "__main__":
    place, wants_all = Path(sys.argv[1]), sys.argv[2:] == ["all"]
    make(pairwise() if wants_all else [ONE], place / "built")
    if wants_all:
        make(chain(every(), extremes()), place / "every")
