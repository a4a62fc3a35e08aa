"""Storages for the few values that a plugin has to remember.

Plain values in files or in Redis, as JSON: reading them can't run code, and writers in other
threads and processes don't lose each other's.
"""

from __future__ import annotations

from .base import BaseStorage
from .local import ExpiredLocalStorage, LocalStorage
from .redis import RedisStorage

__all__ = ["BaseStorage", "ExpiredLocalStorage", "LocalStorage", "RedisStorage"]
