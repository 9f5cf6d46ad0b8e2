"""One example on its way: every number is what feedforward and backprop come to."""

import numpy as np
import pytest
from conftest import parameters_of
from engines import Bounded, judge, same_bits
from nets import CLASSES, FACES, OwnCost, each_class, each_dtype, make, passing
from test_tables import Through

from bpnet import MLP, network, network2, reference

SIZES = [4, 7, 5, 3]
X = np.random.RandomState(0).randn(4, 1)
Y = np.random.RandomState(1).dirichlet(np.ones(3))[:, None]  # which every output can reach

each_hidden = pytest.mark.parametrize("hidden", reference.ACTIVATIONS)
# Every last layer, in each class that has it.
KINDS = {
    "Network": (network.Network, "quadratic", {}),
    "Network2, quadratic": (network2.Network, "quadratic", {"cost": network2.QuadraticCost}),
    "Network2": (network2.Network, "cross-entropy", {}),
    "Network2, softmax": (
        network2.Network,
        "log-likelihood",
        {"cost": network2.LogLikelihoodCost},
    ),
    **{f"MLP, {name}": (MLP, name, {"output": name}) for name in reference.OUTPUTS},
}
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
@each_hidden
@each_dtype
def test_a_trace_is_the_references_backprop_and_forward_to_rounding(kind, hidden, dtype):
    """In NumPy's order of additions, which the bounds of the core allow for."""
    cls, output, options = KINDS[kind]
    net = cls(SIZES, hidden=hidden, dtype=dtype, seed=1, **options)
    x, y = X.astype(dtype), Y.astype(dtype)
    seen = net.trace(x, y)
    exact = judge(net.biases, net.weights, hidden, output)
    bounds = Through(dtype).gradient_of(net.biases, net.weights, x.T, y.T, hidden, output)
    wide = x.astype(np.longdouble), y.astype(np.longdouble)
    for found, true, bound in zip(
        (seen.nabla_b, seen.nabla_w), exact.backprop(*wide), bounds, strict=True
    ):
        for f, e, b in zip(found, true, bound, strict=True):
            assert (abs(f - e) <= b.error).all()
            assert b.error.max() < 1e4 * np.finfo(dtype).eps * (1 + abs(e).max())
    z, rounding = Bounded(wide[0]), Through(dtype)
    functions = [reference.ACTIVATIONS[hidden][0]] * 2 + [reference.OUTPUTS[output][0]]
    for l, (b, w, f) in enumerate(zip(net.biases, net.weights, functions)):
        z = rounding.chain(Bounded(w), z, Bounded(b))
        assert (abs(seen.zs[l] - z.value) <= z.error).all()
        z = rounding.moved(f, z, 0)
        assert (abs(seen.activations[l + 1] - z.value) <= z.error).all()
    answer = net.predict(x.T).T if cls is MLP else net.feedforward(x)
    assert (abs(answer - z.value) <= z.error).all()


@each_kind
@each_dtype
def test_a_trace_has_the_cost_of_its_example(kind, dtype):
    cls, _, options = KINDS[kind]
    net = cls(SIZES, dtype=dtype, seed=1, **options)
    costs = {
        network.Network: lambda: reference.QuadraticCost.fn(net.feedforward(X), Y),
        network2.Network: lambda: net.total_cost([(X, Y)], 0.0),
        MLP: lambda: net.cost([(X, Y)]),
    }
    # A few roundings of a cost near 1, computed from z or from a.
    assert abs(net.trace(X, Y).cost - costs[cls]()) <= 64 * np.finfo(dtype).eps


@each_class
def test_a_trace_changes_nothing_and_is_of_arrays_of_its_own(kind, nothing_changes):
    net, x, y = make(kind, sizes=SIZES), X.copy(), Y.copy()
    with nothing_changes(net, x, y):
        seen = net.trace(x, y)
        for arrays in (seen.zs, seen.activations, seen.deltas, seen.nabla_b, seen.nabla_w):
            for array in arrays:
                array += 1
        seen.y += 1


@each_class
def test_without_y_a_trace_goes_forward_only(kind):
    net = make(kind, sizes=SIZES)
    seen, whole = net.trace(X), net.trace(X, Y)
    assert same_bits(seen.zs, whole.zs) and same_bits(seen.activations, whole.activations)
    assert seen.cost is seen.deltas is seen.nabla_b is seen.nabla_w is seen.y is None
    assert str(whole).startswith(str(seen))


@each_class
def test_shapes_mirror_the_parameters(kind):
    net = make(kind, sizes=SIZES)
    seen = net.trace(X, Y)
    assert [z.shape for z in seen.zs] == [b.shape for b in net.biases]
    assert [a.shape for a in seen.activations] == [(n, 1) for n in SIZES]
    assert [g.shape for g in seen.nabla_b + seen.nabla_w] == [
        p.shape for p in parameters_of(net)
    ]
    assert same_bits(seen.deltas, seen.nabla_b)  # BP3


@pytest.mark.parametrize("kind", FACES)
def test_a_trace_goes_by_a_sigmoid_and_a_cost_of_the_scripts_own(kind, monkeypatch):
    module = FACES[kind].module
    monkeypatch.setattr(module, "sigmoid", np.tanh)
    monkeypatch.setattr(module, "sigmoid_prime", lambda z: 1 - np.tanh(z) ** 2)
    net = FACES[kind].cls(SIZES, seed=1)
    nets = [net]
    if kind == "network":
        cubed = FACES[kind].cls(SIZES, seed=1)
        cubed.cost_derivative = lambda a, y: (a - y) ** 3
        assert cubed.trace(X, Y).cost is None  # only the script knows of what that is
        assert "cost                 unknown" in str(cubed.trace(X, Y))
        nets.append(cubed)
    else:
        nets.append(FACES[kind].cls(SIZES, OwnCost, seed=1))
    for each in nets:
        seen, (nabla_b, nabla_w) = each.trace(X, Y), each.backprop(X, Y)
        for f, e in zip(seen.nabla_b + seen.nabla_w, nabla_b + nabla_w, strict=True):
            np.testing.assert_allclose(f, e, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(seen.activations[-1], each.feedforward(X), rtol=1e-12)


@pytest.mark.parametrize("kind", FACES)
@pytest.mark.parametrize("step", ["feedforward", "backprop"])
def test_a_trace_does_not_pretend_where_a_script_goes_its_own_way(kind, step):
    net = passing(FACES[kind].cls, step)(SIZES, seed=1)
    with pytest.raises(ValueError) as raised:
        net.trace(X, Y)
    assert str(raised.value) == f"trace goes by bpnet's own {step}, got the script's"


@each_class
def test_what_a_trace_is_given_is_a_column_for_each(kind, nothing_changes):
    net = make(kind, sizes=SIZES)
    for given, sentence in (
        ((X.ravel(),), "x has shape (4,), expected (4, 1): use x.reshape(-1, 1)"),
        ((X, Y.ravel()), "y has shape (3,), expected (3, 1): use y.reshape(-1, 1)"),
        ((X, 1), "y has shape (), expected (3, 1)"),
        ((X * np.nan,), "x must be finite in float64, got nan"),
    ):
        with nothing_changes(net, *given), pytest.raises(ValueError) as raised:
            net.trace(*given)
        assert str(raised.value) == sentence


def test_a_trace_prints_every_number_of_a_small_network():
    net = network.Network([2, 2, 1], seed=1)
    net.weights = [np.array([[0.5, -0.4], [0.3, 0.8]]), np.array([[0.7, -0.6]])]
    net.biases = [np.array([[0.1], [0.2]]), np.array([[0.2]])]
    assert str(net.trace([[1.0], [0.5]], [[1.0]])).split("\n") == [
        "2-2-1, forward",
        "activations[0] = x   [1 0.5]",
        "zs[0]                [0.4 0.9]",
        "activations[1]       [0.598688 0.71095]",
        "zs[1]                [0.192512]",
        "activations[2]       [0.54798]",
        "y                    [1]",
        "cost                 0.102161",
        "backward",
        "deltas[1] = nabla_b  [-0.111964]",
        "nabla_w[1]           [[-0.0670317 -0.0796011]]",
        "deltas[0] = nabla_b  [-0.0188305 0.0138052]",
        "nabla_w[0]           [[-0.0188305 -0.00941523]",
        "                      [0.0138052 0.00690262]]",
    ]


def test_a_trace_of_a_large_network_prints_the_ends_and_shapes_within_a_line():
    for cls in CLASSES.values():
        net = cls.cls([784, 30, 10], seed=1)
        lines = str(net.trace(np.ones((784, 1)), np.eye(10)[:, [3]])).split("\n")
        assert len(lines) < 60 and max(map(len, lines)) <= 110
        assert lines[1] == "activations[0] = x   [1 1 1 ... 1 1 1]  (784, 1)"
