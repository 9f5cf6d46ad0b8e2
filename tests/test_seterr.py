"""``numpy.seterr(all="raise")``, which a script may set: what only underflows stops nothing."""

import io

import numpy as np
import pytest
from conftest import parameters_of
from engines import same_bits
from nets import (
    FAST,
    FORMS,
    count,
    each_dtype,
    each_form,
    each_trained,
    examples,
    face_of,
    held_out,
    make,
    rules,
    step,
    train,
)

import bpnet
from bpnet import Dataset, network2, plot, reference

# What inputs and weights are multiplied by: their products, exponentials and squares underflow
# in one dtype or the other, or on the way from one to the other.
SCALES = {
    "usual": (1.0, 1.0),
    "saturated": (1.0, 800.0),
    "inputs below float32": (1e-43, 1.0),
    "inputs below float64": (1e-312, 1.0),
    "weights below float32": (1.0, 1e-43),
    "squares below float64": (1.0, 1e-200),
    "products below float32": (1e-23, 1e-22),
    "products below float64": (1e-160, 1e-160),
}
each_scale = pytest.mark.parametrize("scale", SCALES)


def scaled(kind, dtype, scale):
    """Return a network, and examples to train on and to look at."""
    x_scale, w_scale = SCALES[scale]
    net = make(kind, dtype=dtype)
    net.weights = [(w * w_scale).astype(dtype) for w in net.weights]
    data, looked_at = examples(), held_out()
    return net, [(x * x_scale, y) for x, y in data], [(x * x_scale, y) for x, y in looked_at]


def trained(net, given, looked_at, path, rule):
    """Train with every figure looked at, to a checkpoint and from it; given() is the data."""
    options = {**face_of(net).figures, **rule, "judged_by": looked_at, "checkpoint": path}
    train(net, given(), 2, eta=1e-3, **options)
    train(net, given(), 3, eta=1e-3, resume=path, **options)
    return [*parameters_of(net), *(value for row in net.history for value in figures(row))]


def figures(record):
    return [np.array(value) for key, value in record.items() if key != "seconds"]


def asked(net, data, looked_at):
    """Return all that a network answers about examples, and where a step by hand takes it."""
    x = np.concatenate([x for x, _ in examples()], axis=1)
    found = [count(net, looked_at)]
    if isinstance(net, bpnet.MLP):
        found += [
            net.predict(x.T),
            net.predict(data),
            net.cost(data),
            *sum(net.gradient(data), []),
        ]
        return found
    found += [net.feedforward(x), *sum(net.backprop(*examples()[0]), [])]
    if isinstance(net, network2.Network):
        found += [net.total_cost(data, 0.5), net.total_cost(looked_at, 0.5)]
    step(net, data, 1e-3)
    return [*found, *parameters_of(net)]


def law(kind, dtype, scale, look):
    """Assert that look(net, examples, others) is the same whatever NumPy is told to raise."""
    found = []
    for told in ("ignore", "raise"):
        ready = scaled(kind, dtype, scale)
        with np.errstate(all=told):
            found.append([*map(np.asarray, look(*ready))])
    assert same_bits(*found)


@pytest.mark.pairs
@each_trained
@each_dtype
@each_scale
def test_a_run_is_the_same(kind, dtype, scale, tmp_path):
    def look(net, data, looked_at):
        rule = {name: value for name, value in rules(kind).items() if name != "mu"}
        return trained(net, lambda: list(data), looked_at, tmp_path / "run.npz", rule)

    law(kind, dtype, scale, look)


@pytest.mark.pairs
@each_trained
@each_dtype
@each_scale
@each_form
def test_what_a_network_says_is_the_same(kind, dtype, scale, form):
    law(
        kind,
        dtype,
        scale,
        lambda net, *given: asked(net, *(FORMS[form](each, dtype) for each in given)),
    )


@pytest.mark.pairs
@each_trained
@each_dtype
@each_scale
@pytest.mark.parametrize("name", ["net.npz", "net.json"])
def test_a_file_is_the_same(kind, dtype, scale, name, tmp_path):
    def look(net, *_):
        net.save(tmp_path / name)
        return parameters_of(bpnet.load(tmp_path / name))

    law(kind, dtype, scale, look)


@pytest.mark.pairs
@each_dtype
@pytest.mark.parametrize("hidden", reference.ACTIVATIONS)
@pytest.mark.parametrize("output", reference.OUTPUTS)
@pytest.mark.parametrize("rule", reference.RULES)
def test_every_row_of_the_tables_is_the_same(hidden, output, rule, dtype, tmp_path):
    found = []
    for told in ("ignore", "raise"):
        net = bpnet.MLP([6, 20, 3], hidden=hidden, output=output, dtype=dtype, seed=5)
        net.weights = [(w * 1e-30).astype(dtype) for w in net.weights]
        data = [(x * 1e-30, y) for x, y in examples()]
        with np.errstate(all=told):
            train(net, data, 2, eta=1e-3, rule=rule, judged_by=data, monitor=["training_cost"])
            found.append([*parameters_of(net), net.predict(data), *sum(net.gradient(data), [])])
    assert same_bits(*found)


@pytest.mark.parametrize("z", [-800.0, 800.0, -90.0, 90.0])
@each_dtype
def test_the_books_functions_are_the_same(z, dtype):
    z = np.full((3, 1), z, dtype)
    z[0] *= 2
    for function in (reference.sigmoid, reference.sigmoid_prime, reference.softmax):
        with np.errstate(all="ignore"):
            expected = function(z)
        with np.errstate(all="raise"):
            assert same_bits([function(z)], [expected])


def test_the_reference_leaves_numpys_error_state_as_it_was():
    """Its quiet functions call one another; before NumPy 2, one errstate is entered once."""
    net = reference.Network([3, 4, 2])
    x, y = np.ones((3, 1)), np.ones((2, 1))
    with np.errstate(all="warn"):
        before = np.geterr()
        for call in (
            lambda: reference.sigmoid_prime(x),
            lambda: net.feedforward(x),
            lambda: net.backprop(x, y),
            lambda: net.SGD([(x, y)], 1, 1, 0.1),
        ):
            call()
            assert np.geterr() == before


def test_weights_of_examples_may_underflow():
    weights = [1.0, 1e-300, 1e-50]
    with np.errstate(all="raise"):
        found = Dataset(examples(3), dtype="float32", weights=weights).weights
    assert found.tolist() == [1, 0, 0]


@each_dtype
@pytest.mark.parametrize("small", [1.0, 1e-43, 1e-200, 1e-310])
def test_pictures_are_drawn(small, dtype):
    pytest.importorskip("matplotlib")
    net = bpnet.Network([9, 4, 3], dtype=dtype, seed=1)
    net.weights = [(w * small).astype(dtype) for w in net.weights]
    data = held_out(sizes=[9, 3])
    history = [{"epoch": i, "update": small, "training_cost": small * i} for i in range(5)]
    with np.errstate(all="raise"):
        for figure in (
            plot.weights_as_images(net),
            plot.confusion_matrix(net, data),
            plot.misread_digits(net, data),
            plot.learning_curve(history),
        ):
            figure.savefig(io.BytesIO())


@pytest.mark.parametrize("kind", [*FAST, "MLP"])
def test_what_diverges_is_still_said(kind):
    net = make(kind)
    with np.errstate(all="raise"), pytest.raises(FloatingPointError, match="training diverged"):
        train(net, eta=1e300, **rules(kind))
