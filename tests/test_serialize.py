"""serialize: what is saved is exact, whole, and refused if it is not what it was."""

import contextlib
import io
import json
import os
import pickle
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import global_states
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nets import each_trained, make, train, watched

import bpnet
from bpnet import Network, network2, serialize
from bpnet.serialize import Model, Run

DATA = Path(__file__).with_name("data")

posix = pytest.mark.skipif(os.name != "posix", reason="processes, links and limits of POSIX")

WHAT = r"must be a model that bpnet or the book's network2 saved: "


def same(a, b):
    return (
        list(a.sizes) == list(b.sizes)
        and a.dtype == b.dtype
        and [x.tobytes() for x in a.biases + a.weights]
        == [x.tobytes() for x in b.biases + b.weights]
    )


def bits(value):
    """Return a model, or a part of one, in a form that compares to the bit."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, (tuple, list)):
        return [bits(item) for item in value]
    return json.dumps(value)


def parameters(sizes, dtype="float64", seed=0):
    draw = np.random.RandomState(seed)
    biases = [draw.randn(n, 1).astype(dtype) for n in sizes[1:]]
    return biases, [draw.randn(*shape).astype(dtype) for shape in zip(sizes[1:], sizes)]


def model(sizes, dtype="float64", **parts):
    return Model(list(sizes), *parameters(sizes, dtype), **parts)


STATE = {
    "epoch": 3,
    "seen": 2**70,
    "history": [{"a": [0.1, float("nan"), -float("inf")]}],
    "é": None,
}


def run(sizes, dtype="float64", n=5, **parts):
    draw = np.random.RandomState(1)
    words = np.append(draw.randint(2**32, size=624, dtype=np.uint32), np.uint32(624))
    slots, best = (
        [parameters(sizes, dtype, seed) for seed in (2, 4)],
        parameters(sizes, dtype, 3),
    )
    usual = {"rule": "any-rule", "steps": 2**40, "slots": slots, "best": best}
    return Run(STATE, draw.permutation(n).astype(np.int64), words, **{**usual, **parts})


CHAPTER_3 = {"kind": "Network2", "output": "cross-entropy", "cost": "CrossEntropyCost"}


def checkpoint(sizes=(2, 1), dtype="float64", **parts):
    notes = {"by": "me", "tags": ["ü", 1.5, True]}
    made = run(sizes, dtype, **parts)
    return model(sizes, dtype, **CHAPTER_3, notes=notes, run=made)


def saved(path, made):
    serialize.save(path, made)
    return path.read_bytes()


def names_in(folder):
    return sorted(os.listdir(folder))


@contextlib.contextmanager
def refused_in_memory(nbytes, words):
    """Expect a ValueError of one sentence, for which at most nbytes, or 5 MB, are taken."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=words) as caught:
            yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < max(5_000_000, nbytes)
    assert len(str(caught.value)) < 500


# What comes back.


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
    twin = Network([4, 3, 2], seed=1)
    twin.weights = form([np.asfortranarray(w.astype(">f8")) for w in net.weights])
    twin.save(tmp_path / "net.npz")
    assert same(bpnet.load(tmp_path / "net.npz"), net)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("parts", [{}, {"slots": []}, {"best": None}, {"steps": 0}])
def test_a_checkpoint_comes_back_to_the_bit(tmp_path, dtype, parts):
    made = checkpoint((3, 4, 2), dtype, n=1000, **parts)
    serialize.save(tmp_path / "run.npz", made)
    assert bits(serialize.load(tmp_path / "run.npz")) == bits(made)
    net = bpnet.load(tmp_path / "run.npz")  # one format: a checkpoint is a model, too
    best = made.run.best or (made.biases, made.weights)
    assert bits([net.biases, net.weights]) == bits([*best])


# Files that the first version of the format left: tests/data/version1-*.  All of their numbers
# are fractions that every engine has exactly, for they are few bits, and every neuron of the
# run is saturated.

SMALL = [3, 4, 2]
NOTES = {"by": "version 1", "list": [1, 2.5, None, "ü"]}


def fractions(dtype, more=0):
    shapes = zip(SMALL[1:], SMALL)
    weights = [np.arange(n * m).reshape(n, m) / 16 - 0.5 for n, m in shapes]
    biases = [np.arange(n).reshape(n, 1) / 8 - 0.25 + more for n in SMALL[1:]]
    return [b.astype(dtype) for b in biases], [w.astype(dtype) for w in weights]


def run_of_version_1(epochs, **options):
    """Train as the run did of which version1-momentum-checkpoint.npz keeps two epochs."""
    net = network2.Network(SMALL, seed=1)
    net.biases, net.weights = fractions("float64", 64)
    columns = [([i, i % 2, 2 - i % 3], [i % 2, i // 2 % 2]) for i in range(6)]
    examples = [tuple(np.array([part], float).T for part in pair) for pair in columns]
    net.SGD(examples, epochs, 2, 0.25, mu=0.5, verbose=False, **options)
    return net


@pytest.mark.parametrize(
    ("name", "kind", "dtype", "cost", "notes"),
    [
        ("network.npz", Network, "float32", None, NOTES),
        ("network2.npz", network2.Network, "float64", network2.QuadraticCost, None),
        ("network2.json", network2.Network, "float32", network2.CrossEntropyCost, NOTES),
    ],
)
def test_networks_of_version_1_are_read(name, kind, dtype, cost, notes):
    net = bpnet.load(DATA / f"version1-{name}")
    assert type(net) is kind and getattr(net, "cost", None) is cost
    assert (net.sizes, net.dtype, net.notes) == (SMALL, dtype, notes)
    assert bits([net.biases, net.weights]) == bits(fractions(dtype))


def test_a_run_of_version_1_goes_on_to_the_bits_of_one_that_did_not_end(tmp_path):
    path = DATA / "version1-momentum-checkpoint.npz"
    net, whole = run_of_version_1(5, resume=path), run_of_version_1(5)
    assert bits([net.biases, net.weights]) == bits([whole.biases, whole.weights])
    # A version sums the squares of so many weights in an order of its own.
    rounding = 2 * sum(w.size for w in net.weights) * np.finfo(float).eps
    for record, wanted in zip(net.history, whole.history, strict=True):
        assert abs(record["update"] - wanted["update"]) <= rounding * wanted["update"]
        assert record["update"] > 0
    assert net._rng.getstate() == whole._rng.getstate()
    best = bpnet.load(path)
    first = run_of_version_1(1)
    assert bits([best.biases, best.weights]) == bits([first.biases, first.weights])


@pytest.mark.parametrize(
    ("name", "kind", "dtype", "notes"),
    [("network", Network, "float32", NOTES), ("mlp", bpnet.MLP, "float64", None)],
)
def test_networks_of_version_2_are_read(name, kind, dtype, notes):
    net = bpnet.load(DATA / f"version2-{name}.npz")
    assert type(net) is kind and (net.sizes, net.dtype, net.notes) == (SMALL, dtype, notes)
    assert bits([net.biases, net.weights]) == bits(fractions(dtype))
    assert (net.history, net.stopped_by) == ([], None)
    assert not {"history", "stopped_by"} & {*vars(net)}


def test_a_run_of_version_2_goes_on_to_the_bits_of_one_that_did_not_end():
    path = DATA / "version2-momentum-checkpoint.npz"
    net, whole = run_of_version_1(5, resume=path), run_of_version_1(5)
    assert bits([net.biases, net.weights]) == bits([whole.biases, whole.weights])
    assert [record["epoch"] for record in net.history] == [*range(5)]
    assert len(bpnet.load(path).history) == 2


# The history.

HISTORY = [
    {
        "epoch": 0,
        "eta": 0.1,
        "update": 5e-324,
        "validation_cost": float("nan"),
        "ü": [1, [2.5]],
    },
    {
        "epoch": 1,
        "eta": -0.0,
        "update": float("inf"),
        "a": None,
        "b": {"c": True},
        "d": "\ud800",
    },
    {"epoch": 2**70, "eta": -float("inf"), "update": 1 / 3},
    {},
]
SAVERS = {
    "npz": (serialize.save, "net.npz"),
    "JSON": (serialize.save_json, "net.json"),
}
each_form = pytest.mark.parametrize("form", SAVERS)


@each_form
def test_a_history_comes_back_to_the_bit(tmp_path, form):
    save, name = SAVERS[form]
    made = model([3, 2], **CHAPTER_3, history=HISTORY, stopped_by="any text")
    save(tmp_path / name, made)
    found = serialize.load(tmp_path / name)
    assert (bits(found.history), found.stopped_by) == (bits(HISTORY), "any text")
    assert [[*map(type, record.values())] for record in found.history] == [
        [*map(type, record.values())] for record in HISTORY
    ]
    net = bpnet.load(tmp_path / name)
    assert bits(net.history) == bits(HISTORY)
    net.save(tmp_path / f"again-{name}")
    assert bits(bpnet.load(tmp_path / f"again-{name}").history) == bits(HISTORY)


@pytest.mark.parametrize("name", ["net.npz", "net.json"])
@each_trained
def test_a_trained_network_comes_back_with_its_history(tmp_path, kind, name):
    net = watched(kind)
    net.save(tmp_path / name)
    loaded = bpnet.load(tmp_path / name)
    assert loaded.history == net.history and len(net.history) == 3
    assert loaded.stopped_by == net.stopped_by == "epochs"
    assert repr(loaded).split(";")[1:] == repr(net).split(";")[1:]


@each_trained
def test_a_checkpoint_gives_the_history_up_to_it(tmp_path, kind):
    found = []

    def look(net, epoch):  # which sees the file of the epoch before
        found.append(bpnet.load(tmp_path / "run.npz"))

    net = make(kind)
    for _ in range(2):  # the second run begins anew
        train(net, epochs=3, checkpoint=tmp_path / "run.npz", callback=look)
    found = [*found[3:], bpnet.load(tmp_path / "run.npz")]
    assert [each.history for each in found] == [net.history[:n] for n in range(4)]
    assert [each.stopped_by for each in found] == [None, None, None, "epochs"]


class Thing:
    pass


# What a callback may put into a history, and no file can hold.
UNHEARD = {
    "an object": Thing(),
    "a set": {1},
    "bytes": b"",
    "complex": 1j,
    "a function": len,
    "objects": np.array([Thing()]),
    "complex numbers": np.ones(2) * 1j,
    "within": [[{"a": Thing()}]],
    "a tuple for a name": {(1, 2): 3},
    "more digits than are read": 10**5000,
}


@each_form
@pytest.mark.parametrize("name", [*UNHEARD, "without end", "deep"])
def test_what_a_file_cannot_hold_of_a_history_is_left_out(tmp_path, name, form):
    odd = UNHEARD[name] if name in UNHEARD else endless() if "end" in name else nest(10**5)
    save, path = SAVERS[form][0], tmp_path / SAVERS[form][1]
    history = [{"epoch": 0, "odd": odd}, {"odd": odd, "epoch": 1, "update": 0.5}]
    made = model([3, 2], **CHAPTER_3, history=history)
    kind = type(odd).__name__
    words = (
        rf"^history\[0\]\['odd'\], of {kind} \(and 1 more\) must be what JSON can hold: it is "
    )
    with pytest.warns(UserWarning, match=words + "left out of the file$"):
        save(path, made)
    found = serialize.load(path)
    assert bits(found[:3]) == bits(made[:3])
    assert found.history == [{"epoch": 0}, {"epoch": 1, "update": 0.5}]
    assert history[0]["odd"] is odd


@each_form
def test_names_that_are_none_are_left_out(tmp_path, form):
    save, path = SAVERS[form][0], tmp_path / SAVERS[form][1]
    with pytest.warns(UserWarning, match=r"^history\[0\]\[3\], of int must be what JSON"):
        save(path, model([3, 2], **CHAPTER_3, history=[{"epoch": 0, 3: 4}]))
    assert serialize.load(path).history == [{"epoch": 0}]


@each_form
@pytest.mark.parametrize("history", ["abc", (), {"a": 1}, [1], [[]], 3, Thing()])
def test_a_history_that_is_none_is_left_out(tmp_path, history, form):
    save, path = SAVERS[form][0], tmp_path / SAVERS[form][1]
    made = model([3, 2], **CHAPTER_3, history=history, stopped_by=Thing())
    kind = type(history).__name__
    with pytest.warns(UserWarning, match=f"^history must be a list of dicts .*, got {kind}$"):
        save(path, made)
    found = serialize.load(path)
    assert bits(found[:3]) == bits(made[:3])
    assert not found.history and found.stopped_by is None


def test_numpys_numbers_are_saved_as_pythons(tmp_path):
    one = {"a": np.float32(0.1), "b": np.int64(3), "c": np.bool_(True), "d": np.arange(2.0)}
    serialize.save(
        tmp_path / "net", model([3, 2], history=[{**one, "e": [np.uint8(7)], "f": (1,)}])
    )
    found = serialize.load(tmp_path / "net").history
    assert found == [
        {"a": float(np.float32(0.1)), "b": 3, "c": True, "d": [0.0, 1.0], "e": [7], "f": [1]}
    ]


@each_trained
def test_an_odd_history_ends_no_run_that_is_kept(tmp_path, kind):
    def note(net, epoch):
        net.history[-1] |= {"thing": Thing(), "share": np.float32(0.5)}

    net, same_net = make(kind), make(kind)
    with pytest.warns(UserWarning, match=r"^history\[0\]\['thing'\], of Thing"):
        train(net, epochs=3, checkpoint=tmp_path / "run.npz", callback=note)
    assert type(net.history[0]["thing"]) is Thing
    train(same_net, epochs=3)
    assert same(bpnet.load(tmp_path / "run.npz"), same_net)
    found = bpnet.load(tmp_path / "run.npz").history
    assert [{*record} for record in found] == [{*r, "share"} for r in same_net.history]
    train(same_net, epochs=4, resume=tmp_path / "run.npz")
    assert len(same_net.history) == 4


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"kind": "Network2", "output": None, "cost": "Kosten"},
        {"own": {}},
        {"own": {"sigmoid": "relu", "feedforward": "Mine.feedforward"}},
        {"history": [], "stopped_by": "epochs"},
        {"kind": "MLP", "hidden": "tanh", "output": "log-likelihood"},
        {"notes": {}},
        {"notes": {"a": [1, {"b": None}]}},
    ],
)
@pytest.mark.filterwarnings("ignore:the network answers by")
def test_names_and_notes_come_back(tmp_path, parts):
    made = model([3, 2], **parts)
    serialize.save(tmp_path / "net.npz", made)
    assert bits(serialize.load(tmp_path / "net.npz")) == bits(made)


def test_what_is_loaded_is_writable_and_independent(tmp_path):
    serialize.save(tmp_path / "run.npz", checkpoint())
    loaded = serialize.load(tmp_path / "run.npz")
    pairs = [(loaded.biases, loaded.weights), *loaded.run.slots, loaded.run.best]
    found = [array for pair in pairs for part in pair for array in part]
    for i, array in enumerate([*found, loaded.run.order, loaded.run.random_state]):
        array[...] = i
    assert [int(array.flat[0]) for array in found] == list(range(len(found)))


def test_numpy_reads_what_is_saved(tmp_path):
    made = checkpoint((3, 2))
    serialize.save(tmp_path / "run.npz", made)
    with np.load(tmp_path / "run.npz", allow_pickle=False) as members:
        assert bits(members["weights_0"]) == bits(made.weights[0])
        for k, slot in enumerate(made.run.slots):
            assert bits(members[f"slots_{k}_biases_0"]) == bits(slot[0][0])
            assert bits(members[f"slots_{k}_weights_0"]) == bits(slot[1][0])
        assert (members["steps"].dtype, members["steps"]) == (np.int64, made.run.steps)
        values = json.loads(members["json"].tobytes())
    found = {name: values[name] for name in (*CHAPTER_3, "hidden", "notes", "rule")}
    assert found == {
        **CHAPTER_3,
        "hidden": "sigmoid",
        "notes": made.notes,
        "rule": made.run.rule,
    }


@pytest.mark.parametrize("limit", [400, zipfile.ZIP64_LIMIT])
def test_what_zipfile_writes_is_read(tmp_path, monkeypatch, limit):
    """As earlier versions did; its directory is zip64's only where it must be."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
    made = checkpoint((3, 2))
    with zipfile.ZipFile(io.BytesIO(saved(tmp_path / "run.npz", made))) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(tmp_path / "run.npz", "w") as archive:
        for name, content in members.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
    assert (b"PK\6\6" in (tmp_path / "run.npz").read_bytes()) == (limit == 400)
    assert bits(serialize.load(tmp_path / "run.npz")) == bits(made)


# The book's JSON.


@given(st.data(), st.sampled_from(["float32", "float64"]))
def test_json_keeps_every_number(tmp_path_factory, data, dtype):
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    made = model(sizes, dtype, **{**CHAPTER_3, "output": "quadratic", "cost": "QuadraticCost"})
    drawn = [data.draw(arrays(dtype, w.shape)) for w in made.weights]
    made = made._replace(weights=[np.where(np.isnan(w), w.dtype.type("nan"), w) for w in drawn])
    path = tmp_path_factory.getbasetemp() / "net.json"
    serialize.save_json(path, made)
    assert bits(serialize.load(path)) == bits(made)


@pytest.mark.parametrize(
    ("output", "cost"),
    [("quadratic", "QuadraticCost"), ("cross-entropy", "CrossEntropyCost"), (None, "Kosten")],
)
def test_json_has_the_keys_of_the_book_and_those_that_are_needed(tmp_path, output, cost):
    path, names = tmp_path / "net.json", {"kind": "Network2", "output": output, "cost": cost}
    serialize.save_json(path, model([3, 2], **names, notes={}))
    found = json.loads(path.read_text())
    assert list(found) == ["sizes", "weights", "biases", "cost"]
    assert (found["sizes"], found["cost"]) == ([3, 2], cost)
    assert bits(serialize.load(path)) == bits(model([3, 2], **names))
    serialize.save_json(path, model([3, 2], "float32", **names, notes={"a": 1}))
    found = json.loads(path.read_text())
    assert list(found) == ["sizes", "weights", "biases", "cost", "dtype", "notes"]
    assert (found["dtype"], found["notes"]) == ("float32", {"a": 1})


@pytest.mark.parametrize(
    "names",
    [
        {"kind": "MLP"},
        {"hidden": "relu"},
        {"output": "squared"},
        {"kind": "MLP", "output": "quadratic", "cost": None},
        {"output": None},  # of one's own of the book's name
    ],
)
def test_json_names_what_is_not_chapter_3s(tmp_path, names):
    made = model([3, 2], **{**CHAPTER_3, **names})
    serialize.save_json(tmp_path / "net.json", made)
    found = json.loads((tmp_path / "net.json").read_text())
    assert list(found) == [
        *("sizes", "weights", "biases", "cost"),
        *(name for name in names if name != "cost"),
    ]
    assert bits(serialize.load(tmp_path / "net.json")) == bits(made)


def test_json_leaves_the_run_out(tmp_path):
    made = checkpoint()
    serialize.save_json(tmp_path / "net.json", made)
    assert bits(serialize.load(tmp_path / "net.json")) == bits(made._replace(run=None))


BOOK = (
    b'{"sizes": [2, 3, 1], "weights": [[[1.5, -2.25], [0.1, 1e-300], [NaN, -Infinity]], '
    b'[[1, 0, -0.0]]], "biases": [[[0.5], [2], [1E5]], [[Infinity]]], '
    b'"cost": "CrossEntropyCost"}'
)


@pytest.mark.parametrize("space", [b"", b" \n\t\r"])
def test_what_the_books_network2_wrote_is_read(tmp_path, space):
    path = tmp_path / "net"
    path.write_bytes(space + BOOK + space)
    inf, nan = float("inf"), float("nan")
    wanted = Model(
        [2, 3, 1],
        [np.array([[0.5], [2], [1e5]]), np.array([[inf]])],
        [np.array([[1.5, -2.25], [0.1, 1e-300], [nan, -inf]]), np.array([[1, 0, -0.0]])],
        **CHAPTER_3,
    )
    assert bits(serialize.load(path)) == bits(wanted)


def changed(**parts):
    """The JSON of a network [2, 3] with other parts; None: without."""
    whole = {
        "sizes": [2, 3],
        "weights": [[[0.5, 1], [2, 3], [4, 5]]],
        "biases": [[[1], [2], [3]]],
        "cost": "QuadraticCost",
    }
    whole |= parts
    return json.dumps({name: part for name, part in whole.items() if part is not None}).encode()


PORTS = {
    "without cost": (changed(cost=None), None),
    "cost null": (changed().replace(b'"QuadraticCost"', b"null"), None),
    "cost a number": (changed(cost=3), None),
    "cost no name": (changed(cost="a.b"), None),
    "cost a list": (changed(cost=["QuadraticCost"]), None),
    "cost of its own": (changed(cost="cross-entropy"), "cross-entropy"),
    "a history of its own": (
        changed(history={"loss": [1]}, stopped_by=["patience"], own=3),
        "QuadraticCost",
    ),
    "a history that lists numbers": (changed(history=[0.5], own={"a": "b"}), "QuadraticCost"),
    "other keys": (changed(eta=3, layers=[{"a": None}]), "QuadraticCost"),
    "a byte order mark": (b"\xef\xbb\xbf" + changed(), "QuadraticCost"),
    "a mark and space": (b"\xef\xbb\xbf\r\n " + changed(), "QuadraticCost"),
}


@pytest.mark.parametrize("name", PORTS)
def test_what_a_port_wrote_is_read(tmp_path, name):
    content, cost = PORTS[name]
    (tmp_path / "net.json").write_bytes(content)
    output = "quadratic" if cost == "QuadraticCost" else None
    found = serialize.load(tmp_path / "net.json")
    assert found[3:7] == ("Network2", "sigmoid", output, cost)
    assert bits(found.weights) == bits([np.array([[0.5, 1], [2, 3], [4, 5]])])
    assert found[7:] == (None,) * 5


def with_weights(text):
    return changed(weights="W").replace(b'"W"', text)


def deep(n):
    return b"[" * n + b"]" * n


BAD_JSON = {
    "an array": (b"[1, 2]", "neither an npz nor a JSON object"),
    "text": (b"Hello", "neither an npz nor a JSON object"),
    "empty": (b"", "neither an npz nor a JSON object"),
    "NUL bytes": (bytes(300), "neither an npz nor a JSON object"),
    "UTF-16": (changed().decode().encode("utf-16"), "neither an npz nor a JSON object"),
    "UTF-16 without a mark": (changed().decode().encode("utf-16-le"), "double quotes"),
    "two marks": (b"\xef\xbb\xbf" * 2 + changed(), "BOM"),
    "a mark after space": (b" \xef\xbb\xbf" + changed(), "Expecting value"),
    "NUL bytes within": (changed().replace(b"[", b"[\0"), "Expecting value"),
    "a NUL byte after": (changed() + b"\0", "Extra data"),
    "two objects": (changed() * 2, "Extra data"),
    "not UTF-8": (changed(cost="x").replace(b'"x"', b'"\xff"'), "utf-8"),
    "cut off": (changed()[:-1], "delimiter"),
    "no sizes": (changed(sizes=None), "sizes must be a list, got None"),
    "no weights": (changed(weights=None), "weights must be a list, got None"),
    "no biases": (changed(biases=None), "biases must be a list, got None"),
    "no keys": (b"{}", "sizes must be a list, got None"),
    "kind a list": (changed(kind=[]), "kind must be a name, got ..$"),
    "hidden a number": (changed(hidden=30), "hidden must be a name, got 30$"),
    "output no name": (changed(output="a b"), "output must be a name, got 'a b'$"),
    "notes a list": (changed(notes=[]), "notes must be a dict, got list"),
    "notes deep": (changed(notes="N").replace(b'"N"', deep(10**5)), "recursion"),
    "another dtype": (changed(dtype="float16"), "dtype must be float32 or float64, got 'fl"),
    "dtype a list": (changed(dtype=["float32"]), "dtype must be float32 or float64, got .'fl"),
    "sizes a number": (changed(sizes=3), "sizes must be a list, got 3"),
    "sizes floats": (changed(sizes=[2.0, 3]), r"sizes\[0\] must be an integer, got 2\.0"),
    "sizes text": (changed(sizes=["2", 3]), r"sizes\[0\] must be an integer, got '2'"),
    "sizes bools": (changed(sizes=[2, True]), "sizes must list integers, got true or false"),
    "sizes negative": (changed(sizes=[-2, 3]), r"sizes\[0\] must be at least 1, got -2"),
    "sizes zero": (changed(sizes=[0, 3]), r"sizes\[0\] must be at least 1, got 0"),
    "sizes huge": (changed(sizes=[10**30, 3]), r"sizes\[0\] must be at most"),
    "sizes large": (changed(sizes=[2 * 10**9, 10**9]), r"biases\[0\] has shape \(3, 1\)"),
    "one size": (
        changed(sizes=[2], weights=[], biases=[]),
        "sizes must list two layers or more",
    ),
    "many sizes": (changed(sizes=[1] * 300_000), "weights must be one fewer than sizes, got 1"),
    "another size": (
        changed(sizes=[4, 3]),
        r"weights\[0\] has shape \(3, 2\), expected \(3, 4\)",
    ),
    "more layers": (changed(sizes=[2, 3, 1]), "weights must be one fewer than sizes, got 1"),
    "weights a dict": (changed(weights={"a": 1}), r"weights must be a list, got \{'a': 1\}"),
    "no matrices": (changed(weights=[]), "weights must be one fewer than sizes, got 0"),
    "a number for a matrix": (changed(weights=[1]), r"weights\[0\] has shape \(\), expected"),
    "one row less": (
        changed(weights=[[[1, 2], [3, 4]]]),
        r"weights\[0\] has shape \(2, 2\), expected \(3, 2\)",
    ),
    "ragged rows": (changed(weights=[[[1, 2], [3], [4, 5]]]), r"weights\[0\] has shape \(3,\)"),
    "rows of rows": (
        changed(biases=[[[[1]], [[2]], [[3]]]]),
        r"biases\[0\] has shape \(3, 1, 1\), expected \(3, 1\)",
    ),
    "a flat bias": (
        changed(biases=[[1, 2, 3]]),
        r"biases\[0\] has shape \(3,\), expected \(3, 1\)",
    ),
    "true for a number": (changed(weights=[[[1, 2], [3, True], [4, 5]]]), ".0.*, got bool"),
    "text for a number": (changed(weights=[[[1, 2], [3, "4"], [4, 5]]]), ".0.*, got str"),
    "null for a number": (changed(weights=[[[1, 2], [3, None], [4, 5]]]), "0.*, got NoneType"),
    "an object for a number": (changed(weights=[[[1, 2], [3, {}], [4, 5]]]), "0.*, got dict"),
    "a large integer": (
        changed(weights=[[[1, 2], [3, 10**400], [4, 5]]]),
        r"weights\[0\] must hold numbers of float64, got a larger one",
    ),
    "an integer of 5,000 digits": (with_weights(b"[[[" + b"1" * 5000 + b"]]]"), ""),
    "large for float32": (
        changed(weights=[[[1, 2], [3, 1e39], [4, 5]]], dtype="float32"),
        r"weights\[0\] must hold numbers of float32, got a larger one",
    ),
    "deep in a matrix": (
        with_weights(b"[" + deep(300) + b"]"),
        r"weights\[0\] has shape \(1, ",
    ),
    "deep": (with_weights(deep(10**5)), "recursion"),
    "many lists": (with_weights(b"[" + b"[]," * 200_000 + b"[]]"), "must be one fewer"),
    "many objects": (with_weights(b"[" + b"{}," * 200_000 + b"{}]"), "must be one fewer"),
    "many numbers": (with_weights(b"[[[" + b"1.5," * 200_000 + b"1]]]"), r"\(1, 200001\)"),
    "deep objects": (b'{"a":' * 10**5, "recursion"),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_json_that_is_no_model_is_refused_and_gets_no_memory(tmp_path, name):
    content, words = BAD_JSON[name]
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with refused_in_memory(30 * len(content), rf"bad\.json {WHAT}.*{words}"):
        serialize.load(path)


def test_the_json_that_these_tests_change_is_read(tmp_path):
    (tmp_path / "net.json").write_bytes(changed())
    assert serialize.load(tmp_path / "net.json").sizes == [2, 3]


# Files that are something else.


def header(shape, dtype="<f8"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def npy(value):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(value))
    return file.getvalue()


def literal(text, rest=b"", version=b"\1\0"):
    """Bytes of an npy file whose header is text."""
    text = text.encode("latin1") + b"\n"
    width = 2 if version == b"\1\0" else 4
    return b"\x93NUMPY" + version + len(text).to_bytes(width, "little") + text + rest


def as_bytes(values):
    return np.frombuffer(json.dumps(values).encode(), np.uint8)


def members(of=None, **parts):
    """The arrays of a network [3, 2], or of a model, with other ones; None: without."""
    of = of or model([3, 2])
    found = {"format": "bpnet.Network", "version": np.int64(2), "sizes": np.int64(of.sizes)}
    found |= {f"biases_{l}": b for l, b in enumerate(of.biases)}
    found |= {f"weights_{l}": w for l, w in enumerate(of.weights)}
    found["json"] = as_bytes({"kind": "Network", "hidden": "sigmoid", "output": "quadratic"})
    found |= parts
    return {name: part for name, part in found.items() if part is not None}


def archive(found, method=zipfile.ZIP_STORED, end=".npy"):
    """A zip of members, which are arrays or what is to stand for one."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, part in found.items():
            made.writestr(name + end, part if isinstance(part, bytes) else npy(part))
    return file.getvalue()


def resumed(json_parts=(), **parts):
    """A checkpoint of a network [3, 2] with other parts."""
    made = run((3, 2))
    values = {"kind": "Network", "hidden": "sigmoid", "rule": "plain", "state": {}}
    found = {"json": as_bytes({**values, **dict(json_parts)}), "steps": np.int64(7)}
    found |= {"order": made.order, "random_state": made.random_state}
    return members(**{**found, **parts})


def of_version_1(values, **parts):
    """What version 1 wrote of a network [3, 2]; its JSON is values."""
    return members(**{"version": np.int64(1), "json": as_bytes(values), **parts})


class Runs:
    def __reduce__(self):
        return (pytest.fail, ("a pickle in the file was run",))


def of_size(n_in, n_out, claim=True):
    """A model that says it is large, in the headers of its arrays too, and is not."""
    parts = {"weights_0": header((n_out, n_in)) + bytes(48)} if claim else {}
    if claim:
        parts["biases_0"] = header((n_out, 1)) + bytes(16)
    return members(sizes=np.int64([n_in, n_out]), **parts)


def patched(content, signature, at, form, *values):
    """A zip of which the first header of this kind has other fields."""
    content = bytearray(content)
    struct.pack_into(form, content, content.index(signature) + at, *values)
    return bytes(content)


def twice(name):
    with pytest.warns(UserWarning, match="Duplicate name"):
        file = io.BytesIO(archive(members()))
        with zipfile.ZipFile(file, "a") as made:
            made.writestr(f"{name}.npy", npy(np.zeros((2, 3))))
    return file.getvalue()


def overlapping():
    """A zip whose directory lists its largest member 1,000 times."""
    content = archive(members(weights_0=np.zeros((2, 10**4))))
    directory, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    entry = content[content.rindex(b"PK\1\2") : end]
    content = content[:end] + 1000 * entry + content[end:]
    size = end - directory + 1000 * len(entry)
    return patched(content, b"PK\5\6", 8, "<2HI", 1005, 1005, size)


def nested():
    """A zip with a whole zip in one of its members, whose headers its directory lists."""
    inner = archive(members())
    outer = archive({"weights_0": inner})
    return outer[: outer.index(inner) + len(inner)] + inner[inner.index(b"PK\1\2") :]


def absurd_zip64():
    """A model whose first member claims 2**60 bytes, as zip64 does."""
    file = io.BytesIO()
    np.savez(file, **members())
    content = patched(file.getvalue(), b"PK\3\4", 18, "<2I", *[2**32 - 1] * 2)
    return patched(content, b"PK\3\4", 30 + len("format.npy") + 4, "<2Q", 2**60, 2**60)


WHOLE = archive(members())
IN_FULL = "whole and not compressed"
HEADER = "must be float64 \\(2, 3\\), got b"
ORDER = r"order must be a permutation of range\(5\)"
BOMB = {**members(), "weights_0": bytes(20_000_000)}

BAD = {
    "a pickle": (pickle.dumps(Network([3, 2], seed=1)), "neither an npz nor a JSON object"),
    "PK": (b"PK", "must end with the directory"),
    "an empty zip": ({}, "it has no format"),
    "a zip of files": (archive({"a": b"a" * 99}, end=".txt"), "it has no format"),
    "no format": (members(format=None), "it has no format"),
    "no version": (members(version=None), "it has no version"),
    "no sizes": (members(sizes=None), "it has no sizes"),
    "no biases": (members(biases_0=None), "it has no biases_0"),
    "no weights": (members(weights_0=None), "sizes must be"),
    "other weights": (members(weights_0=None, weights_1=npy(1.0)), "no weights_0"),
    "another format": (members(format="other.Network"), "it has another format"),
    "a longer format": (members(format="bpnet.Network2"), "format must be <U13"),
    "no text for a format": (
        members(format=header((), "<U13") + b"\xff" * 52),
        "it has another format",
    ),
    "a newer version": (
        members(version=np.int64(4)),
        "it has version 4, this bpnet reads 1 to 3$",
    ),
    "version 0": (members(version=np.int64(0)), "it has version 0, this bpnet"),
    "version a float": (members(version=1.0), "version must be int64"),
    "an object array": (members(weights_0=np.array([Runs()])), HEADER + ".*O"),
    "a pickle for an array": (
        members(weights_0=pickle.dumps(Runs()) + bytes(99)),
        "weights_0 must be float64",
    ),
    "objects for sizes": (members(sizes=np.array([Runs()] * 2)), "sizes must be int64"),
    "objects for json": (
        members(json=np.array([Runs()] * 2)),
        r"json must be uint8 \(\d+,\), got",
    ),
    "another shape": (members(weights_0=np.zeros((2, 4))), HEADER + r".*\(2, 4\)"),
    "another dtype": (members(weights_0=np.zeros((2, 3), "i8")), HEADER + ".*<i8"),
    "two dtypes": (members(weights_0=np.zeros((2, 3), "f4")), HEADER + ".*<f4"),
    "float16": (members(biases_0=np.zeros((2, 1), "f2")), "biases_0 must be float64"),
    "bytes the wrong way": (members(weights_0=np.zeros((2, 3), ">f8")), HEADER),
    "Fortran's order": (
        members(weights_0=np.asfortranarray(np.zeros((2, 3)))),
        HEADER + ".*True",
    ),
    "size zero": (members(sizes=[0, 2]), r"sizes\[0\] must be at least 1"),
    "a size below zero": (members(sizes=[3, -2]), r"sizes\[1\] must be at least 1"),
    "one size": (members(sizes=[3]), r"sizes must be int64 \(2,\)"),
    "many sizes": (members(sizes=np.ones(10**6, int)), r"sizes must be int64 \(2,\)"),
    "weights too large": (of_size(10**12, 2), r"weights_0 must be .* got 48 bytes"),
    "biases too large": (of_size(2, 10**12), r"biases_0 must be .* got 16 bytes"),
    "more than can be": (of_size(2**62, 2**62), r"biases_0 must be .* got 16 bytes"),
    "other sizes": (of_size(2, 2, claim=False), "weights_0 must be float64 .2, 2., got"),
    "no bytes": (members(weights_0=header((2, 3))), "got 0 bytes"),
    "bytes too many": (members(weights_0=npy(np.zeros((2, 3))) + b"0"), "got 49 by"),
    # What numpy would parse.
    "parentheses": (members(weights_0=literal("(" * 9000)), HEADER),
    "parentheses that close": (members(weights_0=literal("(" * 4000 + ")" * 4000)), HEADER),
    "minus signs": (members(weights_0=literal("-" * 9000 + "1")), HEADER),
    "a long header": (members(weights_0=literal("[" + "1," * 32000 + "]")), HEADER),
    "a long integer": (members(weights_0=literal("9" * 9999)), HEADER),
    "a NUL byte": (members(weights_0=literal("{\0}" + " " * 99)), HEADER),
    "no ASCII": (members(weights_0=literal("\xff" * 99)), HEADER),
    "an escape": (members(weights_0=literal(r"'\d'" + " " * 99)), HEADER),
    "a call": (members(weights_0=literal("exit()" + " " * 99)), HEADER),
    "Python 2": (
        members(
            weights_0=literal(
                "{'descr': '<f8', 'fortran_order': False, 'shape': (2L, 3L), }", bytes(48)
            )
        ),
        HEADER,
    ),
    "a shape below zero": (
        members(
            json=literal("{'descr': '|u1', 'fortran_order': False, 'shape': (-2,), }", bytes(9))
        ),
        "json must be",
    ),
    "a header that goes on": (members(weights_0=b"\x93NUMPY\1\0\xff\xff" + bytes(99)), HEADER),
    "npy 2.0": (members(weights_0=literal("{}", bytes(99), b"\2\0")), HEADER),
    "npy 9.9": (members(weights_0=literal("{}", bytes(99), b"\11\11")), HEADER),
    # What a zip can say.
    "compressed": (archive(members(), zipfile.ZIP_DEFLATED), IN_FULL),
    "compressed as no npz is": (archive(members(), zipfile.ZIP_LZMA), IN_FULL),
    "compressed by a thousand": (archive(BOMB, zipfile.ZIP_DEFLATED), IN_FULL),
    "encrypted": (patched(WHOLE, b"PK\3\4", 6, "<H", 1), IN_FULL),
    "sizes that follow": (patched(WHOLE, b"PK\3\4", 6, "<H", 8), IN_FULL),
    "another size when packed": (patched(WHOLE, b"PK\3\4", 18, "<I", 1), IN_FULL),
    "larger than the file": (patched(WHOLE, b"PK\3\4", 18, "<2I", 2**31, 2**31), IN_FULL),
    "zip64 without sizes": (patched(WHOLE, b"PK\3\4", 18, "<2I", *[2**32 - 1] * 2), "damaged"),
    "zip64 larger than the file": (absurd_zip64(), IN_FULL),
    "a long name": (patched(WHOLE, b"PK\3\4", 26, "<H", 65535), ""),
    "a name that is no text": (WHOLE.replace(b"sizes.npy", b"\xffizes.npy"), "utf-8"),
    "another name in the directory": (
        patched(WHOLE, b"PK\1\2", 46, "<4s", b"../a"),
        "its directory must list 'format.npy' as it is",
    ),
    "another sum in the directory": (
        patched(WHOLE, b"PK\1\2", 16, "<I", 1),
        "its directory must list 'format.npy' as it is",
    ),
    "another sum": (WHOLE.replace(npy(np.int64(2)), npy(np.int64(1))), "version is damaged"),
    "a member twice": (twice("weights_0"), "'weights_0.npy' must be there once"),
    "one member many times": (overlapping(), "must end with the directory"),
    "a zip within": (nested(), "its directory must list"),
    "something before": (b"\0" + WHOLE, "neither an npz nor a JSON object"),
    "a mark before a zip": (b"\xef\xbb\xbf" + WHOLE, "must end with the directory"),
    "a program before": (b"PK\0\0" + WHOLE, "must end with the directory"),
    "something after": (WHOLE + b"\0", "must end with the directory"),
    "much after": (WHOLE + bytes(10**6), "must end with the directory"),
    "itself after": (WHOLE + WHOLE, "must end with the directory"),
    "something between": (WHOLE.replace(b"PK\1\2", b"\0PK\1\2", 1), "its directory must"),
    "no directory": (WHOLE[: WHOLE.index(b"PK\1\2")], "damaged"),
    "a path upwards": (
        {**members(biases_0=None), "../biases_0": npy(0.0)},
        "it has no biases_0",
    ),
    "one path more": ({**members(), "../x": npy(0.0)}, r"member '\.\./x\.npy'"),
    "a path from the root": ({**members(), "/etc/x": npy(0.0)}, "member '/etc/x.npy"),
    "an unknown member": (members(other=npy(0.0)), "an unknown member 'other.npy'"),
    "a layer more": (members(biases_1=npy(0.0)), "an unknown member 'biases_1.npy'"),
    "many members": ({str(i): bytes(64) for i in range(20_000)}, "it has no format"),
    "members of nothing": ({str(i): b"" for i in range(20_000)}, IN_FULL),
    "many layers": (
        members() | {f"weights_{i}": bytes(64) for i in range(20_000)},
        r"sizes must be int64 \(20001,\)",
    ),
    # Checkpoints.
    "json a list": (members(json=np.frombuffer(b"[]", "u1")), "must be an object"),
    "json no JSON": (members(json=np.frombuffer(b"{", "u1")), "Expecting"),
    "json empty": (members(json=np.empty(0, "u1")), "Expecting value"),
    "json not UTF-8": (members(json=np.frombuffer(b'"\xff"', "u1")), "utf-8"),
    "json deep": (members(json=np.frombuffer(deep(10**5), "u1")), "recursion"),
    "json a matrix": (members(json=np.zeros((2, 2), "u1")), "json must be uint8"),
    "an unknown key": (resumed({"eta": 3}), "an unknown member 'eta'"),
    "no names": (members(json=None), "kind must be a name, got None"),
    "no kind": (resumed({"kind": None}), "kind must be a name, got None"),
    "no hidden": (resumed({"hidden": None}), "hidden must be a name, got None"),
    "output a number": (resumed({"output": 3}), "output must be a name, got 3"),
    "no rule": (resumed({"rule": None}), "rule must be a name, got None"),
    "rule no name": (resumed({"rule": "a b"}), "rule must be a name, got 'a b'"),
    "no steps": (resumed(steps=None), "it has no steps"),
    "steps a float": (resumed(steps=7.0), "steps must be int64"),
    "steps below 0": (resumed(steps=np.int64(-1)), "steps must be at least 0, got -1"),
    "steps of no run": (members(steps=np.int64(7)), "an unknown member 'steps.npy'"),
    "state a list": (resumed({"state": [1]}), "state must be a dict, got list"),
    "state null": (resumed({"state": None}), "state must be a dict, got NoneType"),
    "notes a list": (resumed({"notes": []}), "notes must be a dict, got list"),
    "cost a list": (resumed({"cost": []}), "cost must be a name, got .."),
    "a run's history a number": (
        resumed({"state": {"history": 3}}),
        "history must be a list of dicts, got 3",
    ),
    "a run's history of numbers": (
        resumed({"state": {"history": [{}, 0.5]}}),
        r"history must be a list of dicts, got \[{}, 0\.5\]",
    ),
    "history a dict": (resumed({"history": {"a": []}}), "history must be a list of dicts, got"),
    "history of lists": (
        resumed({"history": [{}, []]}),
        "history must be a list of dicts, got",
    ),
    "stopped_by a number": (resumed({"stopped_by": 3}), "stopped_by must be a text, got 3"),
    "own a list": (
        resumed({"own": ["sigmoid"]}),
        "own must be a dict of names for sigmoid and",
    ),
    "own of another step": (resumed({"own": {"cost": "f"}}), "own must be a dict of names for"),
    "own no name": (resumed({"own": {"sigmoid": 3}}), "own must be a dict of names for sigm"),
    "cost a list, version 1": (of_version_1({"cost": [1]}), r"cost must be a name, got \[1\]"),
    "no state": (resumed(json=None), "an unknown member '(steps|order).npy'"),
    "no order": (resumed(order=None), "it has no order"),
    "no random state": (resumed(random_state=None), "it has no random_state"),
    "an order twice": (resumed(order=np.array([0, 1, 1, 3, 4])), ORDER),
    "an order too high": (resumed(order=np.array([0, 1, 5, 3, 4])), ORDER),
    "an order below 0": (resumed(order=np.array([0, 1, -3, 3, 4])), ORDER),
    "an order far off": (resumed(order=np.array([2**63 - 1, -(2**63), 0, 1, 2])), ORDER),
    "an order of floats": (resumed(order=np.arange(5.0)), "order must be int64"),
    "an order in rows": (resumed(order=np.zeros((1, 1), int)), "order must be int64"),
    "a position too high": (
        resumed(random_state=np.full(625, 625, np.uint32)),
        "random_state must end in at most 624, got 625",
    ),
    "words missing": (
        resumed(random_state=np.zeros(624, np.uint32)),
        r"random_state must be uint32 \(625,\)",
    ),
    "half a slot": (
        resumed(slots_0_biases_0=np.zeros((2, 1))),
        "it has no slots_0_weights_0",
    ),
    "no first slot": (
        resumed(slots_1_biases_0=np.zeros((2, 1)), slots_1_weights_0=np.zeros((2, 3))),
        "an unknown member 'slots_1_biases_0.npy'",
    ),
    "a velocity": (
        resumed(velocity_biases_0=np.zeros((2, 1)), velocity_weights_0=np.zeros((2, 3))),
        "an unknown member 'velocity_biases_0.npy'",
    ),
    "the other half": (
        resumed(best_weights_0=np.zeros((2, 3))),
        "an unknown member 'best_weights_0.npy'",
    ),
    "a slot of another dtype": (
        resumed(slots_0_biases_0=np.zeros((2, 1), "f4")),
        r"slots_0_biases_0 must be float64 \(2, 1\)",
    ),
    "a best of another shape": (
        resumed(best_biases_0=np.zeros((3, 1))),
        r"best_biases_0 must be float64 \(2, 1\)",
    ),
}


def test_the_files_that_these_tests_change_are_read(tmp_path):
    path = tmp_path / "net.npz"
    path.write_bytes(WHOLE)
    assert bits(serialize.load(path)) == bits(model([3, 2]))
    path.write_bytes(archive(resumed()))
    found = run((3, 2), rule="plain", steps=7, slots=[], best=None)._replace(state={})
    assert bits(serialize.load(path).run) == bits(found)


@pytest.mark.parametrize("momentum", [False, True])
@pytest.mark.parametrize(
    ("cost", "names"),
    [
        (None, ("Network", "sigmoid", "quadratic", None)),
        ("CrossEntropyCost", ("Network2", "sigmoid", "cross-entropy", "CrossEntropyCost")),
        ("Kosten", ("Network2", "sigmoid", None, "Kosten")),
    ],
)
def test_what_version_1_did_not_say_is_known(tmp_path, cost, names, momentum):
    path, made, (biases, weights) = tmp_path / "run", run((3, 2)), parameters((3, 2), seed=2)
    values = {"notes": {"a": 1}, "state": {}, **({"cost": cost} if cost else {})}
    velocity = {"velocity_biases_0": biases[0], "velocity_weights_0": weights[0]}
    parts = {"order": made.order, "random_state": made.random_state}
    path.write_bytes(archive(of_version_1(values, **parts, **(velocity if momentum else {}))))
    rule, slots = ("momentum", [(biases, weights)]) if momentum else ("plain", [])
    wanted = made._replace(state={}, rule=rule, steps=0, slots=slots, best=None)
    found = serialize.load(path)
    assert (found[3:7], found.notes) == (names, {"a": 1})
    assert bits(found.run) == bits(wanted)
    path.write_bytes(archive(of_version_1({}, json=None)))
    assert bits(serialize.load(path)) == bits(model([3, 2]))


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_model_is_refused_and_gets_no_memory(tmp_path, name):
    content, words = BAD[name]
    if isinstance(content, dict):
        content = archive(content)
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with refused_in_memory(4 * len(content), rf"bad\.npz {WHAT}.*{words}"):
        serialize.load(path)


def damage(path, whole, harmless, bits_of_a_byte=8):
    """Load every beginning of a file, and the file with each of its bits flipped.

    Of each byte only so many bits, others than of the byte before.
    """
    with open(path, "wb", buffering=0) as file:
        file.write(whole)
        for i, byte in enumerate(whole):
            for k in ((i + j) % 8 for j in range(bits_of_a_byte)):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << k]), i)
                try:
                    assert harmless(serialize.load(path)), (i, k)
                except ValueError as error:
                    assert WHAT in str(error)
            os.pwrite(file.fileno(), bytes([byte]), i)
        for n in reversed(range(len(whole))):
            file.truncate(n)
            with pytest.raises(ValueError, match=WHAT):
                serialize.load(path)


@posix
@pytest.mark.parametrize(
    ("made", "bits_of_a_byte"),
    [
        (model([2, 1]), 8),
        (model([2, 1], history=[{"epoch": 0}], stopped_by="epochs"), 1),
        (checkpoint(), 1),
    ],
    ids=["model", "trained", "checkpoint"],
)
def test_damage_anywhere_is_refused_or_harmless(tmp_path, made, bits_of_a_byte):
    """Of a checkpoint, which has more members of the same form, one bit of each byte."""
    wanted = bits(made)
    whole = saved(tmp_path / "net.npz", made)
    damage(tmp_path / "bad.npz", whole, lambda found: bits(found) == wanted, bits_of_a_byte)


@posix
def test_damaged_json_is_refused_or_a_model_of_its_shapes(tmp_path):
    made = model([2, 1], **CHAPTER_3, notes={"a": [1, "b"]}, history=[{"a": 1.5}, {}])
    serialize.save_json(tmp_path / "net.json", made)

    def fits(found):
        shapes = [array.shape for array in (*found.biases, *found.weights)]
        return found.sizes == [2, 1] and shapes == [(1, 1), (1, 2)]

    damage(tmp_path / "bad.json", (tmp_path / "net.json").read_bytes(), fits)


@given(st.binary(max_size=300), st.sampled_from([b"", b"PK\3\4", b'{"sizes": ', b"{"]))
def test_any_bytes_are_refused(tmp_path_factory, content, start):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(start + content)
    with pytest.raises(ValueError, match=WHAT):
        serialize.load(path)


any_json = st.recursive(
    st.sampled_from([None, True, 2, 3, 1e300, 10**400, "x", float("nan")]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("a"), inner),
    max_leaves=8,
)


@given(
    st.sampled_from(["sizes", "weights", "biases", "dtype", *serialize._VALUES]),
    any_json | st.sampled_from(["float32", "float64", "Cost"]),
)
def test_any_json_is_refused_or_a_model(tmp_path_factory, name, part):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_text(json.dumps({**json.loads(changed()), name: part}))
    try:
        found = serialize.load(path)
    except ValueError as error:
        assert WHAT in str(error)
    else:
        assert (found.sizes, found.biases[0].shape, found.weights[0].shape) == (
            *([2, 3], (3, 1)),
            (3, 2),
        )


def test_a_missing_file_is_said_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.npz"):
        bpnet.load(tmp_path / "absent.npz")


@posix
def test_what_is_no_file_is_neither_read_nor_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        words = f"path must name a file, got .*{name}"
        with pytest.raises(OSError, match=words):
            Network([3, 2]).save(tmp_path / name)
        with pytest.raises(OSError, match=words):
            bpnet.load(tmp_path / name)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert names_in(tmp_path) == ["folder", "pipe"]


# What must not be written.


def endless():
    found = {}
    found["itself"] = found
    return found


def nest(n):
    found = {}
    for _ in range(n):
        found = {"a": found}
    return found


UNFIT = {
    "weights": (model([3, 2])._replace(weights=[np.ones((3, 3))]), r"weights\[0\] has shape"),
    "sizes": (model([3, 2])._replace(sizes=[3]), "sizes must list two layers or more"),
    "cost": (model([3, 2], cost="my cost"), "cost must be a name, got 'my cost'"),
    "cost a class": (model([3, 2], cost=Runs), "cost must be a name, got <class"),
    "kind": (model([3, 2], kind=None), "kind must be a name, got None"),
    "hidden": (model([3, 2], hidden=""), "hidden must be a name, got ''"),
    "output": (model([3, 2], output=7), "output must be a name, got 7"),
    "notes": (model([3, 2], notes=[]), "notes must be a dict, got list"),
    "notes an array": (model([3, 2], notes={"a": np.ones(2)}), "notes must be what JSON can"),
    "notes without end": (model([3, 2], notes=endless()), "notes must be what JSON can hold"),
    "notes deep": (model([3, 2], notes=nest(10**5)), "notes must be what JSON can hold"),
}
UNFIT_RUN = {
    "state": ({"state": []}, "state must be a dict, got list"),
    "no JSON in state": ({"state": {"a": {1}}}, "state must be what JSON can hold"),
    "order": ({"order": np.zeros(2, int)}, r"order must be a permutation of range\(2\)"),
    "order of int32": ({"order": np.arange(2, dtype="i4")}, r"order must be int64 \(n,\), got"),
    "words": (
        {"random_state": np.zeros(625)},
        r"must be uint32 \(625,\), got float64 \(625,\)",
    ),
    "position": ({"random_state": np.full(625, 625, "u4")}, "must end in at most 624, got 625"),
    "rule": ({"rule": None}, "rule must be a name, got None"),
    "steps": ({"steps": -1}, "steps must be at least 0, got -1"),
    "steps a float": ({"steps": 1.0}, r"steps must be an integer, got 1\.0"),
    "slots": (
        {"slots": [parameters([3, 2]), parameters([2, 2])]},
        r"weights\[0\] has shape \(2, 2\)",
    ),
    "best": ({"best": ([], [])}, "biases must hold 1 arrays"),
}
for _name, (_parts, _words) in UNFIT_RUN.items():
    UNFIT[_name] = (model([3, 2], run=run((3, 2))._replace(**_parts)), _words)


@pytest.mark.parametrize("name", UNFIT)
def test_what_load_would_refuse_leaves_the_old_file(tmp_path, name):
    made, words = UNFIT[name]
    path = tmp_path / "net.npz"
    before = saved(path, model([3, 2]))
    savers = [serialize.save] if name == "no JSON in state" else [serialize.save_json]
    for save in [serialize.save, *savers]:
        with pytest.raises((TypeError, ValueError), match=words):
            save(path, made)
    assert path.read_bytes() == before
    assert names_in(tmp_path) == ["net.npz"]


def test_float32_and_float64_together_are_saved_exactly(tmp_path):
    made = model([3, 2])._replace(weights=parameters([3, 2], "float32")[1])
    serialize.save(tmp_path / "net.npz", made)
    wanted = made._replace(weights=[w.astype("f8") for w in made.weights])
    assert bits(serialize.load(tmp_path / "net.npz")) == bits(wanted)


# In pieces, within limits.


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 22])
def test_arrays_are_read_in_pieces_of_any_length(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(serialize, "_CHUNK", chunk)
    made = checkpoint((3, 4, 2), n=33)
    serialize.save(tmp_path / "run.npz", made)
    assert bits(serialize.load(tmp_path / "run.npz")) == bits(made)


def test_json_is_read_and_written_up_to_its_limit(tmp_path, monkeypatch):
    path, made = tmp_path / "net.json", model([3, 2], **CHAPTER_3)
    serialize.save_json(path, made)
    size = path.stat().st_size
    monkeypatch.setattr(serialize, "_MOST_JSON", size)
    serialize.save_json(path, made)
    assert bits(serialize.load(path)) == bits(made)
    before = path.read_bytes()
    monkeypatch.setattr(serialize, "_MOST_JSON", size - 1)
    words = "JSON must have at most 268,435,456 bytes; save it as npz"
    with pytest.raises(ValueError, match=f"^{words}$"):
        serialize.save_json(path, made)
    with pytest.raises(ValueError, match=rf"net\.json {WHAT}{words}$"):
        serialize.load(path)
    assert path.read_bytes() == before
    assert names_in(tmp_path) == ["net.json"]


def test_a_file_larger_than_json_may_be_is_not_read(tmp_path):
    with open(tmp_path / "net.json", "wb") as file:
        file.write(b"{")
        file.truncate(2**40)
    with refused_in_memory(0, "JSON must have at most 268,435,456 bytes; save it as npz"):
        serialize.load(tmp_path / "net.json")


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4))
def test_json_written_by_rows_is_what_json_writes(sizes):
    biases, weights = parameters(sizes)
    for arrays_ in (biases, weights):
        wanted = json.dumps([array.tolist() for array in arrays_])
        assert b"".join(serialize._rows(arrays_)).decode() == wanted
