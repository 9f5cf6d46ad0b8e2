"""How inputs are packed for the core: dense, CSR where few are nonzero, codes of few values."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bpcore._core import MAX_CODES, NARROW_CSR_INPUTS, Data, Encoder, Engine, engines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# Below this share of nonzeros the CSR form of the inputs is the faster one (bench/sparsity.py).
CSR_MAX_DENSITY = 0.3

# Rows of which one look says that inputs are dense: more than twice that share is not zero.
LOOKED_AT = 32

# Items that are looked at all at once, sooner than row by row.
FEW = 2**14

# Bytes of rows that are taken at a time: they stay in cache from being read to being packed.
BLOCK_BYTES = 2**18


class CSR(NamedTuple):
    """Inputs without their zeros: row i is the items [offsets[i], offsets[i + 1])."""

    n_in: int
    offsets: NDArray[np.int64]  # (n + 1)
    columns: NDArray[np.uint16 | np.uint32]  # ascending in a row; see columns_dtype
    values: Array  # of every item, or of the codes
    codes: NDArray[np.uint8] | None  # of narrow columns: which of the values each item has


class Source:
    """Rows of numbers that are read a block at a time, and need not be all in memory."""

    exact_in_float32 = False  # whether read may be given an array of float32 as well

    def __init__(self, shape: tuple[int, int], dtype: np.dtype[Any]):
        self.shape, self.dtype = shape, dtype

    def read(self, begin: int, out: Array) -> None:
        """Write the rows from begin on to out, C-contiguous and of dtype."""
        raise NotImplementedError

    def check(self, begin: int, rows: Array) -> None:
        """Raise ValueError if rows, which were read from begin on, are not finite."""
        raise NotImplementedError

    def check_all(self) -> None:
        """Raise ValueError if a row is not finite; a block of them is held at a time."""
        rows = max(1, BLOCK_BYTES // (self.shape[1] * self.dtype.itemsize))
        for begin, block in _read(self, rows, self.dtype):
            self.check(begin, block)

    def dense(self) -> Array:
        """Return all rows, checked, as one array."""
        array = np.empty(self.shape, self.dtype)
        for begin, block in blocks(array):
            self.read(begin, block)
            self.check(begin, block)
        return array

    def inputs(self) -> Array:
        """Return all rows, checked, as one array that Data takes."""
        return self.dense()

    def stays(self) -> bool:
        """Whether that is where the rows lie in a mapped file."""
        return False


def pack(
    engine: Engine,
    x: Array | Source | CSR | Data,
    n_out: int,
    *,
    sparse: bool | None = None,
    coded: bool = True,
    **targets: Any,
) -> Data:
    """Return Data of these inputs, in the form that makes them fast, and of targets.

    sparse says whether that is CSR; None: if few enough of x are nonzero.  Its values are a
    table and a code for each item, where that is allowed (coded) and few values occur.
    Rows of more than NARROW_CSR_INPUTS stay dense.
    A Source is read once, after a look at some rows where sparse is None, and checked where
    items are not finite; an array is not checked.
    targets are Data's y, labels and weights.
    """
    if isinstance(x, (np.ndarray, Source)):
        x = _form(engine, x, sparse, coded)
    return Data(engine, x, n_out, **targets)


def blocks(array: Array) -> Iterator[tuple[int, Array]]:
    """Yield array in pieces of BLOCK_BYTES: (begin, rows from there on)."""
    if array.nbytes <= BLOCK_BYTES and len(array):
        return iter([(0, array)])
    rows = max(1, BLOCK_BYTES * len(array) // max(1, array.nbytes))
    return ((begin, array[begin : begin + rows]) for begin in range(0, len(array), rows))


class _TooDenseError(Exception):
    """There are more nonzeros than are wanted."""


def _may_be_sparse(engine: Engine, x: Array | Source) -> bool:
    """Whether some rows leave it open: dense inputs are not packed in order to be unpacked."""
    n, n_in = x.shape
    if not isinstance(x, Source) and x.size <= FEW:
        return bool(np.count_nonzero(x) <= CSR_MAX_DENSITY * x.size)
    if n < 2 * LOOKED_AT:
        return True
    found, block = 0, np.empty((1, n_in), engine.dtype)
    for begin in np.linspace(0, n - 1, LOOKED_AT).astype(int).tolist():
        if isinstance(x, Source):
            x.read(begin, block)
        else:
            block = x[begin : begin + 1]
        found += int(np.count_nonzero(block))
    return found <= 2 * CSR_MAX_DENSITY * LOOKED_AT * n_in


def _form(engine: Engine, x: Array | Source, sparse: bool | None, coded: bool) -> Array | CSR:
    n, n_in = x.shape
    if sparse and n_in > NARROW_CSR_INPUTS:
        raise ValueError(
            f"rows to pack must have at most {NARROW_CSR_INPUTS} inputs, got {n_in}"
        )
    if isinstance(x, Source) and n * n_in <= FEW and not sparse:
        x = x.dense()
    packs = n > 0 and 0 < n_in <= NARROW_CSR_INPUTS and sparse is None
    if sparse or (packs and _may_be_sparse(engine, x)):
        limit = n * n_in if sparse else int(CSR_MAX_DENSITY * (n * n_in))
        try:
            for codes in (True, False) if coded else (False,):
                found = _compressed(engine, x, limit, codes)
                if found is not None:
                    return found
        except _TooDenseError:
            pass
    return x.inputs() if isinstance(x, Source) else x


def _compressed(engine: Engine, x: Array | Source, limit: int, coded: bool) -> CSR | None:
    """Return x in CSR form; coded: of codes, or None if there are too many values for them.

    What the arrays hold is in range whatever x says.
    """
    (n, n_in), dtype = x.shape, engine.dtype
    if coded and isinstance(x, Source) and x.exact_in_float32:  # converts the table alone
        engine = _float32(engine.isa)
    rows, room = max(1, BLOCK_BYTES // (n_in * engine.dtype.itemsize)), limit + n_in
    offsets, columns = np.zeros(n + 1, np.int64), np.empty(room, np.uint16)
    values = np.empty(min(n, rows) * n_in if coded else room, engine.dtype)
    codes, table = None, None
    if coded:
        codes, table = np.empty(room, np.uint8), np.zeros(MAX_CODES, engine.dtype)
    encoder = Encoder(engine, n_in, limit, offsets, columns, values, codes=codes, table=table)
    for _, block in _read(x, rows, engine.dtype):
        without_code = encoder.append(block)
        if encoder.items > limit:
            raise _TooDenseError
        if without_code:
            return None
    items, used = encoder.items, encoder.used
    del encoder  # which points into the arrays, that a resize may move
    columns.resize(items, refcheck=False)
    if codes is not None and table is not None:
        codes.resize(items, refcheck=False)
        values = table[:used].copy()
    else:
        values.resize(items, refcheck=False)
    if isinstance(x, Source) and not _finite(values):  # cheaper than of each block
        x.check_all()
    return CSR(n_in, offsets, columns, values.astype(dtype, copy=False), codes)


def _finite(array: Array) -> bool:
    return all(np.isfinite(block).all() for _, block in blocks(array))


@functools.cache  # looking for engines asks the CPU, which takes long where it is virtual
def _float32(isa: str) -> Engine:
    return next(row for row in engines() if row.isa == isa and row.dtype == np.float32)


def _read(x: Array | Source, rows: int, dtype: np.dtype[Any]) -> Iterator[tuple[int, Array]]:
    """Yield blocks of rows of x, and where each begins."""
    n, n_in = x.shape
    block = np.empty((min(n, rows) if isinstance(x, Source) else 0, n_in), dtype)
    for begin in range(0, n, rows):
        if isinstance(x, Source):
            block = block[: n - begin]
            x.read(begin, block)
            yield begin, block
        else:
            yield begin, x[begin : begin + rows]
