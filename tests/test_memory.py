"""Memory that the core points into stays where it is, and a Net serves one call at a time."""

import mmap
import os
import random
import signal
import threading
from multiprocessing import shared_memory

import numpy as np
import pytest
from engines import (
    CODES,
    DENSE,
    VALUES,
    each_engine,
    examples,
    loaded,
    packed,
    parameters,
    same_bits,
)
from nets import FACES

import bpcore

SIZES, N = [6, 20, 3], 24
REFUSED = "cannot resize an array that"


def resize(array):
    array.resize(1, refcheck=False)


def of(engine, form):
    """Return Data of every part in a form, and the arrays that it points into."""
    x, y = examples(N, SIZES[0], SIZES[-1], engine.dtype)
    labels, weights = y.argmax(axis=1).astype(np.int64), y[:, 0].copy()
    data = packed(engine, x, y, labels=labels, weights=weights, sparse=form)
    inputs = (data.inputs,) if form == DENSE else data.inputs[1:]
    return data, [array for array in (*inputs, y, labels, weights) if array is not None]


@each_engine
@pytest.mark.parametrize("form", [DENSE, VALUES, CODES])
def test_an_array_that_data_points_into_cannot_be_resized(engine, form):
    data, arrays = of(engine, form)
    assert len(arrays) == {DENSE: 4, VALUES: 6, CODES: 7}[form]
    shared = bpcore.Data(engine, data, SIZES[-1])  # shares the inputs
    del data
    for array in arrays:
        with pytest.raises(ValueError, match=REFUSED):
            resize(array)
    del shared
    for array in arrays:
        resize(array)


def memories(tmp_path):
    """Yield where 64 float64 may lie: (who owns the memory, an array in it, what moves it)."""
    owner = np.zeros(64)
    yield owner, owner.reshape(16, 4)[2:], resize
    owner = np.zeros(64).view()
    yield owner.base, owner[:8].reshape(2, 4), resize
    owner = bytearray(512)
    yield owner, np.frombuffer(owner).reshape(16, 4), bytearray.clear
    owner = bytearray(512)
    yield owner, np.ndarray((16, 4), buffer=owner), bytearray.clear
    owner = bytearray(512)
    yield owner, np.ndarray((16, 4), buffer=memoryview(owner)), bytearray.clear
    path = tmp_path / "numbers"
    path.write_bytes(bytes(512))
    mapped = np.memmap(path, np.float64, "c", shape=(16, 4))
    yield mapped._mmap, np.asarray(mapped), mmap.mmap.close
    owner = shared_memory.SharedMemory(create=True, size=512)
    yield owner, np.ndarray((16, 4), buffer=owner.buf), shared_memory.SharedMemory.close
    owner.close()
    owner.unlink()


def test_memory_that_an_array_borrows_is_held_where_it_came_from(tmp_path):
    engine = bpcore.engine("float64")
    for owner, array, move in memories(tmp_path):
        data = bpcore.Data(engine, array, 1)
        with pytest.raises((ValueError, BufferError)):
            move(owner)
        assert not data.rows(0, len(data)).any()
        del data


def dense(cls):
    """Return a network and arrays (X, Y) that it trains on where they are."""
    rng = np.random.RandomState(0)
    return cls(SIZES, seed=1), rng.rand(N, SIZES[0]), rng.rand(N, SIZES[-1])


@pytest.mark.parametrize("part", [0, 1], ids=["X", "Y"])
@pytest.mark.parametrize("face", FACES.values(), ids=FACES)
def test_a_callback_that_resizes_what_is_trained_on_gets_an_error(face, part, capsys):
    (net, x, y), (other, *_) = dense(face.cls), dense(face.cls)
    other.SGD((x, y), 1, 5, 0.5)
    with pytest.raises(ValueError, match=REFUSED):
        net.SGD((x, y), 3, 5, 0.5, callback=lambda net, epoch: resize((x, y)[part]))
    assert same_bits(net.weights, other.weights)


def busy(**kinds):
    """Return a net, examples and their order."""
    engine = bpcore.engine("float64")
    net = loaded(engine, *parameters(SIZES, engine.dtype), 16, 1, **kinds)
    data, arrays = of(engine, DENSE)
    return net, data, bpcore.Order(N), arrays


def test_progress_that_resizes_what_is_trained_on_gets_an_error():
    net, data, order, arrays = busy()
    losses = np.empty((-(-N // 5), 2))
    for array in (*arrays, losses):
        with pytest.raises(ValueError, match=REFUSED):
            net.sgd(
                data, order, 5, 0.5, losses=losses, progress=lambda done, x=array: resize(x)
            )
    resize(losses)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals of POSIX")
def test_a_signals_handler_that_resizes_what_is_looked_at_gets_an_error():
    net, data, _, arrays = busy()
    refused = []

    def handler(*_):
        for array in arrays:
            with pytest.raises(ValueError, match=REFUSED):
                resize(array)
        refused.append(1)

    old = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1e-3, 1e-3)
        while len(refused) < 5:
            net.evaluate(data)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_another_thread_that_resizes_what_is_trained_on_gets_an_error():
    net, data, order, arrays = busy()
    over, resized = threading.Event(), []

    def other():
        while not over.is_set():
            for array in arrays:
                try:
                    resize(array)
                    resized.append(array)
                except ValueError:
                    pass

    thread = threading.Thread(target=other)
    thread.start()
    for _ in range(200):
        net.sgd(data, order, 5, 0.5)
    over.set()
    thread.join()
    assert not resized


def test_another_thread_that_resizes_the_matrices_of_a_product_gets_an_error():
    engine, n = bpcore.engine("float64"), 304
    room = np.zeros(n * n + 8)
    c = room[-room.ctypes.data % 64 // 8 :][: n * n].reshape(n, n)
    matrices, refused, over = [], [], threading.Event()

    def other():
        while not over.is_set():
            for array in list(matrices):
                try:
                    resize(array)
                except ValueError:
                    refused.append(array)

    thread = threading.Thread(target=other)
    thread.start()
    while len(refused) < 30:
        matrices[:] = np.ones((n, n)), np.ones((n, n))
        c[:] = 0
        try:
            engine.gemm(*matrices, c)
        except ValueError:  # resized before it began
            continue
        assert (c == n).all()
    over.set()
    thread.join()


CALLS = {
    "load": lambda net, data: net.load(*parameters(SIZES, np.dtype("d"))),
    "store": lambda net, data: net.store(),
    "state": lambda net, data: net.state(),
    "restore": lambda net, data: net.restore(3, [net.store()]),
    "feedforward": lambda net, data: net.feedforward(data),
    "evaluate": lambda net, data: net.evaluate(data),
    "backprop": lambda net, data: net.backprop(data),
    "backprop of some": lambda net, data: net.backprop(data, np.array([3, 1, 2])),
    "sgd": lambda net, data: net.sgd(data, bpcore.Order(N), 5, 0.1, parameters=(0.5,)),
}
BUSY = "^a Net serves one call at a time, and another is under way$"


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_callback_cannot_use_the_net_that_calls_it(call):
    net, data, order, _ = busy(rule="momentum")
    with pytest.raises(RuntimeError, match=BUSY):
        net.sgd(data, order, 5, 0.1, parameters=(0.5,), progress=lambda done: call(net, data))
    call(net, data)  # it is free again


def test_threads_on_one_net_take_turns_or_get_an_error():
    net, data, order, _ = busy(rule="momentum")
    over, unforeseen = threading.Event(), []

    def other(call):
        while not over.is_set():
            try:
                call(net, data)
            except RuntimeError as error:
                if "one call at a time" not in str(error):
                    unforeseen.append(error)

    threads = [threading.Thread(target=other, args=(call,)) for call in CALLS.values()]
    for thread in threads:
        thread.start()
    for _ in range(500):
        order.shuffle(np.random.RandomState(1))
    over.set()
    for thread in threads:
        thread.join()
    assert not unforeseen
    assert all(np.isfinite(part).all() for parts in net.store() for part in parts)


@pytest.mark.parametrize("put", ["load", "restore"])
def test_parameters_of_which_one_is_wrong_change_nothing(put):
    net, data, *_ = busy(rule="momentum")
    CALLS["sgd"](net, data)
    before = net.store(), net.state()
    biases, weights = parameters(SIZES, np.dtype("d"), seed=5)
    weights[-1] = weights[-1][:, 1:].copy()
    with pytest.raises(ValueError, match=r"^weights\[1\] must have shape \(3, 20\)"):
        net.load(biases, weights) if put == "load" else net.restore(9, [(biases, weights)])
    with pytest.raises((TypeError, OverflowError)):
        net.restore(2**70, [parameters(SIZES, np.dtype("d"))])
    assert net.state()[0] == before[1][0]
    assert same_bits([*net.store()], [*before[0]])
    assert same_bits([*net.state()[1][0]], [*before[1][1][0]])


def test_an_order_is_what_was_checked_whoever_writes_meanwhile():
    order = bpcore.Order(4)
    for dtype in ("uint8", "int64", "uint64"):
        order.assign(np.array([3, 1, 0, 2], dtype))
        assert order.tolist() == [3, 1, 0, 2]
    for items in ([0, 1, 2, 4], [-1, 0, 1, 2], [0, 1, 2], [[0, 1, 2, 3]], [0.0, 1.0, 2.0, 3.0]):
        with pytest.raises(ValueError, match=r"^a shuffle must leave 4 indices in \[0, 4\)$"):
            order.assign(np.array(items))
    with pytest.raises(ValueError, match="indices"):
        order.assign(np.array([0, 1, 2, 2**64 - 1], np.uint64))


# Slices between which signals are handled

WIDE = [2000, 600, 3]  # more weights than are copied between two looks for a signal


@pytest.mark.parametrize("sizes", [[1, 1], [5, 300_000], [300_000, 5], WIDE])
def test_networks_of_any_width_come_out_as_they_went_in(sizes):
    engine = bpcore.engine("float32")
    net = bpcore.Net(engine, sizes, 1)
    rng = np.random.RandomState(0)
    given = (
        [rng.rand(n, 1).astype("f4") for n in sizes[1:]],
        [rng.rand(n_out, n_in).astype("f4") for n_in, n_out in zip(sizes, sizes[1:])],
    )
    net.load(*given)
    assert all(map(np.array_equal, sum(given, []), sum(net.store(), [])))


@pytest.fixture
def alarm():
    """Let the first look for a signal raise: a handler's error stands for Ctrl-C's."""
    if os.name != "posix":
        pytest.skip("signals of POSIX")

    class AlarmError(Exception):
        pass

    def ring(*_):
        raise AlarmError

    usual = signal.signal(signal.SIGALRM, ring)
    try:
        yield lambda: signal.setitimer(signal.ITIMER_REAL, 1e-3), AlarmError
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)


@pytest.mark.parametrize("window", [None, 1_000_000])
def test_a_shuffle_that_is_interrupted_changes_nothing(alarm, window):
    ring, expected = alarm
    n = 3_000_000
    order, source = bpcore.Order(n), random.Random(0)
    before = source.getstate()
    with pytest.raises(expected):
        ring()
        order.shuffle(source, window)
    assert source.getstate() == before  # so it was not over
    assert np.array_equal(np.array(order.tolist()), np.arange(n))


def test_a_copy_of_parameters_that_is_interrupted_ends_early(alarm):
    ring, expected = alarm
    net = bpcore.Net(bpcore.engine("float64"), [4000, 2000, 3], 1)
    ones = [[np.ones_like(array) for array in arrays] for arrays in net.store()]
    with pytest.raises(expected):
        ring()
        net.load(*ones)
    assert not net.store()[1][1].any()  # so it was not over


@pytest.mark.parametrize("n_in", [6, 70_000])
def test_a_form_of_csr_is_checked_to_its_last_row(n_in):
    n = 400_000  # more than are looked at between two signals
    offsets, columns = np.arange(n + 1), np.zeros(n, bpcore.columns_dtype(n_in))
    engine = bpcore.engine("float32")
    form = n_in, offsets, columns, np.ones(n, "f4"), None
    assert len(bpcore.Data(engine, form, 3)) == n
    columns[-1] = n_in
    with pytest.raises(ValueError, match="columns must ascend in each row"):
        bpcore.Data(engine, form, 3)
