"""Gradients that are kept ready: of any examples, the network's own bits."""

import copy
import pickle
import threading

import numpy as np
import pytest
from engines import same_bits

import bpnet
from bpnet import MLP, Dataset, reference

SIZES = [6, 20, 3]
# Of 300 examples: none, one, more than the scratch has rows, in any order, more than once.
ROWS = {
    "none": [],
    "one": [7],
    "in sequence": range(100, 240),
    "from 0 on": range(129),
    "all": range(300),
    "shuffled": np.random.RandomState(3).permutation(300),
    "a shard": np.random.RandomState(3).permutation(300)[40:53],
    "begins in sequence": [*range(200), *range(250, 170, -1)],
    "repeated": [5] * 140,
}

each_hidden = pytest.mark.parametrize("hidden", reference.ACTIVATIONS)
each_output = pytest.mark.parametrize("output", reference.OUTPUTS)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_density = pytest.mark.parametrize("density", [1.0, 0.2], ids=["dense", "sparse"])


def examples(n=300, density=1.0, dtype="float64"):
    draw = np.random.RandomState(0)
    x = draw.randn(n, SIZES[0]) * (draw.rand(n, SIZES[0]) < density)
    y = draw.dirichlet(np.ones(SIZES[-1]), n)  # which every output can reach
    return x.astype(dtype), y.astype(dtype)


def flat(parameters):
    return sum(map(list, parameters), [])


def empty(dtype="float64", order="C"):
    """Return lists that a gradient can be written to."""
    net = MLP(SIZES)
    return tuple(
        [np.full(p.shape, 7, dtype, order) for p in ps] for ps in (net.biases, net.weights)
    )


@each_hidden
@each_output
@each_dtype
@each_density
def test_the_gradient_of_some_examples_is_that_of_a_network_with_no_others(
    hidden, output, dtype, density
):
    net = MLP(SIZES, hidden=hidden, output=output, dtype=dtype, seed=1)
    x, y = examples(density=density, dtype=dtype)
    before = x.copy(), y.copy()
    kept = {n_threads: net.gradients((x, y), n_threads) for n_threads in (1, 2, 3)}
    for rows in map(np.array, map(list, ROWS.values())):
        if not len(rows):
            wanted = [np.zeros_like(p) for p in (*net.biases, *net.weights)]
        else:
            alone = net.gradients((x[rows], y[rows]))
            wanted = flat(alone())
            means = [total / net.dtype.type(len(rows)) for total in wanted]
            assert same_bits(flat(net.gradient((x[rows], y[rows]))), means)
        for gradients in kept.values():
            assert same_bits(flat(gradients(rows)), wanted)
    assert same_bits(flat(kept[1]()), flat(kept[2](range(300))))
    assert same_bits((x, y), before)


@each_dtype
def test_a_weight_of_an_example_is_a_factor_of_its_gradient(dtype):
    net = MLP(SIZES, dtype=dtype, seed=1)
    x, y = examples(5, dtype=dtype)
    gradients = net.gradients(Dataset((x, y), dtype=dtype, weights=[1, 0, 2, 0.5, 4]))
    alone = net.gradients((x, y))
    for i, weight in enumerate([1, 0, 2, 0.5, 4]):  # powers of two: no rounding
        scaled = [g * net.dtype.type(weight) for g in flat(alone([i]))]
        assert all(map(np.array_equal, flat(gradients([i])), scaled))


@each_dtype
@pytest.mark.parametrize("order", "CF")
def test_a_gradient_is_written_to_arrays_of_ones_own(dtype, order):
    net = MLP(SIZES, dtype=dtype, seed=1)
    gradients, out = net.gradients(examples(dtype=dtype)), empty(dtype, order)
    assert gradients([3, 1, 2], out=out) is out
    wanted = flat(gradients([3, 1, 2]))
    assert same_bits([np.ascontiguousarray(array) for array in flat(out)], wanted)
    assert gradients([], out=out) is out
    assert not any(array.any() for array in flat(out))


def test_only_load_changes_its_parameters():
    net, other = MLP(SIZES, seed=1), MLP(SIZES, seed=2)
    data = examples()
    gradients = net.gradients(data)
    before = flat(gradients())
    net.weights[0][...] = 7
    net.train(data, 1, 10, 0.1)
    assert same_bits(flat(gradients()), before)
    wanted = flat(other.gradients(data)())
    lists = [w.tolist() for w in other.weights]
    fortran = [np.asfortranarray(w) for w in other.weights]
    strided = [np.repeat(w, 2, axis=1)[:, ::2] for w in other.weights]
    for weights in (other.weights, fortran, strided, lists):
        gradients.load(net.biases, net.weights)
        assert not same_bits(flat(gradients()), wanted)
        gradients.load(other.biases, weights)
        assert same_bits(flat(gradients()), wanted)
    for weights in fortran:
        weights[...] = 7  # it has copies
    assert same_bits(flat(gradients()), wanted)


def test_a_call_while_another_is_under_way_is_refused_and_changes_nothing():
    gradients, out = MLP(SIZES, seed=1).gradients(examples()), empty()
    net = gradients._free.pop()  # as another thread's call does
    for call in (gradients, lambda: gradients([1], out=out), lambda: gradients.load(*out)):
        with pytest.raises(RuntimeError, match=r"^Gradients serve one call at a time, and"):
            call()
    gradients._free.append(net)
    assert all((array == 7).all() for array in flat(out))
    assert len(flat(gradients())) == 4


def test_threads_get_the_right_sum_or_the_refusal():
    gradients = MLP([6, 300, 3], seed=1).gradients(examples(), n_threads=2)
    wanted, wrong, served = flat(gradients()), [], []

    def ask():
        for _ in range(30):
            try:
                served.append(same_bits(flat(gradients()), wanted))
            except RuntimeError:
                continue
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert served and all(served)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([300], IndexError, r"^rows must be indices in \[0, 300\), got 300$"),
        ([1, -1], IndexError, r"^rows must be indices in \[0, 300\), got -1$"),
        ([2**63], IndexError, r"^rows must be indices in \[0, 300\), got 9223372036854775808$"),
        (3, ValueError, r"^rows must be a list of indices, got shape \(\)$"),
        ([[3]], ValueError, r"^rows must be a list of indices, got shape \(1, 1\)$"),
        ([1.0], TypeError, "^rows must be indices of examples, got float64$"),
        ([True], TypeError, r"^rows must be indices of examples, got bool: use np.flatnonzero"),
        (["a"], TypeError, "^rows must be an array of real numbers, got dtype <U1"),
    ],
)
def test_wrong_rows_are_refused(rows, error, message):
    with pytest.raises(error, match=message):
        MLP(SIZES).gradients(examples())(rows)


def spoilt(which, l, array):
    """Return lists for a gradient, one of the arrays replaced."""
    out = empty()
    out[which][l] = array
    return out


@pytest.mark.parametrize(
    ("out", "got"),
    [
        ((empty()[0], []), "weights that are no list of 2"),
        ((empty()[0], None), "weights that are no list of 2"),
        ((empty()[0] * 2, empty()[1]), "biases that are no list of 2"),
        (spoilt(0, 1, [[1.0]] * 3), r"list as biases\[1\]"),
        (spoilt(0, 1, np.zeros(3)), r"float64 \(3,\) as biases\[1\]"),
        (spoilt(1, 0, np.zeros((20, 6), "f")), r"float32 \(20, 6\) as weights\[0\]"),
        (spoilt(1, 0, np.zeros((6, 20))), r"float64 \(6, 20\) as weights\[0\]"),
        (spoilt(1, 0, np.zeros((20, 12))[:, ::2]), r"a weights\[0\] that is not contiguous"),
        (
            spoilt(1, 1, np.frombuffer(bytes(480)).reshape(3, 20)),
            r"a weights\[1\] that is read-only",
        ),
    ],
)
def test_what_a_gradient_cannot_be_written_to_is_refused_before_anything_is(out, got):
    gradients = MLP(SIZES).gradients(examples())
    message = f"^out must be lists of writable, contiguous arrays of float64 .*, got {got}$"
    with pytest.raises(ValueError, match=message):
        gradients([1], out=out)
    assert (np.asarray(out[0][0]) == 7).all()


def test_other_wrong_arguments_are_refused():
    net = MLP(SIZES, seed=1)
    gradients = net.gradients(examples())
    with pytest.raises(
        TypeError, match=r"^out must be a pair \(nabla_b, nabla_w\), got \[None\]"
    ):
        gradients([1], out=[None])
    with pytest.raises(ValueError, match=r"^n_threads must be at least 1, got 0"):
        net.gradients(examples(), 0)
    with pytest.raises(
        ValueError, match=r"^weights\[0\] has shape \(3, 20\), expected \(20, 6\)"
    ):
        gradients.load(net.biases, net.weights[::-1])
    with pytest.raises(TypeError, match=r"^biases must be a list of 2 arrays, got int"):
        gradients.load(3, net.weights)
    for attempt in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match=r"^Gradients cannot be copied or pickled: make"):
            attempt(gradients)
    assert repr(gradients) == "<bpnet.Gradients 6-20-3 float64, 300 examples>"
    assert len(gradients) == 300
    assert type(gradients) is bpnet.Gradients
