"""What callers pass, in any accepted form, checked and turned into what the core takes.

Every function raises before anything has changed, with one sentence that names the argument
as the caller wrote it, what it must be and what it was.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import bpcore
from bpnet import check

if TYPE_CHECKING:  # numpy.typing takes longer to import than all of bpnet
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Labels = NDArray[np.int64]
    DType = np.dtype[Any]
    Inputs = bpcore.Source | bpcore.Data | bpcore.CSR

_NO_LABEL = ": outputs that are no labels have shape (n, 1), use y.reshape(-1, 1)"
# Rows, items, and a root mean square: see look_at_scale.
_LOOKED_AT, _FEW, _LARGE = 64, 2**14, 10.0

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
# Bytes of rows in a network's dtype from which on they stay where they are, whatever they are.
_LARGE_BYTES = 2**26

_size, _dtype = operator.attrgetter("size"), operator.attrgetter("dtype")


def as_rows(name: str, value: Any, n: int, dtype: DType) -> Array:
    """Return value, whose k columns are vectors of n items, as rows (k, n) of finite dtype."""
    array = check.array(name, value)
    if array.ndim != 2 or array.shape[0] != n:
        raise _misfit(name, array, (n, 1), columns=True)
    return finite(name, check.require(array.T, dtype))


def as_column(name: str, value: Any, n: int, dtype: DType) -> Array:
    """Return value of shape (n, 1), C-contiguous and of finite dtype."""
    if is_column(value, n, dtype):
        return value
    rows = as_rows(name, value, n, dtype)
    if len(rows) != 1:
        raise _misfit(name, rows.T, (n, 1), columns=True)
    return rows.T


def is_column(value: Any, n: int, dtype: DType) -> bool:
    """Whether value is a C-contiguous array (n, 1) of dtype and finite."""
    return bpcore.are_columns([value], n, dtype) and bpcore.engine(dtype).are_within(value)


def accept(name: str, given: Any) -> Examples:
    """Return given, in any form that calls take, as what can be packed.

    It is examples already; or a pair (X, Y), rows of inputs and what is desired of each; or
    else a list, or what can be iterated over, of pairs (x, y) of columns.  A tuple or a list of
    two is (X, Y) where its first item is

    - an array, or what NumPy makes one of: a DataFrame, a tensor; or a sparse matrix; but in a
      list not two columns stacked, (2, n, 1), which are an example;
    - a sequence that is no example because it has not two items: a list of rows;
    - in a tuple, a list of two rows of numbers: x and y of an example would be columns.

    A list of two lists of two may be either, and is refused.

    Nothing is copied but a list itself, which is then of our own, and what an iterator holds;
    lists of numbers and objects become arrays.
    """
    if isinstance(given, Examples):
        return given
    if _is_pair(name, given):
        x, y = given
        if not check.is_sparse(x):
            x = check.array(f"{name}[0]", x)
        return _Arrays(x, check.array(f"{name}[1]", y), tuple(given))
    try:
        if is_array(given) and np.ndim(given) < 3 and not _holds_objects(given):
            raise TypeError  # rows of numbers are no examples
        pairs = list(given)
    except TypeError:
        got = type(given).__name__
        if is_array(given):
            got += " alone: use (X, Y), the inputs and what is desired of each"
        raise TypeError(
            f"{name} must be a list of (x, y) or a pair of arrays (X, Y), got {got}"
        ) from None
    if parts := bpcore.split(pairs):
        return _Tuples(*parts, pairs)
    xs, ys = [], []
    for i, pair in enumerate(pairs):
        try:
            x, y = pair
        except (TypeError, ValueError):
            got = type(pair).__name__
            if isinstance(pair, (list, np.ndarray)):
                got += ": rows and what is desired of them are a pair (X, Y)"
            raise TypeError(f"{name}[{i}] must be a pair (x, y), got {got}") from None
        xs.append(x)
        ys.append(y)
    return _Tuples(xs, ys, pairs)


def is_array(value: Any) -> bool:
    """Whether value is an array, or what NumPy or a sparse matrix makes one of."""
    if isinstance(value, (np.ndarray, np.generic, type)):
        return isinstance(value, np.ndarray)
    return hasattr(value, "__array__") or check.is_sparse(value)


def _holds_objects(value: Any) -> bool:
    return getattr(getattr(value, "dtype", None), "kind", None) == "O"


def _is_pair(name: str, given: Any) -> bool:
    """Whether given is (X, Y), and no list of examples: see accept."""
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        return False
    first, is_tuple = given[0], isinstance(given, tuple)
    if is_array(first):
        return is_tuple or np.ndim(first) < 3 or np.shape(first)[0] != 2
    if not isinstance(first, list) and not (is_tuple and isinstance(first, tuple)):
        return False
    if len(first) != 2:
        return True
    rows = isinstance(first, list) and _depth(first) < 3
    if rows and not is_tuple:
        raise TypeError(
            f"{name} must not be a list of two lists, which may be (X, Y) or two examples: use "
            f"a tuple (X, Y) of rows, or tuples (x, y) of columns"
        )
    return rows


def _depth(value: Any) -> int:
    """Return the number of dimensions of nested lists, by their first items."""
    if isinstance(value, (list, tuple)):
        return 1 + (_depth(value[0]) if value else 0)
    return int(getattr(value, "ndim", 0))


class Examples:
    """Examples in one of the forms that calls take: each answers the same questions."""

    weights: Array | None = None
    own = False  # whether what is packed may not be memory of the caller

    def __init__(self, x: Any, y: Any, given: Any = None):
        self._x, self._y, self._given = x, y, given

    @property
    def original(self) -> Any:
        """What a script's own methods are called with: what was given, or a list of it."""
        return self if self._given is None else self._given

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self._x)

    def pack(
        self,
        name: str,
        sizes: Sequence[int],
        engine: bpcore.Engine,
        *,
        outputs: bool = False,
        labels: bool = False,
        sparse: bool | None = None,
        in_file: bool = False,
        output: str | None = None,
        beyond: Callable[[str], object] | None = None,
    ) -> bpcore.Data:
        """Return the examples for a network of these sizes.

        outputs: with desired outputs, to train on or to cost; labels in their place stand for
        unit vectors, numbers for the y of one output.  labels: with labels, to count.  sparse
        is bpcore.pack's: what is used once is not worth compressing.  in_file: inputs in a
        mapped file are read there, also if most are zero.  output is the network's last layer,
        None one that classifies; beyond is called with a sentence if it cannot reach what is
        desired.
        """
        n_out, y, numbers = sizes[-1], None, None
        if outputs and not len(self):
            raise ValueError(f"{name} must hold at least one example, got none")
        x = self._inputs(name, sizes, engine.dtype)
        if in_file and isinstance(x, bpcore.Source) and x.stays():
            sparse = False
        if outputs and (n_out == 1 or not self._has_labels(n_out)):
            y = self._outputs(name, n_out, engine.dtype)
            if self._has_labels(n_out) and (output is None or engine.outputs[output]):
                _check_binary(self._named(name), y[:, 0])
            elif output is not None and beyond is not None:
                _check_reach(self._named(name), y, output, engine, beyond)
            numbers = _most_active(y) if labels else None
        elif outputs or labels:
            numbers = self.labels(name, n_out)
        return bpcore.pack(
            engine, x, n_out, y=y, labels=numbers, weights=self.weights, sparse=sparse
        )

    def _named(self, name: str) -> str:
        """Return what the caller may call what is desired."""
        return name

    def labels(self, name: str, n_out: int | None, by_argmax: bool = False) -> Labels:
        """Return the labels, in [0, n_out), or from 0 on; vectors count by their argmax.

        Those of one output are 0 and 1, which is what is more than 1/2.  by_argmax: as the book
        has it, where the argmax of one output is 0: 0 where the label is 0, and -1 elsewhere.
        """
        return _labels(name, self._y, n_out, by_argmax)

    def pairs(self, n_out: int) -> list[tuple[Any, Any]]:
        """Return tuples (x, y) of columns for steps by hand; pack is what checks them."""
        items = self._items()
        if self._has_labels(n_out) and n_out > 1:
            ys = np.eye(n_out)[self.labels("examples", n_out)]
            return [(_array(x), y[:, None]) for (x, _), y in zip(items, ys)]
        arrays = [(_array(x), _signed(y, n_out)) for x, y in items]
        return [
            item if a is item[0] and b is item[1] else (a, b)
            for item, (a, b) in zip(items, arrays)
        ]

    def _has_labels(self, n_out: int) -> bool:
        """Whether there are numbers in the place of a network's desired outputs."""
        first = self._y[0] if len(self._y) else []
        if isinstance(first, (list, tuple)):
            return False
        if type(first) is np.ndarray:
            return not first.ndim or (first.shape == (1,) and n_out > 1)
        return np.ndim(first) == 0 or (np.shape(first) == (1,) and n_out > 1)

    def _items(self) -> list[tuple[Any, Any]]:
        """Return tuples (x, y) of columns, or (x, label)."""
        raise NotImplementedError

    def _inputs(self, name: str, sizes: Sequence[int], dtype: DType) -> Inputs:
        raise NotImplementedError

    def _outputs(self, name: str, n_out: int, dtype: DType) -> Array:
        """Return the desired outputs (n, n_out), checked."""
        raise NotImplementedError

    def _sizes(self, name: str) -> tuple[int, int]:
        """Return the numbers of inputs and of outputs; without outputs, 0."""
        raise NotImplementedError


class _Tuples(Examples):
    """A list of tuples (x, y) or (x, label), x and y being columns."""

    def labels(self, name: str, n_out: int | None, by_argmax: bool = False) -> Labels:
        try:
            array = np.array(None if check.may_be_masked(self._y) else self._y)
        except ValueError:  # labels and vectors mixed
            array = np.array(None)
        if array.dtype.kind not in check.REAL:
            where = [(f"{name}[{i}]", [y]) for i, y in enumerate(self._y)]
            array = np.array([_labels(*each, n_out, by_argmax) for each in where])
        return _labels(name, array, n_out, by_argmax)

    def _items(self) -> list[tuple[Any, Any]]:
        return self._given

    def _inputs(self, name: str, sizes: Sequence[int], dtype: DType) -> Inputs:
        return _Columns(name, "x", self._x, sizes[0], dtype)

    def _outputs(self, name: str, n_out: int, dtype: DType) -> Array:
        return _Columns(name, "y", self._y, n_out, dtype).dense()

    def _sizes(self, name: str) -> tuple[int, int]:
        n_in = max(1, check.array(f"{name}[0]: x", self._x[0]).size)
        if self._has_labels(1):
            return n_in, 0
        return n_in, max(1, check.array(f"{name}[0]: y", self._y[0]).size)


class _Arrays(Examples):
    """A pair (X, Y): rows of X, it may be sparse, are inputs; Y labels, or rows of outputs."""

    def __len__(self) -> int:
        """Return the number of rows of X, which one that is sparse does not call its length."""
        return int(self._x.shape[0]) if self._x.ndim else 0

    def labels(self, name: str, n_out: int | None, by_argmax: bool = False) -> Labels:
        self._check_rows(name)
        return super().labels(self._named(name), n_out, by_argmax)

    def _check_rows(self, name: str) -> None:
        x, y = self._x.shape, self._y.shape
        if y[:1] != x[:1] or not y:
            raise ValueError(
                f"{name} must be arrays (X, Y) of as many rows, got shapes {x} and {y}"
            )

    def _named(self, name: str) -> str:
        return f"{name}[1]"

    def _items(self) -> list[tuple[Any, Any]]:
        ys = self._y if self._y.ndim == 1 else self._y.reshape(len(self._y), -1, 1)
        xs = _sparse_rows(self._x.tocsr()) if check.is_sparse(self._x) else self._x
        return [(row[:, None], y) for row, y in zip(xs, ys)]

    def _inputs(self, name: str, sizes: Sequence[int], dtype: DType) -> Inputs:
        x = self._x
        if x.ndim != 2 or x.shape[1] != sizes[0]:
            raise _misfit(f"{name}[0]", x, (len(self), sizes[0]))
        self._check_rows(name)
        return _inputs(f"{name}[0]", x, dtype, self.own)

    def _outputs(self, name: str, n_out: int, dtype: DType) -> Array:
        y = self._y[:, None] if self._y.ndim == 1 == n_out else self._y
        if y.shape != (len(self), n_out):
            raise _misfit(f"{name}[1]", self._y, (len(self), n_out))
        return Rows(f"{name}[1]", y, dtype, self.own).dense()

    def _sizes(self, name: str) -> tuple[int, int]:
        x, y = self._x.shape, self._y.shape
        if len(x) != 2 or not x[1]:
            raise ValueError(f"{name}[0] must have shape (n, n_in), got shape {x}")
        if y[:1] == x[:1] and not (len(y) == 1 or (len(y) == 2 and y[1])):
            raise ValueError(f"{name}[1] must have shape (n, n_out) or (n,), got shape {y}")
        return x[1], y[1] if len(y) == 2 else 0


def as_inputs(name: str, value: Any, n_in: int, dtype: DType) -> Inputs:
    """Return value, whose rows (n, n_in) are inputs and which may be sparse, to be packed."""
    x = value if check.is_sparse(value) else check.array(name, value)
    if x.ndim != 2 or x.shape[1] != n_in:
        raise _misfit(name, x, ("n", n_in))
    return _inputs(name, x, dtype, False)


def _inputs(name: str, x: Any, dtype: DType, own: bool) -> Inputs:
    return _csr(name, x, dtype) if check.is_sparse(x) else Rows(name, x, dtype, own)


def _csr(name: str, x: Any, dtype: DType) -> bpcore.CSR:
    """Return a sparse matrix in the core's form, in memory of its own."""
    (n, n_in), x = x.shape, x.tocsr()
    if n_in > bpcore.MAX_CSR_INPUTS:
        raise ValueError(
            f"{name} must have at most {bpcore.MAX_CSR_INPUTS:,} columns to be sparse, got "
            f"{n_in:,}: choose fewer"
        )
    if not _ascending(x):
        x = x.copy()
        x.sum_duplicates()
    items = int(x.indptr[-1])
    columns, values = x.indices[:items], check.array(name, x.data[:items])
    if items and not 0 <= columns.min() <= columns.max() < n_in:
        raise ValueError(
            f"{name} must have columns in [0, {n_in}), got {columns.min()} to {columns.max()}"
        )
    with np.errstate(over="ignore"):
        values = values.astype(dtype)
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        row = int(np.searchsorted(x.indptr, wrong[0], "right")) - 1
        where = check.place((n, n_in), row * n_in + int(columns[wrong[0]]))
        raise ValueError(f"{name} must be finite in {dtype}, got {values[wrong[0]]}{where}")
    offsets = x.indptr.astype(np.int64)
    some = values != 0
    if not some.all():
        offsets = np.append(np.int64(0), np.cumsum(some, dtype=np.int64))[offsets]
        columns, values = columns[some], values[some]
    return bpcore.CSR(n_in, offsets, columns.astype(bpcore.columns_dtype(n_in)), values, None)


def _ascending(x: Any) -> bool:
    """Whether the columns of a CSR matrix ascend in each row: none is twice there."""
    columns, begins = x.indices[: x.indptr[-1]], x.indptr[1:-1]
    rises = columns[1:] > columns[:-1]
    rises[begins[(begins > 0) & (begins < len(columns))] - 1] = True
    return bool(rises.all())


def _sparse_rows(x: Any) -> Iterator[Array]:
    """Yield the rows of a CSR matrix, dense."""
    for begin, end in zip(x.indptr, x.indptr[1:]):
        row = np.zeros(x.shape[1], x.data.dtype)
        np.add.at(row, x.indices[begin:end], x.data[begin:end])
        yield row


def mapped_file(array: Any) -> Any:
    """Return the mmap that holds the memory of an array, which no program need; or None."""
    while isinstance(array, (np.ndarray, memoryview)):
        array = array.base if isinstance(array, np.ndarray) else array.obj
    mmap = sys.modules.get("mmap")  # which is imported where there is one
    return array if mmap is not None and isinstance(array, mmap.mmap) else None


class Rows(bpcore.Source):
    """The rows of an array of any real dtype and layout; with own, never its memory."""

    def __init__(self, name: str, array: Array, dtype: DType, own: bool = False):
        super().__init__((len(array), array.shape[1]), dtype)
        self.name, self.array, self.own = name, array, own

    def read(self, begin: int, out: Array) -> None:
        """Write the rows from begin on to out."""
        with np.errstate(over="ignore", under="ignore"):
            out[...] = self.array[begin : begin + len(out)]

    def check(self, begin: int, rows: Array) -> None:
        """Raise ValueError if rows, which were read from begin on, are not finite."""
        finite(self.name, rows, begin)

    def dense(self) -> Array:
        """Return all rows as one array, this one if the core can take it."""
        flags = self.array.flags
        same = self.array.dtype == self.dtype and flags.c_contiguous and flags.aligned
        if same and not self.own:
            return finite(self.name, self.array, 0)
        return super().dense()

    def inputs(self) -> Array:
        """Return all rows as one array that Data takes: where they lie, if they are many.

        Those of an array that is not the core's own are then converted each time that they are
        visited.  A mapped file is taken for memory that is not the caller's.
        """
        array = self.array
        if not self._may_stay() or (self.own and mapped_file(array) is None):
            return self.dense()
        if array.dtype.kind == "b":
            array = array.view(np.uint8)
        if array.dtype == self.dtype:
            return finite(self.name, array, 0)
        if array.dtype.kind == "f":  # integers are finite
            self.check_all()
        return array

    def stays(self) -> bool:
        """Whether inputs returns rows where they lie in a mapped file."""
        return self._may_stay() and mapped_file(self.array) is not None

    def _may_stay(self) -> bool:
        array, flags = self.array, self.array.flags
        taken = array.dtype.kind == "b" or array.dtype in bpcore.INPUTS
        taken = taken and flags.aligned and array[:1].flags.c_contiguous
        return bool(taken and array.size * self.dtype.itemsize > _LARGE_BYTES)


class _Columns(bpcore.Source):
    """The columns (n, 1) of a list, name[i] being a part of example i."""

    def __init__(self, name: str, part: str, values: list[Any], n: int, dtype: DType):
        super().__init__((len(values), n), dtype)
        self.name, self.part, self.values = name, part, values
        self.exact_in_float32 = bpcore.are_columns(values, n, _FLOAT32)

    def read(self, begin: int, out: Array) -> None:
        arrays = self.values[begin : begin + len(out)]
        if bpcore.engine(out.dtype).stack(arrays, out):
            return
        if not self._may_be_joined(arrays):
            arrays = [self._column(i, value) for i, value in enumerate(arrays, begin)]
        try:
            with np.errstate(over="ignore", under="ignore"):  # what overflows is not finite
                np.concatenate(arrays, out=out.reshape(-1, 1), casting="unsafe")
        except ValueError:  # as many items, but not in a column
            for i, value in enumerate(arrays, begin):
                self._column(i, value)
            raise

    def check(self, begin: int, rows: Array) -> None:
        if not _are_within(rows):
            for i, row in enumerate(rows, begin):
                finite(self._where(i), row)

    def _may_be_joined(self, values: list[Any]) -> bool:
        """Whether these are arrays of n real numbers, of which only a shape may be wrong."""
        if set(map(type, values)) != {np.ndarray} or set(map(_size, values)) != {self.shape[1]}:
            return False
        if self.shape[1] == 1 and self.part == "y" and set(map(np.ndim, values)) != {2}:
            return False  # (1,) is a column, too
        return all(each.kind in check.REAL for each in set(map(_dtype, values)))

    def _column(self, i: int, value: Any) -> Array:
        array = check.array(self._where(i), value)
        if self.part == "y" and self.shape[1] == 1 and array.shape in ((), (1,)):
            return array.reshape(1, 1)
        if array.shape != (self.shape[1], 1):
            raise _misfit(self._where(i), array, (self.shape[1], 1), columns=True)
        return array

    def _where(self, i: int) -> str:
        return f"{self.name}[{i}]: {self.part}"


def _most_active(outputs: Array) -> Labels:
    """Return the label that each row of outputs stands for."""
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > 0.5).astype(np.int64)
    return outputs.argmax(axis=1).astype(np.int64, copy=False)


def _labels(name: str, values: Any, n_out: int | None, by_argmax: bool) -> Labels:
    """Return labels as int64 from rows of numbers, (1,), (1, 1) or vectors of n_out."""
    wanted = "an integer of at least 0" if n_out is None else f"an integer in [0, {n_out})"
    if n_out == 1:
        wanted = "0 or 1 for one output"
    try:
        array = check.array(name, values)
    except TypeError as error:
        got = repr(values[0]) if len(values) == 1 else type(values).__name__
        remedy = f": {check.TEXT}" if check.TEXT in str(error) else ""
        raise TypeError(f"{name}: label must be {wanted}, got {got}{remedy}") from None
    if not len(array):
        return np.empty(0, np.int64)
    rows = array.reshape(len(array), -1)
    if rows.shape[1] not in (1, n_out):
        raise ValueError(
            f"{name} must have labels, or vectors of {n_out} outputs, got shape {array.shape}"
        )
    numbers = rows[:, 0]
    if n_out == 1 and by_argmax:
        return np.where(numbers == 0, np.int64(0), np.int64(-1))
    if rows.shape[1] > 1 or (n_out == 1 and array.ndim > 1):
        return _most_active(finite(name, rows))
    if n_out == 1:
        _check_binary(name, numbers)
        return _most_active(numbers[:, None])
    most = sys.maxsize if n_out is None else n_out
    right = (numbers >= 0) & (numbers < most) & (numbers == np.floor(numbers))
    if not right.all():
        i = int(np.argmin(right))
        remedy = _NO_LABEL if n_out is None else ""
        raise ValueError(f"{name}[{i}]: label must be {wanted}, got {numbers[i]}{remedy}")
    return numbers.astype(np.int64)  # a copy: the core trusts it


def _check_binary(name: str, numbers: Array) -> None:
    """Raise ValueError if numbers in the place of labels are none of an output that answers."""
    right = (numbers >= 0) & (numbers <= 1)
    if not right.all():
        i = int(np.argmin(right))
        raise ValueError(
            f"{name}[{i}]: label must be 0 or 1 for one output, got {numbers[i]}{_NO_LABEL}"
        )


def _check_reach(
    name: str, y: Array, output: str, engine: bpcore.Engine, beyond: Callable[[str], object]
) -> None:
    """Call beyond with a sentence if there is a y that outputs do not reach, but for rounding.

    What float32 rounds is let through: scaled to [0, 1], y may come out above 1 by that.
    """
    least, most = engine.targets[output]
    rounding = 8 * float(np.finfo(np.float32).eps)
    for begin, block in bpcore.blocks(y):
        if not _are_within(block, least - rounding, most + rounding):
            wrong = np.argmax((block < least - rounding) | (block > most + rounding))
            got, i = block.ravel()[wrong], begin * y.shape[1] + int(wrong)
            wanted = f"in [{least:g}, {most:g}]" if np.isfinite(most) else f"at least {least:g}"
            remedy = "scale y to that, or use" if np.isfinite(most) else "use"
            beyond(
                f"{name}: y must be {wanted}, what the output {output} can reach, got {got:g}"
                f'{check.place(y.shape, i)}: {remedy} bpnet.MLP(sizes, output="squared")'
            )
            return


def look_at_scale(name: str, packed: bpcore.Data, saturates: Callable[[], bool]) -> None:
    """Warn if inputs are so large that sigmoids of weighted sums of them are all 0 or 1.

    saturates, which says whether the network has such neurons, is called if they are.

    Weights of variance 1 / n_in make weighted inputs as large as the root mean square of the
    inputs; at 10 the slope of a sigmoid is 1 / 5,500 of its largest.  What warns is that half
    of 64 rows or more, spread evenly, are beyond it.  Of standardised data no outliers can do
    that: mean squares that are 1 on average are over 100 in at most one row of a hundred.
    """
    n = len(packed)
    inputs = packed.inputs[3] if packed.sparse else packed.inputs
    if inputs.size <= _FEW and _are_small(inputs):  # faster than row by row
        return
    step = max(1, -(-n // _LOOKED_AT))
    rows = [packed.held(i) for i in range(0, n, step)]
    if all(map(_are_small, rows)):
        return
    with np.errstate(over="ignore", under="ignore"):
        sums = [np.square(row, dtype=np.float64).sum() for row in rows]
    squares = np.array(sums) / packed.shape[1]
    size = float(np.sqrt(np.sort(squares)[len(squares) // 2]))
    if size > _LARGE and saturates():
        check.warn(
            f"{name}: the inputs are large, a root mean square of {size:.3g} where about 1 is "
            f"best: neurons saturate and hardly learn; divide pixels by 255, or standardise, "
            f"(X - X.mean(0)) / X.std(0)"
        )


def _are_small(values: Array) -> bool:
    return _are_within(values, -_LARGE, _LARGE)


def _are_within(array: Array, least: float = -np.inf, most: float = np.inf) -> bool:
    """Whether all items are finite and in [least, most]."""
    flags = array.flags
    if flags.c_contiguous and flags.aligned and array.dtype in (_FLOAT32, _FLOAT64):
        return bpcore.engine(array.dtype).are_within(array, least, most)
    return bool(((array >= least) & (array <= most) & np.isfinite(array)).all())


def _array(value: Any) -> Array:
    return value if isinstance(value, np.ndarray) else np.asarray(value)


def _signed(y: Any, n: int) -> Array:
    """Return y as a column that a cost by hand may negate: no bool, no unsigned integers."""
    array = _array(y)
    array = array if array.shape == (n, 1) else array.reshape(n, 1)
    return array.astype(np.float64) if array.dtype.kind in "buO" else array


def finite(name: str, array: Array, first: int | None = None) -> Array:
    """Return array; ValueError if an item is not finite, with its row, if first is row 0's."""
    for begin, block in bpcore.blocks(array):
        if not _are_within(block):
            i, where = int(np.argmin(np.isfinite(block))), ""
            if first is not None:
                where = check.place(
                    (first + begin + len(block), *block.shape[1:]),
                    i + (first + begin) * (block.size // len(block)),
                )
            got = block.ravel()[i]
            raise ValueError(f"{name} must be finite in {array.dtype}, got {got}{where}")
    return array


def _misfit(name: str, array: Any, shape: tuple[Any, Any], columns: bool = False) -> ValueError:
    """Return the error of an array that should have this shape, with what makes it of it.

    Its columns are examples, or its rows.
    """
    got, n, remedy = array.shape, shape[0] if columns else shape[1], ""
    if got == (n,) or (len(got) == 1 and n == 1):
        remedy = "reshape(-1, 1)" if columns or n == 1 else "reshape(1, -1)"
    elif len(got) == 2 and got[columns] == n and 0 < got[not columns] != n:
        remedy = "T"  # of several examples or of one
    elif len(got) > 2 and not columns and np.prod(got[1:]) == n:
        remedy = f"reshape({got[0]}, {n})"
    if remedy:
        which = ("columns" if columns else "rows") + " are examples, " if remedy == "T" else ""
        remedy = f": {which}use {name.split()[-1]}.{remedy}"
    expected = ", ".join(map(str, shape))
    return ValueError(f"{name} has shape {got}, expected ({expected}){remedy}")
