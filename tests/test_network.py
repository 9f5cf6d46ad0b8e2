"""Network against the reference within derived bounds, its hooks, and what interrupts it."""

import random
import signal
import types

import numpy as np
import pytest
from conftest import labelled, pairs, parameters_of, twin
from engines import Bounded, Rounding, judge, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import passing, visited

from bpnet import Network

SIZES = [4, 5, 3]
HOOKS = ("cost_derivative", "backprop", "update_mini_batch")


def after_mini_batches(net, order, mini_batch_size, eta):
    """Yield the parameters before the first of an epoch's mini-batches and after each."""
    yield net.biases, net.weights
    for k in range(0, len(order), mini_batch_size):
        net.update_mini_batch(order[k : k + mini_batch_size], eta)
        yield net.biases, net.weights


# An epoch is the book's, to rounding


@st.composite
def epochs(draw):
    """Networks of 1 to 4 layers of neurons, their data, and the arguments of one epoch."""
    return types.SimpleNamespace(
        sizes=draw(st.lists(st.integers(1, 20), min_size=2, max_size=5)),
        dtype=np.dtype(draw(st.sampled_from(["float32", "float64"]))),
        n=draw(st.integers(1, 12)),
        mini_batch_size=draw(st.integers(1, 14)),
        eta=draw(st.sampled_from([0, 1, 0.1, -0.5])),
        density=draw(st.sampled_from([0, 0.1, 1])),  # the core skips zeros if there are many
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def data_of(epoch):
    draw = np.random.RandomState(epoch.seed)
    x = draw.randn(epoch.n, epoch.sizes[0]) * (draw.rand(epoch.n, 1) < epoch.density)
    y = draw.rand(epoch.n, epoch.sizes[-1])
    return x.astype(epoch.dtype), y.astype(epoch.dtype)


@settings(max_examples=60)
@given(epoch=epochs())
def test_an_epoch_is_the_references_within_the_bound_of_its_roundings(epoch):
    """The bound follows every mini-batch: engines.Rounding, standard forward analysis."""
    x, y = data_of(epoch)
    net = Network(epoch.sizes, dtype=epoch.dtype, seed=epoch.seed)
    exact = judge(net.biases, net.weights)
    bounds = [Bounded(b) for b in net.biases], [Bounded(w) for w in net.weights]
    order = list(range(epoch.n))
    random.Random(epoch.seed).shuffle(order)
    net.SGD((x, y), 1, epoch.mini_batch_size, epoch.eta)

    rounding, wide = Rounding(epoch.dtype), np.longdouble
    for k in range(0, epoch.n, epoch.mini_batch_size):
        picked = order[k : k + epoch.mini_batch_size]
        batch = [(x[i].astype(wide)[:, None], y[i].astype(wide)[:, None]) for i in picked]
        exact.update_mini_batch(batch, wide(epoch.eta))
        bounds = rounding.update_mini_batch(*bounds, x[picked], y[picked], epoch.eta)
    for found, expected, bound in zip(
        parameters_of(net), parameters_of(exact), [*bounds[0], *bounds[1]], strict=True
    ):
        assert found.dtype == epoch.dtype
        assert (abs(found - expected) <= bound.error).all()


@settings(max_examples=30)
@given(epoch=epochs())
def test_an_epoch_is_its_mini_batches_one_by_one_to_the_bit(epoch):
    x, y = data_of(epoch)
    columns = [(row[:, None], target[:, None]) for row, target in zip(x, y)]
    net, again = (Network(epoch.sizes, dtype=epoch.dtype, seed=epoch.seed) for _ in range(2))
    net.SGD(columns, 1, epoch.mini_batch_size, epoch.eta)  # leaves columns in its order
    *_, last = after_mini_batches(again, columns, epoch.mini_batch_size, epoch.eta)
    assert same_bits(last, (net.biases, net.weights))


def test_the_gradient_that_a_script_checks_by_elements_is_the_slope_of_the_cost():
    """Central differences: error h^2/6 |C'''| plus eps |C| / h, for |C'''| <= 10, |C| <= 2."""
    net, (x, y) = Network(SIZES, seed=1), pairs(1, 4, 3)[0]
    h = 1e-5

    def cost():
        return 0.5 * float(np.sum((net.feedforward(x) - y) ** 2))

    bound = 10 * h**2 / 6 + 20 * np.finfo(float).eps * 2 / h
    nabla_b, nabla_w = net.backprop(x, y)
    for array, slope in zip(parameters_of(net), [*nabla_b, *nabla_w]):
        for index in np.ndindex(array.shape):
            array[index] += h
            above = cost()
            array[index] -= 2 * h
            below = cost()
            array[index] += h
            assert abs((above - below) / (2 * h) - slope[index]) <= bound


def test_a_run_classifies_as_well_as_the_references(capsys):
    """Three clouds six deviations apart: both networks learn every example."""
    draw = np.random.RandomState(0)
    truth = draw.randint(3, size=150)
    x = draw.randn(150, 2) + 6 * np.array([[0, 0], [1, 0], [0, 1]])[truth]
    training = [(row[:, None], np.eye(3)[:, [label]]) for row, label in zip(x, truth)]
    test = [(row[:, None], label) for row, label in zip(x, truth)]
    net = Network([2, 8, 3])
    book = twin(net)
    for each in (net, book):
        random.seed(1)
        each.SGD(list(training), 20, 10, 3.0, test_data=test)
    assert min(net.evaluate(test), book.evaluate(test)) >= 148


# Hooks


def always(label, seed):
    """Return a network whose most active output is label, whatever the input."""
    net = Network(SIZES, seed=seed)
    net.biases[-1][:] = -50
    net.biases[-1][label] = 50
    return net


@pytest.mark.parametrize("step", ["evaluate", "feedforward"])
def test_another_networks_evaluation_on_the_instance_is_called(step, capsys):
    """net.evaluate = other.evaluate is a hook as any other, although a method of this class."""
    net, other = always(0, seed=1), always(2, seed=2)
    setattr(net, step, getattr(other, step))
    net.SGD(pairs(4, 4, 3), 1, 2, 0, test_data=[(x, 2) for x, _ in labelled(7, 4, 3)])
    assert capsys.readouterr().out == "Epoch 0: 7 / 7\n"


@pytest.mark.parametrize("train", ["SGD", "update_mini_batch"])
def test_another_networks_backprop_on_the_instance_is_called(train, capsys):
    net, judged, other = Network(SIZES, seed=1), Network(SIZES, seed=1), Network(SIZES, seed=2)
    net.backprop = other.backprop
    judged.backprop = lambda x, y: other.backprop(x, y)
    for each in (net, judged):
        arguments = (pairs(9, 4, 3), 1, 3, 3.0) if train == "SGD" else (pairs(9, 4, 3), 3.0)
        getattr(each, train)(*arguments)
    assert same_bits(parameters_of(net), parameters_of(judged))


def test_another_networks_update_on_the_instance_is_called(capsys):
    net, other = Network(SIZES, seed=1), Network(SIZES, seed=2)
    before = parameters_of(net), parameters_of(other)
    net.update_mini_batch = other.update_mini_batch
    net.SGD(pairs(9, 4, 3), 1, 3, 3.0)
    assert same_bits(parameters_of(net), before[0])
    assert not same_bits(parameters_of(other), before[1])


@pytest.mark.parametrize("step", HOOKS)
def test_a_hook_may_train_another_network_and_this_one(step, capsys):
    """Nested training of another network does not disturb this one."""
    inner = Network([2, 2], seed=3)

    class Nesting(passing(Network, step)):
        def evaluate(self, test_data):
            inner.SGD(pairs(4, 2, 2), 1, 2, 1.0)
            return super().evaluate(test_data)

    net, plain = Nesting(SIZES, seed=1), passing(Network, step)(SIZES, seed=1)
    for each in (net, plain):
        each.SGD(pairs(9, 4, 3), 2, 3, 3.0, test_data=labelled(5, 4, 3))
    assert same_bits(parameters_of(net), parameters_of(plain))


# What stops training leaves a network and a list that are whole


def test_a_gradient_of_wrong_shape_is_refused_and_changes_nothing(nothing_changes):
    class Flat(Network):
        def backprop(self, x, y):
            nabla_b, nabla_w = super().backprop(x, y)
            return [b.ravel() for b in nabla_b], nabla_w

    net, data = Flat(SIZES, seed=1), pairs(3, 4, 3)
    with nothing_changes(net, data), pytest.raises(ValueError, match=r"^biases\[0\] has shape"):
        net.update_mini_batch(data, 0.5)


def test_ctrl_c_between_weights_and_biases_leaves_neither_changed():
    """On the path that runs in NumPy, where a signal can be handled between any two lines."""

    class Interrupted(passing(Network, "cost_derivative")):
        armed = False

        def __setattr__(self, name, value):
            if name == "biases" and self.armed:
                vars(self)["armed"] = False
                raise KeyboardInterrupt
            super().__setattr__(name, value)

    net = Interrupted(SIZES, seed=1)
    before = [array.copy() for array in parameters_of(net)]
    vars(net)["armed"] = True
    with pytest.raises(KeyboardInterrupt):
        net.update_mini_batch(pairs(3, 4, 3), 0.5)
    assert same_bits(parameters_of(net), before)


@pytest.mark.parametrize("at", [1, 2, 5, 9, 13])
@pytest.mark.parametrize("way", ["exception", "Ctrl-C"])
def test_what_stops_a_hook_leaves_a_whole_number_of_mini_batches(at, way, capsys):
    class StopError(Exception):
        pass

    class Stopping(Network):
        calls = 0

        def cost_derivative(self, output_activations, y):
            vars(self)["calls"] = self.calls + 1
            if self.calls == at and way == "exception":
                raise StopError
            if self.calls == at:
                signal.raise_signal(signal.SIGINT)
            return super().cost_derivative(output_activations, y)

    net, again = Stopping(SIZES, seed=1), passing(Network, "cost_derivative")(SIZES, seed=1)
    data, epochs = pairs(9, 4, 3), (at - 1) // 9
    given, order = list(data), visited(data, epochs + 1, seed=1)
    with pytest.raises(StopError if way == "exception" else KeyboardInterrupt):
        net.SGD(data, 3, 3, 3.0)
    again.SGD(given, epochs, 3, 3.0)
    assert all(a is b for a, b in zip(data, order))
    stops = list(after_mini_batches(again, order, 3, 3.0))
    assert same_bits((net.biases, net.weights), stops[(at - 1) % 9 // 3])
    net.calls = 100
    net.SGD(data, 1, 3, 3.0)  # and goes on


# Threads


class Restless(list):
    """A list that another thread permutes whenever it can: between any two looks at it."""

    def __iter__(self):
        items = self.copy()
        self.reverse()
        return iter(items)

    def __getitem__(self, index):
        item = super().__getitem__(index)
        self.reverse()
        return item


def test_examples_stay_whole_when_another_thread_permutes_the_list(capsys):
    """Each x keeps its y, although another network trains on the same list meanwhile."""
    net, plain = Network(SIZES, seed=1), Network(SIZES, seed=1)
    data = pairs(9, 4, 3)
    restless = Restless(data)
    net.SGD(restless, 1, 4, 3.0)
    plain.SGD(list(data), 1, 4, 3.0)
    assert same_bits(parameters_of(net), parameters_of(plain))
    test = [(x, int(np.argmax(net.feedforward(x)))) for x, _ in data]
    assert net.evaluate(Restless(test)) == len(test)


def test_no_example_is_lost_when_another_thread_permutes_the_list(capsys):
    data = pairs(9, 4, 3)
    restless = Restless(data)
    Network(SIZES, seed=1).SGD(restless, 2, 4, 3.0)
    assert sorted(map(id, list.__iter__(restless))) == sorted(map(id, data))
