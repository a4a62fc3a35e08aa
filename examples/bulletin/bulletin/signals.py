"""Signals of the board, for plugins that keep something of their own about each notice."""

from __future__ import annotations

from typing import Final

from blinker import Namespace

_signals: Final = Namespace()

post_saved: Final = _signals.signal("post-saved")
"""Sent after a notice was written or changed: ``receiver(app, post=Post)``."""

post_deleted: Final = _signals.signal("post-deleted")
"""Sent after a notice was deleted: ``receiver(app, post_id=int)``."""
