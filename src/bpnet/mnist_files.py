"""MNIST's files: the four IDX files, gzipped or not, and the tutorial's ``mnist.pkl.gz``.

Nothing in a file is run, and nothing is allocated that its own bytes do not fill.  Every error
is a ValueError that names the file, what was expected and what was found.
"""

from __future__ import annotations

import gzip
import pickletools
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
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


def scale(images: NDArray[Any]) -> Images:
    """Return pixels 0 to 255, rows of 784, as the tutorial's float32 byte / 256."""
    return images.astype(np.float32) / np.float32(256)


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


def read_idx_split(paths: dict[str, Path]) -> tuple[Split, Split, Split]:
    """Read the four IDX files; the last sixth of the training set is the validation set."""
    images, labels = _read_pair(paths["training images"], paths["training labels"])
    test = _read_pair(paths["test images"], paths["test labels"])
    n = len(labels) - len(labels) // 6
    return (images[:n], labels[:n]), (images[n:], labels[n:]), test


def _read_pair(images_path: Path, labels_path: Path) -> Split:
    images = parse_idx(read(images_path), 3, images_path)
    labels = parse_idx(read(labels_path), 1, labels_path)
    if len(images) != len(labels):
        raise ValueError(
            f"{labels_path} must have a label for each of the {len(images)} images of "
            f"{images_path.name}, got {len(labels)}"
        )
    return scale(images.reshape(len(images), _PIXELS)), _check_labels(labels, labels_path)


def read(path: Path) -> bytes:
    """Return a file's bytes, unpacked if it is gzipped; a bomb is cut short."""
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            content = (gzip.GzipFile(fileobj=file) if gzipped else file).read(_MOST_BYTES + 1)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} must be a whole gzip file: {error}") from None
    if len(content) > _MOST_BYTES:
        raise ValueError(f"{path} must hold at most {_MOST_BYTES:,} bytes, it has more")
    return content


def parse_idx(content: bytes, dimensions: int, source: object) -> NDArray[np.uint8]:
    """Return the array of an IDX file: of images (n, 28, 28) or of labels (n,)."""
    size = 4 * (1 + dimensions)
    if len(content) < size:
        raise ValueError(
            f"{source} must begin with an IDX header of {size} bytes, it is cut short"
        )
    magic, *shape = struct.unpack(f">{1 + dimensions}I", content[:size])
    if magic != 0x800 + dimensions:
        raise ValueError(
            f"{source} must begin with the IDX magic number {0x800 + dimensions}, got {magic}"
        )
    if dimensions == 3 and shape[1:] != [28, 28]:
        raise ValueError(f"{source} must hold images of 28 x 28, got {shape[1]} x {shape[2]}")
    items = shape[0] * (_PIXELS if dimensions == 3 else 1)
    if len(content) != size + items:
        raise ValueError(
            f"{source} must have {items:,} bytes after its header, got {len(content) - size:,}"
        )
    return np.frombuffer(content, np.uint8, offset=size).reshape(shape)


def _check_labels(labels: NDArray[Any], source: object) -> Labels:
    if labels.size and not 0 <= labels.min() <= labels.max() <= 9:
        raise ValueError(
            f"{source} must hold labels from 0 to 9, got {labels.min()} to {labels.max()}"
        )
    return labels.astype(np.int64)


def read_pickle_split(path: Path) -> tuple[Split, Split, Split]:
    """Read the tutorial's mnist.pkl.gz: three pairs (images, labels), without unpickling it."""
    content = read(path)
    try:
        parts = _Pickle(content).value
        splits = [tuple(_as_array(array) for array in part) for part in parts]
        shapes = [[array.shape for array in part] for part in splits]
    except (ValueError, TypeError, KeyError, IndexError, struct.error) as error:
        raise ValueError(f"{path} must be the tutorial's pickled MNIST: {error}") from None
    if len(splits) != 3 or any(
        len(part) != 2 or part[0] != (*part[1], _PIXELS) for part in shapes
    ):
        raise ValueError(
            f"{path} must hold three pairs of arrays (n, {_PIXELS}) and (n,), got {shapes}"
        )
    checked = []
    for images, labels in splits:
        if images.dtype != np.float32 or not np.isfinite(images).all():
            raise ValueError(f"{path} must hold finite float32 pixels, got {images.dtype}")
        if labels.dtype.kind not in "iu":
            raise ValueError(f"{path} must hold integer labels, got {labels.dtype}")
        checked.append((images, _check_labels(labels, path)))
    return checked[0], checked[1], checked[2]


class _Pickle:
    """The value of a pickle of arrays and tuples, with every call left undone.

    An inert stack machine over pickletools' opcodes: what would be a global is its name, what
    would be a call a tuple ("call", name, arguments), what would set a state ("state", call,
    state).  Opcodes that arrays do not need are refused.
    """

    _MARK = object()
    _MOST_OPCODES = 10_000  # the real file has a few dozen
    _CONSTANTS: ClassVar = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
    _LITERALS = frozenset(
        "INT BININT BININT1 BININT2 LONG1 STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE "
        "SHORT_BINUNICODE BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8".split()
    )
    _TUPLES: ClassVar = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}

    def __init__(self, content: bytes):
        self._stack: list[Any] = []
        self._memo: dict[Any, Any] = {}
        for i, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if i == self._MOST_OPCODES:
                raise ValueError(f"it has more than {i} opcodes")
            self._step(opcode.name, argument)
        (self.value,) = self._stack

    def _step(self, name: str, argument: Any) -> None:
        push, pop = self._stack.append, self._stack.pop
        if name in ("PROTO", "FRAME", "STOP"):
            return
        if name in self._CONSTANTS:
            push(self._CONSTANTS[name])
        elif name in self._LITERALS:
            push(argument)
        elif name == "MARK":
            push(self._MARK)
        elif name in ("TUPLE", "LIST"):
            push(tuple(self._to_mark()))
        elif name in self._TUPLES:
            n = self._TUPLES[name]
            self._stack[-n:] = [tuple(self._stack[-n:])]
        elif name == "EMPTY_LIST":
            push(())
        elif name in ("APPENDS", "APPEND"):
            items = self._to_mark() if name == "APPENDS" else [pop()]
            push((*pop(), *items))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            push(self._memo[argument])
        elif name == "GLOBAL":
            push(argument.replace(" ", "."))
        elif name == "STACK_GLOBAL":
            attribute, module = pop(), pop()
            push(f"{module}.{attribute}")
        elif name == "REDUCE":
            arguments, function = pop(), pop()
            push(("call", function, arguments))
        elif name == "BUILD":
            state, target = pop(), pop()
            replaced = ("state", target, state)
            self._memo = {k: replaced if v is target else v for k, v in self._memo.items()}
            push(replaced)
        else:
            raise ValueError(f"it has the opcode {name}, which no array needs")

    def _to_mark(self) -> list[Any]:
        items = []
        while (item := self._stack.pop()) is not self._MARK:
            items.append(item)
        return items[::-1]


_RECONSTRUCT = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
_FROM_BUFFER = ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer")
_DTYPES = frozenset(["f4", "f8", "i8", "i4", "u1"])


def _as_array(value: Any) -> NDArray[Any]:
    """Return the array that an uncalled reconstruction of _Pickle describes."""
    match value:
        case (
            "state",
            ("call", name, _),
            (1, shape, dtype, bool() | int() as fortran, raw),
        ) if name in _RECONSTRUCT:
            order: Any = "F" if fortran else "C"
        case ("call", name, (raw, dtype, shape, ("C" | "F") as given)) if name in _FROM_BUFFER:
            order = given
        case _:
            raise ValueError("it holds something that is not an array")
    array = np.frombuffer(_as_bytes(raw), _as_dtype(dtype))
    return array.reshape([int(n) for n in shape], order=order)


def _as_dtype(value: Any) -> np.dtype[Any]:
    match value:
        case (
            "state",
            ("call", "numpy.dtype", (str(code), *_)),
            (_, ("<" | ">" | "|") as order, *_),
        ):
            if code in _DTYPES:
                return np.dtype(order + code)
    raise ValueError("it holds an array that is not of plain numbers")


def _as_bytes(value: Any) -> bytes:
    match value:
        case bytes() | bytearray():
            return bytes(value)
        case str():  # Python 2's str
            return value.encode("latin-1")
        case ("call", "_codecs.encode", (str(text), "latin1" | "latin-1")):  # protocols 0 to 2
            return text.encode("latin-1")
    raise ValueError("it holds an array without its bytes")
