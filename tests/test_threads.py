"""Threads share the work of one call: they change the time, and not a bit of the result."""

import os
import subprocess
import sys

import numpy as np
import pytest
from engines import (
    DENSE,
    ENGINES,
    each_engine,
    each_form,
    examples,
    loaded,
    packed,
    parameters,
    same_bits,
)

import bpcore
from bpnet import Network

# Narrow layers, which each thread computes whole; shared ones above the first, with another
# between them; no hidden layer at all; fewer lines than threads.
SHAPES = [[20, 30, 10], [9, 70, 65, 3], [5, 90, 50, 2, 90, 60, 4], [33, 40], [4, 3, 2]]


def trained(engine, sizes, sparse, n_threads, m=10):
    """Return the parameters after three epochs, the last mini-batch short, and what was asked
    of the network after each."""
    x, y = examples(31, sizes[0], sizes[-1], engine.dtype)
    labels = np.argmax(y, axis=1).astype(np.int64)
    data = packed(engine, x, y, labels=labels, sparse=sparse)
    net = loaded(engine, *parameters(sizes, engine.dtype), m, n_threads)
    order, some = bpcore.Order(len(data)), np.array([*range(30, 7, -1), 3, 3])
    found = []
    for _ in range(3):  # threads share columns, then examples, then columns again
        net.sgd(data, order, m, 0.7)
        found += [[np.array(net.evaluate(data))], *net.backprop(data)]
        found += net.backprop(data, some)
    return [*net.store(), *found, [net.feedforward(data)]]


@each_engine
@each_form
@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_results_are_the_same_bits_for_any_number_of_threads(engine, sparse, sizes):
    for m, counts in ((1, (2,)), (10, (2, 3, 5))):  # of more than processors each waits long
        alone = trained(engine, sizes, sparse, 1, m)
        for n_threads in counts:
            assert same_bits(trained(engine, sizes, sparse, n_threads, m), alone), (
                n_threads,
                m,
            )


@pytest.mark.parametrize("engine", ENGINES[-2:], ids=str)
def test_more_threads_than_columns_or_processors_do_no_harm(engine):
    net = bpcore.Net(engine, [4, 3, 2], 5, 1000)
    assert net.n_threads == 1  # a line of columns each, and there is one
    wide = bpcore.Net(engine, [4, 64 * 64, 2], 5, 1000)
    assert net.n_threads <= wide.n_threads <= 64
    assert same_bits(
        trained(engine, [4, 640, 2], DENSE, 40), trained(engine, [4, 640, 2], DENSE, 1)
    )


def test_what_a_call_alone_changes_the_threads_of_the_next_see():
    """backprop and feedforward, between calls that train, in as many threads."""
    engine = ENGINES[-1]
    sizes = [20, 30, 10]
    x, y = examples(12, 20, 10, engine.dtype)
    data = packed(engine, x, y)
    results = []
    for n_threads in (1, 3):
        net = loaded(engine, *parameters(sizes, engine.dtype), 12, n_threads)
        found = []
        for _ in range(3):
            net.sgd(data, bpcore.Order(12), 5, 0.5)
            found.append([*net.backprop(data), [net.feedforward(data)], *net.store()])
            net.load(*parameters(sizes, engine.dtype, seed=len(found)))
        results.append(found)
    assert same_bits(*results)


@pytest.mark.parametrize("engine", ENGINES[-2:], ids=str)
@pytest.mark.parametrize("rule", ["plain", "momentum"])
@pytest.mark.parametrize("l2", [0.0, 1e-3])
def test_trials_of_one_thread_amid_a_call_do_not_show_in_the_bits(engine, rule, l2):
    """So many weights that a call has many slices, some of them trials with fewer threads."""
    sizes, n = [50, 9000, 3], 600
    x, y = examples(n, sizes[0], sizes[-1], engine.dtype)
    data, results = packed(engine, x, y), []
    for n_threads in (1, 3):
        net = loaded(engine, *parameters(sizes, engine.dtype), 4, n_threads, rule=rule)
        slices, mu = [], (0.5,) if rule == "momentum" else ()
        options = {"l2": l2, "parameters": mu, "progress": slices.append}
        net.sgd(data, bpcore.Order(n), 4, 0.1, **options)
        assert len(slices) > 5  # the fifth is the first trial
        results.append([*net.store(), *(part for slot in net.state()[1] for part in slot)])
    assert same_bits(*results)


def test_n_threads_is_a_positive_number():
    with pytest.raises(ValueError, match=r"^n_threads must be positive, got 0$"):
        bpcore.Net(ENGINES[0], [4, 3], 5, 0)
    with pytest.raises(ValueError, match=r"^n_threads must be at least 1, got 0$"):
        Network([4, 3]).SGD([(np.ones((4, 1)), np.ones((3, 1)))], 1, 1, 0.1, n_threads=0)


def threads_of_this_process():
    return len(os.listdir("/proc/self/task"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads in /proc")
def test_no_thread_outlives_a_call():
    engine = ENGINES[-1]
    before = threads_of_this_process()
    trained(engine, [20, 200, 10], DENSE, 4)
    assert threads_of_this_process() == before


LIMITED = """
import resource, sys
sys.path.insert(0, {tests!r})
import numpy as np
from engines import ENGINES, same_bits
from test_threads import trained

alone = trained(ENGINES[-1], [20, 200, 10], 0, 1)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
import os
if os.getuid() == 0:
    os.setuid(12345)
assert same_bits(trained(ENGINES[-1], [20, 200, 10], 0, 3), alone)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_where_no_thread_can_be_started_one_does_it_all():
    script = LIMITED.format(tests=os.path.dirname(__file__))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


FORKED = """
import os
import numpy as np
from bpnet import Network

x, y = np.random.RandomState(0).rand(300, 20), np.arange(300) % 4

def trained():
    net = Network([20, 64, 4], seed=1)
    net.SGD((x, y), 3, 10, 0.5, n_threads=2)
    return net.weights

before = trained()
child = os.fork()
same = all(map(np.array_equal, before, trained()))
if child == 0:
    os._exit(0 if same else 1)
assert same and os.waitpid(child, 0)[1] == 0
"""

INTERRUPTED = """
import os, signal, threading
import numpy as np
from bpnet import Network

x, y = np.random.RandomState(0).rand(300, 20), np.arange(300) % 4
net = Network([20, 64, 4], seed=1)
before = net.weights
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    net.SGD((x, y), 10**9, 10, 0.5, n_threads=2)
except KeyboardInterrupt:
    assert not np.array_equal(net.weights[0], before[0]) and np.isfinite(net.weights[0]).all()
else:
    raise AssertionError("it was not interrupted")
"""


@pytest.mark.skipif(os.name != "posix", reason="forks and signals of POSIX")
@pytest.mark.parametrize("script", [FORKED, INTERRUPTED], ids=["fork", "interrupt"])
def test_processes_with_threads_fork_and_are_interrupted(script):
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("n_threads", [2, 3])
def test_a_network_trains_with_threads(capsys, n_threads):
    x, y = examples(300, 20, 10, np.dtype("float64"))
    nets = [Network([20, 40, 10], seed=1) for _ in range(2)]
    for net, threads in zip(nets, (1, n_threads)):
        net.SGD((x, y), 3, 10, 0.5, test_data=(x, y.argmax(axis=1)), n_threads=threads)
    assert all(map(same_bits, nets[0].weights, nets[1].weights))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == lines[3:]
