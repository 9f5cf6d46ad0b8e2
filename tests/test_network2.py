"""network2: chapter 3's drop-in contract, its figures within derived bounds, its errors."""

import contextlib
import functools
import io
import json
import math
import os
import random
import sys

import mpmath
import numpy as np
import pytest
from conftest import global_states, labelled, pairs, parameters_of
from engines import (
    CODES,
    DENSE,
    VALUES,
    Bounded,
    Rounding,
    each_engine,
    judge,
    loaded,
    packed,
    same_bits,
)

import bpnet
import bpnet.dropin
from bpnet import Dataset, network2, reference

SIZES = [6, 5, 3]
N_IN, N_OUT = SIZES[0], SIZES[-1]
EPS = np.finfo(np.float64).eps
wide = np.longdouble

COSTS = {"quadratic": network2.QuadraticCost, "cross-entropy": network2.CrossEntropyCost}
MONITORS = (
    "monitor_evaluation_cost",
    "monitor_evaluation_accuracy",
    "monitor_training_cost",
    "monitor_training_accuracy",
)
ALL = dict.fromkeys(MONITORS, True)

# lmbda, l1, mu
RULES = {
    "plain": (0.0, 0.0, 0.0),
    "L2": (3.0, 0.0, 0.0),
    "L1": (0.0, 2.0, 0.0),
    "L2 and L1": (3.0, 2.0, 0.0),
    "momentum": (0.0, 0.0, 0.75),
    "all": (3.0, 2.0, 0.75),
}

each_cost = pytest.mark.parametrize("cost", COSTS)
each_rule = pytest.mark.parametrize("rule", RULES)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
# The class, its cost and its initial weights.
each_kind = pytest.mark.parametrize(
    "kind",
    [
        ("network2", "quadratic", "default"),
        ("network2", "quadratic", "large"),
        ("network2", "cross-entropy", "default"),
        ("network2", "cross-entropy", "large"),
        ("network", "quadratic", "large"),
    ],
    ids="-".join,
)


Book = reference.Network2  # the book's network2 in plain NumPy: the twin that judges bpnet's


class Chapter3(Rounding):
    """Bounds for what SGD, backprop and total_cost compute.

    ulps bounds the error of a sigmoid: 2 for the core's; 4 for NumPy's, since its exp in
    float32 is off by up to 2.52, and the sum and the quotient that follow by half an ulp each.
    """

    def __init__(self, dtype, ulps=2):
        super().__init__(dtype)
        self.ulps = ulps

    def sigmoid(self, z):
        found = super().sigmoid(z)
        found.error = found.error + (self.ulps - 2) * self.eps * found.most
        return found

    def nabla(self, net, cost, x, y):
        """The gradient of the mean cost of the rows, biases first."""
        a, deltas = self.gradient(*bounded(net), x, y, cost=cost)
        zero = Bounded(np.zeros((1, 1)))
        return deltas + [self.chain(delta, a[l].T, zero) for l, delta in enumerate(deltas)]

    def mean_cost(self, at, cost, x, y, lmbda=0.0, l1=0.0):
        """The mean cost of the rows, regularisation included.

        A sum over n examples, and one over so many weights, whose terms are products of a few
        roundings: relative ones, because nothing is negative.
        """
        each = self.cost(self.weighted_inputs(*at, x), y.T.astype(wide), cost)
        value, error = each.value.sum(), each.error.sum() + len(x) * self.eps * each.most.sum()
        for w in at[1]:
            square = self.product(w, w)
            most = (lmbda / 2 * square.most + l1 * w.most).sum()
            value += (lmbda / 2 * square.value + l1 * abs(w.value)).sum()
            error += (lmbda / 2 * square.error + l1 * w.error).sum()
            error += (w.value.size + 6) * self.eps * most
        return Bounded(value / len(x), (error + 2 * self.eps * (value + error)) / len(x))


def made(kind, dtype="float64", seed=5, sizes=SIZES):
    """Return a new network of a kind."""
    module, cost, weights = kind
    if module == "network":
        return bpnet.Network(sizes, dtype=dtype, seed=seed)
    net = network2.Network(sizes, COSTS[cost], dtype=dtype, seed=seed)
    if weights == "large":
        net.large_weight_initializer()
    return net


def net2(cost=network2.CrossEntropyCost, seed=5, cls=network2.Network, **options):
    return cls(SIZES, cost, seed=seed, **options)


def arrays(n, dtype="float64", seed=0):
    """Return (X, Y) with n rows in dtype: Y in [0, 1)."""
    x, y = (np.hstack(part).T for part in zip(*pairs(n, N_IN, N_OUT, seed)))
    return x.astype(dtype), y.astype(dtype)


def as_pairs(x, y):
    return [(row[:, None], target[:, None]) for row, target in zip(x, y)]


def one_hot(data):
    """Return (x, label) as (x, y)."""
    return [(x, np.eye(N_OUT)[:, [label]]) for x, label in data]


def shuffled(n, epochs, seed=5):
    """Return the orders in which a network of this seed visits n examples."""
    order, source, orders = list(range(n)), random.Random(seed), []
    for _ in range(epochs):
        source.shuffle(order)
        orders.append(list(order))
    return orders


def bounded(net):
    return [Bounded(b) for b in net.biases], [Bounded(w) for w in net.weights]


def exactly(net, cost):
    """Return the twin of net in long double."""
    return judge(net.biases, net.weights, output=cost)


def followed(net, cost, x, y, batches, eta, rule, ulps=2):
    """Return the twin after mini-batches of these rows, and how far net may be from it."""
    judge, bound = exactly(net, cost), bounded(net)
    rounding, n = Chapter3(net.dtype, ulps), len(x)
    eta, lmbda, l1, mu = map(wide, (eta, *rule))
    rule = "momentum" if mu else "plain"
    slots, terms = reference.empty_slots(judge, rule), {"mu": mu} if mu else {}
    velocity = [[Bounded(0 * p.value) for p in part] for part in bound] if mu else None
    for rows in batches:
        batch = [(x[i].astype(wide)[:, None], y[i].astype(wide)[:, None]) for i in rows]
        l2 = lmbda / n
        reference.descend(judge, batch, eta, rule, slots, 1, l2=l2, l1=l1 / n, **terms)
        step = (*bound, x[rows], y[rows], eta, cost, lmbda / n, l1 / n, mu, velocity)
        bound = rounding.update_mini_batch(*step)
        if mu:
            bound, velocity = bound
    return judge, bound


def assert_within(net, judge, bound):
    for found, expected, limit in zip(
        parameters_of(net), parameters_of(judge), [*bound[0], *bound[1]], strict=True
    ):
        assert found.dtype == net.dtype
        assert (abs(found - expected) <= limit.error).all()
        assert (limit.error <= 3e3 * np.finfo(net.dtype).eps * (1 + abs(expected))).all()


def in_batches(orders, m):
    return [order[k : k + m] for order in orders for k in range(0, len(order), m)]


# Steps, costs and gradients are the book's, to rounding


@pytest.mark.parametrize(("epochs", "m", "eta"), [(1, 11, 0.5), (2, 4, 0.05)])
@each_kind
@each_rule
@each_dtype
def test_steps_are_the_books_within_the_bound_of_their_roundings(
    kind, rule, dtype, epochs, m, eta
):
    """One; and those of two epochs, the last short: the velocity lives on between them."""
    x, y = arrays(11, dtype)
    net, before = made(kind, dtype), made(kind, dtype)
    lmbda, l1, mu = RULES[rule]
    net.SGD((x, y), epochs, m, eta, lmbda=lmbda, l1=l1, mu=mu, verbose=False)
    batches = in_batches(shuffled(11, epochs), m)
    assert_within(net, *followed(before, kind[1], x, y, batches, eta, RULES[rule]))


@each_kind
@each_dtype
@pytest.mark.parametrize("lmbda", [0.0, 3.0])
def test_update_mini_batch_is_the_books_within_the_bound(kind, dtype, lmbda):
    x, y = arrays(7, dtype)
    net, before = made(kind, dtype), made(kind, dtype)
    if kind[0] == "network":
        lmbda = 0.0
        net.update_mini_batch(as_pairs(x, y), 0.5)
    else:
        net.update_mini_batch(as_pairs(x, y), 0.5, lmbda, 7)
    judge, bound = followed(before, kind[1], x, y, [range(7)], 0.5, (lmbda, 0.0, 0.0))
    assert_within(net, judge, bound)


@each_cost
@each_rule
@each_dtype
def test_epochs_by_hand_are_the_books_within_the_bound(cost, rule, dtype):
    """A cost that is a subclass is computed in NumPy: the bound holds for any order there."""

    class Same(COSTS[cost]):
        pass

    x, y = arrays(11, dtype)
    net, before = net2(Same, dtype=dtype), net2(dtype=dtype)
    lmbda, l1, mu = RULES[rule]
    net.SGD((x, y), 2, 4, 0.05, lmbda=lmbda, l1=l1, mu=mu, verbose=False)
    batches = in_batches(shuffled(11, 2), 4)
    assert_within(net, *followed(before, cost, x, y, batches, 0.05, RULES[rule], ulps=4))


@each_kind
@each_dtype
def test_backprop_is_the_books_within_the_bound(kind, dtype):
    x, y = arrays(5, dtype)
    net = made(kind, dtype)
    judge, rounding = exactly(net, kind[1]), Chapter3(net.dtype)
    for i, pair in enumerate(as_pairs(x, y)):
        bounds = rounding.nabla(net, kind[1], x[[i]], y[[i]])
        exact = judge.backprop(*(part.astype(wide) for part in pair))
        for found, expected, bound in zip(
            sum(net.backprop(*pair), []), sum(exact, []), bounds, strict=True
        ):
            assert (abs(found - expected) <= bound.error).all()


@each_cost
@each_dtype
@pytest.mark.parametrize("weights", ["default", "large"])
@pytest.mark.parametrize("lmbda", [0.0, 3.0])
def test_total_cost_is_the_books_within_the_bound(cost, dtype, weights, lmbda):
    x, y = arrays(9, dtype)
    net = made(("network2", cost, weights), dtype)
    found = net.total_cost(as_pairs(x, y), lmbda)
    expected = Chapter3(net.dtype).mean_cost(bounded(net), cost, x, y, wide(lmbda))
    assert type(found) is float
    assert abs(found - expected.value) <= expected.error
    # That is the twin's, which rounds each cost to float64 and takes ln(1 - a) from a.
    judge = exactly(net, cost)
    twin = judge.total_cost(as_pairs(x.astype(wide), y.astype(wide)), wide(lmbda))
    a = judge.feedforward(x.T.astype(wide))
    lost = 4 * N_OUT * np.finfo(wide).eps / np.minimum(a, 1 - a).min()
    assert abs(twin - expected.value) <= (9 + 3) * EPS * expected.value + lost


@each_cost
@each_rule
@each_dtype
def test_what_a_run_reports_is_the_books_within_the_bound(cost, rule, dtype):
    """Costs of the regularised network, L1 included; counts, for which margins are wide."""
    x, y = arrays(11, dtype)
    held_out = labelled(8, N_IN, N_OUT, seed=3)
    ex, ey = (np.hstack(part).T.astype(dtype) for part in zip(*one_hot(held_out)))
    net, before = (made(("network2", cost, "large"), dtype) for _ in range(2))
    lmbda, l1, mu = RULES[rule]
    figures = net.SGD(
        as_pairs(x, y), 2, 4, 0.05, lmbda, held_out, l1=l1, mu=mu, verbose=False, **ALL
    )
    rounding = Chapter3(net.dtype)
    for epochs in (1, 2):
        batches = in_batches(shuffled(11, epochs), 4)
        judge, bound = followed(before, cost, x, y, batches, 0.05, RULES[rule])
        for (inputs, desired), costs, counts in [
            ((ex, ey), figures[0], figures[1]),
            ((x, y), figures[2], figures[3]),
        ]:
            expected = rounding.mean_cost(bound, cost, inputs, desired, wide(lmbda), wide(l1))
            assert abs(costs[epochs - 1] - expected.value) <= expected.error
            outputs = rounding.activations(*bound, inputs)[-1]
            second, first = np.sort(outputs.value, axis=0)[-2:]
            assert (first - second > 2 * outputs.error.max()).all()
            data = as_pairs(inputs.astype(wide), desired.astype(wide))
            assert counts[epochs - 1] == judge.accuracy(data, convert=True)


# Gradients are the slopes of the costs


def objective(at, cost, x, y, lmbda=0.0, l1=0.0):
    """The mean cost, from z, plus what regularises it; analytic, for complex parameters."""
    a = x.T.astype(np.clongdouble)
    for b, w in zip(*at):
        z = w @ a + b
        a = 1 / (1 + np.exp(-z))
    if cost == "quadratic":
        costs = (a - y.T) ** 2 / 2
    else:
        costs = np.log(1 + np.exp(-z)) + (1 - y.T) * z
    total = np.sum(costs)
    for w in at[1]:
        total += lmbda / 2 * np.sum(w * w) + l1 * np.sum(w * np.sign(w.real))
    return total / len(x)


def slopes(net, cost, x, y, lmbda=0.0, l1=0.0):
    """Return the derivatives of the objective, each by a complex step of the twin's cost.

    f'(w) = Im f(w + ih) / h with an error of h^2 |f'''| / 6, nothing at h = 1e-30, and no
    cancellation: complex arithmetic carries value and slope as backpropagation does, in long
    double, with eight roundings at most for one of ours (it divides by four products).
    """
    at = [[p.astype(np.clongdouble) for p in part] for part in (net.biases, net.weights)]
    found, h = [], wide(1e-30)
    for array in sum(at, []):
        slope = np.empty(array.shape, wide)
        for index in np.ndindex(array.shape):
            array[index] += 1j * h
            slope[index] = objective(at, cost, x, y, wide(lmbda), wide(l1)).imag / h
            array[index] = array[index].real
        found.append(slope)
    return found


def complex_share(dtype):
    return 1 + 8 * np.finfo(wide).eps / np.finfo(dtype).eps


@each_cost
@each_dtype
@pytest.mark.parametrize("weights", ["default", "large"])
def test_backprop_is_the_slope_of_the_cost_by_a_complex_step(cost, dtype, weights):
    x, y = arrays(3, dtype)
    net = made(("network2", cost, weights), dtype)
    rounding = Chapter3(net.dtype)
    for i, pair in enumerate(as_pairs(x, y)):
        for found, slope, bound in zip(
            sum(net.backprop(*pair), []),
            slopes(net, cost, x[[i]], y[[i]]),
            rounding.nabla(net, cost, x[[i]], y[[i]]),
            strict=True,
        ):
            assert (abs(found - slope) <= bound.error * complex_share(dtype)).all()


@each_cost
def test_backprop_is_the_slope_of_total_cost_by_central_differences(cost):
    """In float64, both from the core: |error| <= h^2 / 6 max |C'''| + E / h.

    E bounds the rounding of a cost.  For C''': moving one weight into hidden neuron k moves its
    input u by x dt, and z_j = w_jk s(u) + ...; |s'| <= 1/4, |s''| <= 1/10, |s'''| <= 1/8, so
    |z'| <= |w| x / 4, |z''| <= |w| x^2 / 10, |z'''| <= |w| x^3 / 8.  As functions of z the
    costs have |c'| <= 1, |c''| <= 1/4, |c'''| <= 1/4 (cross-entropy: a - y, s', s''; quadratic:
    (a - y) s', s'^2 + (a - y) s'', 3 s' s'' + (a - y) s'''), and C''' = sum over j of
    c''' z'^3 + 3 c'' z' z'' + c' z'''.  For an output neuron's own it is c''' alone.
    """
    x, y = arrays(2)
    net, h = made(("network2", cost, "large")), 1e-5
    most = max(1, abs(x).max())
    u = abs(net.weights[1])
    third = u**3 * most**3 / 256 + 3 / 4 * u**2 * most**3 / 40 + u * most**3 / 8
    truncation = h**2 / 6 * max(third.sum(axis=0).max(), 1 / 4)
    rounding = Chapter3(np.float64)
    for i, pair in enumerate(as_pairs(x, y)):
        for array, slope in zip(parameters_of(net), sum(net.backprop(*pair), [])):
            for index in np.ndindex(array.shape):
                kept, costs = array[index], []
                for step in (h, -h):
                    array[index] = kept + step
                    costs.append(net.total_cost([pair], 0.0))
                own = rounding.mean_cost(bounded(net), cost, x[[i]], y[[i]]).error
                moved = (kept + h) - (kept - h)  # what rounding makes of 2 h
                array[index] = kept
                difference = (costs[0] - costs[1]) / moved
                # own is that at -h; at h it is as large but for h itself: twice in all, and 1 %
                assert abs(difference - slope[index]) <= truncation + 1.01 * own / h


@each_kind
@each_dtype
@pytest.mark.parametrize("rule", ["plain", "L2", "L1", "L2 and L1", "all"])
def test_an_update_moves_against_the_gradient_of_the_whole_objective(kind, dtype, rule):
    """w' = w - eta (slope of cost + lmbda / 2n sum w^2 + l1 / n sum |w|), for all eta alike.

    The step is linear in eta, so a small one has no truncation error; the slopes are those of
    a complex step, and the bound is the step's own.  The first has no momentum to go on.
    """
    x, y = arrays(7, dtype)
    lmbda, l1, mu = RULES[rule]
    for eta in (2.0**-3, 2.0**-12):
        net, before = made(kind, dtype), made(kind, dtype)
        net.SGD((x, y), 1, 7, eta, lmbda=lmbda, l1=l1, mu=mu, verbose=False)
        _, bound = followed(before, kind[1], x, y, [range(7)], eta, RULES[rule])
        slope = slopes(before, kind[1], x, y, lmbda, l1)
        for after, old, downhill, limit in zip(
            parameters_of(net), parameters_of(before), slope, [*bound[0], *bound[1]]
        ):
            moved = after.astype(wide) - old
            assert (abs(moved + eta * downhill) <= limit.error * complex_share(dtype)).all()


# Costs at the edge


def edges(dtype):
    """Weighted inputs where a is 0, 1, next to them, or where exp(-|z|) underflows."""
    info = np.finfo(dtype)
    magnitudes = [0, info.tiny, 1e-3, 1, 12.5, 17, 20, 36.5, 37, 40, 87.5, 89, 104, 150]
    magnitudes += [700, 709.5, 745, 800, 1999, 1e4, 1e30, float(info.max) / 4]
    values = np.array(magnitudes, dtype)
    return np.concatenate([values, -values])


def true_costs(z, desired):
    """Return -y ln a - (1 - y) ln(1 - a) for each y, with enough digits to see a from 1."""
    least, most = max(-z, 0), max(z, 0)  # where ln(1 + exp(-|z|)) < 1e-800
    with mpmath.workprec(6000):
        if abs(z) <= 2000:
            a = 1 / (1 + mpmath.exp(-mpmath.mpf(z)))
            least, most = -mpmath.log(a), -mpmath.log(1 - a)
        return [mpmath.mpf(y) * least + (1 - mpmath.mpf(y)) * most for y in desired]


@functools.cache
def edge_examples(dtype):
    """Return (z, y, true costs): every edge with every desired output, one a row."""
    desired = [0.0, 1.0, 0.25, 0.5]
    truth = sum((true_costs(z, desired) for z in edges(dtype).tolist()), [])
    z, y = (grid.T.ravel() for grid in np.meshgrid(edges(dtype), np.array(desired, dtype)))
    return z[:, None], y[:, None], truth


def are_true(costs, truth, dtype):
    """Whether costs are within 8 eps, as engines.Rounding.cost says, and what is flushed."""
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).tiny)
    return all(
        math.isfinite(cost) and abs(mpmath.mpf(cost) - true) <= 8 * eps * true + 8 * tiny
        for cost, true in zip(map(float, costs), truth, strict=True)
    )


def evaluated(engine, cost, z, y):
    """Return the costs of outputs with these weighted inputs."""
    net = loaded(engine, *([np.full((1, 1), p, engine.dtype)] for p in (0, 1)), output=cost)
    costs = np.empty(len(z), engine.dtype)
    net.evaluate(packed(engine, z, y, labels=np.zeros(len(z), np.int64)), costs)
    return costs


@each_engine
def test_a_saturated_outputs_cross_entropy_is_right_on_every_engine(engine):
    z, y, truth = edge_examples(engine.dtype)
    assert are_true(evaluated(engine, "cross-entropy", z, y), truth, engine.dtype)


@each_engine
def test_a_saturated_outputs_quadratic_cost_is_a_half_on_every_engine(engine):
    """a is exactly 0 or 1: (1 - 0)^2 / 2, and 0 where that is desired."""
    z, y = (np.array(rows, engine.dtype)[:, None] for rows in zip(*[[800, 0], [800, 1]]))
    for side, expected in [(z, [0.5, 0]), (-z, [0, 0.5])]:
        assert evaluated(engine, "quadratic", side, y).tolist() == expected


@each_dtype
def test_total_cost_of_a_saturated_output_is_right(dtype):
    """Where the book's formula takes ln 0 from a, and gives the largest float64."""
    net = network2.Network([1, 1], dtype=dtype, seed=1)
    net.biases, net.weights = [np.zeros((1, 1))], [np.ones((1, 1))]
    z, y, truth = edge_examples(np.dtype(dtype))
    costs = [net.total_cost([(a[:, None], b[:, None])], 0.0) for a, b in zip(z, y)]
    assert are_true(costs, truth, dtype)
    for opposite in (800.0, -800.0):
        x, y = np.full((1, 1), opposite), np.full((1, 1), float(opposite < 0))
        assert net.feedforward(x) == 1 - y
        assert network2.CrossEntropyCost.fn(net.feedforward(x), y) == sys.float_info.max
        assert net.total_cost([(x, y)], 0.0) == 800.0


# Of (X, labels)
FORMS = {
    "list of labels": lambda x, labels: [(row[:, None], int(j)) for row, j in zip(x, labels)],
    "list of vectors": lambda x, labels: as_pairs(x, np.eye(N_OUT)[labels]),
    "generator": lambda x, labels: iter(FORMS["list of labels"](x, labels)),
    "pair of labels": lambda x, labels: (x, labels),
    "pair of a column of labels": lambda x, labels: (x, labels[:, None]),
    "pair of vectors": lambda x, labels: (x, np.eye(N_OUT)[labels]),
    "Dataset of labels": lambda x, labels: Dataset((x, labels), dtype=x.dtype),
    "Dataset of vectors": lambda x, labels: Dataset((x, np.eye(N_OUT)[labels]), dtype=x.dtype),
}


@each_cost
@each_dtype
@pytest.mark.parametrize("density", [0.1, 1])
def test_costs_at_the_edge_are_the_same_bits_for_every_form_and_any_threads(
    cost, dtype, density, monkeypatch
):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    draw = np.random.RandomState(2)
    x = (draw.randn(90, 40) * (draw.rand(90, 40) < density)).astype(dtype)
    labels = draw.randint(N_OUT, size=90)
    net = network2.Network([40, 7, N_OUT], COSTS[cost], dtype=dtype, seed=1)
    net.weights[1] *= 1e4  # outputs of exactly 0 and 1
    expected = net.total_cost(FORMS["list of labels"](x, labels), 0.5)
    right = net.accuracy(FORMS["list of labels"](x, labels))
    assert math.isfinite(expected)
    assert {0.0, 1.0} <= set(net.feedforward(x.T).ravel().tolist())
    for form, of in FORMS.items():
        assert net.total_cost(of(x, labels), 0.5) == expected, form
        assert net.accuracy(of(x, labels)) == right, form
        for n_threads in (1, 2, 3):
            arguments = (1, 10, 0.0, 0.5, of(x, labels), True, True, True, True)
            found = net.SGD((x, labels), *arguments, n_threads=n_threads, verbose=False)
            assert found == ([expected], [right], [expected], [right]), (form, n_threads)


@each_engine
@each_cost
def test_costs_at_the_edge_are_the_same_bits_dense_and_sparse(engine, cost):
    draw = np.random.RandomState(3)
    x = np.where(draw.rand(70, 40) < 0.2, draw.choice([-300, 0.5, 4, 200], (70, 40)), 0)
    x, y = x.astype(engine.dtype), draw.rand(70, 5).astype(engine.dtype)
    labels = y.argmax(axis=1)
    parameters = [np.zeros((5, 1), engine.dtype)], [draw.randn(5, 40).astype(engine.dtype)]
    found = []
    for sparse in (DENSE, VALUES, CODES):
        data = packed(engine, x, y, labels=labels, sparse=sparse)
        for n_threads in (1, 2, 3):
            costs = np.empty(70, engine.dtype)
            loaded(engine, *parameters, 16, n_threads, output=cost).evaluate(data, costs)
            found.append(costs)
    assert np.isfinite(found[0]).all()
    assert all(same_bits(costs, found[0]) for costs in found)


# Initial weights and attributes


@each_dtype
def test_large_initial_weights_are_the_books_draws_biases_first(dtype):
    found = []
    for cls, options in (network2.Network, {"dtype": dtype}), (Book, {}):
        np.random.seed(3)
        net = cls(SIZES, **options)
        net.large_weight_initializer()
        drawn = [p.astype(dtype) for p in parameters_of(net)]
        names = [name for name in vars(net) if name != "dtype"]
        found.append((drawn + [np.random.random(1)], names))
    assert same_bits(found[0][0], found[1][0]) and found[0][1] == found[1][1]
    assert network2.Network(SIZES).cost is network2.CrossEntropyCost


def test_default_weights_have_a_deviation_of_1_over_the_root_of_the_inputs():
    """s^2 / sigma^2 of k draws has the deviation (2 / k)^(1/2): 6 of them, for seed 5."""
    for weights, scale in [("default", 1 / 400), ("large", 1.0)]:
        net = made(("network2", "quadratic", weights), sizes=[400, 100, 10])
        w = net.weights[0]
        assert abs(np.mean(w**2) / scale - 1) <= 6 * np.sqrt(2 / w.size)


def test_a_seeded_network_continues_its_own_stream_and_leaves_the_globals_alone():
    before = global_states()
    net = network2.Network(SIZES, seed=3)
    net.large_weight_initializer()
    drawn = [parameters_of(net)]
    net.default_weight_initializer()
    drawn.append(parameters_of(net))
    assert global_states() == before
    np.random.seed(3)
    book = Book(SIZES)
    book.large_weight_initializer()
    assert same_bits(drawn[0], parameters_of(book))
    book.default_weight_initializer()
    assert same_bits(drawn[1], parameters_of(book))


def test_an_initializer_of_ones_own_is_called_by_the_constructor():
    class Zeros(network2.Network):
        def default_weight_initializer(self):
            self.biases = [np.zeros((n, 1)) for n in self.sizes[1:]]
            self.weights = [np.zeros((m, n)) for n, m in zip(self.sizes, self.sizes[1:])]

    before = global_states()
    net = Zeros(SIZES)
    assert global_states() == before
    assert (net.feedforward(np.ones((N_IN, 1))) == 0.5).all()


def test_the_costs_functions_are_the_books():
    z = np.array([[-2.0], [0.5], [3.0]])
    a, y = reference.sigmoid(z), np.array([[0.0], [1.0], [0.25]])
    by_hand = -y * np.log(a) - (1 - y) * np.log(1 - a)
    for cost in (network2.CrossEntropyCost, network2.CrossEntropyCost()):
        # Three logarithms and their sum, once more: a few roundings of the largest.
        assert abs(cost.fn(a, y) - by_hand.sum()) <= 10 * EPS * by_hand.sum()
        assert np.array_equal(cost.delta(z, a, y), a - y)
        assert cost.fn(np.array([[1.0], [0.0]]), np.array([[1.0], [0.0]])) == 0.0
    for cost in (network2.QuadraticCost, network2.QuadraticCost()):
        assert abs(cost.fn(a, y) - ((a - y) ** 2).sum() / 2) <= 10 * EPS * 1.5
        slope = (a - y) * a * (1 - a)
        assert (abs(cost.delta(z, a, y) - slope) <= 10 * EPS).all()
    assert type(network2.QuadraticCost.fn(a, y)) is float


# SGD as the book's scripts call it


@pytest.mark.parametrize("asked", range(16))
def test_lines_lists_and_their_kinds_are_the_books(asked, capsys):
    """Each combination of monitors: the twin's lines, but for the last digits of costs."""
    flags = {name: bool(asked >> i & 1) for i, name in enumerate(MONITORS)}
    training, test = pairs(11, N_IN, N_OUT), labelled(8, N_IN, N_OUT)
    np.random.seed(5)
    book = Book(SIZES)
    random.seed(5)
    book.SGD(list(training), 3, 4, 0.05, 0.1, test, **flags)
    lines = capsys.readouterr().out.splitlines()
    figures = net2().SGD(list(training), 3, 4, 0.05, 0.1, test, **flags)
    printed = capsys.readouterr().out
    assert [line.split(":")[0] for line in printed.splitlines()] == [
        line.split(":")[0] for line in lines
    ]
    # The numbers are the lists': in the order of the lines, and as Python prints them.
    evaluation_cost, evaluation_accuracy, training_cost, training_accuracy = figures
    expected = ""
    for epoch in range(3):
        expected += f"Epoch {epoch} training complete\n"
        if training_cost:
            expected += f"Cost on training data: {training_cost[epoch]}\n"
        if training_accuracy:
            expected += f"Accuracy on training data: {training_accuracy[epoch]} / 11\n"
        if evaluation_cost:
            expected += f"Cost on evaluation data: {evaluation_cost[epoch]}\n"
        if evaluation_accuracy:
            expected += f"Accuracy on evaluation data: {evaluation_accuracy[epoch]} / 8\n"
        expected += "\n"
    assert printed == expected
    assert type(figures) is tuple
    for (name, flag), values in zip(flags.items(), figures, strict=True):
        assert type(values) is list and len(values) == (3 if flag else 0)
        assert {type(value) for value in values} <= {int if "accuracy" in name else float}
    assert json.loads(json.dumps(figures)) == list(figures)


def test_l2_counts_once_and_is_divided_by_the_examples_in_the_data():
    """Not by those trained on: lmbda / 2 len(data) sum |w|^2, whichever data it is."""
    net = net2()
    squares = float(sum(np.sum(w**2) for w in net.weights))
    for n in (1, 8, 50):
        data = pairs(n, N_IN, N_OUT)
        added = net.total_cost(data, 7.0) - net.total_cost(data, 0.0)
        whole = net.total_cost(data, 7.0)
        # 45 squares are added, twice; then costs are subtracted.
        assert abs(added - 3.5 * squares / n) <= 100 * EPS * whole
    found = net.SGD(
        pairs(50, N_IN, N_OUT), 1, 10, 0.0, 7.0, labelled(8, N_IN, N_OUT), True, verbose=False
    )
    assert found[0] == [net.total_cost(labelled(8, N_IN, N_OUT), 7.0)]


def test_the_form_of_the_examples_is_found_out_whatever_convert_says():
    net, test = net2(), labelled(20, N_IN, N_OUT)
    vectors, book = one_hot(test), exactly(net, "cross-entropy")
    right, cost = book.accuracy(test), net.total_cost(vectors, 0.5)
    assert right == book.accuracy(vectors, convert=True)
    for data in (test, vectors):
        for convert in (False, True):
            assert net.accuracy(data, convert) == net.accuracy(data, convert=convert) == right
            assert net.total_cost(data, 0.5, convert) == cost
    assert type(net.accuracy(test)) is int


def test_an_instance_of_a_cost_is_as_good_as_its_class(capsys):
    for cost in COSTS.values():
        found = []
        for given in (cost, cost()):
            net = net2(given)
            assert net.cost is given
            found.append(net.SGD(pairs(11, N_IN, N_OUT), 2, 4, 0.5, monitor_training_cost=True))
            found.append([w.tolist() for w in net.weights])
        assert found[:2] == found[2:]


def test_a_cost_assigned_later_is_used():
    net = net2()
    net.cost = network2.QuadraticCost
    x, y = pairs(1, N_IN, N_OUT)[0]
    assert same_bits(net.backprop(x, y), net2(network2.QuadraticCost).backprop(x, y))


def test_a_slice_of_the_list_leaves_the_list_alone(capsys):
    """training_data[:1000], as chapter 3 has it."""
    data = pairs(23, N_IN, N_OUT)
    kept = list(data)
    net2().SGD(data[:10], 2, 4, 0.1, evaluation_data=data[10:], **ALL)
    assert all(a is b for a, b in zip(data, kept, strict=True))


def scripted(counts):
    """Return an accuracy method that gives these, one a call."""
    remaining = iter(counts)
    return lambda data, convert=False: next(remaining)


@pytest.mark.parametrize("n", [1, 2, 3, 0, -1, True])
@pytest.mark.parametrize(
    "counts",
    [
        [3, 5, 5, 4, 6, 6, 6, 6, 6],
        [1, 2, 3, 4, 5, 6, 7, 8],
        [8, 8, 8, 8, 8],
        [0, 0, 0, 0, 1],
        [5, 4, 5, 4, 6, 5, 6, 5, 5],
    ],
)
def test_early_stopping_ends_where_the_originals_does(n, counts, capsys):
    """After n epochs in a row that are not better than the best, which is 0 at first."""
    test = labelled(8, N_IN, N_OUT)
    found, lines = [], []
    np.random.seed(5)
    for net in (net2(), Book(SIZES)):
        net.accuracy = scripted(counts + [counts[-1]] * 9)
        arguments = (0.05, 0.0, test, False, True, False, False, n)
        found.append(net.SGD(pairs(11, N_IN, N_OUT), len(counts), 4, *arguments)[1])
        lines.append(capsys.readouterr().out)
    assert found[0] == found[1]
    assert lines[0] == lines[1]


# Costs of the script's own


class Twice:
    """Twice the cross-entropy: what it trains is what twice eta and half of lmbda do."""

    calls = ()

    @staticmethod
    def fn(a, y):
        assert a.shape == y.shape == (N_OUT, 1)
        return 2 * network2.CrossEntropyCost.fn(a, y)

    @staticmethod
    def delta(z, a, y):
        assert z.shape == a.shape == y.shape == (N_OUT, 1)
        return 2 * (a - y)


def twice_fn(a, y):
    return Twice.fn(a, y)


def twice_delta(z, a, y):
    return Twice.delta(z, a, y)


def assert_cost_is(cost, fn, factor, form=as_pairs):
    """Training descends on factor times the cross-entropy; its cost is fn of the output."""
    x, y = arrays(11)
    net, before = net2(cost), net2()
    figures = net.SGD(form(x, y), 2, 4, 0.05, 0.3, verbose=False, monitor_training_cost=True)
    batches, rule = in_batches(shuffled(11, 2), 4), (0.3 / factor, 0.0, 0.0)
    assert_within(
        net, *followed(before, "cross-entropy", x, y, batches, 0.05 * factor, rule, ulps=4)
    )
    costs = [fn(net.feedforward(a), b) for a, b in as_pairs(x, y)]
    assert net.total_cost(form(x, y), 0.0) == sum(costs) / 11
    assert figures[2][-1] == net.total_cost(form(x, y), 0.3)


@pytest.mark.parametrize("cost", [Twice, Twice()], ids=["class", "instance"])
@pytest.mark.parametrize("form", [as_pairs, lambda x, y: (x, y)], ids=["list", "arrays"])
def test_a_cost_of_ones_own_is_called(cost, form):
    assert_cost_is(cost, Twice.fn, 2, form)


def test_a_cost_of_ones_own_may_have_a_state():
    class Scaled:
        def __init__(self, factor):
            self.factor = factor

        def fn(self, a, y):
            return self.factor * network2.CrossEntropyCost.fn(a, y)

        def delta(self, z, a, y):
            return self.factor * (a - y)

    cost = Scaled(4)
    assert_cost_is(cost, cost.fn, 4)


def instance_of(cls):
    return cls()


@pytest.mark.parametrize("given", [lambda cls: cls, instance_of], ids=["class", "instance"])
def test_a_subclass_that_overrides_one_function_of_a_cost_is_called(given):
    base = network2.CrossEntropyCost
    fn_only = type("FnOnly", (base,), {"fn": staticmethod(twice_fn)})
    delta_only = type("DeltaOnly", (base,), {"delta": staticmethod(twice_delta)})
    assert_cost_is(given(fn_only), twice_fn, 1)
    assert_cost_is(given(delta_only), base.fn, 2)
    assert_cost_is(given(type("Neither", (base,), {})), base.fn, 1)


@pytest.mark.parametrize("given", [lambda cls: cls, instance_of], ids=["class", "instance"])
def test_a_function_assigned_to_the_modules_class_is_called(given, monkeypatch):
    base = network2.CrossEntropyCost
    cost, fn = given(base), base.fn
    with monkeypatch.context() as patch:
        patch.setattr(base, "fn", staticmethod(lambda a, y: 3 * fn(a, y)))
        assert_cost_is(cost, lambda a, y: 3 * fn(a, y), 1)
    with monkeypatch.context() as patch:
        patch.setattr(base, "delta", staticmethod(twice_delta))
        assert_cost_is(cost, fn, 2)


def test_a_function_assigned_to_an_instance_of_a_cost_is_called():
    cost = network2.CrossEntropyCost()
    cost.fn, cost.delta = twice_fn, twice_delta
    assert_cost_is(cost, twice_fn, 2)


def test_the_quadratic_cost_can_be_overridden_as_well(monkeypatch):
    class Doubled(network2.QuadraticCost):
        @staticmethod
        def delta(z, a, y):
            return 2 * network2.QuadraticCost.delta(z, a, y)

    x, y = arrays(11)
    for patched in (False, True):
        cost = Doubled
        if patched:
            cost, delta = network2.QuadraticCost, network2.QuadraticCost.delta
            doubled = staticmethod(lambda z, a, y: 2 * delta(z, a, y))
            monkeypatch.setattr(network2.QuadraticCost, "delta", doubled)
        net, before = net2(cost), net2()
        net.SGD((x, y), 2, 4, 0.05, verbose=False)
        batches = in_batches(shuffled(11, 2), 4)
        assert_within(
            net, *followed(before, "quadratic", x, y, batches, 0.1, RULES["plain"], ulps=4)
        )


@pytest.mark.parametrize("form", FORMS)
def test_a_cost_of_ones_own_gets_columns_from_data_of_every_form(form):
    draw = np.random.RandomState(1)
    x, labels = draw.randn(8, N_IN), draw.randint(N_OUT, size=8)
    net = net2(Twice)
    expected = net.total_cost(as_pairs(x, np.eye(N_OUT)[labels]), 0.5)
    assert net.total_cost(FORMS[form](x, labels), 0.5) == expected
    found = net.SGD((x, labels), 1, 4, 0.0, 0.5, FORMS[form](x, labels), True, verbose=False)
    assert found[0] == [expected]


# Hooks


def test_overrides_that_know_no_convert_work_where_the_book_passes_none(capsys):
    """The book says convert only where it is true: costs of evaluation data, and counts of
    training data."""

    class Plain(network2.Network):
        def accuracy(self, data):
            return super().accuracy(data)

        def total_cost(self, data, lmbda):
            return super().total_cost(data, lmbda)

    arguments = (2, 4, 0.5, 0.3, labelled(8, N_IN, N_OUT), False, True, True, False)
    found = [
        net2(cls=cls).SGD(pairs(11, N_IN, N_OUT), *arguments)
        for cls in (Plain, network2.Network)
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("share", [0.975, 97.5, 0.125])
def test_an_accuracy_of_ones_own_need_not_be_a_count(share, capsys):
    """The book appends, and prints, whatever it returns; 8 examples divide exactly."""
    net = net2()
    net.accuracy = lambda data, convert=False: share
    found = net.SGD(
        pairs(5, N_IN, N_OUT), 1, 4, 0.1, 0.0, labelled(8, N_IN, N_OUT), False, True
    )
    assert found[1] == [share]
    assert f"Accuracy on evaluation data: {share} / 8\n" in capsys.readouterr().out


ODD = {  # what a script's own method may return, and whether it is a number
    "a list": ([1, 2], False),
    "an empty list": ([], False),
    "a tuple": ((1, 2), False),
    "None": (None, False),
    "a string": ("97 %", False),
    "a dict": ({"right": 3}, False),
    "a complex number": (3 + 1j, False),
    "an array": (np.array([1.0, 2.0]), False),
    "an array of one": (np.array([3.0]), True),
    "a matrix of one": (np.array([[3.0]]), True),
    "an array of no axis": (np.array(3.0), True),
    "NaN": (math.nan, True),
    "True": (True, True),
}
each_odd = pytest.mark.parametrize("odd", ODD)


def of_both(steps, *arguments, epochs=2, **options):
    """Return what SGD of a network with these steps, and of the book's, returns and prints."""
    found = []
    np.random.seed(5)
    for net in (net2(), Book(SIZES)):
        vars(net).update(steps)
        random.seed(5)
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            try:
                figures = net.SGD(pairs(11, N_IN, N_OUT), epochs, 4, *arguments, **options)
            except (TypeError, ValueError):  # of an array, that it has no truth
                figures = None
        found.append((figures, shown.getvalue().splitlines()))
    return found


@each_odd
@pytest.mark.parametrize("method", ["accuracy", "total_cost"])
def test_what_a_method_of_ones_own_returns_is_printed_and_appended(odd, method):
    value, is_number = ODD[odd]
    own = {method: lambda data, *more, convert=False: value}
    test = labelled(8, N_IN, N_OUT)
    (figures, lines), (expected, wanted) = of_both(own, 0.05, 0.1, test, **ALL)
    chosen = slice(1, None, 2) if method == "accuracy" else slice(0, None, 2)
    assert figures[chosen] == expected[chosen] or value != value
    assert all(each is value for figure in figures[chosen] for each in figure)
    word = "Accuracy" if method == "accuracy" else "Cost"
    assert [line for line in lines if word in line] == [line for line in wanted if word in line]
    assert [line.split(":")[0] for line in lines] == [line.split(":")[0] for line in wanted]
    net = net2()
    vars(net).update(own)
    for verbose in (False, "bar"):
        net.SGD(pairs(11, N_IN, N_OUT), 1, 4, 0.05, 0.1, test, l1=0.1, verbose=verbose, **ALL)
        key = f"evaluation_{'accuracy' if method == 'accuracy' else 'cost'}"
        assert (key in net.history[0]) == is_number
        assert all(type(figure) in (int, float) for figure in net.history[0].values())


@each_odd
@pytest.mark.parametrize("n", [0, 1])
def test_early_stopping_by_an_odd_accuracy_does_what_the_originals_does(odd, n):
    """That compares it, and fails where it is no number; n of 0 is none."""
    value, is_number = ODD[odd]
    own = {"accuracy": lambda data, convert=False: value}
    arguments = (0.05, 0.0, labelled(8, N_IN, N_OUT), False, True, False, False, n)
    found, expected = (figures for figures, _ in of_both(own, *arguments, epochs=3))
    if n and not is_number:
        with pytest.raises(TypeError) as refused:
            net = net2()
            net.accuracy = own["accuracy"]
            net.SGD(pairs(11, N_IN, N_OUT), 3, 4, *arguments, verbose=False)
        assert str(refused.value) == (
            f"evaluation_accuracy must be a number to stop by, got {value!r}"
        )
    else:
        assert list(map(len, found)) == list(map(len, expected))


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("lmbda", [0.0, 0.1])
def test_the_shape_of_a_cost_is_what_total_costs_is(shape, lmbda):
    class Shaped(network2.QuadraticCost):
        @staticmethod
        def fn(a, y):
            return np.reshape(network2.QuadraticCost.fn(a, y), shape)

    test = labelled(8, N_IN, N_OUT)
    (figures, lines), (expected, wanted) = of_both({"cost": Shaped}, 0.05, lmbda, test, **ALL)
    for costs, book in zip(figures[::2], expected[::2], strict=True):
        assert [np.shape(cost) for cost in costs] == [np.shape(cost) for cost in book]
        assert all(shape == np.shape(cost) for cost in costs)
        assert np.allclose(
            costs, book, rtol=1e-9, atol=0
        )  # steps of one network, far from chaos
    assert [line.count("[") for line in lines] == [line.count("[") for line in wanted]
    net = net2(Shaped)
    net.SGD(pairs(11, N_IN, N_OUT), 1, 4, 0.05, lmbda, test, l1=0.1, verbose=False, **ALL)
    assert type(net.history[0]["evaluation_cost"]) is float


def test_figures_are_plain_numbers_whatever_overrides_return(capsys):
    class NumPy(network2.Network):
        def accuracy(self, data, convert=False):
            return np.int64(super().accuracy(data, convert))

        def total_cost(self, data, lmbda, convert=False):
            return np.float32(super().total_cost(data, lmbda, convert))

    found = net2(cls=NumPy).SGD(
        pairs(5, N_IN, N_OUT), 2, 4, 0.1, 0.0, labelled(8, N_IN, N_OUT), **ALL
    )
    assert [{type(value) for value in values} for values in found] == [{float}, {int}] * 2
    json.dumps(found)


# Files


def saved_by_the_original(net, path):
    values = {
        "sizes": net.sizes,
        "weights": [w.tolist() for w in net.weights],
        "biases": [b.tolist() for b in net.biases],
        "cost": str(net.cost.__name__),
    }
    path.write_text(json.dumps(values))


@each_cost
def test_a_file_of_the_original_gives_a_network(cost, tmp_path, capsys):
    book = Book(SIZES, COSTS[cost])
    saved_by_the_original(book, tmp_path / "net")
    before = global_states()
    for load in (network2.load, bpnet.load):
        net = load(str(tmp_path / "net"))
        assert type(net) is network2.Network and net.cost is COSTS[cost]
        assert list(vars(net)) == list(vars(book))
        assert net.sizes == SIZES and net.num_layers == 3
        assert same_bits(parameters_of(net), parameters_of(book))
    assert global_states() == before
    net.SGD(pairs(5, N_IN, N_OUT), 1, 4, 0.5, 0.1)


@pytest.mark.parametrize("sizes", [SIZES, tuple(SIZES), np.array(SIZES)])
@pytest.mark.parametrize("form", ["class", "instance"])
@each_cost
def test_a_file_is_what_the_original_wrote_and_reads(sizes, form, cost, tmp_path):
    given = COSTS[cost] if form == "class" else COSTS[cost]()
    net = network2.Network(sizes, given, seed=1)
    net.save(str(tmp_path / "ours"))
    book = Book(SIZES, COSTS[cost])
    book.biases, book.weights = net.biases, net.weights
    saved_by_the_original(book, tmp_path / "theirs")
    ours = (tmp_path / "ours").read_text()
    assert ours == (tmp_path / "theirs").read_text()
    read = json.loads(ours)
    assert same_bits([np.array(w) for w in read["weights"]], net.weights)
    assert getattr(reference, read["cost"]).__name__ == COSTS[cost].__name__


@each_dtype
@pytest.mark.parametrize("name", ["net", "net.json", "net.npz"])
def test_a_saved_network_comes_back_exactly(dtype, name, tmp_path, capsys):
    net = net2(network2.QuadraticCost(), dtype=dtype, seed=None)
    net.large_weight_initializer()
    net.notes = {"eta": 0.5}
    net.save(tmp_path / name)
    loaded = network2.load(tmp_path / name)
    assert type(loaded) is network2.Network and loaded.cost is network2.QuadraticCost
    assert loaded.notes == net.notes and loaded.dtype == net.dtype
    assert same_bits(parameters_of(loaded), parameters_of(net))
    figures = []
    for each in (net, loaded):
        random.seed(1)
        figures.append(each.SGD(pairs(11, N_IN, N_OUT), 1, 4, 0.5, **dict([*ALL.items()][2:])))
    assert figures[0] == figures[1]


def test_a_cost_of_ones_own_is_found_under_its_name_in_the_module(tmp_path, monkeypatch):
    net = net2(Twice)
    net.save(tmp_path / "net.json")
    monkeypatch.setattr(network2, "Twice", Twice, raising=False)
    assert network2.load(tmp_path / "net.json").cost is Twice


NO_COSTS = ["Twice", "np", "json", "load", "Network", "_Unknown", "Run", "__name__", None]


@pytest.mark.parametrize("name", NO_COSTS)
def test_a_network_of_an_unknown_cost_is_for_use_and_not_to_train(
    name, tmp_path, nothing_changes
):
    book, path = Book(SIZES), tmp_path / "net"
    saved_by_the_original(book, path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "cost": name}))
    net, data = network2.load(path), labelled(8, N_IN, N_OUT)
    assert type(net) is type(bpnet.load(path)) is network2.Network
    assert net.accuracy(data) == book.accuracy(data)
    x, training = data[0][0], pairs(11, N_IN, N_OUT)
    assert np.allclose(net.feedforward(x), book.feedforward(x), rtol=1e-12, atol=0)
    for use in (
        lambda: net.SGD(training, 1, 4, 0.5, 0.1, data, checkpoint=tmp_path / "run", **ALL),
        lambda: net.backprop(*training[0]),
        lambda: net.update_mini_batch(training, 0.5, 0.1, 11),
        lambda: net.total_cost(data, 0.1),
    ):
        with nothing_changes(net, training), pytest.raises(ValueError) as refused:
            use()
        assert str(refused.value) == (
            f"cost must be known to train, the file's is {name!r}: assign a cost to the "
            f"network, or to its name in bpnet.network2 before loading"
        )
    assert os.listdir(tmp_path) == ["net"]
    for end in ("json", "npz"):
        net.save(tmp_path / f"again.{end}")
        again = network2.load(tmp_path / f"again.{end}")
        assert again.cost.name == name
        assert same_bits(parameters_of(again), parameters_of(net))
    assert json.loads((tmp_path / "again.json").read_text())["cost"] == name
    net.cost = network2.CrossEntropyCost
    net.SGD(training, 1, 4, 0.5)


def test_a_file_that_says_two_things_is_refused(tmp_path):
    net2(hidden="relu").save(tmp_path / "net.json")
    for load in (network2.load, bpnet.load):
        assert load(tmp_path / "net.json").hidden == "relu"
    values = json.loads((tmp_path / "net.json").read_text())
    for names, message in [
        (
            {"hidden": "swish"},
            f"hidden must be one of {', '.join(reference.ACTIVATIONS)}, got 'swish'",
        ),
        (
            {"output": "squared"},
            "output must be cross-entropy for the cost CrossEntropyCost, got squared",
        ),
    ]:
        (tmp_path / "net.json").write_text(json.dumps({**values, **names}))
        for load in (network2.load, bpnet.load):
            with pytest.raises(ValueError) as refused:
                load(tmp_path / "net.json")
            assert str(refused.value) == message


def test_chapter_1s_file_gives_a_network_of_the_quadratic_cost(tmp_path):
    bpnet.Network(SIZES, seed=1).save(tmp_path / "net.npz")
    loaded = network2.load(tmp_path / "net.npz")
    assert type(loaded) is network2.Network and loaded.cost is network2.QuadraticCost
    assert type(bpnet.load(tmp_path / "net.npz")) is bpnet.Network
