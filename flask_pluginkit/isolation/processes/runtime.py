"""The folder for sockets and the election: private, on a local disk, with a short path.

All web workers of an application must find the same one, whatever their environments are. So
the first that chooses one notes it in the control folder, unless the operator named one.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from flask_pluginkit.durable import Ownership, make_folder, replace, take_lock
from flask_pluginkit.exceptions import Problem, RunError, SandboxUnavailable
from flask_pluginkit.sandbox import system
from flask_pluginkit.sandbox.canaries import LONGEST_SOCKET
from flask_pluginkit.sandbox.identity import Identity, obstacle

CONTROL: Final = "control.sock"
"""The supervisor's socket in the runtime folder."""
STARTING: Final = "starting"
"""The file that whoever starts a supervisor locks, so that one is started and not ten."""
WORKERS: Final = "worker-*.sock"
"""The sockets of plugins' workers."""
NOTE: Final = "sandbox-runtime"
"""How the file in the control folder is called that names the runtime folder."""
LOCK: Final = "sandbox.lock"

WHERE: Final = "isolated plugins"

_LONGEST_NAME: Final = len("worker-4294967295.sock")

NETWORKED: Final[Mapping[int, str]] = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB2",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x73757245: "Coda",
    0x564C: "NCP",
    0x01021997: "9P",
    0x00C36400: "Ceph",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
    0x01161970: "GFS2",
    0x7461636F: "OCFS2",
}
"""File systems that several machines share, by their numbers in ``statfs``: locks and sockets
of one machine mean nothing to the others, or don't work at all."""


def locate(control: Path, named: str = "", environ: Mapping[str, str] = os.environ) -> Path:
    """Return the runtime folder of an application, which exists and is private.

    Args:
        control: the application's control folder.
        named: the folder that the operator named, if any.
        environ: where RUNTIME_DIRECTORY and XDG_RUNTIME_DIR are looked for.

    Raises:
        SandboxUnavailable: it can't be used; says why and what to do.

    """
    if named:
        return private(Path(named))
    if (noted := _noted(control)) is not None:
        return noted
    try:
        make_folder(control)
        owner = Ownership.of_folder(control.stat())
        with take_lock(control / LOCK, timeout=10.0, owner=owner):
            if (noted := _noted(control)) is not None:
                return noted
            folder = _chosen(control, environ)
            replace(note(control), os.fsencode(folder), owner)
    except OSError as error:  # TimeoutError is one
        raise _unusable(
            str(control), f"can't be written to: {error}", "a control folder of one's own"
        ) from error
    return folder


def find(control: Path, named: str = "") -> Path | None:
    """Return the runtime folder if there is one; makes nothing. Raises SandboxUnavailable."""
    if named:
        return private(Path(named)) if Path(named).is_dir() else None
    return _noted(control)


def _noted(control: Path) -> Path | None:
    try:
        folder = Path(os.fsdecode(note(control).read_bytes()))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(str(note(control)), str(error), "a file that can be read") from error
    return private(folder) if folder.is_absolute() and folder.is_dir() else None


def _chosen(control: Path, environ: Mapping[str, str]) -> Path:
    name = f"flask-pluginkit-{mark(control)}"
    for variable in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        above = Path(environ.get(variable, "").partition(":")[0])
        if above.is_absolute() and os.access(above, os.W_OK | os.X_OK):
            return private(above / name)
    return private(Path(tempfile.mkdtemp(prefix=f"{name}-")))


def note(control: Path) -> Path:
    """Return the file that names the runtime folder of an application, for this view of files.

    Several machines and containers may share a control folder, and a service with a /tmp of
    its own sees other folders than a shell does: each has a runtime folder and a note.
    """
    view = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        view = f"{boot} {Path('/proc/self/ns/mnt').stat().st_ino}"
    return control / f"{NOTE}-{hashlib.sha256(view.encode()).hexdigest()[:8]}"


def mark(control: Path) -> str:
    """Return a short name for an application, by its control folder."""
    return hashlib.sha256(os.fsencode(os.path.realpath(control))).hexdigest()[:12]


def private(folder: Path) -> Path:
    """Return a folder, made if it is missing, in which nobody else can do anything.

    Raises SandboxUnavailable if it isn't such a folder, or can't hold sockets and locks.
    """
    if not folder.is_absolute():
        raise _unusable(str(folder), "isn't absolute", "a path such as /run/site")
    try:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        networked = NETWORKED.get(file_system(folder))
    except OSError as error:
        raise _unusable(str(folder), str(error), "a folder that can be made") from error
    if not stat.S_ISDIR(found.st_mode):
        raise _unusable(str(folder), "is a link or a file", "the folder itself")
    if found.st_uid != os.geteuid() and os.geteuid() != 0:
        raise _unusable(
            str(folder),
            f"belongs to uid {found.st_uid}, and this process runs as uid {os.geteuid()}",
            "one user for all processes of an application",
        )
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise _unusable(str(folder), f"has the mode {mode:o}", "mode 700, which nobody else enters")
    if networked is not None:
        raise _unusable(str(folder), f"lies on {networked}", "a local disk")
    if len(os.fsencode(folder)) + 1 + _LONGEST_NAME > LONGEST_SOCKET:
        most = LONGEST_SOCKET - 1 - _LONGEST_NAME
        raise _unusable(str(folder), "is too long for sockets in it", f"at most {most} bytes")
    return folder


def file_system(path: Path) -> int:
    """Return the number of the file system that a path lies on, 0 where it isn't known."""
    memory = ctypes.create_string_buffer(512)  # struct statfs begins with it
    if system.libc().statfs(os.fsencode(path), memory) != 0:
        return 0
    return ctypes.c_ulong.from_buffer(memory).value & 0xFFFF_FFFF


# ---- the election ----------------------------------------------------------------------------


def elect(folder: Path) -> int | None:
    """Become the one supervisor of a runtime folder: return a descriptor that is the office.

    None if somebody else holds it, or the folder was removed meanwhile. It ends with the
    process, or when the descriptor is closed.
    """
    try:
        office = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(office, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(office), folder.stat()):
            return office
    except OSError:
        pass
    os.close(office)
    return None


def sweep(folder: Path, control: Path) -> None:
    """Remove what a supervisor left that was killed outright. To be called in office only."""
    _remove_own(folder, (CONTROL, WORKERS))
    with suppress(SandboxUnavailable):
        above = public_folder()
        for left in above.glob(f"pluginkit-{mark(control)}-*"):
            _remove_canaries(left)


def leave(folder: Path, control: Path, *, is_named: bool) -> None:
    """Remove the runtime folder and its note; one that the operator named stays."""
    _remove_own(folder, (CONTROL, STARTING, WORKERS))
    if is_named:
        return
    with suppress(OSError):
        if note(control).read_bytes() == os.fsencode(folder):
            note(control).unlink()
    with suppress(OSError):
        folder.rmdir()


def _remove_own(folder: Path, patterns: Iterable[str]) -> None:
    # nothing else: the operator may have named a folder that others use, too
    for pattern in patterns:
        for left in folder.glob(pattern):
            with suppress(OSError):
                left.unlink()


# ---- where canaries live ---------------------------------------------------------------------


def public_folder() -> Path:
    """Return a folder that every user can enter and this one can write to.

    Raises SandboxUnavailable if there is none.
    """
    nobody = Identity(uid=65534, gid=65534)
    tried = dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp", "/run"))  # noqa: S108
    for name in tried:
        if os.access(name, os.W_OK | os.X_OK) and obstacle(name, nobody) is None:
            return Path(os.path.realpath(name))
    raise _unusable(
        ", ".join(tried),
        "can't be entered by every user",
        "a folder for temporary files that everybody can enter",
    )


@contextmanager
def perch(control: Path) -> Iterator[Path]:
    """Make a folder for canaries that every user can reach; it is gone at the end.

    Raises SandboxUnavailable if there is no place for it.
    """
    try:
        name = tempfile.mkdtemp(prefix=f"pluginkit-{mark(control)}-", dir=public_folder())
        Path(name).chmod(0o755)  # confined processes must be able to try it
    except OSError as error:
        raise _unusable("a folder for canaries", f"can't be made: {error}", "room") from error
    try:
        yield Path(name)
    finally:
        _remove_canaries(Path(name))


def _remove_canaries(folder: Path) -> None:
    """Remove what `perch` and the canaries in it made, and nothing that others put there."""
    with suppress(OSError):
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return
        for place in [*folder.glob("*/*"), *folder.glob("*"), folder]:
            with suppress(OSError):
                if place.is_dir() and not place.is_symlink():
                    place.rmdir()
                else:
                    place.unlink()


def refuse_start(folder: Path) -> None:
    """Raise RunError if this process may join a supervisor there, but not start one."""
    owner = folder.stat().st_uid
    if owner != os.geteuid():
        raise RunError(
            f"no supervisor of isolated plugins runs in {folder}, which belongs to uid {owner}: "
            "only a process of that user can start one"
        )


def _unusable(path: str, found: str, expected: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        Problem(
            where=WHERE,
            what="runtime folder",
            found=f"{path} {found}",
            expected=expected,
            advice="let PLUGINKIT_SANDBOX_RUNTIME_DIR name another folder",
        )
    )
