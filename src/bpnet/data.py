"""Examples in any accepted form, checked and turned into what the core takes.

Every function raises before anything has changed, with one sentence that names the argument
as the caller wrote it, what it must be and what it was.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import bpcore
from bpnet import check

if TYPE_CHECKING:  # numpy.typing takes longer to import than all of bpnet
    from numpy.typing import DTypeLike, NDArray

    from bpnet.check import Array

    Examples: TypeAlias = "list[Any] | tuple[Array, Array] | Dataset"

# Items taken at a time: they stay in cache from being gathered to being checked.
_BLOCK = 2**16

_UNPACKED = 64  # rows that iterating over a Dataset unpacks at a time

_SINGLE = np.dtype(np.float32)

_size, _dtype = operator.attrgetter("size"), operator.attrgetter("dtype")


def columns(name: str, value: Any, n: int, dtype: np.dtype[Any]) -> Array:
    """Return value, whose k columns are vectors of n items, as rows (k, n) of finite dtype."""
    array = check.array(name, value)
    if array.ndim != 2 or array.shape[0] != n:
        raise _misfit(name, array, (n, 1))
    return _finite(name, check.require(array.T, dtype))


def column(name: str, value: Any, n: int, dtype: np.dtype[Any]) -> Array:
    """Return value of shape (n, 1) as one row (1, n) of finite dtype."""
    rows = columns(name, value, n, dtype)
    if len(rows) != 1:
        raise _misfit(name, rows.T, (n, 1))
    return rows


def materialise(name: str, examples: Any) -> Examples:
    """Return examples as a list of (x, y) of our own, as a pair (X, Y), or the Dataset.

    A tuple of two arrays is the pair: rows of X are inputs; Y holds labels or output rows.
    """
    if isinstance(examples, Dataset) or (
        isinstance(examples, tuple)
        and len(examples) == 2
        and all(isinstance(part, np.ndarray) for part in examples)
    ):
        return examples
    try:
        return list(examples)
    except TypeError:
        raise TypeError(
            f"{name} must be a list of (x, y) or a pair of arrays (X, Y), "
            f"got {type(examples).__name__}"
        ) from None


def count(examples: Examples) -> int:
    """Return the number of materialised examples."""
    return len(examples[0]) if isinstance(examples, tuple) else len(examples)


def as_list(examples: Examples, n_out: int) -> list[Any]:
    """Return materialised examples as a list of (x, y), columns."""
    if isinstance(examples, list):
        return examples
    if isinstance(examples, Dataset):
        return examples._pairs(n_out)
    x, y = map(np.asarray, examples)
    if y.size == len(y) and n_out > 1:
        y = np.eye(n_out)[labels("y", examples, n_out)]
    return [(row[:, None], np.reshape(target, (-1, 1))) for row, target in zip(x, y)]


def vectorised(name: str, examples: Examples, n_out: int) -> list[tuple[Any, Any]]:
    """Return materialised examples as a list of (x, y), columns, whether y or labels."""
    if not isinstance(examples, list) or n_out == 1:
        return [(x, np.reshape(y, (-1, 1))) for x, y in as_list(examples, n_out)]
    targets = _unzip(name, examples)[1]
    if targets and np.size(targets[0]) == n_out:
        return examples
    outputs = np.eye(n_out)[labels(name, examples, n_out)]
    return [(x, y[:, None]) for (x, _), y in zip(examples, outputs)]


def training(
    name: str,
    examples: Examples,
    sizes: Sequence[int],
    engine: bpcore.Engine,
    *,
    sparse: bool | None = None,
    labelled: bool = False,
) -> bpcore.Data:
    """Pack examples with desired outputs; integer labels are allowed in the form (X, Y).

    sparse is bpcore.Data's: what is used once is not worth compressing.  labelled: with the
    argmax of each output as its label.
    """
    if isinstance(examples, Dataset):
        return examples._fit(name, sizes, engine, outputs=True)
    n_out = sizes[-1]
    if not count(examples):
        raise ValueError(f"{name} must hold at least one example, got none")
    x: bpcore.Source
    if isinstance(examples, tuple):
        x, targets = _pair(name, examples, sizes[0], engine.dtype)
        if targets.ndim == 1 and n_out > 1:
            numbers = labels(name, examples, n_out)
            return bpcore.pack(engine, x, n_out, labels=numbers, sparse=sparse)
        if targets.shape != (len(targets), n_out):
            raise _misfit(f"{name}[1]", targets, (len(targets), n_out))
        y: bpcore.Source = _Rows(f"{name}[1]", targets, engine.dtype)
    else:
        xs, ys = _unzip(name, examples)
        x = _Columns(name, "x", xs, sizes[0], engine.dtype)
        y = _Columns(name, "y", ys, n_out, engine.dtype)
    outputs = y.dense()
    found = outputs.argmax(axis=1) if labelled else None
    return bpcore.pack(engine, x, n_out, y=outputs, labels=found, sparse=sparse)


def labelled(
    name: str,
    examples: Examples,
    sizes: Sequence[int],
    engine: bpcore.Engine,
    *,
    outputs: bool = False,
) -> bpcore.Data:
    """Pack examples with labels; a y vector in place of a label counts by its argmax.

    outputs: with the desired outputs, where they are vectors or a single number.
    """
    if isinstance(examples, Dataset):
        return examples._fit(name, sizes, engine, outputs=outputs)
    n_out = sizes[-1]
    x: bpcore.Source
    y: bpcore.Source | None = None
    if isinstance(examples, tuple):
        x, targets = _pair(name, examples, sizes[0], engine.dtype)
        if outputs and targets.size == len(targets) * n_out:
            y = _Rows(f"{name}[1]", targets.reshape(-1, n_out), engine.dtype)
    else:
        xs, ys = _unzip(name, examples)
        x = _Columns(name, "x", xs, sizes[0], engine.dtype)
        if outputs and n_out == 1:
            ys = [np.reshape(value, (-1, 1)) for value in ys]
        if outputs and ys and np.size(ys[0]) == n_out:
            y = _Columns(name, "y", ys, n_out, engine.dtype)
    numbers = labels(name, examples, n_out)
    return bpcore.pack(engine, x, n_out, y=None if y is None else y.dense(), labels=numbers)


def labels(name: str, examples: Examples, n_out: int | None) -> NDArray[np.int64]:
    """Return the labels of materialised examples, in [0, n_out), or from 0 on.

    The argmax of a single output is 0, whatever the label: a network of one output counts
    the labels that are 0, as the original does, and -1 stands for any other.
    """
    if isinstance(examples, tuple):
        return _labels(f"{name}[1]", examples[1], n_out)
    if isinstance(examples, Dataset):
        return _labels(name, examples._labels, n_out)
    values = _unzip(name, examples)[1]
    try:
        array = np.array(values)
    except ValueError:  # labels and vectors mixed
        array = np.array([None])
    if array.dtype.kind not in check.REAL:
        array = np.array([_labels(f"{name}[{i}]", [y], n_out) for i, y in enumerate(values)])
    return _labels(name, array, n_out)


class _Rows(bpcore.Source):
    """The rows of an array of any real dtype and layout; with own, never its memory."""

    def __init__(self, name: str, array: Array, dtype: np.dtype[Any], own: bool = False):
        super().__init__((len(array), array.shape[1]), dtype)
        self.name, self.array, self.own = name, array, own

    def read(self, begin: int, out: Array) -> None:
        with np.errstate(over="ignore"):
            out[...] = self.array[begin : begin + len(out)]

    def check(self, begin: int, rows: Array) -> None:
        _finite(self.name, rows)

    def dense(self) -> Array:
        """Return all rows as one array, this one if the core can take it."""
        flags = self.array.flags
        same = self.array.dtype == self.dtype and flags.c_contiguous and flags.aligned
        if same and not self.own:
            return _finite(self.name, self.array)
        return super().dense()


class _Columns(bpcore.Source):
    """The columns (n, 1) of a list, name[i] being a part of example i."""

    def __init__(self, name: str, part: str, values: list[Any], n: int, dtype: np.dtype[Any]):
        super().__init__((len(values), n), dtype)
        self.name, self.part, self.values = name, part, values
        self.plain = set(map(type, values)) == {np.ndarray} and set(map(_size, values)) == {n}
        if self.plain:
            dtypes = set(map(_dtype, values))
            self.plain = all(each.kind in check.REAL for each in dtypes)
            self.exact_in_float32 = dtypes == {_SINGLE}

    def read(self, begin: int, out: Array) -> None:
        arrays = self.values[begin : begin + len(out)]
        if not self.plain:
            arrays = [self._column(i, value) for i, value in enumerate(arrays, begin)]
        try:
            with np.errstate(over="ignore"):  # what overflows is not finite
                np.concatenate(arrays, out=out.reshape(-1, 1), casting="unsafe")
        except ValueError:  # as many items, but not in a column
            for i, value in enumerate(arrays, begin):
                self._column(i, value)
            raise

    def check(self, begin: int, rows: Array) -> None:
        if not np.isfinite(rows).all():
            for i, row in enumerate(rows, begin):
                _finite(self._where(i), row)

    def _column(self, i: int, value: Any) -> Array:
        array = check.array(self._where(i), value)
        if array.shape != (self.shape[1], 1):
            raise _misfit(self._where(i), array, (self.shape[1], 1))
        return array

    def _where(self, i: int) -> str:
        return f"{self.name}[{i}]: {self.part}"


class Dataset:
    """Examples packed once, for any number of calls, networks and threads.

    examples is a list of tuples (x, y) or (x, label), x of shape (n_in, 1) and y (n_out, 1),
    or a pair of arrays (X, Y) of n rows, Y being (n, n_out) or n integer labels.  They are
    converted to dtype, float32 or float64; copied, so that they never change; and kept without
    their zeros if most inputs are zero.

    A Dataset takes the place of training_data and of test_data, for a network of its dtype
    that has as many inputs and outputs, or an output for each of its labels.  Its items are
    tuples again, in copies.

    Raises TypeError or ValueError if examples are not as described, or not finite in dtype.
    """

    def __init__(self, examples: Any, *, dtype: DTypeLike = np.float64):
        engine = bpcore.engine(check.floating(dtype))
        given = materialise("examples", examples)
        if isinstance(given, Dataset):
            given = list(given)
        if not count(given):
            raise ValueError("examples must hold at least one example, got none")
        x, y = _halves(given, engine.dtype)
        n_out = y.shape[1] if y else 0
        self._data = bpcore.pack(engine, x, n_out)
        self._y = y.dense() if y else None
        if self._y is None:
            self._labels = labels("examples", given, None)
        else:
            self._labels = _labels("examples", self._y, n_out)
            self._data = bpcore.pack(engine, self._data, n_out, y=self._y, labels=self._labels)
        self._dtype = engine.dtype

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of x and y."""
        return self._dtype

    @property
    def nbytes(self) -> int:
        """The bytes that the examples take."""
        outputs = 0 if self._y is None else self._y.nbytes
        return self._data.nbytes + outputs + self._labels.nbytes

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self._data)

    def __getitem__(self, index: int) -> tuple[Array, Any]:
        """Return a copy of one example, (x, y) or (x, label)."""
        i = range(len(self))[operator.index(index)]
        return self._data.rows(i, i + 1).T, self._target(i)

    def __iter__(self) -> Iterator[tuple[Array, Any]]:
        """Yield a copy of each example."""
        for begin in range(0, len(self), _UNPACKED):
            rows = self._data.rows(begin, begin + _UNPACKED)
            for i, x in enumerate(rows, begin):
                yield x[:, None], self._target(i)

    def __repr__(self) -> str:
        """Say what it holds, in which form, and how large it is."""
        n, n_in = self._data.shape
        targets = "labels" if self._y is None else f"{self._y.shape[1]} outputs"
        form = "CSR" if self._data.sparse else "dense"
        return (
            f"<bpnet.Dataset: {n:,} examples, {n_in} inputs, {targets}, {self.dtype}, {form}, "
            f"{self._data.nonzeros / (n * n_in):.0%} nonzero, {self.nbytes / 1e6:.1f} MB>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as a pair of dense arrays."""
        x = np.empty(self._data.shape, self.dtype)
        for begin, block in _blocks(x):
            block[...] = self._data.rows(begin, begin + len(block))
        pair = x, self._labels if self._y is None else self._y
        return functools.partial(Dataset, dtype=self.dtype), (pair,)

    def _target(self, i: int) -> Any:
        return int(self._labels[i]) if self._y is None else self._y[i][:, None].copy()

    def _pairs(self, n_out: int) -> list[tuple[Array, Any]]:
        """Return tuples (x, y), or (x, label) for a network of one output."""
        if self._y is not None or n_out == 1:
            return list(self)
        outputs = np.eye(n_out)[_labels("y", self._labels, n_out)]
        return [(x, y[:, None]) for (x, _), y in zip(self, outputs)]

    def _fit(
        self, name: str, sizes: Sequence[int], engine: bpcore.Engine, *, outputs: bool = False
    ) -> bpcore.Data:
        """Return the examples for a network of these sizes; with outputs, to train on."""
        if engine.dtype != self.dtype:
            raise ValueError(
                f"{name} must be a Dataset of the network's dtype, {engine.dtype}, "
                f"got {self.dtype}"
            )
        n_in, n_out = self._data.shape[1], sizes[-1]
        if self._y is not None:
            if (n_in, self._y.shape[1]) != (sizes[0], n_out):
                raise ValueError(
                    f"{name} has {n_in} inputs and {self._y.shape[1]} outputs, expected "
                    f"{sizes[0]} and {n_out} to match sizes {list(sizes)}"
                )
            return self._data
        if n_in != sizes[0]:
            raise ValueError(
                f"{name} has {n_in} inputs, expected {sizes[0]} to match sizes {list(sizes)}"
            )
        if outputs and n_out == 1:
            raise ValueError(
                f"{name} must have outputs (n, 1) to train a network of one output, got labels"
            )
        return bpcore.pack(engine, self._data, n_out, labels=_labels(name, self._labels, n_out))


def _halves(examples: Any, dtype: np.dtype[Any]) -> tuple[bpcore.Source, bpcore.Source | None]:
    """Return x and y of materialised examples, whatever their sizes; no y if it is labels."""
    name = "examples"
    if isinstance(examples, tuple):
        shape = examples[0].shape
        if len(shape) != 2 or not shape[1]:
            raise ValueError(f"{name}[0] must have shape (n, n_in), got shape {shape}")
        rows, targets = _pair(name, examples, shape[1], dtype, own=True)
        if targets.ndim == 1:
            return rows, None
        if targets.ndim != 2 or not targets.shape[1]:
            raise ValueError(
                f"{name}[1] must have shape (n, n_out) or (n,), got shape {targets.shape}"
            )
        return rows, _Rows(f"{name}[1]", targets, dtype, own=True)
    xs, ys = _unzip(name, examples)
    x = _Columns(name, "x", xs, max(1, check.array(f"{name}[0]: x", xs[0]).size), dtype)
    if not isinstance(ys[0], (list, tuple)) and not np.ndim(ys[0]):
        return x, None
    return x, _Columns(name, "y", ys, max(1, check.array(f"{name}[0]: y", ys[0]).size), dtype)


def _pair(
    name: str,
    examples: tuple[Array, Array],
    n_in: int,
    dtype: np.dtype[Any],
    own: bool = False,
) -> tuple[_Rows, Array]:
    inputs, targets = (check.array(f"{name}[{i}]", part) for i, part in enumerate(examples))
    if inputs.ndim != 2 or inputs.shape[1] != n_in:
        raise _misfit(f"{name}[0]", inputs, (len(inputs) if inputs.ndim else "n", n_in))
    if targets.ndim == 0 or len(targets) != len(inputs):
        raise ValueError(
            f"{name} must be arrays (X, Y) of as many rows, got shapes {inputs.shape} "
            f"and {targets.shape}"
        )
    return _Rows(f"{name}[0]", inputs, dtype, own), targets


def _unzip(name: str, examples: list[Any]) -> tuple[list[Any], list[Any]]:
    try:
        return [x for x, _ in examples], [y for _, y in examples]
    except (TypeError, ValueError):
        for i, example in enumerate(examples):
            try:
                _, _ = example
            except (TypeError, ValueError):
                raise TypeError(
                    f"{name}[{i}] must be a pair (x, y), got {type(example).__name__}"
                ) from None
        raise


def _labels(name: str, values: Any, n_out: int | None) -> NDArray[np.int64]:
    """Return labels as int64 from rows of numbers, (1,), (1, 1) or vectors of n_out."""
    wanted = "of at least 0" if n_out is None else f"in [0, {n_out})"
    try:
        array = check.array(name, values)
    except TypeError:
        got = repr(values[0]) if len(values) == 1 else type(values).__name__
        raise TypeError(f"{name}: label must be an integer {wanted}, got {got}") from None
    if not len(array):
        return np.empty(0, np.int64)
    rows = array.reshape(len(array), -1)
    if rows.shape[1] not in (1, n_out):
        raise ValueError(
            f"{name} must have labels, or vectors of {n_out} outputs, got shape {array.shape}"
        )
    if rows.shape[1] > 1:
        numbers = _finite(name, rows).argmax(axis=1)
    else:
        numbers = rows[:, 0]
    if n_out == 1:
        return np.where(numbers == 0, np.int64(0), np.int64(-1))
    right = (numbers >= 0) & (numbers < (n_out or sys.maxsize)) & (numbers == np.floor(numbers))
    if not right.all():
        i = int(np.argmin(right))
        raise ValueError(f"{name}[{i}]: label must be an integer {wanted}, got {numbers[i]}")
    return numbers.astype(np.int64)  # a copy: the core trusts it


def _blocks(array: Array) -> list[tuple[int, Array]]:
    """Return array in pieces: (begin, rows from there on)."""
    if 0 < array.size <= _BLOCK:
        return [(0, array)]
    rows = max(1, _BLOCK * len(array) // max(1, array.size))
    return [(begin, array[begin : begin + rows]) for begin in range(0, len(array), rows)]


def _finite(name: str, array: Array) -> Array:
    if array.size <= _BLOCK and np.isfinite(array).all():
        return array
    for _, block in _blocks(array):
        finite = np.isfinite(block)
        if not finite.all():
            raise ValueError(f"{name} must be finite in {array.dtype}, got {block[~finite][0]}")
    return array


def _misfit(name: str, array: Array, shape: tuple[Any, ...]) -> ValueError:
    remedy = ""
    if array.ndim == 1 and shape == (array.size, 1):
        remedy = f": use {name.split()[-1]}.reshape(-1, 1)"
    return ValueError(f"{name} has shape {array.shape}, expected {shape}{remedy}")
