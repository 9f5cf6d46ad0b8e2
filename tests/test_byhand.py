"""A network that a script's own functions answer for is saved as such, and loaded as such."""

import copy
import pickle
import re
import warnings

import numpy as np
import pytest
from nets import FACES, SIZES, each_face, equal, examples, face_of, held_out, train

import bpnet
from bpnet import network, network2

X = np.linspace(-1, 1, SIZES[0]).reshape(-1, 1)


def soft(z):
    return 0.5 + 0.5 * z / (1 + abs(z))


def soft_prime(z):
    return 0.5 / (1 + abs(z)) ** 2


def other(z):
    return np.tanh(z)


def answer(net, a):
    for b, w in zip(net.biases, net.weights):
        a = soft(w @ a + b)
    return a


class Mixin:
    def feedforward(self, a):
        return answer(self, a)


# How a script replaces what answers: of a face it makes a network; the name that a file keeps.
def by_module(*names):
    def way(face, patch):
        functions = {"sigmoid": soft, "sigmoid_prime": soft_prime}
        for name in names:
            patch.setattr(face.module, name, functions[name.removesuffix("_vec")])
        return face.cls(SIZES, seed=1)

    return way


def by_class(face, patch):
    patch.setattr(face.cls, "feedforward", answer)
    return face.cls(SIZES, seed=1)


def by_subclass(face, patch):
    return type("Mine", (Mixin, face.cls), {})(SIZES, seed=1)


def by_instance(face, patch):
    net = face.cls(SIZES, seed=1)
    net.feedforward = answer.__get__(net)
    return net


WAYS = {
    "sigmoid": (by_module("sigmoid"), "sigmoid soft"),
    "sigmoid and prime": (by_module("sigmoid", "sigmoid_prime"), "sigmoid soft"),
    "sigmoid_vec": (by_module("sigmoid_vec", "sigmoid_prime_vec"), "sigmoid soft"),
    "class": (by_class, "feedforward answer"),
    "subclass": (by_subclass, "feedforward Mixin.feedforward"),
    "instance": (by_instance, "feedforward answer"),
}
each_way = pytest.mark.parametrize("way", WAYS)

BACK = {  # how it is put back, as the sentence says
    "sigmoid": "assign the function to {module}.sigmoid, and its derivative to sigmoid_prime",
    "feedforward": "assign the function to the network's feedforward, or its class to the "
    "network's __class__",
}


def saved(way, kind, path):
    """Save a network that a script answers for; return it, its answer, what load says."""
    function, named = WAYS[way]
    with pytest.MonkeyPatch.context() as patch:
        net = function(FACES[kind], patch)
        wanted = net.feedforward(X)
        assert f"; the script's {named}" in repr(net)
        words = f"the network answers by the script's own {named}, which a file cannot hold: "
        with pytest.warns(UserWarning, match=f"^{re.escape(words)}") as told:
            net.save(path)
        assert len(told) == 1 and told[0].filename == __file__
        with warnings.catch_warnings():  # while they are there, all is as it was
            warnings.simplefilter("error")
            if "instance" not in way and "subclass" not in way:
                assert np.array_equal(bpnet.load(path).feedforward(X), wanted)
    return net, wanted, sentence(way, kind)


def sentence(way, kind):
    named = WAYS[way][1]
    where = BACK[named.split()[0]].format(module=FACES[kind].module.__name__)
    return (
        f"the network was saved with the script's {named}, which a file cannot hold: before it "
        f"is used, {where}"
    )


def load(path, words, loader=bpnet.load):
    with pytest.warns(UserWarning) as told:
        net = loader(path)
    assert [str(each.message) for each in told] == [words]
    assert told[0].filename == __file__
    return net


def put_back(way, net, patch):
    if "sigmoid" in way:
        WAYS[way][0](face_of(net), patch)
    elif way == "subclass":
        net.__class__ = type("Mine", (Mixin, type(net)), {})
    else:
        net.feedforward = answer.__get__(net)


def uses(net, tmp_path):
    """Yield all that answers, or learns."""
    face, data = face_of(net), examples()
    yield lambda: net.feedforward(X)
    yield lambda: net.backprop(*data[0])
    yield lambda: net.evaluate(held_out())
    yield lambda: net.accuracy(held_out())
    yield lambda: net.predictor()
    yield lambda: net.update_mini_batch(data, 0.5, *face.more)
    yield lambda: net.update_mini_batch(data[:1], 0.5, *face.more)
    yield lambda: train(net, data, checkpoint=tmp_path / "run")
    yield lambda: bpnet.onnx.export(net, tmp_path / "net.onnx")
    if face.module is network2:
        yield lambda: net.total_cost(held_out(), 0.1)


@each_way
@each_face
def test_a_loaded_network_answers_by_the_scripts_function_or_not_at_all(kind, way, tmp_path):
    path = tmp_path / "net.npz"
    net, wanted, words = saved(way, kind, path)
    loaded = load(path, words)
    assert type(loaded) is FACES[kind].cls and equal(loaded, net)
    assert f"; the script's {WAYS[way][1]}" in repr(loaded)  # and that does not raise
    before = copy.deepcopy(vars(loaded))
    for use in uses(loaded, tmp_path):
        with pytest.raises(ValueError) as refused:
            use()
        assert str(refused.value) == words
    assert [*vars(loaded)] == [*before] and equal(loaded, net)
    assert [each.name for each in tmp_path.iterdir()] == ["net.npz"]
    for other in (copy.copy(loaded), copy.deepcopy(loaded), pickle.loads(pickle.dumps(loaded))):
        with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
            other.feedforward(X)
    with pytest.MonkeyPatch.context() as patch:
        put_back(way, loaded, patch)
        assert np.array_equal(loaded.feedforward(X), wanted)
        train(loaded)
        assert not equal(loaded, net)


@each_way
@each_face
def test_saving_again_keeps_whose_answers_they_are(kind, way, tmp_path):
    path = tmp_path / "net.npz"
    words = saved(way, kind, path)[2]
    loaded = load(path, words)
    with pytest.warns(UserWarning, match="^the network answers by the script's own"):
        loaded.save(tmp_path / "again.npz")
    load(tmp_path / "again.npz", words)


@each_way
def test_the_books_json_keeps_whose_answers_they_are(way, tmp_path):
    net, _, words = saved(way, "network2", tmp_path / "net.json")
    for loader in (bpnet.load, network2.load):
        assert equal(load(tmp_path / "net.json", words, loader), net)


@each_way
@each_face
def test_a_checkpoint_keeps_whose_answers_they_are(kind, way, tmp_path, nothing_changes):
    path = tmp_path / "run.npz"
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")  # a line each epoch would be too much
        net = WAYS[way][0](FACES[kind], patch)
        train(net, epochs=2, checkpoint=path)
        step = WAYS[way][1].split()[0]
    assert equal(load(path, sentence(way, kind)), net)
    plain = FACES[kind].cls(SIZES, seed=1)
    with nothing_changes(plain), pytest.raises(ValueError) as refused:
        train(plain, resume=path)
    assert str(refused.value) == (
        f"resume must name a checkpoint of a run with functions of a script's [], got "
        f"['{step}']: {path}"
    )


# What answers as bpnet's own does.
HARMLESS = ["backprop", "update_mini_batch", "evaluate", "cost_derivative"]


@pytest.mark.parametrize("step", HARMLESS)
@each_face
def test_another_way_to_learn_is_no_other_answer(kind, step, tmp_path):
    cls = FACES[kind].cls
    original = getattr(cls, step, None)
    own = type(
        "Mine", (cls,), {step: lambda self, *given, **more: original(self, *given, **more)}
    )
    net = own(SIZES, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.save(tmp_path / "net.npz")
        loaded = bpnet.load(tmp_path / "net.npz")
    assert np.array_equal(loaded.feedforward(X), net.feedforward(X))
    assert "script" not in repr(net)


def test_a_sigmoid_that_nobody_has_is_nobodys(tmp_path, monkeypatch):
    net = network2.Network(SIZES, network2.LogLikelihoodCost, hidden="tanh", seed=1)
    monkeypatch.setattr(network2, "sigmoid", soft)
    monkeypatch.setattr(network, "sigmoid_prime", soft_prime)  # which learns, but answers not
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for each in (net, network.Network(SIZES, seed=1)):
            each.save(tmp_path / "net.npz")
            assert equal(bpnet.load(tmp_path / "net.npz"), each)


@each_face
def test_another_function_than_was_there_is_told(kind, tmp_path, monkeypatch):
    face, path = FACES[kind], tmp_path / "net.npz"
    saved("sigmoid", kind, path)
    monkeypatch.setattr(face.module, "sigmoid", other)
    words = "the network was saved with {}, and answers by the script's sigmoid other now: "
    words += "assign the one that is meant"
    loaded = load(path, words.format("the script's sigmoid soft"))
    loaded.feedforward(X)
    monkeypatch.undo()
    face.cls(SIZES, seed=1).save(path)
    monkeypatch.setattr(face.module, "sigmoid", other)
    load(path, words.format("bpnet's sigmoid"))


@pytest.mark.parametrize("name", ["network.npz", "momentum-checkpoint.npz"])
def test_a_file_that_does_not_say_is_not_asked(name, monkeypatch):
    """Version 2 did not, and the book's JSON does not."""
    from test_serialize import DATA

    for module in (network, network2):
        monkeypatch.setattr(module, "sigmoid", soft)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bpnet.load(DATA / f"version2-{name}")


NAMELESS = {
    "lambda": (lambda z: z, "<lambda>"),
    "ufunc": (np.arctan, "arctan"),
    "object": (type("Callable", (), {"__call__": lambda self, z: z})(), "Callable"),
    "odd name": (type("Odd", (), {"__call__": lambda self, z: z, "__name__": 3})(), "Odd"),
}


@pytest.mark.parametrize("name", NAMELESS)
@each_face
def test_any_function_has_a_name_for_the_file(kind, name, tmp_path, monkeypatch):
    face = FACES[kind]
    function, shown = NAMELESS[name]
    monkeypatch.setattr(face.module, "sigmoid", function)
    net = face.cls(SIZES, seed=1)
    with pytest.warns(UserWarning, match=f"own sigmoid {shown}, which"):
        net.save(tmp_path / "net.npz")
    assert equal(bpnet.load(tmp_path / "net.npz"), net)
