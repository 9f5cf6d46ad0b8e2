"""MNIST's files: the four IDX files, gzipped or not, and the tutorial's ``mnist.pkl.gz``.

Nothing in a file is run, and nothing is allocated that its own bytes do not fill.  What is
wrong with a file is a ValueError that names it.
"""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import pickletools
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    Images = NDArray[np.float32]  # (n, 784), byte / 256
    Labels = NDArray[np.int64]  # (n,), 0 to 9
    Split = tuple[Images, Labels]

IDX = {
    "training images": "train-images-idx3-ubyte",
    "training labels": "train-labels-idx1-ubyte",
    "test images": "t10k-images-idx3-ubyte",
    "test labels": "t10k-labels-idx1-ubyte",
}
PICKLE = "mnist.pkl.gz"

_PIXELS = 28 * 28
_MOST_BYTES = 1 << 28  # unpacked; mnist.pkl.gz has 220 MB
_CHUNK = 1 << 20


def scale(images: NDArray[Any]) -> Images:
    """Return pixels 0 to 255, rows of 784, as the tutorial's float32 byte / 256."""
    return np.multiply(images, np.float32(1 / 256), dtype=np.float32)


def find_idx(folder: Path) -> dict[str, Path]:
    """Return the IDX files that folder has, by what is in them, gzipped or not."""
    found: dict[str, Path] = {}
    for content, name in IDX.items():
        # Some archives write a dot where the original has a hyphen.
        for spelling in (name, name.replace("-idx", ".idx")):
            for path in (folder / spelling, folder / f"{spelling}.gz"):
                if path.is_file():
                    found.setdefault(content, path)
    return found


def read_idx_split(files: Mapping[str, Path | bytes]) -> tuple[Split, Split, Split]:
    """Read the four IDX files; the last sixth of the training set is the validation set."""
    images, labels = _read_idx_pair(files["training images"], files["training labels"])
    test = _read_idx_pair(files["test images"], files["test labels"])
    n = len(labels) - len(labels) // 6
    return (images[:n], labels[:n]), (images[n:], labels[n:]), test


def _read_idx_pair(images_file: Path | bytes, labels_file: Path | bytes) -> Split:
    with _unpacked(images_file, "an IDX file of images") as stream:
        n, height, width = _read_idx_header(stream, 3)
        if (height, width) != (28, 28):
            raise ValueError(f"they are {height} x {width} and not 28 x 28")
        pixels = np.frombuffer(stream.take(n * _PIXELS), np.uint8).reshape(n, _PIXELS)
        stream.check_end()
    with _unpacked(labels_file, "an IDX file of labels") as stream:
        if (labels := _read_idx_header(stream, 1)) != [n]:
            raise ValueError(f"it has {labels[0]} for {n} images")
        digits = _check_labels(np.frombuffer(stream.take(n), np.uint8))
        stream.check_end()
    return scale(pixels), digits


def _read_idx_header(stream: _Stream, dimensions: int) -> list[int]:
    magic, *shape = (int.from_bytes(stream.take(4), "big") for _ in range(1 + dimensions))
    if magic != 0x800 + dimensions:
        raise ValueError(f"its magic number is {magic} and not {0x800 + dimensions}")
    return shape


def _check_labels(labels: NDArray[Any]) -> Labels:
    if labels.size and not 0 <= labels.min() <= labels.max() <= 9:
        raise ValueError(f"its labels are {labels.min()} to {labels.max()} and not 0 to 9")
    return labels.astype(np.int64)


class _Stream:
    """The unpacked bytes of a file, as they are asked for, within a limit in all."""

    def __init__(self, file: io.BufferedIOBase):
        self._file = file
        self._left = _MOST_BYTES

    def take(self, n: int) -> bytearray:
        """Return the next n bytes."""
        if n > self._left:
            raise ValueError(f"it claims more than {_MOST_BYTES:,} bytes")
        self._left -= n
        taken = bytearray()
        while len(taken) < n:
            chunk = self._file.read(min(n - len(taken), _CHUNK))
            if not chunk:
                raise ValueError(f"it has {len(taken):,} more bytes and not {n:,}")
            taken += chunk
        return taken

    def line(self) -> bytes:
        """Return the next line, without its end."""
        line = self._file.readline(self._left)
        self._left -= len(line)
        if not line.endswith(b"\n"):
            raise ValueError(f"it ends within a line or has more than {_MOST_BYTES:,} bytes")
        return line[:-1]

    def check_end(self) -> None:
        """Refuse what follows; a gzip file's sum is checked here."""
        if self._file.read(1):
            raise ValueError(f"it goes on after its {_MOST_BYTES - self._left:,} bytes")


@contextlib.contextmanager
def _unpacked(source: Path | bytes, kind: str) -> Iterator[_Stream]:
    """Open a file, gzipped or not, or its bytes; put its name to what is refused of it."""
    with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file:
        gzipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            yield _Stream(gzip.GzipFile(fileobj=file) if gzipped else file)
        except (
            *(ValueError, TypeError, LookupError, AttributeError),
            *(EOFError, gzip.BadGzipFile, zlib.error),
            Warning,  # escape_decode's, where warnings are errors
        ) as error:
            name = source if isinstance(source, Path) else "the download"
            raise ValueError(f"{name} must be {kind}: {error}") from None


def read_pickle_split(path: Path) -> tuple[Split, Split, Split]:
    """Read the tutorial's mnist.pkl.gz: three pairs (images, labels), without unpickling it."""
    with _unpacked(path, "the tutorial's three pairs of arrays, pickled") as stream:
        training, validation, test = _read_pickle(stream)
        stream.check_end()
        return _as_split(*training), _as_split(*validation), _as_split(*test)


class _Call:
    """A call that a pickle asks for, left undone, and the state it would give the result."""

    __match_args__ = ("function", "arguments", "state")

    def __init__(self, function: Any, arguments: Any):
        self.function, self.arguments = function, arguments
        self.state: Any = None


_MOST_OPCODES = 1000  # the real file has 149
_OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
_LENGTHS = {  # bytes of an argument's length
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_CONSTANTS = {"NONE": None, "NEWFALSE": False, "NEWTRUE": True, "EMPTY_TUPLE": ()}
_MARK = object()


def _read_opcode(stream: _Stream) -> tuple[str, bytes | bytearray]:
    """Return the name of the next opcode and the bytes of its argument.

    pickletools.genops decodes arguments, and Python 2's strings are not always ASCII.
    """
    code = stream.take(1)[0]
    if code not in _OPCODES:
        raise ValueError(f"it has the opcode {code}, which no pickle has")
    opcode = _OPCODES[code]
    n = opcode.arg.n if opcode.arg else 0
    if n == pickletools.UP_TO_NEWLINE:
        return opcode.name, stream.line()
    if n < 0:
        n = int.from_bytes(stream.take(_LENGTHS[n]), "little")
    return opcode.name, stream.take(n)


def _as_integer(name: str, argument: bytes | bytearray) -> int:
    if name in ("INT", "LONG", "PUT", "GET"):
        return int(argument[:20].rstrip(b"L"))  # more digits are too large in any case
    return int.from_bytes(argument, "little", signed=name in ("BININT", "LONG1"))


def _read_pickle(stream: _Stream) -> Any:
    """Return the value of a pickle of arrays in tuples and lists, every call left undone.

    An inert stack machine: a global is a tuple of names, a call a _Call, and every string, of
    text too, is its bytes.  Opcodes that arrays do not need are refused.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def pop_to_mark() -> list[Any]:
        items = []
        while (item := stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    for _ in range(_MOST_OPCODES):
        name, argument = _read_opcode(stream)
        match name:
            case "STOP":
                (value,) = stack
                return value
            case "PROTO" | "FRAME":
                pass
            case "NONE" | "NEWFALSE" | "NEWTRUE" | "EMPTY_TUPLE":
                stack.append(_CONSTANTS[name])
            case "INT" | "LONG" | "BININT" | "BININT1" | "BININT2" | "LONG1":
                stack.append(_as_integer(name, argument))
            case "STRING":
                stack.append(codecs.escape_decode(argument[1:-1])[0])
            case "BINSTRING" | "BINBYTES" | "BINBYTES8" | "BYTEARRAY8" | "BINUNICODE":
                stack.append(argument)
            case "SHORT_BINSTRING" | "SHORT_BINBYTES" | "SHORT_BINUNICODE":
                stack.append(argument)
            case "MARK":
                stack.append(_MARK)
            case "TUPLE":
                stack.append(tuple(pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                n = len(stack) - int(name[-1])
                stack[n:] = [tuple(stack[n:])]
            case "EMPTY_LIST":
                stack.append([])
            case "LIST":
                stack.append(pop_to_mark())
            case "APPEND" | "APPENDS":
                items = pop_to_mark() if name == "APPENDS" else [stack.pop()]
                stack[-1].extend(items)
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[_as_integer(name, argument)] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo.get(_as_integer(name, argument)))
            case "GLOBAL":
                stack.append((argument, stream.line()))
            case "STACK_GLOBAL":
                stack[-2:] = [tuple(stack[-2:])]
            case "REDUCE":
                stack[-2:] = [_Call(*stack[-2:])]
            case "BUILD":
                state = stack.pop()
                stack[-1].state = state
            case _:
                raise ValueError(f"it has the opcode {name}, which no array needs")
    raise ValueError(f"it has more than {_MOST_OPCODES} opcodes")


def _as_split(images: Any, labels: Any) -> Split:
    x, y = _as_array(images), _as_array(labels)
    if y.ndim != 1 or x.shape != (len(y), _PIXELS):
        raise ValueError(f"a pair has the shapes {x.shape}, {y.shape} and not (n, 784), (n,)")
    if x.dtype.kind + str(x.itemsize) != "f4" or y.dtype.kind not in "iu":
        raise ValueError(f"a pair is of {x.dtype}, {y.dtype} and not of float32, int64")
    if not np.isfinite(x).all():
        raise ValueError("a pixel is not a finite number")
    return np.require(x, np.float32, ["C", "W"]), _check_labels(y)


def _as_array(value: Any) -> NDArray[Any]:
    """Return the array that an undone call would have made."""
    match value:
        case _Call(
            (b"numpy.core.multiarray" | b"numpy._core.multiarray", b"_reconstruct"),
            _,
            (_, shape, dtype, in_columns, raw),
        ):
            order: Any = "F" if in_columns else "C"
        case _Call(
            (b"numpy.core.numeric" | b"numpy._core.numeric", b"_frombuffer"),
            (raw, dtype, shape, (b"C" | b"F") as letter),
        ):
            order = letter.decode()
        case _:
            raise ValueError("it holds something that is not an array")
    if min(shape) < 0:
        raise ValueError("it holds an array of a negative size")
    return np.frombuffer(_as_bytes(raw), _as_dtype(dtype)).reshape(shape, order=order)


def _as_dtype(value: Any) -> str:
    match value:
        case _Call((b"numpy", b"dtype"), (code, *_), (_, (b"<" | b">" | b"|") as order, *_)):
            if code in (b"f4", b"f8", b"i1", b"i2", b"i4", b"i8", b"u1", b"u2", b"u4", b"u8"):
                return (order + code).decode()
    raise ValueError("it holds an array of something that is not a number")


def _as_bytes(value: Any) -> Any:
    """Return an array's bytes, which Python 3's protocol 2 writes as text to be encoded."""
    match value:
        case _Call((b"_codecs", b"encode"), (text, b"latin1")):
            if np.frombuffer(text, np.uint8).max(initial=0) > 0xC3:  # the first of U+00FF's
                raise ValueError("it holds an array of text that is not Latin-1")
            return text.decode().encode("latin-1")
    return value
