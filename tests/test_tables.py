"""Laws over the core's three tables: a row is tested because it is in its table.

The judge is bpnet.reference's row of the same name, in long double.
"""

import inspect
import itertools
import random

import numpy as np
import pytest
from engines import (
    ENGINES,
    VALUES,
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
)

import bpcore
from bpnet import reference

ACTIVATIONS, OUTPUTS, RULES = (
    ENGINES[0].activations,
    ENGINES[0].outputs,
    ENGINES[0].rules,
)
ETA = 0.05
VALUES_OF = {"mu": 0.7, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-3}
TERMS = {
    "plain": {},
    "L2": {"l2": 0.02},
    "L1": {"l1": 0.003},
    "both": {"l2": 0.02, "l1": 0.003},
}

each_activation = pytest.mark.parametrize("hidden", ACTIVATIONS)
each_output = pytest.mark.parametrize("output", OUTPUTS)
each_rule = pytest.mark.parametrize("rule", RULES)
each_term = pytest.mark.parametrize("terms", TERMS.values(), ids=TERMS)
each_double = pytest.mark.parametrize(
    "engine", [e for e in ENGINES if e.dtype == np.float64], ids=lambda engine: engine.isa
)


def values_of(rule):
    defaults = inspect.signature(reference.RULES[rule][0]).parameters
    return {name: VALUES_OF.get(name, defaults[name].default) for name in RULES[rule][0]}


def of_one(output, shapes):
    """Return shapes with one output, or none where that is not for one."""
    return shapes if OUTPUTS[output] < 2 else []


def start(sizes, dtype):
    """Return parameters whose weights are away from 0, so that their signs are certain."""
    biases, weights = parameters(sizes, dtype)
    return biases, [w + np.where(w < 0, -0.1, 0.1).astype(dtype) for w in weights]


def descended(engine, sizes, rule, x, y, m, *, order=None, epochs=1, n_threads=1, **options):
    """Return a net after some epochs from the same start; kinds of net by their names."""
    kinds = {k: options.pop(k) for k in ("hidden", "output") if k in options}
    form = options.pop("sparse", 0)
    net = loaded(engine, *start(sizes, engine.dtype), 32, n_threads, rule=rule, **kinds)
    weights, eta = options.pop("weights", None), options.pop("eta", ETA)
    data = packed(
        engine, x, y, sparse=form, **({} if weights is None else {"weights": weights})
    )
    for _ in range(epochs):
        net.sgd(
            data,
            order or bpcore.Order(len(x)),
            m,
            eta,
            parameters=tuple(values_of(rule).values()),
            **options,
        )
    return net


def all_of(net):
    """Return every number that a net holds."""
    steps, slots = net.state()
    return [np.array(steps), *net.store(), *(part for slot in slots for part in slot)]


def test_every_engine_has_the_references_rows():
    for engine in ENGINES:
        assert engine.activations == tuple(reference.ACTIVATIONS)
        assert list(engine.outputs) == list(reference.OUTPUTS)
        assert engine.targets == {n: cost.targets for n, (_, cost) in reference.OUTPUTS.items()}
        assert list(engine.rules) == list(reference.RULES)
        for name, (names, slots) in engine.rules.items():
            step, kept = reference.RULES[name]
            assert slots == kept
            assert list(names) == list(inspect.signature(step).parameters)[4:]


@each_engine
@each_output
def test_an_output_reaches_just_what_its_row_says(engine, output):
    """From the smallest weighted inputs to the largest, and each end of the range."""
    least, most = engine.targets[output]
    x = np.linspace(-500, 500, 101, dtype=engine.dtype)[:, None]
    weights = [np.array([[1], [-1], [0.01]], engine.dtype)]
    net = loaded(engine, [np.zeros((3, 1), engine.dtype)], weights, 4, output=output)
    found = net.feedforward(bpcore.Data(engine, x, 3))
    assert least <= found.min() and found.max() <= most
    assert found.min() < (-100 if least == -np.inf else least + 0.01)
    assert found.max() > (100 if most == np.inf else most - 0.01)


@each_engine
@each_activation
def test_an_activation_is_within_4_ulp(engine, hidden):
    draw, finfo = np.random.RandomState(0), np.finfo(engine.dtype)
    points = [
        *(scale * draw.randn(999) for scale in (1e-30, 1e-4, 1, 30, 1e4)),
        [0.0, -0.0, 1, -1, finfo.max, -finfo.max, np.inf, -np.inf],
    ]
    z = np.concatenate(points).astype(engine.dtype)
    z = z[: len(z) // engine.lanes * engine.lanes]
    a = np.zeros(len(z) + 64 // z.itemsize, z.dtype)
    begin = -a.ctypes.data % 64 // z.itemsize
    a = a[begin : begin + len(z)]
    a[...] = z
    engine.activate(hidden, a)
    true = reference.ACTIVATIONS[hidden][0](z.astype(np.longdouble))
    same = a == true
    error = abs(a[~same] - true[~same])
    assert (error <= 4 * finfo.eps / 2 * abs(true[~same]) + finfo.smallest_subnormal).all()
    a[: engine.lanes] = np.nan
    engine.activate(hidden, a)
    assert np.isnan(a[: engine.lanes]).all()


class Through(Rounding):
    """Bounds for any row of the tables, by moving what goes in by its error."""

    ULPS = 16  # of an activation, its derivative, an error: a few roundings of 4 ulp each

    def moved(self, f, z, scale):
        """f(z), whose columns are examples and any item of which may depend on any of z."""
        value, error = f(z.value), 0
        for j in range(len(z.value)):
            step = np.zeros_like(z.value)
            step[j] = z.error[j]
            error = error + np.maximum(
                abs(f(z.value + step) - value), abs(f(z.value - step) - value)
            )
        return Bounded(
            value, 2 * error + self.ULPS * (self.eps * (abs(value) + scale) + self.tiny)
        )

    def gradient_of(self, biases, weights, x, y, hidden, output):
        """The gradient (nabla_b, nabla_w) summed over the rows of x."""
        f, f_prime = reference.ACTIVATIONS[hidden]
        g, cost = reference.OUTPUTS[output]
        activations, primes = [Bounded(x.T)], []
        for b, w in zip(biases[:-1], weights[:-1]):
            z = self.chain(Bounded(w), activations[-1], Bounded(b))
            activations.append(self.moved(f, z, 0))
            primes.append(self.moved(f_prime, z, 1))
        z = self.chain(Bounded(weights[-1]), activations[-1], Bounded(biases[-1]))

        def by_column(f):
            return lambda v: np.stack([f(c[:, None])[:, 0] for c in v.T], axis=1)

        a = by_column(g)(z.value)
        target = y.T.astype(np.longdouble)

        def delta_of(v):
            return cost.delta(v, by_column(g)(v), target)

        deltas = [self.moved(delta_of, z, abs(a) + abs(target))]
        for w, prime in zip(weights[:0:-1], primes[::-1]):
            zero = Bounded(np.zeros((w.shape[1], len(x))))
            deltas.insert(0, self.product(self.chain(Bounded(w.T), deltas[0], zero), prime))
        ones, zero = Bounded(np.ones((len(x), 1))), Bounded(np.zeros((1, 1)))
        return (
            [self.chain(delta, ones, zero) for delta in deltas],
            [self.chain(delta, a.T, zero) for delta, a in zip(deltas, activations)],
        )


def sum_of_gradients(network, x, y):
    return reference.sum_of_gradients(network, [(column(r), column(t)) for r, t in zip(x, y)])


@each_engine
@each_form
@each_activation
@each_output
def test_backprop_is_the_reference_to_rounding(engine, sparse, hidden, output):
    for sizes, rows in itertools.product(
        [[7, 5, 3], [4, 17, 9, 2], *of_one(output, [[5, 1], [3, 4, 1]])],
        [None, np.array([4, 0, 5, 4, 1])],
    ):
        biases, weights = parameters(sizes, engine.dtype)
        x, y = examples(6, sizes[0], sizes[-1], engine.dtype)
        net = loaded(engine, biases, weights, 4, hidden=hidden, output=output)
        found = net.backprop(packed(engine, x, y, sparse=sparse), rows)
        if rows is not None:
            x, y = x[rows], y[rows]
        exact = sum_of_gradients(judge(biases, weights, hidden, output), x, y)
        bounds = Through(engine.dtype).gradient_of(biases, weights, x, y, hidden, output)
        for parts in zip(found, exact, bounds):
            for f, e, b in zip(*parts, strict=True):
                assert (abs(f - e) <= b.error).all(), sizes
                assert b.error.max() < 2e4 * np.finfo(engine.dtype).eps * (1 + abs(e).max())


@each_double
@each_activation
@each_output
def test_backprop_is_the_slope_of_the_cost(engine, hidden, output):
    sizes, h = [4, 5, 3, 2], 1e-6
    x, y = examples(3, 4, 2, engine.dtype)
    x[x == 0] = 0.3
    y /= y.sum(axis=1, keepdims=True)  # log-likelihood: of probabilities
    data = packed(engine, x, y)
    biases, weights = parameters(sizes, engine.dtype)

    def cost():
        costs = np.zeros(len(x))
        net.load(biases, weights)
        net.evaluate(data, costs, count=False)
        return costs.sum()

    net = loaded(engine, biases, weights, hidden=hidden, output=output)
    nabla = [*net.backprop(data)[0], *net.backprop(data)[1]]
    for p, slope in zip([*biases, *weights], nabla, strict=True):
        for i in np.ndindex(p.shape):
            kept = p[i]
            p[i] = kept + h
            above = cost()
            p[i] = kept - h
            below = cost()
            p[i] = kept
            # Truncation h^2 and rounding eps / h of costs of size 1 to 10.
            assert abs((above - below) / (2 * h) - slope[i]) < 1e-8 * (1 + above), (i, hidden)


@each_engine
@each_output
def test_costs_are_the_references_to_rounding(engine, output):
    g, cost = reference.OUTPUTS[output]
    for sizes in [[3, 2], [4, 5, engine.lanes + 2], *of_one(output, [[3, 4, 1]])]:
        biases, weights = parameters(sizes, engine.dtype)
        x, y = examples(40, sizes[0], sizes[-1], engine.dtype)
        y[3] = 0
        rounding, costs = Through(engine.dtype), np.zeros(40, engine.dtype)
        net = loaded(engine, biases, weights, output=output)
        net.evaluate(packed(engine, x, y), costs, count=False)
        z = rounding.weighted_inputs(
            [Bounded(b) for b in biases], [Bounded(w) for w in weights], x
        )
        for i, found in enumerate(costs):
            part, t = Bounded(z.value[:, [i]], z.error[:, [i]]), column(y[i])

            def of(v, t=t):
                return np.full((1, 1), exact_cost(cost, g, v, t))

            terms = abs(part.value).sum() + abs(t).sum() + abs(g(part.value)).sum() + len(t)
            bound = rounding.moved(of, part, terms)
            assert abs(found - bound.value[0, 0]) <= bound.error[0, 0], (sizes, i)


def exact_cost(cost, g, z, y):
    """The reference's cost; of those that are sums of large terms, from z in long double."""
    with np.errstate(all="ignore"):
        a = g(z)
        if cost is reference.CrossEntropyCost:
            return np.sum(np.logaddexp(0, z) - y * z)
        if cost is reference.LogLikelihoodCost:
            return -np.sum(y * np.log(a))
        return cost.fn(a, y)


class Running:
    """A number beside a bound on its error: the reference's steps computed with these give the
    bound of the core's, whose operations are the same to a factor of 2 in their number."""

    __array_ufunc__ = None

    def __init__(self, value, error, eps):
        self.value, self.error, self.eps = value, error, eps

    def _of(self, value, error):
        return Running(value, error + 4 * self.eps * (abs(value) + error), self.eps)

    def _parts(self, other):
        if isinstance(other, Running):
            return other.value, other.error
        return np.longdouble(other), abs(np.longdouble(other)) * self.eps

    def __add__(self, other):
        value, error = self._parts(other)
        return self._of(self.value + value, self.error + error)

    def __sub__(self, other):
        value, error = self._parts(other)
        return self._of(self.value - value, self.error + error)

    def __mul__(self, other):
        value, error = self._parts(other)
        most = abs(self.value) * error + self.error * (abs(value) + error)
        return self._of(self.value * value, most)

    def __truediv__(self, other):
        value, error = self._parts(other)
        least = abs(value) - error
        assert np.all(least > 0)
        most = (self.error + abs(self.value) * error / abs(value)) / least
        return self._of(self.value / value, most)

    def __pow__(self, n):
        assert n == 2
        return self * self

    def __neg__(self):
        return Running(-self.value, self.error, self.eps)

    __radd__, __rmul__ = __add__, __mul__

    def sqrt(self):
        low = np.sqrt(np.maximum(self.value - self.error, 0))
        value = np.sqrt(self.value)
        return self._of(
            value, np.maximum(value - low, np.sqrt(self.value + self.error) - value)
        )


@each_engine
@each_form
@each_rule
@each_term
@pytest.mark.parametrize("m", [4, 140], ids=["m=4", "m=140"])
def test_a_step_is_the_reference_to_rounding(engine, sparse, rule, terms, m, monkeypatch):
    """Three steps, the last mini-batch short, in shares where the rule has them, and whole."""
    monkeypatch.setattr(reference, "np", NumPyOfRunning)
    sizes, n = [7, 5, 3], 2 * m + 3
    x, y = examples(n, 7, 3, engine.dtype)
    order = bpcore.Order(n)
    order.shuffle(random.Random(1))
    options = {"sparse": sparse, "order": order, "output": "cross-entropy"}
    net = descended(engine, sizes, rule, x, y, m, **options, **terms)

    biases, weights = start(sizes, engine.dtype)
    network, rounding = (
        judge(biases, weights, output="cross-entropy", rule=rule),
        Rounding(engine.dtype),
    )
    state = [Running(p.astype(np.longdouble), 0 * p, rounding.eps) for p in (*biases, *weights)]
    slots = [
        [Running(0 * p.value, 0 * p.value, rounding.eps) for _ in range(RULES[rule][1])]
        for p in state
    ]
    step, depth = reference.RULES[rule][0], len(biases)
    l2, l1 = (np.longdouble(terms.get(name, 0)) for name in ("l2", "l1"))
    values = {name: np.longdouble(value) for name, value in values_of(rule).items()}
    for t, k in enumerate(range(0, n, m), 1):
        picked = order.tolist()[k : k + m]
        now = [Bounded(p.value, p.error) for p in state]
        none = [Bounded(0 * p.value) for p in state]
        gradient = rounding.descend(
            now[:depth],
            now[depth:],
            x[picked],
            y[picked],
            cost="cross-entropy",
            onto=(none[:depth], none[depth:]),
        )
        for i, g in enumerate([*gradient[0], *gradient[1]]):
            # Products scaled one by one, a rounding each, whose sum is not above that of sizes.
            g = Running(
                g.value,
                g.error + 2 * len(picked) * rounding.eps * (abs(g.value) + 1),
                rounding.eps,
            )
            g = g / len(picked)
            if i >= depth:
                w = state[i]
                assert not l1 or (abs(w.value) > w.error).all()
                g = g + l2 * w + l1 * np.sign(w.value)
            state[i] = state[i] + step(g, slots[i], t, np.longdouble(ETA), **values)
        batch = [(column(x[i]), column(y[i])) for i in picked]
        network.update_mini_batch(batch, np.longdouble(ETA), l2=l2, l1=l1, **values)
    steps, kept = net.state()
    assert steps == 3
    found = [sum(net.store(), []), *(sum(slot, []) for slot in kept)]
    bounds = [state, *([slot[q] for slot in slots] for q in range(len(kept)))]
    for f, b in zip(sum(found, []), sum(bounds, []), strict=True):
        assert (abs(f - b.value) <= b.error).all()
        assert b.error.max() < 2e5 * np.finfo(engine.dtype).eps
    for exact, b in zip([*network.biases, *network.weights], state, strict=True):
        assert (abs(exact - b.value) <= b.error).all()


class NumPyOfRunning:
    """numpy, whose sqrt also takes a Running."""

    @staticmethod
    def sqrt(value):
        return value.sqrt() if isinstance(value, Running) else np.sqrt(value)

    def __class_getitem__(cls, _):
        raise TypeError


for _name in dir(np):
    if not _name.startswith("_") and _name != "sqrt":
        setattr(NumPyOfRunning, _name, getattr(np, _name))


@each_engine
@each_rule
@each_term
def test_a_step_gives_the_same_bits_in_every_form_and_thread(engine, rule, terms):
    for sizes, m, n in [([20, 30, 10], 3, 23), ([9, 70, 65, 3], 5, 23), ([33, 40], 150, 400)]:
        x, y = examples(n, sizes[0], sizes[-1], engine.dtype)
        found = []
        for sparse in (0, 1, 2):
            for n_threads in (1, 3):
                losses = np.zeros((-(-n // m), 2))
                options = {"sparse": sparse, "n_threads": n_threads, "losses": losses}
                net = descended(engine, sizes, rule, x, y, m, epochs=2, **options, **terms)
                found.append([*all_of(net), losses])
        losses = found[0][-1]
        # Asking for the losses changes nothing; nor does giving the examples a call at a time.
        net = descended(engine, sizes, rule, x, y, m, epochs=2, **terms)
        found.append([*all_of(net), losses])
        assert same_bits(found[1:], found[:1] * (len(found) - 1)), sizes


@each_engine
@each_activation
@each_output
def test_every_kind_of_net_gives_the_same_bits_in_every_form_and_thread(engine, hidden, output):
    last = 2 if OUTPUTS[output] == 2 else 1
    for sizes, m in [
        ([20, 30, 10], 4),
        ([9, 70, 90], 4),
        ([33, 40], 4),
        ([5, 90, 50, last], 130),
    ]:
        x, y = examples(140 if m > 4 else 23, sizes[0], sizes[-1], engine.dtype)
        x /= 10  # exp of it, through identities, is finite
        found = []
        for sparse in (0, 1):
            for n_threads in (1, 2, 3, 5):
                losses = np.zeros((-(-len(x) // m), 2))
                kinds = {"hidden": hidden, "output": output, "losses": losses, "l2": 0.01}
                options = {"sparse": sparse, "n_threads": n_threads, "eta": 1e-4, **kinds}
                net = descended(engine, sizes, "momentum", x, y, m, **options)
                data, costs = packed(engine, x, y, sparse=sparse), np.zeros(len(x), x.dtype)
                net.evaluate(data, costs, count=False)
                found.append([*all_of(net), losses, costs, net.feedforward(data)])
        assert np.isfinite(found[0][-1]).all()
        assert same_bits(found[1:], found[:1] * (len(found) - 1)), sizes


@each_engine
@each_output
@each_rule
@pytest.mark.parametrize("m", [4, 130])
def test_losses_are_the_costs_before_each_step(engine, output, rule, m):
    sizes, n, terms = [6, 20, 3], 2 * m + 3, {"l2": 0.02, "l1": 0.003}
    x, y = examples(n, 6, 3, engine.dtype)
    weights = np.random.RandomState(0).rand(n).astype(engine.dtype)
    for by_batch in (False, True):
        losses = np.zeros((3, 2))
        descended(
            engine,
            sizes,
            rule,
            x,
            y,
            m,
            output=output,
            losses=losses,
            weights=weights,
            l2_by_batch=by_batch,
            **terms,
        )
        for b in range(3):
            net = (
                descended(
                    engine,
                    sizes,
                    rule,
                    x[: b * m],
                    y[: b * m],
                    m,
                    output=output,
                    weights=weights[: b * m] if b else None,
                    l2_by_batch=by_batch,
                    **terms,
                )
                if b
                else loaded(engine, *start(sizes, engine.dtype), output=output)
            )
            rows = slice(b * m, (b + 1) * m)
            costs, total = np.zeros(len(x[rows]), x.dtype), weights[rows].sum(dtype=np.float64)
            net.evaluate(
                packed(engine, x[rows], y[rows], weights=weights[rows]), costs, count=False
            )
            ws = [w.astype(np.float64) for w in net.store()[1]]
            l2 = terms["l2"] / total if by_batch else terms["l2"]
            penalty = sum(l2 / 2 * (w**2).sum() + terms["l1"] * abs(w).sum() for w in ws)
            # Column sums in the item type: a rounding for each row and term.
            for got, mean in zip(losses[b], (costs.sum(dtype=np.float64) / total, penalty)):
                assert abs(got - mean) <= 50 * np.finfo(engine.dtype).eps * (1 + mean), b


@each_engine
@each_form
@each_rule
@pytest.mark.parametrize("m", [6, 200])
def test_a_weight_is_how_often_an_example_counts(engine, sparse, rule, m):
    sizes = [7, 5, 3]
    x, y = examples(m, 7, 3, engine.dtype)
    times = np.random.RandomState(1).randint(0, 4, m)
    times[0] = 1
    rows = np.repeat(np.arange(m), times)
    options = {"sparse": sparse, "output": "cross-entropy", "l2": 0.01, "l2_by_batch": True}
    one = descended(engine, sizes, rule, x, y, m, weights=times.astype(x.dtype), **options)
    two = descended(engine, sizes, rule, x[rows], y[rows], len(rows), **options)
    for a, b in zip(sum(one.store(), []), sum(two.store(), [])):
        # The same sums but for the order of their roundings, through a step of eta.
        assert abs(a - b).max() <= 300 * np.finfo(x.dtype).eps


@each_engine
@each_form
@each_rule
@pytest.mark.parametrize("m", [4, 128])
def test_l2_by_batch_is_l2_over_the_examples_weights(engine, sparse, rule, m):
    x, y = examples(3 * m, 7, 3, engine.dtype)
    options = {"sparse": sparse, "output": "cross-entropy"}
    # m is a power of two: dividing by it is exact.
    each = descended(engine, [7, 5, 3], rule, x, y, m, l2=0.02, **options)
    summed = descended(
        engine, [7, 5, 3], rule, x, y, m, l2=m * 0.02, l2_by_batch=True, **options
    )
    assert same_bits(all_of(each), all_of(summed))


@each_engine
@each_form
@each_rule
def test_a_large_mini_batch_makes_the_whole_step(engine, sparse, rule):
    """Shares of eta / m, each under half an ulp of a float32 weight, must not be lost."""
    n, sizes, eta = 20_000, [12, 9, 3], 0.01
    x, y = examples(n, 12, 3, engine.dtype)
    double = next(e for e in ENGINES if e.isa == engine.isa and e.dtype == np.float64)
    moved = []
    for each in (engine, double):
        biases, weights = start(sizes, engine.dtype)
        copies = ([p.astype(each.dtype) for p in part] for part in (biases, weights))
        net = loaded(each, *copies, rule=rule, output="cross-entropy")
        data = packed(each, x.astype(each.dtype), y.astype(each.dtype), sparse=sparse)
        net.sgd(data, bpcore.Order(n), n, eta, parameters=tuple(values_of(rule).values()))
        moved.append([p.astype(np.float64) - q for p, q in zip(net.store()[1], weights)])
    for one, two in zip(*moved):
        # A rounding of the weight itself, and a sum of 20,000 rounded terms.
        bound = np.finfo(engine.dtype).eps * (2 + 40 * abs(two).max())
        assert np.sqrt(np.mean((one - two) ** 2)) <= bound


@each_engine
@each_form
@pytest.mark.parametrize("sizes", [[3, 20], [3, 4, 20]])
def test_errors_are_summed_before_they_meet_a_bias(engine, sparse, sizes):
    """Shares of 2^-16, each under half an ulp of a float32 bias near 1024, must not be lost."""
    m, dtype = 64, engine.dtype
    biases = [np.full((n, 1), 1024, dtype) for n in sizes[1:]]
    weights = [np.zeros((n, k), dtype) for k, n in zip(sizes, sizes[1:])]
    net = loaded(engine, biases, weights, m, hidden="identity", output="squared")
    x, y = examples(m, 3, 20, dtype)[0], np.full((m, 20), 1023, dtype)
    net.sgd(packed(engine, x, y, sparse=sparse), bpcore.Order(m), m, 2**-10)
    assert (net.store()[0][-1] == 1024 - 2**-10).all()


class StopError(Exception):
    pass


@each_engine
@each_rule
def test_a_long_mini_batch_can_be_interrupted_and_is_then_dropped(engine, rule):
    sizes, n = [40, 900, 3], 6000
    x, y = examples(n, 40, 3, engine.dtype)
    net = loaded(engine, *start(sizes, engine.dtype), rule=rule)
    before, seen = all_of(net), []

    def progress(done):
        seen.append(done)
        if len(seen) == 2:
            raise StopError

    values = tuple(values_of(rule).values())
    with pytest.raises(StopError):
        net.sgd(
            packed(engine, x, y), bpcore.Order(n), n, ETA, parameters=values, progress=progress
        )
    assert sum(seen) < n and same_bits(all_of(net), before)
    whole = loaded(engine, *start(sizes, engine.dtype), rule=rule)
    for each in (net, whole):
        each.sgd(
            packed(engine, x[:200], y[:200]), bpcore.Order(200), 200, ETA, parameters=values
        )
    assert same_bits(all_of(net), all_of(whole))


@each_engine
@each_rule
def test_slots_come_back_and_a_run_goes_on_to_the_same_bits(engine, rule):
    sizes = [7, 70, 3]
    x, y = examples(30, 7, 3, engine.dtype)
    once = descended(engine, sizes, rule, x, y, 4, epochs=4)
    half = descended(engine, sizes, rule, x, y, 4, epochs=2)
    other = loaded(engine, *half.store(), rule=rule)
    other.restore(*half.state())
    for _ in range(2):
        other.sgd(
            packed(engine, x, y),
            bpcore.Order(30),
            4,
            ETA,
            parameters=tuple(values_of(rule).values()),
        )
    assert same_bits(all_of(other), all_of(once))
    with pytest.raises(ValueError, match=rf"slots must be \d for the rule {rule}, got 5"):
        other.restore(0, [half.store()] * 5)


@each_engine
def test_names_that_are_in_no_table_are_refused(engine):
    for kind, names in [("hidden", ACTIVATIONS), ("output", OUTPUTS), ("rule", RULES)]:
        with pytest.raises(
            ValueError, match=f"{kind} must be one of {', '.join(names)}, got 'x'"
        ):
            bpcore.Net(engine, [4, 2], 1, **{kind: "x"})
    with pytest.raises(ValueError, match="output log-likelihood needs 2 neurons or more, got"):
        bpcore.Net(engine, [4, 1], 1, output="log-likelihood")
    net, data = (
        bpcore.Net(engine, [4, 2], 1, rule="adam"),
        packed(engine, *examples(3, 4, 2, engine.dtype)),
    )
    with pytest.raises(ValueError, match="parameters must be beta_1, beta_2, epsilon for"):
        net.sgd(data, bpcore.Order(3), 1, ETA)


@each_engine
@pytest.mark.parametrize("sparse", [0, VALUES])
def test_one_output_above_a_half_is_a_one(engine, sparse):
    x = np.array([[3], [-3], [0.001], [0]], engine.dtype)
    for labels, right in [([1, 0, 1, 0], 4), ([0, 0, 0, 0], 2), ([1, 1, 1, 1], 2)]:
        data = packed(engine, x, n_out=1, labels=np.array(labels), sparse=sparse)
        net = bpcore.Net(engine, [1, 1], 4)
        net.load([np.zeros((1, 1), engine.dtype)], [np.ones((1, 1), engine.dtype)])
        assert net.evaluate(data) == right
