"""bpcore.Net and bpcore.Data against the reference, and against themselves."""

import itertools
import random
import signal
import threading

import numpy as np
import pytest
from engines import (
    CODES,
    DENSE,
    ENGINES,
    VALUES,
    Bounded,
    Rounding,
    aligned,
    column,
    csr,
    each_engine,
    each_form,
    examples,
    judge,
    loaded,
    packed,
    parameters,
    same_bits,
    widths,
)

import bpcore
from bpcore.packing import CSR_MAX_DENSITY, LOOKED_AT

ETA = 0.7


def shapes(engine, depth):
    """Return networks of depth layers of neurons, an edge width in each of their places.

    The two widest cover the columns of every panel of the CSR product: 8 vectors, 2 and 1.
    """
    around = widths(engine)
    wide = 11 * max(engine.lanes, 64 // engine.dtype.itemsize)
    turns = [(around[i:] + around[:i])[: depth + 1] for i in range(len(around))]
    turns = [list(itertools.islice(itertools.cycle(turn), depth + 1)) for turn in turns]
    return [*turns, [3, wide, *[2] * (depth - 1)], [5, wide + 1, *[3] * (depth - 1)]]


def bounded(arrays):
    return [Bounded(array) for array in arrays]


def within(found, expected, bounds):
    """Whether every item of every array is as near to the expected one as its bound says."""
    return all(
        f.shape == e.shape and (abs(f - e) <= b.error).all()
        for f, e, b in zip(found, expected, bounds, strict=True)
    )


def labels_of(y):
    return np.argmax(y, axis=1).astype(np.int64)


@each_engine
def test_store_returns_exactly_what_load_was_given(engine):
    for n_in, n_out in itertools.product(widths(engine), repeat=2):
        biases, weights = parameters([n_in, n_out, n_in], engine.dtype)
        weights[0].flat[0] = -0.0
        weights[-1].flat[-1] = np.nan
        net = loaded(engine, biases, weights, rows=1)
        first, second = net.store(), net.store()
        assert same_bits(first, (biases, weights)) and same_bits(second, (biases, weights))
        for array in [*first[0], *first[1]]:
            array[...] = 9
        assert same_bits(net.store(), (biases, weights))


@each_engine
def test_a_new_network_is_zero_and_a_second_load_replaces_the_first(engine):
    net = bpcore.Net(engine, [3, 5, 2], 1)
    assert not any(array.any() for arrays in net.store() for array in arrays)
    net.load(*parameters([3, 5, 2], engine.dtype, 1))
    net.load(*parameters([3, 5, 2], engine.dtype, 2))
    assert same_bits(net.store(), parameters([3, 5, 2], engine.dtype, 2))


@each_engine
@each_form
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_feedforward_is_the_reference_to_rounding(engine, sparse, depth):
    for sizes in shapes(engine, depth):
        biases, weights = parameters(sizes, engine.dtype)
        x, y = examples(7, sizes[0], sizes[-1], engine.dtype)
        out = loaded(engine, biases, weights).feedforward(packed(engine, x, y, sparse=sparse))
        network = judge(biases, weights)
        expected = np.hstack([network.feedforward(column(row)) for row in x])
        rounding = Rounding(engine.dtype)
        bound = rounding.activations(bounded(biases), bounded(weights), x)[-1]
        assert out.shape == y.shape and out.dtype == engine.dtype
        assert within([out.T], [expected], [bound]), sizes
        assert bound.error.max() < 2000 * np.finfo(engine.dtype).eps, "a bound of no use"


@each_engine
@each_form
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_backprop_is_the_reference_to_rounding(engine, sparse, depth):
    for sizes in shapes(engine, depth):
        biases, weights = parameters(sizes, engine.dtype)
        x, y = examples(6, sizes[0], sizes[-1], engine.dtype)
        found = loaded(engine, biases, weights).backprop(packed(engine, x, y, sparse=sparse))
        network = judge(biases, weights)
        each = [network.backprop(column(a), column(b)) for a, b in zip(x, y)]
        zeros = [[Bounded(0 * array) for array in arrays] for arrays in (biases, weights)]
        rounding = Rounding(engine.dtype)
        a, deltas = rounding.gradient(bounded(biases), bounded(weights), x, y)
        ones = Bounded(np.ones((len(x), 1)))
        bounds = (
            [rounding.chain(delta, ones, zero) for delta, zero in zip(deltas, zeros[0])],
            [rounding.chain(d, a[l].T, zeros[1][l]) for l, d in enumerate(deltas)],
        )
        for which in (0, 1):
            expected = [sum(parts) for parts in zip(*(one[which] for one in each))]
            assert all(array.dtype == engine.dtype for array in found[which])
            assert within(found[which], expected, bounds[which]), sizes


@each_engine
@each_form
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("mini_batch_size", [1, 2, 3, 5, 10, 16])
def test_sgd_is_the_reference_to_rounding(engine, sparse, depth, mini_batch_size):
    n, eta = 11, 0.1  # the last mini-batch is short, or the only one
    for sizes in shapes(engine, depth)[:: 1 if depth == 2 else 3]:
        biases, weights = parameters(sizes, engine.dtype)
        x, y = examples(n, sizes[0], sizes[-1], engine.dtype)
        net = loaded(engine, biases, weights, rows=mini_batch_size)
        order = bpcore.Order(n)
        order.shuffle(random.Random(1))
        net.sgd(packed(engine, x, y, sparse=sparse), order, mini_batch_size, eta)

        network, rounding = judge(biases, weights), Rounding(engine.dtype)
        bounds = bounded(biases), bounded(weights)
        for k in range(0, n, mini_batch_size):
            picked = order.tolist()[k : k + mini_batch_size]
            batch = [(column(x[i]), column(y[i])) for i in picked]
            network.update_mini_batch(batch, eta)
            bounds = rounding.update_mini_batch(*bounds, x[picked], y[picked], eta)
        found = net.store()
        assert within(found[0], network.biases, bounds[0]), sizes
        assert within(found[1], network.weights, bounds[1]), sizes
        largest = max(bound.error.max() for part in bounds for bound in part)
        assert largest < 10000 * np.finfo(engine.dtype).eps, "a bound of no use"


@each_engine
@each_form
def test_evaluate_counts_as_the_reference(engine, sparse):
    for sizes in [*shapes(engine, 1), *shapes(engine, 3)]:
        biases, weights = parameters(sizes, engine.dtype)
        x, y = examples(40, sizes[0], sizes[-1], engine.dtype)
        labels = labels_of(y)
        data = packed(engine, x, n_out=sizes[-1], labels=labels, sparse=sparse)
        found = loaded(engine, biases, weights).evaluate(data)
        assert type(found) is int

        out = Rounding(engine.dtype).activations(bounded(biases), bounded(weights), x)[-1]
        best = np.sort(out.value, axis=0)
        if sizes[-1] > 1:  # no tie within rounding, so argmax is the same
            assert (best[-1] - best[-2] > 2 * out.error.max(axis=0)).all()
        pairs = [(column(row), label) for row, label in zip(x, labels)]
        exact = judge(biases, weights)
        if sizes[-1] > 1:
            assert found == exact.evaluate(pairs), sizes
        else:
            assert found == sum((exact.feedforward(x) > 0.5) == label for x, label in pairs)


@pytest.mark.parametrize(
    "engine", [e for e in ENGINES if e.dtype == np.float64], ids=lambda engine: engine.isa
)
@pytest.mark.parametrize("sizes", [[3, 2], [4, 3, 2], [2, 3, 3, 2], [3, *[2] * 5]], ids=str)
@each_form
def test_the_gradient_is_the_slope_of_the_cost(engine, sizes, sparse):
    # Dyadic parameters and step: w + h and w - h are exact.
    h = 2.0**-17
    biases, weights = (
        [np.round(array * 2**20) / 2**20 for array in arrays]
        for arrays in parameters(sizes, engine.dtype)
    )
    x, y = examples(3, sizes[0], sizes[-1], engine.dtype)
    data = packed(engine, x, y, sparse=sparse)
    net, rounding = loaded(engine, biases, weights), Rounding(engine.dtype)
    gradient = net.backprop(data)
    bounds = rounding.descend(bounded(biases), bounded(weights), x, y)
    own = [[b.error for b in part] for part in bounds]  # of p + nabla: more than of 0 + nabla

    def cost_and_bound():
        """The cost, and how far rounding can take it: |a - y| da + da^2 / 2, summed."""
        net.load(biases, weights)
        error = abs(net.feedforward(data).astype(np.longdouble) - y)
        da = rounding.activations(bounded(biases), bounded(weights), x)[-1].error.T
        return (error**2).sum() / 2, (error * da + da**2 / 2).sum()

    for kind, arrays in enumerate((biases, weights)):
        for l, index in [(l, i) for l, p in enumerate(arrays) for i in np.ndindex(p.shape)]:
            start = arrays[l][index]
            arrays[l][index] = start + h
            above, above_bound = cost_and_bound()
            arrays[l][index] = start - h
            below, below_bound = cost_and_bound()
            arrays[l][index] = start
            truncation = h**2 / 6 * third_derivative(biases, weights, x, kind, l, index)
            bound = truncation + (above_bound + below_bound) / (2 * h) + own[kind][l][index]
            slope = (above - below) / (2 * h)
            assert abs(gradient[kind][l][index] - slope) <= bound, (kind, l, index)
            assert bound < 1e-8, "a bound of no use"


def third_derivative(biases, weights, x, kind, l, index):
    """Bound the third derivative of the cost along one parameter, wherever it is.

    The weighted input z_j of the parameter's neuron is linear in it, with slope 1 or a_k.
    Chain rule through a = sigmoid(z), with |sigmoid'| <= 1/4, |sigmoid''| <= 1/(6 sqrt 3) and
    |sigmoid'''| <= 1/8, then through |w| of each layer above; dC = (a - y) da with
    |a - y| <= 1, so |C'''| <= sum of 3 |a'| |a''| + |a'''|.
    """
    total = 0.0
    for row in x:
        below = row[:, None]
        for b, w in zip(biases[:l], weights[:l]):
            below = 1 / (1 + np.exp(-(w @ below + b)))
        z1 = np.zeros_like(biases[l])
        z1[index[0]] = abs(below[index[1]]) if kind else 1.0
        z2, z3 = 0 * z1, 0 * z1
        for above in [*weights[l + 1 :], None]:
            a1 = z1 / 4
            a2 = z1**2 / (6 * 3**0.5) + z2 / 4
            a3 = z1**3 / 8 + 3 * z1 * z2 / (6 * 3**0.5) + z3 / 4
            if above is not None:
                z1, z2, z3 = (abs(above) @ a for a in (a1, a2, a3))
        total += float((3 * a1 * a2 + a3).sum())
    return total


def trained(engine, sizes, x, y, *, sparse, m=3, epochs=3, labels=None, eta=ETA):
    """Return (outputs, gradient, parameters, outputs) before and after some epochs."""
    net = loaded(engine, *parameters(sizes, engine.dtype), rows=len(x))
    data = packed(engine, x, y, n_out=sizes[-1], labels=labels, sparse=sparse)
    assert (data.sparse, data.coded) == (sparse != DENSE, sparse == CODES)
    order, source = bpcore.Order(len(x)), random.Random(1)
    before = net.feedforward(data), *net.backprop(data)
    for _ in range(epochs):
        order.shuffle(source)
        net.sgd(data, order, m, eta)
    return [*before, *net.store(), net.feedforward(data)]


@each_engine
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_dense_and_csr_give_the_same_bits(engine, depth):
    for sizes in shapes(engine, depth):
        x, y = examples(17, sizes[0], sizes[-1], engine.dtype)
        forms = [trained(engine, sizes, x, y, sparse=form) for form in (DENSE, VALUES, CODES)]
        assert same_bits(forms[1:], 2 * forms[:1]), sizes


@each_engine
@pytest.mark.parametrize("m", [1, 2, 17])
def test_dense_and_csr_give_the_same_bits_in_blocks_of_any_width(engine, m):
    # Dense inputs' weights are updated and read again by blocks of fewer inputs than these.
    for sizes in ([150, 5, 3], [400, 130, 3], [150, 520, 3]):
        x, y = examples(17, sizes[0], sizes[-1], engine.dtype)
        forms = [trained(engine, sizes, x, y, sparse=form, m=m) for form in (DENSE, VALUES)]
        assert same_bits(*forms), sizes


@each_engine
@pytest.mark.parametrize("density", [0, 1])
def test_dense_and_csr_give_the_same_bits_of_no_zeros_and_of_nothing_else(engine, density):
    sizes = [33, 30, 3]
    x = density * np.random.RandomState(1).randint(1, 99, (9, 33)).astype(engine.dtype) / 64
    y = examples(9, 33, 3, engine.dtype)[1]
    forms = [trained(engine, sizes, x, y, sparse=form) for form in (DENSE, VALUES, CODES)]
    assert same_bits(forms[1:], 2 * forms[:1])


@each_engine
@each_form
def test_integer_labels_and_one_hot_rows_give_the_same_bits(engine, sparse):
    for sizes in shapes(engine, 2):
        x, y = examples(12, sizes[0], sizes[-1], engine.dtype)
        labels = labels_of(y) if sizes[-1] > 1 else np.arange(12) % 2
        one_hot = np.eye(max(sizes[-1], 2), dtype=engine.dtype)[labels]
        one_hot = one_hot if sizes[-1] > 1 else one_hot[:, 1:].copy()
        assert same_bits(
            trained(engine, sizes, x, one_hot, sparse=sparse),
            trained(engine, sizes, x, None, labels=labels, sparse=sparse),
        ), sizes


@each_engine
@each_form
def test_a_separable_problem_is_learnt(engine, sparse):
    # Four inputs name four classes: what is learnt does not depend on rounding.
    x = np.tile(np.eye(4, dtype=engine.dtype), (25, 1))
    net = loaded(engine, *parameters([4, 6, 4], engine.dtype), rows=10)
    data = packed(engine, x, x, labels=labels_of(x), sparse=sparse)
    order, source = bpcore.Order(100), random.Random(1)
    for _ in range(60):
        order.shuffle(source)
        net.sgd(data, order, 10, 3.0)
    assert net.evaluate(data) == 100


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@each_form
def test_engines_that_fuse_multiply_and_add_give_the_same_bits(dtype, sparse):
    # Every element is one chain in a stated order, and each addition takes at most one product:
    # there is one way to fuse, whatever the width of a vector.
    engines = [e for e in ENGINES if e.dtype == dtype and e.isa in ("avx2", "avx512")]
    if len(engines) < 2:
        pytest.skip("this machine has fewer than two such engines")
    for sizes in shapes(engines[0], 3):
        x, y = examples(17, sizes[0], sizes[-1], engines[0].dtype)
        first, second = (trained(e, sizes, x, y, sparse=sparse, epochs=20) for e in engines)
        assert same_bits(first, second), sizes


@each_engine
@each_form
@pytest.mark.parametrize("n_out", [1, 3, 10, 15])
def test_results_do_not_depend_on_the_padding_of_a_row(engine, sparse, n_out):
    # Outputs of zero parameters have a = 1/2; if 1/2 is desired their error is zero for ever,
    # and so is what they add to the errors below.  They only move the end of the row.
    more, sizes = 16, [9, 7, n_out]
    biases, weights = parameters(sizes, engine.dtype)
    wide_biases, wide_weights = [b.copy() for b in biases], [w.copy() for w in weights]
    wide_biases[1] = np.vstack([biases[1], np.zeros((more, 1), engine.dtype)])
    wide_weights[1] = np.vstack([weights[1], np.zeros((more, 7), engine.dtype)])
    x, y = examples(30, 9, n_out, engine.dtype)
    wide_y = np.hstack([y, np.full((30, more), 0.5, engine.dtype)])
    results = []
    for parts, desired in [((biases, weights), y), ((wide_biases, wide_weights), wide_y)]:
        net = loaded(engine, *parts, rows=4)
        data = packed(engine, x, desired, sparse=sparse)
        for _ in range(40):
            net.sgd(data, bpcore.Order(30), 4, 3.0)
        results.append((*net.store(), net.feedforward(data)))
    (b, w, out), (wide_b, wide_w, wide_out) = results
    assert same_bits([b[0], w[0]], [wide_b[0], wide_w[0]])
    assert same_bits([b[1], w[1]], [wide_b[1][:n_out], wide_w[1][:n_out]])
    assert same_bits(out, np.ascontiguousarray(wide_out[:, :n_out]))
    assert not wide_b[1][n_out:].any() and not wide_w[1][n_out:].any()
    assert (wide_out[:, n_out:] == 0.5).all()


def tutorial(engine, n, seed=0):
    """Return (x, labels) of n examples that look like MNIST."""
    draw = np.random.RandomState(seed)
    x = np.where(draw.rand(n, 784) < 0.19, draw.rand(n, 784), 0).astype(engine.dtype)
    return x, draw.randint(0, 10, n)


def mini_batches(engine, net, x, labels, order, m):
    """Descend on one mini-batch after another, each a call and Data of its own."""
    for k in range(0, len(order), m):
        picked = order[k : k + m]
        batch = packed(engine, x[picked], n_out=10, labels=labels[picked], sparse=True)
        net.sgd(batch, bpcore.Order(len(picked)), m, 3.0)
        yield


@each_engine
@each_form
def test_sgd_in_slices_gives_the_bits_of_one_mini_batch_after_another(engine, sparse):
    n, m = 995, 10  # some slices, and a short mini-batch at the end
    x, labels = tutorial(engine, n)
    data = packed(engine, x, n_out=10, labels=labels, sparse=sparse)
    order = bpcore.Order(n)
    order.shuffle(random.Random(1))
    nets = [loaded(engine, *parameters([784, 30, 10], engine.dtype), rows=m) for _ in range(2)]
    nets[0].sgd(data, order, m, 3.0)
    for _ in mini_batches(engine, nets[1], x, labels, order.tolist(), m):
        pass
    assert same_bits(nets[0].store(), nets[1].store())

    out = nets[0].feedforward(data)
    correct = nets[0].evaluate(data)  # in slices, too
    assert correct == np.count_nonzero(np.argmax(out, axis=1) == labels)


class StopError(Exception):
    """What the signal handler of the next test raises."""


@each_engine
def test_an_interrupted_sgd_leaves_a_whole_number_of_mini_batches(engine):
    n, m = 3000, 10
    x, labels = tutorial(engine, n)
    start = parameters([784, 30, 10], engine.dtype)
    net, order = loaded(engine, *start, rows=m), bpcore.Order(n)
    data = packed(engine, x, n_out=10, labels=labels)
    ready = threading.Event()

    class Rate:
        """A learning rate that lets the other thread go when the core asks for its value."""

        def __float__(self):
            ready.set()
            return 3.0

    def stop(signum, frame):
        raise StopError

    def send():
        ready.wait()
        signal.raise_signal(signal.SIGINT)

    sender = threading.Thread(target=send)
    handler = signal.signal(signal.SIGINT, stop)
    try:
        with pytest.raises(StopError):
            sender.start()
            try:
                net.sgd(data, order, m, Rate())
            finally:
                ready.set()
                sender.join()  # the core may be done before the signal comes
    finally:
        signal.signal(signal.SIGINT, handler)
    found = net.store()
    again = loaded(engine, *start, rows=m)
    stops = mini_batches(engine, again, x, labels, order.tolist(), m)
    assert same_bits(found, start) or any(same_bits(found, again.store()) for _ in stops)


@each_engine
@each_form
def test_results_do_not_depend_on_the_rows_of_the_scratch(engine, sparse):
    sizes = [9, 17, 4]
    x, y = examples(23, 9, 4, engine.dtype)
    data = packed(engine, x, y, labels=labels_of(y), sparse=sparse)
    results = []
    for rows in (3, 4, 5, 23, 64):
        net = loaded(engine, *parameters(sizes, engine.dtype), rows=rows)
        net.sgd(data, bpcore.Order(23), 3, ETA)
        results.append([np.array(net.evaluate(data)), net.feedforward(data), *net.store()])
    assert all(same_bits(result, results[0]) for result in results)


@each_engine
@each_form
def test_an_example_alone_gives_the_bits_it_gives_among_others(engine, sparse):
    x, y = examples(13, 9, 4, engine.dtype)
    net = loaded(engine, *parameters([9, 17, 4], engine.dtype))
    together = net.feedforward(packed(engine, x, y, sparse=sparse))
    for i in range(13):
        alone = net.feedforward(packed(engine, x[i : i + 1], y[i : i + 1], sparse=sparse))
        assert same_bits(alone[0], together[i])


@each_engine
def test_a_learning_rate_of_zero_changes_no_bit_and_data_is_never_written(engine):
    x, y = examples(7, 5, 3, engine.dtype)
    x.setflags(write=False)
    y.setflags(write=False)
    before = x.copy(), y.copy(), parameters([5, 8, 3], engine.dtype)
    biases, weights = parameters([5, 8, 3], engine.dtype)
    net = loaded(engine, biases, weights)
    net.sgd(packed(engine, x, y), bpcore.Order(7), 2, 0.0)
    assert same_bits(net.store(), before[2])
    net.sgd(packed(engine, x, y), bpcore.Order(7), 2, ETA)
    assert same_bits((x, y), before[:2]) and same_bits((biases, weights), before[2])


@each_engine
def test_numbers_below_the_normal_range_are_zeros_in_training_and_nowhere_else(engine):
    """An update of half the smallest normal number is none; the caller's arithmetic stays."""
    tiny = np.finfo(engine.dtype).smallest_normal
    biases, weights = [np.zeros((1, 1), engine.dtype)], [np.zeros((1, 1), engine.dtype)]
    net = loaded(engine, biases, weights)
    x, y = np.ones((1, 1), engine.dtype), np.zeros((1, 1), engine.dtype)
    data = packed(engine, x, y, labels=np.zeros(1, np.int64))
    net.sgd(data, bpcore.Order(1), 1, 2 * float(tiny))  # the error is 1/8
    if engine.isa != "baseline" or engine.lanes > 1:  # scalar code flushes nothing
        assert same_bits(net.store(), (biases, weights))
    assert net.evaluate(data) == 1
    assert (np.full(4, tiny) / 2 != 0).all()
    assert net.backprop(packed(engine, x * tiny / 2, y))[1][0] != 0


@each_engine
@each_form
def test_no_examples_are_no_work(engine, sparse):
    x, y = np.empty((0, 3), engine.dtype), np.empty((0, 2), engine.dtype)
    data = packed(engine, x, y, labels=np.empty(0, np.int64), sparse=sparse)
    start = parameters([3, 2], engine.dtype)
    net = loaded(engine, *start)
    assert len(data) == 0 and data.sparse == (sparse != DENSE)
    net.sgd(data, bpcore.Order(0), 1, ETA)
    assert same_bits(net.store(), start)
    assert net.feedforward(data).shape == (0, 2) and net.evaluate(data) == 0
    assert not any(array.any() for arrays in net.backprop(data) for array in arrays)


@each_engine
def test_evaluate_breaks_ties_and_meets_nan_as_numpys_argmax(engine):
    # No weights, so each output is the sigmoid of its bias, or NaN.
    for n_out in (2, 3, 4, engine.lanes + 2, engine.lanes + 3):
        data = packed(
            engine,
            np.ones((n_out, 1), engine.dtype),
            n_out=n_out,
            labels=np.arange(n_out, dtype=np.int64),
        )
        net = bpcore.Net(engine, [1, n_out], 3)
        head = min(n_out, 4)
        for start in itertools.product([-1.0, 0.0, 1.0, np.nan], repeat=head):
            biases = np.array([*start, *[-1.0] * (n_out - head)], engine.dtype)[:, None]
            net.load([biases], [np.zeros((n_out, 1), engine.dtype)])
            best = np.argmax(net.feedforward(data)[0])
            one = packed(
                engine, np.ones((1, 1), engine.dtype), n_out=n_out, labels=np.array([best])
            )
            assert (net.evaluate(one), net.evaluate(data)) == (1, 1), biases


@each_engine
def test_the_csr_form_is_built_up_to_its_density_and_on_request(engine):
    n, n_in = 10, 10
    for nonzeros in range(n * n_in + 1):
        x = np.zeros(n * n_in, engine.dtype)
        x[:nonzeros] = 1
        data = packed(engine, x.reshape(n, n_in), n_out=1)
        assert data.sparse == (nonzeros <= CSR_MAX_DENSITY * n * n_in)
    assert packed(engine, x.reshape(n, n_in), n_out=1, sparse=True).sparse
    assert not packed(engine, np.zeros((n, n_in), engine.dtype), n_out=1, sparse=False).sparse


class Source(bpcore.Source):
    """Rows that bpcore.pack asks for a block at a time, and what it asked for."""

    def __init__(self, x):
        super().__init__(x.shape, x.dtype)
        self.x, self.blocks, self.checked = x, [], []

    def read(self, begin, out):
        assert out.dtype == self.x.dtype and out.flags.c_contiguous
        self.blocks.append((begin, len(out)))
        out[...] = self.x[begin : begin + len(out)]

    def check(self, begin, rows):
        assert same_bits(rows, self.x[begin : begin + len(rows)])
        self.checked.append((begin, len(rows)))


def inputs(engine, n, n_in, density):
    """Return x (n, n_in) with about this share of nonzeros, among them the odd ones."""
    draw = np.random.RandomState(n_in)
    odd = [-0.0, np.finfo(engine.dtype).smallest_subnormal, np.nan, -np.inf, 1, -2]
    values = draw.choice(np.array(odd, engine.dtype), (n, n_in))
    return np.where(draw.rand(n, n_in) < density, values, 0).astype(engine.dtype)


@each_engine
@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 1.0])
def test_the_csr_form_holds_the_nonzeros_in_their_places(engine, density):
    """The twin is NumPy's: positions by nonzero, bits by equality.  Only -0.0 is lost."""
    for n, n_in in itertools.product((0, 1, 2, 5), (1, 2, 7, 8, 9, 15, 16, 17, 100)):
        x = inputs(engine, n, n_in, density)
        for given, form in itertools.product((x, Source(x)), (VALUES, CODES)):
            data = packed(engine, given, n_out=1, sparse=form)
            assert data.sparse and data.shape == (n, n_in)
            assert data.nonzeros == np.count_nonzero(x)
            item, distinct = engine.dtype.itemsize, len(np.unique(x[x != 0]))
            values = data.nonzeros * item if form == VALUES else data.nonzeros + distinct * item
            assert data.nbytes == 8 * (n + 1) + 2 * data.nonzeros + values
            assert same_bits(data.rows(0, n), np.where(x == 0, 0, x))
            for i in range(n):
                assert same_bits(data.rows(i, i + 1), data.rows(0, n)[i : i + 1])


@each_engine
def test_rows_are_read_once_in_blocks_that_stay_in_cache(engine):
    for n, n_in in ((3, 70000), (2000, 100), (7, 10)):
        x = inputs(engine, n, n_in, 0.1)
        x[~np.isfinite(x)] = 3
        source = Source(x)
        data = packed(engine, source, n_out=1)
        assert data.sparse == (n_in <= 65536)
        looks = LOOKED_AT if n >= 2 * LOOKED_AT else 0
        assert [rows for _, rows in source.blocks[:looks]] == [1] * looks
        blocks = source.blocks[looks:]
        ends = [begin + rows for begin, rows in blocks]
        assert [begin for begin, _ in blocks] == [0, *ends][: len(ends)]
        assert ends[-1:] == [n]
        most = max(1, 2**18 // (n_in * engine.dtype.itemsize))
        assert all(1 <= rows <= most for _, rows in blocks)
        np.testing.assert_array_equal(data.rows(0, n), source.x)


@each_engine
@pytest.mark.parametrize("form", [VALUES, CODES])
def test_all_rows_are_checked_where_an_item_is_not_finite_and_no_row_elsewhere(engine, form):
    for odd in (np.nan, np.inf, -np.inf):
        x = np.zeros((2000, 100), engine.dtype)
        x[7, 3] = 1
        source = Source(x)
        packed(engine, source, n_out=1, sparse=form)
        assert source.checked == []
        x[-1, -1] = odd
        source = Source(x)
        packed(engine, source, n_out=1, sparse=form)
        assert sum(rows for _, rows in source.checked) == len(x)


@each_engine
def test_the_form_depends_on_the_number_of_nonzeros_and_not_on_where_they_are(engine):
    n, n_in = 1000, 100
    most = int(CSR_MAX_DENSITY * n * n_in)
    draw = np.random.RandomState(0)
    for nonzeros in (most, most + 1):
        first = np.arange(n * n_in) < nonzeros
        for places in (first, first[::-1], draw.permutation(first)):
            x = places.reshape(n, n_in).astype(engine.dtype)
            for given in (x, Source(x)):
                data = packed(engine, given, n_out=1)
                assert data.sparse == (nonzeros == most)
                assert same_bits(data.rows(0, n), x)


@each_engine
def test_a_source_that_says_something_else_each_time_does_no_harm(engine):
    class Fickle(Source):
        def read(self, begin, out):
            out[...] = begin % 2 * (1 + begin)

        def dense(self):
            return self.x[: len(self.x) // 2]

    n, n_in = 400, 1000
    x = np.zeros((n, n_in), engine.dtype)
    data = packed(engine, Fickle(x), n_out=1, sparse=True)
    assert data.sparse and data.nonzeros <= n * n_in
    half, y = packed(engine, Fickle(x), n_out=1, sparse=False), np.zeros((n, 1), engine.dtype)
    with pytest.raises(ValueError, match=r"^y must have shape [(]200, 1[)], got [(]400, 1[)]$"):
        packed(engine, Fickle(x), y, sparse=False)
    for each in (data, half):
        out = bpcore.Net(engine, [n_in, 1], 8).feedforward(each)
        assert len(out) == len(each)


@each_engine
def test_a_source_that_raises_leaves_nothing_behind(engine):
    class Broken(Source):
        def read(self, begin, out):
            raise KeyError(begin)

    with pytest.raises(KeyError, match=r"^0$"):
        packed(engine, Broken(np.zeros((3, 4), engine.dtype)), n_out=1)


@each_engine
@each_form
def test_data_share_the_inputs_of_other_data(engine, sparse):
    x, y = examples(50, 40, 3, engine.dtype)
    net = loaded(engine, *parameters([40, 3], engine.dtype), rows=64)
    expected = net.backprop(packed(engine, x, y, sparse=sparse))
    first = packed(engine, x.copy(), n_out=7, sparse=sparse)
    second = packed(engine, first, y)
    third = packed(engine, second, n_out=3, labels=labels_of(y))
    del first
    assert second.sparse == third.sparse == (sparse != DENSE)
    assert same_bits(net.backprop(second), expected)
    assert net.evaluate(third) == net.evaluate(packed(engine, x, y, labels=labels_of(y)))
    for other in ENGINES:
        if other is not engine:
            with pytest.raises(ValueError, match=r"^data that share inputs must be"):
                packed(other, second, n_out=3)


@each_engine
def test_nan_and_infinity_are_nonzero_and_negative_zero_is_not(engine):
    for special in (np.nan, np.inf, -np.inf, -0.0):
        x = np.zeros((3, 5), engine.dtype)
        x[1, 2] = special
        biases, weights = parameters([5, 2], engine.dtype)
        outs = [
            loaded(engine, biases, weights).feedforward(packed(engine, x, n_out=2, sparse=form))
            for form in (False, True)
        ]
        assert same_bits(np.isnan(outs[0]), np.isnan(outs[1]))
        np.testing.assert_array_equal(*outs)


@each_engine
def test_values_get_codes_while_a_table_of_256_holds_them(engine):
    """Codes are given in the order in which values come; zeros need none."""
    numbers = np.arange(1, 258, dtype=engine.dtype)
    for n, coded in ((1, True), (255, True), (256, True), (257, False)):
        x = np.zeros((70, 300), engine.dtype)
        x.reshape(-1)[:: 70 * 300 // n][:n] = numbers[:n]
        x[-1, -7:] = numbers[:n][-7:]
        data = packed(engine, x, n_out=1)
        assert data.sparse and data.coded == coded and same_bits(data.rows(0, 70), x)
        assert not packed(engine, x, n_out=1, sparse=VALUES).coded


@each_engine
def test_rows_of_65536_inputs_are_packed_and_longer_ones_stay_dense(engine):
    for n_in, sparse in ((65536, True), (65537, False)):
        x = np.zeros((2, n_in), engine.dtype)
        x[1, -1], x[0, n_in // 2] = 2, 3
        data = packed(engine, x, n_out=1)
        assert data.sparse == sparse
        biases, weights = parameters([n_in, 1], engine.dtype)
        net = loaded(engine, biases, weights)
        alike = net.feedforward(packed(engine, x, n_out=1, sparse=False))
        assert same_bits(net.feedforward(data), alike)
    message = "^rows to pack must have at most 65536 inputs, got 65537$"
    with pytest.raises(ValueError, match=message):
        packed(engine, x, n_out=1, sparse=True)


# Columns of 16 bits end here; those beyond have 32.
WIDE = 65537


def wide_examples(n_in, dtype):
    """Return x (13, n_in) whose rows have no nonzeros to hundreds, and y."""
    draw = np.random.RandomState(n_in)
    x = np.zeros((13, n_in), dtype)
    for i, row in enumerate(x):
        row[draw.randint(n_in, size=i * i * 3)] = draw.randn()
    x[4, [0, 65535, -1]] = x[7, [-2, -1]] = 0.5
    return x, draw.rand(13, 2).astype(dtype)


def all_that_is_computed(engine, rule, hidden, n_in, inputs, y, n_threads):
    """Return what two epochs, and every call, make of these inputs."""
    weights = [
        np.resize(np.linspace(-0.5, 0.5, 1009), (hidden, n_in)),
        np.eye(2, hidden),
    ]
    parameters = [np.zeros((hidden, 1)), np.ones((2, 1))], weights
    net = loaded(
        engine,
        *([array.astype(engine.dtype) for array in part] for part in parameters),
        n_threads=n_threads,
        rule=rule,
    )
    assert net.n_threads == n_threads
    data = bpcore.Data(engine, inputs, 2, y=y, labels=labels_of(y))
    given = {"plain": (), "momentum": (0.5,), "adam": (0.9, 0.999, 1e-8)}[rule]
    losses, costs = np.zeros((5, 2)), np.zeros(len(y), engine.dtype)
    for _ in range(2):
        net.sgd(data, bpcore.Order(len(y)), 3, 0.01, l2=1e-3, parameters=given, losses=losses)
    count = np.array(net.evaluate(data, costs))
    return [*net.store(), [*net.backprop(data)], [net.feedforward(data), losses, costs, count]]


@each_engine
@pytest.mark.parametrize("rule", ["plain", "momentum", "adam"])
@pytest.mark.parametrize("n_in", [WIDE - 1, WIDE, 70000])
def test_columns_of_either_width_give_the_bits_of_dense_inputs(engine, rule, n_in):
    x, y = wide_examples(n_in, engine.dtype)
    form = bpcore.Data(engine, csr(x), 2)
    assert form.sparse and same_bits(form.rows(0, len(x)), x)
    assert form.nbytes == 8 * 14 + form.nonzeros * ((4 if n_in >= WIDE else 2) + x.itemsize)
    for hidden, n_threads in ((3, 1), (20, 1), (20, 2)):  # lines for a thread, and for two
        found = [
            all_that_is_computed(engine, rule, hidden, n_in, inputs, y, n_threads)
            for inputs in (x, csr(x))
        ]
        assert same_bits(*found)


@each_engine
def test_wide_columns_give_the_bits_of_dense_inputs_in_every_panel(engine):
    """Panels of 8 vectors, which some engines take of 16 or more, and of 4, 2 and 1."""
    x, y = wide_examples(WIDE, engine.dtype)
    found = []
    for inputs in (x, csr(x)):
        net = loaded(
            engine,
            [np.zeros((n, 1), engine.dtype) for n in (23 * engine.lanes, 2)],
            [
                np.full(shape, 1 / 128, engine.dtype)
                for shape in ((23 * engine.lanes, WIDE), (2, 23 * engine.lanes))
            ],
        )
        net.sgd(bpcore.Data(engine, inputs, 2, y=y), bpcore.Order(len(y)), 3, 0.5)
        found.append(net.store())
    assert same_bits(*found)


@each_engine
def test_one_network_takes_dense_inputs_and_sparse_ones_in_turn(engine):
    x, y = wide_examples(WIDE, engine.dtype)
    net = loaded(engine, *parameters([WIDE, 2], engine.dtype))
    forms = [bpcore.Data(engine, inputs, 2, y=y) for inputs in (csr(x), x)]
    found = [net.feedforward(forms[i]) for i in (0, 1, 0, 1)]
    assert same_bits(found, found[:1] * 4)


def test_columns_are_wide_beyond_65536_inputs_up_to_what_int32_holds():
    most = bpcore.MAX_CSR_INPUTS
    assert most == np.iinfo(np.int32).max
    for n_in, width in ((0, 16), (65536, 16), (WIDE, 32), (most, 32)):
        assert bpcore.columns_dtype(n_in) == np.dtype(f"uint{width}")
    engine = bpcore.engine("float32")
    ends = np.array([0, most - 1], np.uint32)
    form = most, np.array([0, 2]), ends, np.ones(2, "f"), None
    assert bpcore.Data(engine, form, 1).shape == (1, most)
    message = f"^a CSR form must have at most {most} inputs, got {most + 1}$"
    with pytest.raises(ValueError, match=message):
        bpcore.Data(engine, (most + 1, *form[1:]), 1)


@each_engine
@each_form
def test_data_keeps_its_arrays_alive(engine, sparse):
    x, y = examples(50, 40, 3, engine.dtype)
    net = loaded(engine, *parameters([40, 3], engine.dtype), rows=64)
    expected = net.backprop(packed(engine, x, y, sparse=sparse))
    data = packed(engine, x.copy(), y.copy(), sparse=sparse)
    _ = [np.full_like(x, np.nan) for _ in range(20)]  # would take the place of freed arrays
    assert same_bits(net.backprop(data), expected)


def test_data_says_what_is_wrong_with_its_arrays():
    engine = bpcore.engine("float64")
    x, y = np.zeros((3, 4)), np.zeros((3, 2))

    def refused(error, message, x=x, **keywords):
        with pytest.raises(error, match=message):
            bpcore.Data(engine, x, 2, **keywords)

    refused(TypeError, "^x must be an array of float64, got complex64$", x.astype("F"))
    refused(TypeError, "^y must be an array of float64, got float32$", y=y.astype("f"))
    refused(ValueError, "^x must be C-contiguous and aligned$", np.asfortranarray(x))
    odd = np.zeros(3 * 4 * 8 + 1, np.uint8)[1:].view("d").reshape(3, 4)
    refused(ValueError, "^x must be C-contiguous and aligned$", odd)
    refused(TypeError, "^y must be an array of float64, got list$", y=y.tolist())
    refused(ValueError, r"^y must have shape \(3, 2\), got \(2, 2\)$", y=y[:2])
    refused(ValueError, r"^y must have shape \(3, 2\), got \(3, 3\)$", y=np.zeros((3, 3)))
    refused(TypeError, "^labels must be an array of int64, got int32$", labels=np.zeros(3, "i"))
    refused(ValueError, r"^labels must have shape \(3,\), got \(2,\)$", labels=np.zeros(2, "q"))
    labels = np.zeros(3, "q")
    for wrong in ([0, 2, 1], [-2, 0, 1], [0, -(2**63), 2**63 - 1], [2**62, 0, 0]):
        message = rf"^labels must be in \[0, 2\), got {min(wrong)} to {max(wrong)}$"
        refused(ValueError, message, labels=np.array(wrong))
    for n_out in (1, 2):  # one output has two labels
        bpcore.Data(engine, x, n_out, labels=np.array([0, 1, 1]))

    for wrong in ([0, np.nan, 1], [1, -1, 1], [1, np.inf, 1], [0, 0, 0]):
        message = "^weights must be finite, at least 0 and not all 0$"
        refused(ValueError, message, weights=np.array(wrong, float))
    message = r"^weights must have shape \(3,\), got \(3, 1\)$"
    refused(ValueError, message, weights=np.ones((3, 1)))
    refused(TypeError, "^weights must be an array of float64, got int64$", weights=labels)


OFFSETS, COLUMNS = np.array([0, 2, 2, 3]), np.array([1, 3, 0], np.uint16)
ONES = np.ones(3)


@pytest.mark.parametrize("n_in", [4, WIDE])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": OFFSETS + 1}, "offsets must ascend from 0 to the number of columns"),
        ({"offsets": OFFSETS[:-1]}, "offsets must ascend from 0 to the number of columns"),
        ({"offsets": np.array([0, 2, 1, 3])}, "offsets must ascend from 0 to the number of"),
        ({"columns": COLUMNS[[1, 0, 2]]}, "columns must ascend in each row and be less than"),
        ({"columns": COLUMNS * 0}, "columns must ascend in each row and be less than n_in"),
        ({"columns": COLUMNS + 1}, "columns must ascend in each row and be less than n_in"),
        ({"values": np.ones(2)}, "values must be as many as columns"),
        ({"codes": np.array([0, 3, 0], "B")}, "codes must be less than the number of values"),
        ({"codes": np.zeros(2, "B")}, "codes must have shape (3,), got (2,)"),
    ],
)
def test_a_csr_form_is_not_trusted(change, message, n_in):
    """Column 3 stands for n_in - 1, 4 for n_in; wide columns have no codes."""
    engine, dtype = bpcore.engine("float64"), bpcore.columns_dtype(n_in)

    def form(offsets=OFFSETS, columns=COLUMNS, values=ONES, codes=None):
        columns = columns.astype(np.int64)
        columns = np.where(columns == 3, n_in - 1, np.where(columns == 4, n_in, columns))
        return bpcore.CSR(n_in, offsets, columns.astype(dtype), values, codes)

    bpcore.Data(engine, form(), 2)
    if n_in == WIDE and change.get("codes", np.empty(0)).size == 3:
        message = "codes must be None with columns of 32 bits"
    with pytest.raises(ValueError) as raised:
        bpcore.Data(engine, form(**change), 2)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("n_in", [WIDE - 1, WIDE])
def test_columns_have_the_dtype_that_the_number_of_inputs_says(n_in):
    engine, right = bpcore.engine("float64"), bpcore.columns_dtype(n_in)
    for dtype in map(np.dtype, ("u2", "u4", "i2", "i4", "i8", "f4")):
        form = n_in, OFFSETS, COLUMNS.astype(dtype), np.ones(3), None
        if dtype == right:
            assert len(bpcore.Data(engine, form, 2)) == 3
            continue
        message = f"^columns must be an array of {right}, got {dtype}$"
        with pytest.raises(TypeError, match=message):
            bpcore.Data(engine, form, 2)


@each_engine
@each_form
def test_what_data_holds_makes_the_same_data(engine, sparse):
    x, _ = examples(50, 40, 3, engine.dtype)
    data = packed(engine, x, n_out=3, sparse=sparse)
    again = bpcore.Data(engine, data.inputs, 3)
    assert (again.sparse, again.coded, again.shape) == (data.sparse, data.coded, (50, 40))
    assert (again.nbytes, again.nonzeros) == (data.nbytes, data.nonzeros)
    assert same_bits(again.rows(0, 50), x)


def test_net_says_what_is_wrong_with_its_sizes_and_parameters():
    engine = bpcore.engine("float64")
    for sizes, rows in [((), 1), ((3,), 1), ((3, 0), 1), ((3, -1, 2), 1), ((3, 2), 0)]:
        message = "^sizes must be two or more positive numbers and rows positive, got "
        with pytest.raises(ValueError, match=message):
            bpcore.Net(engine, sizes, rows)
    message = r"^a network of sizes \[\d+, 9\] does not fit in memory$"
    with pytest.raises(MemoryError, match=message):
        bpcore.Net(engine, [2**70, 9], 1)
    net = bpcore.Net(engine, [3, 2], 1)
    b, w = [np.zeros((2, 1))], [np.zeros((2, 3))]
    for biases, weights, message in [
        ([np.zeros(2)], w, r"^biases\[0\] must have shape \(2, 1\), got \(2,\)$"),
        (b, [np.zeros((3, 2))], r"^weights\[0\] must have shape \(2, 3\), got \(3, 2\)$"),
        (b, [np.zeros((4, 3))[::2]], r"^weights\[0\] must be C-contiguous and aligned$"),
    ]:
        with pytest.raises(ValueError, match=message):
            net.load(biases, weights)
    message = r"^biases\[0\] must be an array of float64, got float32$"
    with pytest.raises(TypeError, match=message):
        net.load([b[0].astype("f")], w)


@each_engine
def test_parameters_go_in_and_out_in_either_order(engine):
    sizes, rng = [5, 33, 1, 7], np.random.RandomState(0)
    places = [
        (
            [rng.randn(n, 1).astype(engine.dtype) for n in sizes[1:]],
            [rng.randn(n, m).astype(engine.dtype) for m, n in zip(sizes, sizes[1:])],
        )
        for _ in range(3)  # adam keeps two numbers of each
    ]
    rows = [([b.copy() for b in bs], list(map(np.asfortranarray, ws))) for bs, ws in places]
    empty = [([b * 0 for b in bs], [w * 0 for w in ws]) for bs, ws in rows]
    empty_rows = [
        ([b * 0 for b in bs], [np.asfortranarray(w * 0) for w in ws]) for bs, ws in rows
    ]
    for given in (places, rows):
        net = bpcore.Net(engine, sizes, 1, rule="adam")
        net.load(*given[0])
        net.restore(9, given[1:])
        assert net.steps == 9
        for filled in (empty, empty_rows):
            net.store_into(*filled[0], filled[1:])
            assert same_bits(filled, places)
        assert same_bits(net.store(), places[0])
        assert same_bits(net.state()[1], places[1:])
    with pytest.raises(ValueError, match=r"^slots must be 2 for the rule adam, got 1$"):
        net.store_into(*empty[0], empty[1:2])


@each_engine
@pytest.mark.parametrize("output", ["cross-entropy", "log-likelihood"])
def test_clipped_losses_are_of_rounded_probabilities(engine, output):
    dtype, far = engine.dtype, 60 if engine.dtype == np.float64 else 25
    clip = float(np.finfo(dtype).eps)
    z = np.linspace(-far, far, 201).astype(dtype)
    data = packed(engine, np.ones((1, 1), dtype), np.eye(2, dtype=dtype)[:1])
    for i in range(len(z)):
        net = bpcore.Net(engine, [1, 2], 1, output=output)
        net.load([np.zeros((2, 1), dtype)], [np.array([[z[i]], [z[-1 - i]]], dtype)])
        losses, (a,) = np.zeros((1, 2)), net.feedforward(data)
        net.sgd(data, bpcore.Order(1), 1, 0, losses=losses, clip=clip)
        bound = 2 * clip
        if output == "cross-entropy":
            a = 1 / (1 + np.exp(-z[[i, -1 - i]]))
            p = np.clip(a, dtype.type(clip), dtype.type(1 - clip))
            wanted = -np.log(p[0]) - np.log(1 - p[1])
            if 0 < z[-1 - i] < 12:  # an ulp of exp is one of 1 + exp now and then
                bound += clip / float(1 - p[1])
        else:
            wanted = -np.log(np.clip(a, clip, 1 - clip)[0])
        assert losses[0, 0] == pytest.approx(float(wanted), rel=8 * clip, abs=bound), z[i]


def test_net_says_what_is_wrong_with_its_data():
    engine = bpcore.engine("float64")
    net = bpcore.Net(engine, [4, 2], 2)
    x, y = np.zeros((3, 4)), np.zeros((3, 2))
    right, order = packed(engine, x, y), bpcore.Order(3)
    message = "^data must have 4 inputs and 2 outputs, got "
    for wrong, got in [
        (packed(engine, np.zeros((3, 5)), y), "5 and 2$"),
        (packed(engine, x, np.zeros((3, 3))), "4 and 3$"),
        (packed(engine, x, n_out=3, labels=np.array([0, 1, 2])), "4 and 3$"),
    ]:
        with pytest.raises(ValueError, match=message + got):
            net.feedforward(wrong)
        with pytest.raises(ValueError, match=message + got):
            net.evaluate(wrong)
        with pytest.raises(ValueError, match=message + got):
            net.backprop(wrong)
        with pytest.raises(ValueError, match=message + got):
            net.sgd(wrong, order, 1, ETA)

    data = packed(engine, x, n_out=2)
    with pytest.raises(ValueError, match=r"^data must have desired outputs$"):
        net.sgd(data, order, 1, ETA)
    with pytest.raises(ValueError, match=r"^data must have desired outputs$"):
        net.backprop(data)
    with pytest.raises(ValueError, match=r"^data must have labels$"):
        net.evaluate(right)
    with pytest.raises(ValueError, match=r"^order must have 3 items, got 2$"):
        net.sgd(right, bpcore.Order(2), 1, ETA)
    for size in (0, -1, 3):
        message = rf"^mini_batch_size must be in \[1, 2\], got {size}$"
        with pytest.raises(ValueError, match=message):
            net.sgd(right, order, size, ETA)
    other = packed(bpcore.engine("float32"), x.astype("f"), y.astype("f"))
    with pytest.raises(ValueError, match=r"^data and network must be of the same engine$"):
        net.feedforward(other)


@each_engine
def test_data_needs_the_boundary_of_an_item_only(engine):
    x, y = examples(5, 7, 3, engine.dtype)
    net = loaded(engine, *parameters([7, 3], engine.dtype))
    expected = net.backprop(packed(engine, x, y, sparse=False))
    moved, _ = aligned((5 * 7 + 1,), engine.dtype, np.nan)
    moved[1:] = x.ravel()
    data = packed(engine, moved[1:].reshape(5, 7), y, sparse=False)
    assert same_bits(net.backprop(data), expected)


@pytest.mark.parametrize("call", ["load", "restore"])
def test_what_is_refused_halfway_changes_nothing(call):
    """The second layer is wrong: the first, which is right, must not have been copied in."""
    engine = ENGINES[-1]
    net = bpcore.Net(engine, [3, 2, 2], 1, rule="momentum")
    biases = [np.ones((2, 1), engine.dtype), np.ones((3, 1), engine.dtype)]
    weights = [np.ones((2, 3), engine.dtype), np.ones((2, 2), engine.dtype)]
    args = (biases, weights) if call == "load" else (1, [(biases, weights)])
    with pytest.raises(
        ValueError, match=r"^biases\[1\] must have shape \(2, 1\), got \(3, 1\)$"
    ):
        getattr(net, call)(*args)
    (b, w), (steps, slots) = net.store(), net.state()
    assert steps == 0
    assert not any(part.any() for part in [*b, *w, *slots[0][0], *slots[0][1]])
