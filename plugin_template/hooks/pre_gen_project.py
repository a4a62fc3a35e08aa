"""Before the project is made: refuse answers that no plugin could be made of.

`flask plugins new` asks `faults` itself; plain cookiecutter runs this file.
"""

from __future__ import annotations

import json
import keyword
import re
import sys
from collections.abc import Iterator, Mapping

LONGEST = 30
"""Characters of a name: some lines of the project have it twice."""

LONGEST_TEXT = {"author": 80, "description": 72, "year": 20}
"""Characters of a text that stands in a line of Python."""

TAKEN = {
    **dict.fromkeys(("routes", "run", "shell"), "is a command of Flask, as a plugin's name is"),
    **dict.fromkeys(("plugins", "flask_pluginkit", "pluginkit_plugins"), "is Flask-PluginKit's"),
    **dict.fromkeys(("assets", "static", "templates"), "is a folder in which files are served"),
    **dict.fromkeys(
        ("app", "application", "config", "current_app", "flask", "g", "request", "session"),
        "means something else to everybody who knows Flask",
    ),
}
"""Names that a plugin can't have, each with what to say after "which"."""


def faults(answers: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with the answers, as sentences; none if all can be used."""
    for key in ("name", "project", *LONGEST_TEXT):
        if reason := fault(key, answers[key]):
            yield f"The {key} {answers[key]!r} {reason}."


def fault(key: str, answer: str) -> str:
    """Return why an answer can't be used, to be read after it; "" if it can."""
    if key == "name":
        reason = name_fault(answer)
        return f"{reason}; {advice(answer)}" if reason else ""
    if key == "project":
        return project_fault(answer)
    return text_fault(answer, LONGEST_TEXT[key])


def name_fault(name: str) -> str:
    """Return why a plugin can't be called `name`, to be read after it; "" if it can."""
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        return "isn't made of small letters, digits and '_', beginning with a letter"
    if len(name) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if name.endswith("_") or "__" in name:
        return "ends with '_', or has two in a row"
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return "is a word of Python's own"
    return TAKEN.get(name, "")


def advice(name: str) -> str:
    """Return what to do about a name that can't be used."""
    better = suggestion(name)
    return f"try {better!r}" if better else "try one such as 'hello' or 'opening_hours'"


def suggestion(name: str) -> str:
    """Return a name like `name` that can be used, "" if none comes to mind."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    words = re.sub("[^a-z0-9]+", "_", words.lower()).strip("_")[:LONGEST].strip("_")
    words = words.removeprefix("flask_pluginkit_") or words
    for candidate in (words, f"my_{words}"):
        if words and not name_fault(candidate):
            return candidate
    return ""


def project_fault(project: str) -> str:
    """Return why a distribution can't be called `project`; "" if it can."""
    if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,78}[A-Za-z0-9])?", project):
        return ""
    return "isn't made of up to 80 letters, digits, '.', '_' and '-', a letter or digit at the ends"


def text_fault(text: str, longest: int) -> str:
    """Return why `text` can't stand in Python, TOML, HTML and a license; "" if it can."""
    if not text.strip():
        return "is empty"
    if len(text) > longest:
        return f"is longer than {longest} characters"
    if not text.isprintable() or '"' in text or "\\" in text:
        return "holds a quotation mark, a backslash or a control character"
    if "{" in text or "}" in text:
        return "holds a curly bracket"
    return ""


if __name__ == "__main__":
    found = [*faults(json.loads({{cookiecutter | tojson | tojson}}))]
    for sentence in found:
        print(sentence, file=sys.stderr)
    sys.exit(1 if found else 0)
