"""Comments that suppress a finding: ``# pluginkit: ignore[PK201] escaped above``.

In templates that is ``{# pluginkit: ignore[PK202] ... #}``. Such a comment stands behind what it
is about, or alone in the line above. A reason is required, as the next reader will ask for it.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from flask_pluginkit.text import clean, describe

from .codes import CODES
from .reports import Finding
from .sources import PythonFile, TemplateFile
from .subjects import Subject

_MARK: Final = re.compile(r"pluginkit:\s*ignore\b(?:\[([^\]]*)\])?[:\s-]*(.*)", re.DOTALL)
_IN_TEMPLATE: Final = re.compile(r"\{#[-+]?\s*(?=pluginkit:)")

MOST_COMMENTS: Final = 500
"""Comments of one plugin that are heeded."""

FEWEST_LETTERS: Final = 3
"""Letters that a reason has at least."""


@dataclass(slots=True)
class Suppression:
    """One comment."""

    path: str
    line: int
    lines: tuple[int, ...]
    """The lines whose findings it suppresses."""
    codes: tuple[str, ...]
    reason: str
    used: set[str] = field(default_factory=set)

    def covers(self, finding: Finding, last_line: int) -> bool:
        """Tell whether it suppresses a finding whose code ends in `last_line`."""
        return (
            finding.path == self.path
            and finding.code in self.codes
            and any(finding.line <= line <= max(last_line, finding.line) for line in self.lines)
        )


def suppress(
    subject: Subject, findings: Iterable[Finding], is_judged: Callable[[str], bool]
) -> tuple[list[Finding], int]:
    """Return the findings that no comment suppresses, and how many one does.

    Findings about the comments themselves come along: those without a reason, and those that
    suppress nothing although their code, as `is_judged` tells, was looked for.
    """
    comments = [*islice(_suppressions(subject), MOST_COMMENTS)]
    kept = []
    suppressed = 0
    for finding in findings:
        last = subject.last_lines.get(finding, finding.line)
        found = [each for each in comments if each.covers(finding, last)]
        for each in found:
            each.used.add(finding.code)
        if found:
            suppressed += 1
        else:
            kept.append(finding)
    for comment in comments:
        kept += _judged(subject, comment, is_judged)
    return kept, suppressed


def _judged(
    subject: Subject, comment: Suppression, is_judged: Callable[[str], bool]
) -> Iterator[Finding]:
    place = (comment.line, 1)
    if sum(letter.isalpha() for letter in comment.reason) < FEWEST_LETTERS:
        example = f"pluginkit: ignore[{', '.join(comment.codes) or 'PK201'}] why that is right"
        message = f"a suppression needs a reason: {example}"
        yield subject.in_file("PK901", comment.path, message, place)
    unknown = [code for code in comment.codes if code not in CODES]
    unused = [
        code
        for code in comment.codes
        if code in CODES and code not in comment.used and is_judged(code)
    ]
    if unknown or not comment.codes:
        found = ", ".join(describe(code, 20) for code in unknown[:5]) or "no code"
        message = f"it names {found}: expected codes such as ignore[PK201]"
        yield subject.in_file("PK902", comment.path, message, place)
    elif unused:
        message = f"there is no finding with {', '.join(unused)} here: remove it"
        yield subject.in_file("PK902", comment.path, message, place)


def _suppressions(subject: Subject) -> Iterator[Suppression]:
    for file in subject.tree.python:
        if "pluginkit:" in file.text:
            yield from _in_python(file)
    for template in subject.tree.templates:
        if "pluginkit:" in template.text:
            yield from _in_template(template)


def _in_python(file: PythonFile) -> Iterator[Suppression]:
    lines = file.text.split("\n")
    try:
        for token in tokenize.generate_tokens(io.StringIO(file.text).readline):
            if token.type == tokenize.COMMENT and _MARK.search(token.string):
                number, column = token.start
                is_alone = not lines[number - 1][:column].strip()
                following = _next(lines, number, "#") if is_alone else number
                yield from _parsed(file.path, token.string, number, following)
    except (tokenize.TokenError, SyntaxError, IndexError):
        return


def _in_template(template: TemplateFile) -> Iterator[Suppression]:
    lines = template.text.split("\n")
    for start, whole, comment in _comments(template.text):
        number = template.text.count("\n", 0, start) + 1
        last = number + whole.count("\n")
        ends_with_it = lines[last - 1].strip() == whole.split("\n")[-1].strip()
        is_alone = ends_with_it and lines[number - 1].strip().startswith("{#")
        following = _next(lines, last, "{#") if is_alone else number
        yield from _parsed(template.path, comment, number, following)


def _comments(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield where a comment of ours begins, the whole of it, and what is in it.

    Not by one expression: that would look for the end of each from each beginning.
    """
    end = 0
    while found := _IN_TEMPLATE.search(text, end):
        if (closing := text.find("#}", found.end())) < 0:
            return
        end = closing + 2
        yield found.start(), text[found.start() : end], text[found.end() : closing].rstrip("-+")


def _next(lines: list[str], number: int, comment: str) -> int:
    """Return the first line after `number` that is neither empty nor a comment."""
    for index in range(number, len(lines)):
        text = lines[index].strip()
        if text and not text.startswith(comment):
            return index + 1
    return number


def _parsed(path: str, comment: str, line: int, following: int) -> Iterator[Suppression]:
    if (found := _MARK.search(comment)) is None:
        return
    codes = tuple(code.strip() for code in (found[1] or "").split(",") if code.strip())
    reason = clean(found[2]).strip()
    lines = tuple(dict.fromkeys((line, following)))
    yield Suppression(path=path, line=line, lines=lines, codes=codes, reason=reason)
