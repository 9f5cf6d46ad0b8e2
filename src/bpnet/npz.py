"""A zip of arrays that NumPy reads, every byte of which follows from the arrays; and its JSON.

Each array is a member as ``np.save`` writes it, stored, so that it can be mapped where it lies.
Headers always have the forms of large files (zip64), and a date of their own: the same arrays
give the same bytes, and a reader can compare all that is no array with what would be written.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from bpnet.check import Array

# Of a zip, as APPNOTE.TXT of PKWARE names them: local file header and its extra fields; central
# directory header and its extra field; end records of a large file, their locator, end record.
_LOCAL = struct.Struct("<4s5H3I2H")
_LOCAL64 = struct.Struct("<2H2Q")
_PADDING = struct.Struct("<3H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_CENTRAL64 = struct.Struct("<2H3Q")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_END = struct.Struct("<4s4H2IH")
_VERSION, _DATE, _LARGE, _MANY = 45, 1 << 5 | 1, 2**32 - 1, 2**16 - 1  # 1980-01-01
_ALIGNED = 0xD935  # the extra field that aligns members; Android's zipalign has made it known

_HEADER = 128  # bytes of an npy header: as NumPy's, whatever the shape
_CHUNK = 1 << 20  # bytes of an array that are looked at in one go, after which Ctrl-C is heard


class Member(NamedTuple):
    """What the headers say of an array."""

    name: str
    descr: str  # dtype.str
    shape: tuple[int, ...]
    crc: int = 0  # of its npy header and its items

    @property
    def nbytes(self) -> int:
        """The bytes of its items."""
        return np.dtype(self.descr).itemsize * math.prod(self.shape)

    @property
    def header(self) -> bytes:
        """What np.save writes before the items."""
        said = f"{{'descr': '{self.descr}', 'fortran_order': False, 'shape': {self.shape}, }}"
        start = b"\x93NUMPY\1\0" + (_HEADER - 10).to_bytes(2, "little")
        return start + said.encode().ljust(_HEADER - 11) + b"\n"


def describe(name: str, array: Array, look: Callable[[Array], object] | None = None) -> Member:
    """Return what the headers say of array; look is called with each block that is read."""
    member = Member(name, array.dtype.str, array.shape)
    crc = zlib.crc32(member.header)
    for block in _blocks(array):
        if look is not None:
            look(block)
        crc = zlib.crc32(_raw(block), crc)
    return member._replace(crc=crc)


def frames(members: Sequence[Member], align: int = 1) -> list[bytes]:
    """Return the bytes before the items of each member, and at last those after all of them.

    Items begin where the place in the file can be divided by align.
    """
    found, central, at = [], [], 0
    for member in members:
        name, header = f"{member.name}.npy".encode(), member.header
        size = len(header) + member.nbytes
        extra = _LOCAL64.pack(1, 16, size, size)
        extra += _padding(at + _LOCAL.size + len(name) + len(extra) + len(header), align)
        local = _LOCAL.pack(
            *(b"PK\3\4", _VERSION, 0, 0, 0, _DATE, member.crc, _LARGE, _LARGE),
            *(len(name), len(extra)),
        )
        listed = _CENTRAL.pack(
            *(b"PK\1\2", _VERSION, _VERSION, 0, 0, 0, _DATE, member.crc, _LARGE, _LARGE),
            *(len(name), _CENTRAL64.size, 0, 0, 0, 0, _LARGE),
        )
        central.append(listed + name + _CENTRAL64.pack(1, 24, size, size, at))
        found.append(local + name + extra + header)
        at += len(found[-1]) + member.nbytes
    directory, n = b"".join(central), len(members)
    end, few = at + len(directory), min(n, _MANY)
    directory += _END64.pack(
        *(b"PK\6\6", _END64.size - 12, _VERSION, _VERSION, 0, 0, n, n, len(directory), at)
    )
    directory += _LOCATOR.pack(b"PK\6\7", 0, end, 1)
    return [*found, directory + _END.pack(b"PK\5\6", 0, 0, few, few, _LARGE, _LARGE, 0)]


def write(file: IO[bytes], arrays: Mapping[str, Array], align: int = 1) -> None:
    """Write arrays to file, a block at a time.

    They are read twice, as their sums come first; ValueError if one has changed meanwhile.
    """
    members = [describe(*item) for item in arrays.items()]
    *starts, end = frames(members, align)
    for start, member, array in zip(starts, members, arrays.values()):
        file.write(start)
        written = describe(member.name, array, lambda block: file.write(_raw(block)))
        if written != member:
            raise ValueError(f"{member.name} must not change while it is saved")
    file.write(end)


def first(start: bytes, name: str, align: int) -> Member | None:
    """Return the first member of a file that starts so, if it is bytes of this name."""
    at = _LOCAL.size + len(f"{name}.npy")
    if len(start) < at + _LOCAL64.size:
        return None
    crc, size = _LOCAL.unpack_from(start)[6], _LOCAL64.unpack_from(start, at)[2]
    if not _HEADER <= size < 2**62:
        return None
    member = Member(name, "|u1", (size - _HEADER,), crc)
    return member if start.startswith(frames([member], align)[0]) else None


def encode(values: dict[str, Any]) -> bytes:
    """Return values as a JSON object; an error names the one that JSON cannot hold."""
    import json

    parts = []
    for name, value in values.items():
        try:
            parts.append(f'"{name}": {json.dumps(value)}')
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{name} must be what JSON can hold: {error}") from None
    return f"{{{', '.join(parts)}}}".encode()


def decode(text: bytes) -> dict[str, Any]:
    """Return the JSON object of a text; ValueError or RecursionError if it is none."""
    import json

    # float itself would be called without the interpreter, which hears Ctrl-C.
    found = json.loads(text.decode("utf-8-sig"), parse_float=lambda digits: float(digits))
    if not isinstance(found, dict):
        raise ValueError(f"its JSON must be an object, got {type(found).__name__}")
    return found


def _padding(at: int, align: int) -> bytes:
    """Return the extra field after which what would begin at a place is aligned."""
    if align == 1:
        return b""
    zeros = -(at + _PADDING.size) % align
    return _PADDING.pack(_ALIGNED, 2 + zeros, align) + bytes(zeros)


def _blocks(array: Array) -> Iterator[Array]:
    """Yield array in pieces of rows; of one that is mapped, no more is in memory at a time."""
    rows = np.atleast_1d(array)
    step = max(1, _CHUNK * len(rows) // max(1, rows.nbytes))
    return (rows[begin : begin + step] for begin in range(0, len(rows), step))


def _raw(block: Array) -> memoryview:
    return np.ascontiguousarray(block).reshape(-1).view(np.uint8).data
