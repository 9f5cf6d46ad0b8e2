"""Examples that are packed once: in memory, or in a file that is mapped where it lies.

A file holds the arrays of a Dataset and, before them, ``dataset``, JSON that says which these
are and what is no array.  It is a zip of npy members, little-endian, each page-aligned.  From
that JSON, and from the sums of what is mapped, follows every other byte that ``save`` writes:
a file that differs in one of them is refused, and nothing in it is evaluated or decompressed.
"""

from __future__ import annotations

import functools
import itertools
import operator
import os
import sys
import threading
import weakref
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import bpcore
from bpnet import check, npz
from bpnet.data import Examples, Rows, accept, finite
from bpnet.wholefile import open_file, write_whole

if TYPE_CHECKING:
    from io import BufferedReader

    from numpy.typing import DTypeLike

    from bpnet.data import Array, DType, Inputs, Labels

_UNPACKED = 64  # rows that iterating over a Dataset unpacks at a time

_FORMAT, _VERSION = "bpnet.Dataset", 1
_FIRST = "dataset"  # the member of JSON
_PAGE = 4096  # bytes; mapped items of any dtype and size are aligned
_MOST_JSON = 1 << 24  # bytes: parsed, they may take 30 times as much memory
_CSR = ("offsets", "columns", "values", "codes")
_NAMES = ("x", *_CSR, "y", "labels", "weights")
_ITEMS = {item.newbyteorder("<").str for item in bpcore.INPUTS}  # and of all other arrays


class Dataset(Examples):
    """Examples packed once, for any number of calls, networks, threads and processes.

    examples is a list of tuples (x, y) or (x, label), x of shape (n_in, 1) and y (n_out, 1), or
    a pair (X, Y) of n rows, Y being (n, n_out) or n integer labels, or a Dataset, whose weights
    and notes are then kept unless others are given.  X and Y are arrays or what NumPy makes
    arrays of; X may be a sparse matrix, which is never made dense.  They are converted to
    dtype, float32 or float64; copied, so that they never change (but for X in a mapped file of
    more than 64 MB, which is read there); and kept without their zeros if most inputs are zero.
    weights are n numbers of at least 0, not all 0: a factor of each example's error and cost.
    The mean over a mini-batch is then over the sum of its weights.  Counts and accuracies do
    not look at weights; where a script overrides update_mini_batch they are refused.  notes,
    which may be assigned later, is None or a dict that JSON can hold: the names of columns,
    say.

    A Dataset takes the place of examples to train on and of those to look at, for a network of
    its dtype that has as many inputs and outputs, or an output for each of its labels; labels
    are also the numbers of a network of one output, and numbers in one column also labels.  Its
    items are tuples again, in copies.

    A pickle of it holds what it holds; of one that ``bpnet.open`` returned, only the name and
    the checksum of its file.

    Raises TypeError or ValueError if examples are not as described, or not finite in dtype.
    """

    _x: bpcore.Data
    _y: Array  # outputs (n, n_out) of dtype, or labels (n)
    _notes: dict[str, Any] | None = None
    _file: _File | None = None  # where all of it lies, but for its notes
    _path: str | None = None

    def __init__(
        self,
        examples: Any,
        *,
        dtype: DTypeLike = np.float64,
        weights: Any = None,
        notes: dict[str, Any] | None = None,
    ):
        engine, name = bpcore.engine(check.floating(dtype)), "examples"
        given = accept(name, examples)
        if isinstance(given, Dataset):
            notes = given.notes if notes is None else notes
            if weights is None:
                weights = given.weights
                if given.dtype == engine.dtype:
                    self._file, self._path = given._file, given._path
            given = given if given.dtype == engine.dtype else accept(name, list(given))
        if not len(given):
            raise ValueError(f"{name} must hold at least one example, got none")
        given.own = True
        n_in, n_out = given._sizes(name)
        x = bpcore.pack(engine, given._inputs(name, (n_in, n_out), engine.dtype), n_out)
        y = given._outputs(name, n_out, engine.dtype) if n_out else given.labels(name, None)
        if weights is not None and self._file is None:
            weights = _weights(weights, len(x), engine.dtype)
        self._hold(engine.dtype, x, y, weights, notes)

    def _hold(
        self, dtype: DType, x: bpcore.Data, y: Array, weights: Array | None, notes: Any
    ) -> Dataset:
        super().__init__(x, y)
        self._dtype, self.weights, self.notes = dtype, weights, notes
        return self

    @property
    def dtype(self) -> DType:
        """The dtype of x and y."""
        return self._dtype

    @property
    def nbytes(self) -> int:
        """The bytes that the examples take."""
        weights = 0 if self.weights is None else self.weights.nbytes
        return self._x.nbytes + self._y.nbytes + weights

    @property
    def notes(self) -> dict[str, Any] | None:
        """What the user keeps with the examples: None, or a dict that JSON can hold."""
        return self._notes

    @notes.setter
    def notes(self, notes: dict[str, Any] | None) -> None:
        if not isinstance(notes, (dict, type(None))):
            raise TypeError(f"notes must be a dict, got {type(notes).__name__}")
        self._notes = npz.decode(npz.encode({"notes": notes}))["notes"]  # a copy

    @property
    def path(self) -> str | None:
        """The file that bpnet.open read this from; None: it is in memory."""
        return self._path

    @property
    def checksum(self) -> int:
        """The sum of the file that save writes: the same of the same content, open or not."""
        if (file := self._in_file()) and file.text == self._text():
            return file.checksum
        arrays = self._arrays()
        return _sum(npz.frames([npz.describe(*item) for item in arrays.items()], _PAGE))

    def save(self, path: check.AnyPath) -> None:
        """Write a file that ``bpnet.open`` maps; one that is there is replaced, or kept.

        It is as large as nbytes and a little more.  NumPy reads it as npz, too.  Inputs are
        written a block at a time in the dtype that they have: those in a mapped file take no
        memory.  Who has the old file open goes on with it, except on Windows, where a file
        that is open cannot be replaced.  Raises OSError if path cannot be written.
        """
        path = check.path("path", path)
        _check_byte_order()
        write_whole(path, lambda file: npz.write(file, self._arrays(), _PAGE))

    def split(self, share: float, seed: int) -> tuple[Dataset, Dataset]:
        """Return two Datasets in memory: (the rest, a share of the examples held out).

        share, between 0 and 1, is rounded to examples; np.random.RandomState(seed) draws them,
        the first of its permutation, on every machine the same.  Both keep the order, dtype,
        form and notes of this, and the weights of their examples.  Raises ValueError if one
        would have no example, or only weights of 0.
        """
        number, n = check.finite("share", share, np.dtype(np.float64)), len(self)
        if not 0 < number < 1:
            raise ValueError(f"share must be between 0 and 1, got {share!r}")
        random = np.random.RandomState(check.integer("seed", seed, 0, 2**32 - 1))
        if not 0 < (k := round(number * n)) < n:
            raise ValueError(
                f"share must leave examples in both parts, got {share!r} of {n}, which is {k}"
            )
        held_out = np.zeros(n, bool)
        held_out[random.permutation(n)[:k]] = True
        return self._part(~held_out), self._part(held_out)

    def _part(self, some: Array) -> Dataset:
        """Return a Dataset of the examples where some is true."""
        inputs = self._x.inputs
        if self._x.sparse:
            n_in, offsets, columns, values, codes = inputs
            sizes = np.diff(offsets)
            items = np.repeat(some, sizes)
            begins = np.append(np.int64(0), np.cumsum(sizes[some], dtype=np.int64))
            if codes is None:
                values = values[items]
            else:
                values, codes = values.copy(), codes[items]
            inputs = n_in, begins, columns[items], values, codes
        else:
            inputs = np.ascontiguousarray(inputs[some])
        weights = None if self.weights is None else self.weights[some]
        if weights is not None and not weights.any():
            raise ValueError("weights must not all be 0 in one of the parts: use another seed")
        return _built(self.dtype, inputs, self._y[some], weights, self.notes)

    def rows(self, begin: int, end: int) -> tuple[Array, Array]:
        """Return copies of some examples: inputs (k, n_in), and labels (k) or outputs."""
        return self._x.rows(begin, end), self._y[begin:end].copy()

    def __getitem__(self, index: int) -> tuple[Array, Any]:
        """Return a copy of one example, (x, y) or (x, label)."""
        i = range(len(self))[operator.index(index)]
        return self._x.rows(i, i + 1).T, self._target(i)

    def __iter__(self) -> Iterator[tuple[Array, Any]]:
        """Yield a copy of each example."""
        for begin in range(0, len(self), _UNPACKED):
            for i, x in enumerate(self._x.rows(begin, begin + _UNPACKED), begin):
                yield x[:, None], self._target(i)

    def __repr__(self) -> str:
        """Say what it holds, in which form, and how large it is."""
        n, n_in = self._x.shape
        targets = "labels" if self._y.ndim == 1 else f"{self._y.shape[1]} outputs"
        targets += "" if self.weights is None else ", weights"
        form = "CSR" if self._x.sparse else "dense"
        return (
            f"<bpnet.Dataset: {n:,} examples, {n_in} inputs, {targets}, {self.dtype}, {form}, "
            f"{self._x.nonzeros / (n * n_in):.0%} nonzero, {self.nbytes / 1e6:.1f} MB>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the name and the sum of the file, or else what is held, without its zeros."""
        if file := self._in_file():
            others = () if file.text == self._text() else (self.notes,)
            return _reopened, (self._path, file.checksum, *others)
        held = self.dtype.name, self._x.inputs, self._y, self.weights, self.notes
        return _restored, held

    def _in_file(self) -> _File | None:
        """Return the file that holds all of this, but perhaps its notes."""
        file = self._file
        return file if file and file.dataset.weights is self.weights else None

    def _arrays(self) -> dict[str, Array]:
        """Return the members of a file, the first of which says what the others are."""
        text = self._text()
        if len(text) > _MOST_JSON:
            raise ValueError(
                f"notes must have at most {_MOST_JSON:,} bytes as JSON, got {len(text):,}"
            )
        return {_FIRST: np.frombuffer(text, np.uint8), **self._parts()}

    def _parts(self) -> dict[str, Array]:
        inputs = {"x": self._x.inputs}
        if self._x.sparse:
            inputs = dict(zip(_CSR, self._x.inputs[1:]))
        targets = "labels" if self._y.ndim == 1 else "y"
        parts = {**inputs, targets: self._y, "weights": self.weights}
        return {name: part for name, part in parts.items() if part is not None}

    def _text(self) -> bytes:
        """Return the JSON of the first member."""
        return npz.encode(
            {
                "format": _FORMAT,
                "version": _VERSION,
                "dtype": self.dtype.name,
                "n_in": self._x.shape[1],
                "arrays": {
                    name: [part.dtype.str, list(part.shape)]
                    for name, part in self._parts().items()
                },
                "notes": self.notes,
            }
        )

    def labels(self, name: str, n_out: int | None, by_argmax: bool = False) -> Labels:
        """Return the labels, as Examples do; where they are in order, without a copy."""
        if self._y.ndim == 1 and n_out != 1 and (n_out is None or self._y.max() < n_out):
            return self._y
        return super().labels(name, n_out, by_argmax)

    def _target(self, i: int) -> Any:
        return int(self._y[i]) if self._y.ndim == 1 else self._y[i][:, None].copy()

    def _items(self) -> list[tuple[Any, Any]]:
        return list(self)

    def _inputs(self, name: str, sizes: Sequence[int], dtype: DType) -> Inputs:
        if dtype != self.dtype:
            raise ValueError(
                f"{name} must be a Dataset of the network's dtype, {dtype}, got {self.dtype}"
            )
        n_in, n_out = self._sizes(name)
        if n_in != sizes[0] or n_out not in (0, 1, sizes[-1]):  # one is a column of labels
            has, expected = f"{n_in} inputs", str(sizes[0])
            if n_out:
                has, expected = f"{has} and {n_out} outputs", f"{expected} and {sizes[-1]}"
            raise ValueError(
                f"{name} has {has}, expected {expected} to match sizes {list(sizes)}"
            )
        return self._x

    def _outputs(self, name: str, n_out: int, dtype: DType) -> Array:
        return self._y if self._y.ndim == 2 else self._y[:, None].astype(dtype)

    def _sizes(self, name: str) -> tuple[int, int]:
        return self._x.shape[1], self._y.shape[1] if self._y.ndim == 2 else 0


def open(path: check.AnyPath) -> Dataset:
    """Return the Dataset that ``save`` wrote to path, mapped where it lies, read-only.

    Nothing is copied: its pages are the system's, which all processes that open it share and
    which may be more than there is memory.  All of it is read once and checked; while it is
    open in this process, opening it again costs nothing.  Any thread may use it.  Its pickle
    is the absolute path and the checksum: what unpickles it opens the file there, which must
    be on that machine, and refuses another.

    ``save`` never changes a file that is open, and nobody else may.  Raises OSError if path is
    no file or cannot be read, ValueError if it is not what ``save`` writes.
    """
    path = os.path.abspath(check.path("path", path))
    return _mapped(path).dataset_at(path)


class _File:
    """A file that is mapped and was checked."""

    def __init__(self, status: Any, dataset: Dataset, frames: list[bytes]):
        self.status, self.dataset, self.end = status, dataset, frames[-1]
        self.checksum, self.text = _sum(frames), dataset._text()

    def dataset_at(self, path: str) -> Dataset:
        """Return a Dataset of its own of it, opened at path."""
        held, dataset = self.dataset, Dataset.__new__(Dataset)
        dataset._file, dataset._path = self, path
        notes = npz.decode(self.text)["notes"]
        return dataset._hold(held.dtype, held._x, held._y, held.weights, notes)


# By real path; under a lock, so that threads do not check the same file side by side.
_files: weakref.WeakValueDictionary[str, _File] = weakref.WeakValueDictionary()
_lock = threading.RLock()


def _new_lock() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # the thread that had it is not in the child
    os.register_at_fork(after_in_child=_new_lock)


def _mapped(path: str) -> _File:
    """Return the file, checked, or the one that is open already and has not changed since."""
    _check_byte_order()
    with _lock, open_file(path) as file:
        found, real = os.fstat(file.fileno()), os.path.realpath(path)
        status = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
        known = _files.get(real)
        if known is not None and known.status == status:
            file.seek(-len(known.end), os.SEEK_END)
            if file.read() == known.end:
                return known
            file.seek(0)
        try:
            known = _files[real] = _File(status, *_read(file, found.st_size))
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            name, reason = check.printable(path), check.printable(error)
            raise ValueError(
                f"{name} must be a file that Dataset.save wrote: {reason:.300}"
            ) from None
        return known


def _read(file: BufferedReader, size: int) -> tuple[Dataset, list[bytes]]:
    """Return what a file of this size holds, mapped, and its frames; each byte is checked."""
    text = _first(file, size)
    values, first = npz.decode(text), npz.describe(_FIRST, np.frombuffer(text, np.uint8))
    if (values.get("format"), values.get("version")) != (_FORMAT, _VERSION):
        raise ValueError(f"it must be of version {_VERSION}, which this bpnet reads")
    members = [first, *_members(values.get("arrays"), size)]
    frames = npz.frames(members, _PAGE)
    sizes = [len(frame) + member.nbytes for frame, member in zip(frames, members)]
    *begins, end = itertools.accumulate([0, *sizes, len(frames[-1])])
    if size != end:  # before it is mapped: what lies beyond the end of a file cannot be read
        raise ValueError(f"it must have {end:,} bytes, got {size:,}")
    memory, dtype = _map(file, size), check.floating(values.get("dtype"))
    arrays = {
        member.name: np.ndarray(member.shape, member.descr, memory, begin + len(frame))
        for begin, frame, member in zip(begins, frames, members)
    }
    looks = [functools.partial(_look, name, dtype=dtype) for name in arrays]
    frames = npz.frames(list(map(npz.describe, arrays, arrays.values(), looks)), _PAGE)
    if any(memory[at : at + len(frame)] != frame for at, frame in zip(begins, frames)):
        raise ValueError("it is damaged")
    csr = values.get("n_in"), *map(arrays.get, _CSR)
    inputs, targets = arrays.get("x", csr), arrays["y" if "y" in arrays else "labels"]
    weights, notes = arrays.get("weights"), values.get("notes")
    dataset = _built(dtype, inputs, targets, weights, notes)
    if dataset._text() != text:
        raise ValueError("what it says of itself must be what save writes")
    return dataset, frames


def _first(file: BufferedReader, size: int) -> bytes:
    """Return the JSON that a file begins with."""
    start = file.read(_PAGE)
    if b"format.npy" in start[:64]:
        raise ValueError("it holds a network: use bpnet.load")
    first = npz.first(start, _FIRST, _PAGE)
    if first is None or first.nbytes > min(size, _MOST_JSON):
        raise ValueError("it begins as none does")
    return file.read(first.nbytes)


def _map(file: BufferedReader, size: int) -> Any:
    """Return the bytes of a file, which stay there until they are looked at."""
    import mmap

    try:
        return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    except OSError as error:
        error.filename = file.name
        raise


def _members(arrays: Any, size: int) -> list[npz.Member]:
    """Return what a file must hold of which the first member says this.

    Whether the arrays fit together is not asked here.
    """
    names = {*arrays} if isinstance(arrays, dict) else set()
    inputs, targets = names & {"x", *_CSR}, names & {"y", "labels"}
    if not (names <= {*_NAMES} and targets and (inputs == {"x"} or {*_CSR[:3]} <= inputs)):
        raise ValueError(f"it cannot hold {arrays!r:.60}")
    members = []
    for name, said in arrays.items():
        match said:
            case [str(descr), [*shape]] if descr in _ITEMS and all(map(_is_length, shape)):
                members.append(npz.Member(name, descr, tuple(shape)))
            case _:
                raise ValueError(f"{name} cannot be {said!r:.60}")
    if sum(member.nbytes for member in members) > size:
        raise ValueError(f"it must be larger to hold its arrays, got {size:,} bytes")
    return members


def _is_length(n: Any) -> bool:
    return type(n) is int and 0 <= n <= sys.maxsize


def _reopened(path: str, checksum: int, *notes: Any) -> Dataset:
    """Return the Dataset of a file that was open where this was pickled."""
    try:
        file = _mapped(path)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{check.printable(path)}, the file of a Dataset that was pickled as its path, "
            f"must be on every machine that unpickles it, and is not here"
        ) from None
    if file.checksum != checksum:
        raise ValueError(
            f"{check.printable(path)} must be the file that was open where its Dataset was "
            f"pickled, of checksum {checksum}, got one of {file.checksum}"
        )
    dataset = file.dataset_at(path)
    if notes:
        dataset.notes = notes[0]
    return dataset


def _restored(
    dtype: str, inputs: Any, y: Array, weights: Array | None, notes: Any = None
) -> Dataset:
    """Return the Dataset that held this; it comes from a file, perhaps, so all is checked."""
    found = check.floating(dtype)
    if y.ndim == 2:
        finite("y", y)
    dataset = _built(found, inputs, y, None, notes)
    if weights is not None:
        dataset.weights = _weights(weights, len(y), found)
    if dataset._x.sparse:
        finite("x", inputs[3])
    else:
        _look("x", inputs, found)
    return dataset


def _built(dtype: DType, inputs: Any, y: Array, weights: Array | None, notes: Any) -> Dataset:
    """Return the Dataset of these parts; all is checked, but not whether x and y are finite."""
    engine = bpcore.engine(dtype)
    targets = {"y": y} if y.ndim == 2 else {"labels": y}
    n_out = y.shape[1] if y.ndim == 2 else sys.maxsize
    x = bpcore.Data(engine, inputs, n_out, weights=weights, **targets)
    if min(x.shape) < 1 or not y.size:
        raise ValueError(f"a Dataset must hold examples, got shapes {x.shape} and {y.shape}")
    return Dataset.__new__(Dataset)._hold(dtype, x, y, weights, notes)


def _look(name: str, rows: Array, dtype: DType) -> None:
    """Raise ValueError if rows, or items, are not finite in dtype."""
    if rows.dtype.kind == "f" and rows.dtype != dtype and rows.ndim == 2:
        Rows(name, rows, dtype).check_all()
    elif rows.dtype.kind == "f":
        finite(name, rows)


def _weights(values: Any, n: int, dtype: DType) -> Array:
    """Return a copy of n weights of examples."""
    array = check.array("weights", values)
    if array.shape != (n,):
        raise ValueError(
            f"weights must have shape ({n},), one for each example, got shape {array.shape}"
        )
    with np.errstate(over="ignore", under="ignore"):
        weights = finite("weights", array.astype(dtype))
    if weights.min() < 0:
        i = int(weights.argmin())
        raise ValueError(f"weights[{i}] must be at least 0, got {array[i]}")
    if not weights.any():
        raise ValueError("weights must not all be 0")
    return weights


def _sum(frames: Sequence[bytes]) -> int:
    """Return the sum of what a file holds beside its arrays, whose sums are in it."""
    return zlib.crc32(b"".join(frames))


def _check_byte_order() -> None:
    if sys.byteorder != "little":
        raise OSError("files of a Dataset are little-endian, and this machine is not")
