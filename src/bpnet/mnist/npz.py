"""Keras' mnist.npz: four arrays in a zip archive, read without pickle."""

from __future__ import annotations

import re
import zipfile
from typing import TYPE_CHECKING

import numpy as np

from bpnet.mnist.pictures import as_labels, check_pixels, read_pictures
from bpnet.mnist.stream import named, opened_member

if TYPE_CHECKING:
    from pathlib import Path

    from bpnet.mnist.pictures import Split
    from bpnet.mnist.stream import Stream

# As NumPy writes them; only numbers, and only in rows.
_HEADER = re.compile(
    rb"\{'descr': '([<>|][iuf][1248])', 'fortran_order': False, "
    rb"'shape': \(([0-9]{1,18}(?:, ?[0-9]{1,18}){0,2}),?\), \} *\n"
)


def read_npz(path: Path) -> tuple[Split, Split]:
    """Read x_train, y_train, x_test and y_test."""
    with (
        named(path, "Keras' four arrays, x_train, y_train, x_test and y_test"),
        zipfile.ZipFile(path) as archive,
    ):
        training = _read_pair(archive, "train", None)
        return training, _read_pair(archive, "test", training)


def _read_pair(archive: zipfile.ZipFile, part: str, training: Split | None) -> Split:
    stream = opened_member(archive, f"x_{part}.npy")
    dtype, shape = _read_header(stream)
    if len(shape) < 2:
        raise ValueError(f"x_{part} has the shape {shape} and not (n, height, width)")
    n, height, width = [*shape, 1][:3]
    images = read_pictures(stream, (n, height, width), dtype)
    stream.check_end()
    check_pixels(images, training)
    stream = opened_member(archive, f"y_{part}.npy")
    dtype, shape = _read_header(stream)
    if shape != (n,):
        raise ValueError(f"y_{part} has the shape {shape} and not ({n},)")
    raw = stream.take(n * np.dtype(dtype).itemsize)
    stream.check_end()
    return images, as_labels(np.frombuffer(raw, dtype), training)


def _read_header(stream: Stream) -> tuple[str, tuple[int, ...]]:
    magic = stream.take(8)
    header = stream.take(int.from_bytes(stream.take(2), "little"))
    match = _HEADER.fullmatch(header)
    if magic != b"\x93NUMPY\1\0" or match is None:
        raise ValueError("one of them is not an array of numbers as NumPy writes it")
    return match[1].decode(), tuple(int(n) for n in match[2].split(b","))
