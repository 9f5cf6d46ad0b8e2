"""Tables of text as Kaggle's train.csv: a label and its pixels in each row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bpnet.mnist.pictures import as_labels, check_pixels, scale, upright
from bpnet.mnist.stream import check_room, opened

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from bpnet.mnist.pictures import Split


def read_table(
    path: Path, training: Split | None = None, lying: bool = False, first: int = 0
) -> Split | None:
    """Read a table; return None if its header says that it has no labels.

    training, lying and first are as for IDX files.
    """
    pixels, labels = bytearray(), [np.empty(0, np.int64)]
    columns = 0
    with opened(path, "a table with a label and its pixels, 0 to 255, in each row") as stream:
        while lines := stream.lines():
            if columns == 0 and (header := _header(lines[0])):
                if "label" not in header:
                    return None
                if header[0] != "label":
                    raise ValueError("its first column is not the label")
                lines = lines[1:]
            if not any(map(str.strip, lines)):
                continue
            block = _numbers(lines)
            columns = columns or block.shape[1]
            if block.shape[1] != columns or columns < 2:
                raise ValueError(f"it has rows of {columns} and of {block.shape[1]} columns")
            labels.append(block[:, 0].astype(np.int64))
            pixels += block[:, 1:].astype(np.uint8).tobytes()
        if columns == 0:
            raise ValueError("it has no rows")
        check_room(4 * len(pixels))
        images = np.frombuffer(pixels, np.uint8).reshape(-1, columns - 1)
        if lying:
            side = math.isqrt(images.shape[1])
            images = upright(images, side, side)
        found = scale(images)
        check_pixels(found, training)
        return found, as_labels(np.concatenate(labels), training, first)


def _header(line: str) -> list[str]:
    """Return the names of the columns, none if line is of numbers."""
    names = [name.strip().strip("\"'").lower() for name in line.split(",")]
    return names if names[0][:1].isalpha() else []


def _numbers(lines: list[str]) -> NDArray[Any]:
    block = np.loadtxt(lines, np.float64, comments=None, delimiter=",", ndmin=2)
    # A comparison with NaN is false.
    if not ((block >= 0) & (block <= 255) & (block % 1 == 0)).all():
        raise ValueError("it has other numbers than 0, 1, ... 255")
    return block
