"""Files that are read without waiting, and replaced whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

from bpnet import check

try:
    import fcntl
except ImportError:  # Windows, where an open file can be neither deleted nor renamed
    fcntl = None  # type: ignore[assignment]

_LOCKS = fcntl is not None
_LONG_NAME = 100  # bytes: the temporary name stays below the least limit in use, 143
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # to open a pipe would be to wait for its other end


Place = str | os.PathLike[str] | io.BufferedIOBase


def write_whole(path: Place, write: Callable[[IO[bytes]], Any]) -> None:
    """Let ``write`` fill a temporary file, then give it the name path, in one step.

    Of a binary file that is open, all that is in it is replaced, once there is all to write.

    A symbolic link is followed.  A new file gets the permissions that open() would give; one
    that is replaced keeps its permissions, and its owner and group where the system allows it,
    and is at no time more open than before.  It is another file nevertheless: a hard link goes
    on to name the old one, and access control lists and extended attributes are not kept.

    What writers of path that were killed have left beside it is deleted first.  Raises OSError,
    with the old file as it was, if path is no file or, as open() does, if it may not be
    written; and if its folder may not.
    """
    if isinstance(path, io.BufferedIOBase):
        write(content := io.BytesIO())
        path.seek(0)
        path.truncate()
        path.write(content.getbuffer())
        path.flush()
        return
    target = os.path.realpath(os.fsdecode(path))
    old = _status(path, target)
    _sweep(target)
    temporary, descriptor = _create(target, 0o666 if old is None else 0o600)
    with contextlib.ExitStack() as held:
        held.callback(os.close, descriptor)
        try:
            with open(os.dup(descriptor), "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            if old is not None:
                _own(descriptor, old)
            if not _LOCKS:
                held.close()
            os.replace(temporary, target)  # and until then it is locked
        except BaseException:
            held.close()
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    with contextlib.suppress(OSError):  # the name, too, where a folder can be synced
        folder = os.open(os.path.dirname(target), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def open_file(path: Place) -> io.BufferedReader:
    """Return path, opened to be read; OSError if it is no file, and never waits for a pipe.

    Of a binary file that is open, return all that is in it.
    """
    if isinstance(path, io.BufferedIOBase):
        path.seek(0)
        return io.BufferedReader(io.BytesIO(path.read()))
    _check_file(path, os.stat(os.fsdecode(path)))
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NO_WAIT))
    try:
        _check_file(path, os.fstat(file.fileno()))  # it may be another by now
    except BaseException:
        file.close()
        raise
    return file


def _check_file(path: str | os.PathLike[str], status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):  # a folder, a pipe, /dev/null
        raise OSError(f"path must name a file, got {check.printable(path)}")


def _status(path: str | os.PathLike[str], target: str) -> os.stat_result | None:
    """Return the status of a file that open() would write to; None: there is none."""
    try:
        _check_file(path, os.stat(target))
    except FileNotFoundError:
        return None
    descriptor = os.open(target, os.O_WRONLY | _NO_WAIT)
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    _check_file(path, status)
    return status


# A temporary file is locked from its beginning until it has the name of its target, or until
# its writer is gone, and nobody deletes what he could not lock.  Process ids would not do: they
# mean nothing in another container, or on another machine.


def _create(target: str, mode: int) -> tuple[str, int]:
    """Return a new temporary file of target, locked, and its descriptor."""
    while True:
        name = f"{_stem(target)}{os.urandom(8).hex()}.partial"
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            descriptor = os.open(name, flags, mode)
        except OSError as error:
            error.filename = os.path.dirname(target)  # which is what it is about
            raise
        try:
            _lock(descriptor)
            if os.path.lexists(name):  # nobody has swept it before it was locked
                return name, descriptor
        except BlockingIOError:  # somebody is about to
            pass
        except BaseException:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a file; False where files cannot be locked, BlockingIOError if another has it."""
    if not _LOCKS:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # ENOLCK, EOPNOTSUPP, ...: what else lies in the folder stays there
        return False
    return True


def _sweep(target: str) -> None:
    """Delete the temporary files of target that no writer has locked."""
    with contextlib.suppress(OSError):
        for name in _leftovers(target):
            with contextlib.suppress(OSError):
                _delete_unlocked(name)


def _delete_unlocked(name: str) -> None:
    if not _LOCKS:
        os.unlink(name)  # an error where it is open
        return
    descriptor = os.open(name, os.O_RDWR | os.O_NOFOLLOW | _NO_WAIT)  # NFS locks no other
    try:
        if _lock(descriptor):
            now = os.stat(name, follow_symlinks=False)  # an error, if its writer was done first
            if os.path.samestat(now, os.fstat(descriptor)):
                os.unlink(name)
    finally:
        os.close(descriptor)


def _leftovers(target: str) -> Iterator[str]:
    """Yield the temporary files of target; earlier versions put a process id in their names."""
    folder, stem = os.path.split(_stem(target))
    form = re.compile(re.escape(stem) + r"(?:[1-9][0-9]{0,8}-)?[0-9a-f]{16}\.partial")
    with os.scandir(folder) as entries:
        for entry in entries:
            if form.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                yield entry.path


def _stem(target: str) -> str:
    """Return how the paths of target's temporary files begin."""
    folder, name = os.path.split(target)
    raw = os.fsencode(name)
    short = name if len(raw) <= _LONG_NAME else f"{name[:20]}{zlib.crc32(raw):08x}"
    return os.path.join(folder, f".{short}.")


def _own(descriptor: int, old: os.stat_result) -> None:
    """Give an open file the owner, group and permissions of an old one, as far as that goes.

    Where the group cannot be kept, group and others get what both had: nobody gets more.
    """
    if not hasattr(os, "fchown"):  # Windows, whose one permission, to write, is there
        return
    for owner in (old.st_uid, -1):
        with contextlib.suppress(OSError):
            os.fchown(descriptor, owner, old.st_gid)
            break
    mode = old.st_mode & 0o777
    if os.fstat(descriptor).st_gid != old.st_gid:
        both = mode & mode >> 3 & 0o7
        mode = mode & 0o700 | both << 3 | both
    os.fchmod(descriptor, mode)
