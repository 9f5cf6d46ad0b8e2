"""How near to what the CPU can do is each piece of bpnet's work, on one thread?

The limits are measured first: fused multiply-adds on registers, and reading and updating L1, L2
and memory.  Then bpcore's products at the tutorial's shapes (their rates are of the time less
that of an empty call from Python, and left out where little remains), its sigmoid, and epochs
of 784-30-10 in mini-batches of 10: on data without zeros, which is dense, and on as many zeros
as MNIST has, which is CSR.  An epoch's arithmetic is that of the dense products in both cases,
so that skipped zeros count as done: a share of the peak above 100 % is possible, and no error.
"""

import ctypes
import statistics
import time

import native
import numpy as np
from harness import alternate, options, report

import bpcore

SIZES, MINI_BATCH_SIZE, EXAMPLES = [784, 30, 10], 10, 10000
MNIST_DENSITY = 0.19
EMPTY = "call of gemm, no work"
LEVELS = {"L1": 16 << 10, "L2": 256 << 10, "memory": 512 << 20}  # bytes read or updated


def main():
    parser = options(__doc__)
    arguments = parser.parse_args()
    rows, rates = [], {}
    for dtype in ("float32", "float64"):
        library = native.compiled("roofline.c", dtype)
        if library is None:
            return
        if dtype == "float64":
            rates = {
                f"{level} {what}, GB/s": bandwidth(library, size, what)
                for what in ("reads", "updates")
                for level, size in LEVELS.items()
            }
        rows += pieces(dtype, arguments.turns)
    report(
        f"Pieces of work on one thread and their share of the FMA peak; epochs of "
        f"{EXAMPLES} examples, their arithmetic counted as dense",
        rows,
        arguments.save,
        **rates,
        threads=1,
        turns=arguments.turns,
    )


def flops(sizes):
    """Return the arithmetic of training on one example: the products, nothing skipped.

    2 n_in n_out forward, as much for the gradient, and as much for BP2 above the first layer.
    """
    layers = list(zip(sizes, sizes[1:]))
    return sum(2 * n_in * n_out * (3 if l else 2) for l, (n_in, n_out) in enumerate(layers))


def fma_peak(dtype, seconds=0.2):
    """Return the most flop/s of one thread, the best of some runs; None without a compiler."""
    library = native.compiled("roofline.c", dtype)
    if library is None:
        return None
    library.multiply_add.restype = ctypes.c_double
    out, best, rounds = np.empty(64, dtype), 0.0, ctypes.c_int64(100_000)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        done = library.multiply_add(rounds, native.pointer(out))
        best = max(best, done / (time.perf_counter() - start))
    return best


def bandwidth(library, size, what):
    """Return the GB/s of reading or updating size bytes, again and again, at best."""
    memory, out, best = aligned((size // 8,), "float64"), np.empty(64), 0.0
    memory[:] = 1
    times = max(1, (32 << 20) // size)
    counts = ctypes.c_int64(times), ctypes.c_int64(size)
    for _ in range(7):
        start = time.perf_counter()
        if what == "reads":
            library.read_memory(*counts, native.pointer(memory), native.pointer(out))
        else:
            library.update_memory(*counts, native.pointer(memory), ctypes.c_double(0.5))
        best = max(best, times * size / (time.perf_counter() - start) / 1e9)
    return best


def aligned(shape, dtype):
    """Return an array of zeros that starts on a boundary of 64 bytes."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape))
    memory = np.zeros(count * dtype.itemsize + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + count * dtype.itemsize].view(dtype).reshape(shape)


def pieces(dtype, turns):
    """Return the table's rows of one dtype."""
    engine = bpcore.engine(np.dtype(dtype))
    rng = np.random.default_rng(1)
    work = {}  # name: (function, times that it does the work, flop or None, items)

    def product(name, a, n, columns):
        """One gemm; columns of its n are neurons, and the others padding."""
        k = a.shape[1]
        b, c = aligned((k, n), dtype), aligned((len(a), n), dtype)
        b[:] = rng.random(b.shape)
        b /= k  # c stays small, turn after turn
        calls = range(2000)

        def run():
            for _ in calls:
                engine.gemm(a, b, c)

        work[name] = run, len(calls), 2 * len(a) * columns * k, None

    def padded(n):
        return -n // (64 // engine.dtype.itemsize) * -(64 // engine.dtype.itemsize)

    m = MINI_BATCH_SIZE
    product(EMPTY, np.zeros((1, 1), dtype), engine.lanes, 1)
    x, hidden = rng.random((m, 784)).astype(dtype), rng.random((m, 30)).astype(dtype)
    product("gemm forward, 10x784 784x30", x, padded(30), 30)
    product("gemm gradient, 784x10 10x30", x.T, padded(30), 30)
    product("gemm forward, 10x30 30x10", hidden, padded(10), 10)
    product("gemm gradient, 30x10 10x10", hidden.T, padded(10), 10)

    z = aligned((1 << 12,), dtype)

    def sigmoids():
        for _ in range(500):
            z[:] = 1
            engine.activate("sigmoid", z)

    work["sigmoid of 4096 items"] = sigmoids, 500, None, len(z)
    for name, density in (("dense", 1.0), ("CSR", MNIST_DENSITY)):
        inputs = rng.random((EXAMPLES, SIZES[0]))
        inputs *= rng.random(inputs.shape) < density
        inputs, y = inputs.astype(dtype), np.eye(10, dtype=dtype)[np.arange(EXAMPLES) % 10]
        data = bpcore.pack(engine, inputs, 10, y=y, sparse=name == "CSR")
        net = bpcore.Net(engine, SIZES, m)
        net.load(
            [rng.standard_normal((n, 1)).astype(dtype) for n in SIZES[1:]],
            [
                (rng.standard_normal((n, k)) / 28).astype(dtype)
                for k, n in zip(SIZES, SIZES[1:])
            ],
        )
        order = bpcore.Order(EXAMPLES)

        def epoch(net=net, data=data, order=order):
            net.sgd(data, order, m, 0.1)

        work[f"epoch, {name}"] = epoch, 1, EXAMPLES * flops(SIZES), None

    peak = fma_peak(dtype)
    seconds = alternate({name: run for name, (run, *_) in work.items()}, turns)
    rows = [
        {
            "piece": "FMA peak",
            "dtype": dtype,
            "microseconds": None,
            "least": None,
            "most": None,
            "GFLOP/s": peak / 1e9,
            "of the peak, %": 100.0,
            "items/s, 1e9": None,
        }
    ]
    for name, (_, times, flop, items) in work.items():
        each = [s / times for s in seconds[name]]
        median = statistics.median(each)
        call = statistics.median(seconds[EMPTY]) / times if name.startswith("gemm") else 0
        measurable = flop and name != EMPTY and median > 1.5 * call
        rate = flop / (median - call) if measurable else None
        rows.append(
            {
                "piece": name,
                "dtype": dtype,
                "microseconds": median * 1e6,
                "least": min(each) * 1e6,
                "most": max(each) * 1e6,
                "GFLOP/s": rate and rate / 1e9,
                "of the peak, %": rate and 100 * rate / peak,
                "items/s, 1e9": items and items / median / 1e9,
            }
        )
    return rows


if __name__ == "__main__":
    main()
