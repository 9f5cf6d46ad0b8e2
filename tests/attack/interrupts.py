"""How long Ctrl-C waits, and what it leaves: each entry point, interrupted at random times.

    python tests/attack/interrupts.py [--times 10] [CASE ...]

A child process does one thing again and again; it is sent SIGINT, and says when it was in
KeyboardInterrupt and whether what it left is valid.  A row a case: the seconds that one call
takes, and the median and the longest wait in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import bpcore
import bpnet

WIDE = [784, 2048, 2048, 10]
Case = tuple[Callable[[], object], Callable[[], bool]]  # what to do, and whether all is valid


def always() -> bool:
    """Say that there is nothing that could be left."""
    return True


def rows(n: int, n_in: int, density: float = 1.0, dtype: str = "float64") -> Any:
    """Return n rows of numbers."""
    x = np.random.default_rng(0).random((n, n_in), np.float32)
    x[x > density] = 0
    return x.astype(dtype)


def unchanged(net: Any) -> Callable[[], bool]:
    """Return whether net has the parameters that it has now."""
    before = [array.copy() for array in (*net.biases, *net.weights)]
    return lambda: all(map(np.array_equal, before, (*net.biases, *net.weights)))


def shaped(net: Any) -> Callable[[], bool]:
    """Return whether net's parameters are finite and fit its sizes."""
    return lambda: all(
        np.isfinite(w).all() and w.shape == (n_out, n_in)
        for w, n_in, n_out in zip(net.weights, net.sizes, net.sizes[1:])
    )


def wide(dtype: str = "float32") -> Any:
    """Return a network of 24 or 48 MB."""
    return bpnet.MLP(WIDE, hidden="relu", output="log-likelihood", dtype=dtype, seed=0)


def training() -> Case:
    net, x, y = wide(), rows(8192, 784, dtype="float32"), np.arange(8192) % 10
    return lambda: net.train((x, y), 1, 4096, 0.01), shaped(net)


def two_threads() -> Case:
    net, x, y = wide(), rows(8192, 784, dtype="float32"), np.arange(8192) % 10
    return lambda: net.train((x, y), 1, 10, 0.01, n_threads=2), shaped(net)


def predicting() -> Case:
    net, x = wide(), rows(30_000, 784, dtype="float32")
    return lambda: net.predict(x), unchanged(net)


def counting() -> Case:
    net, x, y = wide(), rows(30_000, 784, dtype="float32"), np.arange(30_000) % 10
    return lambda: net.count((x, y)), unchanged(net)


def differentiating() -> Case:
    net, x, y = wide(), rows(8192, 784, dtype="float32"), np.arange(8192) % 10
    return lambda: net.gradient((x, y)), unchanged(net)


def feeding_forward() -> Case:
    net, x = bpnet.Network(WIDE, seed=0), rows(10_000, 784).T
    return lambda: net.feedforward(x), unchanged(net)


def packing_dense() -> Case:
    x, y = rows(400_000, 784, dtype="float32"), np.zeros(400_000, np.int64)
    return lambda: bpnet.Dataset((x, y)), always


def packing_sparse() -> Case:
    x, y = rows(400_000, 784, 0.1, "float32"), np.zeros(400_000, np.int64)
    return lambda: bpnet.Dataset((x, y), dtype=np.float32), always


def packing_tuples() -> Case:
    x = rows(20_000, 784)
    pairs = [(row[:, None], k % 10) for row in x for k in range(10)]
    return lambda: bpnet.Dataset(pairs), always


def unpacking() -> Case:
    """Use a Dataset from a pickle, whose form is checked."""
    x, y = rows(300_000, 784, 0.25, "float32"), np.zeros(300_000, np.int64)
    make, arguments = bpnet.Dataset((x, y), dtype=np.float32).__reduce__()
    del x
    return lambda: make(*arguments), always


def checking() -> Case:
    """Look for what is not finite, in data that is used as it is."""
    x = rows(400_000, 784, dtype="float32")
    net = bpnet.MLP([784, 1], dtype="float32", seed=0)
    return lambda: net.cost((x, np.zeros(400_000))), unchanged(net)


def shuffling() -> Case:
    order = bpcore.Order(20_000_000)
    source = random.Random(0)
    return lambda: order.shuffle(source), lambda: order.n == 20_000_000


def large() -> Any:
    """Return a network of 530 MB."""
    net = bpnet.MLP([8, 8, 8], seed=0)
    sizes = [8192, 8000, 50]
    net.sizes, net.biases = sizes, [np.zeros((n, 1)) for n in sizes[1:]]
    net.weights = [np.zeros(shape) for shape in zip(sizes[1:], sizes)]
    return net


def loading_the_core() -> Case:
    net, x = large(), np.zeros((1, 8192))
    return lambda: net.predict(x), unchanged(net)


def drawing() -> Case:
    return lambda: bpnet.MLP([8192, 8000, 50]), always


def saving() -> Case:
    net, path = large(), os.path.join(tempfile.mkdtemp(), "net.npz")
    net.save(path)
    return lambda: net.save(path), lambda: bpnet.load(path).sizes == net.sizes


def loading() -> Case:
    net, path = large(), os.path.join(tempfile.mkdtemp(), "net.npz")
    net.save(path)
    return lambda: bpnet.load(path), lambda: os.path.exists(path)


def json_file() -> tuple[Any, str]:
    """Return a network of the book's and a file of 100 MB."""
    net = bpnet.network2.Network([784, 5000, 10], seed=0)
    path = os.path.join(tempfile.mkdtemp(), "net.json")
    net.save(path)
    return net, path


def saving_json() -> Case:
    net, path = json_file()
    return lambda: net.save(path), lambda: bpnet.load(path).sizes == net.sizes


def loading_json() -> Case:
    net, path = json_file()
    return lambda: bpnet.load(path), unchanged(net)


CASES = {
    name: make
    for name, make in globals().items()
    if getattr(make, "__annotations__", {}).get("return") == "Case"
}


def child(name: str) -> None:
    """Do it until interrupted; say how long a call takes, when it ended, and what it left."""
    do, valid = CASES[name]()
    start = time.monotonic()
    do()
    print(time.monotonic() - start, flush=True)
    for _ in sys.stdin:
        try:
            print("ready", flush=True)
            while True:
                do()
        except KeyboardInterrupt:
            ended = time.monotonic()
        print(json.dumps([ended, bool(valid())]), flush=True)


def measure(name: str, times: int, rng: random.Random) -> tuple[float, list[float], int]:
    """Return a call's seconds, the milliseconds of each wait, how often all was valid."""
    command = [sys.executable, __file__, "--child", name]
    process = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    seconds = float(process.stdout.readline())
    waits, valid = [], 0
    for _ in range(times):
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.0, 1.5 * seconds) + 0.01)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        ended, right = json.loads(process.stdout.readline())
        waits.append(1e3 * (ended - sent))
        valid += right
    process.stdin.close()
    process.wait()
    return seconds, waits, valid


def main() -> None:
    """Print the table; fail if something was not valid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return child(arguments.child)
    rng, bad = random.Random(arguments.seed), 0
    print(f"{'case':<18}{'call, s':>9}{'median, ms':>12}{'most, ms':>10}{'valid':>8}")
    for name in arguments.cases:
        seconds, waits, valid = measure(name, arguments.times, rng)
        bad += len(waits) - valid
        middle, most = statistics.median(waits), max(waits)
        print(
            f"{name:<18}{seconds:9.2f}{middle:12.1f}{most:10.1f}{valid:5}/{len(waits)}",
            flush=True,
        )
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
