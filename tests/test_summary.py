"""What networks say of themselves: a line, whatever they are, and a table of their layers."""

import copy

import numpy as np
import pytest
from nets import CLASSES, SIZES, each_class, each_trained, make, train, watched

import bpnet
from bpnet import MLP, Network, network2


def with_history(net, *figures, stopped_by="epochs"):
    net.history = [
        {"epoch": k, "eta": 0.5, "seconds": 0.25, "update": 0.125, **each}
        for k, each in enumerate(figures)
    ]
    net.stopped_by = stopped_by
    return net


class Mine(Network):
    """A class of a script's."""


def own_cost():
    class Kosten(network2.QuadraticCost):
        delta = staticmethod(lambda z, a, y: a - y)

    return Kosten


LINES = [
    (lambda: Network([4, 3, 2]), "<bpnet.Network 4-3-2 sigmoid, quadratic, float64>"),
    (lambda: Network((4, 2)), "<bpnet.Network 4-2, quadratic, float64>"),
    (lambda: Mine(np.array([4, 2])), "<Mine 4-2, quadratic, float64>"),
    (
        lambda: network2.Network([4, 3, 2], hidden="relu", dtype="float32"),
        "<bpnet.network2.Network 4-3-2 relu, cross-entropy, float32>",
    ),
    (
        lambda: network2.Network([4, 2], own_cost()),
        "<bpnet.network2.Network 4-2, Kosten, float64>",
    ),
    (
        lambda: MLP([4, 9, 3, 2], hidden="tanh", output="squared"),
        "<bpnet.MLP 4-9-3-2 tanh, squared, float64>",
    ),
    (
        lambda: with_history(MLP([4, 2]), {"validation_accuracy": 0.75}),
        "<bpnet.MLP 4-2, cross-entropy, float64; 1 epoch, validation accuracy 75.00 %>",
    ),
    (
        lambda: with_history(
            Network([4, 2]), {"test_accuracy": 0.9}, {"test_accuracy": 0.85, "test_cost": 1.0}
        ),
        "<bpnet.Network 4-2, quadratic, float64; 2 epochs, test accuracy 85.00 %, "
        "best 90.00 %>",
    ),
    (
        lambda: with_history(
            MLP([4, 2], output="squared"), {"validation_cost": 0.0}, {"validation_cost": 1.5}
        ),
        "<bpnet.MLP 4-2, squared, float64; 2 epochs, validation cost 1.5, best 0>",
    ),
    (
        lambda: with_history(Network([4, 2]), {}, {}, {}),
        "<bpnet.Network 4-2, quadratic, float64; 3 epochs>",
    ),
]


@pytest.mark.parametrize(("made", "line"), LINES, ids=[line for _, line in LINES])
def test_a_line_says_what_a_network_is_and_what_it_was_trained_to(made, line):
    net = made()
    assert repr(net) == str(net) == line
    assert net.summary().splitlines()[0] == line[1:-1]


@each_trained
def test_the_line_of_a_trained_network_has_its_last_accuracy(kind):
    net = watched(kind)
    share = next(v for k, v in net.history[-1].items() if k.endswith("n_accuracy"))
    assert "\n" not in repr(net)
    assert f"; {len(net.history)} epochs, " in repr(net)
    assert f"{100 * share:.2f} %" in repr(net)


class Odd:
    """What no attribute of a network should be."""

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __repr__(self):
        raise RuntimeError("repr")

    def __len__(self):
        raise RuntimeError("len")


ODD = [
    None,
    3,
    "x",
    [],
    [None],
    {},
    object(),
    float("nan"),
    Odd(),
    Odd,
    [Odd()],
    [{"epoch": Odd()}],
]
NAMES = ["sizes", "num_layers", "biases", "weights", "hidden", "dtype", "history", "stopped_by"]
NAMES += ["cost", "notes", "_rng", "feedforward", "summary", "_saved_own"]


@each_class
def test_repr_never_raises(kind):
    cls, whole = CLASSES[kind].cls, with_history(make(kind), {"test_accuracy": 0.5})
    assert repr(cls.__new__(cls)).startswith("<bpnet.")
    for name in NAMES:
        for odd in ODD:
            net = copy.copy(whole)
            vars(net)[name] = odd
            assert repr(net).startswith("<bpnet.")
        vars(net).pop(name)
        assert repr(net).startswith("<bpnet.")
    nothing = type("Nothing", (cls,), {"__init__": lambda self: None})
    assert "Nothing" in repr(nothing())


TABLE = """\
bpnet.network2.Network 4-3-2 sigmoid, log-likelihood, float32; \
2 epochs, evaluation accuracy 50.00 %

layer  neurons  activation  weights  parameters  bytes  mean weight  deviation
    0        4
    1        3     sigmoid    3 x 4          15     60         0.25       0.75
    2        2     softmax    2 x 3           8     32            1          0
  all        9                               23     92

2 epochs in 0.5 s, ended by patience; the last: eta 0.5, update 0.125, \
evaluation accuracy 50.00 %, training cost 0.25"""


def test_a_summary_is_a_table_of_the_layers_and_how_training_ended():
    net = network2.Network([4, 3, 2], network2.LogLikelihoodCost, dtype="float32")
    net.weights = [np.tile([1.0, -0.5], (3, 2)), np.ones((2, 3))]
    figures = {"evaluation_accuracy": 0.5, "training_cost": 0.25}
    with_history(net, {}, figures, stopped_by="patience")
    found = net.summary()
    assert found == TABLE
    assert repr(found) == TABLE  # at a prompt
    assert isinstance(found, str) and type(str(found)) is str


@each_class
def test_a_summary_counts_every_parameter(kind):
    net = make(kind, dtype="float32")
    n = sum(p.size for p in net.biases + net.weights)
    last = net.summary().splitlines()[-1].split()
    assert last == ["all", str(sum(SIZES)), str(n), str(4 * n)]


@each_class
def test_a_summary_of_what_does_not_fit_says_so(kind):
    net = make(kind)
    net.weights = net.weights[:1]
    with pytest.raises(ValueError, match=r"^weights must hold 2 arrays to match sizes"):
        net.summary()


@each_class
def test_weights_that_are_not_finite_have_a_summary(kind):
    net = make(kind)
    net.weights[0][0, 0] = np.inf
    net.weights[1][0, 0] = np.nan
    assert "inf" in net.summary() and "nan" in net.summary()


@each_class
def test_the_names_are_the_scripts_where_it_has_such(kind, tmp_path):
    """bpnet itself calls none of them."""
    members = dict.fromkeys(["summary", "__repr__"], lambda self: "mine")
    net = type("Mine", (CLASSES[kind].cls,), members)(SIZES, seed=1)
    net.accuracy = None if kind != "network2" else net.accuracy
    train(net)
    net.save(tmp_path / "net.npz")
    assert repr(net) == net.summary() == "mine"
    assert bpnet.load(tmp_path / "net.npz").history == net.history
