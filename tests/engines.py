"""What the tests of the core share: its engines, networks, examples, and rounding bounds."""

import numpy as np
import pytest

import bpcore
from bpnet import reference

ENGINES = bpcore.engines()

each_engine = pytest.mark.parametrize(
    "engine", ENGINES, ids=[f"{engine.isa}-{engine.dtype}" for engine in ENGINES]
)
# What packed() takes as sparse: the inputs dense, as values, and as codes of few values.
DENSE, VALUES, CODES = 0, 1, 2
each_form = pytest.mark.parametrize(
    "sparse", [DENSE, VALUES, CODES], ids=["dense", "values", "codes"]
)


def widths(engine):
    """One below, at and above a vector and a padded row; 1; and what lies between."""
    padding = 64 // engine.dtype.itemsize
    edges = {n + d for n in (engine.lanes, padding) for d in (-1, 0, 1)}
    return sorted((edges | {1, 30, 33}) - {0})


def aligned(shape, dtype, guard):
    """Return (array, buffer): zeros on a 64-byte boundary inside a buffer full of guard."""
    margin = 128 // dtype.itemsize
    buffer = np.full(int(np.prod(shape)) + 3 * margin, guard, dtype)
    start = margin + (-buffer[margin:].ctypes.data) % 64 // dtype.itemsize
    array = np.ndarray(shape, dtype, buffer, start * dtype.itemsize)  # where it is, even empty
    array[...] = 0
    return array, buffer


def parameters(sizes, dtype, seed=0):
    """Return normal (biases, weights), scaled so that no neuron is saturated."""
    draw = np.random.RandomState(seed)
    biases = [draw.randn(n_out, 1).astype(dtype) for n_out in sizes[1:]]
    weights = [
        (draw.randn(n_out, n_in) / np.sqrt(n_in)).astype(dtype)
        for n_in, n_out in zip(sizes, sizes[1:])
    ]
    return biases, weights


def packed(engine, x, y=None, *, n_out=None, labels=None, sparse=None, weights=None):
    """Return bpcore.Data packed, its inputs in the form that each_form names, or as found."""
    n_out = y.shape[1] if n_out is None else n_out
    form = sparse if sparse is None else sparse != DENSE
    coded, given = sparse in (None, CODES), {"y": y, "labels": labels, "weights": weights}
    return bpcore.pack(engine, x, n_out, sparse=form, coded=coded, **given)


def csr(x):
    """Return rows x in CSR form, without codes, by NumPy."""
    rows, columns = places = np.nonzero(x)
    offsets = np.searchsorted(rows, np.arange(len(x) + 1)).astype(np.int64)
    columns = columns.astype(np.uint16 if x.shape[1] <= 65536 else np.uint32)
    return bpcore.CSR(x.shape[1], offsets, columns, x[places], None)


def loaded(engine, biases, weights, rows=16, n_threads=1, **kinds):
    """Return a bpcore.Net that holds these parameters."""
    sizes = [weights[0].shape[1], *(len(b) for b in biases)]
    net = bpcore.Net(engine, sizes, rows, n_threads, **kinds)
    net.load(biases, weights)
    return net


def examples(n, n_in, n_out, dtype, seed=0):
    """Return x (n, n_in), two thirds zeros and one row all zeros, and y (n, n_out).

    x has less than 256 values: every form can hold it.
    """
    draw = np.random.RandomState(seed)
    values = draw.choice(draw.randn(200), (n, n_in))
    x = np.where(draw.rand(n, n_in) < 1 / 3, values, 0).astype(dtype)
    x[n // 2 :][:1] = 0
    return x, draw.rand(n, n_out).astype(dtype)


def judge(biases, weights, hidden="sigmoid", output="quadratic", rule="plain"):
    """Return bpnet.reference's network of these parameters, in long double."""
    sizes = [weights[0].shape[1], *(len(b) for b in biases)]
    network = reference.MLP(sizes, hidden, output, rule)
    network.biases = [b.astype(np.longdouble) for b in biases]
    network.weights = [w.astype(np.longdouble) for w in weights]
    network.slots = reference.empty_slots(network, rule)
    return network


def column(row):
    """Return a row as a long double column vector."""
    return row.astype(np.longdouble)[:, None]


def same_bits(first, second):
    """Whether two arrays, or lists of arrays, are the same to the last bit, signs of 0 too."""
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same_bits, first, second))
    return (
        first.shape == second.shape
        and first.dtype == second.dtype
        and first.tobytes() == second.tobytes()
    )


class Bounded:
    """Exact values, and a bound on how far a computed version of each can be from it.

    The bounds are for eps = 2u, twice the unit roundoff.  Any rounded operation has a
    relative error of at most u, and an absolute one of at most `tiny` where the result is
    subnormal.  A quantity that is computed in dtype by one side and in long double by the
    other is covered by the sum of the two eps, because every bound grows at least linearly
    in eps.
    """

    def __init__(self, value, error=None):
        self.value = np.asarray(value, np.longdouble)
        self.error = np.zeros_like(self.value) if error is None else error

    @property
    def most(self):
        """The largest magnitude that the computed version can have."""
        return abs(self.value) + self.error

    @property
    def T(self):
        return Bounded(self.value.T, self.error.T)


class Rounding:
    """Bounds for the operations of backpropagation in dtype, against long double."""

    def __init__(self, dtype):
        self.eps = np.finfo(np.longdouble).eps + np.finfo(dtype).eps
        self.tiny = np.longdouble(np.finfo(dtype).smallest_subnormal)

    def chain(self, a, b, c):
        """c + a @ b as a chain of k products and k additions, fused or not.

        With exact operands: gamma(k + 1) |.| <= (k + 2) eps |.|, in any order of additions
        (Higham, Accuracy and Stability, 3.1).  Inexact ones add |a| db + da (|b| + db) + dc.
        """
        k = a.value.shape[1]
        error = (
            abs(a.value) @ b.error
            + a.error @ b.most
            + c.error
            + (k + 2) * (self.eps * (a.most @ b.most + c.most) + self.tiny)
        )
        return Bounded(a.value @ b.value + c.value, error)

    def product(self, a, b):
        """a * b: one rounding."""
        error = (
            abs(a.value) * b.error + a.error * b.most + self.eps * a.most * b.most + self.tiny
        )
        return Bounded(a.value * b.value, error)

    def difference(self, a, b):
        """a - b: one rounding."""
        error = a.error + b.error + self.eps * (a.most + b.most)
        return Bounded(a.value - b.value, error)

    def sigmoid(self, z):
        """2 ulp <= 2 eps a of its own, and dz / 4 because sigmoid' <= 1/4."""
        a = reference.sigmoid(z.value)
        carried = z.error / 4
        return Bounded(a, carried + 2 * self.eps * (a + carried) + 2 * self.tiny)

    def sigmoid_prime(self, a):
        """a (1 - a): its derivative, 1 - 2 a, is at most 1 in magnitude; two roundings."""
        value = a.value * (1 - a.value)
        return Bounded(value, a.error + 2 * self.eps * (value + a.error) + self.tiny)

    def activations(self, biases, weights, x):
        """The activations (n_out, n) of every layer for the rows of x."""
        found = [Bounded(x.T)]
        for b, w in zip(biases, weights):
            found.append(self.sigmoid(self.chain(w, found[-1], b)))
        return found

    def gradient(self, biases, weights, x, y, scale=None, cost="quadratic"):
        """(activations, deltas) of every layer, the deltas times scale."""
        a = self.activations(biases, weights, x)
        deltas = [self.difference(a[-1], Bounded(y.T))]
        if cost == "quadratic":
            deltas = [self.product(deltas[0], self.sigmoid_prime(a[-1]))]  # BP1
        for l in range(len(weights) - 1, 0, -1):  # BP2
            error = self.chain(weights[l].T, deltas[0], Bounded(np.zeros((1, 1))))
            deltas.insert(0, self.product(error, self.sigmoid_prime(a[l])))
        if scale is not None:
            deltas = [self.product(delta, scale) for delta in deltas]
        return a, deltas

    def descend(self, biases, weights, x, y, scale=None, cost="quadratic", onto=None):
        """onto, or else (biases, weights), plus scale times the gradient summed over the rows
        of x: BP3, BP4."""
        a, deltas = self.gradient(biases, weights, x, y, scale, cost)
        onto_biases, onto_weights = onto or (biases, weights)
        ones = Bounded(np.ones((len(x), 1)))
        return (
            [self.chain(delta, ones, b) for delta, b in zip(deltas, onto_biases)],
            [
                self.chain(delta, a[l].T, w)
                for l, (delta, w) in enumerate(zip(deltas, onto_weights))
            ],
        )

    def decay(self, w, v, keep, l2, l1):
        """keep v - l2 w - l1 sgn(w): three products and two sums, and each factor, which is
        itself a product, carries three roundings.  The sign of w must be certain.

        L2 alone may be a factor s of all weights instead, which is divided out of what is
        added to them: w / s, a product with 1 / s, the sum, and in the end s times that; as
        many roundings of w again, and of z's bias."""
        assert not l1 or (abs(w.value) > w.error).all(), "a weight too near to zero"
        value = keep * v.value - l2 * w.value - l1 * np.sign(w.value)
        most = abs(keep) * v.most + abs(l2) * w.most + abs(l1)
        error = abs(keep) * v.error + abs(l2) * w.error + 6 * (self.eps * most + self.tiny)
        return Bounded(value, error)

    def update_mini_batch(
        self,
        biases,
        weights,
        x,
        y,
        eta,
        cost="quadratic",
        l2=0.0,
        l1=0.0,
        mu=0.0,
        velocity=None,
    ):
        """One step: (biases, weights) or, with a velocity, ((biases, weights), velocity).

        -eta / m carries two roundings, eta's and its own.
        """
        scale = Bounded(-np.longdouble(eta) / len(x))
        scale.error = self.eps * abs(scale.value)
        if velocity is None:
            kept = [self.decay(w, w, 1, eta * l2, eta * l1) for w in weights]
            kept = kept if l2 or l1 else weights
            return self.descend(biases, weights, x, y, scale, cost, (biases, kept))
        kept = (
            [self.decay(b, v, mu, 0, 0) for b, v in zip(biases, velocity[0])],
            [self.decay(w, v, mu, eta * l2, eta * l1) for w, v in zip(weights, velocity[1])],
        )
        steps = self.descend(biases, weights, x, y, scale, cost, kept)
        moved = [
            [self.difference(p, Bounded(-v.value, v.error)) for p, v in zip(parts, step)]
            for parts, step in zip((biases, weights), steps)
        ]
        return tuple(moved), steps

    def cost(self, z, y, cost):
        """The cost of each column of z and y, computed from z or from a.

        Its slope along z is at most |a - y| <= 1 (cross-entropy) or |a - y| / 4.  The
        cross-entropy of a neuron is two terms of one sign, within 8 ulp of its own z (see
        test_the_cross_entropy_is_within_8_ulp); the quadratic cost has a difference and two
        products.  Then a chain of sums.
        """
        a = self.sigmoid(z)
        if cost == "quadratic":
            error = self.difference(a, Bounded(y))
            each = self.product(Bounded(error.value / 2, error.error / 2), error)
        else:
            value = np.logaddexp(0, z.value) - y * z.value
            each = Bounded(value, z.error + 8 * self.eps * (value + z.error) + 8 * self.tiny)
        n = len(y)
        return Bounded(
            each.value.sum(axis=0),
            each.error.sum(axis=0) + n * self.eps * each.most.sum(axis=0),
        )

    def weighted_inputs(self, biases, weights, x):
        """z of the last layer, (n_out, n)."""
        below = self.activations(biases[:-1], weights[:-1], x)[-1]
        return self.chain(weights[-1], below, biases[-1])
