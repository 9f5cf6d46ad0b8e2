"""The costs and the steps of chapter 3 in the core: against the reference, and themselves."""

import numpy as np
import pytest
from engines import (
    DENSE,
    Bounded,
    Rounding,
    column,
    each_engine,
    each_form,
    examples,
    judge,
    loaded,
    packed,
    parameters,
    same_bits,
    widths,
)

import bpcore

ETA = 0.1
COSTS = ["quadratic", "cross-entropy"]
each_cost = pytest.mark.parametrize("cost", COSTS)


def bounded(arrays):
    return [Bounded(array) for array in arrays]


def within(found, bounds):
    return all(
        f.shape == b.value.shape and (abs(f - b.value) <= b.error).all()
        for f, b in zip(found, bounds, strict=True)
    )


@each_engine
@each_form
@pytest.mark.parametrize("l2", [0.5, 5.0])
def test_l2_that_shrinks_weights_to_nothing_is_the_reference_to_rounding(engine, sparse, l2):
    # The scale falls below its least value twice (0.95^n), or L2 is too strong for a scale.
    sizes, n, m = [7, 5, 3], 300, 1
    x, y = examples(n, 7, 3, engine.dtype)
    biases, weights = parameters(sizes, engine.dtype)
    net = loaded(engine, biases, weights, m)
    network = judge(biases, weights)
    net.sgd(packed(engine, x, y, sparse=sparse), bpcore.Order(n), m, ETA, l2=l2)
    for k in range(n):
        batch = [(column(x[k]), column(y[k]))]
        network.update_mini_batch(batch, np.longdouble(ETA), l2=np.longdouble(l2))
    # Strong decay forgets rounding errors as it forgets weights: what is left is of a few steps
    # (1 / (eta l2) <= 20), each of a few roundings of numbers below 1, and of their feedback.
    for found, expected in zip(net.store(), (network.biases, network.weights)):
        for f, e in zip(found, expected):
            assert abs(f - e).max() <= n * 20 * np.finfo(engine.dtype).eps


@each_engine
@each_form
@each_cost
def test_costs_are_the_reference_to_rounding(engine, sparse, cost):
    for sizes in [[7, 5, n_out] for n_out in widths(engine)] + [[4, 3], [5, 90, 4, 2]]:
        biases, weights = parameters(sizes, engine.dtype)
        x, y = examples(40, sizes[0], sizes[-1], engine.dtype)
        labels = np.argmax(y, axis=1).astype(np.int64)
        net = loaded(engine, biases, weights, 16, output=cost)
        costs = np.full(40, np.nan, engine.dtype)
        right = net.evaluate(packed(engine, x, y, labels=labels, sparse=sparse), costs)
        assert right == net.evaluate(packed(engine, x, n_out=sizes[-1], labels=labels))
        rounding = Rounding(engine.dtype)
        z = rounding.weighted_inputs(bounded(biases), bounded(weights), x)
        bound = rounding.cost(z, y.T.astype(np.longdouble), cost)
        assert within([costs], [bound]), sizes
        assert (bound.error <= 3e3 * np.finfo(engine.dtype).eps * (1 + bound.value)).all()


@each_engine
@each_cost
def test_labels_cost_what_unit_vectors_do_in_any_number_of_threads(engine, cost):
    sizes = [20, 30, 10]
    x, y = examples(200, 20, 10, engine.dtype)
    labels = np.argmax(y, axis=1).astype(np.int64)
    found = []
    for n_threads in (1, 2, 3):
        net = loaded(engine, *parameters(sizes, engine.dtype), 32, n_threads, output=cost)
        for unit in (np.eye(10, dtype=engine.dtype)[labels], None):
            costs = np.zeros(200, engine.dtype)
            net.evaluate(packed(engine, x, unit, n_out=10, labels=labels), costs)
            found.append(costs)
    assert same_bits(found[1:], found[:1] * 5)


def cost_of_z(engine, z, y):
    """Return the core's cross-entropy of outputs with these weighted inputs."""
    net = bpcore.Net(engine, [1, 1], 32, output="cross-entropy")
    net.load([np.zeros((1, 1), engine.dtype)], [np.ones((1, 1), engine.dtype)])
    costs = np.zeros(len(z), engine.dtype)
    labels = np.zeros(len(z), np.int64)
    net.evaluate(packed(engine, z[:, None], y[:, None], labels=labels, sparse=DENSE), costs)
    return costs


@each_engine
def test_the_cross_entropy_is_within_8_ulp(engine):
    # For y of 0 and 1 the truth is ln(1 + exp(z)) and ln(1 + exp(-z)).
    mpmath = pytest.importorskip("mpmath")
    draw, most = np.random.RandomState(0), -np.log(np.finfo(engine.dtype).tiny) - 1
    points = [draw.uniform(-1, 1, 300), 30 * draw.randn(300), [0.0, 1e-3, -1e-3, 20, -20]]
    z = np.clip(np.concatenate(points), -most, most).astype(engine.dtype)
    for y in (0.0, 1.0):
        found = cost_of_z(engine, z, np.full_like(z, y))
        with mpmath.workprec(200):
            truth = [mpmath.log1p(mpmath.exp(v if y == 0 else -v)) for v in map(float, z)]
            errors = [abs(float(f) - t) / t for f, t in zip(found, truth)]
        # An ulp is at least eps / 2 of the value.
        assert max(errors) <= 8 * np.finfo(engine.dtype).eps / 2


@each_engine
def test_a_saturated_output_has_a_finite_cost(engine):
    z = np.array([1000, -1000, 1000, -1000, 50, -50], engine.dtype)
    y = np.array([0, 1, 1, 0, 0, 1], engine.dtype)
    assert cost_of_z(engine, z, y).tolist() == [1000, 1000, 0, 0, 50, 50]


@each_engine
def test_where_z_overflows_the_cost_is_zero_or_the_largest_number(engine):
    most = np.finfo(engine.dtype).max
    net = bpcore.Net(engine, [2, 1], 32, output="cross-entropy")
    net.load([np.zeros((1, 1), engine.dtype)], [np.full((1, 2), most, engine.dtype)])
    x = np.array([[2, 2], [-2, -2], [2, 2], [-2, -2]], engine.dtype)
    y = np.array([[1], [0], [0], [1]], engine.dtype)
    costs = np.zeros(4, engine.dtype)
    data = packed(engine, x, y, labels=np.zeros(4, np.int64), sparse=DENSE)
    net.evaluate(data, costs)
    assert costs.tolist() == [0, 0, most, most]


@each_engine
def test_costs_need_desired_outputs_and_their_place(engine):
    net = bpcore.Net(engine, [4, 1], 4)
    x, _ = examples(8, 4, 1, engine.dtype)
    none = packed(engine, x, n_out=1)
    with pytest.raises(ValueError, match="data must have desired outputs"):
        net.evaluate(none, np.zeros(8, engine.dtype), count=False)
    y = np.zeros((8, 1), engine.dtype)
    data = packed(engine, x, y, labels=np.zeros(8, np.int64))
    with pytest.raises(ValueError, match=r"costs must have shape \(8,\), got \(7,\)"):
        net.evaluate(data, np.zeros(7, engine.dtype))


@each_engine
def test_progress_is_told_of_every_example_once(engine):
    x, y = examples(50, 4, 2, engine.dtype)
    net = loaded(engine, *parameters([4, 3, 2], engine.dtype), 3)
    seen = []
    net.sgd(packed(engine, x, y), bpcore.Order(50), 3, ETA, progress=seen.append)
    assert sum(seen) == 50 and all(type(n) is int for n in seen)
