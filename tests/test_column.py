"""An example on its way through the book's own arrays: to the bits of a network that loads."""

import numpy as np
import pytest
from engines import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import FAST, each_dtype, examples, make, step

import bpcore
from bpcore import Column, Data, Net, Order
from bpnet import network, reference

ENGINES = bpcore.engines()
each_engine = pytest.mark.parametrize("engine", ENGINES, ids=repr)


def drawn(engine, sizes, seed=0, scale=1.0):
    """Return biases, weights and a column x and y for them."""
    draw, dtype = np.random.RandomState(seed), engine.dtype
    biases = [draw.randn(n, 1).astype(dtype) for n in sizes[1:]]
    weights = [(scale * draw.randn(n, k)).astype(dtype) for k, n in zip(sizes, sizes[1:])]
    x = (draw.randn(sizes[0], 1) * (draw.rand(sizes[0], 1) < 0.7)).astype(dtype)
    y = draw.rand(sizes[-1], 1).astype(dtype)
    return biases, weights, x, y / y.sum()


def loaded(engine, sizes, biases, weights, x, y, hidden, output):
    """Return (outputs, gradient, parameters after a step) by way of a Net."""
    net = Net(engine, sizes, 1, hidden=hidden, output=output)
    net.load(biases, weights)
    data = Data(engine, np.ascontiguousarray(x.T), sizes[-1], y=np.ascontiguousarray(y.T))
    found = net.feedforward(data).T, net.backprop(data)
    net.sgd(data, Order(1), 1, 0.5)
    return [*found, net.store()]


@each_engine
@pytest.mark.parametrize("hidden", reference.ACTIVATIONS)
@pytest.mark.parametrize("output", reference.OUTPUTS)
@settings(deadline=None, max_examples=12)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=4),
    seed=st.integers(0, 99),
    scale=st.sampled_from([1.0, 1e-3, 1e-170, 30.0]),
)
def test_it_has_the_bits_of_a_network_that_loads(engine, hidden, output, sizes, seed, scale):
    if sizes[-1] < engine.outputs[output]:
        sizes[-1] = 2
    biases, weights, x, y = drawn(engine, sizes, seed, scale)
    expected = loaded(engine, sizes, biases, weights, x, y, hidden, output)

    def column():
        return Column(engine, hidden, output, sizes, biases, weights, x)

    there = column()
    assert there.ready and there.forward()
    assert same_bits([there.a], [expected[0]])
    assert same_bits(sum(there.backward(y), []), sum(expected[1], []))
    assert same_bits(sum(column().descend(y, 0.5), []), sum(expected[2], []))


@each_engine
@pytest.mark.parametrize("n", [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129])
def test_all_widths_around_those_of_vectors(engine, n):
    for sizes in ([n, 3, n], [3, n, 5], [n, n]):
        biases, weights, x, y = drawn(engine, sizes, n)
        expected = loaded(engine, sizes, biases, weights, x, y, "tanh", "quadratic")
        there = Column(engine, "tanh", "quadratic", sizes, biases, weights, x)
        assert there.ready and there.forward()
        assert same_bits([there.a], [expected[0]])
        assert same_bits(sum(there.backward(y), []), sum(expected[1], []))


@each_engine
def test_the_error_may_be_the_callers(engine):
    sizes = [5, 4, 3]
    biases, weights, x, y = drawn(engine, sizes)
    there = Column(engine, "sigmoid", "cross-entropy", sizes, biases, weights, x)
    assert there.ready and there.forward()
    theirs = there.backward(there.a - y, True)
    assert same_bits(sum(theirs, []), sum(there.backward(y), []))
    z = weights[1] @ reference.sigmoid(weights[0] @ x + biases[0]) + biases[1]
    assert np.allclose(there.z, z, rtol=100 * np.finfo(engine.dtype).eps)


def other(dtype):
    return "float32" if dtype == np.float64 else "float64"


UNUSUAL = {  # what is in the place of (sizes, biases, weights, x)
    "sizes of floats": lambda s, b, w, x: ([5.0, 4, 3], b, w, x),
    "a size too large": lambda s, b, w, x: ([5, 4, 2**70], b, w, x),
    "a size of 0": lambda s, b, w, x: ([5, 0, 3], b, w, x),
    "one layer": lambda s, b, w, x: ([5], [], [], x),
    "sizes of an array": lambda s, b, w, x: (np.array(s), b, w, x),
    "a tuple of weights": lambda s, b, w, x: (s, b, tuple(w), x),
    "too few weights": lambda s, b, w, x: (s, b, w[:1], x),
    "weights of lists": lambda s, b, w, x: (s, b, [v.tolist() for v in w], x),
    "weights of objects": lambda s, b, w, x: (s, b, [v.astype(object) for v in w], x),
    "weights of dates": lambda s, b, w, x: (s, b, [w[0], np.zeros((3, 4), "M8[s]")], x),
    "of the other dtype": lambda s, b, w, x: (s, [v.astype(other(v.dtype)) for v in b], w, x),
    "of the other order": lambda s, b, w, x: (s, b, [w[0].astype(w[0].dtype, "F"), w[1]], x),
    "big-endian": lambda s, b, w, x: (s, b, [v.astype(v.dtype.newbyteorder()) for v in w], x),
    "a subclass": lambda s, b, w, x: (s, b, [v.view(np.matrix) for v in w], x),
    "a wrong shape": lambda s, b, w, x: (s, b, [w[0].T.copy(), w[1]], x),
    "a flat x": lambda s, b, w, x: (s, b, w, x.ravel()),
    "two columns": lambda s, b, w, x: (s, b, w, np.hstack([x, x])),
    "x of strides": lambda s, b, w, x: (s, b, w, np.hstack([x, x])[:, :1]),
}


@each_engine
@pytest.mark.parametrize("kind", UNUSUAL)
def test_what_is_unusual_is_left_to_a_net(engine, kind):
    sizes = [5, 4, 3]
    biases, weights, x, _ = drawn(engine, sizes)
    assert Column(engine, "sigmoid", "quadratic", sizes, biases, weights, x).ready
    given = UNUSUAL[kind](sizes, biases, weights, x)
    assert not Column(engine, "sigmoid", "quadratic", *given).ready


@each_engine
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_left_to_a_net(engine, wrong):
    sizes = [5, 4, 3]
    biases, weights, x, y = drawn(engine, sizes)
    bad_x, bad_y = x.copy(), y.copy()
    bad_x[4], bad_y[2] = wrong, wrong

    def column(x):
        return Column(engine, "sigmoid", "quadratic", sizes, biases, weights, x)

    assert not column(bad_x).forward()
    assert column(bad_x).descend(y, 0.5) is None
    assert column(x).descend(bad_y, 0.5) is None
    assert column(x).descend(y + 2, 0.5) is None  # out of the output's range
    assert column(x).descend(y.ravel(), 0.5) is None
    there = column(x)
    assert there.forward() and there.backward(bad_y) is None


@each_engine
def test_names_that_there_are_not_are_left_to_a_net(engine):
    sizes = [5, 4, 1]
    biases, weights, x, _ = drawn(engine, sizes)
    for names in (("none", "quadratic"), ("sigmoid", None), ("sigmoid", "log-likelihood")):
        assert not Column(engine, *names, sizes, biases, weights, x).ready


@each_dtype
@pytest.mark.parametrize("kind", FAST)
def test_a_step_on_one_example_is_an_epoch_of_it(kind, dtype):
    """update_mini_batch of one example, and of the same in a form that is no column's."""
    (x, y), *_ = examples(1)
    made, same = make(kind, dtype=dtype), make(kind, dtype=dtype)
    step(made, [(x, y)], 0.5)
    step(same, [(x.tolist(), y.tolist())], 0.5)
    assert same_bits(made.biases + made.weights, same.biases + same.weights)


@each_dtype
@pytest.mark.parametrize("n", [0, 1, 16, 17])
def test_few_examples_are_counted_as_many_are(n, dtype):
    made = network.Network([6, 5, 3], dtype=dtype, seed=5)
    data = [(x, int(y.argmax())) for x, y in examples(n, sizes=[6, 3])]
    expected = sum(int(np.argmax(made.feedforward(x)) == label) for x, label in data)
    assert made.evaluate(data) == expected == made.evaluate(tuple(data))
