"""Threads that share an object: each gets what it would alone, or a sentence.

Where there is no GIL they really call it at once; elsewhere the interpreter changes
threads as often as it can.
"""

import random
import re
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from engines import examples, loaded, parameters, same_bits
from nets import CLASSES, make

import bpcore
import bpnet
from bpcore._core import BLOCKS, Encoder

SIZES, N = [6, 20, 3], 24
DTYPE = np.dtype("float64")
THREADS, TURNS = 4, 100
REFUSED = "one call at a time|being trained by another call"

ENGINE = bpcore.engine("float64")
X, Y = examples(N, SIZES[0], SIZES[-1], DTYPE)
LABELS = Y.argmax(axis=1).astype(np.int64)
A, B = parameters(SIZES, DTYPE, seed=0), parameters(SIZES, DTYPE, seed=1)


class Shared(NamedTuple):
    """What a thread does with one object at turn i, whether that can be its result, and
    whether the object is whole after all turns."""

    call: Callable[[int], Any]
    right: Callable[[int, Any], bool]
    whole: Callable[[], bool] = lambda: True


def data():
    return bpcore.Data(ENGINE, X, SIZES[-1], y=Y, labels=LABELS)


def is_a_permutation(items):
    return sorted(items) == list(range(N))


def net_parameters():
    net = loaded(ENGINE, *A)

    def call(i):
        if i % 2:
            net.load(*(B if i % 4 == 1 else A))
        return net.store()

    return Shared(call, lambda i, got: same_bits(got, A) or same_bits(got, B))


def net_state():
    net = loaded(ENGINE, *A, rule="momentum")
    net.restore(1, [A])

    def call(i):
        if i % 2:
            net.restore(*((2, [B]) if i % 4 == 1 else (1, [A])))
        return net.state()

    def right(i, got):
        steps, slots = got
        return same_bits(slots, [{1: A, 2: B}[steps]])

    return Shared(call, right)


def net_store_into():
    net = loaded(ENGINE, *A, rule="momentum")
    net.restore(1, [A])

    def call(i):
        net.store_into(
            *(out := parameters(SIZES, DTYPE, 5)), [kept := parameters(SIZES, DTYPE)]
        )
        return out, kept

    return Shared(call, lambda i, got: same_bits(got, (A, A)))


def of_rows(call):
    """A call with the number of an example, whose result hangs on that alone."""
    alone = [call(i) for i in range(N)]
    return Shared(lambda i: call(i % N), lambda i, got: same_bits(got, alone[i % N]))


def net_backprop():
    net, examples = loaded(ENGINE, *A), data()
    return of_rows(lambda i: net.backprop(examples, np.array([i])))


def net_feedforward():
    net = loaded(ENGINE, *A)
    return of_rows(lambda i: net.feedforward(bpcore.Data(ENGINE, X[: i + 1], SIZES[-1])))


def net_evaluate():
    net, examples = loaded(ENGINE, *A), data()

    def call(i):
        costs = np.zeros(N)
        return np.array([net.evaluate(examples, costs), *costs])

    return of_rows(call)


def net_sgd():
    """One order for all of the threads, which shuffle it, assign to it and train in it."""
    net, examples, order = loaded(ENGINE, *A), data(), bpcore.Order(N)

    def call(i):
        if i % 3 == 0:
            order.shuffle(random.Random(i), 10)
        elif i % 3 == 1:
            order.assign(np.random.RandomState(i).permutation(N))
        net.sgd(examples, order, 5, 0.1)
        return order.tolist()

    def whole():
        return all(np.isfinite(part).all() for parts in net.store() for part in parts)

    return Shared(call, lambda i, got: is_a_permutation(got), whole)


def order():
    shared = bpcore.Order(N)

    def call(i):
        if i % 2:
            shared.assign(np.random.RandomState(i).permutation(N))
        else:
            shared.shuffle(random.Random(i), 2 * BLOCKS if i % 4 else None)
        rows = [k for block in shared.windows() for k in map(range, *block)]
        return shared.toarray().tolist(), sorted(k for row in rows for k in row)

    def right(i, got):
        return all(rows == [] or is_a_permutation(rows) for rows in got)

    return Shared(call, right)


def column():
    """Its results go through the arrays of whoever calls last, if two calls go at once."""
    x, y = X[0][:, None], Y[0][:, None]
    shared = bpcore.Column(ENGINE, "sigmoid", "quadratic", SIZES, *A, x)

    def call(i):
        shared.forward()
        return shared.a, shared.z, *shared.backward(y), *shared.descend(y, 0.5)

    def right(i, got):
        a, z, _, nabla_w, _, weights = got
        return a.shape == z.shape == (3, 1) and nabla_w[0].shape == weights[0].shape == (20, 6)

    return Shared(call, right)


def encoder():
    columns, offsets = np.empty(10**4, np.uint16), np.zeros(1001, np.int64)
    shared = Encoder(ENGINE, 6, 10**4 - 6, offsets, columns, np.empty(10**4))
    row = np.array([[0.0, 1, 0, 2, 0, 3]])

    def whole():
        rows = shared.items // 3
        return (
            np.array_equal(offsets[: rows + 1], np.arange(rows + 1) * 3)
            and columns[: 3 * rows].tolist() == [1, 3, 5] * rows
        )

    return Shared(lambda i: shared.append(row), lambda i, got: got == 0, whole)


def a_list_of_examples():
    """Other threads replace its items, and shuffle it as SGD does."""
    net = make("MLP", sizes=SIZES)
    pairs = [(x[:, None], y[:, None]) for x, y in zip(X, Y)]
    alone = {row.tobytes() for row in net.predict(pairs)}

    def call(i):
        for k in range(i % 2 * N):
            pairs[k] = X[k][:, None].copy(), Y[k][:, None].copy()
        random.shuffle(pairs)
        return net.predict(pairs)

    return Shared(call, lambda i, got: {row.tobytes() for row in got} <= alone)


def lists_of_parameters():
    """A network's own, whose items other threads replace while an example goes through."""
    net = make("network", sizes=SIZES)
    x, y = X[0][:, None], Y[0][:, None]

    def call(i):
        biases, weights = B if i % 2 else A
        for l in range(len(SIZES) - 1):
            net.biases[l], net.weights[l] = biases[l].copy(), weights[l].copy()
        return net.feedforward(x), *net.backprop(x, y)

    def right(i, got):
        a, _, nabla_w = got
        return a.shape == (3, 1) and [w.shape for w in nabla_w] == [(20, 6), (3, 20)]

    return Shared(call, right)


def predictor():
    shared = make("MLP", sizes=SIZES).predictor()
    return of_rows(lambda i: shared(X[: i + 1]))


def gradients():
    shared = make("MLP", sizes=SIZES).gradients((X, Y))
    return of_rows(lambda i: shared([i, 0]))


def dataset():
    shared = bpnet.Dataset((X, LABELS))
    return of_rows(lambda i: [*shared.rows(i, N), shared[i][0], np.array(shared.checksum)])


def a_trained(name):
    """A network that threads train."""

    def shared():
        net = make(name, sizes=SIZES)
        train = getattr(net, CLASSES[name].trains)

        def call(i):
            train((X, Y), 2, 5, 0.1, verbose=False)

        def whole():
            return all(np.isfinite(part).all() for part in (*net.biases, *net.weights))

        return Shared(call, lambda i, got: True, whole)

    return shared


OBJECTS = {
    shared.__name__.replace("_", " "): shared
    for shared in [
        *(net_parameters, net_state, net_store_into, net_backprop, net_feedforward),
        *(net_evaluate, net_sgd, order, column, encoder, a_list_of_examples),
        *(lists_of_parameters, predictor, gradients, dataset),
    ]
} | {name: a_trained(name) for name in CLASSES}


def in_threads(call):
    """Return what each thread got at each of its turns: pairs (turn, result or exception)."""
    begin, found = threading.Barrier(THREADS), []

    def turns(first):
        begin.wait()
        for i in range(first, TURNS * THREADS, THREADS):
            try:
                found.append((i, call(i)))
            except Exception as error:
                found.append((i, error))

    threads = [threading.Thread(target=turns, args=(first,)) for first in range(THREADS)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    return found


@pytest.mark.parametrize("shared", OBJECTS.values(), ids=OBJECTS)
def test_threads_that_share_an_object_get_what_one_would_or_a_sentence(shared, capsys):
    shared = shared()
    found = in_threads(shared.call)
    assert len(found) == TURNS * THREADS
    refused = [got for _, got in found if isinstance(got, Exception)]
    results = [(i, got) for i, got in found if not isinstance(got, Exception)]
    for error in refused:
        assert type(error) is RuntimeError, error
        assert re.search(REFUSED, str(error))
    assert results
    assert all(shared.right(i, got) for i, got in results)
    assert shared.whole()


def test_threads_that_open_one_file_have_the_same_examples(tmp_path):
    path = tmp_path / "examples.bpd"
    bpnet.Dataset((X, LABELS)).save(path)
    for i, got in in_threads(lambda i: bpnet.open(path).rows(i % N, N)):
        assert same_bits(got, (X[i % N :], LABELS[i % N :]))
