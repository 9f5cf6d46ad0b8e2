"""bpnet.Dataset: what the same examples in a list give, packed once."""

import copy
import pickle
import random
import threading

import nets
import numpy as np
import pytest
from conftest import parameters_of
from engines import same_bits
from nets import as_pair, each_dtype

from bpnet import Dataset, Network

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
    assert Dataset((x, y)).nbytes == csr + labels.nbytes + y.nbytes


def test_building_one_draws_nothing_and_leaves_the_list():
    given = examples()
    before, state = list(given), random.getstate()
    Dataset(given)
    assert random.getstate() == state
    assert all(a is b for a, b in zip(given, before, strict=True))
