"""MNIST in the tutorial's form and split, from wherever it can be had.

The first of these that there is: a path given; the environment variable BPNET_DATA; the user's
cache; where pooch is installed, a download; and the 5,000 digits that are in this package.
"""

from __future__ import annotations

import functools
import importlib.util
import operator
import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bpnet.mnist.pictures import Parts

    Examples = list[tuple[NDArray[Any], Any]]

__all__ = ["load_data", "load_data_wrapper", "vectorized_result"]


def load_data(path: str | bytes | os.PathLike[Any] | None = None) -> Parts:
    """Return (training_data, validation_data, test_data), each a pair (images, labels).

    images is float32 (n, pixels), pixels byte / 256; labels is int64 (n,), from 0.  The
    training set is MNIST's first 50,000 training images, the validation set the last 10,000,
    the test set the 10,000 test images; another set gives a sixth of its training images to
    validation, and a table without one to test on, before that, a seventh to the test.

    path is a folder with MNIST's four IDX files, gzipped or not, with ``mnist.pkl.gz`` or with
    another data set (docs/data.md), or one of its files.  Without one, see this module.  Raises
    FileNotFoundError if path or BPNET_DATA has no data set or not all of one, ValueError if it
    has several or a file is damaged.
    """
    # What these import takes time: as late as it is needed.
    if path is not None:
        return _read("path", path)
    if os.environ.get("BPNET_DATA"):
        return _read("BPNET_DATA", os.environ["BPNET_DATA"])
    return _published()


def load_data_wrapper(
    path: str | bytes | os.PathLike[Any] | None = None,
) -> tuple[Examples, Examples, Examples]:
    """Return (training_data, validation_data, test_data) as lists for ``Network.SGD``.

    The training list holds (x, y): x float32 (784, 1), y float64 (10, 1) with a 1.0 at the
    digit, or as long as another set's pictures and classes.  The others hold (x, label), label
    an int64.  Arguments and errors as load_data.
    """
    from bpnet.mnist import pictures

    # In its place a script may have put a function of its own, without arguments as the book's.
    training, validation, test = load_data() if path is None else load_data(path)
    classes = pictures.count_classes(training, validation, test)
    unit = vectorized_result
    if classes != 10 and unit is _OURS:
        unit = functools.partial(_unit_vector, n=classes)
    return (
        [(np.reshape(x, (-1, 1)), unit(label)) for x, label in zip(*training)],
        [(np.reshape(x, (-1, 1)), label) for x, label in zip(*validation)],
        [(np.reshape(x, (-1, 1)), label) for x, label in zip(*test)],
    )


def vectorized_result(j: int) -> NDArray[np.float64]:
    """Return zeros (10, 1) with 1.0 at j, the network's desired output for digit j.

    float64.  Raises TypeError if j is no integer, ValueError if it is not from 0 to 9.
    """
    try:
        digit = operator.index(j)
    except TypeError:
        raise TypeError(f"j must be an integer from 0 to 9, got {j!r}") from None
    if not 0 <= digit <= 9:
        raise ValueError(f"j must be an integer from 0 to 9, got {j!r}")
    return _unit_vector(digit, 10)


# What scripts put another function in the place of.
_OURS = vectorized_result


def _unit_vector(j: int, n: int) -> NDArray[np.float64]:
    e = np.zeros((n, 1))
    e[j] = 1.0
    return e


def _read(name: str, path: Any) -> Parts:
    from pathlib import Path

    from bpnet.mnist import files

    try:
        named = os.fsdecode(path)
    except TypeError:
        raise TypeError(f"{name} must be a path, got {path!r:.60}") from None
    return files.find(name, Path(os.path.expanduser(named))).read()


def _published() -> Parts:
    """Return all of MNIST from the cache or a download, or else the sample.

    A line on stderr says that it is the sample, and how to have all.
    """
    from bpnet import check
    from bpnet.mnist import download

    why, how = "", "set BPNET_DATA"
    try:
        return download.read_cache()
    except ValueError:
        why = ", as the cache is damaged"
    except (OSError, RuntimeError):  # there is none, or no home for one
        pass
    if importlib.util.find_spec("pooch") is None:
        how = f'pip install "bpnet[mnist]", or {how}'
    else:
        try:
            return download.download()
        except Exception as error:  # also of what a package that is broken lets through
            why = f", no download ({check.printable(error):.40})"
    print(f"MNIST: a sample of 5,000 digits{why}; for all 70,000: {how}", file=sys.stderr)
    return _sample()


def _sample() -> Parts:
    """Return the digits in the package, dealt out by bench/sample.py."""
    from pathlib import Path

    from bpnet.mnist import idx

    folder = Path(__file__).parent / "mnist" / "sample"
    images, labels = idx.read_pair(
        folder / "images-idx3-ubyte.gz", folder / "labels-idx1-ubyte.gz"
    )
    training, validation, test = (
        (images[rows], labels[rows])
        for rows in (slice(4000), slice(4000, 4500), slice(4500, 5000))
    )
    return training, validation, test
