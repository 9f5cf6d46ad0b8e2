"""Laws of every format that the loader reads: what is in a file, or one sentence."""

import gzip
import io
import os
import random
import re
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import formats
import numpy as np
import pytest

import bpnet
from bpnet import check, cli, mnist_loader
from bpnet.mnist import pictures, stream

FULL_MNIST = os.environ.get("BPNET_DATA")
EACH = pytest.mark.parametrize("write", formats.FORMATS.values(), ids=formats.FORMATS)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("BPNET_DATA", raising=False)


def same(loaded, expected):
    return all(
        np.array_equal(a, b) and (a.dtype, a.shape) == (b.dtype, b.shape)
        for part, wanted in zip(loaded, expected, strict=True)
        for a, b in zip(part, wanted, strict=True)
    )


def files_of(path):
    folder = path if path.is_dir() else path.parent
    return sorted(file for file in folder.rglob("*") if file.is_file())


# What is read


@EACH
def test_what_is_loaded_is_what_was_written(tmp_path, write):
    known = write(tmp_path)
    loaded = mnist_loader.load_data(known.path)
    assert same(loaded, known.parts)
    assert all(a.flags.c_contiguous and a.flags.writeable for part in loaded for a in part)


@EACH
def test_each_file_of_a_data_set_names_it(tmp_path, write):
    known = write(tmp_path)
    for path in files_of(known.path):
        if path.name.startswith(known.path.name.split("-train")[0]) or known.path.is_dir():
            if path.name != "sample_submission.csv":
                assert same(mnist_loader.load_data(path), known.parts), path


def test_the_corpus_has_one_of_each(tmp_path):
    paths = formats.corpus(tmp_path)
    assert list(paths) == list(formats.FORMATS)
    assert all(path.exists() for path in paths.values())


@pytest.mark.parametrize("kind", [str, Path, os.fsencode, lambda path: Wrapped(path)])
def test_every_kind_of_path_is_taken_and_a_tilde_is_the_home(tmp_path, monkeypatch, kind):
    known = formats.FORMATS["idx"](tmp_path / "home" / "data")
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    assert same(mnist_loader.load_data(kind(str(known.path))), known.parts)
    assert same(mnist_loader.load_data(kind("~/data")), known.parts)
    monkeypatch.setenv("BPNET_DATA", "~/data")
    assert same(mnist_loader.load_data(), known.parts)


class Wrapped:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


def test_what_is_no_path_is_refused():
    for path in (7, 1.5, ["a"], {}):
        with pytest.raises(TypeError, match=r"^path must be a path, got "):
            mnist_loader.load_data(path)


# Classes and unit vectors


@pytest.mark.parametrize(
    ("labels", "side", "classes"),
    [
        (np.arange(21) % 3, 28, 10),  # a part of MNIST
        (np.arange(21) % 3, 6, 3),
        (np.arange(21) % 14, 28, 14),
        (np.arange(21) % 13, 6, 13),
    ],
)
def test_the_wrappers_unit_vectors_are_as_long_as_there_are_classes(
    tmp_path, labels, side, classes
):
    images = np.zeros((21, side, side), np.uint8)
    folder = formats.write(tmp_path, formats.idx_files(pictures=images, labels=labels))
    parts = mnist_loader.load_data(folder)
    assert pictures.count_classes(*parts) == classes
    training, _, _ = mnist_loader.load_data_wrapper(folder)
    for (_, y), label in zip(training, labels):
        assert np.array_equal(y, np.eye(classes)[:, [label]])


def test_a_scripts_own_load_data_takes_no_argument(monkeypatch):
    parts = formats.parts(np.zeros((6, 28, 28), np.uint8), np.arange(6), 3, 4)
    monkeypatch.setattr(mnist_loader, "load_data", lambda: parts)
    monkeypatch.setattr(mnist_loader, "vectorized_result", lambda j: int(j))
    training, _, test = mnist_loader.load_data_wrapper()
    assert [y for _, y in training] == [0, 1, 2]
    assert [y for _, y in test] == [4, 5]


def test_train_and_evaluate_say_which_sizes_fit(tmp_path, capsys):
    known = formats.FORMATS["emnist letters"](tmp_path)
    words = (
        "must begin with 30, .* end with 7, the classes, as --sizes 30,30,7 does, got 784,30,10"
    )
    assert cli.main(["train", "--data", str(known.path)]) == 1
    assert re.search(words, capsys.readouterr().err)
    bpnet.Network([784, 30, 10]).save(tmp_path / "net.npz")
    assert cli.main(["evaluate", str(tmp_path / "net.npz"), "--data", str(known.path)]) == 1
    assert re.search(words, capsys.readouterr().err)
    sizes = ["--sizes", "30,4,7", "--epochs", "1"]
    assert cli.main(["train", "--data", str(known.path), *sizes]) == 0
    capsys.readouterr()
    assert cli.main(["train", "--data", str(known.path), *sizes, "--distort", "1"]) == 1
    assert "--distort needs square images, got 30 pixels" in capsys.readouterr().err


@pytest.mark.skipif(not FULL_MNIST, reason="BPNET_DATA names no full MNIST")
def test_the_full_set_in_other_formats_is_the_same(tmp_path):
    expected = mnist_loader.load_data(FULL_MNIST)
    images = np.concatenate([part[0] for part in expected]) * 256
    images = images.astype(np.uint8).reshape(-1, 28, 28)
    labels = np.concatenate([part[1] for part in expected])
    arrays = (images[:60000], labels[:60000], images[60000:], labels[60000:])
    (tmp_path / "mnist.npz").write_bytes(formats.npz(**dict(zip(formats.KEYS, arrays))))
    assert same(mnist_loader.load_data(tmp_path), expected)


# Which data set


def test_a_folder_of_several_data_sets_lists_them(tmp_path):
    formats.FORMATS["emnist, one of six"](tmp_path)
    with pytest.raises(
        ValueError, match=r"^path must be one data set, and \S+ has 6: "
    ) as caught:
        mnist_loader.load_data(tmp_path)
    for which in formats.EMNIST:
        assert f"emnist-{which}-t" in str(caught.value)


def test_mnist_in_several_forms_is_one_data_set_and_idx_is_read_first(tmp_path):
    for name in ("expanded 4", "keras", "csv pair", "pickle 4"):
        formats.FORMATS[name](tmp_path)
    assert mnist_loader.load_data(tmp_path)[0][1].shape == (12,)
    (tmp_path / "mnist_expanded.pkl.gz").write_bytes(b"not read")
    (tmp_path / "mnist.npz").write_bytes(b"not read")
    assert same(mnist_loader.load_data(tmp_path), formats.SPLIT)
    formats.write(tmp_path, formats.idx_files(pictures=formats.PICTURES // 2))
    halves = formats.parts(formats.PICTURES // 2, formats.LABELS, 12, 14)
    assert same(mnist_loader.load_data(tmp_path), halves)


def test_what_a_set_lacks_is_said_by_its_names(tmp_path):
    known = formats.FORMATS["emnist letters"](tmp_path)
    (known.path / "emnist-letters-test-labels-idx1-ubyte.gz").unlink()
    for path in (known.path, next(known.path.iterdir())):
        with pytest.raises(FileNotFoundError, match=r"lacks emnist-letters-test-labels-idx1-"):
            mnist_loader.load_data(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "mnist.pkl.gz")
    for path in (tmp_path / "mnist.pkl.gz", "/dev/zero"):
        with pytest.raises(FileNotFoundError, match=r"is neither a folder nor a regular file$"):
            mnist_loader.load_data(path)
    with pytest.raises(FileNotFoundError, match=" lacks "):
        mnist_loader.load_data(tmp_path)
    assert stat.S_ISFIFO((tmp_path / "mnist.pkl.gz").stat().st_mode)


def test_kaggles_training_table_is_split_and_says_so(tmp_path, capsys):
    known = formats.FORMATS["kaggle"](tmp_path)
    mnist_loader.load_data(known.path)
    assert "the last 3 of its 21 rows are the test set, since test.csv has no labels" in (
        capsys.readouterr().err
    )
    (tmp_path / "test.csv").unlink()
    assert same(mnist_loader.load_data(tmp_path / "train.csv"), known.parts)
    assert "since it is alone" in capsys.readouterr().err


# Damage

# Others have the very files of one of these, by other names, or its pickle by other opcodes.
DAMAGED = [
    name
    for name in formats.FORMATS
    if not re.match(
        r"usps|idx of u1|emnist (?!letters)|emnist,|torchvision|expanded.* [1235]$", name
    )
]


def other_contents(raw, draw, n):
    """Yield raw cut, and with a byte changed, at its ends and at n places between."""
    places = {
        *range(40),
        *range(len(raw) - 30, len(raw)),
        *draw.sample(range(len(raw)), min(n, len(raw))),
    }
    for i in sorted(places & set(range(len(raw)))):
        yield raw[:i]
        yield raw[:i] + bytes([raw[i] ^ (1 << draw.randrange(8))]) + raw[i + 1 :]


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_cut_or_changed_anywhere_is_read_or_refused_in_a_sentence(tmp_path, name):
    known = formats.FORMATS[name](tmp_path)
    draw = random.Random(0)
    tracemalloc.start()
    try:
        for path in files_of(known.path):
            whole = path.read_bytes()
            unpacked = gzip.decompress(whole) if path.suffix == ".gz" else None
            contents = list(other_contents(whole, draw, 10))
            if unpacked is not None:  # past the sum, too
                contents += other_contents(unpacked, draw, 10)
            for content in contents:
                path.write_bytes(content)
                try:
                    loaded = mnist_loader.load_data(known.path)
                except (ValueError, OSError) as error:
                    assert re.match(
                        r"(path|\S+/[\w.-]+) (must be|must have|cannot be read:) ", str(error)
                    ), error
                    assert "\n" not in str(error)
                else:
                    for images, labels in loaded:
                        assert (images.dtype, labels.dtype) == (np.float32, np.int64)
                        assert (
                            len(images)
                            == len(labels)
                            == len(images[np.isfinite(images).all(1)])
                        )
            path.write_bytes(whole)
        assert tracemalloc.get_traced_memory()[1] < 3 * 10**7
    finally:
        tracemalloc.stop()


def lzma_npz():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x_train.npy", b"")
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.npz", formats.npz(x_train=formats.PICTURES), "no item named 'y_train.npy'"),
        ("a.npz", formats.npz(x_train=np.array([None])), "not an array of numbers"),
        ("a.npz", formats.npz(x_train=np.arange(3)), r"x_train has the shape \(3,\)"),
        (
            "a.npz",
            formats.npz(x_train=formats.PICTURES, y_train=np.eye(3)),
            r"y_train has the shape \(3, 3\) and not \(21,\)",
        ),
        ("a.npz", b"PK nonsense", "not a zip file"),
        ("a.npz", lzma_npz(), "x_train.npy is packed in an unusual way"),
        ("emnist.csv", b"1,2,3\n", "cannot reshape"),
        ("a.zip", b"PK\3\4", "unpack the archive"),
        ("a.csv", b"", "no rows"),
        ("a.csv", b"label,a\n", "no rows"),
        ("a.csv", b"1\n2\n", "rows of 1 and of 1 columns"),
        ("a.csv", b"1,2\n3\n", "columns changed"),
        ("a.csv", b"1,256\n", "other numbers than 0, 1, ... 255"),
        ("a.csv", b"1,nan\n", "other numbers"),
        ("a.csv", b"1,0.5\n", "other numbers"),
        ("a.csv", b"1,x\n", "could not convert"),
        ("a.csv", b"1,2\n\xff\n", "codec can't decode"),
        ("a.csv", b"pixel0,label\n1,2\n", "first column is not the label"),
        ("a.csv", b"pixel0,pixel1\n1,2\n", "have a column of labels, got none"),
        ("a.csv", b"1," + b"0" * 2 * 10**7, "a line of more than 16,777,216 bytes"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_by_its_name(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} must .*{words}"):
        mnist_loader.load_data(tmp_path / name)


@pytest.mark.parametrize("code", [0x09, 0x0B, 0x0C])
def test_integers_that_are_no_pixels_are_refused(tmp_path, code):
    images = formats.PICTURES.astype(np.int64) * (-1 if code == 0x09 else 2) // 2 - 1
    folder = formats.write(tmp_path, formats.idx_files(pictures=images, code=code))
    with pytest.raises(ValueError, match=r"its pixels are -\d+ to -?\d+ and not 0 to 255"):
        mnist_loader.load_data(folder)


# What may follow a gzip stream, and what one may claim


def first_file(folder):
    return folder / "train-images-idx3-ubyte.gz"


def test_zeros_after_a_gzip_stream_are_padding_and_another_stream_goes_on(tmp_path):
    known = formats.FORMATS["idx gzipped"](tmp_path)
    path = first_file(tmp_path)
    packed, raw = path.read_bytes(), gzip.decompress(path.read_bytes())
    several = b"".join(
        gzip.compress(raw[i : i + 100]) + bytes(7) for i in range(0, len(raw), 100)
    )
    for content in (packed + bytes(10**6), several):
        path.write_bytes(content)
        assert same(mnist_loader.load_data(tmp_path), known.parts)
    for junk, words in ((b"more", "with something else"), (b"\x1f", "within its gzip stream")):
        path.write_bytes(packed + bytes(10) + junk)
        with pytest.raises(ValueError, match=rf"images-idx3-ubyte\.gz must be .*{words}"):
            mnist_loader.load_data(tmp_path)


def test_a_file_of_empty_gzip_streams_is_given_up_early(tmp_path):
    formats.FORMATS["idx gzipped"](tmp_path)
    first_file(tmp_path).write_bytes(gzip.compress(b"") * 10**5)
    with pytest.raises(ValueError, match=r"more than 1\d\d gzip streams"):
        mnist_loader.load_data(tmp_path)


def test_a_claim_that_a_file_cannot_hold_is_refused_before_it_is_read(tmp_path, monkeypatch):
    formats.FORMATS["idx gzipped"](tmp_path)
    n = 10**5
    bomb = gzip.compress(struct.pack(">4I", 0x803, n, 28, 28) + bytes(n * 784))
    first_file(tmp_path).write_bytes(bomb)
    monkeypatch.setattr(stream.Stream, "lines", None)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="packed as it is and not 78,400,000"):
            mnist_loader.load_data(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


@EACH
def test_what_does_not_fit_in_memory_is_refused(tmp_path, monkeypatch, write):
    monkeypatch.setattr(check, "physical_memory", lambda: 100)
    with pytest.raises(ValueError, match=r" must be .* bytes, which do not fit in memory$"):
        mnist_loader.load_data(write(tmp_path).path)
