"""IDX, the format of MNIST's four files: a header of big-endian integers, then the items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bpnet.mnist.pictures import as_labels, check_pixels, read_pictures
from bpnet.mnist.stream import opened

if TYPE_CHECKING:
    from pathlib import Path

    from bpnet.mnist.pictures import Split
    from bpnet.mnist.stream import Stream

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_pair(
    images_file: Path | bytes,
    labels_file: Path | bytes,
    training: Split | None = None,
    lying: bool = False,
    first: int = 0,
) -> Split:
    """Read a file of images and that of their labels, to fit training where there is one.

    lying: the pictures are transposed; first: the smallest label.
    """
    with opened(images_file, "an IDX file of images") as stream:
        dtype, (n, height, width) = _read_header(stream, 3)
        images = read_pictures(stream, (n, height, width), dtype, lying)
        check_pixels(images, training)
        stream.check_end()
    with opened(labels_file, "an IDX file of labels") as stream:
        dtype, found = _read_header(stream, 1)
        if found != [n]:
            raise ValueError(f"it has {found[0]} for {n} images")
        raw = stream.take(n * np.dtype(dtype).itemsize)
        labels = as_labels(np.frombuffer(raw, dtype), training, first)
        stream.check_end()
    return images, labels


def _read_header(stream: Stream, dimensions: int) -> tuple[str, list[int]]:
    magic, *shape = (int.from_bytes(stream.take(4), "big") for _ in range(1 + dimensions))
    if magic & 0xFF != dimensions or magic >> 8 not in _TYPES:
        raise ValueError(f"its magic number is {magic} and not {0x800 + dimensions}")
    return _TYPES[magic >> 8], shape
