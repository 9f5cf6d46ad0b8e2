"""Rows in a mapped file are asked for before they are visited, so that no disk is waited for.

What is asked is advice: no result depends on it, and where a system takes none, none is given.
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from bpnet.data import mapped_file

if TYPE_CHECKING:
    import bpcore
    from bpnet.check import Array

    Progress = Callable[[int], object]
    Windows = Iterator[tuple[Array, Array]]


@contextlib.contextmanager
def asking(
    packed: bpcore.Data, windows: Windows, progress: Progress | None
) -> Iterator[Progress | None]:
    """Give what is to be called in the place of progress, so that rows are asked for.

    windows are those of the epoch that begins, each the rows [begin, end) of its blocks.
    """
    files = list(_files(packed))
    for file in files:  # what is missed is one row: what is around it comes much later
        file.advise(mmap.MADV_RANDOM)
    try:
        yield _Asking(files, windows, progress) if files else progress
    finally:
        for file in files:
            file.advise(mmap.MADV_NORMAL)


class _Asking:
    """Asks for the window after the one that is visited, whenever there is progress."""

    def __init__(self, files: list[_File], windows: Windows, progress: Progress | None):
        self.files, self.windows, self.progress = files, windows, progress
        self.visited = self.begin = self.end = 0  # rows; of the last window that was asked for
        self.ask(0)

    def __call__(self, done: int) -> None:
        self.visited += done
        self.ask(done)
        if self.progress is not None:
            self.progress(done)

    def ask(self, done: int) -> None:
        """Ask for windows until one begins after as many rows again as were visited now."""
        while self.begin <= self.visited + done:
            begins, ends = next(self.windows, (None, None))
            if begins is None or ends is None:
                return
            self.begin, self.end = self.end, self.end + int((ends - begins).sum())
            if self.end > self.visited:
                for file in self.files:
                    file.ask(begins, ends)


class _File:
    """An array in a mapped file, of items of so many bytes; row i begins with item offsets[i],
    or i."""

    def __init__(self, array: Array, size: int, offsets: Array | None = None):
        self.map, self.size, self.offsets = mapped_file(array), size, offsets
        memory = np.frombuffer(self.map, np.uint8)
        address, start = (each.__array_interface__["data"][0] for each in (array, memory))
        self.before = address - start

    def ask(self, begins: Array, ends: Array) -> None:
        """Ask for blocks of rows [begin, end)."""
        items = np.stack([begins, ends])
        if self.offsets is not None:
            items = self.offsets[items]
        places = np.sort(items * self.size, axis=0) + self.before  # rows may lie upwards
        for begin, end in places.clip(0, len(self.map)).T.tolist():
            begin -= begin % mmap.PAGESIZE
            self.advise(mmap.MADV_WILLNEED, begin, end - begin)

    def advise(self, advice: int, *part: int) -> None:
        """Give advice on a part of the file, or on all that is mapped."""
        with contextlib.suppress(OSError):
            self.map.madvise(advice, *part)


def _files(packed: bpcore.Data) -> Iterator[_File]:
    """Yield what of the examples is in mapped files, where the system takes advice on them."""
    parts: list[tuple[Any, ...]] = []  # what a _File is made of
    if packed.sparse:
        _, offsets, columns, values, codes = packed.inputs
        items = values if codes is None else codes
        parts.append((offsets, offsets.itemsize))
        parts += [(each, each.itemsize, offsets) for each in (columns, items)]
    else:
        parts.append((packed.inputs, packed.inputs.strides[0]))
    if packed.y is not None:
        parts.append((packed.y, packed.y.strides[0]))
    for part in parts:
        if hasattr(mapped_file(part[0]), "madvise"):
            yield _File(*part)
