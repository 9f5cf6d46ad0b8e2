"""What the tests of SGD share: networks of every kind, data in every form, and their state."""

import random

import numpy as np
import pytest
from conftest import parameters_of

from bpnet import Dataset, network, network2

SIZES = [6, 20, 3]  # the middle layer is wide enough for two threads to share
N, HELD_OUT = 23, 16  # examples; accuracies of 16 are exact


class OwnCost(network2.CrossEntropyCost):
    """A cost that the core does not know."""

    @staticmethod
    def fn(a, y):
        return 2 * network2.CrossEntropyCost.fn(a, y)

    @staticmethod
    def delta(z, a, y):
        return 2 * (a - y)


def passing(kind, *steps):
    """Return a subclass that overrides steps by what they are, so that SGD must call them."""

    def override(step):
        def method(self, *arguments, **options):
            return getattr(kind, step)(self, *arguments, **options)

        return method

    return type("Passing", (kind,), {step: override(step) for step in steps})


def quadratic(*arguments, **options):
    return network2.Network(*arguments, network2.QuadraticCost, **options)


def own_cost(*arguments, **options):
    return network2.Network(*arguments, OwnCost, **options)


FAST = {
    "network": network.Network,
    "network2": network2.Network,
    "network2, quadratic": quadratic,
}
SLOW = {
    "network, backprop": passing(network.Network, "backprop"),
    "network2, backprop": passing(network2.Network, "backprop"),
    "network2, own cost": own_cost,
}
OWN_UPDATE = {  # momentum is not theirs
    "network, update_mini_batch": passing(network.Network, "update_mini_batch"),
    "network2, update_mini_batch": passing(network2.Network, "update_mini_batch"),
}
KINDS = FAST | SLOW | OWN_UPDATE

each_kind = pytest.mark.parametrize("kind", KINDS)
each_class = pytest.mark.parametrize("kind", ["network", "network2"])
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def make(kind, seed=5, sizes=SIZES, **options):
    return KINDS[kind](sizes, seed=seed, **options)


def examples(n=N, seed=0, sizes=SIZES):
    """Return n tuples (x, y), x normal and y one-hot."""
    draw = np.random.RandomState(seed)
    return [
        (draw.randn(sizes[0], 1), np.eye(sizes[-1])[:, [draw.randint(sizes[-1])]])
        for _ in range(n)
    ]


def held_out(seed=1):
    """Return tuples (x, label)."""
    return [(x, int(y.argmax())) for x, y in examples(HELD_OUT, seed)]


def as_pair(pairs):
    """Return tuples (x, y) or (x, label) as arrays (X, Y)."""
    xs, ys = zip(*pairs)
    return np.concatenate([x.T for x in xs]), np.array([np.ravel(y) for y in ys]).squeeze()


FORMS = {
    "list": lambda pairs, dtype: list(pairs),
    "pair": lambda pairs, dtype: as_pair(pairs),
    "Dataset": lambda pairs, dtype: Dataset(pairs, dtype=dtype),
}
each_form = pytest.mark.parametrize("form", FORMS)


def is_chapter_3(net):
    return isinstance(net, network2.Network)


def train(net, data=None, epochs=3, *, judged_by=None, eta=0.5, m=4, **options):
    """Train in silence; judged_by is the held-out data, whatever the class calls it."""
    if judged_by is not None:
        name = "evaluation_data" if is_chapter_3(net) else "validation_data"
        options[name] = judged_by
    data = examples() if data is None else data
    return net.SGD(data, epochs, m, eta, **{"verbose": False, **options})


def copies(net):
    return [p.copy() for p in parameters_of(net)]


def shuffler(net):
    """Return the state of the generator that shuffles for net."""
    return (net._rng or random).getstate()


def timeless(history):
    """Return a history without how long its epochs took."""
    return [{key: record[key] for key in record if key != "seconds"} for record in history]
