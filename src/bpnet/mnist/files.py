"""MNIST's files and others like them: which of them make up a data set, and who reads it.

To add a format, write its reader and a row of FORMATS.  Nothing in a file is run, and nothing
is allocated that its own bytes could not fill.  What is wrong with a file is a ValueError that
names it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bpnet.mnist.idx import read_pair
from bpnet.mnist.npz import read_npz
from bpnet.mnist.pickled import read_pickle
from bpnet.mnist.table import read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bpnet.mnist.pictures import Parts, Split

IDX = {
    "training images": "train-images-idx3-ubyte",
    "training labels": "train-labels-idx1-ubyte",
    "test images": "t10k-images-idx3-ubyte",
    "test labels": "t10k-labels-idx1-ubyte",
}


class Format(NamedTuple):
    """A kind of data set: the names of its files, and who reads them."""

    # Of a whole name: the group "set" tells apart the data sets of a folder, and "part" is a
    # key of parts.
    pattern: str
    parts: dict[str, str]  # what a data set must have: what to call it where it is missing
    ending: str  # of the name of a file that is the whole data set
    read: Callable[[Mapping[str, Path], str], Parts]


class DataSet(NamedTuple):
    """Files that make up a data set, by part; its name is empty where theirs is MNIST's."""

    format: Format
    name: str
    files: dict[str, Path]

    def missing(self) -> list[str]:
        """Return the names of the files that it lacks."""
        prefix = self.name and f"{self.name}-"
        return [
            prefix + (name.replace("t10k", "test") if prefix else name)
            for part, name in self.format.parts.items()
            if part not in self.files
        ]

    def read(self) -> Parts:
        """Return the three parts."""
        return self.format.read(self.files, self.name)


def read_idx_split(files: Mapping[str, Path | bytes], name: str = "") -> Parts:
    """Read the four IDX files; the last sixth of the training set is the validation set."""
    images, labels, test_images, test_labels = (files[content] for content in IDX)
    form = _form(name)
    training = read_pair(images, labels, None, *form)
    return _validated(training, read_pair(test_images, test_labels, training, *form))


def _form(name: str) -> tuple[bool, int]:
    """Return whether a data set's pictures are transposed, and its smallest label."""
    return name.startswith("emnist"), int(name.startswith("emnist-letters"))


def _validated(training: Split, test: Split) -> Parts:
    images, labels = training
    n = len(labels) - len(labels) // 6
    return (images[:n], labels[:n]), (images[n:], labels[n:]), test


def _read_tables(files: Mapping[str, Path], name: str) -> Parts:
    """Read one table or two; without labels to test on, the first's last seventh is tested."""
    path = files["train"]
    training = read_table(path, None, *_form(name))
    if training is None:
        raise ValueError(f"{path} must have a column of labels, got none to train or test on")
    test = read_table(files["test"], training, *_form(name)) if "test" in files else None
    if test is None:
        images, labels = training
        n = len(labels) - len(labels) // 7
        training, test = (images[:n], labels[:n]), (images[n:], labels[n:])
        why = f"{files['test'].name} has no labels" if "test" in files else "it is alone"
        print(
            f"{path}: the last {len(labels) - n:,} of its {len(labels):,} rows are the test "
            f"set, since {why}",
            file=sys.stderr,
        )
    return _validated(training, test)


# The first that a folder has whole is read, where several have a data set of one name.
FORMATS = (
    Format(
        r"(?P<set>.*?)(?P<part>(train|t10k|test)-(images|labels))[-.]idx[13]-\w+(\.gz)?",
        IDX,
        "ubyte",
        read_idx_split,
    ),
    Format(
        r"(?P<set>mnist)(?P<part>)(_expanded)?\.pkl(\.gz)?",
        {"": "mnist.pkl.gz"},
        "",  # it may be called anything
        lambda files, _: read_pickle(files[""]),
    ),
    Format(
        r"(?P<set>mnist)(?P<part>)\.npz",
        {"": "mnist.npz"},
        ".npz",
        lambda files, _: _validated(*read_npz(files[""])),
    ),
    Format(
        r"(?P<set>.*?)(?P<part>train|test)\.csv(\.gz)?",
        {"train": "train.csv"},
        ".csv",
        _read_tables,
    ),
)
_WHAT = "a folder with MNIST's four IDX files, mnist.pkl.gz or another data set, or such a file"


def find(name: str, path: Path) -> DataSet:
    """Return the data set that is in the folder path, or that the file path belongs to.

    name is what the caller calls path.  Raises FileNotFoundError if there is none or files are
    missing, ValueError if there are several.
    """
    if path.is_file():
        return _whole(name, path, [_of_file(path)])
    if not path.is_dir():
        is_there = path.exists()
        what = "is neither a folder nor a regular file" if is_there else "does not exist"
        raise FileNotFoundError(f"{name} must be {_WHAT}; {path} {what}")
    first = _in_folder(path)
    found = first
    for folders in ([path / "raw"], [path / "gzip"], sorted(path.glob("*/raw"))):
        if any(not data_set.missing() for data_set in found):
            break
        found = [data_set for folder in folders for data_set in _in_folder(folder)]
    return _whole(name, path, found if any(not s.missing() for s in found) else first)


def _whole(name: str, path: Path, found: list[DataSet]) -> DataSet:
    """Return the one data set that is whole."""
    whole: dict[tuple[Path, str], DataSet] = {}
    for data_set in found:
        if not data_set.missing():
            key = next(iter(data_set.files.values())).parent, data_set.name
            whole.setdefault(key, data_set)
    if len(whole) > 1:
        files = (
            str(min(data_set.files.values()).relative_to(path)) for data_set in whole.values()
        )
        raise ValueError(
            f"{name} must be one data set, and {path} has {len(whole)}: name a file of the one "
            f"that you want, {', '.join(files)}"
        )
    if not whole:
        lacking = found[0] if found else DataSet(FORMATS[0], "", {})
        raise FileNotFoundError(
            f"{name} must be {_WHAT}; {path} lacks {', '.join(lacking.missing())}"
        )
    return next(iter(whole.values()))


def _of_file(path: Path) -> DataSet:
    """Return the data set of a file, which is one by itself where its name does not say."""
    for data_set in _in_folder(path.parent, path):
        if path in data_set.files.values():
            return data_set
    name = path.name.removesuffix(".gz")
    format = max((f for f in FORMATS if name.endswith(f.ending)), key=lambda f: len(f.ending))
    return DataSet(format, name.removesuffix(format.ending), {next(iter(format.parts)): path})


def _in_folder(folder: Path, wanted: Path | None = None) -> list[DataSet]:
    """Return the data sets of a folder, whole or not; wanted goes before files like it."""
    if not folder.is_dir():
        return []
    paths = sorted(folder.iterdir(), key=lambda path: (path != wanted, path.name))
    found: dict[tuple[int, str], DataSet] = {}
    for i, format in enumerate(FORMATS):
        for path in paths:
            if (match := re.fullmatch(format.pattern, path.name)) and path.is_file():
                name = match["set"].strip("-_.")
                name = "" if name == "mnist" else name
                data_set = found.setdefault((i, name), DataSet(format, name, {}))
                data_set.files.setdefault(_part(match["part"]), path)
    return list(found.values())


def _part(name: str) -> str:
    for prefix, part in (("train-", "training "), ("t10k-", "test "), ("test-", "test ")):
        name = name.replace(prefix, part)
    return name
