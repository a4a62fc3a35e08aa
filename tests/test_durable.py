"""Files that outlive kills and power cuts."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flask_pluginkit.durable import (
    Ownership,
    create,
    make_folder,
    open_regular,
    replace,
    sync_folder,
    take_lock,
)

SOMEBODY = 54321


def my_own(folder: Path, mode: int = 0o600) -> Ownership:
    found = folder.stat()
    return Ownership(user=found.st_uid, group=found.st_gid, file_mode=mode)


def somebodys(*, strict: bool) -> Ownership:
    return Ownership(user=SOMEBODY, group=SOMEBODY, file_mode=0o640, strict=strict)


def refuse_to_hand_over(descriptor: int, user: int, group: int) -> None:
    raise PermissionError(1, "Operation not permitted")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_that_is_not_opened_leaves_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was opened to find out that it is no file is closed again."""
    opened = []

    def noting(*args: object) -> int:
        opened.append(opening(*args))
        return opened[-1]

    opening: Callable[..., int] = os.open
    monkeypatch.setattr(os, "open", noting)
    with pytest.raises(OSError, match=r"directory|denied"):
        open_regular(tmp_path)
    for descriptor in opened:
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(descriptor)


def test_replacing_gives_the_new_content_and_leaves_no_other_file(tmp_path: Path) -> None:
    """A replaced file holds what was written, and the temporary file is gone."""
    file = tmp_path / "data"
    replace(file, b"old", my_own(tmp_path))
    replace(file, b"new", my_own(tmp_path))
    assert file.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_replacement_that_fails_keeps_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fails before the rename, the old file stays and the temporary one goes."""
    file = tmp_path / "data"
    replace(file, b"old", my_own(tmp_path))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace(file, b"new", my_own(tmp_path))
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_temporary_file_left_by_a_killed_writer_is_no_obstacle(tmp_path: Path) -> None:
    """A leftover at the temporary name is thrown away, also if it is a link."""
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (tmp_path / "data.tmp").symlink_to(target)
    replace(tmp_path / "data", b"new", my_own(tmp_path))
    assert target.read_bytes() == b"precious"
    assert not (tmp_path / "data").is_symlink()


def test_what_exists_is_not_created_again(tmp_path: Path) -> None:
    """A file of others, a lock for example, isn't emptied."""
    (tmp_path / "file").write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        create(tmp_path / "file", my_own(tmp_path))
    assert (tmp_path / "file").read_bytes() == b"precious"


def test_the_mode_asked_for_doesnt_depend_on_the_umask(tmp_path: Path) -> None:
    """A new file has the mode of its ownership, whatever the process masks."""
    before = os.umask(0o077)
    try:
        os.close(create(tmp_path / "file", my_own(tmp_path, 0o664)))
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "file") == 0o664


def test_missing_folders_are_made_for_the_owner_alone(tmp_path: Path) -> None:
    """All folders that were missing exist afterwards, closed to others."""
    make_folder(tmp_path / "a" / "b")
    assert mode_of(tmp_path / "a") == mode_of(tmp_path / "a" / "b") == 0o700


def test_a_file_in_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    """What is a file can't be made a folder, at the end of the path or within it."""
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "file" / "folder")


def test_new_files_and_folders_are_handed_to_their_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What root makes in a folder of somebody belongs to that somebody."""
    handed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda descriptor, user, group: handed.append((user, group)))
    os.close(create(tmp_path / "file", somebodys(strict=True)))
    make_folder(tmp_path / "folder", lambda _: somebodys(strict=True))
    assert handed == [(SOMEBODY, SOMEBODY)] * 2


def test_who_may_not_hand_over_is_told_both_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is demanded, a file that can't be handed over isn't made, and both are named."""
    monkeypatch.setattr(os, "fchown", refuse_to_hand_over)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(PermissionError, match=rf"{SOMEBODY}.*runs as user 'root'"):
        os.close(create(tmp_path / "file", somebodys(strict=True)))
    with pytest.raises(PermissionError, match=str(SOMEBODY)):
        make_folder(tmp_path / "folder", lambda _: somebodys(strict=True))
    assert [path.name for path in tmp_path.iterdir()] == []


def test_where_it_is_not_demanded_a_file_is_kept_by_who_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that can't be handed over, and needn't be, is made."""
    monkeypatch.setattr(os, "fchown", refuse_to_hand_over)
    os.close(create(tmp_path / "file", somebodys(strict=False)))
    assert mode_of(tmp_path / "file") == 0o640


def test_a_lock_is_exclusive_until_it_is_given_back(tmp_path: Path) -> None:
    """A second taker waits in vain while the lock is held, and gets it afterwards."""
    lock = tmp_path / "lock"
    with take_lock(lock, timeout=1, owner=my_own(tmp_path)), pytest.raises(TimeoutError):
        take_lock(lock, timeout=0.05, owner=my_own(tmp_path))
    with take_lock(lock, timeout=0.05, owner=my_own(tmp_path)):
        pass


def test_a_lock_is_free_when_its_holder_was_killed(tmp_path: Path) -> None:
    """A process that dies holding the lock doesn't keep others out."""
    code = (
        "import os, sys; from pathlib import Path\n"
        "from flask_pluginkit.durable import Ownership, take_lock\n"
        "owner = Ownership.private(Path(sys.argv[1]).parent.stat())\n"
        "held = take_lock(Path(sys.argv[1]), timeout=1, owner=owner)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    lock = tmp_path / "lock"
    done = subprocess.run([sys.executable, "-c", code, str(lock)], check=False)
    assert done.returncode == -9
    with take_lock(lock, timeout=1, owner=my_own(tmp_path)):
        pass


def test_a_link_in_place_of_the_lock_isnt_followed(tmp_path: Path) -> None:
    """A planted link doesn't make the lock truncate or create what it leads to."""
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (tmp_path / "lock").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        take_lock(tmp_path / "lock", timeout=0.1, owner=my_own(tmp_path))
    assert target.read_bytes() == b"precious"


def test_a_file_system_without_locks_is_an_os_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What some releases of filelock raise there is turned into what callers expect."""

    def unsupported(*args: object, **kwargs: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr("filelock.FileLock.acquire", unsupported)
    with pytest.raises(OSError, match=r"[Nn]o locks"):
        take_lock(tmp_path / "lock", timeout=0.1, owner=my_own(tmp_path))


@pytest.mark.parametrize(("number", "counts"), [(22, False), (5, True)])
def test_only_real_failures_of_syncing_a_folder_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, counts: bool
) -> None:
    """A file system that can't sync folders (EINVAL) is accepted, a failing disk (EIO) isn't."""

    def fail(descriptor: int) -> None:
        raise OSError(number, "broken")

    monkeypatch.setattr(os, "fsync", fail)
    if not counts:
        sync_folder(tmp_path)
        return
    with pytest.raises(OSError, match="broken"):
        sync_folder(tmp_path)
