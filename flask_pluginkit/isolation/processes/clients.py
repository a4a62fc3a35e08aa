"""The web workers: one connection each to the control socket, which is also their life."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from flask_pluginkit.isolation.supervision import (
    Blame,
    Done,
    FromControl,
    Hello,
    Overview,
    Refused,
    Release,
    Survey,
    ToControl,
    Want,
    Welcome,
)
from flask_pluginkit.isolation.wire import TO_CONTROL, WireError
from flask_pluginkit.version import __version__

from .loop import READ, Loop
from .peer import Peer

MOST: Final = 512
"""Web workers of one application."""
BACKLOG: Final = 64
PAUSE: Final = 0.1
"""Seconds without new ones when the system has no room for them."""


class Office(Protocol):
    """Whoever does what web workers ask for."""

    def welcome(self, client: WebWorker, version: str) -> bool:
        """Whether it may stay, having said what version it is."""
        ...

    def want(self, client: WebWorker, message: Want) -> None:
        """Have a plugin run."""
        ...

    def release(self, client: WebWorker, message: Release) -> None:
        """It needs a plugin no more."""
        ...

    def blame(self, message: Blame) -> None:
        """A plugin's worker broke a rule."""
        ...

    def survey(self, number: int) -> Overview:
        """What is running."""
        ...

    def left(self, client: WebWorker) -> None:
        """It is gone."""
        ...


class Reception:
    """The control socket."""

    def __init__(self, loop: Loop, path: Path, office: Office) -> None:
        """Listen. Raises OSError."""
        self._loop = loop
        self._office = office
        self.clients: set[WebWorker] = set()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._listener.bind(str(path))
            path.chmod(0o600)
            self._listener.listen(BACKLOG)
        except OSError:
            self._listener.close()
            raise
        self._listener.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Let nobody in any more, and everybody go."""
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        for client in list(self.clients):
            client.close()
        self.clients.clear()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:  # out of descriptors: it would be ready again at once
            self._loop.forget(self._listener.fileno())
            self._loop.later(PAUSE, self._listen)
            return
        if not is_ours(connection) or len(self.clients) >= MOST:
            connection.close()
            return
        client = WebWorker(self._loop, connection, self._office, self.clients.discard)
        self.clients.add(client)

    def _listen(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.watch(self._listener.fileno(), READ, self._accept)


def is_ours(connection: socket.socket) -> bool:
    """Tell whether the other side runs as this process' user, or as root."""
    size = struct.calcsize("3i")
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, _ = struct.unpack("3i", found)
    return uid in {0, os.geteuid()}


class WebWorker:
    """One of them; its first word must be `Hello`."""

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        office: Office,
        forget: Callable[[WebWorker], object],
    ) -> None:
        self._office = office
        self._forget = forget
        self.is_known = False
        """Whether it said a version that is ours."""
        self._peer: Peer[ToControl] = Peer(
            loop, connection, TO_CONTROL, received=self._received, ended=self._ended
        )

    def send(self, message: FromControl) -> None:
        """Tell it something."""
        try:
            self._peer.send(message)
        except WireError as error:
            number = getattr(message, "id", 0)
            self._peer.send(Refused(id=number, reason=f"it can't be told of: {error}"))

    def close(self) -> None:
        """Break off."""
        self._peer.close()

    def _received(self, message: ToControl) -> None:
        if isinstance(message, Hello):
            self.send(Welcome(version=__version__, pid=os.getpid()))
            self.is_known = self._office.welcome(self, message.version)
            return
        if not self.is_known:
            self._ended("it didn't say hello")
            return
        match message:
            case Want():
                self._office.want(self, message)
            case Release():
                self._office.release(self, message)
                self.send(Done(id=message.id))
            case Blame():
                self._office.blame(message)
                self.send(Done(id=message.id))
            case Survey():
                self.send(self._office.survey(message.id))

    def _ended(self, _reason: str) -> None:
        self._peer.close()
        self._forget(self)
        self._office.left(self)
