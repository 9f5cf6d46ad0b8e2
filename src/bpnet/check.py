"""Single arguments, checked: each function returns the value as the type that is worked with.

Every function raises before anything has changed, with one sentence that names the argument
as the caller wrote it, what it must be and what it was.
"""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # numpy.typing takes longer to import than all of bpnet
    from numpy.typing import NDArray

    Array = NDArray[Any]

REAL = "biuf"  # kinds of dtype that are numbers: bool, integers, floats
_DOUBLE = np.dtype(np.float64)


def integer(name: str, value: Any, least: int, most: int = sys.maxsize) -> int:
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
    if not abs(number) <= float(np.finfo(dtype).max):
        raise ValueError(f"{name} must be finite in {dtype}, got {value!r}")
    return number


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
    """Return value as a base-class array of real numbers."""
    try:
        found = np.asarray(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} must be an array of real numbers, got {type(value).__name__}"
        ) from None
    if found.dtype.kind not in REAL:
        got = type(value).__name__ if found.dtype == object else f"dtype {found.dtype}"
        raise TypeError(f"{name} must be an array of real numbers, got {got}")
    return found


def require(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return array as dtype, C-contiguous and aligned: itself, if that is what it is."""
    flags = array.flags
    if array.dtype == dtype and flags.c_contiguous and flags.aligned:
        return array if type(array) is np.ndarray else np.asarray(array)
    with np.errstate(over="ignore"):
        return np.require(array, dtype, ["C", "A"])
