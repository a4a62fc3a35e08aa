"""The codes of all findings: what each says, how much it matters, and who raises it.

Codes never change their meaning, and none is used again. Each has a page of documentation,
``docs/checks/<code>.md``, whose examples are what its tests run on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from flask_pluginkit.text import describe, nearest

CODE: Final = re.compile(r"PK[0-9]{3}")


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    """It doesn't work: the plugin fails, or a part of it does."""
    WARNING = "warning"
    """It works, and is probably not what was meant, or harms somebody."""
    NOTE = "note"
    """Something to know; nothing is wrong."""


RANKS: Final[Mapping[Severity, int]] = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}
"""How much severities matter, compared with each other."""


class Code(NamedTuple):
    """One kind of finding."""

    code: str
    severity: Severity
    title: str
    """What it says, in one line."""
    raised_by: str
    """The part of this package that finds it."""


_E, _W, _N = Severity.ERROR, Severity.WARNING, Severity.NOTE

TABLE: Final = (
    # ---- files and manifest
    Code("PK001", _E, "A file can't be read or isn't valid source", "rules.files"),
    Code("PK002", _E, "Something that every plugin must have is missing", "rules.manifest"),
    Code("PK003", _E, "A dunder has a value that can't be used", "rules.manifest"),
    Code("PK004", _W, "A dunder is probably misspelt", "rules.manifest"),
    Code("PK005", _W, "The plugin's name and that of its folder differ", "rules.manifest"),
    Code("PK006", _E, "The namespace folder has an __init__.py", "rules.files"),
    Code("PK007", _E, "A folder can't be a plugin", "rules.files"),
    Code("PK008", _W, "Not everything was looked at", "rules.files"),
    Code("PK009", _E, "The plugin says that it doesn't work with this version", "rules.manifest"),
    Code("PK010", _W, "The project's version isn't the plugin's", "rules.project"),
    # ---- what is registered
    Code("PK101", _E, "register() has a key that nobody knows", "rules.registered"),
    Code("PK102", _W, "An order@ is read otherwise than it seems to be meant", "rules.registered"),
    Code("PK103", _E, "A slot is filled with a template file that isn't there", "rules.registered"),
    Code("PK104", _W, "A template refers to one that isn't there", "rules.references"),
    Code("PK105", _W, "A static file isn't there", "rules.references"),
    Code("PK106", _W, "An endpoint of the plugin's own isn't there", "rules.references"),
    Code("PK107", _E, "A template can't be compiled", "rules.files"),
    Code("PK108", _W, "A name is one of Flask's or Jinja's own", "rules.names"),
    # ---- output
    Code("PK201", _W, "Text that isn't constant is declared to be safe HTML", "rules.output"),
    Code("PK202", _W, "A template switches escaping off for a value", "rules.output"),
    Code("PK203", _W, "A template switches escaping off for a part of itself", "rules.output"),
    Code("PK204", _W, "A template is made of data", "rules.output"),
    Code("PK205", _W, "A view puts what visitors sent into HTML, unescaped", "rules.output"),
    # ---- requests
    Code("PK301", _W, "A hook for every request waits for something", "rules.hooks"),
    Code("PK302", _W, "Requests change a value of the module", "rules.shared"),
    # ---- what an isolated run would refuse
    Code("PK401", _N, "Connections need the permission net:", "rules.permitted"),
    Code("PK402", _N, "Storing values needs the permission storage", "rules.permitted"),
    Code("PK403", _N, "Writing files needs the permission files:", "rules.permitted"),
    Code("PK404", _N, "Hooks before all requests need permissions", "rules.permitted"),
    Code("PK405", _N, "Hooks after all requests need the permission responses", "rules.permitted"),
    Code("PK406", _N, "Sessions and cookies need the permission cookies", "rules.permitted"),
    Code("PK407", _N, "A part of pages needs the permission html:raw", "rules.permitted"),
    Code("PK408", _N, "A route needs the permission routes:", "rules.permitted"),
    Code("PK409", _N, "This can't work in a process of its own", "rules.isolated"),
    Code(
        "PK410", _N, "Something of the host isn't there in a process of its own", "rules.isolated"
    ),
    Code("PK411", _N, "Scripts need the permission assets:script", "rules.permitted"),
    Code("PK412", _N, "A permission is asked for and seems to be unused", "rules.permitted"),
    # ---- the project around the plugin
    Code("PK501", _W, "There is no licence", "rules.project"),
    Code("PK502", _N, "There is no readme", "rules.project"),
    Code("PK503", _N, "There are no tests", "rules.project"),
    Code("PK504", _W, "An entry point doesn't lead to the plugin", "rules.project"),
    # ---- plugins written for 3.x
    Code("PK601", _E, "A name is used that is gone", "rules.modern"),
    Code("PK602", _N, "A name is imported from where 3.x had it", "rules.modern"),
    Code("PK603", _N, "Metadata is known only once the plugin was imported", "rules.modern"),
    Code("PK604", _N, "The plugin isn't found by itself", "rules.modern"),
    Code("PK605", _N, "Something remains of Python 2 or of setup.py", "rules.modern"),
    Code("PK606", _W, "A template or function asks for a secret", "rules.modern"),
    # ---- running it
    Code("PK701", _E, "Importing the plugin or calling register() fails", "running"),
    Code("PK702", _N, "The plugin can't be run here", "running"),
    Code("PK703", _E, "Importing the plugin or calling register() takes too long", "running"),
    Code("PK704", _W, "Importing the plugin does more than defining things", "running"),
    Code("PK705", _E, "register() returns what can't be used", "running"),
    # ---- suppressions
    Code("PK901", _W, "A suppression gives no reason", "suppressions"),
    Code("PK902", _N, "A suppression suppresses nothing", "suppressions"),
)

CODES: Final[Mapping[str, Code]] = {entry.code: entry for entry in TABLE}

ISOLATION: Final = "PK4"
"""Codes that count for plugins that are meant to run in a process of their own."""


def parse_codes(texts: Iterable[str]) -> tuple[str, ...]:
    """Return codes and beginnings of codes, such as ``PK1``, from texts that may hold commas.

    Raises ValueError for one that no code is or begins with, naming the nearest.
    """
    wanted = [part.strip().upper() for text in texts for part in text.split(",") if part.strip()]
    for part in wanted:
        if not any(code.startswith(part) for code in CODES):
            guess = nearest(part, CODES)
            hint = f"; did you mean {guess}?" if guess else ""
            raise ValueError(f"no code is or begins with {describe(part)}{hint}")
    return tuple(dict.fromkeys(wanted))
