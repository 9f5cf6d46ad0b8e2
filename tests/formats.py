"""Small data sets in every format that the loader reads, with pictures that are known.

``corpus(folder)`` writes one of each and returns what to point the loader at; ``FORMATS`` are
the functions that write them, and return what load_data must give.
"""

import gzip
import io
import os
import pickle
import re
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

_DRAW = np.random.RandomState(0)
# Where nothing else is said: 14 to train on, 7 to test, so that every rule for splits shows.
N_TRAINING, N_TEST = 14, 7
PICTURES = (
    _DRAW.randint(256, size=(N_TRAINING + N_TEST, 6, 5))
    * (_DRAW.rand(N_TRAINING + N_TEST, 6, 5) < 0.6)
).astype(np.uint8)
LABELS = np.arange(N_TRAINING + N_TEST) % 7

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


class Known(NamedTuple):
    """A path for the loader, and the three parts that it must give."""

    path: Path
    parts: tuple


def pixels(pictures):
    """Return pictures as load_data must: float32 rows, of integers byte / 256."""
    rows = pictures.reshape(len(pictures), -1)
    if rows.dtype.kind == "f":
        return rows.astype(np.float32)
    return rows.astype(np.float32) / np.float32(256)


def parts(pictures, labels, *bounds):
    """Return the three parts that end at bounds and at the end."""
    x, y = pixels(pictures), np.asarray(labels, np.int64)
    return tuple(zip(np.split(x, bounds), np.split(y, bounds)))


def idx(array, code=0x08):
    """Return an array as an IDX file."""
    head = struct.pack(f">{1 + array.ndim}I", code << 8 | array.ndim, *array.shape)
    return head + array.astype(IDX_TYPES[code]).tobytes()


def csv(pictures, labels=None, header=None, end="\n"):
    """Return rows of numbers as text, the label first, under a header or none."""
    rows = pictures.reshape(len(pictures), -1)
    table = rows if labels is None else np.column_stack([labels, rows])
    lines = [",".join(map(str, row)) for row in table]
    return "".join(line + end for line in [*([header] if header else []), *lines]).encode()


def npz(**arrays):
    """Return arrays as np.savez_compressed writes them, as Keras' file is."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


class _Python2(pickle._Pickler):
    """Writes bytes and text as Python 2's cPickle wrote its str."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_str(self, value):
        raw = value if isinstance(value, bytes) else value.encode("ascii")
        if self.proto == 0:
            text = repr(raw)[2:-1].encode()
            if repr(raw)[1] == '"':
                text = text.replace(b"'", b"\\'")
            self.write(b"S'" + text + b"'\n")
        elif len(raw) < 256:
            self.write(b"U" + struct.pack("<B", len(raw)) + raw)
        else:
            self.write(b"T" + struct.pack("<i", len(raw)) + raw)
        self.memoize(value)

    dispatch[bytes] = dispatch[str] = save_str


def python_2(value, protocol=0):
    """Return value as Python 2 and its NumPy would have pickled it."""
    file = io.BytesIO()
    _Python2(file, protocol).dump(value)
    return file.getvalue().replace(b"numpy._core.", b"numpy.core.")


def expanded(training, validation, test):
    """Return what the book's expand_mnist.py pickles: its training set is two lists."""
    return ([list(item) for item in zip(*zip(*training))], validation, test)


def write(folder, contents):
    """Write files, gzipped where their names say so; return folder."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        packed = gzip.compress(content, mtime=0) if name.endswith(".gz") else content
        path.write_bytes(packed)
    return folder


def idx_files(form="{part}-{kind}", pictures=PICTURES, labels=LABELS, code=0x08, test="t10k"):
    """Return the four IDX files by name; form has the places part and kind."""
    found = {}
    for part, rows in (("train", slice(N_TRAINING)), (test, slice(N_TRAINING, None))):
        images = form.format(part=part, kind="images-idx3-ubyte")
        found[images] = idx(pictures[rows], code)
        found[form.format(part=part, kind="labels-idx1-ubyte")] = idx(labels[rows])
    return found


def digits(n, seed=0):
    """Return n easy digits, 28 by 28, d being a bright bar at row 2 d; and their labels."""
    draw = np.random.RandomState(seed)
    labels = np.arange(n, dtype=np.uint8) % 10
    images = np.zeros((n, 28, 28), np.uint8)
    for image, label in zip(images, labels):
        image[2 * label + 3 : 2 * label + 6, 4:24] = draw.randint(200, 256)
    return images, labels


def write_digits(folder):
    """Write MNIST's four files, of 150 easy digits; return folder."""
    images, labels = digits(150)
    files = {}
    for part, rows in (("train", slice(120)), ("t10k", slice(120, None))):
        files[f"{part}-images-idx3-ubyte.gz"] = idx(images[rows])
        files[f"{part}-labels-idx1-ubyte.gz"] = idx(labels[rows])
    return write(folder, files)


SPLIT = parts(PICTURES, LABELS, 12, 14)  # a sixth of 14 is 2
EMNIST = ("balanced", "byclass", "bymerge", "digits", "letters", "mnist")
KEYS = ("x_train", "y_train", "x_test", "y_test")


def _idx(folder):
    return Known(write(folder, idx_files()), SPLIT)


def _idx_gzipped(folder):
    return Known(write(folder, idx_files("{part}-{kind}.gz")), SPLIT)


def _idx_dots(folder):
    files = {name.replace("-idx", ".idx"): raw for name, raw in idx_files().items()}
    return Known(write(folder, files), SPLIT)


def _idx_typed(code):
    def write_typed(folder):
        whole = PICTURES // 2 if code == 0x09 else PICTURES
        pictures = PICTURES / np.float32(255) if code in (0x0D, 0x0E) else whole
        files = idx_files(pictures=pictures, code=code)
        return Known(write(folder, files), parts(pictures, LABELS, 12, 14))

    return write_typed


def _usps(folder):
    return Known(write(folder, idx_files("usps-{part}-{kind}.gz", test="test")), SPLIT)


def _emnist(which):
    def write_emnist(folder):
        lying = PICTURES.transpose(0, 2, 1)
        labels = LABELS + (which == "letters")
        form = f"emnist-{which}-{{part}}-{{kind}}.gz"
        files = idx_files(form, lying, labels, test="test")
        return Known(write(folder, files), SPLIT)

    return write_emnist


def _emnist_one_of_many(folder):
    for which in EMNIST:
        _emnist(which)(folder / "gzip")
    return Known(folder / "gzip" / "emnist-letters-train-images-idx3-ubyte.gz", SPLIT)


def _torchvision(within):
    def write_torchvision(folder):
        raw = write(folder / "MNIST" / "raw", idx_files())
        write(raw, idx_files("{part}-{kind}.gz"))
        return Known(folder / within, SPLIT)

    return write_torchvision


def _pickled(dump, protocol, form=tuple, name="mnist.pkl.gz"):
    def write_pickled(folder):
        content = dump(form(SPLIT), protocol)
        return Known(write(folder, {name: content}), SPLIT)

    return write_pickled


def _expanded(dump, protocol, dtype="f4"):
    def write_expanded(folder):
        pictures = PICTURES if dtype == "u1" else pixels(PICTURES).astype(dtype)
        rows = pictures.reshape(len(pictures), -1)
        bounds = (12, 14)
        split = tuple(zip(np.split(rows, bounds), np.split(LABELS, bounds)))
        content = dump(expanded(*split), protocol)
        return Known(write(folder, {"mnist_expanded.pkl.gz": content}), SPLIT)

    return write_expanded


def _keras(folder):
    arrays = (PICTURES[:14], LABELS[:14].astype("u1"), PICTURES[14:], LABELS[14:].astype("u1"))
    content = npz(**dict(zip(KEYS, arrays)))
    return Known(write(folder, {"mnist.npz": content}), SPLIT)


HEADER = ",".join(["label", *(f"pixel{k}" for k in range(30))])


def _kaggle(folder):
    files = {
        "train.csv": csv(PICTURES, LABELS, HEADER),
        "test.csv": csv(PICTURES, None, HEADER.removeprefix("label,")),
        "sample_submission.csv": b"ImageId,Label\n1,0\n",
    }
    # A seventh of 21 is tested on, 3; a sixth of the other 18 validates, 3.
    return Known(write(folder, files), parts(PICTURES, LABELS, 15, 18))


def _csv_pair(header=None, end="\n", form="mnist_{}.csv"):
    def write_csv(folder):
        training = csv(PICTURES[:14], LABELS[:14], header, end)
        test = csv(PICTURES[14:], LABELS[14:], header, end)
        files = {form.format("train"): training, form.format("test"): test}
        return Known(write(folder, files), SPLIT)

    return write_csv


def _emnist_csv(folder):
    square = PICTURES[:, :5]
    lying, labels = square.transpose(0, 2, 1), LABELS + 1
    for part, rows in (("train", slice(14)), ("test", slice(14, None))):
        write(folder, {f"emnist-letters-{part}.csv": csv(lying[rows], labels[rows])})
    return Known(folder, parts(square, LABELS, 12, 14))


# A format's name: the function that writes it into a folder and returns what is Known.
FORMATS = {
    "idx": _idx,
    "idx gzipped": _idx_gzipped,
    "idx with dots": _idx_dots,
    **{f"idx of {dtype[-2:]}": _idx_typed(code) for code, dtype in IDX_TYPES.items()},
    "usps": _usps,
    **{f"emnist {which}": _emnist(which) for which in EMNIST},
    "emnist, one of six": _emnist_one_of_many,
    **{f"torchvision {w or 'root'}": _torchvision(w) for w in ("", "MNIST", "MNIST/raw")},
    **{f"pickle {p}": _pickled(pickle.dumps, p) for p in range(6)},
    **{f"pickle of Python 2, {p}": _pickled(python_2, p) for p in range(3)},
    "pickle not gzipped": _pickled(pickle.dumps, 2, list, "mnist.pkl"),
    **{f"expanded {p}": _expanded(pickle.dumps, p) for p in range(6)},
    **{f"expanded of Python 2, {p}": _expanded(python_2, p) for p in range(3)},
    **{f"expanded of {t}": _expanded(pickle.dumps, 4, t) for t in ("f8", "u1")},
    "keras": _keras,
    "kaggle": _kaggle,
    "csv pair": _csv_pair(),
    "csv pair with headers": _csv_pair(HEADER, "\r\n", "fashion-mnist_{}.csv"),
    "csv pair of emnist letters": _emnist_csv,
    "csv pair gzipped": _csv_pair(form="mnist_{}.csv.gz"),
}


def corpus(folder):
    """Write one small data set of each format; return the paths to load, by format."""
    folder = Path(os.fspath(folder))
    return {
        name: write_format(folder / re.sub(r"\W+", "-", name)).path
        for name, write_format in FORMATS.items()
    }
