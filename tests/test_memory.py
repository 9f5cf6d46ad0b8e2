"""The core's memory: what it points into stays, and what is interrupted is whole."""

import gc
import os
import random
import signal
import threading

import numpy as np
import pytest
from engines import each_engine

import bpcore
from bpnet import MLP, Dataset

N, SIZES = 300, [6, 5, 3]


def arrays(dtype=np.float64):
    """Return all that data may point into, by name, every array the owner of its memory."""
    rng = np.random.RandomState(0)
    return {
        "x": rng.rand(N, 6).astype(dtype),
        "y": rng.rand(N, 3).astype(dtype),
        "labels": rng.randint(3, size=N),
        "weights": rng.rand(N).astype(dtype) + dtype(1),
    }


def sparse():
    """Return a CSR form of one item a row, by name."""
    return {
        "offsets": np.arange(N + 1, dtype=np.int64),
        "columns": (np.arange(N) % 6).astype(np.uint16),
        "values": np.ones(2),
        "codes": (np.arange(N) % 2).astype(np.uint8),
    }


def move(array):
    """Try to give the memory of array to somebody else."""
    array.resize(1, refcheck=False)


def cannot_be_moved(array):
    with pytest.raises(ValueError, match="cannot resize"):
        move(array)


@pytest.mark.parametrize("seen", ["itself", "a view", "a view of a view"])
@pytest.mark.parametrize("name", ["x", "y", "labels", "weights"])
def test_an_array_of_data_cannot_be_moved_while_the_data_live(name, seen):
    owner = arrays()[name]
    given = {"itself": owner, "a view": owner[:], "a view of a view": owner[2:][:-2]}[seen]
    used = {**arrays(), name: given}
    n = len(given)
    x, rest = used.pop("x"), {key: value[:n] for key, value in used.items()}
    data = bpcore.Data(bpcore.engine("float64"), x[:n] if name != "x" else x, 3, **rest)
    del given, used, x, rest
    cannot_be_moved(owner)
    del data
    gc.collect()
    move(owner)
    assert owner.size == 1


@pytest.mark.parametrize("name", ["offsets", "columns", "values", "codes"])
def test_an_array_of_a_csr_form_cannot_be_moved_while_the_data_live(name):
    form = sparse()
    data = bpcore.Data(bpcore.engine("float64"), (6, *form.values()), 3)
    shared = bpcore.Data(bpcore.engine("float64"), data, 2)
    del data
    cannot_be_moved(form[name])
    assert len(shared) == N


def test_a_mapped_file_cannot_be_closed_while_the_data_live(tmp_path):
    x = np.memmap(tmp_path / "x", np.float64, "w+", shape=(N, 6))
    data = bpcore.Data(bpcore.engine("float64"), np.asarray(x), 3)
    with pytest.raises(BufferError):
        x._mmap.close()
    assert len(data) == N


@pytest.mark.parametrize("name", ["x", "y"])
def test_an_array_that_is_resized_in_a_callback_ends_the_training(name):
    used = arrays()
    net = MLP(SIZES, seed=0)
    with pytest.raises(ValueError, match="cannot resize"):
        net.train(
            (used["x"], used["y"]), 1, 10, 0.1, callback=lambda net, epoch: move(used[name])
        )
    assert np.isfinite(net.weights[0]).all()


def test_an_array_can_be_resized_once_a_call_has_ended():
    used = arrays()
    net = MLP(SIZES, seed=0)
    net.train((used["x"], used["y"]), 2, 10, 0.1)
    net.train((used["x"], used["labels"]), 2, 10, 0.1)
    net.predict(used["x"])
    net.cost((used["x"], used["y"]))
    gc.collect()
    for array in used.values():
        move(array)


def test_another_thread_cannot_move_what_is_trained_on():
    used, refused, started = arrays(), [], threading.Event()
    net = MLP(SIZES, seed=0)

    def resize():
        started.wait()
        while net.stopped_by is None:
            try:
                move(used["x"])
            except ValueError as error:
                refused.append(error)

    def start(net, epoch):
        started.set()
        return bool(refused)

    thread = threading.Thread(target=resize)
    thread.start()
    net.train((used["x"], used["y"]), 10**6, 10, 0.1, callback=start)
    thread.join()
    assert net.stopped_by == "callback"
    assert used["x"].size in (1, N * 6)  # it may be moved after the end


def test_a_dataset_keeps_its_examples_whatever_becomes_of_the_arrays():
    used = arrays()
    dataset = Dataset((used["x"], used["y"]), weights=used["weights"])
    before = [x.copy() for x, _ in dataset]
    for array in used.values():
        move(array)
    assert all(np.array_equal(a, x) for a, (x, _) in zip(before, dataset, strict=True))


@each_engine
def test_parameters_that_do_not_fit_change_nothing(engine):
    net = bpcore.Net(engine, SIZES, 4)
    biases = [np.ones((n, 1), engine.dtype) for n in SIZES[1:]]
    weights = [np.ones((m, n), engine.dtype) for n, m in zip(SIZES, SIZES[1:])]
    with pytest.raises(ValueError, match=r"weights\[1\] must have shape"):
        net.load(biases, [weights[0], weights[1].T.copy()])
    assert not any(array.any() for array in sum(net.store(), []))


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


def test_a_shuffle_that_is_interrupted_leaves_a_permutation_and_the_source(alarm):
    ring, expected = alarm
    n = 3_000_000
    order, source = bpcore.Order(n), random.Random(0)
    before = source.getstate()
    ring()
    with pytest.raises(expected):
        order.shuffle(source)
    assert source.getstate() == before  # so it was not over
    assert np.array_equal(np.sort(np.array(order.tolist())), np.arange(n))


def test_a_copy_of_parameters_that_is_interrupted_ends_early(alarm):
    ring, expected = alarm
    net = bpcore.Net(bpcore.engine("float64"), [4000, 2000, 3], 1)
    ones = [[np.ones_like(array) for array in arrays] for arrays in net.store()]
    ring()
    with pytest.raises(expected):
        net.load(*ones)
    assert not net.store()[1][1].any()  # so it was not over


def test_a_net_serves_one_call_at_a_time():
    used = arrays()
    engine = bpcore.engine("float64")
    data = bpcore.Data(engine, used["x"], 3, labels=used["labels"])
    net, refused = bpcore.Net(engine, SIZES, 10), []

    def meddle(done):
        for call in (net.store, lambda: net.evaluate(data), lambda: net.feedforward(data)):
            with pytest.raises(RuntimeError, match="one call at a time"):
                call()
        refused.append(done)

    net.sgd(data, bpcore.Order(N), 10, 0.1, progress=meddle)
    assert sum(refused) == N
    assert net.evaluate(data) >= 0  # and the next, when it has ended


def test_a_form_of_csr_is_checked_to_its_last_row():
    n = 400_000  # more than are looked at between two signals
    offsets, columns = np.arange(n + 1, dtype=np.int64), np.zeros(n, np.uint16)
    engine = bpcore.engine("float32")
    form = 6, offsets, columns, np.ones(n, "f4"), None
    assert len(bpcore.Data(engine, form, 3)) == n
    columns[-1] = 6
    with pytest.raises(ValueError, match="columns must ascend in each row"):
        bpcore.Data(engine, form, 3)
