"""Attacks on files: reading, changing and planting them where they aren't the plugin's."""

# ruff: noqa: PTH101, PTH102, PTH104, PTH108, PTH115, PTH116, PTH123, PTH208, PTH211
# The plain calls are what is attacked with.

from __future__ import annotations

import fcntl
import mmap
import os
import shutil
from multiprocessing import shared_memory
from pathlib import Path

from hostile_tools import (
    DESCRIPTORS,
    LANDLOCK,
    NAMESPACES,
    SECCOMP,
    Context,
    beside_secret,
    made,
    opened,
    own_code,
    own_data,
    raw,
    raw_row,
    row,
    secret,
    table,
)

FLAG = os.O_RDWR | getattr(os, "O_TMPFILE", 0)


def way_out(it: Context) -> str:
    """The way from the own code to the secret, by parent folders."""
    return os.path.relpath(secret(it), it["code"])


def traverse(it: Context) -> object:
    """Leave the own folder by its parents, from an open descriptor of it."""
    own = os.open(it["code"], os.O_RDONLY | os.O_DIRECTORY)
    return os.open(way_out(it), os.O_RDONLY, dir_fd=own)


def rename_out(it: Context) -> object:
    """Move a file of one's own to where others find it."""
    own = Path(own_data(it, "own"))
    own.write_bytes(b"x")
    return own.rename(Path(beside_secret(it, "moved")))


def rename_in(it: Context) -> object:
    """Move a file of others into the own folder, to read it there."""
    os.rename(secret(it), own_data(it, "moved"))
    return Path(own_data(it, "moved")).read_bytes()


def left_open(it: Context) -> object:
    """Read through a descriptor that the host had open when it forked."""
    return os.pread(it["left"][0], 20, 0)


def left_folder(it: Context) -> object:
    """Open the host's files beneath a folder that it had open."""
    return os.open("etc/passwd", os.O_RDONLY, dir_fd=it["left"][1])


def any_descriptor(_it: Context) -> object:
    """Look for any descriptor beside standard ones and the pipe for the answer."""
    found = []
    for descriptor in range(3, 1024):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        found.append(descriptor)
    assert len(found) == 1, found
    return os.fstat(1023)


def copy_with_mode(it: Context) -> object:
    """`shutil.copy` of one's own file to one's own folder, which changes modes."""
    source = Path(own_data(it, "source"))
    source.write_bytes(b"x")
    return shutil.copy(source, Path(own_data(it, "copy")))


def map_for_writing(it: Context) -> object:
    """Change a readable file by writing to memory that maps it."""
    with open(own_code(it), "r+b") as file:
        return mmap.mmap(file.fileno(), 0)


def shared(_it: Context) -> object:
    """A segment of shared memory that outlives its maker."""
    return shared_memory.SharedMemory(create=True, size=4096)


def lease(it: Context) -> object:
    """Make the host wait for this process whenever it opens a file."""
    with open(own_code(it), "rb") as file:
        return fcntl.fcntl(file, 1024, fcntl.F_RDLCK)


def parents(name: str) -> str:
    """A file of the parent's folder in /proc."""
    return f"/proc/{os.getppid()}/{name}"


ATTACKS = table(
    row(LANDLOCK, "the host's secret", lambda it: opened(secret(it))),
    row(LANDLOCK, "the machine's accounts", lambda _: opened("/etc/passwd")),
    row(
        LANDLOCK, "a link in the own folder to the secret", lambda it: opened(it["code"] + "/link")
    ),
    row(LANDLOCK, "traversal by name", lambda it: opened(f"{it['code']}/{way_out(it)}")),
    row(LANDLOCK, "traversal from a descriptor", traverse),
    row(LANDLOCK, "the secret for writing", lambda it: opened(secret(it), os.O_WRONLY)),
    row(LANDLOCK, "the secret truncated", lambda it: os.truncate(secret(it), 0)),
    row(LANDLOCK, "the secret removed", lambda it: os.unlink(secret(it))),
    row(LANDLOCK, "the secret's folder listed", lambda it: os.listdir(beside_secret(it))),
    row(LANDLOCK, "home folders listed", lambda _: os.listdir("/home")),
    row(LANDLOCK, "a folder made beside the secret", lambda it: os.mkdir(beside_secret(it, "x"))),
    row(LANDLOCK, "rename out", rename_out),
    row(LANDLOCK, "rename in", rename_in),
    row(LANDLOCK, "own code changed", lambda it: opened(own_code(it), os.O_RDWR)),
    row(LANDLOCK, "own code mapped for writing", map_for_writing),
    row(LANDLOCK, "own code removed", lambda it: os.unlink(own_code(it))),
    row(LANDLOCK, "code planted beside the own", lambda it: made(it["code"] + "/planted.py")),
    row(LANDLOCK, "an unnamed file in the own code", lambda it: opened(it["code"], FLAG)),
    row(LANDLOCK, "a file in /tmp", lambda _: made(f"/tmp/pluginkit-{os.getpid()}")),
    row(LANDLOCK, "an unnamed file in /tmp", lambda _: opened("/tmp", FLAG)),
    row(LANDLOCK, "a file in /dev/shm", lambda _: made(f"/dev/shm/pluginkit-{os.getpid()}")),
    row(LANDLOCK, "shared memory by name", shared),
    row(LANDLOCK, "the host's environment", lambda _: opened(parents("environ"))),
    row(LANDLOCK, "the host's memory", lambda _: opened(parents("mem"))),
    row(LANDLOCK, "the host's root folder", lambda _: opened(parents("root/etc/passwd"))),
    row(LANDLOCK, "the own memory as a file", lambda _: opened("/proc/self/mem", os.O_RDWR)),
    row(LANDLOCK, "the own environment", lambda _: opened("/proc/self/environ")),
    row(LANDLOCK, "the own descriptors by name", lambda _: opened("/dev/fd/1")),
    row(LANDLOCK, "the kernel's log", lambda _: opened("/dev/kmsg")),
    row(LANDLOCK, "the terminal", lambda _: opened("/dev/tty")),
    row(LANDLOCK, "a terminal of its own", lambda _: opened("/dev/ptmx", os.O_RDWR)),
    row(LANDLOCK, "the kernel's settings", lambda _: opened("/sys/kernel/uevent_seqnum")),
    row(LANDLOCK, "writing to /dev/null's folder", lambda _: made("/dev/pluginkit-planted")),
    row(DESCRIPTORS, "a descriptor left open", left_open),
    row(DESCRIPTORS, "a folder left open", left_folder),
    row(DESCRIPTORS, "any descriptor left open", any_descriptor),
    row(NAMESPACES, "stat of the secret", lambda it: os.stat(secret(it)), namespaced=True),
    row(
        NAMESPACES,
        "stat of the machine's accounts",
        lambda _: os.stat("/etc/passwd"),
        namespaced=True,
    ),
    row(NAMESPACES, "readlink in /proc", lambda _: os.readlink("/proc/self/exe"), namespaced=True),
    row(SECCOMP, "chmod of the secret", lambda it: os.chmod(secret(it), 0o600)),
    row(SECCOMP, "chmod of an own file", lambda it: os.chmod(it["data"], 0o777)),
    row(SECCOMP, "chown of the secret", lambda it: os.chown(secret(it), -1, -1)),
    row(SECCOMP, "times of the secret", lambda it: os.utime(secret(it), (0, 0))),
    row(
        SECCOMP, "an attribute of an own folder", lambda it: os.setxattr(it["data"], "user.x", b"x")
    ),
    row(SECCOMP, "a symbolic link", lambda it: os.symlink(secret(it), own_data(it, "link"))),
    row(SECCOMP, "a hard link", lambda it: os.link(secret(it), own_data(it, "hard"))),
    row(SECCOMP, "a FIFO for the host to hang on", lambda it: os.mkfifo(own_data(it, "fifo"))),
    row(
        SECCOMP, "a device", lambda it: os.mknod(own_data(it, "device"), 0o020600, os.makedev(1, 1))
    ),
    row(SECCOMP, "copying with modes", copy_with_mode),
    row(SECCOMP, "a lease on a file", lease),
    row(SECCOMP, "another root", lambda it: os.chroot(it["data"])),
    row(SECCOMP, "watching the secret", lambda _: raw((294, 26), 0)),
    raw_row("watching a file system", (300, 262), 0, 0),
    raw_row("opening by handle", (304, 265), -100, 0, 0),
    raw_row("a mount", (165, 40), 0, 0, 0, 0, 0),
    raw_row("a mount by descriptor", (428, 428), -100, 0, 0),
    raw_row("chmod by its newest number", (452, 452), -100, 0, 0, 0),
)
