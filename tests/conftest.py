"""What every test starts from, and what tests of the API share."""

import contextlib
import itertools
import os
import pickle
import random

import numpy as np
import pytest
from hypothesis import settings

from bpnet import reference

settings.register_profile("bpnet", deadline=None, derandomize=True)
# Under sanitizers, which are slow and look at each call closely.
settings.register_profile("few", settings.get_profile("bpnet"), max_examples=10)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "bpnet"))


PAIRS = "of a test's cases only so many that any two values of its parameters meet"


def pytest_make_parametrize_id(config, val, argname):
    """Name bytes by their number: a gzip stream has the second in which it was made, and two
    workers must collect the same tests."""
    return f"{argname} of {len(val)} bytes" if isinstance(val, bytes) else None


def pytest_addoption(parser):
    parser.addoption("--pairs", action="store_true", help=PAIRS)


def pytest_configure(config):
    config.addinivalue_line("markers", f"pairs: {PAIRS}, as --pairs takes of every test")


def pytest_collection_modifyitems(config, items):
    """Leave out the cases in which no two values meet anew."""
    met, kept, left_out = set(), [], []
    for item in items:
        now = set()
        if config.getoption("pairs") or item.get_closest_marker("pairs"):
            now = {(item.path, item.originalname, *each) for each in meetings(item)}
        (left_out if now and now <= met else kept).append(item)
        met |= now
    items[:] = kept
    config.hook.pytest_deselected(items=left_out)


def meetings(item):
    """Return the pairs of its parameters' values; of a value that is alone, with itself."""
    values = item.callspec.params.items() if hasattr(item, "callspec") else ()
    named = sorted((name, id(value)) for name, value in values)
    return itertools.combinations_with_replacement(named, 2)


@pytest.fixture(autouse=True)
def seeded_globals():
    """Start from the same global random states, and leave the caller's as they were."""
    states = random.getstate(), np.random.get_state()
    random.seed(20)
    np.random.seed(20)
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])


def pairs(n, n_in, n_out, seed=0):
    """Return n training examples: x normal, a third of it zero, y in [0, 1)."""
    draw = np.random.RandomState(seed)
    return [
        (draw.randn(n_in, 1) * (draw.rand(n_in, 1) < 2 / 3), draw.rand(n_out, 1))
        for _ in range(n)
    ]


def labelled(n, n_in, n_out, seed=0):
    """Return n test examples (x, label)."""
    draw = np.random.RandomState(seed)
    return [(draw.randn(n_in, 1), int(draw.randint(n_out))) for _ in range(n)]


def twin(net, kind=reference.Network):
    """Return a network of the plain NumPy class with copies of net's parameters."""
    copy = kind.__new__(kind)
    copy.num_layers, copy.sizes = net.num_layers, net.sizes
    copy.biases = [np.array(b) for b in net.biases]
    copy.weights = [np.array(w) for w in net.weights]
    return copy


def parameters_of(net):
    """Return biases and weights in one list."""
    return [*net.biases, *net.weights]


def global_states():
    """Return both global random states in a form that compares."""
    return random.getstate(), pickle.dumps(np.random.get_state())


def _contents(value):
    """Return what an object holds, to the bit and down to the identity of its parts."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return id(value), value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, np.ndarray):
        return id(value), [_contents(item) for item in value.flat]
    if isinstance(value, (list, tuple)):
        return id(value), type(value), [_contents(item) for item in value]
    if isinstance(value, random.Random):
        return id(value), value.getstate()
    return (id(value),)


@pytest.fixture
def nothing_changes(capsys):
    """Return a context: no object given, network or data, may change in it, nor any state.

    Of a network every attribute, of a list its items in their order, of an array its bits;
    both global random generators; and nothing may be printed.
    """

    @contextlib.contextmanager
    def watch(*objects):
        def look():
            return [
                (list(vars(item)), [_contents(value) for value in vars(item).values()])
                if hasattr(item, "__dict__") and not isinstance(item, np.ndarray)
                else _contents(item)
                for item in objects
            ], global_states()

        capsys.readouterr()
        before = look()
        yield
        assert look() == before
        assert capsys.readouterr() == ("", "")

    return watch
