"""The frames of replies: what can't be encoded is a fault of the plugin, and is told as one."""

from __future__ import annotations

from flask_pluginkit.isolation.messages import (
    Broken,
    Chunk,
    Failure,
    FromPlugin,
    Result,
    Results,
)
from flask_pluginkit.isolation.wire import REPLY_LIMIT, WireError, encode

SHARE = REPLY_LIMIT // 2
"""Bytes that a single result may have if all of them together have too many."""


def frame_of(reply: FromPlugin) -> bytes:
    """Return the frame of a reply, or of one that says why it can't be sent."""
    try:
        return encode(reply, REPLY_LIMIT)
    except WireError as error:
        reason = str(error)
    try:
        return encode(_instead(reply, reason), REPLY_LIMIT)
    except WireError:  # each can be sent, and together they have too many values
        count = len(reply.results) if isinstance(reply, Results) else 0
        results: list[Result] = [_fault(reason)] * count
        return encode(Results(id=reply.id, results=results), REPLY_LIMIT)


def _instead(reply: FromPlugin, reason: str) -> FromPlugin:
    fault = _fault(reason)
    if isinstance(reply, Results):
        return Results(id=reply.id, results=_bounded(reply, fault))
    if isinstance(reply, Chunk):
        return Chunk(id=reply.id, last=True, failure=fault)
    return Broken(id=reply.id, failure=fault)


def _fault(reason: str) -> Failure:
    return Failure(error=f"what the plugin returned can't be sent: {reason}"[:500])


def _bounded(reply: Results, fault: Failure) -> list[Result]:
    """Return the results, with a failure in place of each that can't be sent or is too much."""
    kept: list[Result] = []
    size = 0
    for result in reply.results:
        try:
            length = len(encode(result, SHARE))
        except WireError as error:
            kept.append(Failure(error=f"its result can't be sent: {error}"[:500]))
            continue
        size += length
        kept.append(result if size <= SHARE else fault)
    return kept
