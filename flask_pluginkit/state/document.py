"""The file ``state.json``: the state as text, and what makes such a text unusable."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from typing import Any, Final

from flask_pluginkit.exceptions import StateError
from flask_pluginkit.frozen import NO_ENTRIES, Frozen
from flask_pluginkit.text import describe

from .base import Quarantine, State, WantedState

FORMAT: Final = 1

GREATEST: Final = 2**53
"""Generations stay below it, so that other readers of JSON don't round them."""


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)

_KEYS: Final = frozenset(
    {"format", "generation", "wanted", "quarantined", "scan", "intent", "isolation", "settings"}
)
_LEVELS: Final = frozenset({"trusted", "process", "isolated"})
_MEMBERS: Final = {"since": float, "reason": str, "traceback": str, "by": str, "guards": bool}
_STATES: Final[Mapping[object, WantedState]] = {state.value: state for state in WantedState}


class Document(Frozen):
    """What is in the file."""

    state: State = State()
    intent: Mapping[str, WantedState | None] = NO_ENTRIES
    """What the markers of some plugins must be brought to before anything else is done.

    They are in between, as a change of several was begun: this leads back. None: no marker.
    """
    is_stored: bool = True
    """False before there is a file."""


EMPTY: Final = Document(is_stored=False)


def read(path: str) -> bytes | None:
    """Return what is in the file at `path`, None if there is none; raise `StateError`."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StateError(
            f"state of plugins can't be read: {path}: {error.strerror}; let this process read it"
        ) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _refusal(path, "it is no regular file")
        content = os.read(descriptor, found.st_size)
        while len(content) < found.st_size and (more := os.read(descriptor, found.st_size)):
            content += more
    except OSError as error:
        raise StateError(f"state of plugins can't be read: {path}: {error.strerror}") from error
    finally:
        os.close(descriptor)
    return content


def parse(path: str, content: bytes) -> Document:
    """Return what `content`, read from `path`, says; raise `StateError` with what is wrong."""
    try:
        data = _DECODER.decode(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _refusal(path, f"it isn't JSON ({describe(str(error))})") from error
    if type(data) is not dict:
        raise _refusal(path, f"it holds {describe(data)} and no object")
    if (version := data.get("format")) != FORMAT or type(version) is not int:
        raise _wrong_format(path, version)
    if unknown := data.keys() - _KEYS:
        raise _refusal(path, f"{describe(min(unknown))} is no key of it")
    return Document(
        state=State(
            generation=_number(path, "generation", data.get("generation")),
            scan=_number(path, "scan", data.get("scan", 0)),
            wanted=_wanted(path, data.get("wanted")),
            quarantined=_quarantined(path, data.get("quarantined", {})),
            isolation=_isolation(path, data.get("isolation", {})),
            settings=_settings(path, data.get("settings", {})),
        ),
        intent=_intent(path, data["intent"]) if "intent" in data else {},
    )


def render(document: Document) -> bytes:
    """Return `document` as text, the same for equal ones."""
    state = document.state
    data: dict[str, Any] = {
        "format": FORMAT,
        "generation": state.generation,
        "scan": state.scan,
        "wanted": dict(state.wanted),
        "quarantined": {
            name: {
                "since": float(quarantine.since),
                "reason": quarantine.reason,
                "traceback": quarantine.traceback,
                "by": quarantine.by,
                "guards": quarantine.guards,
            }
            for name, quarantine in state.quarantined.items()
        },
    }
    if state.isolation:
        data["isolation"] = dict(state.isolation)
    if state.settings:
        data["settings"] = {name: dict(fields) for name, fields in state.settings.items()}
    if document.intent:
        data["intent"] = dict(document.intent)
    return json.dumps(data, sort_keys=True).encode() + b"\n"


def _number(path: str, key: str, value: object) -> int:
    if type(value) is not int or not 0 <= value < GREATEST:
        raise _refusal(path, f"{key!r} is {describe(value)} and not a number from 0 to 2**53")
    return value


def _wanted(path: str, value: object) -> dict[str, WantedState]:
    if type(value) is not dict:
        raise _refusal(path, f"'wanted' is {describe(value)} and no object")
    try:
        return {name: _STATES[state] for name, state in value.items()}
    except (KeyError, TypeError):
        known = [name for name, state in value.items() if type(state) is str and state in _STATES]
    name = next(name for name in value if name not in known)
    raise _refusal(path, f"'wanted' says {describe(value[name])} of {describe(name)}")


def _isolation(path: str, value: object) -> dict[str, str]:
    if type(value) is not dict:
        raise _refusal(path, f"'isolation' is {describe(value)} and no object")
    for name, level in value.items():
        if type(level) is not str or level not in _LEVELS:
            raise _refusal(path, f"'isolation' says {describe(level)} of {describe(name)}")
    return value


def _settings(path: str, value: object) -> dict[str, dict[str, Any]]:
    """Return what is set of plugins; whether it fits them only they can tell."""
    if type(value) is not dict:
        kind = type(value).__name__  # and not the value, in which there may be a secret
        raise _refusal(path, f"'settings' is a value of type {kind} and no object")
    found: dict[str, dict[str, Any]] = {}
    for name, fields in value.items():
        if type(fields) is not dict:
            raise _refusal(path, f"'settings' of {describe(name)} are no object")
        found[name] = {}
        for field, given in fields.items():
            kept = tuple(given) if type(given) is list else given
            if not _is_setting(kept):  # which may be a secret
                where = f"{describe(field)} of {describe(name)}"
                raise _refusal(path, f"'settings' say of {where} what no setting can be")
            found[name][field] = kept
    return found


def _is_setting(value: object) -> bool:
    if type(value) is tuple:
        return all(type(text) is str for text in value)
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is int:
        return -(2**63) <= value < 2**63
    return value is None or type(value) in {bool, str}


def _intent(path: str, value: object) -> dict[str, WantedState | None]:
    if type(value) is not dict:
        raise _refusal(path, f"'intent' is {describe(value)} and no object")
    stored = _wanted(path, {name: state for name, state in value.items() if state is not None})
    return {name: stored.get(name) for name in value}


def _quarantined(path: str, value: object) -> dict[str, Quarantine]:
    if type(value) is not dict:
        raise _refusal(path, f"'quarantined' is {describe(value)} and no object")
    return {name: _quarantine(path, name, entry) for name, entry in value.items()}


def _quarantine(path: str, name: str, entry: object) -> Quarantine:
    if type(entry) is dict and {key: type(value) for key, value in entry.items()} == _MEMBERS:
        return Quarantine(**entry)
    members = " and ".join(f"{key!r} ({kind.__name__})" for key, kind in _MEMBERS.items())
    raise _refusal(
        path,
        f"'quarantined' says {describe(entry)} of {describe(name)}, and not an object with "
        f"{members}",
    )


def _wrong_format(path: str, version: object) -> StateError:
    if type(version) is int and version > FORMAT:
        return StateError(
            f"state of plugins can't be read: {path}: format {describe(version)} comes from a "
            f"later release of Flask-PluginKit, and this one knows format {FORMAT}; run that "
            "release, or put back the file that was there before it"
        )
    return _refusal(path, f"'format' is {describe(version)} and not {FORMAT}")


def _refusal(path: str, fault: str) -> StateError:
    return StateError(
        f"state of plugins can't be read: {path}: {fault}; put back a copy of the file, or remove "
        "it: then markers and __state__ say what is enabled, and quarantines are forgotten"
    )
