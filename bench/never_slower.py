"""Is any call on a small network or a small job slower than the book's own text?

Every method that a script calls by hand, SGD around steps that a script replaced, calls of one
epoch, and an epoch within a call, beside ``original.py`` in float64: a line each, the worst
last.  Examples are random; a mini-batch has 10 of them, XOR's one.  The seconds are the least
of some turns, and their ratio: other work on a machine only adds.
"""

import contextlib
import io
import random
import statistics
import time

import numpy as np
import original
from harness import alternate, one_thread, options, report

from bpnet import network, reference

NETWORKS = [[2, 3, 1], [4, 10, 3], [784, 30, 10], [784, 100, 10], [784, 512, 512, 10]]
SECONDS = 4e-3  # a turn of the original takes, at least


def main():
    arguments = options(__doc__, turns=15).parse_args()
    one_thread()
    rows = []
    for sizes in NETWORKS:
        for name, call in CALLS.items():
            rows += compared(name, sizes, call, examples(sizes), arguments.turns)
    for name, sizes, data, m in (
        ("XOR", [2, 3, 1], xor(), 1),
        ("iris", [4, 10, 3], iris(), 10),
    ):
        rows += compared(f"{name}: SGD, an epoch", sizes, one_epoch(m), data, arguments.turns)
        rows += compared(f"{name}: of many", sizes, many_epochs(m), data, arguments.turns)
    rows += replaced_sigmoid(arguments.turns)
    rows.sort(key=lambda row: row["ours / original"])
    report(
        "Calls on small networks and small jobs beside the book's own text in float64",
        rows,
        arguments.save,
        turns=arguments.turns,
    )


def examples(sizes, n=50):
    """Return n examples (x, y); a fifth of images is not zero."""
    draw = np.random.RandomState(1)
    xs = draw.rand(n, sizes[0], 1) * (draw.rand(n, sizes[0], 1) < (0.2 if sizes[0] > 99 else 1))
    ys = np.eye(max(2, sizes[-1]))[draw.randint(max(2, sizes[-1]), size=n), : sizes[-1], None]
    return list(zip(xs, ys))


def xor():
    """Return the four examples."""
    corners = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]
    return [(np.array([[a], [b]]), np.array([[abs(a - b)]])) for a, b in corners]


def iris():
    """Return 150 examples of the size of iris."""
    return examples([4, 10, 3], 150)


def by_hand(step):
    """Return what calls SGD of a subclass that has this step anew, and calls the old one."""

    def call(net, data):
        cls = type(net)
        text = getattr(cls, step)
        net.__class__ = type("Own", (cls,), {step: lambda *given: text(*given)})
        return lambda: net.SGD(data, 1, 10, 0.1)

    return call


def one_epoch(m):
    return lambda net, data: lambda: net.SGD(data, 1, m, 0.1)


def many_epochs(m):
    return lambda net, data: lambda: net.SGD(data, 100, m, 0.1)


def replaced_sigmoid(turns):
    """Return the row of a script that assigns to ``network.sigmoid``."""
    before = network.sigmoid
    network.sigmoid = original.sigmoid
    try:
        sizes = [784, 30, 10]
        return compared("SGD, own sigmoid", sizes, one_epoch(10), examples(sizes), turns)
    finally:
        network.sigmoid = before


CALLS = {
    "feedforward": lambda net, data: lambda: net.feedforward(data[0][0]),
    "backprop": lambda net, data: lambda: net.backprop(*data[0]),
    "update_mini_batch of 1": lambda net, data: lambda: net.update_mini_batch(data[:1], 0.1),
    "update_mini_batch of 10": lambda net, data: lambda: net.update_mini_batch(data[:10], 0.1),
    "evaluate of 10": lambda net, data: lambda: net.evaluate([(x, 0) for x, _ in data[:10]]),
    "SGD": lambda net, data: lambda: net.SGD(data, 1, 10, 0.1),
    "SGD, own cost_derivative": by_hand("cost_derivative"),
    "SGD, own backprop": by_hand("backprop"),
    "SGD, own update_mini_batch": by_hand("update_mini_batch"),
}


def compared(name, sizes, call, data, turns):
    """Return a row for each dtype of ours: the least and the median seconds of a call."""
    np.random.seed(1)
    random.seed(1)
    contestants = {"original": call(original.Network(sizes), list(data))}
    for dtype in ("float64", "float32"):
        contestants[dtype] = call(network.Network(sizes, dtype=dtype, seed=1), list(data))
    contestants["reference"] = call(reference.Network(sizes), list(data))
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        contestants["original"]()
        times = max(1, int(SECONDS / (time.perf_counter() - start)))
        seconds = alternate({k: repeated(run, times) for k, run in contestants.items()}, turns)
    base = [s / times for s in seconds["original"]]
    return [
        {
            "call": name,
            "sizes": "-".join(map(str, sizes)),
            "system": who,
            "original, us": 1e6 * min(base),
            "ours, us": 1e6 * min(runs) / times,
            "ours / original": min(runs) / times / min(base),
            "of medians": statistics.median(runs) / times / statistics.median(base),
        }
        for who, runs in seconds.items()
        if who != "original"
    ]


def repeated(run, times):
    def turn():
        for _ in range(times):
            run()

    return turn


if __name__ == "__main__":
    main()
