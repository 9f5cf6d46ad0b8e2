"""The bytes of a data file, unpacked as they are asked for, within what it can hold."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bpnet import check
from bpnet.wholefile import open_file

if TYPE_CHECKING:
    from collections.abc import Iterator

# Unpacked bytes for a packed one, and beyond.  Pictures shrink 3 to 15 times and the book's
# pickles of text 50 times; a bomb of zeros reaches 1032.  Sorted labels are like a bomb, but
# small.
_MOST_RATIO = 300
_SLACK = 1 << 22

_CHUNK = 1 << 16
_MOST_LINE = 1 << 24  # of a table


class Stream:
    """The bytes of a file that is no longer than most, taken one after the other."""

    def __init__(self, file: io.BufferedIOBase, most: int, gzip: _Gzip | None = None):
        self._file, self._gzip = file, gzip
        self._most = most
        self.taken = 0

    def check_claim(self, n: int) -> None:
        """Raise ValueError if there cannot be n more bytes."""
        if (left := self._most - self.taken) < n:
            packed = self._gzip and ", packed as it is"
            raise ValueError(f"it has {left:,} more bytes{packed or ''} and not {n:,}")

    def take(self, n: int) -> bytearray:
        """Return the next n bytes."""
        self.check_claim(n)
        if n > _CHUNK:
            check_room(n)
        taken = bytearray(n)
        if (found := self._file.readinto(taken)) < n:
            raise ValueError(f"it has {found:,} more bytes and not {n:,}")
        self.taken += n
        return taken

    def start(self, n: int) -> bytes:
        """Return the first n bytes, or fewer where there are no more."""
        return self._file.read(n)

    def line(self) -> bytes:
        """Return the next line, without its end."""
        line = self._file.readline()
        self.taken += len(line)
        if not line.endswith(b"\n"):
            raise ValueError("it ends within a line")
        return line[:-1]

    def lines(self) -> list[str]:
        """Return some next lines, about a megabyte of them; none at the end."""
        return self.text().splitlines()

    def text(self) -> str:
        """Return what these lines are, with their ends."""
        text = self._file.read(1 << 20)
        text += self._file.readline(_MOST_LINE)
        if len(text) > _MOST_LINE:
            raise ValueError(f"it has a line of more than {_MOST_LINE:,} bytes")
        self.taken += len(text)
        return text.decode("utf-8-sig")

    def packed(self) -> int:
        """Return how many bytes of the file itself were needed so far."""
        return self._gzip.packed if self._gzip else self.taken

    def check_end(self) -> None:
        """Refuse what follows; a gzip file's sum is checked here."""
        if self._file.read(1):
            raise ValueError(f"it goes on after its {self.taken:,} bytes")


class _Gzip(io.RawIOBase):
    """What a gzip file unpacks to; zeros after a member are padding, as for gzip(1)."""

    def __init__(self, file: io.BufferedIOBase):
        self._file = file
        self._member = zlib.decompressobj(31)
        self._ahead = b""
        self._members = 1
        self._unpacked = self.packed = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n = len(buffer)
        while True:
            if self._member.eof and not self._next_member():
                return 0
            ended = not self._ahead and not self._fill()
            unpacked = self._member.decompress(self._ahead, n)
            eof = self._member.eof
            self._ahead = self._member.unused_data if eof else self._member.unconsumed_tail
            if unpacked:
                buffer[: len(unpacked)] = unpacked
                self._unpacked += len(unpacked)
                if self._unpacked > _most_unpacked(self.packed):
                    raise ValueError(f"it unpacks to more than {_MOST_RATIO} times its bytes")
                return len(unpacked)
            if ended and not eof:
                raise ValueError("it ends within its gzip stream")

    def _fill(self) -> bool:
        self._ahead = self._file.read(_CHUNK)
        self.packed += len(self._ahead)
        return bool(self._ahead)

    def _next_member(self) -> bool:
        while not (ahead := self._ahead.lstrip(b"\0")):
            if not self._fill():
                return False
        if ahead[0] != 0x1F:
            raise ValueError("it goes on after its gzip stream with something else")
        self._ahead = ahead
        self._members += 1
        if self._members > 100 + self.packed // 1024:  # each costs time, even if it is empty
            raise ValueError(f"it has more than {self._members - 1} gzip streams")
        self._member = zlib.decompressobj(31)
        return True


def _most_unpacked(packed: int) -> int:
    return _MOST_RATIO * packed + _SLACK


def check_room(n: int) -> None:
    """Raise ValueError if this machine has no room for n bytes."""
    if n > check.physical_memory():
        raise ValueError(f"it takes {n:,} bytes, which do not fit in memory")


@contextlib.contextmanager
def named(source: Path | bytes, kind: str) -> Iterator[None]:
    """Put the name of a file, and what it must be, to what is refused of it."""
    name = check.printable(source) if isinstance(source, Path) else "the download"
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise OSError(f"{name} cannot be read: {check.printable(error)}") from None
        raise
    except (
        *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError),
        *(zlib.error, zipfile.BadZipFile, struct.error, EOFError),
        RuntimeError,  # NotImplementedError, RecursionError; an archive with a password
        Warning,  # escape_decode's, where warnings are errors
    ) as error:
        raise ValueError(f"{name} must be {kind}: {check.printable(error):.300}") from None


@contextlib.contextmanager
def opened(source: Path | bytes, kind: str, name: str | None = None) -> Iterator[Stream]:
    """Open a file, gzipped or not, or its bytes, which may have a name."""
    with (
        named(source if name is None else Path(name), kind),
        open_file(source) if isinstance(source, Path) else io.BytesIO(source) as file,
    ):
        gzipped = file.read(2) == b"\x1f\x8b"
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        if gzipped:
            gzip = _Gzip(file)
            yield Stream(io.BufferedReader(gzip, _CHUNK), _most_unpacked(size), gzip)
        else:
            yield Stream(file, size)


def opened_member(archive: zipfile.ZipFile, name: str) -> Stream:
    """Open a member of a zip archive."""
    member = archive.getinfo(name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is packed in an unusual way")
    size = Path(archive.filename or "").stat().st_size
    most = _most_unpacked(min(member.compress_size, size))
    file: Any = archive.open(member)
    return Stream(io.BufferedReader(file, _CHUNK), min(member.file_size, most))
