"""Replies that nobody should believe: what a worker in the hands of its plugin can send."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from flask_pluginkit.isolation.messages import (
    Aborted,
    Answer,
    Broken,
    Chunk,
    Failure,
    Head,
    Headers,
    Record,
    Results,
    Value,
)
from flask_pluginkit.isolation.wire import encode

Reply = Callable[[socket.socket, int], None]

HTML = ("Content-Type", "text/html")
POISON = b"POISON of another request"
HUGE = 1 << 30


def framed(body: bytes, length: int | None = None) -> bytes:
    """A frame that says that it has `length` bytes."""
    return struct.pack(">I", len(body) if length is None else length) + body


def raw(*parts: bytes, seconds: float = 0.0) -> Reply:
    """Send bytes, and then nothing for a while."""

    def reply(connection: socket.socket, _number: int) -> None:
        for part in parts:
            connection.sendall(part)
        time.sleep(seconds)

    return reply


def message(make: Callable[[int], Any], *more: Callable[[int], Any], pause: float = 0.0) -> Reply:
    """Send messages, as they are for the number of the request."""

    def reply(connection: socket.socket, number: int) -> None:
        for one in (make, *more):
            connection.sendall(encode(one(number), HUGE))
            time.sleep(pause)

    return reply


def head(status: int = 200, *headers: tuple[str, str], body: bytes = b"forged") -> Reply:
    """Send a head with this status and these headers."""
    given: Headers = [HTML, *headers]
    return message(lambda n: Head(id=n, status=status, headers=given, body=body))


def slow(connection: socket.socket, number: int) -> None:
    """Send a good reply, a byte at a time."""
    for byte in encode(Head(id=number, status=200, body=b"x" * 1000), HUGE):
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


def endless(data: bytes, headers: Headers, records: int = 0) -> Reply:
    """Stream until the other side has enough."""
    said = [Record(level=50, name="flood", text="\x1b[31mflood " + "x" * 1500)] * records

    def reply(connection: socket.socket, number: int) -> None:
        connection.sendall(encode(Head(id=number, status=200, headers=headers, more=True), HUGE))
        frame = encode(Chunk(id=number, data=data, records=said), HUGE)
        while True:
            connection.sendall(frame)

    return reply


def guessing(connection: socket.socket, number: int) -> None:
    """Answer, and answer the next requests too, before they come."""
    connection.sendall(encode(Head(id=number, status=200, body=b"first"), HUGE))
    time.sleep(0.05)
    for guess in range(number + 1, number + 50):
        connection.sendall(encode(Head(id=guess, status=200, body=POISON), HUGE))


def large(connection: socket.socket, _number: int) -> None:
    """Send one frame of 100 MB."""
    connection.sendall(struct.pack(">I", 100_000_000))
    for _ in range(100):
        connection.sendall(b"x" * 1_000_000)


def everywhere(_connection: socket.socket, _number: int) -> None:
    """Write to every descriptor there is: the listener, other connections, the supervisor's."""
    for descriptor in range(3, 64):
        try:
            os.set_blocking(descriptor, False)
            os.write(descriptor, os.urandom(64))
        except OSError:
            continue


def closes(_connection: socket.socket, _number: int) -> None:
    """Close every descriptor there is, and go on living."""
    os.closerange(3, 256)
    time.sleep(60)


NESTED = framed(b"\x91" * 200_000 + b"\xc0")
MAP = framed(b"\xdf\xff\xff\xff\xff" + b"\xa1a" * 100)
ODD = "\x1b]0;owned\x07\r\nINJECTED: line\u202e"
FRAMES = Failure(error=ODD + "E" * 100_000, traceback=("\x1b[2J" + ODD) * 50_000)

REPLIES: dict[str, Reply] = {
    "garbage": raw(os.urandom(4096)),
    "lengthbomb": raw(b"\xff\xff\xff\xff" + b"x" * 65536),
    "nesting": raw(NESTED),
    "mapbomb": raw(MAP),
    "liemore": raw(framed(b"\x80", 5000), seconds=60),
    "lieless": raw(framed(b"\x80" * 5000, 10)),
    "empty": raw(framed(b"")),
    "silence": raw(seconds=60),
    "halfsilence": raw(b"\x00\x00", seconds=60),
    "hangup": lambda connection, _number: connection.close(),
    "wrongid": message(lambda n: Head(id=n + 1, status=200, body=POISON)),
    "results": message(lambda n: Results(id=n, results=[])),
    "chunkfirst": message(lambda n: Chunk(id=n, data=POISON, last=True)),
    "second": message(
        lambda n: Head(id=n, status=200, body=b"first"),
        lambda n: Head(id=n + 1, status=200, body=POISON),
    ),
    "secondlate": message(
        lambda n: Head(id=n, status=200, body=b"first"),
        lambda n: Head(id=n + 1, status=200, body=POISON),
        pause=0.05,
    ),
    "guessing": guessing,
    "slow": slow,
    "everywhere": everywhere,
    "closes": closes,
    "status0": head(0),
    "status99": head(99),
    "status101": head(101, ("Upgrade", "websocket"), ("Connection", "Upgrade")),
    "status600": head(600),
    "status1000": head(1000),
    "statusbig": head(1 << 62),
    "status206": head(206, ("Content-Range", "bytes 0-5/100")),
    "body100": large,
    "endless": endless(b"x" * 65536, [("Content-Type", "text/plain")]),
    "endlessempty": endless(b"", [("Content-Type", "text/plain")]),
    "endlesshtml": endless(b"x" * (8 << 20), [HTML]),
    "endlesslog": endless(b"x", [HTML], records=100),
    "crlf": head(200, ("X-A", "a\r\nSet-Cookie: session=owned")),
    "crlfetag": head(200, ("ETag", '"a"\r\nSet-Cookie: session=owned')),
    "crlfname": head(200, ("X-A: b\r\nSet-Cookie", "session=owned")),
    "nulheader": head(200, ("ETag", "a\x00b")),
    "manyheaders": head(200, *[("Vary", "a")] * 100_000),
    "setcookie": head(200, ("Set-Cookie", "session=owned; Path=/"), ("set-cookie", "a=b")),
    "hopbyhop": head(
        200,
        *[("Transfer-Encoding", "chunked"), ("Content-Length", "999999")],
        *[("Connection", "close, X-Secret"), ("Upgrade", "h2c"), ("Trailer", "X")],
    ),
    "accel": head(
        200,
        *[("X-Accel-Redirect", "/etc/passwd"), ("X-Sendfile", "/etc/passwd")],
        *[("X-Accel-Buffering", "no"), ("Refresh", "0; url=//evil"), ("Link", "</x>")],
        *[("Clear-Site-Data", "*"), ("Access-Control-Allow-Origin", "*")],
        *[("Service-Worker-Allowed", "/"), ("Content-Security-Policy", "default-src *")],
    ),
    "elsewhere": head(302, ("Location", "//evil.example/x")),
    "elsewhere2": head(302, ("Location", "/\\evil.example")),
    "elsewhere3": head(302, ("Location", "javascript:alert(1)")),
    "elsewhere4": head(302, ("Location", "/elsewhere4/../page")),
    "elsewhere5": head(302, ("Location", "https://evil.example/")),
    "script": head(200, ("Content-Type", "text/javascript"), body=b"alert(1)"),
    "encoded": head(200, ("Content-Encoding", "gzip"), body=b"\x1f\x8b"),
    "abort999": message(lambda n: Aborted(id=n, code=999, description=ODD)),
    "abort200": message(lambda n: Aborted(id=n, code=200, description="x")),
    "abortneg": message(lambda n: Aborted(id=n, code=-1)),
    "abortxss": message(lambda n: Aborted(id=n, code=404, description="<script>alert(1)</script>")),
    "broken": message(lambda n: Broken(id=n, failure=FRAMES)),
    "records": message(
        lambda n: Head(
            id=n, status=200, records=[Record(level=1 << 40, name=ODD, text=ODD * 1000)] * 500
        )
    ),
}
"""In reply to a `Visit`."""


def results(*found: Any) -> Reply:
    """Reply to a `Batch` with these."""
    return message(lambda n: Results(id=n, results=list(found)))


DEEP: Any = None
for _ in range(500):
    DEEP = [DEEP]

BATCHES: dict[str, Reply] = {
    "none": results(),
    "toomany": results(*[Value(value="many")] * 50),
    "answer": results(Answer(status=302, headers=[("Location", "//evil")], body=b"POISON")),
    "number": results(Value(value=7)),
    "nested": results(Value(value=DEEP)),
    "bytes": results(Value(value=b"\xff<script>")),
    "bigtext": results(Value(value="<b x=y>" * 1_000_000)),
    "scripts": results(Value(value='<script>alert(1)</script><img src=x onerror="a()">')),
    "visitreply": message(lambda n: Head(id=n, status=200, body=POISON)),
    "batchslow": slow,
    "batchsilence": raw(seconds=60),
    "batchgarbage": raw(os.urandom(100)),
    "failures": results(FRAMES),
}
"""In reply to a `Batch` for a tep."""
