"""Data larger than memory: windows change which order, a mapped file changes nothing."""

import mmap
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import parameters_of
from engines import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import FORMS, SIZES, N, each_dtype, each_trained, examples, make, train

import bpcore
from bpnet import Network, ahead, data

WINDOWS = [1, 4, N - 1]


def trained(kind, form="list", dtype="float64", **options):
    """Return the parameters of a network after its epochs, and the generator's state."""
    random.seed(3)
    net = make(kind, dtype=dtype)
    train(net, FORMS[form](examples(), dtype), **options)
    return parameters_of(net), net._rng.getstate()


def same(one, other):
    return same_bits(one[0], other[0]) and one[1] == other[1]


@each_trained
@pytest.mark.parametrize("rows", WINDOWS)
def test_an_epoch_visits_rows_in_the_order_of_windows(kind, rows):
    """Which is told by a run without shuffling, on rows that are in this order already."""
    net, other, pairs = make(kind), make(kind), examples()
    order, judge = bpcore.Order(N), random.Random()
    judge.setstate(net._rng.getstate())
    other._rng.shuffle = lambda x: None
    for _ in range(3):
        order.shuffle(judge, rows)
        train(other, [pairs[i] for i in order.tolist()], 1)
    train(net, pairs[:], 3, shuffle_rows=rows)
    assert same_bits(parameters_of(net), parameters_of(other))
    assert net._rng.getstate() == judge.getstate()


@each_trained
@each_dtype
def test_windows_of_all_rows_are_none(kind, dtype):
    usual = trained(kind, dtype=dtype)
    for rows in (None, N, N + 1, sys.maxsize):
        assert same(trained(kind, dtype=dtype, shuffle_rows=rows), usual)
    assert not same(trained(kind, dtype=dtype, shuffle_rows=N - 1), usual)


@each_trained
@each_dtype
@pytest.mark.parametrize("rows", WINDOWS)
def test_windows_are_the_same_bits_in_every_form_and_number_of_threads(kind, dtype, rows):
    usual = trained(kind, dtype=dtype, shuffle_rows=rows)
    for form in FORMS:
        for n_threads in (1, 2):
            options = {"shuffle_rows": rows, "n_threads": n_threads}
            assert same(trained(kind, form, dtype, **options), usual)


# Files


class Recording(mmap.mmap):
    """Memory of a file that notes what advice is given on it."""

    def madvise(self, advice, start=0, length=None):
        self.__dict__.setdefault("advice", []).append((advice, start, length))
        return super().madvise(advice, start, length or len(self))


needs_advice = pytest.mark.skipif(not hasattr(mmap.mmap, "madvise"), reason="no advice here")


def in_file(path, array, before=100):
    """Return the array in a mapped file, behind other bytes."""
    path.write_bytes(bytes(before * array.itemsize) + array.tobytes())
    with open(path, "r+b") as file:
        memory = Recording(file.fileno(), 0)
    return memory, np.frombuffer(memory, array.dtype)[before:].reshape(array.shape)


def packed_in_files(folder, form, n, n_in):
    """Return Data in mapped files, and for each part (file, where its rows begin and end)."""
    rng, engine = np.random.RandomState(0), bpcore.engine("float32")
    x, y = rng.rand(n, n_in).astype("f4"), rng.rand(n, 2).astype("f4")
    y_file, y = in_file(folder / "y", y)
    parts = [(y_file, 400 + 8 * np.arange(n), 408 + 8 * np.arange(n))]
    if form == "CSR":
        x[x < 0.9] = 0
        form = bpcore.pack(engine, x, 2, sparse=True, coded=False).inputs
        _, offsets, columns, values, _ = form
        files = [in_file(folder / str(k), a) for k, a in enumerate((offsets, columns, values))]
        for (memory, array), at in zip(files, (np.arange(n + 1), offsets, offsets)):
            places = (100 + at) * array.itemsize
            parts.append((memory, places[:-1], places[1:]))
        inputs = (n_in, *(array for _, array in files), None)
    else:
        memory, array = in_file(folder / "x", x)
        inputs = {"dense": array, "columns": array[:, 1:-1], "upwards": array[::-1]}[form]
        row = array.__array_interface__["data"][0]
        begins = [r.__array_interface__["data"][0] - row + 400 for r in inputs]
        parts.append((memory, np.array(begins), np.array(begins) + inputs[0].nbytes))
    return bpcore.Data(engine, inputs, 2, y=y), parts


@needs_advice
@settings(max_examples=25)
@given(
    st.sampled_from(["dense", "columns", "upwards", "CSR"]),
    st.integers(2, 3000),
    st.integers(1, 1500),
    st.integers(1, 700),
)
def test_every_row_is_asked_for_while_the_window_before_it_is_visited(
    tmp_path_factory, form, n, window, slice_
):
    data, parts = packed_in_files(tmp_path_factory.mktemp("files"), form, n, 20)
    order, told = bpcore.Order(n), []
    order.shuffle(random.Random(1), window)
    ends = np.cumsum([(e - b).sum() for b, e in order.windows()]).tolist()
    visited = order.toarray()
    with ahead.asking(data, order.windows(), told.append) as progress:
        for done in range(0, n, slice_):
            known = next((k for k, end in enumerate(ends) if end > done), len(ends))
            rows = visited[done : ends[min(known + 1, len(ends) - 1)]]
            for memory, begins, after in parts:
                pages = np.zeros(len(memory) // mmap.PAGESIZE + 1, bool)
                for advice, start, length in memory.advice:
                    if advice == mmap.MADV_WILLNEED:
                        assert start % mmap.PAGESIZE == 0
                        assert 0 <= start and 0 <= length and start + length <= len(memory)
                        pages[
                            start // mmap.PAGESIZE : -(-(start + length) // mmap.PAGESIZE)
                        ] = 1
                assert pages[begins[rows] // mmap.PAGESIZE].all()
                last = np.maximum(begins, after - 1)[rows]
                assert form == "upwards" or pages[last // mmap.PAGESIZE].all()
            progress(min(slice_, n - done))
    assert sum(told) == n
    for memory, *_ in parts:  # as it was
        assert memory.advice[-1][0] == mmap.MADV_NORMAL


def test_nothing_is_asked_of_what_is_in_memory():
    inputs = np.zeros((9, 3))
    packed = bpcore.Data(bpcore.engine("float64"), inputs, 2, y=np.zeros((9, 2)))
    with ahead.asking(packed, iter(()), print) as progress:
        assert progress is print


@needs_advice
@pytest.mark.parametrize("fails", [False, True])
def test_advice_that_is_refused_is_none(tmp_path, monkeypatch, fails):
    class Refusing(mmap.mmap):
        def madvise(self, *_):
            if fails:
                raise OSError("not here")

    monkeypatch.setattr(sys.modules[__name__], "Recording", Refusing)
    monkeypatch.setattr(data, "_LARGE_BYTES", 0)
    rng = np.random.RandomState(0)
    x, y = rng.rand(200, 6), rng.rand(200, 3)
    nets = Network(SIZES, seed=1), Network(SIZES, seed=1)
    nets[0].SGD((in_file(tmp_path / "x", x)[1], y), 2, 10, 0.5, shuffle_rows=50)
    nets[1].SGD((x, y), 2, 10, 0.5, shuffle_rows=50)
    assert same_bits(*map(parameters_of, nets))


GROWTH = """
import sys
import numpy as np
import bpnet

def anonymous():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

x, y = np.load(sys.argv[1], mmap_mode="r"), np.arange(25_000) % 10
nets = [bpnet.Network([784, 5, 10], seed=1, dtype=dtype) for dtype in sys.argv[2:]]
nets[0].SGD((x[:50], y[:50]), 1, 10, 1.0, verbose=False)  # what is imported when it is needed
before, peak = anonymous(), 0
def look(net, epoch):
    global peak
    peak = max(peak, anonymous())
for net in nets:
    net.SGD((x, y), 2, 10, 1.0, shuffle_rows=2000, callback=look, verbose=False)
print(peak - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory as Linux tells it")
@pytest.mark.parametrize("share", [1.0, 0.1], ids=["dense", "mostly zero"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16", "float16"])
def test_a_mapped_file_is_trained_on_without_memory_of_its_size(tmp_path, dtype, share):
    n, rng = 25_000, np.random.RandomState(0)
    shape = n, 784
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", dtype, shape)
    for begin in range(0, n, 5000):
        block = rng.rand(5000, 784) * (200 if "int" in dtype else 1)
        x[begin : begin + 5000] = np.where(rng.rand(5000, 784) < share, block, 0)
    x.flush()
    command = [sys.executable, "-c", GROWTH, str(tmp_path / "x.npy"), "float32", "float64"]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < 8_000  # kB; the least of these files is 19,600 kB, as float32 78,400
