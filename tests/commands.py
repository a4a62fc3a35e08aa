"""Calling ``flask plugins`` in a test."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from click.testing import CliRunner, Result
from flask import Flask
from flask.cli import ScriptInfo
from hosts import Host

from flask_pluginkit import cli

Run = Callable[..., Result]


def invoke(app: Flask, *arguments: str, **options: Any) -> Result:
    """Call ``flask plugins`` with arguments, stdout and stderr apart."""
    return invoke_for(lambda: app, *arguments, **options)


def invoke_for(create_app: Callable[[], Flask], *arguments: str, **options: Any) -> Result:
    """Call ``flask plugins`` for an application that is only to be made."""
    # the default since Click 8.2, which no longer has the option
    mixed = "mix_stderr" in inspect.signature(CliRunner).parameters
    apart: Any = {"mix_stderr": False} if mixed else {}
    runner = CliRunner(**apart)
    return runner.invoke(cli.plugins, arguments, obj=ScriptInfo(create_app=create_app), **options)


def examined(host: Host, *arguments: str, code: int, **options: object) -> str:
    """What the doctor says, in one line; the application is started if it wasn't."""
    if host.manager is None:
        host.start(strict=False, live=False, **options)
    return told(invoke(host.app, "doctor", *arguments), code)


def told(result: Result, code: int) -> str:
    """The output in one line."""
    assert result.exit_code == code, result.output
    assert result.stderr == ""
    return " ".join(result.stdout.split())
