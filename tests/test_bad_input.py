"""Bad input: one clear sentence, and nothing changed."""

import copy
import random

import numpy as np
import pytest

from bpnet import Network

GOOD_X, GOOD_Y = np.full((4, 1), 0.5), np.array([[1.0], [0.0], [0.0]])


def good(n=5):
    rng = np.random.RandomState(0)
    return [(rng.rand(4, 1), np.eye(3)[:, [i % 3]]) for i in range(n)]


def state():
    return random.getstate(), np.random.get_state()[1].tolist(), np.random.get_state()[2]


def refused(call, error, message, net=None, data=None, capsys=None):
    """Assert that call raises just this, and changes nothing that a user could see."""
    before = copy.deepcopy(vars(net)) if net else None
    parameters = [*net.weights, *net.biases] if net else []
    order = list(data) if isinstance(data, list) else None
    draws = state()
    with pytest.raises(error) as raised:
        call()
    assert type(raised.value) is error
    assert str(raised.value) == message
    assert state() == draws
    if net:
        assert all(a is b for a, b in zip(parameters, [*net.weights, *net.biases]))
        for name in ("weights", "biases"):
            assert all(map(np.array_equal, before[name], getattr(net, name)))
        assert list(vars(net)) == list(before)
    if order is not None:
        assert len(order) == len(data)
        assert all(a is b for a, b in zip(order, data))
    if capsys:
        assert capsys.readouterr().out == ""


# Network


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ([], ValueError, "sizes must list two layers or more, got []"),
        ([3], ValueError, "sizes must list two layers or more, got [3]"),
        ([0, 3], ValueError, "sizes[0] must be at least 1, got 0"),
        ([3, -2], ValueError, "sizes[1] must be at least 1, got -2"),
        ([3, 2.0], TypeError, "sizes[1] must be an integer, got 2.0"),
        (["3", 2], TypeError, "sizes[0] must be an integer, got '3'"),
        ([3, None], TypeError, "sizes[1] must be an integer, got None"),
        (7, TypeError, "sizes must list the neurons of each layer, got 7"),
        (None, TypeError, "sizes must list the neurons of each layer, got None"),
        (
            [10**10, 10**10],
            MemoryError,
            "sizes [10000000000, 10000000000] make a network of 100,000,000,010,000,000,000 "
            "parameters, which do not fit in memory",
        ),
        (
            [10**6, 10**7],
            MemoryError,
            "sizes [1000000, 10000000] make a network of 10,000,010,000,000 parameters, which "
            "do not fit in memory",
        ),
        ([2**64, 2], ValueError, f"sizes[0] must be at most {2**63 - 1}, got {2**64}"),
    ],
)
def test_sizes(sizes, error, message):
    refused(lambda: Network(sizes), error, message)


def test_sizes_at_the_edge_of_the_address_space_do_not_overflow():
    for exponent in range(28, 63):
        with pytest.raises(MemoryError, match="do not fit in memory"):
            Network([2**exponent, 2**exponent])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dtype": "int32"}, ValueError, "dtype must be float32 or float64, got 'int32'"),
        ({"dtype": "f2"}, ValueError, "dtype must be float32 or float64, got 'f2'"),
        ({"dtype": None}, ValueError, "dtype must be float32 or float64, got None"),
        ({"dtype": "real"}, ValueError, "dtype must be float32 or float64, got 'real'"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"seed": 2**32}, ValueError, "seed must be at most 4294967295, got 4294967296"),
        ({"seed": "1"}, TypeError, "seed must be an integer, got '1'"),
    ],
)
def test_options_of_a_network(options, error, message):
    refused(lambda: Network([3, 2], **options), error, message)


# x and y

RAGGED = [[1.0, 2.0], [3.0], [4.0], [5.0]]
BAD_X = {
    "flat": (
        np.ones(4),
        ValueError,
        "x has shape (4,), expected (4, 1): use x.reshape(-1, 1)",
    ),
    "row": (np.ones((1, 4)), ValueError, "x has shape (1, 4), expected (4, 1)"),
    "short": (np.ones((3, 1)), ValueError, "x has shape (3, 1), expected (4, 1)"),
    "number": (1.0, ValueError, "x has shape (), expected (4, 1)"),
    "cube": (np.ones((4, 1, 1)), ValueError, "x has shape (4, 1, 1), expected (4, 1)"),
    "empty": (np.ones((0, 1)), ValueError, "x has shape (0, 1), expected (4, 1)"),
    "complex": (
        np.ones((4, 1), complex),
        TypeError,
        "x must be an array of real numbers, got dtype complex128",
    ),
    "words": (
        np.full((4, 1), "one"),
        TypeError,
        "x must be an array of real numbers, got dtype <U3",
    ),
    "dates": (
        np.full((4, 1), np.datetime64("2020-01-01")),
        TypeError,
        "x must be an array of real numbers, got dtype datetime64[D]",
    ),
    "objects": (
        np.full((4, 1), object()),
        TypeError,
        "x must be an array of real numbers, got ndarray",
    ),
    "None": (None, TypeError, "x must be an array of real numbers, got NoneType"),
    "ragged": (RAGGED, TypeError, "x must be an array of real numbers, got list"),
    "NaN": (
        np.array([[1.0], [np.nan], [0], [0]]),
        ValueError,
        "x must be finite in float64, got nan",
    ),
    "infinity": (
        np.array([[1.0], [0], [-np.inf], [0]]),
        ValueError,
        "x must be finite in float64, got -inf",
    ),
}


@pytest.mark.parametrize("name", BAD_X)
def test_x(name, capsys):
    x, error, message = BAD_X[name]
    net = Network([4, 3], seed=1)
    refused(lambda: net.feedforward(x), error, message, net)
    refused(lambda: net.backprop(x, GOOD_Y), error, message, net)
    for position in (0, 3):
        data = good()
        data[position] = (x, GOOD_Y)
        where = f"[{position}]: "
        refused(
            lambda: net.SGD(data, 1, 2, 0.1),
            error,
            f"training_data{where}{message}",
            net,
            data,
            capsys,
        )
        refused(
            lambda: net.update_mini_batch(data, 0.1), error, f"mini_batch{where}{message}", net
        )
        tests = [(x, 0) for x, _ in good()]
        tests[position] = (x, 0)
        refused(lambda: net.evaluate(tests), error, f"test_data{where}{message}", net)
        refused(
            lambda: net.SGD(good(), 1, 2, 0.1, test_data=tests),
            error,
            f"test_data{where}{message}",
            net,
            data,
            capsys,
        )


@pytest.mark.parametrize("name", BAD_X)
def test_y(name, capsys):
    bad, error, message = BAD_X[name]
    net = Network([3, 4], seed=1)  # y is what x is above
    x, message = np.ones((3, 1)), "y" + message[1:].replace("use x.", "use y.")
    refused(lambda: net.backprop(x, bad), error, message, net)
    data = [(x, np.ones((4, 1))), (x, bad)]
    refused(
        lambda: net.SGD(data, 1, 2, 0.1),
        error,
        f"training_data[1]: {message}",
        net,
        data,
        capsys,
    )


def test_x_that_overflows_in_float32():
    net = Network([4, 3], dtype=np.float32, seed=1)
    message = "x must be finite in float32, got inf"
    refused(lambda: net.feedforward(1e39 * GOOD_X), ValueError, message, net)
    data = [*good(), (1e39 * GOOD_X, GOOD_Y)]
    refused(
        lambda: net.SGD(data, 1, 2, 0.1), ValueError, f"training_data[5]: {message}", net, data
    )


def test_a_label_among_ys():
    net, data = Network([4, 3], seed=1), [(GOOD_X, GOOD_Y), (GOOD_X, 2)]
    message = "training_data[1]: y has shape (), expected (3, 1)"
    refused(lambda: net.SGD(data, 1, 2, 0.1), ValueError, message, net, data)


# Examples


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([], ValueError, "training_data must hold at least one example, got none"),
        (iter([]), ValueError, "training_data must hold at least one example, got none"),
        (
            (np.ones((0, 4)), np.ones((0, 3))),
            ValueError,
            "training_data must hold at least one example, got none",
        ),
        (
            None,
            TypeError,
            "training_data must be a list of (x, y) or a pair of arrays (X, Y), got NoneType",
        ),
        (
            5,
            TypeError,
            "training_data must be a list of (x, y) or a pair of arrays (X, Y), got int",
        ),
        ([(GOOD_X, GOOD_Y), 5], TypeError, "training_data[1] must be a pair (x, y), got int"),
        (
            [(GOOD_X, GOOD_Y), (GOOD_X,)],
            TypeError,
            "training_data[1] must be a pair (x, y), got tuple",
        ),
        (
            (np.ones((2, 5)), np.ones((2, 3))),
            ValueError,
            "training_data[0] has shape (2, 5), expected (2, 4)",
        ),
        (
            (np.ones((2, 4)), np.ones((2, 2))),
            ValueError,
            "training_data[1] has shape (2, 2), expected (2, 3)",
        ),
        (
            (np.ones((2, 4)), np.ones((3, 3))),
            ValueError,
            "training_data must be arrays (X, Y) of as many rows, got shapes (2, 4) and (3, 3)",
        ),
        (
            (np.ones((2, 4)), np.array([0, 3])),
            ValueError,
            "training_data[1][1]: label must be an integer in [0, 3), got 3",
        ),
        (
            (np.ones((2, 4)), np.array([0.5, 1])),
            ValueError,
            "training_data[1][0]: label must be an integer in [0, 3), got 0.5",
        ),
        (
            (np.full((2, 4), np.nan), np.array([0, 1])),
            ValueError,
            "training_data[0] must be finite in float64, got nan",
        ),
        (
            (np.ones((2, 4)), np.full((2, 3), np.inf)),
            ValueError,
            "training_data[1] must be finite in float64, got inf",
        ),
    ],
)
def test_training_data(data, error, message, capsys):
    net = Network([4, 3], seed=1)
    refused(lambda: net.SGD(data, 1, 2, 0.1), error, message, net, data, capsys)


def test_an_empty_mini_batch():
    net = Network([4, 3], seed=1)
    message = "mini_batch must hold at least one example, got none"
    refused(lambda: net.update_mini_batch([], 0.1), ValueError, message, net)


@pytest.mark.parametrize(
    ("label", "error", "message"),
    [
        (3, ValueError, "test_data[1]: label must be an integer in [0, 3), got 3"),
        (-1, ValueError, "test_data[1]: label must be an integer in [0, 3), got -1"),
        (2**62, ValueError, f"test_data[1]: label must be an integer in [0, 3), got {2**62}"),
        (1.5, ValueError, "test_data[1]: label must be an integer in [0, 3), got 1.5"),
        (np.nan, ValueError, "test_data[1]: label must be an integer in [0, 3), got nan"),
        (np.inf, ValueError, "test_data[1]: label must be an integer in [0, 3), got inf"),
        (1j, TypeError, "test_data[1]: label must be an integer in [0, 3), got 1j"),
        (None, TypeError, "test_data[1]: label must be an integer in [0, 3), got None"),
        (
            np.ones((2, 1)),
            ValueError,
            "test_data[1] must have labels, or vectors of 3 outputs, got shape (1, 2, 1)",
        ),
    ],
)
def test_labels(label, error, message, capsys):
    net, tests = Network([4, 3], seed=1), [(GOOD_X, 0), (GOOD_X, label)]
    data = good()
    refused(lambda: net.evaluate(tests), error, message, net)
    refused(
        lambda: net.SGD(data, 1, 2, 0.1, test_data=tests), error, message, net, data, capsys
    )


@pytest.mark.parametrize("hook", ["evaluate", "backprop"])
def test_hooked_training_refuses_before_it_starts(hook, capsys):
    net, data = Network([4, 3], seed=1), good()
    original = getattr(net, hook)
    setattr(net, hook, lambda *arguments: original(*arguments))
    message = "test_data[0]: label must be an integer in [0, 3), got 9"
    refused(
        lambda: net.SGD(data, 1, 2, 0.1, test_data=[(GOOD_X, 9)]),
        ValueError,
        message,
        None,
        data,
        capsys,
    )


# Numbers


@pytest.mark.parametrize("name", ["epochs", "mini_batch_size", "n_threads"])
def test_counts(name, capsys):
    net, data = Network([4, 3], seed=1), good()
    least = 0 if name == "epochs" else 1
    for value, error, message in (
        (least - 1, ValueError, f"{name} must be at least {least}, got {least - 1}"),
        (-(10**30), ValueError, f"{name} must be at least {least}, got {-(10**30)}"),
        (2.0, TypeError, f"{name} must be an integer, got 2.0"),
        ("2", TypeError, f"{name} must be an integer, got '2'"),
        (None, TypeError, f"{name} must be an integer, got None"),
        (np.nan, TypeError, f"{name} must be an integer, got nan"),
    ):
        arguments = {"epochs": 1, "mini_batch_size": 2, "eta": 0.1} | {name: value}
        refused(lambda a=arguments: net.SGD(data, **a), error, message, net, data, capsys)


@pytest.mark.parametrize(
    ("eta", "error", "message"),
    [
        (float("nan"), ValueError, "eta must be finite in float64, got nan"),
        (float("inf"), ValueError, "eta must be finite in float64, got inf"),
        (-float("inf"), ValueError, "eta must be finite in float64, got -inf"),
        (10**400, ValueError, f"eta must be finite in float64, got {10**400!r}"),
        ("3.0", TypeError, "eta must be a number, got '3.0'"),
        (b"3", TypeError, "eta must be a number, got b'3'"),
        (None, TypeError, "eta must be a number, got None"),
        (1j, TypeError, "eta must be a number, got 1j"),
        ([3.0], TypeError, "eta must be a number, got [3.0]"),
    ],
)
def test_eta(eta, error, message, capsys):
    net, data = Network([4, 3], seed=1), good()
    refused(lambda: net.SGD(data, 1, 2, eta), error, message, net, data, capsys)
    refused(lambda: net.update_mini_batch(data, eta), error, message, net)


def test_eta_that_overflows_in_float32():
    net = Network([4, 3], dtype=np.float32, seed=1)
    message = "eta must be finite in float32, got 1e+39"
    refused(lambda: net.SGD(good(), 1, 2, 1e39), ValueError, message, net)


# Parameters that a user set


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"weights": [np.ones((3, 4))]},
            ValueError,
            "weights must hold 2 arrays to match sizes [4, 3, 2], got 1",
        ),
        (
            {"weights": [np.ones((3, 5)), np.ones((2, 3))]},
            ValueError,
            "weights[0] has shape (3, 5), expected (3, 4) to match sizes [4, 3, 2]",
        ),
        (
            {"biases": [np.ones(3), np.ones((2, 1))]},
            ValueError,
            "biases[0] has shape (3,), expected (3, 1) to match sizes [4, 3, 2]",
        ),
        (
            {"biases": [np.ones((3, 1)), np.full((2, 1), "b")]},
            TypeError,
            "biases[1] must be an array of real numbers, got dtype <U1",
        ),
        (
            {"weights": None},
            TypeError,
            "weights must be a list of 2 arrays, got NoneType",
        ),
        ({"sizes": [4, 0, 2]}, ValueError, "sizes[1] must be at least 1, got 0"),
        (
            {"sizes": [4, 5, 2]},
            ValueError,
            "biases[0] has shape (3, 1), expected (5, 1) to match sizes [4, 5, 2]",
        ),
    ],
)
def test_parameters(change, error, message, capsys):
    net = Network([4, 3, 2])
    vars(net).update(change)
    x, y = GOOD_X, np.ones((2, 1))
    for call in (
        lambda: net.feedforward(x),
        lambda: net.backprop(x, y),
        lambda: net.evaluate([(x, 1)]),
        lambda: net.update_mini_batch([(x, y)], 0.1),
        lambda: net.SGD([(x, y)], 1, 1, 0.1),
    ):
        refused(call, error, message, capsys=capsys)


def test_nan_in_weights_is_the_users_and_stops_training():
    net = Network([4, 3], seed=1)
    net.weights[0][1, 2] = np.nan
    assert np.isnan(net.feedforward(GOOD_X)[1, 0])
    assert net.evaluate([(GOOD_X, 1)]) == 1  # numpy.argmax: the first NaN is the largest
    before = net.biases, net.weights
    with pytest.raises(FloatingPointError, match=r"diverged in epoch 0 at eta 0\.1: there"):
        net.SGD(good(), 2, 2, 0.1)
    assert all(map(np.array_equal, before[0], net.biases))
