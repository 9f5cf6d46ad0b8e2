"""The conditions that end SGD: each alone, and which of them when several are given."""

import math
import time

import numpy as np
import pytest
from conftest import parameters_of
from engines import same_bits
from hypothesis import given
from hypothesis import strategies as st
from nets import (
    HELD_OUT,
    SIZES,
    copies,
    each_dtype,
    each_face,
    each_kind,
    each_trained,
    examples,
    held_out,
    is_chapter_3,
    make,
    shuffler,
    train,
)


def scripted(net, counts):
    """Let net count so many right of the held-out examples, epoch after epoch."""
    counts = iter(counts)
    count = "accuracy" if is_chapter_3(net) else "evaluate"
    setattr(net, count, lambda data, convert=False: next(counts))
    return net


def seen(net, epochs, **options):
    """Train; return the parameters after each epoch."""
    found = []
    train(net, epochs=epochs, callback=lambda net, _: found.append(copies(net)), **options)
    return found


class Clock:
    """A time that passes when it is told to."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def tick(self, net=None, epoch=None):
        self.now += 10


# "epochs"


@each_trained
def test_epochs_end_training(kind):
    net = make(kind)
    assert (net.stopped_by, net.history) == (None, [])
    train(net, epochs=3)
    assert net.stopped_by == "epochs"
    assert [record["epoch"] for record in net.history] == [0, 1, 2]


# "min_update"


def relative_change(before, after):
    """The norm of the difference, relative to the larger of both, in long double."""

    def norm(arrays):
        return np.sqrt(sum(np.square(a).sum() for a in arrays))

    before, after = ([w.astype(np.longdouble) for w in ws] for ws in (before, after))
    moved = norm([new - old for old, new in zip(before, after)])
    return moved / max(norm(before), norm(after))


def tolerance(net):
    """Of an update: a difference in dtype, and two norms of k squares, summed in float64."""
    k = sum(w.size for w in net.weights)
    return np.finfo(net.dtype).eps + 2 * (k + 4) * np.finfo(np.float64).eps


@each_dtype
@each_trained
def test_update_is_the_relative_change_of_the_weights(kind, dtype):
    net = make(kind, dtype=dtype)
    weights = [[w.copy() for w in net.weights]]
    weights += [found[len(net.biases) :] for found in seen(net, 3)]
    for record, before, after in zip(net.history, weights, weights[1:]):
        expected = relative_change(before, after)
        assert type(record["update"]) is float
        assert abs(record["update"] - expected) <= tolerance(net) * expected


@pytest.mark.parametrize("factor", [0.5, -1.0])
@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        ("float64", 1e-310),
        ("float64", 1e-250),
        ("float64", 1.5e308),
        ("float32", 1e-30),
        ("float32", 3e38),
    ],
)
def test_update_is_right_where_squares_and_differences_leave_the_range(dtype, size, factor):
    def multiply(mini_batch, eta):
        net.weights = [factor * w for w in net.weights]

    net = make("network", dtype=dtype)
    net.weights = before = [w / abs(w).max() * w.dtype.type(size) for w in net.weights]
    net.update_mini_batch = multiply
    train(net, epochs=1, m=100)
    expected = relative_change(before, net.weights)
    assert abs(net.history[0]["update"] - expected) <= tolerance(net) * expected


def test_update_is_right_where_a_hook_writes_into_the_weights():
    def halve(mini_batch, eta):
        for w in net.weights:
            w *= 0.5

    net = make("network")
    net.update_mini_batch = halve
    train(net, epochs=1, m=100)
    assert abs(net.history[0]["update"] - 0.5) <= tolerance(net)


def test_update_of_weights_that_are_zero_is_zero():
    net = make("network", sizes=[2, 1])
    net.weights = [np.zeros((1, 2))]
    train(net, [(np.zeros((2, 1)), np.zeros((1, 1)))], 1)
    assert net.history[0]["update"] == 0.0


@each_trained
def test_min_update_ends_training_where_the_weights_hardly_move(kind):
    def eta(epoch):
        return 0.5 * 0.01**epoch

    net = make(kind)
    train(net, epochs=4, eta=eta)
    updates = [record["update"] for record in net.history]
    assert updates == sorted(updates, reverse=True)
    stopped = make(kind)
    train(stopped, epochs=4, eta=eta, min_update=math.sqrt(updates[1] * updates[2]))
    assert stopped.stopped_by == "min_update"
    assert [record["update"] for record in stopped.history] == updates[:3]
    at_the_limit = make(kind)
    train(at_the_limit, epochs=3, eta=eta, min_update=updates[2])  # less, not as much
    assert at_the_limit.stopped_by == "epochs"


# "max_error"


@each_kind
def test_max_error_ends_training_where_fewer_are_misread(kind):
    net = scripted(make(kind), [4, 12, 8, 13, 16])
    train(net, epochs=5, judged_by=held_out(), max_error=0.25)
    assert net.stopped_by == "max_error"
    assert len(net.history) == 4  # 12 of 16 are not less than a quarter misread


@pytest.mark.parametrize("wrong", range(1, 10))
@each_face
def test_an_error_that_is_max_error_is_not_below_it(kind, wrong):
    """Of 10 examples: 1 - 0.9 is less than 0.1 in floats."""
    for max_error, ends in ((wrong / 10, "epochs"), (wrong / 10 + 1e-9, "max_error")):
        net = scripted(make(kind), [10 - wrong])
        train(net, epochs=1, judged_by=held_out(n=10), max_error=max_error)
        assert net.stopped_by == ends


def test_max_error_looks_at_validation_data_before_test_data():
    net = make("network")
    right = [(x, int(np.argmax(net.feedforward(x)))) for x, _ in held_out()]
    wrong = [(x, (label + 1) % SIZES[-1]) for x, label in right]
    for options, reason in (
        ({"validation_data": wrong, "test_data": right}, "epochs"),
        ({"validation_data": right, "test_data": wrong}, "max_error"),
        ({"test_data": right}, "max_error"),
    ):
        train(net, epochs=2, eta=0.0, max_error=0.5, **options)
        assert net.stopped_by == reason


# "patience"


@each_kind
def test_patience_ends_training_and_brings_back_the_best_epoch(kind):
    net, plain = scripted(make(kind), [5, 9, 9, 8, 16]), scripted(make(kind), [0] * 5)
    after = seen(plain, 5, judged_by=held_out())
    train(net, epochs=5, judged_by=held_out(), patience=2)
    assert net.stopped_by == "patience"
    assert len(net.history) == 4
    assert same_bits(parameters_of(net), after[1])


@each_kind
def test_min_delta_is_how_many_more_must_be_read_to_be_better(kind):
    counts = [4, 8, 12, 9, 13, 16, 12]
    net, plain = scripted(make(kind), counts), scripted(make(kind), counts)
    after = seen(plain, 7, judged_by=held_out())
    # 8 is not more than 4 + 4; 9 is not more than 12 + 4; nor are 13 and 16.
    train(net, epochs=7, judged_by=held_out(), patience=3, min_delta=4 / HELD_OUT)
    assert net.stopped_by == "patience"
    assert len(net.history) == 6
    assert same_bits(parameters_of(net), after[2])


ENDS = {
    "epochs": {"epochs": 3},
    "callback": {"epochs": 9},
    "max_error": {"epochs": 9, "max_error": 3.5 / HELD_OUT},
    "min_update": {"epochs": 9, "min_update": 1e-6},
    "max_seconds": {"epochs": 9, "max_seconds": 25.0},
    "patience": {"epochs": 9, "patience": 1},
}


@pytest.mark.parametrize("end", ENDS)
@each_kind
def test_the_best_epoch_comes_back_whatever_ended_training(kind, end, monkeypatch):
    clock, best = Clock(monkeypatch), []

    def callback(net, epoch):
        clock.tick()
        if epoch == 1:
            best.extend(copies(net))
        for p in parameters_of(net):  # which must not reach what comes back
            p += 0.125
        return end == "callback" and epoch == 2

    # 13 is enough for max_error, and not min_delta better than 12.
    net = scripted(make(kind), [4, 12, 13, 13, 13, 13, 13, 13, 13])
    options = {"patience": 5, "min_delta": 2 / HELD_OUT, **ENDS[end]}
    train(
        net,
        judged_by=held_out(),
        callback=callback,
        eta=lambda epoch: 0.5 if epoch < 2 else 1e-8,
        **options,
    )
    assert net.stopped_by == end
    assert len(net.history) == 3
    assert same_bits(parameters_of(net), best)


@each_face
def test_patience_judges_what_the_network_really_reads(kind):
    """The counts are those of evaluate; a loop by hand finds the same end."""
    plain, data, judges = make(kind), examples(), held_out()
    count = plain.accuracy if is_chapter_3(plain) else plain.evaluate
    best, waited, epochs = -1, 0, 0
    while waited < 3:
        train(plain, data, 1)
        epochs += 1
        if (right := count(judges)) > best:
            best, waited, kept = right, 0, copies(plain)
        else:
            waited += 1
    net = make(kind)
    train(net, epochs=1000, judged_by=judges, patience=3)
    assert (net.stopped_by, len(net.history)) == ("patience", epochs)
    assert same_bits(parameters_of(net), kept)


@pytest.mark.parametrize(
    "kind", ["network2", "network2, backprop", "network2, update_mini_batch"]
)
def test_early_stopping_n_leaves_the_last_weights(kind):
    net, plain = scripted(make(kind), [5, 9, 9, 8, 16]), make(kind)
    train(plain, epochs=4)
    train(net, epochs=5, judged_by=held_out(), early_stopping_n=2)
    assert net.stopped_by == "early_stopping_n"
    assert same_bits(parameters_of(net), parameters_of(plain))


# "max_seconds"


@each_trained
def test_max_seconds_of_zero_train_nothing(kind):
    net = make(kind)
    before, state = copies(net), shuffler(net)
    train(net, max_seconds=0)
    assert (net.stopped_by, net.history) == ("max_seconds", [])
    assert same_bits(parameters_of(net), before)
    assert shuffler(net) == state


@each_trained
def test_max_seconds_end_training_after_the_epoch_in_which_they_pass(kind, monkeypatch):
    clock = Clock(monkeypatch)
    for seconds, epochs in ((25, 3), (30, 3), (31, 4), (1e9, 6)):
        net = make(kind)
        train(net, epochs=6, max_seconds=seconds, callback=clock.tick)
        assert len(net.history) == epochs
        assert net.stopped_by == ("max_seconds" if epochs < 6 else "epochs")


# "callback"


@each_trained
def test_a_callback_that_returns_true_ends_training(kind):
    net, plain = make(kind), make(kind)
    train(net, callback=lambda net, epoch: np.bool_(epoch == 1))
    train(plain, epochs=2)
    assert net.stopped_by == "callback"
    assert same_bits(parameters_of(net), parameters_of(plain))


@each_trained
def test_a_callback_sees_the_history_of_its_epoch(kind):
    looked = []

    def look(net, epoch):
        assert net.stopped_by is None
        assert [record["epoch"] for record in net.history] == list(range(epoch + 1))
        looked.append(net)

    net = make(kind)
    net.stopped_by = "a call before"
    train(net, callback=look)
    assert looked == [net] * 3


# Several conditions


@st.composite
def conditions(draw):
    """Counts of each epoch, and any of the conditions."""
    given = {
        "max_error": draw(st.none() | st.sampled_from([0.0, 0.1, 0.3])),
        "min_update": draw(st.none() | st.sampled_from([0.0, 1e-3, 1e-1])),
        "max_seconds": draw(st.none() | st.sampled_from([15, 40, 1000])),
        "patience": draw(st.none() | st.integers(1, 4)),
    }
    given = {name: value for name, value in given.items() if value is not None}
    if "patience" in given:
        given["min_delta"] = draw(st.sampled_from([0, 1, 3])) / HELD_OUT
    counts = draw(st.lists(st.integers(0, HELD_OUT), min_size=8, max_size=8))
    return draw(st.integers(0, 8)), draw(st.integers(0, 8)), counts, given


def first_to_hold(epochs, called, counts, updates, given):
    """Return the number of epochs, the conditions that hold after them, and the best epoch."""
    best, waited = None, 0
    for done in range(epochs + 1):
        holds = {"epochs"} if done == epochs else set()
        if 10 * done >= given.get("max_seconds", math.inf):
            holds.add("max_seconds")
        if done:
            right, update = counts[done - 1], updates[done - 1]
            least = 0 if best is None else counts[best] + HELD_OUT * given.get("min_delta", 0)
            if best is None or right > least:
                best, waited = done - 1, 0
            else:
                waited += 1
            holds |= {"callback"} if called == done else set()
            holds |= {"patience"} if waited >= given.get("patience", math.inf) else set()
            holds |= (
                {"max_error"} if 1 - right / HELD_OUT < given.get("max_error", 0) else set()
            )
            holds |= {"min_update"} if update < given.get("min_update", 0) else set()
        if holds:
            return done, holds, best
    raise AssertionError("the number of epochs is a condition")


@given(case=conditions(), kind=st.sampled_from(["network", "network2", "network, backprop"]))
def test_the_first_condition_to_hold_ends_training_and_is_named(case, kind):
    epochs, called, counts, given = case

    def eta(epoch):
        return 0.5 * 0.1**epoch

    plain = scripted(make(kind), counts)
    after = seen(plain, epochs, judged_by=held_out(), eta=eta)
    updates = [record["update"] for record in plain.history]
    done, holds, best = first_to_hold(epochs, called, counts, updates, given)

    net = scripted(make(kind), counts)
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock(patch)

        def callback(net, epoch):
            clock.tick()
            return epoch + 1 == called

        train(net, None, epochs, judged_by=held_out(), eta=eta, callback=callback, **given)
    assert len(net.history) == done
    assert net.stopped_by in holds
    if done:
        kept = best if "patience" in given else done - 1
        assert same_bits(parameters_of(net), after[kept])
