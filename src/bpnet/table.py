"""Tables of one's own: CSV files with a header, and the scale of their columns in a network.

A network learns from standardised columns.  When training has ended, ``fold`` lets the first
layer, and of a regression the last, do that by themselves: from then on the network takes rows
as the table has them, in whatever way it is asked or saved.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bpnet.mnist.stream import check_room, opened

if TYPE_CHECKING:
    from bpnet.check import Array
    from bpnet.mnist.stream import Stream

_KIND = "a table of numbers under a line of names"
_DELIMITERS = ",;\t"  # the one that the header has most of, the first of equals
_BLOCK = 4096  # rows
_MISSING = {"", "?", "-", "na", "n/a", "nan", "null", "none"}
# The part of a deviation that rounding may take, as a number of the network's dtype.
_LEAST_BITS = 2.0**-10
_LEAST_ROWS = 6  # of which one is held out


class Table(NamedTuple):
    """Rows, and what their columns are."""

    columns: list[str]
    x: Array  # float64 (n, columns)
    target: str | None
    y: Array | None  # float64 (n,), or labels int64 (n,): indexes into classes
    classes: list[str] | None


def read(
    path: str, target: str | None = None, classify: bool = False, drop: Collection[str] = ()
) -> Table:
    """Return the table in a CSV file, gzipped or not.

    The target is the column of that name, else the last.  Text there, or whatever is there if
    classify, is names of classes, which are sorted; numbers are numbers.  Columns in drop are
    left out.  Raises ValueError, naming the file, the line and the column, if any other value
    is not a finite number, OSError if path is no file.
    """

    def choose(names: list[str]) -> tuple[list[int], int | None]:
        for name in drop:
            _index(names, name, "--drop")
        kept = [j for j, name in enumerate(names) if name not in drop]
        for j in kept:
            if not names[j]:
                raise ValueError(
                    f"column {j + 1} has no name, as an index of pandas: name it, or use "
                    f"--drop '', which leaves it out"
                )
        if len(kept) < 2:
            raise ValueError(f"it must have two columns or more, got {len(kept)}")
        wanted = [names[j] for j in kept]
        at = kept[-1] if target is None else kept[_index(wanted, target, "--target")]
        for j in kept:
            _index(names, names[j], "the header")
        return [j for j in kept if j != at], at

    table = _read(Path(path), path, choose, _Target(classify))
    values = np.unique(table.y)  # type: ignore[arg-type]
    where, what = f"{path}: the target {_quoted(table.target)}", "--target names another column"
    if len(values) < 2:
        found = table.classes[0] if table.classes else values[0] if len(values) else "no row"
        raise ValueError(f"{where} must have two values or more, got {_quoted(found)}: {what}")
    if len(table.x) < _LEAST_ROWS:
        raise ValueError(f"{path} must have {_LEAST_ROWS} rows or more, got {len(table.x)}")
    if table.classes and 2 * len(values) > len(table.x):
        raise ValueError(
            f"{where} must have classes of some rows each, got {len(values):,} in "
            f"{len(table.x):,} rows: {what}"
        )
    return table


def read_like(
    source: Path | bytes, name: str, table: dict[str, Any], target: bool = True
) -> Table:
    """Return the columns, and with target the target, of a network's table: see ``of``.

    They are found by name, in any order, and all else is ignored.
    """
    columns = table["columns"]

    def choose(names: list[str]) -> tuple[list[int], int | None]:
        found = [_index(names, column, "the network") for column in columns]
        return found, _index(names, table["target"], "the network") if target else None

    return _read(source, name, choose, _Target(known=table["classes"]))


def _index(names: Sequence[str], name: str, who: str) -> int:
    """Return where the column of a name is, which must be one."""
    if (found := names.count(name)) != 1:
        raise ValueError(
            f"{who} needs one column {_quoted(name)}, got {found}: "
            f"the columns are {', '.join(map(_quoted, names))}"
        )
    return names.index(name)


def _quoted(name: object) -> str:
    return f"{name!r:.60}" if isinstance(name, str) else str(name)


# Reading


def _read(
    source: Path | bytes,
    name: str,
    choose: Callable[[list[str]], tuple[list[int], int | None]],
    target: _Target,
) -> Table:
    content = bytearray()
    with opened(source, _KIND, name) as stream:
        names, blocks = _split(stream)
        inputs, at = choose(names)
        for lines, columns in blocks:
            block = np.empty((len(lines), len(inputs)))
            for k, j in enumerate(inputs):
                block[:, k] = _numbers(names[j], columns[j], lines)
            content += block.tobytes()
            check_room(len(content))
            if at is not None:
                target.add(names[at], columns[at], lines)
        if not content:
            raise ValueError("it has no rows")
        y, classes = (None, None) if at is None else target.end(names[at])
    x = np.frombuffer(content, np.float64).reshape(-1, len(inputs))
    return Table([names[j] for j in inputs], x, None if at is None else names[at], y, classes)


_Blocks = Iterator[tuple[list[int], list[tuple[str, ...]]]]


def _split(stream: Stream) -> tuple[list[str], _Blocks]:
    """Return the names of the columns; and blocks of rows, (lines in the file, columns)."""
    lines = _lines(stream)
    head, skipped = "", -1
    for head in lines:
        skipped += 1
        if head.strip():
            break
    else:
        raise ValueError("it is empty")
    delimiter = max(_DELIMITERS, key=head.count)

    def again() -> Iterator[str]:
        yield head
        yield from lines

    reader = csv.reader(again(), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader)]
    except csv.Error as error:
        raise ValueError(f"line {skipped + 1}: {error}") from None
    _check_header(names)
    return names, _blocks(reader, len(names), skipped)


def _lines(stream: Stream) -> Iterator[str]:
    """Yield the lines with their ends, as the csv module wants them."""
    try:
        while text := stream.text():
            yield from io.StringIO(text, newline="")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no text in UTF-8, save it as that: {error}") from None


def _check_header(names: list[str]) -> None:
    """Raise ValueError if a first line is of numbers, and names nothing.

    Numbers that count up may be names, beside a target's.
    """
    numbers = [number for name in names if (number := _number(name)) is not None]
    steps = {b - a for a, b in zip(numbers, numbers[1:])}
    if len(numbers) == len(names) or (0 < len(numbers) == len(names) - 1 and steps != {1.0}):
        raise ValueError(
            f"its first line must name the columns, got numbers, {', '.join(names):.40}: write "
            f"a line of names above it"
        )


def _blocks(reader: Any, width: int, skipped: int) -> _Blocks:
    lines: list[int] = []
    rows: list[list[str]] = []
    line = begin = reader.line_num + skipped + 1
    try:
        for row in reader:
            line, begin = begin, reader.line_num + skipped + 1
            if len(row) != width:
                if not any(map(str.strip, row)):
                    continue
                raise ValueError(
                    f"line {line} must have {width} values, one for each name, got {len(row)}"
                )
            if not row[0] and not any(map(str.strip, row)):
                continue
            lines.append(line)
            rows.append(row)
            if len(rows) == _BLOCK:
                yield lines, list(zip(*rows))
                lines, rows = [], []
    except csv.Error as error:
        raise ValueError(f"line {begin}: {error}") from None
    if rows:
        yield lines, list(zip(*rows))


def _number(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)  # Python's own 1_000
    except ValueError:
        return None


def _numbers(name: str, column: Sequence[str], lines: list[int], remedy: str = "") -> Array:
    """Return a column of finite numbers; ValueError that says which is none."""
    try:
        if "_" not in "".join(column):
            found = np.array(list(map(float, column)))
            if np.isfinite(found).all():
                return found
    except ValueError:
        pass
    numbers = map(_number, column)
    i = next(i for i, x in enumerate(numbers) if x is None or not np.isfinite(x))
    line, text, number = lines[i], column[i], _number(column[i])
    where = f"line {line}, column {_quoted(name)}"
    if text.strip().lower() in _MISSING:
        raise ValueError(
            f"{where} has no value, {_quoted(text)}: fill it in, delete the line, or leave the "
            f"column out, --drop {_quoted(name)}"
        )
    remedy = remedy or (
        f"make numbers of it, as a column of 0 and 1 for each value, or leave it out, "
        f"--drop {_quoted(name)}"
    )
    what = "no number" if number is None else "not finite"
    raise ValueError(f"{where}: {_quoted(text)} is {what}: {remedy}")


class _Target:
    """The column of the target: numbers, or names of classes if the first is one.

    known are all classes that there may be, an empty list: numbers.
    """

    def __init__(self, classify: bool = False, known: list[str] | None = None):
        self.classify = classify
        self.are_names: bool | None = True if classify or known else None
        self.known = known
        self.content = bytearray()  # numbers, or codes
        self.codes: dict[str, int] = {name: i for i, name in enumerate(known or ())}
        self.first: dict[str, int] = {}  # the line where a name occurs first

    def add(self, name: str, column: Sequence[str], lines: list[int]) -> None:
        if self.are_names is None:
            text = column[0].strip()
            self.are_names = _number(text) is None and text.lower() not in _MISSING
        if self.are_names:
            self.content += self._coded(name, column, lines).tobytes()
        else:
            remedy = "if these are names of classes, use --classify"
            self.content += _numbers(name, column, lines, remedy).tobytes()

    def _coded(self, name: str, column: Sequence[str], lines: list[int]) -> Array:
        column, codes = [text.strip() for text in column], self.codes
        for line, text in zip(lines, column):
            if text in codes:
                continue
            where = f"line {line}, column {_quoted(name)}"
            if not text:
                raise ValueError(f"{where} has no value: fill it in, or delete the line")
            if self.known:
                raise ValueError(
                    f"{where}: {_quoted(text)} is none of the network's classes, "
                    f"{', '.join(map(_quoted, self.known))}"
                )
            codes[text] = len(codes)
            self.first[text] = line
        return np.array([codes[text] for text in column], np.int64)

    def end(self, name: str) -> tuple[Array, list[str] | None]:
        """Return what the rows have, and the classes in their order."""
        if not self.are_names:
            return np.frombuffer(self.content, np.float64), None
        y = np.frombuffer(self.content, np.int64)
        if self.known:
            return y, self.known
        numbers = {text: number for text in self.codes if (number := _number(text)) is not None}
        if numbers and not self.classify:
            text = next(iter(numbers))
            raise ValueError(
                f"line {self.first[text]}, column {_quoted(name)}: {_quoted(text)} is a number "
                f"and {_quoted(next(iter(self.codes)))} is none: if both are names of classes, "
                f"use --classify"
            )
        classes = sorted(self.codes)
        if len(numbers) == len(classes):
            classes.sort(key=numbers.__getitem__)
            for a, b in zip(classes, classes[1:]):
                if numbers[a] == numbers[b]:
                    raise ValueError(
                        f"line {self.first[b]}, column {_quoted(name)}: {a} and {b} are one "
                        f"number: write a class in one way"
                    )
        new = np.empty(len(classes), np.int64)
        new[[self.codes[text] for text in classes]] = np.arange(len(classes))
        return new[y], classes


# The scale of the columns


def scaled(named: Any, training: tuple[Array, Array], dtype: Any) -> dict[str, Any]:
    """Return what a network's notes say of its table: named, and the scale of training.

    named has "columns", "target" and "classes", None if the target is numbers.  A scale is a
    standard deviation, and 0 where all values are equal: such a column tells nothing, and
    another value in a later row is not looked at.  Raises ValueError if dtype has too
    few bits for a column: what is large beside its own deviation.
    """
    x, y = training
    mean, scale = _mean_and_scale(x)
    table = {**named, "mean": mean.tolist(), "scale": scale.tolist(), "folded": False}
    if named["classes"] is None:
        mean, scale = _mean_and_scale(y[:, None])
        table |= {"target_mean": float(mean[0]), "target_scale": float(scale[0])}
    check_bits(table, dtype)
    return table


def _mean_and_scale(x: Array) -> tuple[Array, Array]:
    """Return the mean and the deviation of each column; 0 where all values are equal."""
    constant = x.min(0) == x.max(0)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        mean = np.where(constant, x[0], x.mean(0))
        scale = np.where(constant, 0.0, np.maximum(x.std(0), np.finfo(np.float64).tiny))
    return mean, scale


def check_bits(table: dict[str, Any], dtype: Any) -> None:
    """Raise ValueError if sums in dtype would lose a column's deviation beside its mean.

    Folded, a weighted input is sum(w / scale x) - sum(w / scale mean), whose terms are mean /
    scale times as large as those of standardised columns, and are rounded as such.
    """
    means, scales, names = [*table["mean"]], [*table["scale"]], [*table["columns"]]
    if table["classes"] is None:
        names.append(table["target"])
        means.append(table["target_mean"])
        scales.append(table["target_scale"])
    least, eps = float(np.finfo(dtype).tiny) ** 0.5, float(np.finfo(dtype).eps)
    for name, mean, scale in zip(names, means, scales):
        if not scale:
            continue
        if not (least <= scale <= 1 / least and abs(mean) <= 1 / least):
            raise ValueError(
                f"the column {_quoted(name)} must have a deviation from {least:.0e} to "
                f"{1 / least:.0e} for {np.dtype(dtype)}, got {scale:.3g}: multiply it by a "
                f"constant, or leave it out, --drop {_quoted(name)}"
            )
        if eps * abs(mean) > _LEAST_BITS * scale:
            raise ValueError(
                f"the column {_quoted(name)} has mean {mean:.6g} and deviation {scale:.3g}, "
                f"too close for {np.dtype(dtype)}: subtract a constant from it, or leave it "
                f"out, --drop {_quoted(name)}"
            )


def standardised(table: dict[str, Any], x: Array, y: Array) -> tuple[Array, Array]:
    """Return rows and target as the network of such notes is trained on them."""
    x = _divided(x - np.array(table["mean"]), table["scale"])
    if table["classes"] is None:
        y = _divided(y - table["target_mean"], table["target_scale"])
    return x, y


def _divided(a: Array, scale: Any) -> Array:
    """Return a / scale, and 0 where scale is 0."""
    return np.divide(a, scale, out=np.zeros_like(a), where=np.asarray(scale) != 0)


def fold(net: Any) -> Any:
    """Return net, which from now on takes rows, and answers, in the table's own units.

    With z = sum(w (x - mean) / scale) + b the first layer gets w / scale, and b less the sum of
    these times mean; the last, of a regression, is multiplied by the target's scale and gets
    its mean added.  All is computed in float64.  Nothing changes if that is done, or there
    is no table.  Raises ValueError if the notes are damaged.
    """
    table = of(net)
    if table is None or table["folded"]:
        return net
    biases, weights = (
        [np.asarray(a, np.float64) for a in arrays] for arrays in (net.biases, net.weights)
    )
    weights[0] = _divided(weights[0], table["scale"])
    biases[0] = biases[0] - weights[0] @ np.array(table["mean"])[:, None]
    if table["classes"] is None:
        weights[-1] = weights[-1] * table["target_scale"]
        biases[-1] = biases[-1] * table["target_scale"] + table["target_mean"]
    net.biases = [b.astype(net.dtype) for b in biases]
    net.weights = [w.astype(net.dtype) for w in weights]
    net.notes = {**net.notes, "table": {**table, "folded": True}}
    return net


def of(net: Any) -> dict[str, Any] | None:
    """Return what a network's notes say of its table; None if it was trained on none.

    Keys are "columns", "mean" and "scale" of the inputs; "target", its "classes", None if it is
    numbers, which then have "target_mean" and "target_scale"; "folded".  Raises ValueError if
    any of it does not fit: a file may hold anything.
    """
    table = named(net.notes, net.sizes[0], net.sizes[-1])
    if table is not None and not (
        _are(float, table.get("mean"), net.sizes[0])
        and _are(float, table.get("scale"), net.sizes[0])
        and min(table["scale"]) >= 0
        and isinstance(table.get("folded"), bool)
        and (
            table["classes"] is not None
            or (
                _are(float, [table.get("target_mean"), table.get("target_scale")], 2)
                and table["target_scale"] >= 0
            )
        )
    ):
        raise ValueError("notes of a table must have the scale that bpnet train writes")
    return table


def named(notes: Any, n_in: int, n_out: int) -> dict[str, Any] | None:
    """Return what notes say of a table: "columns", "target" and "classes"; None: of none."""
    table = (notes or {}).get("table")
    if table is None:
        return None
    classes = table.get("classes", 0) if isinstance(table, dict) else 0
    if not (
        isinstance(table, dict)
        and _are(str, table.get("columns"), n_in)
        and isinstance(table.get("target"), str)
        and (n_out == 1 if classes is None else n_out > 1 and _are(str, classes, n_out))
    ):
        raise ValueError(
            "notes of a table must have columns, target and classes as bpnet train or pack "
            "writes them"
        )
    return table


def _are(kind: type, values: Any, n: int) -> bool:
    """Whether this is a list of n of a kind, numbers being finite."""
    return (
        isinstance(values, list)
        and len(values) == n
        and all(type(value) is kind for value in values)
        and (kind is not float or bool(np.isfinite(values).all()))
    )
