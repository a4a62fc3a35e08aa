"""The rules: each module looks at one side of a plugin, and yields what it finds."""

from __future__ import annotations
