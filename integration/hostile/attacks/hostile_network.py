"""Attacks over the network and over the sockets of the machine."""

from __future__ import annotations

import array
import ctypes
import os
import socket
import urllib.request

from hostile_tools import SECCOMP, Attempt, Context, raw, raw_row, row, table


def tcp(it: Context) -> object:
    """Connect to a server of the host."""
    return str(socket.create_connection(("127.0.0.1", it["tcp"]), 2))


def udp(it: Context) -> object:
    """Send the host a packet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        return sender.sendto(b"x", ("127.0.0.1", it["udp"]))


def made(family: int, kind: int, protocol: int = 0) -> Attempt:
    """A row that makes a socket of a family."""
    return lambda _: str(socket.socket(family, kind, protocol))


def fetch(it: Context) -> object:
    """What a plugin would do that reports to somebody."""
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{it['tcp']}/", timeout=2)
    except urllib.error.URLError as error:
        raise OSError(getattr(error.reason, "errno", 0), "urllib") from error


def borrowed(address_of: str) -> Attempt:
    """A row that connects the end of a pair, as there is no other socket."""

    def attempt(it: Context) -> object:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.connect(it.get(address_of) or it["canaries"]["socket"])
        return "connected"

    return attempt


def reused(it: Context) -> object:
    """Take a pair's end apart and connect it anew."""
    ours, theirs = socket.socketpair()
    theirs.close()
    unspecified = ctypes.create_string_buffer(16)
    return raw((42, 203), ours.fileno(), ctypes.addressof(unspecified), 16)


def datagram_to_address(it: Context) -> object:
    """A pair of datagram sockets would send to any address."""
    ours, _theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return ours.sendto(b"x", it["canaries"]["socket"])


def stream_to_address(it: Context) -> object:
    """Name an address while sending."""
    ours, _theirs = socket.socketpair()
    return ours.sendto(b"x", it["canaries"]["socket"])


def with_pair(action: object) -> Attempt:
    """A row that does something with a pair of its own."""

    def attempt(_it: Context) -> object:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            return str(action(ours))  # type: ignore[operator]

    return attempt


def hand_out(ours: socket.socket) -> object:
    """Hand a descriptor to whoever is at the other end."""
    rights = array.array("i", [0])
    return ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


def filtered(ours: socket.socket) -> object:
    """Attach a program for the kernel to run."""
    return ours.setsockopt(socket.SOL_SOCKET, 26, b"\0" * 16)


ATTACKS = table(
    row(SECCOMP, "TCP to the host", tcp),
    row(SECCOMP, "UDP to the host", udp),
    row(SECCOMP, "HTTP with urllib", fetch),
    row(SECCOMP, "TCP over IPv6", made(socket.AF_INET6, socket.SOCK_STREAM)),
    row(SECCOMP, "a raw socket", made(socket.AF_INET, socket.SOCK_RAW, 1)),
    row(SECCOMP, "a ping socket", made(socket.AF_INET, socket.SOCK_DGRAM, 1)),
    row(SECCOMP, "multipath TCP", made(socket.AF_INET, socket.SOCK_STREAM, 262)),
    row(SECCOMP, "netlink", made(16, socket.SOCK_RAW)),
    row(SECCOMP, "packets", made(17, socket.SOCK_RAW)),
    row(SECCOMP, "the kernel's ciphers", made(38, 5)),
    row(SECCOMP, "the hypervisor", made(40, socket.SOCK_STREAM)),
    row(SECCOMP, "a Unix socket", made(socket.AF_UNIX, socket.SOCK_STREAM)),
    row(SECCOMP, "a pathname socket of the host", borrowed("")),
    row(SECCOMP, "an abstract socket of the host", borrowed("abstract")),
    row(SECCOMP, "a pair connected anew", reused),
    row(SECCOMP, "a datagram pair with an address", datagram_to_address),
    row(SECCOMP, "a pair with an address", stream_to_address),
    row(SECCOMP, "a sequenced pair", lambda _: str(socket.socketpair(socket.AF_UNIX, 5))),
    row(SECCOMP, "a descriptor handed out", with_pair(hand_out)),
    row(SECCOMP, "out-of-band data", with_pair(lambda ours: ours.send(b"x", socket.MSG_OOB))),
    row(SECCOMP, "a filter on a socket", with_pair(filtered)),
    row(SECCOMP, "who is at the other end", with_pair(lambda ours: ours.getsockopt(1, 17, 12))),
    row(
        SECCOMP,
        "a handle of who is at the other end",
        with_pair(lambda ours: ours.getsockopt(1, 77)),
    ),
    row(SECCOMP, "listening", with_pair(lambda ours: ours.listen())),
    row(SECCOMP, "an address of its own", with_pair(lambda ours: ours.bind(f"\0x{os.getpid()}"))),
    raw_row("many messages at once", (307, 269), -1, 0, 0, 0),
    raw_row("a socket through io_uring", (425, 425), 1, 0),
)
