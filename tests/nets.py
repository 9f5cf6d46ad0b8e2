"""What the laws are proven over: networks of every face and kind, data in every form."""

import random
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import parameters_of, twin
from engines import same_bits

from bpnet import MLP, Dataset, Rule, mlp, network, network2, reference

SIZES = [6, 20, 3]  # the middle layer is wide enough for two threads to share
N, HELD_OUT = 23, 16  # examples; accuracies of 16 are exact


class Face(NamedTuple):
    """A class of networks, and in what it differs from the others: a row is all laws need."""

    cls: type
    module: Any  # where scripts assign a sigmoid
    book: type  # the judge, of bpnet.reference
    counter: str  # the method that counts
    counted: str  # what it calls its data
    held_out: str  # what SGD calls held-out data
    figures: dict  # what asks SGD for every cost and accuracy, if there is such data
    steps: tuple  # what scripts override to train otherwise
    counts: dict = {}  # noqa: RUF012 - what asks SGD to count it
    more: tuple = ()  # what update_mini_batch takes after eta
    nothing: Any = None  # what SGD returns where no figure was asked for
    trains: str = "SGD"
    name: str = "training_data"  # what SGD calls its data


FACES = {  # the book's
    "network": Face(
        network.Network,
        network,
        reference.Network,
        "evaluate",
        "test_data",
        "validation_data",
        {"monitor": ["training_cost", "training_accuracy", "validation_cost"]},
        ("cost_derivative", "backprop", "update_mini_batch"),
    ),
    "network2": Face(
        network2.Network,
        network2,
        reference.Network2,
        "accuracy",
        "data",
        "evaluation_data",
        {
            f"monitor_{data}_{figure}": True
            for data in ("evaluation", "training")
            for figure in ("cost", "accuracy")
        },
        ("backprop", "update_mini_batch"),
        {"monitor_evaluation_accuracy": True},
        (0.0, N),
        ([], [], [], []),
    ),
}
CLASSES = FACES | {
    "MLP": Face(
        MLP,
        mlp,
        reference.MLP,
        "count",
        "examples",
        "validation_data",
        {"monitor": ["training_cost", "training_accuracy", "validation_cost"]},
        (),
        trains="train",
        name="examples",
    ),
}


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
        original = getattr(kind, step)

        def method(self, *arguments, **options):
            return original(self, *arguments, **options)

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
KINDS = FAST | SLOW | OWN_UPDATE  # the book's
TRAINED = KINDS | {"MLP": MLP}

each_kind = pytest.mark.parametrize("kind", KINDS)
each_trained = pytest.mark.parametrize("kind", TRAINED)
each_face = pytest.mark.parametrize("kind", FACES)
each_class = pytest.mark.parametrize("kind", CLASSES)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def make(kind, seed=5, sizes=SIZES, **options):
    return TRAINED[kind](sizes, seed=seed, **options)


def face_of(net):
    """Return the face of a network, or of a kind of them."""
    if isinstance(net, str):
        return CLASSES[net.split(",")[0]]
    return next(face for face in CLASSES.values() if isinstance(net, face.cls))


def is_chapter_3(net):
    return isinstance(net, network2.Network)


def judge_of(net, **steps):
    """Return the book's network with net's parameters and cost, some of its steps replaced."""
    judge = twin(net, type("Judge", (face_of(net).book,), steps))
    if hasattr(net, "cost"):
        judge.cost = net.cost
    return judge


def rules(kind):
    """Return what a network of this kind may be trained with, but for the book's own step."""
    if kind not in OWN_UPDATE:
        return {"lmbda": 0.5, "l1": 0.25, "mu": 0.5}
    return {"lmbda": 0.5} if "network2" in kind else {}


def examples(n=N, seed=0, sizes=SIZES, density=1.0):
    """Return n tuples (x, y): x normal, about this share of it not zero, and y one-hot."""
    draw, chosen = np.random.RandomState(seed), np.random.RandomState(seed + 1)
    return [
        (
            draw.randn(sizes[0], 1) * (chosen.rand(sizes[0], 1) < density),
            np.eye(sizes[-1])[:, [draw.randint(sizes[-1])]],
        )
        for _ in range(n)
    ]


def held_out(seed=1, n=HELD_OUT, sizes=SIZES):
    """Return tuples (x, label)."""
    return [(x, int(y.argmax())) for x, y in examples(n, seed, sizes)]


def as_pair(pairs):
    """Return tuples (x, y) or (x, label) as arrays (X, Y)."""
    xs, ys = zip(*pairs)
    y = np.array([np.ravel(y) if np.ndim(y) else y for y in ys])
    return np.concatenate([x.T for x in xs]), y


FORMS = {
    "list": lambda pairs, dtype: list(pairs),
    "pair": lambda pairs, dtype: as_pair(pairs),
    "Dataset": lambda pairs, dtype: Dataset(pairs, dtype=dtype),
}
each_form = pytest.mark.parametrize("form", FORMS)


class Frame:
    """What NumPy makes an array of, as a DataFrame, a Series or a tensor."""

    def __init__(self, array):
        self.array, self.shape, self.ndim = array, array.shape, array.ndim
        self.asked = 0

    def __array__(self, dtype=None, copy=None):
        self.asked += 1
        return self.array if dtype is None else self.array.astype(dtype)

    def __len__(self):
        return len(self.array)


class Sparse:
    """A CSR matrix, as scipy's: of no length, no array, and perhaps not in order."""

    ndim = 2

    def __init__(self, array, shuffled=False):
        rows, columns = np.nonzero(array)
        self.shape, self.nnz = array.shape, len(rows)
        self.indptr = np.searchsorted(rows, np.arange(len(array) + 1)).astype(np.int32)
        self.indices, self.data = columns.astype(np.int32), array[rows, columns]
        if shuffled:
            for begin, end in zip(self.indptr, self.indptr[1:]):
                self.indices[begin:end] = self.indices[begin:end][::-1].copy()
                self.data[begin:end] = self.data[begin:end][::-1].copy()

    def tocsr(self):
        return self

    def copy(self):
        other = Sparse(np.zeros(self.shape))
        other.indptr, other.indices, other.data = self.indptr, self.indices.copy(), self.data
        return other

    def sum_duplicates(self):
        rows = np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))
        order = np.lexsort((self.indices, rows))
        self.indices, self.data = self.indices[order], self.data[order]

    def __len__(self):
        raise TypeError("sparse array length is ambiguous")


def train(net, data=None, epochs=3, *, judged_by=None, eta=0.5, m=4, **options):
    """Train in silence; judged_by is the held-out data, whatever the class calls it."""
    if judged_by is not None:
        options[face_of(net).held_out] = judged_by
    data = examples() if data is None else data
    if isinstance(net, MLP) and "mu" in options:  # which is a parameter of its rule
        options["rule"] = Rule("momentum", mu=options.pop("mu"))
    return trainer_of(net)(data, epochs, m, eta, **{"verbose": False, **options})


def trainer_of(net):
    """Return the method that trains, whatever the class calls it."""
    return getattr(net, face_of(net).trains)


def step(net, mini_batch, eta):
    """Take one step by hand."""
    return net.update_mini_batch(mini_batch, eta, *face_of(net).more)


def count(net, data):
    """Return how many examples the network reads rightly."""
    return getattr(net, face_of(net).counter)(data)


def watched(kind, form="list", dtype="float64", seed=5, **options):
    """Return a network that was trained with every figure looked at, regularised if it may."""
    net = make(kind, dtype=dtype, seed=seed)
    options = {**face_of(net).figures, **rules(kind), "mu": 0.0, **options}
    if face_of(net) is FACES["network"]:
        options["test_data"] = FORMS[form](held_out(2), dtype)
        options["monitor"] = [*options["monitor"], "test_cost"]
    judged_by = FORMS[form](held_out(), dtype)
    data = [(x.astype(dtype), y.astype(dtype)) for x, y in examples()]
    net.result = train(net, FORMS[form](data, dtype), judged_by=judged_by, **options)
    return net


def visited(data, epochs, seed):
    """Return the order in which a network of this seed visits examples in the last epoch."""
    order, source = list(data), random.Random(seed)
    for _ in range(epochs):
        source.shuffle(order)
    return order


def copies(net):
    return [p.copy() for p in parameters_of(net)]


def equal(a, b):
    """Whether two networks have the same parameters, to the bit."""
    return same_bits(parameters_of(a), parameters_of(b))


def shuffler(net):
    """Return the state of the generator that shuffles for net."""
    return (net._rng or random).getstate()


def timeless(history):
    """Return a history without how long its epochs took."""
    return [{key: record[key] for key in record if key != "seconds"} for record in history]
