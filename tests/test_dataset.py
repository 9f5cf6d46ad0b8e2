"""bpnet.Dataset: what the same examples in a list give, packed once."""

import copy
import pickle
import random
import threading

import numpy as np
import pytest
from conftest import labelled, pairs, parameters_of
from engines import same_bits

import bpcore
from bpnet import Dataset, Network, data

SIZES = [4, 5, 3]
N = 150  # more than are unpacked at a time
SPARSE = 0.2

each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def examples(n=N, density=1.0, sizes=SIZES):
    """Return n tuples (x, y), y one-hot, of which about this share of x is nonzero."""
    draw = np.random.RandomState(0)
    return [
        (
            draw.randn(sizes[0], 1) * (draw.rand(sizes[0], 1) < density),
            np.eye(sizes[-1])[:, [draw.randint(sizes[-1])]],
        )
        for _ in range(n)
    ]


def arrays(pairs):
    """Return (X, Y, labels) of tuples (x, y)."""
    x = np.concatenate([x.T for x, _ in pairs])
    y = np.concatenate([y.T for _, y in pairs])
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
def test_sgd_gives_the_bits_and_the_lines_of_the_list(form, density, dtype, capsys):
    given = examples(density=density)
    expected = trained(list(given), forms(given)["tuples with labels"], dtype=dtype)
    lines = capsys.readouterr().out
    dataset = Dataset(forms(given)[form], dtype=dtype)
    assert same_bits(trained(dataset, dataset, dtype=dtype), expected)
    assert capsys.readouterr().out == lines and lines.count("/ 150") == 3


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


def test_a_network_of_one_output_counts_the_labels_that_are_zero():
    x = np.ones((5, 4))
    labels = np.array([0, 1, 0, 7, 0])
    net = Network([4, 1], seed=1)
    assert net.evaluate(Dataset((x, labels))) == 3
    assert net.evaluate(Dataset((x, labels[:, None]))) == 3
    net.feedforward = lambda a: np.zeros((1, 1))
    assert (
        net.evaluate(Dataset((x, labels))) == net.evaluate(Dataset((x, labels[:, None]))) == 3
    )


@pytest.mark.parametrize("step", ["backprop", "update_mini_batch", "cost_derivative"])
@each_form
def test_a_step_of_the_users_own_is_called(step, form, capsys):
    given = examples()
    x, y, _ = arrays(given)
    found = []
    for source in (Dataset(forms(given)[form]), (x, y)):
        net = Network(SIZES, seed=1)
        calls = []
        original = getattr(net, step)
        setattr(net, step, lambda *args, f=original, c=calls: (c.append(step), f(*args))[1])
        net.SGD(source, 2, 7, 0.5, test_data=source)
        assert calls
        found.append((parameters_of(net), capsys.readouterr().out))
    assert same_bits(found[0][0], found[1][0]) and found[0][1] == found[1][1]


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


def test_nothing_is_packed_again(capsys):
    """What the core is given are the Dataset's inputs, in their one place in memory."""
    engine = bpcore.engine("float64")
    with_outputs = Dataset(examples())
    packed = data.training("training_data", with_outputs, SIZES, engine)
    assert packed is data.labelled("test_data", with_outputs, SIZES, engine)
    x, _, labels = arrays(examples(2000, sizes=[500, 3]))
    with_labels = Dataset((x, labels))
    assert with_labels.nbytes == x.nbytes + labels.nbytes
    held = [data.training("training_data", with_labels, [500, 3], engine) for _ in range(3)]
    assert {each.rows(0, 1).tobytes() for each in held} == {x[0].tobytes()}
    assert all(each.nbytes == x.nbytes for each in held)


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


# What is refused


X, Y = np.full((4, 1), 0.5), np.eye(3)[:, [1]]
REFUSED = [
    ([], ValueError, "examples must hold at least one example, got none"),
    (
        5,
        TypeError,
        "examples must be a list of (x, y) or a pair of arrays (X, Y), got int",
    ),
    ([(X, Y), 5], TypeError, "examples[1] must be a pair (x, y), got int"),
    (
        [(X[:, 0], Y)],
        ValueError,
        "examples[0]: x has shape (4,), expected (4, 1): use x.reshape(-1, 1)",
    ),
    ([(X, Y), (X[:3], Y)], ValueError, "examples[1]: x has shape (3, 1), expected (4, 1)"),
    ([(X[:0], Y)], ValueError, "examples[0]: x has shape (0, 1), expected (1, 1)"),
    ([(X, Y), (X, Y[:2])], ValueError, "examples[1]: y has shape (2, 1), expected (3, 1)"),
    (
        [(X, [[1], [2, 3]])],
        TypeError,
        "examples[0]: y must be an array of real numbers, got list",
    ),
    ([(X, Y), (X, 1)], ValueError, "examples[1]: y has shape (), expected (3, 1)"),
    (
        [(X, Y), (X, np.nan * Y)],
        ValueError,
        "examples[1]: y must be finite in float64, got nan",
    ),
    (
        [(X, Y), (X * np.inf, Y)],
        ValueError,
        "examples[1]: x must be finite in float64, got inf",
    ),
    (
        [(X, 1), (X, -1)],
        ValueError,
        "examples[1]: label must be an integer of at least 0, got -1",
    ),
    (
        [(X, 1), (X, 1.5)],
        ValueError,
        "examples[1]: label must be an integer of at least 0, got 1.5",
    ),
    (
        [(X, 1), (X, None)],
        TypeError,
        "examples[1]: label must be an integer of at least 0, got None",
    ),
    ((X[0], Y), ValueError, "examples[0] must have shape (n, n_in), got shape (1,)"),
    ((X[:, :0], Y), ValueError, "examples[0] must have shape (n, n_in), got shape (4, 0)"),
    (
        (X, Y),
        ValueError,
        "examples must be arrays (X, Y) of as many rows, got shapes (4, 1) and (3, 1)",
    ),
    (
        (X, np.ones((4, 2, 1))),
        ValueError,
        "examples[1] must have shape (n, n_out) or (n,), got shape (4, 2, 1)",
    ),
    (
        (X, np.array([0, 1, 2, -2])),
        ValueError,
        "examples[1][3]: label must be an integer of at least 0, got -2",
    ),
    ((X * np.inf, X), ValueError, "examples[0] must be finite in float64, got inf"),
    ((X, X * np.inf), ValueError, "examples[1] must be finite in float64, got inf"),
]


@pytest.mark.parametrize(("given", "error", "message"), REFUSED)
def test_what_is_no_examples_is_refused_in_a_sentence(given, error, message):
    with pytest.raises(error) as raised:
        Dataset(given)
    assert type(raised.value) is error and str(raised.value) == message


def test_dtype_is_refused_as_a_networks_is():
    with pytest.raises(ValueError, match=r"^dtype must be float32 or float64, got 'int8'$"):
        Dataset(examples(), dtype="int8")


MISFITS = [
    (
        {"dtype": "float32"},
        pairs(3, 4, 3),
        "{} must be a Dataset of the network's dtype, float64, got float32",
    ),
    (
        {},
        pairs(3, 5, 3),
        "{} has 5 inputs and 3 outputs, expected 4 and 3 to match sizes [4, 5, 3]",
    ),
    (
        {},
        pairs(3, 4, 2),
        "{} has 4 inputs and 2 outputs, expected 4 and 3 to match sizes [4, 5, 3]",
    ),
    (
        {},
        labelled(3, 5, 3),
        "{} has 5 inputs, expected 4 to match sizes [4, 5, 3]",
    ),
    (
        {},
        [(np.ones((4, 1)), label) for label in (0, 2, 3)],
        "{}[2]: label must be an integer in [0, 3), got 3",
    ),
]


@pytest.mark.parametrize(("options", "given", "message"), MISFITS)
def test_a_dataset_that_does_not_fit_is_refused(options, given, message, nothing_changes):
    net, dataset, good = Network(SIZES, seed=1), Dataset(given, **options), pairs(3, 4, 3)
    for name, call in (
        ("training_data", lambda: net.SGD(dataset, 1, 2, 0.5)),
        ("mini_batch", lambda: net.update_mini_batch(dataset, 0.5)),
        ("test_data", lambda: net.evaluate(dataset)),
        ("test_data", lambda: net.SGD(good, 1, 2, 0.5, test_data=dataset)),
    ):
        with nothing_changes(net, good), pytest.raises(ValueError) as raised:
            call()
        assert str(raised.value) == message.format(name)


def test_labels_do_not_train_a_network_of_one_output():
    message = (
        "^training_data must have outputs [(]n, 1[)] to train a network of one output, "
        "got labels$"
    )
    with pytest.raises(ValueError, match=message):
        Network([4, 1]).SGD(Dataset((np.ones((3, 4)), np.zeros(3))), 1, 1, 0.5)
