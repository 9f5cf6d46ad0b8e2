"""gradient_check says yes where backprop is the slope of the cost, and no where it is not."""

import types

import numpy as np
import pytest
from nets import CLASSES, FACES, OwnCost, each_class, each_dtype, make

import bpnet
from bpnet import MLP, Dataset, network, network2, reference

SIZES = [6, 5, 3]
N_PARAMETERS = 6 * 5 + 5 + 5 * 3 + 3
X = np.random.RandomState(0).randn(4, 6)
Y = np.random.RandomState(1).dirichlet(np.ones(3), 4)  # which every output can reach
EXAMPLES = [(x[:, None], y[:, None]) for x, y in zip(X, Y)]

each_hidden = pytest.mark.parametrize("hidden", reference.ACTIVATIONS)
COSTS = {
    "Network": (network.Network, {}),
    "Network2, quadratic": (network2.Network, {"cost": network2.QuadraticCost}),
    "Network2": (network2.Network, {}),
    "Network2, softmax": (network2.Network, {"cost": network2.LogLikelihoodCost}),
    "Network2, own": (network2.Network, {"cost": OwnCost}),
    **{f"MLP, {name}": (MLP, {"output": name}) for name in reference.OUTPUTS},
}
each_cost = pytest.mark.parametrize("kind", COSTS)


@each_cost
@each_hidden
@each_dtype
def test_the_gradient_of_every_row_is_right(kind, hidden, dtype, nothing_changes):
    cls, options = COSTS[kind]
    net = cls(SIZES, hidden=hidden, dtype=dtype, seed=1, **options)
    with nothing_changes(net, X, Y):
        found = bpnet.gradient_check(net, EXAMPLES)
    assert found and found.ok and found.reason is None and not found.wrong
    assert len(found.slopes) == found.n_parameters == N_PARAMETERS
    assert found.error <= found.worst.tolerance / found.worst.size < 1e-5


@each_cost
@each_hidden
def test_a_gradient_that_is_off_by_a_ten_thousandth_is_wrong(kind, hidden):
    """And it is said by how much."""
    cls, options = COSTS[kind]
    name = "gradient" if cls is MLP else "backprop"

    def off(self, *example):
        return tuple(
            [1.0001 * g for g in nabla] for nabla in getattr(cls, name)(self, *example)
        )

    net = type("Off", (cls,), {name: off})(SIZES, hidden=hidden, seed=1, **options)
    found = bpnet.gradient_check(net, EXAMPLES)
    assert not found and found.wrong
    large = [each for each in found.slopes if abs(each.numeric) > each.size / 10]
    assert all(each.wrong for each in large)
    if len(found.wrong) == len(found.slopes):
        assert found.reason == "backprop is 1.0001 times the slope, everywhere"


def test_right_networks_of_any_size_and_scale_are_never_called_wrong():
    """Saturated, nearly linear, beside or at kinks; what cannot be told is not judged."""
    said = {True: 0, False: 0}
    for seed in range(120):
        draw = np.random.RandomState(seed)
        sizes = [*draw.randint(1, 9, draw.randint(1, 4)).tolist(), draw.randint(2, 9)]
        hidden = list(reference.ACTIVATIONS)[seed % 4]
        cls = [network.Network, network2.Network, MLP][draw.randint(3)]
        net = cls(sizes, hidden=hidden, dtype=["float32", "float64"][seed % 2], seed=seed)
        scale = 10.0 ** draw.randint(-3, 2)
        net.weights = [(w * scale).astype(net.dtype) for w in net.weights]
        n = draw.randint(1, 6)
        data = draw.randn(n, sizes[0]) * 10.0 ** draw.randint(-2, 2), draw.rand(n, sizes[-1])
        found = bpnet.gradient_check(net, data, n_parameters=60)
        assert not found.wrong, seed
        said[found.ok] += 1
    assert said[True] > 10 * said[False]


@pytest.fixture
def sigmoids():
    """Restore what tests assign to the modules."""
    yield
    for module in (network, network2):
        module.sigmoid = module.sigmoid_vec = reference.sigmoid
        module.sigmoid_prime = module.sigmoid_prime_vec = reference.sigmoid_prime


def tanh_prime(z):
    return 1 - np.tanh(z) ** 2


@pytest.mark.parametrize("kind", FACES)
def test_a_sigmoid_that_is_assigned_without_its_derivative_is_noticed(kind, sigmoids):
    module = FACES[kind].module
    net = FACES[kind].cls(SIZES, seed=1)
    net.cost = network2.QuadraticCost
    module.sigmoid = np.tanh
    found = bpnet.gradient_check(net, EXAMPLES)
    assert not found
    assert f"{kind}.sigmoid_prime is not its derivative" in found.reason
    module.sigmoid_prime = tanh_prime
    assert bpnet.gradient_check(net, EXAMPLES)
    module.sigmoid = reference.sigmoid
    found = bpnet.gradient_check(net, EXAMPLES)
    assert not found
    assert f"{kind}.sigmoid_prime is the script's own" in found.reason


def test_the_derivative_of_the_books_sigmoid_is_not_that_of_an_own_one_in_the_output(sigmoids):
    """Without a hidden layer the output's is the only one."""
    network.sigmoid = np.tanh
    found = bpnet.gradient_check(network.Network([6, 3], seed=1), EXAMPLES)
    assert "network.sigmoid_prime is not its derivative" in found.reason


def tanh_forward(self, a):
    for b, w in zip(self.biases, self.weights):
        a = np.tanh(w.dot(a) + b)
    return a


@pytest.mark.parametrize("kind", FACES)
@pytest.mark.parametrize("on", ["subclass", "instance"])
def test_a_feedforward_without_its_backprop_is_noticed(kind, on):
    cls = FACES[kind].cls
    if on == "subclass":
        net = type("Own", (cls,), {"feedforward": tanh_forward})(SIZES, seed=1)
    else:
        net = cls(SIZES, seed=1)
        net.feedforward = types.MethodType(tanh_forward, net)
    net.cost = network2.QuadraticCost
    found = bpnet.gradient_check(net, EXAMPLES)
    assert not found
    assert found.reason == (
        "feedforward is the script's own and backprop is not: backprop goes through the "
        "network without it; override backprop, too"
    )

    def backprop(x, y):
        activations = [x]
        for b, w in zip(net.biases, net.weights):
            activations.append(np.tanh(w.dot(activations[-1]) + b))
        delta = (activations[-1] - y) * (1 - activations[-1] ** 2)
        nabla_b, nabla_w = [], []
        for w, a in zip(net.weights[::-1], activations[-2::-1]):
            nabla_b.insert(0, delta)
            nabla_w.insert(0, delta.dot(a.T))
            delta = w.T.dot(delta) * (1 - a**2)
        return nabla_b, nabla_w

    net.backprop = backprop  # a closure of this very network: it must be what is moved
    assert bpnet.gradient_check(net, EXAMPLES)


class Wrong(network2.CrossEntropyCost):
    @staticmethod
    def delta(z, a, y):
        return (a - y) ** 2


@pytest.mark.parametrize("cost", [Wrong, Wrong()], ids=["class", "object"])
def test_a_delta_that_is_not_the_derivative_of_its_cost_is_noticed(cost):
    found = bpnet.gradient_check(network2.Network(SIZES, cost, seed=1), EXAMPLES)
    assert not found
    assert found.reason.startswith("cost.delta is not the derivative of the cost: for z = ")


def test_a_cost_derivative_needs_to_be_told_of_which_cost():
    net = network.Network(SIZES, seed=1)
    net.cost_derivative = lambda a, y: (a - y) ** 3
    with pytest.raises(ValueError) as raised:
        bpnet.gradient_check(net, EXAMPLES)
    assert str(raised.value) == (
        "cost must be given, the function of (a, y) that the script's own cost_derivative is of"
    )
    assert bpnet.gradient_check(net, EXAMPLES, cost=lambda a, y: np.sum((a - y) ** 4) / 4)
    found = bpnet.gradient_check(net, EXAMPLES, cost=lambda a, y: np.sum((a - y) ** 4))
    assert found.reason.startswith("cost_derivative is not the derivative of the cost")


def test_a_softmax_of_desired_outputs_that_do_not_sum_to_1():
    for net in (
        MLP(SIZES, output="log-likelihood", seed=1),
        network2.Network(SIZES, network2.LogLikelihoodCost, seed=1),
    ):
        found = bpnet.gradient_check(net, [(np.ones((6, 1)), np.ones((3, 1)))])
        assert found.reason == "y must sum to 1 for log-likelihood: it sums to 3"


# What a backprop of one's own may get wrong: (nabla_b, nabla_w) of two layers, and the words.
FAULTS = {
    "twice": (
        lambda b, w: ([2 * g for g in b], [2 * g for g in w]),
        "backprop is 2 times the slope, everywhere",
    ),
    "uphill": (
        lambda b, w: ([-g for g in b], [-g for g in w]),
        "backprop is -1 times the slope, everywhere",
    ),
    "no biases": (
        lambda b, w: ([0 * g for g in b], w),
        "wrong in biases[0], biases[1]; the weights are right: look at how biases get their "
        "error (BP3)",
    ),
    "weights": (
        lambda b, w: (b, [g[:, ::-1] for g in w]),
        "wrong in weights[0], weights[1]; the biases are right: look at the product with the "
        "activations (BP4)",
    ),
    "back": (
        lambda b, w: ([1.5 * b[0], b[1]], [1.5 * w[0], w[1]]),
        "wrong in biases[0], weights[0]; the last layer is right: look at how the error goes "
        "back (BP2)",
    ),
    "last": (
        lambda b, w: ([g**2 for g in b], [g**2 for g in w]),
        "wrong in biases[0], biases[1], weights[0], weights[1]; look at the last layer's error "
        "first (BP1)",
    ),
}


@pytest.mark.parametrize("kind", FACES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_backprop_is_described(kind, fault):
    net, (change, reason) = FACES[kind].cls(SIZES, seed=1), FAULTS[fault]
    original = net.backprop
    net.backprop = lambda x, y: change(*original(x, y))
    found = bpnet.gradient_check(net, EXAMPLES)
    assert not found and found.reason == reason
    assert str(found).startswith("backprop is WRONG: 53 of 53 parameters looked at, ")
    assert " ".join(str(found).split()).endswith(reason)
    assert max(map(len, str(found).split("\n"))) <= 88


@pytest.mark.parametrize("cls", [reference.Network, reference.Network2, reference.MLP])
def test_the_text_to_edit_can_be_checked_too(cls):
    book = cls(SIZES)
    assert bpnet.gradient_check(book, EXAMPLES)

    class Edited(cls):
        def _hidden(self, z):
            return np.tanh(z)

    edited = Edited(SIZES)  # its derivative is still the sigmoid's
    if cls is reference.MLP:
        edited._hidden = np.tanh
    found = bpnet.gradient_check(edited, EXAMPLES)
    assert not found and "(BP2)" in found.reason


def test_a_cost_derivative_of_an_edited_text_needs_its_cost_as_well():
    class Edited(reference.Network):
        def cost_derivative(self, a, y):
            return (a - y) ** 3

    with pytest.raises(ValueError, match=r"^cost must be given"):
        bpnet.gradient_check(Edited(SIZES), EXAMPLES)
    assert bpnet.gradient_check(
        Edited(SIZES), EXAMPLES, cost=lambda a, y: np.sum((a - y) ** 4) / 4
    )


def relu(z):
    return np.maximum(z, 0)


@pytest.mark.parametrize("kind", ["MLP", "network"])
def test_a_kink_is_told_apart(kind, sigmoids):
    """Inputs of 0 and biases of 0: every hidden neuron is just where relu bends."""
    zeros = [(np.zeros((6, 1)), np.eye(3)[:, [k]]) for k in range(2)]
    if kind == "MLP":
        net = MLP(SIZES, hidden="relu", seed=1)
    else:
        net = network.Network(SIZES, seed=1)
        net.biases = [0 * net.biases[0], net.biases[1]]
        net._hidden = relu  # as a relu that a script assigns; the output stays a sigmoid
        net._hidden_prime = lambda z: (z > 0) * 1.0
        network.sigmoid_vec = lambda z: reference.sigmoid(z)  # by hand, and the same
        network.sigmoid = network.sigmoid_vec
        network.sigmoid_prime = lambda z: reference.sigmoid_prime(z)
    found = bpnet.gradient_check(net, zeros)
    assert found.ok and found.kinks == 5
    assert {(each.name, each.l) for each in found.slopes if each.kink} == {("biases", 0)}
    assert "5 left out: the cost has a kink there, and no slope" in str(found)
    beside = [(x + 1e-7, y) for x, y in zeros]  # within the step, and not at it
    found = bpnet.gradient_check(net, beside)
    assert found.ok


def test_what_rounding_hides_is_not_judged():
    net = network.Network(SIZES, seed=1)
    net.biases[-1] += 500  # the last layer is saturated: the slope is 0 to the last bit
    found = bpnet.gradient_check(net, EXAMPLES)
    assert not found.ok and not found.wrong and found.reason is None
    assert str(found).startswith("backprop is not judged")


def test_of_a_large_network_some_parameters_of_every_array_are_looked_at(nothing_changes):
    draw = np.random.RandomState(3)
    data = draw.rand(3, 784), np.arange(3)
    net = network.Network([784, 30, 10], seed=1)
    with nothing_changes(net):
        found, again = (bpnet.gradient_check(net, data) for _ in range(2))
    assert found.ok and str(found) == str(again)
    assert len(found.slopes) == 500 and found.n_parameters == 23860
    counts = [
        sum((each.name, each.l) == array for each in found.slopes)
        for array in [("biases", 0), ("biases", 1), ("weights", 0), ("weights", 1)]
    ]
    assert counts == [30, 10, 230, 230]
    assert len({(each.name, each.l, each.at) for each in found.slopes}) == 500

    def places(**options):
        found = bpnet.gradient_check(net, data, **options)
        return [(each.name, each.l, each.at) for each in found.slopes]

    assert len(places(n_parameters=7)) == 7
    assert places(n_parameters=60) != places(n_parameters=60, seed=1)


FORMS = {
    "list": lambda: EXAMPLES,
    "iterator": lambda: iter(EXAMPLES),
    "pair": lambda: (X, Y),
    "labels": lambda: (X, [0, 1, 2, 0]),
    "Dataset": lambda: Dataset(EXAMPLES),
    "float32": lambda: Dataset(EXAMPLES, dtype="float32"),
    "weights": lambda: Dataset(EXAMPLES, weights=[1, 0, 2.5, 1]),
}


@each_class
@pytest.mark.parametrize("form", FORMS)
def test_examples_may_have_any_form(kind, form):
    assert bpnet.gradient_check(make(kind, sizes=SIZES), FORMS[form]())


@each_class
def test_a_network_of_one_output(kind):
    net = make(kind, sizes=[6, 4, 1])
    assert bpnet.gradient_check(net, (X, [0, 1, 1, 0]))


def test_a_step_of_ones_own_that_rounds_to_float32_is_given_room():
    net = network.Network(SIZES, seed=1)
    original = net.backprop
    net.backprop = lambda x, y: tuple(
        [g.astype("float32") for g in nabla] for nabla in original(x, y)
    )
    found = bpnet.gradient_check(net, EXAMPLES)
    assert found.ok and found.worst.tolerance > 1e-6


@each_class
def test_the_network_is_as_it_was_also_after_an_error(kind, nothing_changes):
    net = make(kind, sizes=SIZES, dtype="float32")
    name, calls = "gradient" if kind == "MLP" else "backprop", []

    def failing(*example):
        calls.append(net.dtype)
        raise ArithmeticError

    setattr(net, name, failing)
    with nothing_changes(net), pytest.raises(ArithmeticError):
        bpnet.gradient_check(net, EXAMPLES)
    assert calls == [np.float64]


def having(**attributes):
    net = network.Network(SIZES, seed=1)
    vars(net).update(attributes)
    return net


GOOD = network.Network(SIZES, seed=1)
REFUSED = [
    (
        (network.Network, EXAMPLES),
        {},
        "TypeError: net must be a network, an object with sizes, biases, weights, feedforward, "
        "backprop, got the class Network",
    ),
    (
        (3, EXAMPLES),
        {},
        "TypeError: net must be a network, an object with sizes, biases, weights, feedforward, "
        "backprop, got int",
    ),
    ((GOOD, []), {}, "ValueError: examples must hold at least one example, got none"),
    (
        (GOOD, 3),
        {},
        "TypeError: examples must be a list of (x, y) or a pair of arrays (X, Y), got int",
    ),
    (
        (GOOD, [(np.ones((2, 1)), np.ones((3, 1)))]),
        {},
        "ValueError: examples has 2 inputs and 3 outputs, expected 6 and 3 to match sizes "
        "[6, 5, 3]",
    ),
    (
        (MLP(SIZES), [(np.ones((6, 1)), 5 * np.ones((3, 1)))]),
        {},
        "ValueError: examples: y must be in [0, 1], what the output cross-entropy can reach, "
        'got 5 in row 0, column 0: scale y to that, or use bpnet.MLP(sizes, output="squared")',
    ),
    ((GOOD, EXAMPLES), {"seed": -1}, "ValueError: seed must be at least 0, got -1"),
    (
        (GOOD, EXAMPLES),
        {"n_parameters": 0},
        "ValueError: n_parameters must be at least 1, got 0",
    ),
    (
        (GOOD, EXAMPLES),
        {"cost": 3},
        "TypeError: cost must be a function of (a, y), got 3",
    ),
    (
        (MLP(SIZES), EXAMPLES),
        {"cost": len},
        "ValueError: cost must be None for an MLP: its output cross-entropy has its own",
    ),
    (
        (having(backprop=lambda x, y: None), EXAMPLES),
        {},
        "TypeError: backprop must return (nabla_b, nabla_w), 2 arrays each, got NoneType",
    ),
    (
        (having(backprop=lambda x, y: ([np.ones(5), np.ones(3)], GOOD.weights)), EXAMPLES),
        {},
        "ValueError: backprop must return (nabla_b, nabla_w) in the shapes of biases and "
        "weights, got (5,) for (5, 1)",
    ),
    (
        (having(feedforward=lambda a: np.full((3, 1), np.nan)), EXAMPLES),
        {},
        "ValueError: the cost of examples must be finite, got nan",
    ),
    (
        (having(feedforward=lambda a: np.random.rand(3, 1)), EXAMPLES),
        {},
        "ValueError: the cost of examples must be the same at each call, got two: nothing in "
        "feedforward and the cost may be random",
    ),
]


@pytest.mark.parametrize(
    ("given", "options", "sentence"), REFUSED, ids=[row[-1][:60] for row in REFUSED]
)
def test_bad_input_is_one_sentence(given, options, sentence):
    with pytest.raises((TypeError, ValueError)) as raised:
        bpnet.gradient_check(*given, **options)
    assert f"{type(raised.value).__name__}: {raised.value}" == sentence


def test_the_name_is_a_function_wherever_it_is_imported_from():
    import bpnet.gradient_check as again

    assert bpnet.gradient_check is again
    assert callable(bpnet.gradient_check) and "gradient_check" in bpnet.__all__
    assert set(CLASSES) == {"network", "network2", "MLP"}  # which its docstring speaks of
