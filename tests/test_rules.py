"""The costs and the steps of chapter 3 in the core: against the reference, and themselves."""

import random

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
RULES = {
    "plain": {},
    "L2": {"l2": 0.02},
    "L1": {"l1": 0.003},
    "L2-L1": {"l2": 0.02, "l1": 0.003},
    "momentum": {"mu": 0.7},
    "all": {"mu": 0.7, "l2": 0.02, "l1": 0.003},
}

each_cost = pytest.mark.parametrize("cost", COSTS)
each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def bounded(arrays):
    return [Bounded(array) for array in arrays]


def within(found, bounds):
    return all(
        f.shape == b.value.shape and (abs(f - b.value) <= b.error).all()
        for f, b in zip(found, bounds, strict=True)
    )


def away_from_zero(weights):
    """Return weights whose signs are certain for a few steps."""
    return [w + np.where(w < 0, -0.1, 0.1).astype(w.dtype) for w in weights]


def velocity_of(engine, sizes, rule, n_threads=1):
    return bpcore.Net(engine, sizes, 1, n_threads) if "mu" in rule else None


@each_engine
@each_form
@each_cost
@each_rule
def test_a_step_is_the_reference_to_rounding(engine, sparse, cost, rule):
    n, m, n_steps = 11, 4, 3
    for sizes in [[7, 5, 3], [3, 17, 2, 9], [33, 4], [5, 90, 2]]:
        biases, weights = parameters(sizes, engine.dtype)
        weights = away_from_zero(weights)
        x, y = examples(n, sizes[0], sizes[-1], engine.dtype)
        data = packed(engine, x, y, sparse=sparse)
        net = loaded(engine, biases, weights, m, cost=cost)
        velocity, order = velocity_of(engine, sizes, rule), bpcore.Order(n)
        order.shuffle(random.Random(1))
        net.sgd(data, order, m, ETA, velocity=velocity, **rule)

        kind = "momentum" if "mu" in rule else "plain"
        network = judge(biases, weights, output=cost, rule=kind)
        rounding = Rounding(engine.dtype)
        zeros = [[0 * b for b in network.biases], [0 * w for w in network.weights]]
        state = bounded(biases), bounded(weights)
        v = (bounded(zeros[0]), bounded(zeros[1])) if velocity else None
        assert len(range(0, n, m)) == n_steps
        for k in range(0, n, m):
            picked = order.tolist()[k : k + m]
            batch = [(column(x[i]), column(y[i])) for i in picked]
            network.update_mini_batch(batch, np.longdouble(ETA), **rule)
            step = rounding.update_mini_batch(
                *state, x[picked], y[picked], ETA, cost, velocity=v, **rule
            )
            state, v = step if velocity else (step, None)
        found = [net.store(), *([velocity.store()] if velocity else [])]
        bounds = [state, *([v] if velocity else [])]
        expected = [(network.biases, network.weights)]
        if velocity:
            hand = [v for [v] in network.slots]
            expected.append((hand[: len(biases)], hand[len(biases) :]))
        for each, bound, judged in zip(found, bounds, expected, strict=True):
            for kind in (0, 1):
                # The bounds' own values are another way to the same: they must agree.
                assert within(judged[kind], bound[kind])
                assert within(each[kind], bound[kind]), (sizes, kind)
                assert max(b.error.max() for b in bound[kind]) < 9e3 * np.finfo(x.dtype).eps


@each_engine
@each_cost
@each_rule
def test_a_step_gives_the_same_bits_in_every_form_and_thread(engine, cost, rule):
    n, m = 23, 3
    for sizes in [[20, 30, 10], [9, 70, 65, 3], [33, 40]]:
        x, y = examples(n, sizes[0], sizes[-1], engine.dtype)
        results = []
        for sparse in (0, 1, 2):
            for n_threads in (1, 3):
                start = parameters(sizes, engine.dtype)
                net = loaded(engine, *start, m, n_threads, cost)
                velocity = velocity_of(engine, sizes, rule, n_threads)
                data = packed(engine, x, y, sparse=sparse)
                for _ in range(2):
                    net.sgd(data, bpcore.Order(n), m, ETA, velocity=velocity, **rule)
                results.append([*net.store(), *(velocity.store() if velocity else ())])
        # The same mini-batches, each in a call of its own; L2 rounds at its end, too.
        net = loaded(engine, *parameters(sizes, engine.dtype), m, 1, cost)
        velocity = velocity_of(engine, sizes, rule)
        for k in [*range(0, n, m)] * 2 if rule != RULES["L2"] else []:
            part = packed(engine, x[k : k + m], y[k : k + m], sparse=DENSE)
            net.sgd(part, bpcore.Order(len(part)), m, ETA, velocity=velocity, **rule)
        if rule != RULES["L2"]:
            results.append([*net.store(), *(velocity.store() if velocity else ())])
        assert same_bits(results[1:], results[:1] * (len(results) - 1)), sizes


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
        net = loaded(engine, biases, weights, 16, cost=cost)
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
        net = loaded(engine, *parameters(sizes, engine.dtype), 32, n_threads, cost)
        for unit in (np.eye(10, dtype=engine.dtype)[labels], None):
            costs = np.zeros(200, engine.dtype)
            net.evaluate(packed(engine, x, unit, n_out=10, labels=labels), costs)
            found.append(costs)
    assert same_bits(found[1:], found[:1] * 5)


def cost_of_z(engine, z, y):
    """Return the core's cross-entropy of outputs with these weighted inputs."""
    net = bpcore.Net(engine, [1, 1], 32, cost="cross-entropy")
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
    net = bpcore.Net(engine, [2, 1], 32, cost="cross-entropy")
    net.load([np.zeros((1, 1), engine.dtype)], [np.full((1, 2), most, engine.dtype)])
    x = np.array([[2, 2], [-2, -2], [2, 2], [-2, -2]], engine.dtype)
    y = np.array([[1], [0], [0], [1]], engine.dtype)
    costs = np.zeros(4, engine.dtype)
    data = packed(engine, x, y, labels=np.zeros(4, np.int64), sparse=DENSE)
    net.evaluate(data, costs)
    assert costs.tolist() == [0, 0, most, most]


@each_engine
def test_a_velocity_must_be_a_network_of_the_same_kind(engine):
    net = bpcore.Net(engine, [4, 100, 2], 4, 2)
    x, y = examples(8, 4, 2, engine.dtype)
    data, order = packed(engine, x, y), bpcore.Order(8)
    for other in (
        net,
        bpcore.Net(engine, [4, 99, 2], 1, 2),
        bpcore.Net(engine, [4, 100, 2], 1),
    ):
        with pytest.raises(ValueError, match="velocity must be another network of the same"):
            net.sgd(data, order, 4, ETA, velocity=other)
    with pytest.raises(ValueError, match=r"mu must be 0 without a velocity, got 0\.5"):
        net.sgd(data, order, 4, ETA, mu=0.5)
    with pytest.raises(ValueError, match="cost must be one of quadratic, cross-entropy"):
        bpcore.Net(engine, [4, 2], 1, cost="hinge")


@each_engine
def test_costs_need_desired_outputs_and_their_place(engine):
    net = bpcore.Net(engine, [4, 1], 4)
    x, _ = examples(8, 4, 1, engine.dtype)
    none = packed(engine, x, n_out=1, labels=np.zeros(8, np.int64))
    with pytest.raises(ValueError, match="data must have desired outputs"):
        net.evaluate(none, np.zeros(8, engine.dtype))
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
