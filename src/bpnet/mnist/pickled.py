"""Pickles of arrays: the tutorial's ``mnist.pkl.gz``, its script's ``mnist_expanded.pkl.gz``.

Nothing in a file is run: it is read by a stack machine that leaves every call undone.
"""

from __future__ import annotations

import codecs
import itertools
import pickletools
from typing import TYPE_CHECKING, Any

import numpy as np

from bpnet.mnist.pictures import as_labels, as_pixels
from bpnet.mnist.stream import check_room, opened

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from bpnet.mnist.pictures import Images, Parts, Split
    from bpnet.mnist.stream import Stream


def read_pickle(path: Path) -> Parts:
    """Read three pairs (images, labels), each an array or a list, without unpickling them."""
    with opened(path, "the tutorial's three pairs of arrays, pickled") as stream:
        if path.suffix == ".zip":
            raise ValueError("unpack the archive and name its folder")
        pairs = _read_pickle(stream)
        stream.check_end()
        training, validation, test = pairs
        most = stream.taken
        lists: dict[int, Images] = {}
        first = _as_split(training, None, most, lists)
        second = _as_split(validation, first, most, lists)
        return first, second, _as_split(test, first, most, lists)


class _Call:
    """A call that a pickle asks for, left undone, and the state it would give the result."""

    __match_args__ = ("function", "arguments", "state")
    __slots__ = __match_args__

    def __init__(self, function: Any, arguments: Any):
        self.function, self.arguments = function, arguments
        self.state: Any = None


# mnist.pkl.gz has 149.  A list of arrays has up to 40 for each, which has 200 bytes or more.
_MOST_OPCODES = 10_240
_BYTES_PER_OPCODE = 4
_OPCODES = {  # by code: the name, and the bytes of the argument or what they depend on
    ord(opcode.code): (opcode.name, opcode.arg.n if opcode.arg else 0)
    for opcode in pickletools.opcodes
}
_LENGTHS = {  # bytes of an argument's length
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_CONSTANTS = {"NONE": None, "NEWFALSE": False, "NEWTRUE": True, "EMPTY_TUPLE": ()}
_MARK = object()


def _read_opcode(stream: Stream) -> tuple[str, bytes | bytearray]:
    """Return the name of the next opcode and the bytes of its argument.

    pickletools.genops decodes arguments, and Python 2's strings are not always ASCII.
    """
    code = stream.take(1)[0]
    if code not in _OPCODES:
        raise ValueError(f"it has the opcode {code}, which no pickle has")
    name, n = _OPCODES[code]
    if n == 0:
        return name, b""
    if n == pickletools.UP_TO_NEWLINE:
        return name, stream.line()
    if n < 0:
        n = int.from_bytes(stream.take(_LENGTHS[n]), "little")
    return name, stream.take(n)


def _as_integer(name: str, argument: bytes | bytearray) -> int:
    if name in ("INT", "LONG", "PUT", "GET"):
        return int(argument[:20].rstrip(b"L"))  # more digits are too large in any case
    return int.from_bytes(argument, "little", signed=name in ("BININT", "LONG1"))


def _read_pickle(stream: Stream) -> Any:
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

    for opcodes in itertools.count():
        if opcodes % 1024 == 0 and opcodes >= _MOST_OPCODES:
            if opcodes > stream.packed() // _BYTES_PER_OPCODE:
                raise ValueError(f"it has more than {opcodes:,} opcodes")
        name, argument = _read_opcode(stream)
        match name:
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[_as_integer(name, argument)] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
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
            case "UNICODE":
                stack.append(argument.decode("raw-unicode-escape").encode())
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
    raise AssertionError  # for type checkers: a count has no end


def _as_split(pair: Any, training: Split | None, most: int, lists: dict[int, Images]) -> Split:
    """Return a pair as arrays; most is how many bytes its file has."""
    images, labels = pair
    if not isinstance(images, list):
        x = _as_array(images)
        check_room(4 * x.size)
    elif id(images) in lists:  # a part that is another one, too
        x = lists[id(images)]
    else:
        x = lists[id(images)] = _stacked(images, most)
    y = np.array([_as_scalar(label) for label in labels]) if isinstance(labels, list) else None
    if y is None:
        y = _as_array(labels)
    pixels = x.shape[1] if x.ndim == 2 else 28 * 28
    if training is not None:
        pixels = training[0].shape[1]
    if y.ndim != 1 or x.shape != (len(y), pixels) or pixels == 0:
        raise ValueError(
            f"a pair has the shapes {x.shape}, {y.shape} and not (n, {pixels}), (n,)"
        )
    return np.require(as_pixels(x), np.float32, ["C", "W"]), as_labels(y, training)


def _stacked(items: list[Any], most: int) -> Images:
    """Return a list of rows as one array, and empty it: the rows are not needed any more."""
    first = _as_array(items[0]) if items else np.empty(0, np.float32)
    n = len(items)
    if n * first.nbytes > most:  # rows that are one and the same
        raise ValueError(f"it has {most:,} bytes for {n:,} rows of {first.nbytes:,}")
    check_room(n * first.size * 4)
    images = np.empty((n, first.size), np.float32)
    while items:
        row = _as_array(items.pop())
        if row.shape != first.shape or row.ndim != 1:
            raise ValueError(f"a list has arrays of the shapes {first.shape} and {row.shape}")
        images[len(items)] = as_pixels(row)
    return images


def _as_scalar(value: Any) -> int:
    """Return the integer that an undone call would have made, or that is there."""
    match value:
        case int():
            return value
        case _Call(
            (b"numpy.core.multiarray" | b"numpy._core.multiarray", b"scalar"), (dtype, raw)
        ):
            (scalar,) = np.frombuffer(_as_bytes(raw), _as_dtype(dtype))
            if scalar.dtype.kind in "iu":
                return int(scalar)
    raise ValueError("a list of labels holds something that is not an integer")


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
        case _Call((b"__builtin__" | b"builtins", b"bytes"), ()):
            return b""
    return value
