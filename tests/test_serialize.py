"""serialize: what is saved is exact, whole, and refused if it is not what it was."""

import io
import os
import pickle
import stat
import struct
import zipfile

import numpy as np
import pytest
from conftest import global_states
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import bpnet
from bpnet import Network, serialize


def same(a, b):
    return (
        list(a.sizes) == list(b.sizes)
        and a.dtype == b.dtype
        and [x.tobytes() for x in a.biases + a.weights]
        == [x.tobytes() for x in b.biases + b.weights]
    )


@given(st.data(), st.sampled_from(["float32", "float64"]))
def test_a_round_trip_keeps_every_bit(tmp_path_factory, data, dtype):
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    net = Network(sizes, dtype=dtype, seed=0)
    net.weights = [data.draw(arrays(dtype, w.shape)) for w in net.weights]  # NaN, -0.0, ...
    path = tmp_path_factory.getbasetemp() / "net.npz"
    net.save(path)
    assert same(bpnet.load(path), net)


def test_a_loaded_network_is_a_network(tmp_path):
    net = Network((4, 3, 2), seed=1)
    net.save(tmp_path / "net")  # the name is taken as it is
    states = global_states()
    loaded = bpnet.load(str(tmp_path / "net"))
    assert global_states() == states
    assert list(loaded.__dict__) == ["num_layers", "sizes", "biases", "weights"]
    assert loaded.sizes == [4, 3, 2]
    assert all(type(n) is int for n in loaded.sizes)
    x = np.ones((4, 1))
    assert np.array_equal(loaded.feedforward(x), net.feedforward(x))
    loaded.SGD([(x, np.ones((2, 1)))], 1, 1, 1.0)


@pytest.mark.parametrize("form", [tuple, lambda w: np.array([*w, None], dtype=object)[:-1]])
def test_every_form_of_the_parameters_is_saved(tmp_path, form):
    net = Network([4, 3, 2], seed=1)
    saved = Network([4, 3, 2], seed=1)
    saved.weights = form([np.asfortranarray(w.astype(">f8")) for w in net.weights])
    saved.save(tmp_path / "net.npz")
    assert same(bpnet.load(tmp_path / "net.npz"), net)


def test_parameters_that_do_not_fit_leave_the_old_file(tmp_path):
    path = tmp_path / "net.npz"
    net = Network([4, 3, 2], seed=1)
    net.save(path)
    before = path.read_bytes()
    net.weights[1] = np.ones((2, 2))
    with pytest.raises(ValueError, match=r"weights\[1\] has shape \(2, 2\), expected \(2, 3\)"):
        net.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["net.npz"]


def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "net.npz"
    Network([4, 3, 2], seed=1).save(path)
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        Network([4, 3, 2], seed=2).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["net.npz"]


def test_the_whole_file_is_on_disk_beside_the_old_one_before_it_takes_the_name(
    tmp_path, monkeypatch
):
    path, seen, fsync = tmp_path / "file", [], os.fsync
    path.write_bytes(b"old")

    def look(descriptor):
        fsync(descriptor)
        seen.append(
            (os.fstat(descriptor).st_size, path.read_bytes(), len(os.listdir(tmp_path)))
        )

    monkeypatch.setattr(os, "fsync", look)
    serialize.write_whole(path, lambda file: file.write(b"whole"))
    assert seen == [(5, b"old", 2)]
    assert path.read_bytes() == b"whole"


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OSError, match=f"path must name a file, got .*{name}"):
            Network([3, 2]).save(tmp_path / name)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_and_links_are_those_of_an_ordinary_file(tmp_path):
    path, link = tmp_path / "net.npz", tmp_path / "link.npz"
    old = os.umask(0o027)
    try:
        Network([2, 2], seed=1).save(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o600)
    link.symlink_to(path)
    net = Network([3, 2], seed=1)
    net.save(link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert same(bpnet.load(path), net)


def test_a_missing_file_is_said_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.npz"):
        bpnet.load(tmp_path / "absent.npz")


def saved_bytes(**changed):
    net = Network([3, 2], seed=1)
    members = {"format": "bpnet.Network", "version": 1, "sizes": [3, 2]}
    members |= {"biases_0": net.biases[0], "weights_0": net.weights[0]}
    members |= changed
    file = io.BytesIO()
    np.savez(file, **{k: v for k, v in members.items() if v is not None})
    return file.getvalue()


def test_the_layout_of_these_tests_is_that_of_the_file(tmp_path):
    path = tmp_path / "net.npz"
    path.write_bytes(saved_bytes())
    assert same(bpnet.load(path), Network([3, 2], seed=1))


class Runs:
    def __reduce__(self):
        return (pytest.fail, ("a pickle in the file was run",))


def with_header(shape):
    """A model whose parameters claim a shape, and its sizes, that their bytes do not fill."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved_bytes())) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            raw = old.read(name)
            claim = {"weights_0.npy": shape, "biases_0.npy": (shape[0], 1)}.get(name)
            if claim:
                header = io.BytesIO()
                np.lib.format.write_array_header_1_0(
                    header, {"descr": "<f8", "fortran_order": False, "shape": claim}
                )
                raw = header.getvalue() + bytes(8 * min(shape[0], 6))
            if name == "sizes.npy":
                header = io.BytesIO()
                np.lib.format.write_array(header, np.array(shape[::-1]))
                raw = header.getvalue()
            new.writestr(name, raw)
    return file.getvalue()


def compressed(method=zipfile.ZIP_DEFLATED, damaged=False):
    """A model that was compressed, perhaps with bytes that cannot be decompressed."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(saved_bytes())) as old,
        zipfile.ZipFile(file, "w", method) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    content = bytearray(file.getvalue())
    if damaged:
        content[50:70] = b"\xff" * 20
    return bytes(content)


def with_forged_directory():
    """A model whose header and directory both claim 3 GB that are not in the file."""
    n = 187_500_000
    content = bytearray(with_header((2, n)))
    directory = content.index(b"PK\x01\x02")
    at = content.index(b"weights_0.npy", directory) - 46
    struct.pack_into("<2I", content, at + 20, 16 * n + 128, 16 * n + 128)
    return bytes(content)


BAD = {
    "not a zip": (b"no zip at all", "not a zip"),
    "empty": (b"", "not a zip"),
    "a pickle": (pickle.dumps(Network([3, 2], seed=1)), "not a zip"),
    "truncated": (saved_bytes()[:-30], "zip"),
    "no weights": (saved_bytes(weights_0=None), "weights_0|sizes"),
    "no format": (saved_bytes(format=None), "format"),
    "another format": (saved_bytes(format="other.Network"), "another format"),
    "a newer version": (saved_bytes(version=2), "version 2, written by a newer bpnet"),
    "an object array": (saved_bytes(weights_0=np.array([Runs()])), "dtype|object"),
    "an object for sizes": (
        saved_bytes(sizes=np.array([Runs(), Runs()])),
        "sizes must be int64",
    ),
    "a wrong shape": (saved_bytes(weights_0=np.zeros((2, 4))), r"got float64 \(2, 4\)"),
    "a wrong dtype": (saved_bytes(weights_0=np.zeros((2, 3), "i8")), "dtype must be float32"),
    "two dtypes": (saved_bytes(biases_0=np.zeros((2, 1), "f4")), "biases_0 must be float64"),
    "size zero": (saved_bytes(sizes=[0, 2]), r"sizes\[0\] must be at least 1"),
    "absurd weights": (with_header((2, 10**12)), "weights_0 must be a header and 16000000"),
    "absurd biases": (with_header((10**12, 2)), "biases_0 must be a header and 80000000"),
    "overflowing sizes": (with_header((2**40, 2**40)), "biases_0 must be a header and 8796"),
    "a forged directory": (with_forged_directory(), "weights_0 must be stored as it is"),
    "compressed": (compressed(), "format must be stored as it is"),
    "badly compressed": (compressed(damaged=True), "format must be stored as it is"),
    "compressed as no npz is": (
        compressed(zipfile.ZIP_LZMA, damaged=True),
        "format must be stored as it is",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_model_is_refused(tmp_path, name):
    content, words = BAD[name]
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"bad\.npz must be a model that bpnet saved.*({words})"
    ):
        bpnet.load(path)


def test_damage_anywhere_is_refused_or_harmless(tmp_path):
    path = tmp_path / "net.npz"
    net = Network([3, 2], seed=1)
    whole = saved_bytes()
    for i in range(0, len(whole), 3):
        for content in (whole[:i], whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :]):
            path.write_bytes(content)
            try:
                assert same(bpnet.load(path), net)
            except ValueError as error:
                assert "must be a model that bpnet saved" in str(error)


def test_write_whole_gives_the_name_only_to_a_whole_file(tmp_path):
    def fails(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serialize.write_whole(tmp_path / "file", fails)
    assert os.listdir(tmp_path) == []
