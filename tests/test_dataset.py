"""bpnet.Dataset: what the same examples in a list give, packed once."""

import copy
import gc
import pickle
import random
import threading
import weakref

import nets
import numpy as np
import pytest
from conftest import parameters_of
from engines import same_bits
from nets import as_pair, each_dtype

import bpcore
from bpnet import Dataset, Network, data, network2

SIZES = [4, 5, 3]
N = 150  # more than are unpacked at a time
SPARSE = 0.2


def examples(n=N, density=1.0, sizes=SIZES):
    return nets.examples(n, sizes=sizes, density=density)


def arrays(pairs):
    """Return (X, Y, labels) of tuples (x, y)."""
    x, y = as_pair(pairs)
    return x, y, y.argmax(axis=1)


def forms(pairs):
    """Return the same examples in every form that a Dataset takes."""
    x, y, labels = arrays(pairs)
    return {
        "tuples": list(pairs),
        "tuples with labels": [(x, label) for (x, _), label in zip(pairs, labels)],
        "arrays": (x, y),
        "arrays with labels": (x, labels),
    }


each_form = pytest.mark.parametrize("form", forms(examples(2)))
each_density = pytest.mark.parametrize("density", [SPARSE, 1.0], ids=["csr", "dense"])


def trained(training_data, test_data=None, sizes=SIZES, **options):
    net = Network(sizes, seed=1, **options)
    net.SGD(training_data, 3, 7, 0.5, test_data=test_data)
    return parameters_of(net)


@each_dtype
@each_form
@each_density
def test_items_are_the_tuples_again(form, density, dtype):
    given = examples(density=density)
    dataset = Dataset(forms(given)[form], dtype=dtype)
    assert len(dataset) == len(list(dataset)) == N and dataset.dtype == dtype
    for items in (dataset, [dataset[i] for i in range(N)], [dataset[i - N] for i in range(N)]):
        for (x, y), (given_x, given_y) in zip(items, given, strict=True):
            assert x.shape == (4, 1) and x.dtype == dtype
            assert (x == given_x.astype(dtype)).all()
            if form.endswith("labels"):
                assert type(y) is int and y == given_y.argmax()
            else:
                assert same_bits(y, given_y.astype(dtype))
    for i in (N, -N - 1):
        with pytest.raises(IndexError):
            dataset[i]


@each_form
@each_density
def test_neither_the_source_nor_an_item_can_change_it(form, density):
    source = forms(examples(density=density))[form]
    dataset = Dataset(source)
    before = pickle.dumps(list(dataset))
    parts = source if isinstance(source, tuple) else [part for pair in source for part in pair]
    for array in [part for part in parts if isinstance(part, np.ndarray)]:
        array[...] = 2
    for item in [*dataset, dataset[0], dataset[-1]]:
        for array in [part for part in item if isinstance(part, np.ndarray)]:
            array[...] = 3
    assert pickle.dumps(list(dataset)) == before


def test_a_dataset_is_not_reordered_and_each_call_starts_from_its_order(capsys):
    given = examples()
    dataset = Dataset(given)
    before = pickle.dumps(list(dataset))
    first, second = Network(SIZES, seed=1), Network(SIZES, seed=1)
    for _ in range(3):
        first.SGD(dataset, 1, 7, 0.5)
        second.SGD(list(given), 1, 7, 0.5)
    assert same_bits(parameters_of(first), parameters_of(second))
    assert pickle.dumps(list(dataset)) == before


def test_networks_of_several_sizes_and_threads_share_it(capsys):
    """As many inputs and outputs, any hidden layers."""
    given = examples()
    dataset = Dataset(given)
    shapes = [SIZES, [4, 3], [4, 6, 6, 3]] * 2
    found = [None] * len(shapes)

    def train(i):
        found[i] = trained(dataset, dataset, shapes[i])

    threads = [threading.Thread(target=train, args=(i,)) for i in range(len(shapes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    test = forms(given)["tuples with labels"]
    for parameters, sizes in zip(found, shapes):
        assert same_bits(parameters, trained(list(given), test, sizes))


def test_labels_serve_networks_of_any_number_of_outputs_that_has_them(capsys):
    given = examples()
    x, _, labels = arrays(given)
    dataset = Dataset((x, labels))
    for n_out in (3, 4, 17):
        sizes = [4, 5, n_out]
        net = Network(sizes, seed=2)
        assert net.evaluate(dataset) == net.evaluate((x, labels))
        assert same_bits(trained(dataset, sizes=sizes), trained((x, labels), sizes=sizes))


@each_form
def test_an_evaluation_of_the_users_own_sees_the_dataset(form, capsys):
    dataset = Dataset(forms(examples())[form])
    net, plain = Network(SIZES, seed=1), Network(SIZES, seed=1)
    net.feedforward = lambda a: Network.feedforward(net, a)
    assert net.evaluate(dataset) == plain.evaluate(dataset)
    seen = []
    net.evaluate = lambda test_data: seen.append(test_data) or 1
    net.SGD(dataset, 1, 7, 0.5, test_data=dataset)
    assert seen == [dataset]


def test_update_mini_batch_takes_one():
    given = examples(9)
    net, plain = Network(SIZES, seed=1), Network(SIZES, seed=1)
    net.update_mini_batch(Dataset(given), 0.5)
    plain.update_mini_batch(given, 0.5)
    assert same_bits(parameters_of(net), parameters_of(plain))


@each_form
@each_density
@each_dtype
def test_pickles_and_copies_are_equal(form, density, dtype, capsys):
    dataset = Dataset(forms(examples(density=density))[form], dtype=dtype)
    expected = trained(dataset, dataset, dtype=dtype)
    for other in (pickle.loads(pickle.dumps(dataset)), copy.deepcopy(dataset)):
        assert repr(other) == repr(dataset) and other.nbytes == dataset.nbytes
        assert same_bits(trained(other, other, dtype=dtype), expected)


def test_a_dataset_of_a_dataset_converts_it(capsys):
    given = examples()
    small = Dataset(Dataset(given), dtype=np.float32)
    expected = trained(Dataset(given, dtype=np.float32), dtype=np.float32)
    assert same_bits(trained(small, dtype=np.float32), expected)


def test_repr_says_what_it_holds():
    x = np.zeros((2000, 10))
    x[:, :2] = 1
    assert repr(Dataset((x, np.ones((2000, 3))))) == (
        "<bpnet.Dataset: 2,000 examples, 10 inputs, 3 outputs, float64, CSR, 20% "
        "nonzero, 0.1 MB>"
    )
    assert repr(Dataset((x + 1, np.ones(2000)), dtype="f4")) == (
        "<bpnet.Dataset: 2,000 examples, 10 inputs, labels, float32, dense, 100% "
        "nonzero, 0.1 MB>"
    )


def test_nbytes_counts_every_array():
    x, y, labels = arrays(examples(density=SPARSE))
    nonzeros = np.count_nonzero(x)
    csr = 8 * (N + 1) + (2 + 1) * nonzeros + 8 * len(np.unique(x[x != 0]))
    assert Dataset((x, labels)).nbytes == csr + labels.nbytes
    assert Dataset((x, y)).nbytes == csr + y.nbytes
    assert Dataset((x, y), weights=labels + 1.0).nbytes == csr + y.nbytes + 8 * N


def test_building_one_draws_nothing_and_leaves_the_list():
    given = examples()
    before, state = list(given), random.getstate()
    Dataset(given)
    assert random.getstate() == state
    assert all(a is b for a, b in zip(given, before, strict=True))


@each_density
def test_its_memory_is_given_back_with_the_last_reference(density, capsys):
    gc.disable()
    try:
        dataset = Dataset(examples(density=density))
        trained(dataset, dataset)
        gone = weakref.ref(dataset)
        del dataset
        assert gone() is None
    finally:
        gc.enable()


# One output


@pytest.mark.parametrize("form", ["list", "arrays", "Dataset"])
@each_dtype
def test_labels_0_and_1_are_the_outputs_of_a_network_of_one(form, dtype, capsys):
    x, _, labels = arrays(examples(sizes=[4, 2]))
    given = {
        "list": [(row[:, None], int(label)) for row, label in zip(x, labels)],
        "arrays": (x, labels),
        "Dataset": Dataset((x, labels), dtype=dtype),
    }[form]
    for by_hand in (False, True):
        found = []
        for each in (given, (x, labels[:, None] * 1.0)):
            net = Network([4, 5, 1], dtype=dtype, seed=1)
            if by_hand:
                net.backprop = lambda *args, net=net: Network.backprop(net, *args)
            net.SGD(list(each) if isinstance(each, list) else each, 3, 7, 0.5)
            found.append(parameters_of(net))
        assert same_bits(*found)


def test_one_output_counts_as_1_where_it_is_more_than_a_half():
    engine, x = bpcore.engine("float64"), np.ones((5, 4))
    y = np.array([[0.0], [0.5], [np.nextafter(0.5, 1)], [1.0], [-3.0]])
    wanted = [0, 0, 1, 1, 0]
    columns = [(row[:, None], target[:, None]) for row, target in zip(x, y)]
    for given in (Dataset((x, y)), data.accept("x", (x, y)), data.accept("x", columns)):
        assert given.labels("x", 1).tolist() == wanted
        assert given.labels("x", 1, by_argmax=True).tolist() == [0, -1, -1, -1, -1]
        assert given.pack("x", [4, 1], engine, outputs=True, labels=True).sparse is False
    assert data.accept("x", (x, np.arange(5))).labels("x", 1, by_argmax=True).tolist() == [
        *(0, -1, -1, -1, -1)
    ]


@pytest.mark.parametrize("wrong", [2, -1, 1.5])
@pytest.mark.parametrize("cost", [network2.CrossEntropyCost, network2.QuadraticCost])
def test_other_labels_are_none_of_one_output(wrong, cost):
    net, x = network2.Network([4, 1], cost, seed=1), np.ones((3, 4))
    y = np.array([0, 1, wrong])
    message = (
        r"label must be 0 or 1 for one output, got \S+: outputs that are no labels have "
        r"shape [(]n, 1[)], use y\.reshape[(]-1, 1[)]$"
    )
    for given in ((x, y), list(zip(x[:, :, None], y.tolist()))):
        with pytest.raises(ValueError, match=rf"^training_data\S*\[2\]: {message}"):
            net.SGD(given, 1, 1, 0.5)
        with pytest.raises(ValueError, match=rf"^data\S*\[2\]: {message}"):
            net.total_cost(given, 0.0)
        net.total_cost((x, y[:2][[0, 1, 1], None]), 0.0)


def test_outputs_of_any_size_and_sign_need_no_labels():
    engine, y = bpcore.engine("float64"), np.array([[-1e300, 7.0], [0.25, -3.0]])
    for given in (Dataset((np.ones((2, 4)), y)), data.accept("x", (np.ones((2, 4)), y))):
        given.pack("x", [4, 2], engine, outputs=True)
        assert [target.ravel().tolist() for _, target in given.pairs(2)] == y.tolist()


def test_a_list_of_labels_trains_as_other_forms_of_them(capsys):
    given = examples()
    expected = trained(list(given))
    labels = forms(given)["tuples with labels"]
    kept = list(labels)
    assert same_bits(trained(labels), expected)
    assert sorted(map(id, labels)) == sorted(map(id, kept))  # shuffled, and the caller's


# Weights


def test_weights_are_held_in_a_copy_and_packed():
    given, weights = examples(5), np.array([0, 1, 2.5, 3, 4])
    dataset = Dataset(given, weights=weights)
    weights[:] = -1
    for each in (dataset, pickle.loads(pickle.dumps(dataset)), Dataset(dataset)):
        assert each.weights.tolist() == [0, 1, 2.5, 3, 4]
        each.pack("x", SIZES, bpcore.engine("float64"), outputs=True)
    assert Dataset(dataset, dtype="float32").weights.dtype == np.float32
    assert Dataset(dataset, weights=[1] * 5).weights.tolist() == [1.0] * 5
    assert Dataset(given).weights is None
    assert "3 outputs, weights, float64" in repr(dataset)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (
            [1, 2],
            ValueError,
            "weights must have shape (3,), one for each example, got shape (2,)",
        ),
        (1.0, ValueError, "weights must have shape (3,), one for each example, got shape ()"),
        (
            ["1"] * 3,
            TypeError,
            "weights must be an array of real numbers, got dtype <U1: float() reads numbers, "
            "np.unique(y, return_inverse=True)[1] numbers classes",
        ),
        ([1, np.nan, 1], ValueError, "weights must be finite in float32, got nan"),
        ([1, 1e39, 1], ValueError, "weights must be finite in float32, got inf"),
        ([1, 2, -3], ValueError, "weights[2] must be at least 0, got -3"),
        ([0, 0, 0], ValueError, "weights must not all be 0"),
        ([0, 1e-300, 0], ValueError, "weights must not all be 0"),
    ],
)
def test_weights_that_cannot_be_are_refused(weights, error, message):
    with pytest.raises(error) as raised:
        Dataset(examples(3), dtype="float32", weights=weights)
    assert str(raised.value) == message


# Pickles


@each_form
@each_density
def test_a_pickle_is_of_what_is_held(form, density):
    dataset = Dataset(forms(examples(1000, density, [100, 3]))[form])
    assert dataset.nbytes < len(pickle.dumps(dataset)) < dataset.nbytes + 2000


def changed(i, value, density=SPARSE):
    """Return what a Dataset is restored from, with one of it changed."""
    restore, held = Dataset(examples(density=density), weights=np.ones(N)).__reduce__()
    csr = held[1]
    if callable(value):
        value = value(held[i] if i != 1 or density == 1 else csr)
    return lambda: restore(*held[:i], value, *held[i + 1 :])


@pytest.mark.parametrize(
    ("i", "value", "density", "message"),
    [
        (0, "float32", SPARSE, "values must be an array of float32, got float64"),
        (0, "int8", SPARSE, "dtype must be float32 or float64, got 'int8'"),
        (1, lambda csr: (3, *csr[1:]), SPARSE, "columns must ascend in each row and be less"),
        (1, lambda csr: (csr[0], csr[1] + 1, *csr[2:]), SPARSE, "offsets must ascend from 0"),
        (1, lambda csr: (*csr[:3], csr[3] * np.nan, csr[4]), SPARSE, "x must be finite in"),
        (1, lambda x: x * np.inf, 1.0, "x must be finite in float64, got"),
        (1, lambda x: x[:0], 1.0, "y must have shape (0, 3), got (150, 3)"),
        (
            1,
            lambda x: x[:, :0].copy(),
            1.0,
            "a Dataset must hold examples, got shapes (150, 0)",
        ),
        (1, lambda x: x.T, 1.0, "x must be C-contiguous"),
        (2, lambda y: y[:-1], SPARSE, "y must have shape (150, 3), got (149, 3)"),
        (2, lambda y: y * np.nan, SPARSE, "y must be finite in float64, got nan"),
        (2, lambda y: y.argmax(1) - 1, SPARSE, "labels must be in [0, "),
        (2, lambda y: y.argmax(1)[1:], SPARSE, "labels must have shape (150,), got (149,)"),
        (2, lambda y: y[:, 0], SPARSE, "labels must be an array of int64, got float64"),
        (3, lambda weights: weights[1:], SPARSE, "weights must have shape (150,), one for"),
        (3, lambda weights: -weights, SPARSE, "weights[0] must be at least 0, got -1.0"),
    ],
)
def test_a_pickle_is_not_trusted(i, value, density, message):
    with np.errstate(invalid="ignore"), pytest.raises((TypeError, ValueError)) as raised:
        changed(i, value, density)()
    assert str(raised.value).startswith(message)
