"""Single arguments, checked: each function returns the value as the type that is worked with.

Every function raises before anything has changed, with one sentence that names the argument
as the caller wrote it, what it must be and what it was.
"""

from __future__ import annotations

import io
import numbers
import operator
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # numpy.typing takes longer to import than all of bpnet
    from numpy.typing import NDArray

    Array = NDArray[Any]

AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]
AnyFile = AnyPath | io.BufferedIOBase

REAL = "biuf"  # kinds of dtype that are numbers: bool, integers, floats
_DOUBLE = np.dtype(np.float64)
_MOST = {np.dtype(d): float(np.finfo(d).max) for d in (np.float32, np.float64)}


def integer(name: str, value: Any, least: int = -sys.maxsize, most: int = sys.maxsize) -> int:
    """Return value as an int in [least, most]."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    if number > most:
        raise ValueError(f"{name} must be at most {most}, got {number}")
    return number


def threads(n_threads: Any) -> int:
    """Return n_threads as an int of at least 1, but no more than there are processors."""
    number = integer("n_threads", n_threads, 1)
    return number if number == 1 else min(number, os.cpu_count() or 1)


def finite(name: str, value: Any, dtype: np.dtype[Any]) -> float:
    """Return value as a float that is finite in dtype."""
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    except OverflowError:
        number = float("inf")
    if not abs(number) <= _MOST[np.dtype(dtype)]:
        raise ValueError(f"{name} must be finite in {dtype}, got {value!r}")
    return number


def path(name: str, value: Any) -> str:
    """Return value, in any form that open() takes for a file's name, as a string."""
    try:
        found = os.fsdecode(value)
        nameable = b"\0" not in os.fsencode(found)
    except TypeError:
        raise TypeError(f"{name} must be a path, got {value!r:.60}") from None
    except UnicodeError:
        nameable = False
    if not nameable:
        raise ValueError(f"{name} must be a path that a file can have, got {value!r:.60}")
    return found


def file(name: str, value: Any) -> str | io.BufferedIOBase:
    """Return a path as a string, and an open binary file, as ``io.BytesIO``, as it is."""
    return value if isinstance(value, io.BufferedIOBase) else path(name, value)


def printable(text: object) -> str:
    """Return text, or a path, as a part of a line: what cannot be seen in it is escaped."""
    found = os.fsdecode(text) if isinstance(text, (bytes, os.PathLike)) else str(text)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in found)


def real(value: Any) -> float | None:
    """Return a number, or an array of one, as a float; None if value is something else."""
    if isinstance(value, (bool, int, float, np.generic, np.ndarray)):
        array = np.asarray(value)
        return (
            float(array.reshape(())) if array.size == 1 and array.dtype.kind in REAL else None
        )
    return None


def not_negative(name: str, value: Any, dtype: np.dtype[Any] = _DOUBLE) -> float:
    """Return value as a float of at least 0 that is finite in dtype."""
    number = finite(name, value, dtype)
    if number < 0:
        raise ValueError(f"{name} must be at least 0, got {value!r}")
    return number


def floating(dtype: Any) -> np.dtype[Any]:
    """Return dtype as float32 or float64, the two that the core computes in."""
    try:
        name = np.dtype(dtype).name if dtype is not None else "None"
    except TypeError:
        name = "unknown"
    if name not in ("float32", "float64"):
        raise ValueError(f"dtype must be float32 or float64, got {dtype!r}")
    return np.dtype(name)


def layers(sizes: Any) -> list[int]:
    """Return sizes as ints: two layers or more."""
    try:
        len(sizes)  # no iterator: every call reads sizes again
        found = list(sizes)
    except TypeError:
        raise TypeError(f"sizes must list the neurons of each layer, got {sizes!r}") from None
    if len(found) > 1 and all([type(n) is int and 0 < n <= sys.maxsize for n in found]):
        return found
    if len(found) < 2:
        raise ValueError(f"sizes must list two layers or more, got {sizes!r}")
    return [integer(f"sizes[{l}]", n, 1) for l, n in enumerate(found)]


def check_memory(sizes: Sequence[int]) -> None:
    """Raise MemoryError if there is no room for the parameters in float64."""
    count = sum((n_in + 1) * n_out for n_in, n_out in zip(sizes, sizes[1:]))
    try:
        if 8 * count > physical_memory():
            raise MemoryError
        np.empty(count)  # never touched, so it costs nothing
    except MemoryError:
        raise MemoryError(
            f"sizes {list(sizes)} make a network of {count:,} parameters, which do not fit "
            f"in memory"
        ) from None


def physical_memory() -> int:
    """Return the bytes of memory that this machine has, or more where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on this system
        return sys.maxsize


def parameters(
    sizes: Sequence[int], biases: Any, weights: Any, dtype: np.dtype[Any]
) -> tuple[list[Array], list[Array]]:
    """Return (biases, weights) as lists of C-contiguous arrays of dtype that fit sizes."""
    n_layers = len(sizes) - 1
    for name, given in (("biases", biases), ("weights", weights)):
        if not hasattr(given, "__len__"):
            raise TypeError(
                f"{name} must be a list of {n_layers} arrays, got {type(given).__name__}"
            )
        if len(given) != n_layers:
            raise ValueError(
                f"{name} must hold {n_layers} arrays to match sizes {list(sizes)}, "
                f"got {len(given)}"
            )
    return (
        [
            _matrix("biases", l, biases[l], (n_out, 1), sizes, dtype)
            for l, n_out in enumerate(sizes[1:])
        ],
        [
            _matrix("weights", l, weights[l], (n_out, n_in), sizes, dtype)
            for l, (n_in, n_out) in enumerate(zip(sizes, sizes[1:]))
        ],
    )


def _matrix(
    name: str,
    l: int,
    value: Any,
    shape: tuple[int, int],
    sizes: Sequence[int],
    dtype: np.dtype[Any],
) -> Array:
    if type(value) is np.ndarray and value.shape == shape and value.dtype == dtype:
        return require(value, dtype)
    found = array(f"{name}[{l}]", value)
    if found.shape != shape:
        raise ValueError(
            f"{name}[{l}] has shape {found.shape}, expected {shape} to match sizes "
            f"{list(sizes)}"
        )
    return require(found, dtype)


def array(name: str, value: Any) -> Array:
    """Return value as a base-class array of real numbers.

    Whatever NumPy makes an array of is one, and one of objects if all of them are real numbers.
    Raises TypeError or ValueError with the remedy: for text, what is missing, what is masked,
    which NumPy would take for a number, and what is sparse.
    """
    if type(value) is np.ndarray and value.dtype.kind in REAL:
        return value
    wanted, kind = f"{name} must be an array of real numbers", type(value).__name__
    if is_sparse(value):
        raise TypeError(f"{wanted}, got {kind}: use {name.split()[-1]}.toarray()")
    if _is_masked(value):
        remedy = f"use {name.split()[-1]}.filled(0), or drop such examples"
        raise ValueError(f"{name} must have no masked items, got {kind}: {remedy}")
    try:
        found = np.asarray(value)
    except ValueError:
        raise TypeError(f"{wanted}, got {kind} of items that differ in length") from None
    except (TypeError, RuntimeError) as error:  # a tensor says what it needs
        raise TypeError(f"{wanted}, got {kind}: {error}") from None
    if found.dtype == object:
        found = _from_objects(name, wanted, found)
    if found.dtype.kind not in REAL:
        remedy = _REMEDIES.get(found.dtype.kind, "")
        raise TypeError(f"{wanted}, got dtype {found.dtype}{remedy}")
    return found


TEXT = "float() reads numbers, np.unique(y, return_inverse=True)[1] numbers classes"
_REMEDIES = {
    **dict.fromkeys("UST", f": {TEXT}"),
    "M": ": subtract a date, and divide by np.timedelta64(1, 'D')",
    "m": ": divide by np.timedelta64(1, 'D')",
    "c": ": use real and imaginary parts, or absolute values",
    "V": ": use numpy.lib.recfunctions.structured_to_unstructured",
}


def is_sparse(value: Any) -> bool:
    """Whether value is a matrix or array of scipy.sparse, which need not be imported."""
    return hasattr(value, "tocsr") and hasattr(value, "nnz")


def may_be_masked(values: Iterable[Any]) -> bool:
    """Whether there is a masked array among values."""
    ma = sys.modules.get("numpy.ma")  # which NumPy imports where it is needed
    return ma is not None and any(issubclass(k, ma.MaskedArray) for k in set(map(type, values)))


def _is_masked(value: Any) -> bool:
    """Whether value is, or lists, an array some of whose items are masked."""
    items = value if isinstance(value, (list, tuple)) else (value,)
    return may_be_masked(items) and any(map(np.ma.is_masked, items))


def _from_objects(name: str, wanted: str, found: Array) -> Array:
    """Return float64 of an array of objects, which are numbers."""
    kinds = set(map(type, found.flat))
    wrong = {k for k in kinds if not issubclass(k, (numbers.Real, np.bool_))}
    if wrong:
        i, kind = next((i, k) for i, k in enumerate(map(type, found.flat)) if k in wrong)
        remedy = f": {TEXT}" if issubclass(kind, (str, bytes)) else ""
        if kind.__name__ in ("NoneType", "NAType", "NaTType") and found.ndim:
            remedy = ": drop or fill what is missing"
        raise TypeError(f"{wanted}, got {kind.__name__}{place(found.shape, i)}{remedy}")
    try:
        return found.astype(np.float64)
    except OverflowError:
        raise ValueError(f"{name} must be finite in float64, got a larger integer") from None


def place(shape: tuple[int, ...], i: int) -> str:
    """Return in words where item i of an array of this shape is; in row and column of two."""
    index = [int(k) for k in np.unravel_index(i, shape)]
    if len(index) == 2:
        return f" in row {index[0]}, column {index[1]}"
    return f" in item {index[0]}" if len(index) == 1 else f" at {tuple(index)}" * bool(index)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of the caller's line: the nearest that is not bpnet's, nor of its decorators'."""
    frame, level, passed = sys._getframe(1), 2, {"bpnet", "contextlib", "numpy", "sklearn"}
    while frame and str(frame.f_globals.get("__name__")).split(".")[0] in passed:
        frame, level = frame.f_back, level + 1  # type: ignore[assignment]
    warnings.warn(message, category, stacklevel=level)


def require(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return array as dtype, C-contiguous and aligned: itself, if that is what it is."""
    flags = array.flags
    if array.dtype == dtype and flags.c_contiguous and flags.aligned:
        return array if type(array) is np.ndarray else np.asarray(array)
    with np.errstate(over="ignore", under="ignore"):
        return np.array(array, dtype, order="C")
