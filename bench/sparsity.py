"""Below which share of nonzero inputs is the CSR form of the data the faster one?

One epoch on random data, dense and CSR in turn, at several densities: the tutorial's network
and a wide one.  ``CSR_MAX_DENSITY`` in bpcore is read off this table.
"""

import statistics

import numpy as np
from harness import alternate, report

import bpcore

SHAPES = [([784, 30, 10], 10, 5000), ([784, 100, 10], 10, 5000), ([784, 512, 10], 100, 1000)]
DENSITIES = [0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0]


def main():
    rng = np.random.RandomState(0)
    rows = []
    for sizes, mini_batch_size, n in SHAPES:
        for dtype in (np.float32, np.float64):
            engine = bpcore.engine(np.dtype(dtype))
            y = np.eye(sizes[-1], dtype=dtype)[rng.randint(sizes[-1], size=n)]
            row = {"sizes": "-".join(map(str, sizes)), "mini-batch": mini_batch_size}
            row["dtype"] = np.dtype(dtype).name
            for density in DENSITIES:
                x = rng.rand(n, sizes[0]) * (rng.rand(n, sizes[0]) < density)
                x = x.astype(dtype)
                seconds = alternate(
                    {
                        sparse: epoch(engine, sizes, x, y, mini_batch_size, sparse)
                        for sparse in (False, True)
                    },
                    5,
                )
                dense, csr = (statistics.median(seconds[sparse]) for sparse in (False, True))
                row[f"{density:.0%}"] = dense / csr
            rows.append(row)
    report("Time of the dense form over that of CSR, by share of nonzero inputs", rows)


def epoch(engine, sizes, x, y, mini_batch_size, sparse):
    data = bpcore.pack(engine, x, sizes[-1], y=y, sparse=sparse)
    rng = np.random.RandomState(1)
    net = bpcore.Net(engine, sizes, mini_batch_size)
    net.load(
        [rng.randn(n, 1).astype(engine.dtype) for n in sizes[1:]],
        [rng.randn(n, k).astype(engine.dtype) for k, n in zip(sizes, sizes[1:])],
    )
    order = bpcore.Order(len(data))
    return lambda: net.sgd(data, order, mini_batch_size, 0.1)


if __name__ == "__main__":
    main()
