"""bpnet.dropin: old scripts and old pickles find their modules, and what they need in them."""

import importlib
import pickle
import random
import subprocess
import sys
import types
from itertools import product

import pytest
from conftest import pairs, parameters_of
from engines import same_bits
from nets import FACES, each_class, equal, face_of, make, timeless, train

import bpnet.dropin
from bpnet import Network, mnist_loader, network, network2, reference

SIZES = [3, 4, 2]


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """Register anew: another test may have taken the names."""
    for name in ("network", "network2", "mnist_loader"):
        monkeypatch.setitem(sys.modules, name, None)
    importlib.reload(bpnet.dropin)


def test_the_books_names_are_bpnets_modules():
    assert importlib.import_module("network") is network
    assert importlib.import_module("network2") is network2
    assert importlib.import_module("mnist_loader") is mnist_loader


SCRIPT = """
import bpnet.dropin
import random
import numpy as np
import network
from network import Network, sigmoid, sigmoid_prime
random.seed(1); np.random.seed(1)
data = [(np.random.randn(3, 1), np.eye(2)[:, [i % 2]]) for i in range(20)]
net = network.Network([3, 4, 2])
net.SGD(zip(*zip(*data)), 2, 5, 3.0, test_data=[(x, np.argmax(y)) for x, y in data])
cost = sum(np.linalg.norm(net.feedforward(x) - y) ** 2 for x, y in data)
best = [w for w in net.weights]
net.SGD(data, 1, 5, 3.0)
assert all(type(w) is network.np.ndarray for w in best) and network.random is random
print([w.tobytes().hex() for w in net.weights])
"""


def run(script):
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_a_script_gives_the_same_bits_in_every_process():
    first = run(SCRIPT)
    assert first == run(SCRIPT)
    lines = first.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["Epoch 0", "Epoch 1"]
    assert lines[2] == "Epoch 0 complete"


# Pickles of the original's class


def port_of(kind):
    """Return the module that the book's readers had, with its classes."""
    module = types.ModuleType(kind)
    for cls in (FACES[kind].book, reference.QuadraticCost, reference.CrossEntropyCost):
        body = {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__")}
        name = "Network" if cls is FACES[kind].book else cls.__name__
        made = type(name, (cls.__base__,), body | {"__module__": kind})
        made.__qualname__ = name
        setattr(module, name, made)
    return module


COSTS = ("CrossEntropyCost", "QuadraticCost")
PORTS = [("network", None, False), *(("network2", *c) for c in product(COSTS, (False, True)))]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(("kind", "cost", "as_instance"), PORTS)
def test_a_pickle_of_a_python_3_port_gives_a_network(
    kind, cost, as_instance, protocol, monkeypatch
):
    port = port_of(kind)
    given = [getattr(port, cost)() if as_instance else getattr(port, cost)] if cost else []
    old = port.Network(SIZES, *given)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, kind, port)
        saved = pickle.dumps(old, protocol)
    assert b"bpnet" not in saved
    loaded = pickle.loads(saved)
    assert type(loaded) is FACES[kind].cls
    assert list(vars(loaded)) == list(vars(old))
    if cost:
        found = type(loaded.cost) if as_instance else loaded.cost
        assert found is getattr(network2, cost)
    assert same_bits(parameters_of(loaded), parameters_of(old))
    check(loaded)


def check(loaded):
    """It works, and as a network of these parameters that was never pickled."""
    fresh = type(loaded)(SIZES, *([loaded.cost] if hasattr(loaded, "cost") else []))
    fresh.biases, fresh.weights = loaded.biases, loaded.weights
    x, y = pairs(1, 3, 2)[0]
    assert same_bits(loaded.feedforward(x), fresh.feedforward(x))
    assert same_bits(sum(loaded.backprop(x, y), []), sum(fresh.backprop(x, y), []))
    for net in (loaded, fresh):
        random.seed(1)
        train(net, pairs(5, 3, 2), judged_by=[(x, 1)], **face_of(net).figures)
    assert equal(loaded, fresh) and timeless(loaded.history) == timeless(fresh.history)


def array_of_python_2(array):
    """Return an array as Python 2 pickled it in protocol 2, without memos."""
    items, (rows, columns) = array.tobytes(), array.shape
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        + b"(K\x01"
        + bytes([ord("K"), rows, ord("K"), columns])
        + b"\x86cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R"
        + b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + b"\x89U"
        + bytes([len(items)])
        + items
        + b"tb"
    )


def pickle_of_python_2(net):
    """Return what cPickle.dumps(net, 2) wrote: copy_reg.__newobj__ and the state."""

    def text(word):
        return b"U" + bytes([len(word)]) + word.encode()

    def arrays(values):
        return b"](" + b"".join(map(array_of_python_2, values)) + b"e"

    sizes = b"](" + b"".join(bytes([ord("K"), n]) for n in net.sizes) + b"e"
    state = [
        text("num_layers") + bytes([ord("K"), net.num_layers]),
        text("sizes") + sizes,
        text("biases") + arrays(net.biases),
        text("weights") + arrays(net.weights),
    ]
    return b"\x80\x02cnetwork\nNetwork\n)\x81}(" + b"".join(state) + b"ub."


@pytest.mark.skipif(sys.byteorder != "little", reason="the bytes of the arrays are")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_pickle_of_python_2_in_protocol_2_gives_a_network(capsys):
    old = reference.Network(SIZES)
    loaded = pickle.loads(pickle_of_python_2(old), encoding="latin1")
    assert type(loaded) is Network and loaded.sizes == SIZES and loaded.num_layers == 3
    assert same_bits(parameters_of(loaded), parameters_of(old))
    check(loaded)


@each_class
def test_joblib_keeps_a_network(kind, tmp_path):
    joblib = pytest.importorskip("joblib")
    net = make(kind, dtype="float32")
    joblib.dump(net, tmp_path / "net.joblib")
    loaded = joblib.load(tmp_path / "net.joblib")
    train(net)
    train(loaded)
    assert equal(net, loaded)
