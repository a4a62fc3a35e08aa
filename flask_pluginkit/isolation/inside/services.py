"""What a plugin's worker asks of the supervisor: its storage, a key, connections.

The operations of `Services.ask`, with their arguments and what they give back. Every value of a
storage is JSON, written and read by the plugin's own process: whoever keeps it never has to look
inside. `index` names one of the plugin's storages; it is any text, and nobody else's.

=================  ==================================  ===========================================
``storage.get``    index, key                          the JSON of the value, None if there is none
``storage.list``   index                               a dict of all keys and their JSON
``storage.set``    index, {key: JSON}, seconds or None None; keeps all of them or none, for ever or
                                                       for so many seconds
``storage.remove`` index, key                          whether it was there
``storage.count``  index                               how many keys there are
``session.key``                                        32 random bytes, the same for all workers of
                                                       the plugin as long as the state is kept
=================  ==================================  ===========================================

Those of the storage need the permission ``storage``, ``session.key`` needs ``cookies``. What
isn't permitted is a PermissionError, a quota that is used up an OSError with EDQUOT, and any other
fault an OSError, each with a text for the plugin's author.
"""

from __future__ import annotations

import socket
from typing import Any, Protocol


class Services(Protocol):
    """The supervisor, as a plugin's worker reaches it; any thread may ask at any time."""

    def ask(self, what: str, *args: Any) -> Any:
        """Have an operation done, and return its result. Raises OSError."""
        ...

    def connect(self, host: str, port: int, timeout: float | None) -> socket.socket:
        """Return a connection by TCP; `timeout` in seconds, None for the supervisor's own.

        Raises PermissionError for what isn't permitted, and OSError for what can't be had.
        """
        ...


class NoServices:
    """Stands for the supervisor where there is none."""

    def ask(self, what: str, *_args: Any) -> Any:
        """Nothing can be had."""
        raise PermissionError(f"{what}: there is nobody to ask")

    def connect(self, host: str, port: int, timeout: float | None) -> socket.socket:  # noqa: ARG002
        """Nobody can be reached."""
        raise PermissionError(f"{host}:{port}: there is nobody to ask")
