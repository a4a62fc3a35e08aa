"""Lists, links and emphasis in notices, and in the replies of another plugin.

Extension points: ``filter`` (``text|markdownish``), ``tep`` (the slots ``post_body`` and
``editor_help``), ``global`` (the examples that the help shows) and ``p3``, which puts this
plugin's way to show text in the place of the one that the plugin *comments* has.
"""

from __future__ import annotations

from typing import Any, Final

from .rendering import render

__plugin_name__ = "markdownish"
__version__ = "1.0.0"
__author__ = "The Bulletin authors"
__description__ = "Lists, links and emphasis in notices and replies"
__license__ = "BSD-3-Clause"

__all__ = ["register", "render"]

EXAMPLES: Final = (
    "**bold** and *slanted*",
    "[a link](https://example.org)",
    "- one thing\n- and another",
    "> what somebody said",
)


def polish_comments(tcp: dict[str, Any]) -> dict[str, Any]:
    """Preprocess the template context of *comments*: replies are shown as notices are.

    A preprocessor gets what the other plugin registered, and returns what takes its place.
    """
    return {**tcp, "comment_body": render}


def register() -> dict[str, Any]:
    """Return what this plugin adds to the application."""
    return {
        "filter": {"markdownish": render},
        "tep": {
            "post_body": "{{ post.body|markdownish }}",
            "editor_help": "editor_help.html",
        },
        "global": {"markdownish_examples": EXAMPLES},
        # Without the plugin *comments*, there is nothing to preprocess and nothing happens.
        "p3": {"comments": {"tcp": polish_comments}},
    }
