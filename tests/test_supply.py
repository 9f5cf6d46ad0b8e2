"""Training on what a function makes for each epoch: fresh examples, ahead or when needed."""

import threading

import numpy as np
import pytest
from conftest import parameters_of
from nets import (
    FORMS,
    SIZES,
    SLOW,
    N,
    as_pair,
    each_class,
    each_dtype,
    each_trained,
    equal,
    examples,
    face_of,
    held_out,
    make,
    rules,
    timeless,
    train,
    visited,
)

import bpnet
from bpnet import reference
from bpnet.trainer import copies

EPOCHS = 4
each_ahead = pytest.mark.parametrize("ahead", [False, True], ids=["when needed", "ahead"])


def fresh(epoch):
    """Return other examples for each epoch: in CSR form, or dense."""
    return examples(seed=100 + 7 * epoch, density=0.1 if epoch % 2 else 1.0)


@each_ahead
@each_dtype
@each_trained
def test_the_same_examples_each_time_train_as_they_do_by_themselves(kind, dtype, ahead):
    usual = make(kind, dtype=dtype)
    train(usual, examples(), EPOCHS)
    for form in FORMS:
        net = make(kind, dtype=dtype)
        train(net, lambda epoch, form=form: FORMS[form](examples(), dtype), EPOCHS, ahead=ahead)
        assert equal(net, usual) and timeless(net.history) == timeless(usual.history)


@each_ahead
@each_class
def test_each_epoch_trains_on_its_own_examples(kind, ahead):
    """Beside the book's steps on them, in the order in which the network visits them."""
    seed, m = 8, 4
    net = make(kind, seed)
    judge = reference.MLP(SIZES, "sigmoid", net.output or "quadratic")
    judge.biases, judge.weights = copies((net.biases, net.weights))
    train(net, fresh, EPOCHS, m=m, ahead=ahead)
    for epoch in range(EPOCHS):
        given = fresh(epoch)
        order = visited(range(N), epoch + 1, seed)
        for k in range(0, N, m):
            judge.update_mini_batch([given[i] for i in order[k : k + m]], 0.5)
    for found, expected in zip(parameters_of(net), parameters_of(judge)):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", SLOW)
def test_a_scripts_own_steps_see_each_epochs_examples(kind):
    fast = make({"network, backprop": "network"}.get(kind, "network2"))
    slow = make(kind)
    for net in (fast, slow):
        train(net, fresh, EPOCHS, eta=0.5 if net is fast or "cost" not in kind else 0.25)
    for found, expected in zip(parameters_of(slow), parameters_of(fast)):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


@each_class
def test_what_is_looked_at_is_what_was_trained_on(kind):
    net = make(kind)
    seen = []
    figure = {"monitor": ["training_cost", "training_accuracy"]}

    def look(net, epoch):
        seen.append(net._ask("data", fresh(epoch), cost=True, count=True))

    train(net, fresh, EPOCHS, callback=look, **figure)
    costs = [record["training_cost"] for record in net.history]
    shares = [record["training_accuracy"] for record in net.history]
    np.testing.assert_allclose(costs, [cost for cost, _ in seen], rtol=1e-12)
    assert shares == [count / N for _, count in seen]


@each_ahead
@each_trained
def test_a_run_goes_on_to_the_bits_of_one_that_did_not_end(kind, ahead, tmp_path):
    path, asked = tmp_path / "run.npz", []

    def made(epoch):
        asked.append(epoch)
        return fresh(epoch)

    whole = make(kind)
    train(whole, fresh, EPOCHS, ahead=ahead, **rules(kind))
    for k in range(EPOCHS):
        first = make(kind)
        train(first, fresh, k, checkpoint=path, ahead=ahead, **rules(kind))
        asked.clear()
        net = make(kind, seed=77)
        train(net, made, EPOCHS, resume=path, ahead=ahead, **rules(kind))
        assert equal(net, whole) and timeless(net.history) == timeless(whole.history)
        assert asked == [0, *range(max(k, 1), EPOCHS)]


@each_class
def test_a_run_on_other_examples_is_not_gone_on_with(kind, tmp_path):
    path = tmp_path / "run.npz"
    train(make(kind), fresh, 2, checkpoint=path)
    with pytest.raises(ValueError, match="on these training examples in epoch 0, got"):
        train(make(kind), lambda epoch: examples(seed=1), EPOCHS, resume=path)


@each_ahead
@each_class
def test_what_fails_in_an_epoch_leaves_the_ones_before(kind, ahead, tmp_path):
    path, threads = tmp_path / "run.npz", threading.active_count()

    def failing(epoch):
        if epoch == 2:
            raise RuntimeError("no more")
        return fresh(epoch)

    net, usual = make(kind), make(kind)
    train(usual, fresh, 2)
    with pytest.raises(RuntimeError, match="no more"):
        train(net, failing, EPOCHS, ahead=ahead, checkpoint=path, checkpoint_seconds=1e9)
    assert equal(net, usual) and timeless(net.history) == timeless(usual.history)
    assert equal(bpnet.load(path), usual)
    assert threading.active_count() == threads
    train(net, fresh, 1)  # it is not being trained any more


WRONG = {
    "fewer": (lambda: examples(N - 1), "({}) must hold 23 examples, as {}(0) does, got 22"),
    "none": (list, "({}) must hold at least one example, got none"),
    "of other sizes": (lambda: examples(sizes=[7, 20, 3]), "({})"),
    "no examples": (lambda: 5, "({}) must be a list of (x, y) or a pair of arrays (X, Y), got"),
    "not finite": (
        lambda: (np.full((N, 6), np.nan), np.zeros(N, int)),
        "({})[0] must be finite",
    ),
}


@each_ahead
@pytest.mark.parametrize("what", WRONG)
@each_class
def test_wrong_examples_are_named_by_their_epoch(kind, what, ahead):
    wrong, said = WRONG[what]
    name = face_of(kind).name
    for epoch in (0, 2):
        net = make(kind)
        if epoch == 0 and what == "fewer":
            continue
        with pytest.raises((TypeError, ValueError)) as raised:
            train(
                net,
                lambda e, epoch=epoch: wrong() if e == epoch else fresh(e),
                EPOCHS,
                ahead=ahead,
            )
        assert name + said.format(epoch, name) in str(raised.value)
        assert len(net.history) == epoch


@each_class
def test_ahead_needs_something_to_make(kind):
    with pytest.raises(ValueError, match="ahead must be False where"):
        train(make(kind), examples(), ahead=True)
    for ahead in (1, "no", None, [], np.array([1, 0])):
        with pytest.raises(TypeError, match="ahead must be True or False, got "):
            train(make(kind), fresh, ahead=ahead)


@each_class
def test_a_function_is_not_held_out_data(kind):
    with pytest.raises(TypeError, match="_data must be a list of"):
        train(make(kind), fresh, judged_by=fresh, **face_of(kind).counts)


class Callable(list):
    def __call__(self):
        raise AssertionError("this is a list")


@each_class
def test_what_holds_examples_is_no_function_of_the_epoch(kind):
    net, usual = make(kind), make(kind)
    train(net, Callable(examples()), 2)
    train(usual, examples(), 2)
    assert equal(net, usual)
    with pytest.raises(TypeError, match="must be a list of"):
        train(net, list)


@each_class
def test_arrays_that_are_filled_again_are_those_of_their_epoch(kind):
    x, labels = np.empty((N, SIZES[0])), np.empty(N, np.int64)

    def refilled(epoch):
        given, y = as_pair(examples(seed=epoch))
        x[:], labels[:] = given, y.argmax(axis=1)
        return x, labels

    nets = [make(kind) for _ in range(3)]
    for net, made, ahead in zip(
        nets, [refilled, refilled, lambda e: examples(seed=e)], [False, True, False]
    ):
        train(net, made, 30, ahead=ahead)
    assert equal(nets[0], nets[1]) and equal(nets[0], nets[2])


@each_class
def test_what_outputs_cannot_reach_is_said_once_in_whatever_epoch(kind):
    def beyond(epoch):
        return [(x, y + (epoch > 0)) for x, y in fresh(epoch)]

    if kind == "MLP":
        with pytest.raises(ValueError, match=r"\(1\).* must be"):
            train(make(kind), beyond, 3)
        return
    with pytest.warns(UserWarning) as said:
        train(make(kind), beyond, 3)
    assert len(said) == 1 and "(1)" in str(said[0].message)


@each_class
def test_iterators_may_be_what_is_made(kind):
    x, y = as_pair(examples())
    columns = [(a[:, None], b[:, None]) for a, b in zip(x, y)]
    streams = iter([iter(columns) for _ in range(EPOCHS)])
    net, usual = make(kind), make(kind)
    train(net, lambda epoch: next(streams), EPOCHS)
    train(usual, examples(), EPOCHS)
    assert equal(net, usual)


def test_the_next_epochs_are_made_while_this_ones_are_trained_on():
    """What is made waits for the epoch before it to end."""
    trained = [threading.Event() for _ in range(EPOCHS)]

    def make_one(epoch):
        assert epoch == 0 or trained[epoch - 1].wait(30)
        return fresh(epoch)

    def look(net, epoch):
        trained[epoch].set()

    net, usual = make("network"), make("network")
    train(net, make_one, EPOCHS, ahead=True, callback=look)
    train(usual, fresh, EPOCHS)
    assert equal(net, usual)


@pytest.mark.parametrize("how", ["callback", "Ctrl-C"])
def test_nobody_waits_for_what_is_made_in_vain(how):
    done = threading.Event()

    def make_one(epoch):
        if epoch == 2:
            done.wait(30)
        return fresh(epoch)

    def look(net, epoch):
        if epoch == 1 and how == "Ctrl-C":
            raise KeyboardInterrupt
        return epoch == 1

    net, usual = make("network"), make("network")
    train(usual, fresh, 2)
    try:
        train(net, make_one, EPOCHS, ahead=True, callback=look)
    except KeyboardInterrupt:
        assert how == "Ctrl-C"
    assert not done.is_set() and equal(net, usual)
    done.set()


@each_ahead
def test_an_iterator_that_is_spent_is_said(ahead):
    made = iter([fresh(0), fresh(1)])
    net = make("network")
    with pytest.raises(ValueError, match=r"training_data\(2\) must return examples, got Stop"):
        train(net, lambda epoch: next(made), EPOCHS, ahead=ahead)
    assert len(net.history) == 2


@each_ahead
def test_what_makes_examples_has_the_callers_error_state(ahead):
    def make_one(epoch):
        with pytest.raises(FloatingPointError):
            np.float64(1.0) / np.float64(0.0)
        return fresh(epoch)

    with np.errstate(divide="raise"):
        train(make("network"), make_one, EPOCHS, ahead=ahead)


def test_nothing_is_made_that_is_not_needed():
    for ahead in (False, True):
        asked = []
        train(
            make("network"),
            lambda epoch: asked.append(epoch) or fresh(epoch),
            EPOCHS,
            ahead=ahead,
        )
        assert asked == list(range(EPOCHS))


@each_class
def test_distorted_images_train_to_the_same_bits_for_any_number_of_threads(kind):
    x = np.random.RandomState(0).rand(60, 36).astype(np.float32)
    y = np.arange(60) % 3
    nets = []
    for n_threads, ahead in [(1, False), (2, True)]:
        net = make(kind, sizes=[36, 20, 3], dtype="float32")
        train(
            net,
            lambda epoch, n=n_threads: (bpnet.distort(x, seed=epoch, n_threads=n), y),
            EPOCHS,
            n_threads=n_threads,
            ahead=ahead,
            judged_by=held_out(sizes=[36, 20, 3]),
        )
        nets.append(net)
    assert equal(*nets)
    assert not equal(nets[0], make(kind, sizes=[36, 20, 3], dtype="float32"))
