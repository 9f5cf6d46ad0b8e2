"""A run of SGD: its history, eta by the epoch, what it shows, and where it diverges."""

import copy
import json
import math
import os
import pickle
import random
import signal
import sys
import threading
import types

import numpy as np
import pytest
from conftest import global_states, parameters_of
from engines import same_bits
from nets import (
    FACES,
    FORMS,
    HELD_OUT,
    OWN_UPDATE,
    SIZES,
    TRAINED,
    N,
    copies,
    count,
    each_class,
    each_dtype,
    each_face,
    each_form,
    each_kind,
    each_trained,
    equal,
    examples,
    face_of,
    held_out,
    is_chapter_3,
    make,
    passing,
    rules,
    shuffler,
    step,
    timeless,
    train,
    visited,
    watched,
)

import bpnet
from bpnet import network2, serialize, training

ALWAYS = {"epoch", "eta", "seconds", "update"}
MONITOR = ["training_cost", "training_accuracy", "validation_cost", "test_cost"]


# The history


KEYS = [
    ("network", {}, set()),
    ("network", {"test_data": held_out()}, {"test_accuracy"}),
    ("network", {"test_data": []}, set()),
    ("network", {"validation_data": held_out()}, {"validation_accuracy"}),
    ("network", {"monitor": "training_cost"}, {"training_cost"}),
    ("network", {"monitor": {"training_accuracy"}}, {"training_accuracy"}),
    (
        "network",
        {"monitor": MONITOR, "test_data": held_out(), "validation_data": held_out()},
        {*MONITOR, "test_accuracy", "validation_accuracy"},
    ),
    ("network2", {}, set()),
    ("network2", {"evaluation_data": held_out()}, set()),
    (
        "network2",
        {"evaluation_data": held_out(), "max_error": 0.0},
        {"evaluation_accuracy"},
    ),
    *(
        ("network2", {"evaluation_data": held_out(), f"monitor_{key}": True}, {key})
        for kind in ("training", "evaluation")
        for key in (f"{kind}_cost", f"{kind}_accuracy")
    ),
]


@pytest.mark.parametrize(("kind", "options", "keys"), KEYS)
def test_an_epoch_records_what_is_asked_and_no_more(kind, options, keys):
    for name in (kind, f"{kind}, backprop", f"{kind}, update_mini_batch"):
        net = make(name)
        train(net, **options)
        penalties = {key.replace("_cost", "_penalty") for key in keys if key.endswith("_cost")}
        assert [set(record) for record in net.history] == [ALWAYS | keys | penalties] * 3


@each_dtype
@each_trained
def test_the_history_is_what_json_holds(kind, dtype):
    for form in FORMS:
        history = watched(kind, form, dtype).history
        assert json.loads(json.dumps(history, allow_nan=False)) == history
        assert [record["epoch"] for record in history] == [0, 1, 2]
        for record in history:
            assert type(record["epoch"]) is int
            assert {type(record[key]) for key in record if key != "epoch"} == {float}
            assert record["eta"] == 0.5
            assert record["seconds"] >= 0
            assert 0 < record["update"] < 1


def test_the_history_is_of_the_last_call():
    net = make("network")
    train(net, epochs=2)
    first = net.history
    kept = list(first)
    train(net, epochs=1)
    assert first == kept
    assert [record["epoch"] for record in net.history] == [0]


@each_dtype
@each_kind
def test_figures_are_what_the_methods_say(kind, dtype):
    """Costs of chapter 1's are those of chapter 3's quadratic cost, with its parameters.

    To the bit: the core's sums are the same in any call, and so is what is added to them.
    """
    for form in FORMS:
        said, terms = [], {"lmbda": 0.5} if rules(kind) else {}
        data = {"training": [(x, y.astype(dtype)) for x, y in examples()], "test": held_out(2)}
        data |= {"evaluation": held_out(), "validation": held_out()}
        data = {name: FORMS[form](pairs, dtype) for name, pairs in data.items()}

        def ask(net, epoch):
            asked = net
            if not is_chapter_3(net):
                asked = network2.Network(SIZES, network2.QuadraticCost, dtype=dtype)
                asked.biases, asked.weights = net.biases, net.weights
            said.append({})
            for name, given in data.items():
                n = len(given[0]) if form == "pair" else len(given)
                said[-1][f"{name}_cost"] = asked.total_cost(given, terms.get("lmbda", 0.0))
                said[-1][f"{name}_accuracy"] = count(net, given) / n

        net = watched(kind, form, dtype, callback=ask, **{"lmbda": 0.0, "l1": 0.0} | terms)
        asked = {"epoch", "eta", "seconds", "update"}
        for record, figures in zip(net.history, said, strict=True):
            keys = {key for key in record.keys() - asked if not key.endswith("_penalty")}
            assert len(keys) in (4, 6)
            for key in keys:
                assert record[key] == figures[key]


@pytest.mark.parametrize(
    ("kind", "feedforward"),
    [(kind, name) for kind in TRAINED for name in ("bpnet's", "own")[: 1 + (kind != "MLP")]],
)
def test_a_cost_without_its_penalty_is_that_of_no_regularisation(kind, feedforward):
    """Of whatever data, and whichever steps are the script's own, but a total_cost."""
    histories = []
    for terms in (rules(kind) | {"mu": 0.0}, {"lmbda": 0.0, "l1": 0.0}):
        net = make(kind)
        if feedforward == "own":
            net.feedforward = lambda a, net=net: type(net).feedforward(net, a)
        train(net, judged_by=held_out(), eta=0.0, **face_of(net).figures | terms)
        histories.append(net.history)
    lmbda, l1 = (rules(kind).get(name, 0.0) for name in ("lmbda", "l1"))
    size = sum(lmbda / 2 * (w**2).sum() + l1 * abs(w).sum() for w in net.weights)
    for with_terms, without in zip(*histories, strict=True):
        kinds = [key.removesuffix("_cost") for key in without if key.endswith("_cost")]
        assert len(kinds) == 2
        for data in kinds:
            n = N if data == "training" else HELD_OUT
            penalty = with_terms[f"{data}_penalty"]
            assert penalty == pytest.approx(size / n, rel=1e-14)
            assert without[f"{data}_penalty"] == 0.0
            cost = with_terms[f"{data}_cost"]
            assert cost - penalty == pytest.approx(without[f"{data}_cost"], abs=1e-15 * cost)


def test_of_a_total_cost_of_ones_own_nobody_knows_the_penalty():
    net = passing(network2.Network, "total_cost")(SIZES, seed=5)
    train(net, lmbda=0.5, monitor_training_cost=True)
    assert [set(record) for record in net.history] == [{*ALWAYS, "training_cost"}] * 3


@pytest.mark.parametrize("kind", [kind for kind in TRAINED if kind not in OWN_UPDATE])
def test_l1_counts_once(kind):
    """The sum of |w| over the examples in the data, whichever data it is."""
    runs = [watched(kind, lmbda=0.0, l1=l1, eta=0.0) for l1 in (0.25, 0.0)]
    size = 0.25 * sum(abs(w).sum() for w in runs[0].weights)
    for key in runs[0].history[0]:
        if key.endswith("_cost"):
            n = N if key == "training_cost" else HELD_OUT
            found, plain = (run.history[0][key] for run in runs)
            assert found == pytest.approx(plain + size / n, rel=1e-13)


@each_dtype
@each_trained
def test_looking_changes_neither_the_weights_nor_the_random_state(kind, dtype):
    nets = [make(kind, None, dtype=dtype) for _ in range(2)]
    looks = {"judged_by": held_out(), **face_of(kind).figures}
    states, options = [], {**rules(kind), "callback": lambda net, epoch: None}
    for net, looked in zip(nets, (looks, {})):
        net.biases, net.weights = (
            make(kind, dtype=dtype).biases,
            make(kind, dtype=dtype).weights,
        )
        random.seed(8)
        train(net, **looked, **options)
        states.append(global_states())
    net, plain = nets
    assert equal(net, plain) and states[0] == states[1]
    assert [record["update"] for record in net.history] == [
        record["update"] for record in plain.history
    ]


@each_form
def test_network2_returns_what_it_recorded_with_accuracies_as_counts(form):
    net = watched("network2", form)
    counts = {"evaluation_accuracy": HELD_OUT, "training_accuracy": N}
    keys = ("evaluation_cost", "evaluation_accuracy", "training_cost", "training_accuracy")
    for key, values in zip(keys, net.result):
        recorded = [record[key] for record in net.history]
        if key in counts:
            assert {type(value) for value in values} == {int}
            values = [value / counts[key] for value in values]
        assert values == recorded
    assert train(net) == ([], [], [], [])


# Steps of the script's own


@each_form
def test_an_overridden_evaluate_counts(form):
    given = []

    def evaluate(data):
        given.append(data)
        return len(given)

    net = make("network")
    net.evaluate = evaluate
    test = FORMS[form](held_out(), "float64")
    train(net, FORMS[form](examples(), "float64"), test_data=test, monitor="training_accuracy")
    assert [record["training_accuracy"] for record in net.history] == [1 / N, 3 / N, 5 / N]
    assert [record["test_accuracy"] for record in net.history] == [
        count / HELD_OUT for count in (2, 4, 6)
    ]
    if form == "list":  # labels, whatever training_data holds
        assert [label for _, label in given[0]] == [int(y.argmax()) for _, y in examples()]
    assert len(given[1]) == len(test)


@each_form
def test_overridden_accuracy_and_total_cost_are_called_as_the_book_calls_them(form):
    calls, training = [], FORMS[form](examples(), "float64")

    def name_of(data):
        first = data[0][0] if form == "pair" else data[0][0].ravel()
        return "training" if np.array_equal(first, examples()[0][0].ravel()) else "evaluation"

    class Own(network2.Network):
        def accuracy(self, data, convert=False):
            calls.append(("accuracy", name_of(data), convert))
            return super().accuracy(data) - 1

        def total_cost(self, data, lmbda, convert=False):
            calls.append(("total_cost", name_of(data), lmbda, convert))
            return 2.0

    net, l1 = Own(SIZES, seed=5), 0.25
    _, evaluated, _, trained = train(
        net,
        training,
        1,
        judged_by=FORMS[form](held_out(), "float64"),
        lmbda=0.5,
        l1=l1,
        monitor_training_cost=True,
        monitor_training_accuracy=True,
        monitor_evaluation_cost=True,
        monitor_evaluation_accuracy=True,
    )
    assert calls == [  # convert: where vectors must be labels, or labels vectors
        ("total_cost", "training", 0.5, False),
        ("accuracy", "training", True),
        ("total_cost", "evaluation", 0.5, True),
        ("accuracy", "evaluation", False),
    ]
    right = network2.Network.accuracy
    assert evaluated == [right(net, held_out()) - 1]
    assert trained == [right(net, examples()) - 1]
    size = l1 * sum(abs(w).sum() for w in net.weights)  # what total_cost does not know of
    for name, n in (("training", N), ("evaluation", HELD_OUT)):
        assert net.history[0][f"{name}_cost"] == pytest.approx(2.0 + size / n, rel=1e-14)


@pytest.mark.parametrize("kind", ["network", "network2", "network2, own cost"])
@each_form
def test_an_overridden_feedforward_is_counted_and_costed_with(kind, form):
    """Turned upside down, it reads other digits, at another cost."""
    net, looked = make(kind), []

    def feedforward(a):
        return type(net).feedforward(net, a)[::-1]

    def look(net, epoch):
        pairs = [(net.feedforward(x), label) for x, label in held_out()]
        right = sum(int(a.argmax()) == label for a, label in pairs)
        fn = net.cost.fn if is_chapter_3(net) else network2.QuadraticCost.fn
        cost = sum(fn(a, np.eye(SIZES[-1])[:, [label]]) for a, label in pairs) / HELD_OUT
        looked.append((right / HELD_OUT, cost))

    net.feedforward = feedforward
    options = {"judged_by": FORMS[form](held_out(), "float64"), "callback": look}
    if is_chapter_3(net):
        name = "evaluation"
        options |= {"monitor_evaluation_cost": True, "monitor_evaluation_accuracy": True}
    else:
        name = "validation"
        options |= {"monitor": "validation_cost"}
    train(net, **options)
    found = [(record[f"{name}_accuracy"], record[f"{name}_cost"]) for record in net.history]
    for (accuracy, cost), (right, expected) in zip(found, looked):
        assert accuracy == right
        assert cost == pytest.approx(expected, rel=1e-14)


def test_what_a_hook_leaves_must_fit_the_network():
    net = make("network")

    def shrink(mini_batch, eta):
        net.weights = [net.weights[0], net.weights[1][:, 1:]]

    net.update_mini_batch = shrink
    with pytest.raises(ValueError) as raised:
        train(net, m=N)
    assert str(raised.value) == (
        "weights[1] has shape (3, 19), expected (3, 20) to match sizes [6, 20, 3]"
    )


# eta, by the epoch


def decaying(epoch):
    return np.float32(2) / (1 + epoch)


@each_dtype
@each_trained
def test_eta_by_the_epoch_is_a_call_for_each_epoch(kind, dtype):
    for form in FORMS:
        net, by_hand, given = make(kind, dtype=dtype), make(kind, dtype=dtype), []
        data, again = FORMS[form](examples(), dtype), FORMS[form](examples(), dtype)

        def eta(epoch):
            given.append(epoch)
            return decaying(epoch)

        train(net, data, 4, eta=eta)
        assert given == [0, 1, 2, 3]
        assert [record["eta"] for record in net.history] == [
            2 / 1,
            2 / 2,
            float(np.float32(2) / 3),
            0.5,
        ]
        if form == "list":  # which carries the order from call to call
            for epoch in range(4):
                train(by_hand, again, 1, eta=decaying(epoch))
            assert same_bits([x for x, _ in data], [x for x, _ in again])
        else:
            order = examples()
            for epoch in range(4):
                train(by_hand, order, 1, eta=decaying(epoch))
        assert same_bits(parameters_of(net), parameters_of(by_hand))
        assert shuffler(net) == shuffler(by_hand)


WRONG_ETA = {
    "nothing": (None, TypeError, "eta must be a number, got None"),
    "text": ("0.5", TypeError, "eta must be a number, got '0.5'"),
    "a list": ([0.5], TypeError, "eta must be a number, got [0.5]"),
    "NaN": (math.nan, ValueError, "eta must be finite in {dtype}, got nan"),
    "too large": (10**400, ValueError, "eta must be finite in {dtype}, got 1000"),
}


@pytest.mark.parametrize("wrong", WRONG_ETA)
@each_dtype
@each_trained
def test_an_eta_that_is_no_number_leaves_the_epochs_before(kind, dtype, wrong):
    value, error, message = WRONG_ETA[wrong]
    net, plain = make(kind, dtype=dtype), make(kind, dtype=dtype)
    data, again = examples(), examples()
    with pytest.raises(error) as raised:
        train(net, data, eta=lambda epoch: 0.5 if epoch < 2 else value)
    assert str(raised.value).startswith(message.format(dtype=dtype))
    train(plain, again, 2)
    assert same_bits(parameters_of(net), parameters_of(plain))
    assert shuffler(net) == shuffler(plain)
    assert same_bits([x for x, _ in data], [x for x, _ in again])
    assert timeless(net.history) == timeless(plain.history)
    assert net.stopped_by is None
    train(net, data)


# What is shown


@each_trained
def test_nothing_is_shown_in_silence(kind, capfd):
    watched(kind)
    assert capfd.readouterr() == ("", "")


def test_a_networks_lines_are_the_books(capsys):
    def lines(**options):
        net = make("network")
        train(net, verbose=True, **options)
        return net.history, capsys.readouterr().out.splitlines()

    history, shown = lines(test_data=held_out(), monitor=["training_cost", "training_accuracy"])
    assert shown == [
        f"Epoch {j}: {round(history[j]['test_accuracy'] * HELD_OUT)} / {HELD_OUT}"
        for j in range(3)
    ]
    history, shown = lines(validation_data=held_out())
    assert shown == [
        f"Epoch {j}: {round(history[j]['validation_accuracy'] * HELD_OUT)} / {HELD_OUT}"
        for j in range(3)
    ]
    history, shown = lines(validation_data=held_out(), test_data=held_out(2))
    assert shown == [
        f"Epoch {j}: {round(history[j]['test_accuracy'] * HELD_OUT)} / {HELD_OUT}"
        for j in range(3)
    ]
    for options in ({}, {"test_data": []}, {"monitor": "training_accuracy"}):
        assert lines(**options)[1] == [f"Epoch {j} complete" for j in range(3)]


# A line an epoch, above a bar or without one: held-out counts first, then costs.
COMPACT = [
    ("network", {}, "Epoch {epoch} complete"),
    ("network", {"test_data": held_out()}, "Epoch {epoch}: {test} / 16"),
    ("network", {"monitor": "training_accuracy"}, "Epoch {epoch}: {training} / 23"),
    (
        "network",
        {"test_data": held_out(), "validation_data": held_out(2), "monitor": MONITOR},
        "Epoch {epoch}: {validation} / 16: {test} / 16, training cost {training_cost:.4g}, "
        "validation cost {validation_cost:.4g}, test cost {test_cost:.4g}",
    ),
    ("network2", {}, "Epoch {epoch} complete"),
    (
        "network2",
        {
            "evaluation_data": held_out(),
            "monitor_evaluation_accuracy": True,
            "monitor_training_accuracy": True,
            "monitor_training_cost": True,
        },
        "Epoch {epoch}: {evaluation} / 16, training cost {training_cost:.4g}",
    ),
]


def compact(net, form):
    """Return the lines that the history makes."""
    sizes = {"training": N}
    return [
        form.format(
            **record,
            **{
                key.split("_")[0]: round(value * sizes.get(key.split("_")[0], HELD_OUT))
                for key, value in record.items()
                if key.endswith("_accuracy")
            },
        )
        for record in net.history
    ]


class Bar:
    """A progress bar as tqdm makes them, that remembers."""

    made = []  # noqa: RUF012 - one list for a test

    def __init__(self, *, total, initial=0, **options):
        self.total, self.done, self.initial, self.closed = total, initial, initial, 0
        self.lines, self.figures = [], []
        self.failure = None
        Bar.made.append(self)

    def update(self, n):
        assert not self.closed
        assert n > 0
        self.done += n
        if self.failure:
            self.failure()

    def set_postfix(self, figures, refresh=True):
        self.figures.append(dict(figures))

    def write(self, line):
        assert not self.closed
        self.lines.append(line)

    def close(self):
        self.closed += 1


@pytest.fixture
def bars(monkeypatch):
    """Return the bars that are made by a tqdm that is there."""
    fake = types.ModuleType("tqdm.auto")
    fake.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", fake)
    monkeypatch.setattr(Bar, "made", [])
    return Bar.made


def train_with_bar(net, data=None, terminal=True, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
        train(net, data, verbose="bar", **options)


@pytest.mark.parametrize(("kind", "options", "form"), COMPACT)
def test_bar_in_a_pipe_is_a_line_an_epoch(kind, options, form, bars, capsys):
    net = make(kind)
    train_with_bar(net, terminal=False, **options)
    assert capsys.readouterr() == ("".join(f"{line}\n" for line in compact(net, form)), "")
    assert not bars


def test_bar_without_tqdm_is_a_line_an_epoch(bars, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    train_with_bar(make("network"), test_data=[])
    assert capsys.readouterr() == ("Epoch 0 complete\nEpoch 1 complete\nEpoch 2 complete\n", "")


def test_bar_where_there_is_no_stderr_is_a_line_an_epoch(bars, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    train(make("network"), epochs=1, verbose="bar")
    assert capsys.readouterr().out == "Epoch 0 complete\n"
    assert not bars


@pytest.mark.parametrize(("kind", "options", "form"), COMPACT)
def test_lines_go_above_the_bar_and_accuracies_to_its_end(kind, options, form, bars, capsys):
    net = make(kind)
    train_with_bar(net, **options)
    (bar,) = bars
    assert bar.lines == compact(net, form)
    assert capsys.readouterr() == ("", "")
    for record, shown in zip(net.history, bar.figures, strict=True):
        accuracies = {
            key.split("_")[0]: f"{value:.2%}"
            for key, value in record.items()
            if key.endswith("_accuracy")
        }
        if len(accuracies) > 1:
            accuracies.pop("training", None)
        assert shown == accuracies


@each_form
@each_trained
def test_the_bar_advances_to_exactly_its_total(kind, form, bars):
    net = make(kind)
    train_with_bar(net, FORMS[form](examples(), "float64"))
    (bar,) = bars
    assert (bar.initial, bar.total, bar.done, bar.closed) == (0, 3 * N, 3 * N, 1)


@each_class
def test_a_bar_advances_by_what_was_done_where_training_ends_early(kind, bars):
    train_with_bar(make(kind), callback=lambda net, epoch: epoch == 1)
    (bar,) = bars
    assert (bar.total, bar.done, bar.closed) == (3 * N, 2 * N, 1)


def test_the_bar_of_a_resumed_run_begins_where_it_goes_on(bars, tmp_path):
    train(make("network"), epochs=2, checkpoint=tmp_path / "run")
    train_with_bar(make("network"), epochs=5, resume=tmp_path / "run")
    (bar,) = bars
    assert (bar.initial, bar.total, bar.done) == (2 * N, 5 * N, 5 * N)


def test_a_notebook_has_a_bar_without_a_terminal(bars, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    train_with_bar(make("network"), terminal=False)
    assert len(bars) == 1


@pytest.mark.parametrize("verbose", [True, False])
def test_no_bar_is_made_that_was_not_asked_for(verbose, bars, capsys):
    train(make("network"), verbose=verbose)
    assert not bars


@each_trained
def test_the_bar_is_closed_on_an_exception(kind, bars, tmp_path):
    def fail(net, epoch):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        train_with_bar(make(kind), callback=fail)
    with pytest.raises(OSError, match="nowhere"):
        train_with_bar(make(kind), checkpoint=tmp_path / "nowhere" / "file")
    assert [bar.closed for bar in bars] == [1, 1]
    with pytest.raises(ValueError):  # before there is a bar
        train_with_bar(make(kind), epochs=-1)
    assert len(bars) == 2


@each_kind
def test_the_bar_is_closed_on_ctrl_c(kind, bars, monkeypatch):
    """Pressed while the bar is drawn: the weights are of whole mini-batches."""

    def press():
        if bars[0].done >= N + 4:
            signal.raise_signal(signal.SIGINT)

    init = Bar.__init__

    def pressing(self, **options):
        init(self, **options)
        self.failure = press

    monkeypatch.setattr(Bar, "__init__", pressing)
    net, data = make(kind), examples()
    with pytest.raises(KeyboardInterrupt):
        train_with_bar(net, data)
    (bar,) = bars
    assert bar.closed == 1
    assert (net.stopped_by, len(net.history)) == (None, 1)
    plain, order = make(kind), visited(examples(), 2, seed=5)
    train(plain, examples(), 1)
    assert same_bits([x for x, _ in data], [x for x, _ in order])
    for k in range(0, bar.done - N, 4):
        step(plain, order[k : k + 4], 0.5)
    assert same_bits(parameters_of(net), parameters_of(plain))


# Divergence


def growing(kind, dtype, seed=5):
    """Return a network, and options, whose weights become so many times as large a step."""
    net, factor = make(kind, dtype=dtype, seed=seed), 50 if dtype == "float32" else 5e7
    if kind != "network, update_mini_batch":
        return net, {"lmbda": 2.0 * factor * N}

    def update_mini_batch(mini_batch, eta):
        type(net).update_mini_batch(net, mini_batch, eta)
        net.weights = [-factor * w for w in net.weights]

    net.update_mini_batch = update_mini_batch
    return net, {}


@each_form
@each_dtype
@each_trained
def test_a_run_that_diverges_ends_with_its_last_finite_epoch(kind, dtype, form, tmp_path):
    net, options = growing(kind, dtype)
    plain, _ = growing(kind, dtype)
    data, path = FORMS[form](examples(), dtype), tmp_path / "run"
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError) as raised:
        train(net, data, 100, checkpoint=path, **options)
    epochs = len(net.history)
    assert epochs > 2
    assert str(raised.value) == (
        f"training diverged in epoch {epochs} at eta 0.5: there were weights or biases that "
        f"are not finite; the network is as it was before that epoch"
    )
    assert net.stopped_by is None
    train(plain, FORMS[form](examples(), dtype), epochs, **options)
    assert all(np.isfinite(p).all() for p in parameters_of(net))
    assert same_bits(parameters_of(net), parameters_of(plain))
    assert timeless(net.history) == timeless(plain.history)
    json.dumps(net.history, allow_nan=False)
    saved = serialize.load(path)
    assert same_bits([*saved.biases, *saved.weights], parameters_of(plain))
    assert saved.run.state["history"] == net.history


@pytest.mark.filterwarnings("ignore:.*the inputs are large")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("dtype", "eta"), [("float64", 1.7e308), ("float32", 3e38)])
@pytest.mark.parametrize("kind", [kind for kind in TRAINED if kind not in OWN_UPDATE])
def test_an_absurd_eta_diverges_at_once_and_changes_nothing(kind, dtype, eta, form):
    net = make(kind, dtype=dtype, sizes=[6, 3])
    net.biases, net.weights = (
        [np.zeros_like(p) for p in ps] for ps in (net.biases, net.weights)
    )
    before = copies(net)
    data = [(100 * x, y) for x, y in examples()]
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError) as raised:
        train(net, FORMS[form](data, dtype), 3, eta=lambda epoch: eta, m=23)
    assert f"diverged in epoch 0 at eta {eta:g}: " in str(raised.value)
    assert (net.history, net.stopped_by) == ([], None)
    assert same_bits(parameters_of(net), before)
    train(net, FORMS[form](data, dtype), 1)


@pytest.mark.parametrize("kind", ["network2", "network2, backprop"])
def test_biases_diverge_too(kind):
    """Of inputs that are all zero the weights learn nothing."""
    net = make(kind, sizes=[6, 3])
    before = copies(net)
    data = [(np.zeros((6, 1)), y) for _, y in examples()]
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="diverged"):
        train(net, data, 20, eta=1e308, mu=0.9, m=1, lmbda=0.0)
    assert all(np.isfinite(b).all() for b in net.biases)
    assert same_bits(net.weights, before[1:])


@each_dtype
def test_what_a_hook_wrote_in_place_is_taken_back_where_it_diverged(dtype):
    net = make("network", dtype=dtype)

    def spoil(mini_batch, eta):
        if len(net.history) == 1:
            net.weights[0][0, 0] = np.nan
        net.biases[0] += 1

    net.update_mini_batch = spoil
    before = copies(net)
    with pytest.raises(FloatingPointError, match="in epoch 1 at"):
        train(net, m=N)
    before[0] += 1
    assert same_bits(parameters_of(net), before)


@each_class
def test_weights_that_were_not_finite_are_named_before_they_spread(kind):
    net = make(kind)
    net.weights[0][1, 2] = np.nan
    before = copies(net)
    with pytest.raises(FloatingPointError, match=r"in epoch 0 at eta 0\.5: "):
        train(net)
    assert same_bits(parameters_of(net), before)


ODD = [None, "many", [3, 4], (1, 2), {"right": 3}, 3 + 1j, np.array([2, 3])]
each_odd = pytest.mark.parametrize("answer", ODD, ids=repr)


@pytest.mark.parametrize("verbose", [True, "bar"])
@each_odd
@each_face
def test_what_a_scripts_own_count_returns_is_printed_and_no_accuracy(
    kind, answer, verbose, capsys
):
    """The original prints whatever it is."""
    net, face = make(kind), face_of(kind)
    setattr(net, face.counter, lambda data, convert=False: answer)
    train(net, epochs=1, judged_by=held_out(), verbose=verbose, **face.counts)
    line = f"{answer} / {HELD_OUT}"
    where = "Accuracy on evaluation data" if is_chapter_3(net) else "Epoch 0"
    where = "Epoch 0" if verbose == "bar" else where
    assert f"{where}: {line}" in capsys.readouterr().out.splitlines()
    assert net.history[0].keys() == {"epoch", "eta", "seconds", "update"}


STOPS = [(kind, option) for kind in FACES for option in ("patience", "max_error")]


@pytest.mark.parametrize(("kind", "option"), [*STOPS, ("network2", "early_stopping_n")])
@each_odd
def test_what_is_no_number_cannot_stop_a_run(kind, answer, option):
    net, face = make(kind), face_of(kind)
    setattr(net, face.counter, lambda data, convert=False: answer)
    key = face.held_out.replace("data", "accuracy")
    with pytest.raises(TypeError) as raised:
        train(net, epochs=2, judged_by=held_out(), **{option: 1})
    assert str(raised.value) == f"{key} must be a number to stop by, got {answer!r}"
    assert net.history == []


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("verbose", [True, "bar"])
@each_face
def test_an_array_of_one_number_is_passed_on_and_in_the_history_its_number(
    kind, verbose, shape, capsys
):
    """As a port's cost is, whose fn multiplies columns."""
    net, face, figure = make(kind), face_of(kind), np.full(shape, 4.0)
    for method in (face.counter, "total_cost"):
        if hasattr(net, method):
            setattr(net, method, lambda *given, **options: figure)
    found = train(
        net, epochs=2, judged_by=held_out(), max_error=0.1, verbose=verbose, **face.figures
    )
    kept = [each for figures in found or () for each in figures]
    assert len(kept) == (8 if is_chapter_3(net) else 0)
    assert all(each is figure for each in kept)
    assert f": {figure} / {HELD_OUT}" in capsys.readouterr().out
    key = face.held_out.replace("data", "accuracy")
    assert [record[key] for record in net.history] == [4 / HELD_OUT] * 2
    assert {type(value) for record in net.history for value in record.values()} <= {int, float}


# One call trains a network


BUSY = "this network is being trained by another call: wait for it, or train a copy"


def in_a_thread(function):
    """Call a function in a thread of its own; return what it returned, or raised."""
    found = []

    def call():
        try:
            found.append(function())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(60)
    return found[0]


def here(function):
    try:
        return function()
    except Exception as error:
        return error


@pytest.mark.parametrize("where", [in_a_thread, here])
@each_trained
def test_a_second_call_is_refused_and_the_first_goes_on(kind, where, tmp_path):
    """From another thread, and from the first one's own callback, which would wait for ever."""
    net, plain, refused = make(kind), make(kind), []
    data, again, others = examples(), examples(), examples(9)

    def second(net, epoch):
        before = list(map(id, others))
        options = {"checkpoint": tmp_path / "run", "eta": 1.0, "verbose": False}
        found = where(lambda: train(net, others, **options))
        assert (type(found), str(found)) == (RuntimeError, BUSY)
        assert list(map(id, others)) == before
        refused.append(len(net.history))

    train(net, data, callback=second)
    train(plain, again)
    assert refused == [1, 2, 3]
    assert equal(net, plain) and shuffler(net) == shuffler(plain)
    assert timeless(net.history) == timeless(plain.history)
    assert same_bits([x for x, _ in data], [x for x, _ in again])
    assert os.listdir(tmp_path) == []
    train(net, data)


@each_trained
def test_an_eta_and_a_step_of_the_scripts_own_cannot_train_either(kind):
    net, found = make(kind), []

    def eta(epoch):
        found.append(here(lambda: train(net)))
        return 0.5

    train(net, eta=eta)
    assert list(map(str, found)) == [BUSY] * 3
    if kind not in FACES:
        return
    own = net.backprop
    net.backprop = lambda x, y: (found.append(here(lambda: train(net))), own(x, y))[1]
    train(net, epochs=1)
    assert list(map(str, found)) == [BUSY] * (3 + N)


def pickled(net):
    return pickle.loads(pickle.dumps(net))


class Abandoned(BaseException):
    pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, Abandoned, ValueError])
@each_trained
def test_a_call_that_ends_in_whatever_way_lets_others_train(kind, error, tmp_path):
    def fail(net, epoch):
        raise error

    net, plain = make(kind), make(kind)
    with pytest.raises(error):
        train(net, callback=fail)
    with pytest.raises(OSError):
        train(net, checkpoint=tmp_path)
    with pytest.raises(ValueError):
        train(net, epochs=-1)
    train(plain, epochs=1)
    assert equal(net, plain)
    train(net)
    assert not training._RUNS


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, pickled], ids=lambda f: f.__name__
)
@each_class
def test_a_copy_of_what_is_being_trained_is_not_being_trained(kind, copied):
    made = []

    def take(net, epoch):
        made.append(copied(net))
        train(made[-1], epochs=1)

    net = make(kind)
    train(net, callback=take)
    assert len(made) == 3 and not any(equal(each, net) for each in made[:2])
    assert "_RUNS" not in vars(net) and vars(net).keys() == vars(made[0]).keys()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks of POSIX")
@each_class
def test_a_fork_of_a_process_that_trains_may_train(kind):
    status = []

    def fork(net, epoch):
        child = os.fork()
        if not child:
            failed = True
            try:
                failed = bool(in_a_thread(lambda: train(net, epochs=1) and None))
            finally:
                os._exit(failed)
        status.append(os.waitpid(child, 0)[1])

    train(make(kind), epochs=1, callback=fork)
    assert status == [0]


@each_class
def test_networks_of_equal_parameters_train_at_once(kind):
    """A network is itself, even if its class says that all are equal."""
    face = face_of(kind)
    alike = type("Alike", (face.cls,), {"__eq__": lambda self, other: True, "__hash__": None})
    first, second = (alike(SIZES, seed=5) for _ in range(2))
    train(first, epochs=1, callback=lambda net, epoch: train(second, epochs=1))
    assert equal(first, second)


@pytest.mark.parametrize("kind", [kind for kind in TRAINED if "," not in kind])
@each_dtype
def test_others_find_the_network_as_the_last_whole_epoch_left_it(kind, dtype, tmp_path, bars):
    """While the core is within an epoch, in another thread."""
    net, seen, epochs = make(kind, dtype=dtype), [], []
    probe = held_out()

    def look():
        net.save(tmp_path / "net.npz")
        loaded = bpnet.load(tmp_path / "net.npz")
        return copies(loaded), copies(net), count(net, probe), count(loaded, probe)

    def within():
        seen.append((len(epochs), in_a_thread(look)))

    start = copies(net)
    data = examples(400)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bar, "update", lambda self, n: within())
        train_with_bar(net, data, callback=lambda net, epoch: epochs.append(copies(net)))
    assert {k for k, _ in seen} == {0, 1, 2}
    states = [start, *epochs]
    for k, (saved, asked, right, again) in seen:
        assert same_bits(saved, states[k]) and same_bits(asked, states[k])
        assert right == again
