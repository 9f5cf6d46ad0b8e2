"""What if the n-th allocation fails, n = 1, 2, ..., at each entry point of the core?

A MemoryError or the right result, and a state that is the one before or the one after: never a
crash, never a half.  Each entry point runs in a process of its own, under a malloc of ours
(allocation.c, preloaded; glibc), which fails once, or from some allocation on.

    python tests/attack/allocation.py --seconds 60
"""

import argparse
import ctypes
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

import bpcore

HERE = os.path.dirname(os.path.abspath(__file__))
ENGINE = bpcore.engine("float64")
SIZES, N, M = [12, 40, 3], 30, 7  # the hidden layer is wide enough for two threads
RNG = np.random.RandomState(0)
X = np.where(RNG.rand(N, SIZES[0]) < 0.2, RNG.randint(1, 9, (N, SIZES[0])) / 8.0, 0.0)
LABELS = RNG.randint(0, SIZES[-1], N)
SHAPES = list(zip(SIZES, SIZES[1:]))
PARAMETERS = [
    ([RNG.randn(n_out, 1) for _, n_out in SHAPES], [RNG.randn(n, n_in) for n_in, n in SHAPES])
    for _ in range(2)
]


def bits(value):
    """Return what compares: an array's bytes, and those in tuples and lists."""
    if isinstance(value, np.ndarray):
        return value.tobytes()
    return [bits(part) for part in value] if isinstance(value, (list, tuple)) else value


def net(n_threads=1):
    made = bpcore.Net(ENGINE, SIZES, 16, n_threads, rule="momentum")
    made.load(*PARAMETERS[0])
    return made


def data():
    return bpcore.pack(ENGINE, X, SIZES[-1], labels=LABELS)


# Each returns a function to call, and one that returns the state: what must be whole.


def packing(x, **form):
    def call():
        packed = bpcore.pack(ENGINE, x, SIZES[-1], labels=LABELS, **form)
        return bits(packed.rows(0, N)), packed.sparse, packed.coded

    return call, lambda: bits(X)


def pack_dense():
    return packing(X, sparse=False)


def pack_values():
    return packing(X, sparse=True, coded=False)


def pack_codes():
    return packing(X)


class Rows(bpcore.Source):
    def read(self, begin, out):
        out[...] = X[begin : begin + len(out)]

    def check(self, begin, rows):
        assert np.isfinite(rows).all()


def pack_a_source():
    return packing(Rows(X.shape, X.dtype))


def pack_a_dense_source():
    return packing(Rows(X.shape, X.dtype), sparse=False)


def make_a_net():
    return lambda: bits(net().store()), lambda: None


def using(call, n_threads=1):
    """A call on a net, which starts as it was."""
    made, given, order = net(n_threads), data(), bpcore.Order(N)

    def restarted():
        made.restore(0, [PARAMETERS[1]])
        made.load(*PARAMETERS[0])

    def state():
        return bits(made.store()), bits(made.state())

    restarted()
    return lambda: bits(call(made, given, order)), state, restarted


def load():
    return using(lambda net, data, order: net.load(*PARAMETERS[1]))


def store():
    return using(lambda net, data, order: net.store())


def state():
    return using(lambda net, data, order: net.state())


def restore():
    return using(lambda net, data, order: net.restore(5, [PARAMETERS[0]]))


def sgd():
    return using(lambda net, data, order: net.sgd(data, order, M, 0.1, parameters=(0.5,)))


def sgd_of_two_threads():
    return using(lambda net, data, order: net.sgd(data, order, M, 0.1, parameters=(0.5,)), 2)


def evaluate():
    return using(lambda net, data, order: net.evaluate(data, np.zeros(N)))


def evaluate_in_two_threads():
    return using(lambda net, data, order: net.evaluate(data), 2)


def feedforward():
    return using(lambda net, data, order: net.feedforward(data))


def backprop():
    return using(lambda net, data, order: net.backprop(data))


def shuffle():
    """The order has all examples in any case; source and order change together or not."""
    order, source = bpcore.Order(N), random.Random(3)
    start = source.getstate()

    def state():
        assert sorted(order.tolist()) == list(range(N))
        return source.getstate()

    def restarted():
        order.assign(np.arange(N))
        source.setstate(start)

    return lambda: order.shuffle(source), state, restarted


def distorting(n_threads):
    x, out = RNG.rand(7, 28, 28), np.zeros((7, 28, 28))
    knots = 4, np.zeros(28, np.int64), np.full((28, 4), 0.25)
    given = {"seed": 1, "first": 0, "down": knots, "across": knots, "n_threads": n_threads}
    most = dict.fromkeys(("half_rotation", "scale", "shear", "shift", "displacement"), 0.1)
    return (
        lambda: ENGINE.distort(x, out, **given, **most),
        lambda: bits(out),
        lambda: out.fill(0),
    )


def distort():
    return distorting(1)


def distort_in_two_threads():
    return distorting(2)


def gemm():
    a, b = np.ones((5, 6)), np.ones((8, 6)).T
    room = np.zeros(5 * 8 + 8)
    c = room[-room.ctypes.data % 64 // 8 :][:40].reshape(5, 8)
    return lambda: ENGINE.gemm(a, b, c), lambda: bits(c), lambda: c.fill(0)


ENTRIES = {
    entry.__name__: entry
    for entry in (
        *(pack_dense, pack_values, pack_codes, pack_a_source, pack_a_dense_source, make_a_net),
        *(load, store, state, restore, sgd, sgd_of_two_threads, shuffle, gemm),
        *(distort, distort_in_two_threads),
        *(evaluate, evaluate_in_two_threads, feedforward, backprop),
    )
}


def child(entry, first, and_after, seconds):
    """Sweep from the first allocation on; say which before each, and what was wrong."""
    shim = ctypes.CDLL(None)
    shim.fail_from.argtypes, shim.fail_no_more.restype = (
        (ctypes.c_long, ctypes.c_int),
        ctypes.c_long,
    )
    call, state, *rest = ENTRIES[entry]()
    restarted = rest[0] if rest else (lambda: None)
    restarted()
    call()  # what is made at first use is there
    restarted()
    states, n, end = [state()], first, time.monotonic() + seconds
    right = call()
    states.append(state())
    fell = 0
    while time.monotonic() < end:
        print("try", n, flush=True)
        restarted()
        error = result = None
        try:
            shim.fail_from(n, and_after)
            result = call()
        except (MemoryError, SystemError):  # NumPy forgets to say which
            error = True
        except BaseException as other:
            shim.fail_no_more()
            print("wrong", n, "raised", repr(other)[:200], flush=True)
            error = True
        failed = shim.fail_no_more()
        if not error and result != right:
            print("wrong", n, "another result", flush=True)
        left = state()
        if left not in states:
            print("wrong", n, "a state that is neither that before nor that after", flush=True)
        restarted()
        if call() != right:
            print("wrong", n, "another result of the next call", flush=True)
        if not failed:
            break
        fell += 1
        n += 1
    else:
        print("stopped", n, flush=True)
    print("done", fell, flush=True)


def sweep(shim, entry, and_after, seconds):
    """Return (allocations that failed, what went wrong)."""
    environment = {**os.environ, "LD_PRELOAD": shim, "PYTHONMALLOC": "malloc"}
    first, wrong, tried, end = 1, [], 0, time.monotonic() + seconds
    while True:
        given = [entry, str(first), str(int(and_after)), str(max(end - time.monotonic(), 0.1))]
        command = [sys.executable, __file__, "--child", *given]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        lines = [line.split(" ", 2) for line in done.stdout.splitlines()]
        numbers = [int(line[1]) for line in lines if line[0] == "try"]
        tried += len(numbers)
        wrong += [f"{entry} {line[1]}: {line[2]}" for line in lines if line[0] == "wrong"]
        if done.returncode == 0:
            return tried, wrong
        last = (done.stderr.strip().splitlines() or [""])[-1]
        wrong.append(
            f"{entry} {numbers[-1] if numbers else 0}: ended by {done.returncode}: {last}"
        )
        if not numbers:
            return tried, wrong
        first = numbers[-1] + 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="of sweeps, in all")
    parser.add_argument("--seed", type=int, default=0, help="the order of entry points")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("entries", nargs="*", help="names, all by default")
    options = parser.parse_args()
    if options.child:
        entry, first, and_after, seconds = options.child
        child(entry, int(first), int(and_after), float(seconds))
        return 0
    if platform.libc_ver()[0] != "glibc" or not shutil.which("gcc"):
        print("allocation: skipped, no gcc or no glibc")
        return 0
    chosen = options.entries or list(ENTRIES)
    random.Random(options.seed).shuffle(chosen)
    tried, wrong = 0, []
    with tempfile.TemporaryDirectory() as folder:
        shim = os.path.join(folder, "allocation.so")
        source = os.path.join(HERE, "allocation.c")
        subprocess.run(
            ["gcc", "-O1", "-shared", "-fPIC", source, "-o", shim, "-ldl"], check=True
        )
        for entry in chosen:
            for and_after in (False, True):
                n, found = sweep(shim, entry, and_after, options.seconds / len(chosen) / 2)
                tried, wrong = tried + n, wrong + found
    for line in wrong:
        print(line)
    print(f"allocation: {tried} failures at {len(chosen)} entry points, {len(wrong)} wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
