"""What a process must not share with the one that it was forked from."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forgetful(Protocol):
    """Something with sockets and locks that belong to one process."""

    def forget(self) -> None:
        """Begin anew in a child: close its copies of sockets without a word, replace locks."""


_KNOWN: weakref.WeakSet[Forgetful] = weakref.WeakSet()


def remember(one: Forgetful) -> None:
    """Let `one` forget its connections in every child that this process forks."""
    _KNOWN.add(one)


def _forget_all() -> None:
    for one in list(_KNOWN):
        one.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
