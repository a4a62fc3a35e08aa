"""Says how long a notice takes to read.

Extension points: ``filter`` (``text|reading_minutes``), ``test`` (``text is longread``) and
``tep``, which uses both in the host's slots ``card_meta`` and ``post_meta``.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

__plugin_name__ = "readingtime"
__version__ = "1.0.0"
__author__ = "The Bulletin authors"
__description__ = "Says how long a notice takes to read"
__license__ = "BSD-3-Clause"

# What people read silently in a minute; Chinese is counted by character.
WORDS_A_MINUTE: Final = 230
HAN_A_MINUTE: Final = 320
LONGREAD_MINUTES: Final = 1.5

_HAN: Final = re.compile("[\u3400-\u9fff]")


def minutes(text: str) -> float:
    """Return how many minutes it takes to read `text`."""
    han, rest = len(_HAN.findall(text)), _HAN.sub(" ", text)
    return han / HAN_A_MINUTE + len(rest.split()) / WORDS_A_MINUTE


def reading_minutes(text: str) -> str:
    """Filter: say how long it takes to read `text`, such as ``2 min read``."""
    return f"{max(1, math.ceil(minutes(text)))} min read"


def is_longread(text: str) -> bool:
    """Test: tell whether one should fetch a cup of tea first.

    It takes the text and not the notice: where this plugin runs in a process of its own, objects
    of the board don't come there.
    """
    return minutes(text) >= LONGREAD_MINUTES


def register() -> dict[str, Any]:
    """Return what this plugin adds to the application."""
    return {
        "filter": {"reading_minutes": reading_minutes},
        "test": {"longread": is_longread},
        # The number before the "@" is the place among what other plugins put into the slot.
        "tep": {
            "card_meta": "10@<span>{{ post.body|reading_minutes }}</span>",
            "post_meta": "10@reading_time.html",
        },
    }
