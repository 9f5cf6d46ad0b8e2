"""The file of a Dataset: what was saved is what is opened, and nothing else is."""

import io
import json
import multiprocessing
import os
import pickle
import random
import subprocess
import sys
import threading
import tracemalloc
import zipfile
from pathlib import Path

import nets
import numpy as np
import pytest
from conftest import parameters_of
from engines import same_bits
from nets import as_pair, each_dtype

import bpcore
import bpnet
from bpnet import Dataset, Network, dataset, network2, npz

SIZES, N = [6, 5, 3], 150
NOTES = {"columns": ["a", "ü"], "mean": [0.1, 1e-300], "n": 2**70, "none": None}

posix = pytest.mark.skipif(os.name != "posix", reason="processes of POSIX")
linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory as Linux says"
)


def wide(n=N):
    """Return a sparse matrix of more columns than 16 bits say."""
    sparse = pytest.importorskip("scipy.sparse")
    return sparse.random(n, 70_000, 1e-4, "csr", random_state=0)


def made(form="dense", targets="y", weights=False, dtype="float64", **options):
    """Return a Dataset of a form."""
    x, y = as_pair(nets.examples(N, sizes=SIZES, density=1.0 if form == "dense" else 0.2))
    if form == "values":  # more of them than there are codes
        draw = np.random.RandomState(1)
        x = draw.rand(N, 20) * (draw.rand(N, 20) < 0.2)
    x = wide() if form == "wide" else x
    y = {"y": y, "labels": y.argmax(axis=1)}[targets]
    options |= {"weights": np.arange(N) + 0.5} if weights else {}
    return Dataset((x, y), dtype=dtype, **options)


FORMS = {
    "dense": ["x"],
    "codes": ["offsets", "columns", "values", "codes"],
    "values": ["offsets", "columns", "values"],
    "wide": ["offsets", "columns", "values"],
}
each_form = pytest.mark.parametrize("form", FORMS)
each_target = pytest.mark.parametrize("targets", ["y", "labels"])
each_weights = pytest.mark.parametrize("weights", [False, True], ids=["", "weights"])


def arrays_of(one):
    return {name: part for name, part in one._arrays().items() if name != "dataset"}


def equal(a, b):
    """Whether two Datasets hold the same, to the bit."""
    left, right = arrays_of(a), arrays_of(b)
    return (
        [*left] == [*right]
        and all(map(same_bits, left.values(), right.values()))
        and repr(a) == repr(b)
        and (a.notes, a.checksum) == (b.notes, b.checksum)
    )


def opened(folder, one, name="data.npz"):
    one.save(folder / name)
    return bpnet.open(folder / name)


# What comes back


@each_dtype
@each_form
@each_target
@each_weights
def test_what_is_opened_is_what_was_saved(form, targets, weights, dtype, tmp_path):
    one = made(form, targets, weights, dtype, notes=NOTES)
    names = [*FORMS[form], targets, *(["weights"] if weights else [])]
    assert [*arrays_of(one)] == names
    other = opened(tmp_path, one)
    assert equal(one, other) and other.notes == NOTES
    assert (one.path, other.path) == (None, str(tmp_path / "data.npz"))
    assert other.nbytes == one.nbytes < os.path.getsize(other.path) < one.nbytes + 40_000
    other.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "data.npz").read_bytes()


@each_form
@each_target
def test_it_lies_in_the_file_page_by_page_read_only(form, targets, tmp_path):
    other = opened(tmp_path, made(form, targets, True))
    for part in arrays_of(other).values():
        assert part.ctypes.data % 4096 == 0 and not part.flags.writeable
        assert not part.flags.owndata
        with pytest.raises(ValueError, match=r"read-only"):
            part[:1] = 0


@each_form
@each_target
def test_numpy_and_zip_read_it(form, targets, tmp_path):
    one = made(form, targets, True)
    one.save(tmp_path / "data.npz")
    with np.load(tmp_path / "data.npz", allow_pickle=False) as found:
        for name, part in arrays_of(one).items():
            assert same_bits(found[name], part)
            file = io.BytesIO()
            np.save(file, part)
            with zipfile.ZipFile(tmp_path / "data.npz") as archive:
                assert archive.read(f"{name}.npy") == file.getvalue()
                assert archive.testzip() is None


def calls(data, dtype):
    """Return what every call that takes a Dataset makes of it."""
    net, mlp = network2.Network(SIZES, seed=1, dtype=dtype), bpnet.MLP(SIZES, seed=1)
    net.SGD(data, 2, 7, 0.5, evaluation_data=data, monitor_training_cost=True)
    book = Network(SIZES, seed=1, dtype=dtype)
    book.SGD(data, 2, 7, 0.5, test_data=data, n_threads=2)
    if dtype == "float64":
        mlp.train(data, 1, 10, 0.5, validation_data=data)
    return (
        [*parameters_of(net), *parameters_of(book), *parameters_of(mlp)],
        (net.accuracy(data), net.total_cost(data, 0.1), book.evaluate(data)),
        [part.tolist() for item in data for part in map(np.asarray, item)],
        book.predictor()(data).tolist(),
    )


@each_dtype
@each_target
@pytest.mark.parametrize("form", ["dense", "codes"])
def test_it_serves_in_every_place_of_a_dataset(form, targets, dtype, tmp_path, capsys):
    one = made(form, targets, dtype=dtype)
    other = opened(tmp_path, one)
    (wanted, *rest), (found, *others) = calls(one, dtype), calls(other, dtype)
    assert same_bits(wanted, found) and rest == others
    assert equal(Dataset(one), Dataset(other))
    assert equal(Dataset(one, dtype="float32"), Dataset(other, dtype="float32"))


def test_threads_share_one(tmp_path, capsys):
    other, found = opened(tmp_path, made("codes")), [None] * 4

    def train(i):
        net = Network(SIZES, seed=1)
        net.SGD(bpnet.open(other.path), 3, 7, 0.5)
        found[i] = parameters_of(net)

    run(train, 4)
    assert all(same_bits(found[0], each) for each in found)


def run(work, n):
    threads = [threading.Thread(target=work, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# The checksum and notes


def test_the_checksum_is_the_contents():
    """Every part that differs makes another; how it came about does not."""
    x, y = as_pair(nets.examples(N, sizes=SIZES))
    one = Dataset((x, y))
    others = [
        Dataset((x, y), notes={}),
        Dataset((x, y), notes={"a": 1}),
        Dataset((x, y), weights=np.ones(N)),
        Dataset((x, y), dtype="float32"),
        Dataset((x, y.argmax(axis=1))),
        Dataset((x[:-1], y[:-1])),
        Dataset((np.nextafter(x, 9), y)),
        Dataset((x, y[::-1])),
    ]
    assert len({one.checksum, *(each.checksum for each in others)}) == 1 + len(others)
    pairs = [(a[:, None], b[:, None]) for a, b in zip(x, y)]
    same = [Dataset(pairs), Dataset(one), pickle.loads(pickle.dumps(one))]
    same += [Dataset((np.asfortranarray(x), y.tolist())), one]
    assert {each.checksum for each in same} == {one.checksum}


def test_notes_are_a_copy_as_json_holds_them(tmp_path):
    given = {"names": ("a", "b"), 1: [2]}
    one = made(notes=given)
    given["names"] = "c"
    assert one.notes == {"names": ["a", "b"], "1": [2]}
    before = one.checksum
    one.notes["more"] = 1
    assert one.checksum != before and opened(tmp_path, one).notes == one.notes
    one.notes = None
    assert one.notes is None and opened(tmp_path, one).notes is None
    assert made(notes=NOTES).notes == Dataset(made(notes=NOTES)).notes == NOTES
    assert Dataset(made(notes=NOTES), notes={}).notes == {}


@pytest.mark.parametrize(
    ("notes", "error", "message"),
    [
        ([], TypeError, "notes must be a dict, got list"),
        ({"a": {1, 2}}, ValueError, "notes must be what JSON can hold: "),
        ({"a": b""}, ValueError, "notes must be what JSON can hold: "),
        ({(1, 2): 3}, ValueError, "notes must be what JSON can hold: "),
    ],
)
def test_notes_that_no_file_can_hold_are_refused(notes, error, message):
    one = made(notes=NOTES)
    for give in (lambda: made(notes=notes), lambda: setattr(one, "notes", notes)):
        with pytest.raises(error) as raised:
            give()
        assert str(raised.value).startswith(message)
    assert one.notes == NOTES


def test_notes_that_became_what_no_file_can_hold_leave_the_old_file(tmp_path, monkeypatch):
    one = made(notes=NOTES)
    before = Path(opened(tmp_path, one).path).read_bytes()
    one.notes["a"] = object()
    with pytest.raises(ValueError, match=r"^notes must be what JSON can hold: "):
        one.save(tmp_path / "data.npz")
    one.notes = {"a": "b" * 1000}
    monkeypatch.setattr(dataset, "_MOST_JSON", 1000)
    with pytest.raises(
        ValueError, match=r"^notes must have at most 1,000 bytes as JSON, got 1,"
    ):
        one.save(tmp_path / "data.npz")
    assert (tmp_path / "data.npz").read_bytes() == before
    assert os.listdir(tmp_path) == ["data.npz"]


# Pickles


@each_form
@each_target
@each_weights
def test_its_pickle_is_the_path_and_the_checksum(form, targets, weights, tmp_path):
    other = opened(tmp_path, made(form, targets, weights, notes=NOTES))
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        content = pickle.dumps(other, protocol)
        assert len(content) < len(other.path) + 100
        again = pickle.loads(content)
        assert equal(again, other) and again.path == other.path
        assert all(a is b for a, b in zip(arrays_of(again).values(), arrays_of(other).values()))
    assert len(pickle.dumps(Dataset(other))) == len(content)  # the same in another's place


def test_what_differs_from_the_file_is_pickled_too(tmp_path):
    other = opened(tmp_path, made("codes", weights=True, notes=NOTES))
    other.notes = {"a": 1}
    again = pickle.loads(pickle.dumps(other))
    assert again.notes == {"a": 1} and again.checksum == other.checksum
    assert bpnet.open(other.path).notes == NOTES
    assert len(pickle.dumps(other)) < 300
    weighted = Dataset(other, weights=np.ones(N))
    assert weighted.path is None
    assert equal(pickle.loads(pickle.dumps(weighted)), weighted)
    small = Dataset(other, dtype="float32")
    assert small.path is None and equal(pickle.loads(pickle.dumps(small)), small)


def test_a_relative_path_is_pickled_as_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made().save("data.npz")
    other = bpnet.open("data.npz")
    content = pickle.dumps(other)
    monkeypatch.chdir("/")
    assert pickle.loads(content).path == str(tmp_path / "data.npz")


@pytest.mark.parametrize("alive", [True, False])
def test_a_pickle_of_another_file_or_none_is_refused(alive, tmp_path):
    other = opened(tmp_path, made())
    path, sums, content = Path(other.path), other.checksum, pickle.dumps(other)
    if not alive:
        del other
    made("codes").save(path)
    with pytest.raises(ValueError) as raised:
        pickle.loads(content)
    assert str(raised.value) == (
        f"{path} must be the file that was open where its Dataset was pickled, of checksum "
        f"{sums}, got one of {made('codes').checksum}"
    )
    path.unlink()
    with pytest.raises(FileNotFoundError) as raised:
        pickle.loads(content)
    assert str(raised.value) == (
        f"{path}, the file of a Dataset that was pickled as its path, must be on every machine "
        f"that unpickles it, and is not here"
    )
    path.write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"must be a file that Dataset.save wrote"):
        pickle.loads(content)
    made().save(path)
    assert pickle.loads(content).checksum == sums


def weigh(data):
    return os.getpid(), data.path, data.checksum, [y for _, y in data]


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_it_travels_to_other_processes(method, tmp_path):
    other = opened(tmp_path, made("codes", "labels"))
    with multiprocessing.get_context(method).Pool(1) as pool:
        process, *found = pool.apply(weigh, (other,))
    assert process != os.getpid() and tuple(found) == weigh(other)[1:]


# Opened once


@pytest.fixture
def reads(monkeypatch):
    """Return a list that gets the names of arrays whose sums are taken."""
    found, describe = [], npz.describe
    monkeypatch.setattr(
        npz, "describe", lambda name, *args: found.append(name) or describe(name, *args)
    )
    return found


def test_a_file_is_checked_once_while_it_is_open(tmp_path, reads, monkeypatch):
    other = opened(tmp_path, made())
    once, content = len(reads), pickle.dumps(other)
    (tmp_path / "link").symlink_to(tmp_path / "data.npz")
    monkeypatch.chdir(tmp_path)
    for path in (other.path, tmp_path / "link", "data.npz", b"./data.npz"):
        assert bpnet.open(path)._x is other._x
    again = pickle.loads(content)
    assert len(reads) == once and again is not other
    again.notes = {"mine": 1}
    assert other.notes is None and bpnet.open(other.path).notes is None
    del other
    assert bpnet.open(again.path)._x is again._x and len(reads) == once
    del again
    pickle.loads(content)
    assert len(reads) > once


def test_threads_that_open_a_file_check_it_once(tmp_path, reads):
    made().save(tmp_path / "data.npz")
    del reads[:]
    found = [None] * 8

    def work(i):
        found[i] = bpnet.open(tmp_path / "data.npz")

    run(work, 8)
    assert len({id(each._x) for each in found}) == 1
    assert reads.count("x") == reads.count("y") == 1


@pytest.mark.parametrize("how", ["replaced", "replaced by the same", "touched"])
def test_a_file_that_has_changed_is_another(tmp_path, how, reads):
    path, one = tmp_path / "data.npz", made()
    other, new = opened(tmp_path, one), one
    if how == "replaced":
        new = Dataset(one, notes={"a": 1})
    if how == "touched":
        os.utime(path, ns=(0, 0))
    else:
        new.save(path)
    before = len(reads)
    again = bpnet.open(path)
    assert len(reads) > before and again._x is not other._x
    assert equal(again, new) and equal(other, one)


def test_a_file_that_was_written_to_is_checked_again_whatever_its_time_says(tmp_path):
    other = opened(tmp_path, made())
    status = os.stat(other.path)
    with open(other.path, "r+b") as file:
        file.seek(-60, os.SEEK_END)
        file.write(b"x")
    os.utime(other.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert refused(other.path) == "it is damaged"


@posix
def test_a_child_may_open_one_while_its_parents_thread_does(tmp_path):
    made().save(tmp_path / "data.npz")
    held, over = threading.Event(), threading.Event()

    def hold():
        with dataset._lock:
            held.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if not child:
        try:
            bpnet.open(tmp_path / "data.npz")
            os._exit(0)
        finally:
            os._exit(1)
    over.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


# What is refused


def refused(path):
    """Return why path is refused, having asserted that it is, in one sentence, at no cost."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as raised:
            bpnet.open(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    said, begin = str(raised.value), f"{path} must be a file that Dataset.save wrote: "
    assert said.startswith(begin) and said.isprintable() and len(said) < len(begin) + 301
    assert peak < 400_000 + 4 * os.path.getsize(path)
    return said.removeprefix(begin)


@pytest.mark.parametrize(("form", "targets"), [("dense", "y"), ("codes", "labels")])
def test_a_bit_that_is_flipped_is_refused_wherever_it_is(form, targets, tmp_path):
    path = tmp_path / "data.npz"
    one = made(form, targets, True, notes=NOTES)
    one.save(path)
    content, draw = path.read_bytes(), random.Random(0)
    zeros = [i for i, byte in enumerate(content) if not byte]  # in arrays, and padding
    places = {i for i, byte in enumerate(content) if byte and (i % 4096 < 300 or i % 7 == 0)}
    with open(path, "r+b", buffering=0) as file:
        for i in sorted(places | {*draw.sample(zeros, 1000)}):
            put_byte(file, i, content[i] ^ 1 << draw.randrange(8))
            with pytest.raises(ValueError, match=r"must be a file that Dataset\.save wrote: "):
                bpnet.open(path)
            put_byte(file, i, content[i])
    assert equal(bpnet.open(path), one)


def put_byte(file, i, byte):
    file.seek(i)
    file.write(bytes([byte]))


def test_a_file_that_is_cut_or_longer_is_refused(tmp_path):
    path = tmp_path / "data.npz"
    made(weights=True).save(path)
    content = path.read_bytes()
    ends = {*range(300), *range(4000, 4700), *range(0, len(content), 61)}
    ends |= {*range(len(content) - 700, len(content))}
    for end in sorted(ends, reverse=True):
        os.truncate(path, end)
        with pytest.raises(ValueError, match=r"must be a file that Dataset\.save wrote: "):
            bpnet.open(path)
    for more in (b"\0", content[:5000]):
        path.write_bytes(content + more)
        assert refused(path).startswith("it must have ")
        path.write_bytes(more + content)
        refused(path)


def said_by(one):
    return json.loads(bytes(one._arrays()["dataset"]))


def rebuilt(path, one, change, text=None, **parts):
    """Write a file whose sums are right, of what change makes of its JSON, and other arrays."""
    said = said_by(one)
    change(said)
    text = json.dumps(said).encode() if text is None else text
    arrays = {"dataset": np.frombuffer(text, np.uint8), **arrays_of(one), **parts}
    with open(path, "wb") as file:
        npz.write(file, arrays, 4096)


def test_what_the_hostile_tests_rebuild_is_the_file(tmp_path):
    for form in FORMS:
        rebuilt(tmp_path / "data.npz", made(form), lambda said: None)
        assert equal(bpnet.open(tmp_path / "data.npz"), made(form))


def put(*keys_and_value):
    *keys, last, value = keys_and_value

    def change(said):
        for key in keys:
            said = said[key]
        said[last] = value

    return change


def drop(*keys):
    def change(said):
        for key in keys[:-1]:
            said = said[key]
        del said[keys[-1]]

    return change


def swapped(said):
    said["arrays"] = dict(reversed([*said["arrays"].items()]))


HOSTILE = {
    "another format": put("format", "bpnet.Network"),
    "no format": drop("format"),
    "a version to come": put("version", 2),
    "a version that is true": put("version", True),
    "a version that is no integer": put("version", 1.0),
    "no dtype": drop("dtype"),
    "another dtype": put("dtype", "float32"),
    "an odd dtype": put("dtype", "O"),
    "a short dtype": put("dtype", "f8"),
    "a dtype of parts": put("dtype", [["a", "O"]]),
    "no n_in": drop("n_in"),
    "another n_in": put("n_in", 5),
    "a negative n_in": put("n_in", -1),
    "a huge n_in": put("n_in", 2**70),
    "n_in as text": put("n_in", "6"),
    "no arrays": drop("arrays"),
    "arrays as a list": put("arrays", ["offsets", "columns", "values", "y"]),
    "arrays that are none": put("arrays", {}),
    "a member that is not listed": drop("arrays", "y"),
    "a member that is unknown": put("arrays", "z", ["<f8", [1]]),
    "a pickle": put("arrays", "y", ["|O", [150, 3]]),
    "bytes": put("arrays", "y", ["|S8", [150, 3]]),
    "big-endian": put("arrays", "y", [">f8", [150, 3]]),
    "another item": put("arrays", "y", ["<i8", [150, 3]]),
    "a shape that is absurd": put("arrays", "y", ["<f8", [2**62, 3]]),
    "a shape of many digits": put("arrays", "y", ["<f8", [10**4000, 0]]),
    "a shape that wraps": put("arrays", "y", ["<f8", [2**61, 8]]),
    "a shape that is negative": put("arrays", "y", ["<f8", [-150, -3]]),
    "a shape of floats": put("arrays", "y", ["<f8", [150.0, 3]]),
    "a shape of true": put("arrays", "y", ["<f8", [150, 3, True]]),
    "a shape of many dimensions": put("arrays", "y", ["<f8", [150, 3, *[1] * 100]]),
    "no dimension": put("arrays", "y", ["<f8", []]),
    "a shape of nothing": put("arrays", "y", ["<f8", [0, 2**62]]),
    "a flat array": put("arrays", "y", ["<f8", [450]]),
    "another shape": put("arrays", "y", ["<f8", [3, 150]]),
    "an array that is said to be labels": lambda said: said["arrays"].update(
        labels=said["arrays"].pop("y")
    ),
    "another order": swapped,
    "notes that are no dict": put("notes", [1]),
    "another key": put("more", 1),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("form", ["dense", "codes", "wide"])
def test_a_first_member_that_says_what_is_not_is_refused(change, form, tmp_path):
    if form == "dense" and "n_in" in str(change):
        return
    rebuilt(tmp_path / "data.npz", made(form), change)
    refused(tmp_path / "data.npz")


TEXTS = {
    "no JSON": b"x",
    "nothing": b"",
    "a list": b"[]",
    "deep": b"[" * 100_000,
    "a number of many digits": b'{"format": ' + b"9" * 5000 + b"}",
    "not UTF-8": b"\xff",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_first_member_that_says_nothing_is_refused(text, tmp_path):
    rebuilt(tmp_path / "data.npz", made(), lambda said: None, text)
    refused(tmp_path / "data.npz")


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: text + b" ",
        lambda text: text.replace(b": ", b":", 1),
        lambda text: text.replace(b'"notes"', b'"notes": null, "notes"'),
        lambda text: text.replace(b'"notes"', b'"n_in": 6, "notes"'),
        lambda text: b"\xef\xbb\xbf" + text,
    ],
)
def test_json_that_save_would_write_otherwise_is_refused(rewrite, tmp_path):
    one = made("codes")
    text = bytes(one._arrays()["dataset"])
    assert rewrite(text) != text
    rebuilt(tmp_path / "data.npz", one, lambda said: None, rewrite(text))
    refused(tmp_path / "data.npz")


def edited(i, value):
    def edit(part):
        part = part.copy()
        part.reshape(-1)[i] = value
        return part

    return edit


@pytest.mark.parametrize(
    ("form", "targets", "name", "edit", "message"),
    [
        ("dense", "y", "x", edited(-1, np.nan), "x must be finite in float64, got nan"),
        ("dense", "y", "y", edited(7, np.inf), "y must be finite in float64, got inf"),
        (
            "values",
            "y",
            "values",
            edited(-1, -np.inf),
            "values must be finite in float64, got -",
        ),
        (
            "codes",
            "y",
            "values",
            edited(0, np.nan),
            "values must be finite in float64, got nan",
        ),
        ("codes", "y", "codes", edited(0, 255), "codes must be less than the number of values"),
        ("codes", "y", "offsets", edited(1, 2**40), "offsets must ascend from 0"),
        ("codes", "y", "offsets", edited(0, -1), "offsets must ascend from 0"),
        ("codes", "y", "columns", edited(-1, 6), "columns must ascend in each row and be less"),
        ("wide", "y", "columns", edited(-1, 2**32 - 1), "columns must ascend in each row and"),
        ("dense", "labels", "labels", edited(3, -1), "labels must be in [0, "),
        (
            "dense",
            "y",
            "weights",
            edited(0, -1.0),
            "weights must be finite, at least 0 and not",
        ),
        ("dense", "y", "weights", edited(0, np.nan), "weights must be finite in float64, got"),
        ("dense", "y", "weights", np.zeros_like, "weights must be finite, at least 0 and not"),
        ("dense", "y", "x", lambda x: x[:, :0], "a Dataset must hold examples"),
        ("dense", "y", "x", lambda x: x[1:], "y must have shape (149, 3), got (150, 3)"),
        ("codes", "y", "offsets", lambda part: part[:0], "offsets must ascend from 0"),
        ("codes", "y", "codes", lambda part: part[1:], "codes must have shape"),
        ("values", "y", "values", lambda part: part[1:], "values must be as many as columns"),
        ("dense", "y", "weights", lambda part: part[1:], "weights must have shape (150,), got"),
        (
            "codes",
            "y",
            "columns",
            lambda part: part.astype("<u4"),
            "columns must be an array of",
        ),
        ("dense", "y", "x", lambda part: part.astype("<c16"), "x cannot be"),
        ("dense", "y", "y", lambda part: part.astype("<f4"), "y must be an array of float64"),
    ],
)
def test_arrays_that_no_dataset_has_are_refused(form, targets, name, edit, message, tmp_path):
    """Their sums are right, and the first member says what they are."""
    one = made(form, targets, weights=True)
    part = edit(arrays_of(one)[name])

    def change(said):
        said["arrays"][name] = [part.dtype.str, list(part.shape)]

    rebuilt(tmp_path / "data.npz", one, change, **{name: part})
    assert refused(tmp_path / "data.npz").startswith(message)


@pytest.mark.parametrize("n_in", [-6, 0, 2**31])
def test_inputs_that_are_all_zero_are_as_many_as_there_can_be(n_in, tmp_path):
    """No column tells, where there is none."""
    one = Dataset((np.zeros((N, 6)), np.ones((N, 3))))
    assert one._x.sparse and one._x.nonzeros == 0
    rebuilt(tmp_path / "data.npz", one, put("n_in", n_in))
    refused(tmp_path / "data.npz")
    restore, (dtype, (_, *csr), *rest) = one.__reduce__()
    with pytest.raises((TypeError, ValueError)):
        restore(dtype, (n_in, *csr), *rest)


def test_members_that_are_missing_doubled_or_elsewhere_are_refused(tmp_path):
    path, one = tmp_path / "data.npz", made("codes", weights=True)
    arrays = one._arrays()
    for name in arrays:
        with open(path, "wb") as file:
            npz.write(file, {key: part for key, part in arrays.items() if key != name}, 4096)
        refused(path)
        with open(path, "wb") as file:
            npz.write(file, {**arrays, f"{name}2": arrays[name]}, 4096)
        refused(path)
    for align in (1, 64, 8192):
        with open(path, "wb") as file:
            npz.write(file, arrays, align)
        refused(path)
    with open(path, "wb") as file:
        np.savez(file, **arrays)
    refused(path)
    with open(path, "wb") as file:
        np.savez_compressed(file, **arrays)
    refused(path)
    overlapping = [npz.describe(*item) for item in arrays.items()]
    frames = npz.frames(overlapping, 4096)
    path.write_bytes(b"".join(frames))  # headers only
    refused(path)


def test_one_in_a_network_of_the_other_dtype_says_so(tmp_path):
    other = opened(tmp_path, made(dtype="float32"))
    with pytest.raises(ValueError, match=r"must be a Dataset of the network's dtype, float64"):
        Network(SIZES).SGD(other, 1, 10, 0.5)


def test_each_kind_of_file_is_sent_to_its_reader(tmp_path):
    Network(SIZES, seed=1).save(tmp_path / "net.npz")
    assert refused(tmp_path / "net.npz") == "it holds a network: use bpnet.load"
    made().save(tmp_path / "data.npz")
    for load in (bpnet.load, network2.load):
        with pytest.raises(ValueError, match=r"data\.npz must be a model .*: use bpnet\.open$"):
            load(tmp_path / "data.npz")
    network2.Network(SIZES, seed=1).save(tmp_path / "net.json")
    for name in ("net.json", "empty", "text", "pickle"):
        if name != "net.json":
            (tmp_path / name).write_bytes(
                {"text": b"a,b\n", "empty": b""}.get(name, b"\x80\x04.")
            )
        assert refused(tmp_path / name) == "it begins as none does"


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent"):
        bpnet.open(tmp_path / "absent")
    named = [tmp_path, os.devnull]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        named.append(tmp_path / "pipe")
    for path in named:
        with pytest.raises(OSError) as raised:
            bpnet.open(path)
        assert str(path) in str(raised.value)
        with pytest.raises(OSError):
            made().save(path)


def test_a_machine_of_the_other_byte_order_refuses(tmp_path, monkeypatch):
    made().save(tmp_path / "data.npz")
    monkeypatch.setattr(sys, "byteorder", "big")
    for call in (
        lambda: bpnet.open(tmp_path / "data.npz"),
        lambda: made().save(tmp_path / "b"),
    ):
        with pytest.raises(OSError, match=r"are little-endian, and this machine is not$"):
            call()
    assert os.listdir(tmp_path) == ["data.npz"]


# Parts


@each_dtype
@each_form
@each_target
@each_weights
def test_the_parts_of_a_split_are_its_examples(form, targets, weights, dtype, tmp_path):
    one = made(form, targets, weights, dtype, notes=NOTES)
    rest, held_out = one.split(0.2, 7)
    assert (len(rest), len(held_out)) == (120, 30)
    drawn = np.random.RandomState(7).permutation(N)[:30]
    places = [sorted({*range(N)} - {*drawn.tolist()}), sorted(drawn.tolist())]
    for part, where in zip((rest, held_out), places):
        assert [*arrays_of(part)] == [*arrays_of(one)]
        assert part.dtype == dtype and part.notes == NOTES and part.path is None
        for example, i in zip(part, where, strict=True):
            wanted = one[i]
            assert all(map(same_bits, map(np.asarray, example), map(np.asarray, wanted)))
        if weights:
            assert same_bits(part.weights, one.weights[where])
        assert equal(opened(tmp_path, part), part)
        assert equal(pickle.loads(pickle.dumps(part)), part)
    again = opened(tmp_path, one).split(0.2, 7)
    assert all(map(equal, again, (rest, held_out)))
    other = one.split(0.2, 8)[1]
    assert other.checksum != held_out.checksum


@pytest.mark.parametrize("share", [0.001, 0.999, 1 / 301])
def test_a_part_without_examples_is_refused(share):
    with pytest.raises(ValueError, match=r"^share must leave examples in both parts, got 0"):
        made().split(share, 1)


@pytest.mark.parametrize("share", [0, 1, -0.5, 1.5, 30])
def test_a_share_is_between_0_and_1(share):
    with pytest.raises(ValueError, match=rf"^share must be between 0 and 1, got {share}$"):
        made().split(share, 1)


def test_what_is_no_share_or_seed_is_refused():
    for share in ("0.5", None, [0.5]):
        with pytest.raises(TypeError, match=r"^share must be a number, got "):
            made().split(share, 1)
    for seed in (1.5, None, "1"):
        with pytest.raises(TypeError, match=r"^seed must be an integer, got "):
            made().split(0.5, seed)
    for seed in (-1, 2**32):
        with pytest.raises(ValueError, match=r"^seed must be at "):
            made().split(0.5, seed)


def test_a_part_of_weights_of_0_is_refused():
    one = Dataset((np.ones((4, 2)), np.ones((4, 1))), weights=[0, 0, 0, 1])
    with pytest.raises(ValueError, match=r"^weights must not all be 0 in one of the parts: "):
        one.split(0.5, 1)


def test_splitting_draws_nothing_of_others():
    states = random.getstate(), np.random.get_state()[1].tolist()
    made().split(0.5, 1)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states


# Memory

IN_PLACE = """
import os, sys
import numpy as np
import bpnet

def anonymous():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))

def said(what, before):
    print(what, anonymous() - before)

x, y, data, dtype = sys.argv[1:]
net = bpnet.Network([128, 4, 2], seed=1, dtype=dtype)
small = bpnet.Dataset((np.ones((100, 128)), np.arange(100) % 2), dtype=dtype)
net.SGD(small, 1, 10, 0.1)  # what any call takes
before = anonymous()
one = bpnet.Dataset((np.load(x, mmap_mode="r"), np.load(y)), dtype=dtype)
said("kept", before)
one.save(data)
said("saved", before)
del one
other = bpnet.open(data)
said("opened", before)
look = lambda net, epoch: said("training", before)
net.SGD(other, 2, 100, 0.1, test_data=other, n_threads=2, callback=look)
said("trained", before)
print(other._x.inputs.dtype, other._x.inputs.flags.owndata)
"""


@linux
@each_dtype
@pytest.mark.parametrize("items", ["uint8", "float32"])
def test_what_is_mapped_takes_no_memory_of_its_own(items, dtype, tmp_path):
    n = 300_000  # 38 MB of bytes, 154 of float32; 307 as float64
    draw = np.random.RandomState(0)
    np.save(tmp_path / "x.npy", (draw.randint(1, 200, (n, 128))).astype(items))
    np.save(tmp_path / "y.npy", np.arange(n) % 2)
    paths = [str(tmp_path / name) for name in ("x.npy", "y.npy", "data.npz")]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_PLACE, *paths, dtype],
        capture_output=True,
        text=True,
        check=True,
    )
    *lines, last = [line for line in done.stdout.splitlines() if not line.startswith("Epoch")]
    assert last == f"{items} False"
    labels = 8 * n
    for line in lines:
        what, nbytes = line.split()
        assert int(nbytes) < 4 * labels + (4 << 20), (what, nbytes)


def test_what_changes_while_it_is_saved_leaves_the_old_file(tmp_path, monkeypatch):
    """As the rows of a mapped file may, though they must not."""
    one = made("codes")
    one.save(tmp_path / "data.npz")
    before, frames = (tmp_path / "data.npz").read_bytes(), npz.frames

    def later(*args):
        part = one._arrays()["y"]
        part[-1, -1] += 1
        return frames(*args)

    monkeypatch.setattr(npz, "frames", later)
    with pytest.raises(ValueError, match=r"^y must not change while it is saved$"):
        one.save(tmp_path / "data.npz")
    assert (tmp_path / "data.npz").read_bytes() == before
    assert os.listdir(tmp_path) == ["data.npz"]


@pytest.mark.parametrize("items", bpcore.INPUTS, ids=str)
def test_a_mapped_file_is_saved_in_its_own_items(items, tmp_path):
    array = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", items, (90_000, 128))
    array[:] = 3
    one = Dataset((array, np.arange(len(array)) % 2))
    other = opened(tmp_path, one, "data.npz")
    assert one._x.inputs.dtype == other._x.inputs.dtype == items
    assert equal(one, other)


def test_saving_a_mapped_file_holds_a_block_of_it(tmp_path):
    array = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (90_000, 128))
    array[:] = 1
    one = Dataset((array, np.arange(len(array)) % 2))
    assert one._x.inputs.dtype == np.uint8 and not one._x.sparse
    tracemalloc.start()
    try:
        one.save(tmp_path / "data.npz")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 << 20
    other = bpnet.open(tmp_path / "data.npz")
    assert equal(one, other)
    columns = Dataset((array[:, :100], np.arange(len(array)) % 2))  # rows that are not joined
    assert equal(opened(tmp_path, columns, "columns.npz"), columns)
    _, held_out = other.split(0.01, 1)
    assert held_out._x.inputs.dtype == np.uint8 and len(held_out) == 900
