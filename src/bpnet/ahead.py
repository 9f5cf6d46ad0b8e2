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
    Place = Callable[[Array], Array]


def asking(
    packed: bpcore.Data, windows: Windows, progress: Progress | None
) -> Progress | None:
    """Return what is to be called in the place of progress, so that rows are asked for.

    windows are those of the epoch that begins, each the rows [begin, end) of its blocks.
    """
    files = list(_files(packed))
    return _Asking(files, windows, progress) if files else progress


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
    """An array in a mapped file; place says how many bytes of it are before a row."""

    def __init__(self, array: Array, place: Place):
        self.map, self.place = mapped_file(array), place
        memory = np.frombuffer(self.map, np.uint8)
        addresses = (each.__array_interface__["data"][0] for each in (array, memory))
        self.offset = next(addresses) - next(addresses)

    def ask(self, begins: Array, ends: Array) -> None:
        """Ask for blocks of rows [begin, end)."""
        places = np.sort([self.place(begins), self.place(ends)], axis=0) + self.offset
        for begin, end in places.clip(0, len(self.map)).T.tolist():
            begin -= begin % mmap.PAGESIZE
            with contextlib.suppress(OSError):
                self.map.madvise(mmap.MADV_WILLNEED, begin, end - begin)


def _files(packed: bpcore.Data) -> Iterator[_File]:
    """Yield what of the examples is in mapped files that can be asked for."""
    for array, place in _parts(packed):
        if hasattr(mapped_file(array), "madvise") and hasattr(mmap, "MADV_WILLNEED"):
            yield _File(array, place)


def _parts(packed: bpcore.Data) -> Iterator[tuple[Any, Place]]:
    """Yield the arrays that hold examples, and how many bytes of each are before a row."""
    if packed.sparse:
        _, offsets, columns, values, codes = packed.inputs
        yield offsets, lambda rows: rows * offsets.itemsize
        for items in (columns, values if codes is None else codes):
            yield items, lambda rows, size=items.itemsize: offsets[rows] * size
    else:
        yield packed.inputs, lambda rows: rows * packed.inputs.strides[0]
    y = packed.y
    if y is not None:
        yield y, lambda rows: rows * y.strides[0]
