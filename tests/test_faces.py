"""What networks of all classes have of bpnet's own is the same: keywords, keys, counts."""

import inspect

import numpy as np
import pytest
from nets import (
    CLASSES,
    HELD_OUT,
    as_pair,
    count,
    each_class,
    each_face,
    equal,
    examples,
    held_out,
    make,
    timeless,
    trainer_of,
)

from bpnet import Dataset, network2

OURS = ["training_cost", "training_accuracy", "validation_cost"]
FLAGS = {
    f"monitor_{key}": True for key in ("evaluation_cost", "evaluation_accuracy", *OURS[:2])
}


def train(net, **options):
    return trainer_of(net)(examples(), 3, 4, 0.5, **{"verbose": False, **options})


@each_class
def test_held_out_data_and_figures_are_asked_for_alike(kind):
    net = make(kind)
    train(net, validation_data=held_out())
    always = {"epoch", "eta", "seconds", "update"}
    assert [{*record} for record in net.history] == [always | {"validation_accuracy"}] * 3
    net = make(kind)
    train(net, validation_data=held_out(), monitor=OURS)
    penalties = {f"{key[:-5]}_penalty" for key in OURS if key.endswith("_cost")}
    assert [{*record} for record in net.history] == [
        always | {"validation_accuracy", *OURS} | penalties
    ] * 3
    train(net, monitor="training_cost")
    assert [{*record} for record in net.history] == [
        always | {"training_cost", "training_penalty"}
    ] * 3
    assert net.history[-1]["training_cost"] > 0


@each_class
def test_the_keywords_that_are_bpnets_own_are_those_of_every_class(kind):
    own = inspect.signature(getattr(CLASSES[kind].cls, CLASSES[kind].trains)).parameters
    names = ["rule", "l1", "lmbda", "validation_data", "monitor", "options"]
    assert {*names} <= {*own}
    assert own["validation_data"].kind is own["monitor"].kind is inspect.Parameter.KEYWORD_ONLY
    assert own["validation_data"].default is None and own["monitor"].default == ()


@each_class
def test_patience_and_max_error_look_at_validation_data(kind):
    net = make(kind)
    train(net, validation_data=held_out(), max_error=1.0)
    assert net.stopped_by == "max_error" and len(net.history) == 1
    net = make(kind)
    train(net, validation_data=held_out(), patience=1, min_delta=1.0)
    assert net.stopped_by == "patience" and len(net.history) == 2


@each_class
def test_accuracy_counts_in_every_class(kind):
    net = make(kind)
    train(net, validation_data=held_out())
    forms = [held_out(), as_pair(held_out()), Dataset(held_out())]
    found = [net.accuracy(data) for data in forms]
    assert {*map(type, found)} == {int}
    share = net.history[-1]["validation_accuracy"]
    assert {*found} == {count(net, held_out())} == {HELD_OUT * share}


@each_face
def test_accuracy_of_the_books_classes_takes_outputs_and_labels(kind):
    net = make(kind)
    pairs = [(x, int(np.argmax(y))) for x, y in examples()]
    assert net.accuracy(examples(), convert=True) == net.accuracy(pairs) == net.evaluate(pairs)


@each_face
def test_accuracy_is_by_the_scripts_own_feedforward(kind):
    net = make(kind)
    net.feedforward = lambda a: np.eye(3)[:, [1]]
    assert net.accuracy(held_out()) == sum(label == 1 for _, label in held_out())


@pytest.mark.parametrize("early", [{}, {"patience": 2}, {"early_stopping_n": 2}])
@pytest.mark.parametrize("asked", ["flags", "monitor"])
def test_validation_data_is_evaluation_data_by_another_name(asked, early, capsys):
    found, printed, nets = [], [], []
    for name in ("evaluation", "validation"):
        net = make("network2")
        keys = [*OURS[:2], f"{name}_cost", f"{name}_accuracy"]
        options = {**early, f"{name}_data": held_out(), "verbose": True}
        options |= FLAGS if asked == "flags" else {"monitor": keys}
        found.append(train(net, **options))
        printed.append(capsys.readouterr().out.replace(name, ""))
        nets.append(net)
    assert found[0] == found[1] and all(found[0])
    assert printed[0] == printed[1] and printed[0].count("Accuracy on  data") == len(
        found[0][0]
    )
    assert equal(*nets) and nets[0].stopped_by == nets[1].stopped_by
    renamed = [
        {key.replace("evaluation", "validation"): v for key, v in record.items()}
        for record in timeless(nets[0].history)
    ]
    assert renamed == timeless(nets[1].history)


def test_lists_are_of_what_was_asked_for_by_either_way():
    lists = train(make("network2"), validation_data=held_out())
    assert [len(each) for each in lists] == [0, 3, 0, 0]
    lists = train(make("network2"), monitor=["training_cost"], monitor_training_accuracy=True)
    assert [len(each) for each in lists] == [0, 0, 3, 3]
    lists = train(make("network2"), evaluation_data=held_out(), monitor=["evaluation_cost"])
    assert [len(each) for each in lists] == [3, 0, 0, 0]


def test_an_accuracy_of_a_scripts_own_is_asked_with_validation_data():
    class Mine(network2.Network):
        def accuracy(self, data, convert=False):
            return -len(data) - convert

    lists = Mine(make("network2").sizes, seed=1).SGD(
        examples(), 1, 4, 0.5, validation_data=held_out(), monitor=["training_accuracy"]
    )
    assert lists == ([], [-HELD_OUT], [], [-len(examples()) - 1])
