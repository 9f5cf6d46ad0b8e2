"""What callers pass, in any form and memory layout, and the sentences that refuse the rest."""

import tracemalloc

import numpy as np
import pytest
from conftest import pairs, parameters_of
from engines import same_bits
from nets import each_dtype, make, train

import bpnet
from bpnet import Dataset, Network, data

SIZES = [4, 5, 3]


def test_parameters_that_share_memory_are_trained_apart():
    """Broadcast items, a square matrix and its transpose, and biases inside weights."""
    base = np.random.RandomState(0).randn(4, 4)
    net, plain = Network([4, 4, 4], seed=1), Network([4, 4, 4], seed=1)
    net.weights, net.biases = [base, base.T], [base[:, :1], np.broadcast_to(0.5, (4, 1))]
    plain.weights, plain.biases = [base.copy(), base.T.copy()], [base[:, :1].copy(), 0]
    plain.biases[1] = np.full((4, 1), 0.5)
    kept = base.copy()
    for each in (net, plain):
        each.SGD(pairs(9, 4, 4), 2, 4, 0.5)
    assert same_bits(parameters_of(net), parameters_of(plain))
    assert same_bits(base, kept)


@each_dtype
@pytest.mark.parametrize("density", [0.1, 1.0], ids=["csr", "dense"])
def test_every_form_and_dtype_of_many_examples_is_packed_alike(dtype, density):
    """More of them than are taken at a time; half is exact in float16."""
    draw = np.random.RandomState(0)
    x = np.where(draw.rand(3000, 40) < density, 0.5, 0)
    x[:, 0] = 0.25
    y = np.eye(3)[draw.randint(3, size=3000)]
    assert ("CSR" in repr(Dataset((x, y), dtype=dtype))) == (density < 0.3)
    found = []
    for kind in "defg":
        arrays = x.astype(kind), y.astype(kind)
        columns = [(a[:, None], b[:, None]) for a, b in zip(*arrays)]
        mixed = list(columns)
        mixed[1500] = x[1500][:, None].tolist(), np.repeat(y[1500], 2)[::2, None]
        for given in (arrays, columns, mixed, tuple(map(np.asfortranarray, arrays))):
            net = make("network", sizes=[40, 3], dtype=dtype)
            train(net, given, 1, m=100)
            found.append(parameters_of(net))
    assert all(same_bits(each, found[0]) for each in found)


@pytest.mark.parametrize("form", ["dense", "csr"])
def test_what_is_packed_is_not_packed_again(form):
    """Of a Dataset, nothing; of a pair that fits, X stays where it is."""
    draw = np.random.RandomState(0)
    x = draw.rand(60000, 50) * (draw.rand(60000, 50) < (0.2 if form == "csr" else 1))
    labels, net = draw.randint(3, size=60000), make("network", sizes=[50, 3])
    dataset, pair = Dataset((x, labels)), (x, labels)
    assert (dataset.nbytes == x.nbytes + labels.nbytes) == (form == "dense")
    for given in [dataset] + [pair] * (form == "dense"):
        tracemalloc.start()
        try:
            net.evaluate(given)
            train(net, given, 1, m=100, judged_by=given)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert most < dataset.nbytes / 2  # what the core works in


def test_one_array_may_be_every_x_and_every_y(capsys):
    shared = np.linspace(0, 1, 4)[:, None]
    net, plain = Network([4, 4], seed=1), Network([4, 4], seed=1)
    net.SGD([(shared, shared)] * 5, 2, 2, 0.5)
    plain.SGD([(shared.copy(), shared.copy()) for _ in range(5)], 2, 2, 0.5)
    assert same_bits(parameters_of(net), parameters_of(plain))


def test_examples_may_mix_every_real_dtype(capsys):
    """Small integers are exact in each of them."""
    kinds = "?bBhHiIlLqQefdg"
    plain = [(np.eye(4)[:, [i % 4]], np.eye(3)[:, [i % 3]]) for i in range(len(kinds))]
    mixed = [(x.astype(kind), y.astype(kind)) for kind, (x, y) in zip(kinds, plain)]
    one, two = Network(SIZES, seed=1), Network(SIZES, seed=1)
    one.SGD(mixed, 2, 4, 0.5)
    two.SGD(plain, 2, 4, 0.5)
    assert same_bits(parameters_of(one), parameters_of(two))


def test_a_network_of_one_output_counts_the_labels_that_are_zero():
    """The argmax of one output is 0: so does the original."""
    net = Network([4, 1], seed=1)
    x = np.ones((4, 1))
    assert net.evaluate([(x, label) for label in (0, 1, 0.0, 7, [[0]])]) == 3
    labels = np.array([0, 1, 0, 7, 0])
    for given in (labels, labels[:, None]):
        pair = np.ones((5, 4)), given
        assert net.evaluate(pair) == net.evaluate(Dataset(pair)) == 3
    net.feedforward = lambda a: np.zeros((1, 1))
    for given in (labels, labels[:, None]):
        pair = np.ones((5, 4)), given
        assert net.evaluate(pair) == net.evaluate(Dataset(pair)) == 3


def test_accept_keeps_what_was_given_and_of_a_list_makes_its_own():
    x, y = np.ones((2, 4)), np.ones((2, 3))
    kept, pair = pairs(2, 4, 3), (x, y)
    own = data.accept("data", kept).original
    assert own is not kept
    assert all(a is b for a, b in zip(own, kept))
    assert data.accept("data", pair).original is pair
    assert all(a is b for a, b in zip(data.accept("data", iter(kept)).original, kept))
    assert len(data.accept("data", pair)) == len(data.accept("data", kept)) == 2
    dataset = Dataset(kept)
    assert data.accept("data", dataset) is dataset is dataset.original


def test_pairs_are_columns():
    x, labels = np.arange(8.0).reshape(2, 4), np.array([2, 0])
    columns = list(zip(x[:, :, None], labels.tolist()))
    for given in ((x, labels), (x, labels[:, None]), columns, Dataset((x, labels))):
        (a, b), (c, d) = data.accept("data", given).pairs(3)
        assert a.tolist() == [[0], [1], [2], [3]] and c.tolist() == [[4], [5], [6], [7]]
        assert b.tolist() == [[0], [0], [1]] and d.tolist() == [[1], [0], [0]]
    for given in ((x, labels), (x, labels[:, None]), columns, Dataset((x, labels))):
        assert [y.tolist() for _, y in data.accept("data", given).pairs(1)] == [[[2]], [[0]]]
    (_, b), _ = data.accept("data", (x, np.arange(6.0).reshape(2, 3))).pairs(3)
    assert b.tolist() == [[0], [1], [2]]
    kept = pairs(2, 4, 3)
    assert all(a is b for a, b in zip(data.accept("data", kept).pairs(3), kept))


def test_show_config_names_the_engine_that_runs(capsys):
    bpnet.show_config()
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["bpnet"] == bpnet.__version__
    assert lines["engine"].split(",")[0] in lines["engines"].split(", ")
