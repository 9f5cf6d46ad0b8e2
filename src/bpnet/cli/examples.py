"""What a user names as data: MNIST, a Dataset's file, a table; and the parts that it has."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import bpnet
from bpnet import mnist_loader, table
from bpnet.cli.usage import UsageError, named
from bpnet.mnist import pictures
from bpnet.search.examples import HELD_OUT
from bpnet.wholefile import open_file

_BLOCK = 4096  # rows
COLUMNS = ("target", "classify", "drop")  # options that say what they are


class Parts(NamedTuple):
    """Examples as calls take them: pairs (X, Y), or Datasets."""

    training: Any
    validation: Any
    test: Any  # of a table the rows of validation as they are, for a network that is folded
    n_in: int
    n_out: int
    numbers: bool  # and no classes are what is desired
    dtype: str | None  # a Dataset's
    table: dict[str, Any] | None  # what a network's notes must say of it: table.of
    words: tuple[str, str]  # what inputs and examples are called
    held_out: str  # those of test
    drawn: bool  # by the seed, and so test is validation


def data_option(option: Any, group: str = "") -> None:
    """Declare where MNIST is."""
    option(
        "--data",
        metavar="PATH",
        help="a folder with MNIST's four IDX files, mnist.pkl.gz or another data set, or a "
        "file of one (default: the environment variable BPNET_DATA, the cache, a download "
        "where pooch is installed, or the 5,000 digits in this package)",
        group=group,
    )


def table_option(option: Any, group: str = "") -> None:
    """Declare the argument in whose place MNIST is used."""
    option(
        "table",
        nargs="?",
        metavar="TABLE",
        help="in the place of MNIST, a CSV file whose first line names its columns, or a file "
        "that bpnet pack wrote",
        group=group,
    )


def column_options(option: Any, group: str = "") -> None:
    """Declare what the columns of a table are."""
    option(
        "--target",
        metavar="COLUMN",
        help="what to tell from a table's others (default: its last)",
        group=group,
    )
    option(
        "--classify",
        action="store_true",
        help="numbers in the target, floats in y.npy, are classes, as text always is",
        group=group,
    )
    option(
        "--drop",
        metavar="COLUMN",
        action="append",
        default=[],
        help="leave out a column of a table; may be given again",
        group=group,
    )


def read(
    arguments: argparse.Namespace,
    seed: int,
    dtype: str | None = None,
    like: dict[str, Any] | None = None,
) -> Parts:
    """Return what the options name, in three parts.

    Of a Dataset or a table the seed draws a sixth, which is held out.  A table becomes
    standardised, by its training part, for a network of dtype, default float64; a Dataset
    becomes one of dtype, default its own.  like is what a network says of its table: this must
    then have its columns, and its target, and its scale is theirs.
    """
    check_options(arguments, like)
    if arguments.table is None:
        return _of_mnist(arguments.data)
    found = _dataset(arguments, like)
    if (named := _named(found)) is not None:
        return _of_table(found, named, seed, dtype or "float64", like)
    found = bpnet.Dataset(found, dtype=dtype or found.dtype)
    training, validation = found.split(HELD_OUT, seed)
    words = ("the inputs", "examples"), "held-out examples", True
    shape, name = _shape(found), found.dtype.name
    return Parts(training, validation, validation, *shape, name, None, *words)


def _of_mnist(path: str | None) -> Parts:
    with named({"path": "--data"}):
        parts = mnist_loader.load_data(path)
    n_in, n_out = parts[-1][0].shape[1], pictures.count_classes(*parts)
    words = ("the pixels of a digit", "digits"), "test digits", False
    return Parts(*parts, n_in, n_out, False, None, None, *words)


def _of_table(
    found: Any, named: Any, seed: int, dtype: str, like: dict[str, Any] | None
) -> Parts:
    training, held_out = (_arrays(part) for part in found.split(HELD_OUT, seed))
    scaled = {**(like or table.scaled(named, training, np.dtype(dtype))), "folded": False}
    standard, validation = (table.standardised(scaled, *p) for p in (training, held_out))
    classes, n_in = scaled["classes"], len(scaled["columns"])
    n_out = 1 if classes is None else len(classes)
    words = ("the columns beside the target", "rows"), "held-out rows", True
    shape = n_in, n_out, classes is None
    return Parts(standard, validation, held_out, *shape, None, scaled, *words)


def _arrays(found: Any) -> tuple[Any, Any]:
    """Return a table's rows, and its labels, or numbers (n,), in float64."""
    x, y = found.rows(0, len(found))
    return x.astype(np.float64), y[:, 0].astype(np.float64) if y.ndim == 2 else y


def check_options(arguments: argparse.Namespace, like: dict[str, Any] | None) -> None:
    """Raise ValueError if options contradict each other, or like, a network's table."""
    if arguments.table is None:
        if like is not None:
            raise ValueError(
                f"TABLE must be given, as the network is of one, which has {like['target']!r}"
            )
        check_no_columns(arguments, "none", kind=UsageError)
    elif arguments.data is not None:
        raise UsageError("--data and TABLE are two sets of data: name one")


def check_no_columns(
    arguments: argparse.Namespace,
    what: str,
    names: tuple[str, ...] = COLUMNS,
    kind: type[ValueError] = ValueError,
) -> None:
    """Raise ValueError, or a kind of it, if options say what columns are."""
    for name in _given(arguments, names):
        raise kind(f"--{name} is for a CSV table, got {what}")


def _given(arguments: argparse.Namespace, names: tuple[str, ...] = COLUMNS) -> list[str]:
    return [name for name in names if getattr(arguments, name, None)]


def _dataset(arguments: argparse.Namespace, like: dict[str, Any] | None) -> Any:
    """Return the Dataset in a file, or of all of a table, whose notes name its columns."""
    path = arguments.table
    if is_packed(path):
        check_no_columns(arguments, f"{path}, which is packed")
        found = bpnet.open(path)
    elif like is not None and not _given(arguments):
        found = of_table(table.read_like(Path(path), path, like))
    else:
        found = of_table(table.read(path, arguments.target, arguments.classify, arguments.drop))
    if like is not None:
        named = _named(found) or {}
        for key in ("columns", "target", "classes"):
            if named.get(key) != like[key]:
                raise ValueError(f"{path} must have the network's {key}, {like[key]!r:.200}")
    return found


def of_table(rows: table.Table, dtype: Any = np.float64) -> Any:
    """Return all of a table as a Dataset, whose notes name its columns."""
    named = {"columns": rows.columns, "target": rows.target, "classes": rows.classes}
    y: Any = rows.y
    if np.dtype(dtype) != np.float64:  # it may lose what a column tells
        table.scaled(named, (rows.x, y), dtype)
    y = y[:, None] if rows.classes is None else y
    return bpnet.Dataset((rows.x, y), dtype=dtype, notes={"table": named})


def is_packed(path: str) -> bool:
    """Whether a file is a Dataset's, or another zip."""
    with open_file(path) as file:
        return file.read(2) == b"PK"


def _named(found: Any) -> dict[str, Any] | None:
    """Return what a Dataset's notes say of its table."""
    n_in, n_out, numbers = _shape(found)
    notes = found.notes or {}
    classes = notes["table"].get("classes") if isinstance(notes.get("table"), dict) else None
    if not numbers and isinstance(classes, list):  # a part of it may lack the last
        n_out = max(n_out, len(classes))
    return table.named(notes, n_in, n_out)


def _shape(found: Any) -> tuple[int, int, bool]:
    """Return how many inputs and outputs a network needs; and whether numbers are desired."""
    x, y = found[0]
    if not isinstance(y, int):
        return len(x), len(y), True
    return len(x), max(2, int(found.labels("examples", None).max()) + 1), False


def whole(
    arguments: argparse.Namespace, like: dict[str, Any] | None, dtype: Any
) -> tuple[Any, str]:
    """Return all examples in a file as they are, and what they are called.

    like is what a network of dtype says of its table.
    """
    check_options(arguments, like)
    path = arguments.table
    if is_packed(path):
        return bpnet.Dataset(_dataset(arguments, like), dtype=dtype), "examples"
    if like is None:
        raise ValueError(f"MODEL must be a network of a table to answer {path}, got another")
    rows = table.read_like(Path(path), path, like)
    return (rows.x, rows.y), "rows"


def targets(found: Any) -> Any:
    """Return the numbers (n, n_out) that are desired of examples."""
    if isinstance(found, tuple):
        return np.reshape(found[1], (len(found[1]), -1))
    blocks = range(0, len(found), _BLOCK)
    return np.concatenate([found.rows(begin, begin + _BLOCK)[1] for begin in blocks])
