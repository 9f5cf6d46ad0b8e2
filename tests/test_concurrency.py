"""Threads, signals and forks: the serial result, or a clean stop, and never a crash."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from nets import equal, examples, visited

import bpcore
from bpnet import Network

DEADLINE = 60  # seconds for a child process, which needs one or two
posix = pytest.mark.skipif(os.name != "posix", reason="signals and forks of POSIX")


SIZES = [20, 15, 4]
DATA = examples(400, sizes=SIZES)


def train(net, epochs=30):
    net.SGD(list(DATA), epochs, 5, 0.5)


def run(script):
    """Run a script in a process of its own and assert that it ends well."""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout


def test_threads_that_train_networks_of_their_own_give_the_serial_result(capsys):
    serial = [Network(SIZES, seed=i) for i in range(4)]
    threaded = [Network(SIZES, seed=i) for i in range(4)]
    for net in serial:
        train(net)
    threads = [threading.Thread(target=train, args=(net,)) for net in threaded]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(map(equal, serial, threaded))


def test_threads_that_share_their_data_give_the_serial_result(capsys):
    x = np.concatenate([x.T for x, _ in DATA])
    y = np.array([np.argmax(y) for _, y in DATA])
    nets = [Network(SIZES, seed=3) for _ in range(3)]
    threads = [threading.Thread(target=net.SGD, args=((x, y), 20, 5, 0.5)) for net in nets[1:]]
    for thread in threads:
        thread.start()
    nets[0].SGD((x, y), 20, 5, 0.5)
    for thread in threads:
        thread.join()
    assert all(equal(nets[0], net) for net in nets)


ONE_NETWORK = """
import contextlib, io, sys, threading
import numpy as np
from bpnet import Network

sys.setswitchinterval(1e-5)
rng = np.random.RandomState(0)
X, Y = rng.rand(300, 20), rng.randint(4, size=300)
data = [(x[:, None], np.eye(4)[:, [y]]) for x, y in zip(X, Y)]
net = Network([20, 15, 4])
stop = threading.Event()

def until_stopped(step):
    while not stop.is_set():
        with contextlib.suppress(RuntimeError):  # SGD, where the other thread is in it
            step()

def write():
    net.weights[0][:] = rng.randn(15, 20)
    net.weights = [rng.randn(15, 20), rng.randn(4, 15)]
    X[:] = rng.rand(300, 20) * (rng.rand(300, 20) < rng.rand())
    Y[:] = rng.randint(4, size=300)

with contextlib.redirect_stdout(io.StringIO()):
    threads = [threading.Thread(target=until_stopped, args=(step,)) for step in (
        lambda: net.SGD(data, 1, 7, 0.5),
        lambda: net.SGD((X, Y), 2, 7, 0.5, test_data=(X, Y)),
        lambda: net.update_mini_batch(data[:9], 0.5),
        lambda: (net.evaluate((X, Y)), net.feedforward(X.T), net.backprop(*data[0])),
        write,
    )]
    for thread in threads:
        thread.start()
    threading.Event().wait(1.0)
    stop.set()
    for thread in threads:
        thread.join()
assert [w.shape for w in net.weights] == [(15, 20), (4, 15)]
"""


def test_threads_that_train_one_network_never_crash():
    """One SGD at a time; steps by hand mix with it, as the original's would."""
    run(ONE_NETWORK)


def test_the_core_lets_other_threads_run_while_it_trains():
    """No thread gives the interpreter up unasked here: only sgd itself can let it go."""
    rng = np.random.RandomState(0)
    engine = bpcore.engine("float64")
    data = bpcore.Data(engine, rng.rand(400, 100), 10, labels=rng.randint(10, size=400))
    net, order = bpcore.Net(engine, [100, 80, 10], 10), bpcore.Order(400)
    woken, heard = threading.Event(), []
    other = threading.Thread(target=lambda: heard.append(woken.wait()))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        other.start()
        woken.set()
        for _ in range(200):  # as many chances for a slow scheduler
            net.sgd(data, order, 10, 0.1)
            if heard:
                break
        assert heard
    finally:
        sys.setswitchinterval(interval)
        other.join()


@posix
def test_ctrl_c_leaves_the_weights_of_a_whole_number_of_mini_batches(capsys):
    rng = np.random.RandomState(0)
    pairs = [(rng.rand(100, 1), np.eye(10)[:, [i % 10]]) for i in range(3000)]
    stopped = Network([100, 80, 10], seed=1)
    data = list(pairs)
    timer = threading.Timer(0.15, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        stopped.SGD(data, 10**6, 10, 0.5)
    timer.join()
    epochs = capsys.readouterr().out.count("complete")

    # Replay: as many whole epochs, the shuffle of the next, and mini-batches until equal.
    replayed = Network([100, 80, 10], seed=1)
    order = list(pairs)
    replayed.SGD(order, epochs, 10, 0.5)
    if all(a is b for a, b in zip(order, data)):
        assert equal(replayed, stopped)
    else:
        order = visited(pairs, epochs + 1, seed=1)
        assert all(a is b for a, b in zip(order, data))
        for k in range(0, len(order) + 1, 10):
            if equal(replayed, stopped):
                break
            replayed.update_mini_batch(order[k : k + 10], 0.5)
        assert equal(replayed, stopped)
    stopped.SGD(data, 1, 10, 0.5)


@posix
def test_a_handler_that_returns_lets_training_go_on(capsys):
    heard = []
    old = signal.signal(signal.SIGALRM, lambda *_: heard.append(1))
    try:
        net, other = Network(SIZES, seed=1), Network(SIZES, seed=1)
        signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
        train(net, 200)
        signal.setitimer(signal.ITIMER_REAL, 0)
        train(other, 200)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert heard
    assert equal(net, other)


def forked(child):
    """Run child in a fork and return its exit status; a child that hangs is killed."""
    with contextlib.redirect_stdout(io.StringIO()):
        pid = os.fork()
        if pid == 0:
            try:
                child()
                os._exit(0)
            except BaseException:
                os._exit(1)
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pytest.fail("the forked child hangs")


@posix
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_after_training_can_train(capsys):
    net, other = Network(SIZES, seed=1), Network(SIZES, seed=1)
    train(net)

    def child():
        train(net)
        train(other)
        train(other)
        assert equal(net, other)

    assert forked(child) == 0


def test_no_thread_outlives_a_call(capsys):
    before = threading.active_count()
    train(Network(SIZES, seed=1))
    assert threading.active_count() == before
    if os.path.isdir("/proc/self/task"):
        tasks = len(os.listdir("/proc/self/task"))
        Network(SIZES, seed=1).SGD(list(DATA), 2, 5, 0.5, n_threads=2)
        assert len(os.listdir("/proc/self/task")) == tasks
