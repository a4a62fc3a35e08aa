"""What every hostile plugin of a real site has: a view that tells it is alive, and its weapons.

`table` is one of the modules beside this one; each has `REPLIES`, `VIEWS`, `LIES` or `IMPORTS`
by name.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from flask import Blueprint

Shapes = dict[str, Any]

ARMED = threading.local()
"""Has `is_armed` in the thread whose reply is to be forged."""


def register_with(name: str, attack: Callable[[], Any], **more: Any) -> Callable[[], Shapes]:
    """Return a ``register`` with a view that attacks, and two that don't."""
    blueprint = Blueprint(name, name)

    def alive() -> str:
        return f"alive {os.getpid()}"

    def strike() -> Any:
        return attack()

    blueprint.add_url_rule("/", "alive", alive)
    blueprint.add_url_rule("/attack", "attack", strike, methods=["GET", "POST"])

    def register() -> Shapes:
        return {"bep": {"blueprint": blueprint, "prefix": f"/{name}"}, **more}

    return register


def arm() -> str:
    """Have the reply to this very request forged."""
    ARMED.is_armed = True
    return "armed"


def forge(replies: Callable[[Any, int], None], kind: type) -> None:
    """Put `replies` in the place of what answers, for armed threads or all `Results`."""
    from flask_pluginkit.isolation.inside.serving import Connection, Server
    from flask_pluginkit.isolation.messages import (
        Results,
    )
    from flask_pluginkit.isolation.wire import FROM_PLUGIN

    honest = Server._send

    def send(self: Server, connection: Connection, frame: bytes) -> None:
        message = FROM_PLUGIN.decode(frame[4:])
        is_armed = getattr(ARMED, "is_armed", False) or kind is Results
        if not is_armed or not isinstance(message, kind):
            honest(self, connection, frame)
            return
        ARMED.is_armed = False
        connection.socket.setblocking(True)
        replies(connection.socket, message.id)

    Server._send = send  # type: ignore[method-assign]
