"""Files that outlive kills and power cuts: locks, replacement in one step, owners.

What several processes write, some of them as another user (root's ``flask plugins disable``
next to the server's workers), goes through here. Every function raises `OSError` as it comes;
the caller knows which option or argument to name in its message.
"""

from __future__ import annotations

import _thread
import errno
import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import BinaryIO

from .frozen import Frozen

POLL_INTERVAL = 0.01
"""Seconds between two attempts to get a lock; what it guards takes a few milliseconds."""

PRIVATE_FOLDER = 0o700


class Ownership(Frozen):
    """Whom the files that this process makes shall belong to, and who may use them."""

    user: int
    group: int
    file_mode: int
    folder_mode: int = PRIVATE_FOLDER
    strict: bool = False
    """Raise `PermissionError` naming both users where this process may not hand a file over."""

    @classmethod
    def of_folder(cls, found: os.stat_result, *, strict: bool = False) -> Ownership:
        """Return the ownership under which `found`, a folder, and its files are one's own.

        The owner may always read and write, or the folder would lock out its own locks.
        """
        mode = stat.S_IMODE(found.st_mode)
        return cls(
            user=found.st_uid,
            group=found.st_gid,
            file_mode=mode & 0o666 | 0o600,
            folder_mode=mode,
            strict=strict,
        )

    @classmethod
    def private(cls, found: os.stat_result) -> Ownership:
        """Return the owner of `found`, who alone may read what is made."""
        return cls(user=found.st_uid, group=found.st_gid, file_mode=0o600)


def read_regular(path: str | os.PathLike[str], most: int) -> bytes:
    """Return what is in the file `path`, which has at most so many bytes.

    Raises `OSError`, also for what is no regular file and for more bytes.
    """
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most} bytes", os.fspath(path))
    return content


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open the file `path` for reading. Raises `OSError`, also for what is no regular file.

    A pipe would wait for a writer, and a device has no end, whoever put it there.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        file = os.fdopen(descriptor, "rb")
    except OSError:  # a folder, which leaves it open
        os.close(descriptor)
        raise
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no regular file", os.fspath(path))
    return file


def create(path: Path, owner: Ownership) -> int:
    """Create the file `path`, which must not exist, and return its open descriptor.

    Never follows a link, so a file is only ever made where `path` says.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, owner.file_mode)
    try:
        _hand_over(descriptor, owner, owner.file_mode)
    except OSError:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return descriptor


def make_folder(
    folder: Path, ownership: Callable[[os.stat_result], Ownership] = Ownership.private
) -> None:
    """Make `folder` and what is missing above it, so that a power cut doesn't lose them.

    `ownership` gets the nearest folder that existed already: by default its owner gets the new
    ones, for their own use alone.
    """
    missing = []
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        missing.append(nearest)
        nearest = nearest.parent
    owner = ownership(nearest.stat())
    for each in reversed(missing):
        with suppress(FileExistsError):  # another process may be at it too
            each.mkdir(mode=owner.folder_mode)
            _hand_over_folder(each, owner)
        sync_folder(each.parent)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def replace(path: Path, content: bytes, owner: Ownership) -> None:
    """Give the file `path` new content: others see the old or the new one, whatever happens.

    The caller holds the lock of `path`.
    """
    put_in_place(stage(path, content, owner), path)
    sync_folder(path.parent)


def stage(path: Path, content: bytes, owner: Ownership) -> Path:
    """Write what is to be the content of `path` beside it, on the disk, and return where.

    The caller holds the lock of `path`, so the temporary file beside it is nobody else's; one
    that a killed process left is thrown away.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    descriptor = create(temporary, owner)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def put_in_place(temporary: Path, path: Path) -> None:
    """Let others see in `path` what was staged. A power cut may undo it: `sync_folder` is next."""
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def aside(wait: Callable[[], None]) -> Callable[[], None]:
    """Begin to wait for the disk in a thread, and return what waits for the end of that.

    That raises what `wait` raised. Two waits at the same time take about as long as one.
    """
    errors: list[BaseException] = []
    is_over = _thread.allocate_lock()
    is_over.acquire()

    def run() -> None:
        try:
            wait()
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for it
            errors.append(error)
        finally:
            is_over.release()

    try:
        # one of `threading` takes three times as long to come, and some waits are shorter
        _thread.start_new_thread(run, ())
    except RuntimeError:  # this process can't have more threads
        run()

    def end() -> None:
        with is_over:
            pass
        if errors:
            raise errors[0]

    return end


def sync_folder(folder: Path) -> None:
    """Make the creations and removals in `folder` survive a power cut."""
    if os.name != "posix":
        return  # Windows has no such call and orders its metadata itself
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # some network file systems don't know the call: nothing more can be done there
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def take_lock(path: Path, *, timeout: float, owner: Ownership) -> AbstractContextManager[object]:
    """Wait up to `timeout` seconds for the lock on the file `path`, and return it held.

    Leaving the context gives it back. The lock object is new each time: one that lives on
    would be shared with forked children, whose release is the parent's too. Raises
    `TimeoutError` when others hold it too long; the file itself is never removed, as that would
    split those who wait for it into two groups.
    """
    # few processes ever write, and importing it takes longer than reading ten plugins
    from filelock import FileLock

    if not os.path.lexists(path):  # nearly always it is there, and finding out so takes a fifth
        with suppress(FileExistsError):
            os.close(create(path, owner))
    lock = FileLock(path, timeout=timeout, mode=owner.file_mode)
    try:
        return lock.acquire(poll_interval=POLL_INTERVAL)
    except NotImplementedError as error:  # a file system without locks, says filelock before 4
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), str(path)) from error


def _hand_over_folder(folder: Path, owner: Ownership) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _hand_over(descriptor, owner, owner.folder_mode)
    except OSError:
        folder.rmdir()
        raise
    finally:
        os.close(descriptor)


def _hand_over(descriptor: int, owner: Ownership, mode: int) -> None:
    """Give the open file or folder, which this process has just made, to `owner`.

    It works on descriptors, as a path may lead elsewhere by now: root would give that away.
    """
    if os.name != "posix":
        return
    made = os.fstat(descriptor)
    if stat.S_IMODE(made.st_mode) != mode:
        os.fchmod(descriptor, mode)  # the process's umask may have taken from it
    if (made.st_uid, made.st_gid) == (owner.user, owner.group):
        return
    try:
        os.fchown(descriptor, owner.user, owner.group)
    except PermissionError as error:
        if owner.strict:
            raise PermissionError(error.errno, _foreign(owner)) from error
        with suppress(PermissionError):  # a member may hand things to the group at least
            os.fchown(descriptor, -1, owner.group)


def _foreign(owner: Ownership) -> str:
    theirs, group, mine = _user(owner.user), _group(owner.group), _user(os.geteuid())
    return (
        f"it belongs to user {theirs} and group {group}, and this process runs as user {mine}, "
        f"who may not make files of theirs; run it as user {theirs}"
    )


def _user(number: int) -> str:
    import pwd  # not there on Windows

    try:
        return repr(pwd.getpwuid(number).pw_name)
    except KeyError:  # usual in containers
        return str(number)


def _group(number: int) -> str:
    import grp  # not there on Windows

    try:
        return repr(grp.getgrgid(number).gr_name)
    except KeyError:
        return str(number)
