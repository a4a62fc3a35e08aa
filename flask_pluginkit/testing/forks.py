"""Running something in a copy of this process, so that it leaves nothing behind here."""

from __future__ import annotations

import os
import pickle
import tempfile
import traceback
import warnings
from collections.abc import Callable
from typing import IO, TypeVar

T = TypeVar("T")


class ForkError(Exception):
    """What ran in the copy failed; the text is its traceback."""


def can_fork() -> bool:
    """Tell whether this system copies processes."""
    return hasattr(os, "fork")


def in_fork(function: Callable[[], T]) -> T:
    """Return what a function returns in a copy of this process.

    Raises:
        ForkError: it raised something there, or ended the process.

    """
    # a file, as a pipe would stay open for as long as a process that the plugin starts
    with tempfile.TemporaryFile() as file:
        with warnings.catch_warnings():
            # the copy has one thread, and only calls the plugin
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            _answer(file, function)
        os.waitpid(child, 0)
        file.seek(0)
        text = file.read()
    if not text:
        raise ForkError("the process ended without an answer")
    is_done, value = pickle.loads(text)  # noqa: S301 - written by a copy of this process
    if not is_done:
        raise ForkError(str(value))
    result: T = value
    return result


def _answer(file: IO[bytes], function: Callable[[], object]) -> None:
    try:
        answer = pickle.dumps((True, function()))
    except BaseException:  # noqa: BLE001 - the copy must not go on as a second pytest
        answer = pickle.dumps((False, traceback.format_exc()))
    try:
        file.write(answer)
        file.flush()
    finally:
        os._exit(0)
