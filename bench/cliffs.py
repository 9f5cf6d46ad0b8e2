"""Where does a multiply-add cost more than in a neighbouring shape?

Dense random data, one thread: for each network and mini-batch the least time of some turns per
multiply-add of its products, beside a C loop over OpenBLAS.  Below, what it takes to load and
to store a layer's weights, per item.
"""

import time

import contestants
import numpy as np
from harness import alternate, one_thread, options, report
from roofline import flops

import bpcore

SHAPES = {  # sizes: mini-batches
    (784, 10, 10): (1, 10, 100),
    (784, 30, 10): (1, 2, 4, 10, 32, 64, 100, 300, 1000),
    (784, 100, 10): (1, 10, 100),
    (100, 30, 10): (1, 10, 100),
    (8, 100, 1): (10, 200),
    (30, 100, 2): (10, 200),
    (784, 448, 448, 10): (1, 10, 100),
    (784, 512, 512, 10): (1, 2, 4, 10, 32, 100),
    (784, 576, 576, 10): (1, 10, 100),
    (784, 1024, 10): (1, 10, 100),
    (784, 2048, 10): (1, 10, 100),
    (784, 4096, 10): (1, 10, 100),
    (784, *[256] * 7, 10): (1, 10, 100),
}
LAYERS = [(n_in, n_out) for n_in in (448, 512, 576) for n_out in (448, 512, 576)]
MULTIPLY_ADDS = 1e7  # of a turn, about: long turns meet other work


def main():
    arguments = options(__doc__, turns=40).parse_args()
    one_thread()
    rows = []
    for sizes, mini_batch_sizes in SHAPES.items():
        for m in mini_batch_sizes:
            for dtype in ("float64", "float32"):
                rows.append(training(sizes, m, dtype, arguments.turns))
    for n_in, n_out in LAYERS:
        for dtype in ("float64", "float32"):
            rows.append(moving(n_in, n_out, dtype, arguments.turns))
    report(
        "ns of a multiply-add in training on dense data, and of an item loaded and stored",
        rows,
        arguments.save,
        threads=1,
        turns=arguments.turns,
    )


def training(sizes, m, dtype, turns):
    """Return the table's row of a network and a mini-batch."""
    work = flops(sizes) / 2
    n = max(1, round(MULTIPLY_ADDS / work / m)) * m
    rng = np.random.default_rng(1)
    x = rng.random((n, sizes[0])).astype(dtype)
    y = np.eye(sizes[-1], dtype=dtype)[rng.integers(sizes[-1], size=n)]
    job = contestants.Job(list(sizes), m, 0.01, x, y, scaled=True)
    engine, order = bpcore.engine(dtype), bpcore.Order(n)
    data, net = bpcore.Data(engine, x, sizes[-1], y=y), bpcore.Net(engine, list(sizes), m)
    weights, biases = job.start()
    net.load([b.reshape(-1, 1) for b in biases], weights)
    contestant = {"bpnet": lambda: net.sgd(data, order, m, 0.01)}
    if (loop := contestants.openblas_loop(job)) is not None:
        contestant["loop"] = lambda: loop[0](np.arange(n))
    least = {name: min(s) / n / work * 1e9 for name, s in alternate(contestant, turns).items()}
    name = "-".join(map(str, sizes))
    return row(name, m, dtype, least["bpnet"], least.get("loop"))


def moving(n_in, n_out, dtype, turns):
    """Return the table's row of a layer that is loaded and stored."""
    net = bpcore.Net(bpcore.engine(dtype), [n_in, n_out], 1)
    w, b = np.ones((n_out, n_in), dtype), np.ones((n_out, 1), dtype)
    least = np.inf
    for _ in range(turns + 1):
        start = time.perf_counter()
        net.load([b], [w])
        net.store()
        least = min(least, time.perf_counter() - start)
    return row(f"{n_in}-{n_out}: load, store", None, dtype, least / w.size * 1e9, None)


def row(what, m, dtype, ours, loop):
    return {
        "what": what,
        "mini-batch": m,
        "dtype": dtype,
        "bpnet, ns": ours,
        "C loop over OpenBLAS, ns": loop,
        "times the C loop": loop and ours / loop,
    }


if __name__ == "__main__":
    main()
