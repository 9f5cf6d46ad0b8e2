"""``bpnet pack``: a file of a Dataset from a table, from arrays of NumPy's, from IDX files."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

import bpnet
from bpnet import check, mnist_loader, table
from bpnet.cli import examples, usage
from bpnet.mnist.idx import read_pair
from bpnet.mnist.stream import named, opened
from bpnet.wholefile import open_file

HELP = (
    "write a file that bpnet.open maps, of a CSV table, two files of NumPy, two IDX files or "
    "MNIST"
)


def add(option: Any) -> None:
    """Declare the options of ``bpnet pack``."""
    option(
        "files",
        nargs="+",
        metavar="FILE",
        help="what is packed, and last the file to write: a CSV table and OUT; X.npy, rows of "
        "inputs, y.npy, integers that are labels or floats that are numbers, and OUT; IDX "
        "files of images and labels, and OUT; or, with --data, OUT for the training and "
        "validation digits, and one more for the test digits",
    )
    examples.data_option(option)
    examples.column_options(option)
    option(
        "--dtype",
        choices=["float64", "float32"],
        help="of the networks to train (default: of pictures and of float32 arrays float32, "
        "else float64)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the file, or with --data both; print what is in it."""
    files = arguments.files
    if arguments.data is not None and len(files) > 2:
        raise usage.UsageError(f"--data gives 2 files to write, got {len(files)} names")
    if arguments.data is not None:
        packed, outs = _digits(arguments), files
    else:
        packed, outs = [lambda: _packed(arguments, files[:-1])], files[-1:]
    for out in outs:
        _check_out(out, files[: -len(outs)])
    for out, pack in zip(outs, packed):
        found = pack()
        found.save(out)
        print(f"saved {check.printable(out)}: {found!r}")


def _check_out(out: str, files: list[str]) -> None:
    """Raise ValueError if OUT is a file, but no Dataset's: it may be meant to be read."""
    if not os.path.exists(out):
        return
    if any(os.path.samefile(out, file) for file in files) or not examples.is_packed(out):
        raise ValueError(
            f"the last name is what is written, and {out} is a file that is no Dataset's: give "
            f"another name"
        )


def _digits(arguments: argparse.Namespace) -> list[Any]:
    """Return what packs MNIST: all that is not to test, and what is."""
    examples.check_no_columns(arguments, "digits")
    with usage.named({"path": "--data"}):
        training, validation, test = mnist_loader.load_data(arguments.data)
    rest: Any = tuple(np.concatenate([a, b]) for a, b in zip(training, validation))
    dtype = arguments.dtype or "float32"
    return [lambda: bpnet.Dataset(rest, dtype=dtype), lambda: bpnet.Dataset(test, dtype=dtype)]


def _packed(arguments: argparse.Namespace, files: list[str]) -> Any:
    """Return a Dataset of one file or two, by what they begin with."""
    starts = [_start(file) for file in files]
    if len(files) == 1 and not starts[0].startswith((b"\x93NUMPY", b"PK", b"\0\0")):
        path = files[0]
        rows = table.read(path, arguments.target, arguments.classify, arguments.drop)
        return examples.of_table(rows, arguments.dtype or "float64")
    if len(files) == 2 and all(start.startswith(b"\x93NUMPY") for start in starts):
        examples.check_no_columns(arguments, "arrays", ("target", "drop"))
        x, y = map(_array, files)
        if y.ndim == 1 and y.dtype.kind == "f" and not arguments.classify:
            y = y[:, None]
        dtype = arguments.dtype or (
            "float32" if x.dtype in (np.float32, np.uint8) else "float64"
        )
        return bpnet.Dataset((x, y), dtype=dtype)
    if len(files) == 2 and all(start.startswith(b"\0\0") for start in starts):
        examples.check_no_columns(arguments, "IDX files")
        images, labels = map(Path, files)
        return bpnet.Dataset(read_pair(images, labels), dtype=arguments.dtype or "float32")
    raise ValueError(
        f"pack needs a CSV table, two files of NumPy or two IDX files, and the name of a file "
        f"to write, got {', '.join(files) or 'that alone'}"
    )


def _start(path: str) -> bytes:
    """Return how a file begins, gzipped or not."""
    open_file(path).close()  # an error, if it is no file, with its name as it was given
    with opened(Path(path), "a table, or a file of NumPy or in IDX") as stream:
        return stream.start(6)


def _array(path: str) -> Any:
    """Return an array of a file of NumPy's, mapped."""
    open_file(path).close()  # an error, if it is no file
    with named(Path(path), "an array of numbers that np.save wrote"):
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if not found.ndim:
            raise ValueError("it holds one number")
        return found
