"""How does bpnet compare with a C loop over OpenBLAS from small networks to large ones?

On the first examples of MNIST, or with --random on inputs without a zero, so that bpnet has
nothing to skip, and random labels.  An epoch is training only.  Weights start divided by
sqrt(n_in), so that no neuron is saturated.  The arithmetic of an epoch is that of its
products, zeros counted: 2 n_in n_out an example forward, as much for the gradient, and as much
for BP2 above the first layer.  The share of the peak is of the fused multiply-adds of as many
threads, measured in the same run.  For the large networks there is also np.dot at the shapes
of a mini-batch, as often as an epoch has mini-batches: the time of its products alone.  In
place of an accuracy there is the mean cost on the data trained on, after the same number of
epochs.
"""

import statistics

import contestants
import native
import numpy as np
from harness import alternate, one_thread, options, report, summary
from roofline import flops, fma_peak

from bpnet import mnist_loader

LADDER = [  # sizes, mini-batch, examples, threads
    ([784, 30, 10], 1, 10000, (1,)),
    ([784, 30, 10], 10, 20000, (1,)),
    ([784, 100, 10], 10, 10000, (1,)),
    ([784, 30, 10], 100, 20000, (1,)),
    ([784, 512, 512, 10], 128, 25600, (1, 2)),
    ([784, 2048, 2048, 10], 256, 5120, (1, 2)),
]
EPOCHS = 3  # in each turn, the first of them not counted


def main():
    parser = options(__doc__)
    parser.add_argument("--dtype", default="float32", help="float32 (default) or float64")
    parser.add_argument(
        "--rungs", type=int, nargs="*", default=range(len(LADDER)), help="some, 0 to 5"
    )
    parser.add_argument("--random", action="store_true", help="inputs without a zero")
    arguments = parser.parse_args()
    if arguments.random:
        rng = np.random.default_rng(1)
        most = max(n for _, _, n, _ in LADDER)
        x, labels = rng.random((most, 784), np.float32), rng.integers(10, size=most)
    else:
        (x, labels), _, _ = mnist_loader.load_data(arguments.data)
    x, y = x.astype(arguments.dtype), np.eye(10, dtype=arguments.dtype)[labels]
    one_thread(bind=False)
    peak = fma_peak(arguments.dtype)
    rows = []
    for rung in arguments.rungs:
        sizes, mini_batch_size, n, threads = LADDER[rung]
        job = contestants.Job(sizes, mini_batch_size, 0.1, x[:n], y[:n], scaled=True)
        rows += shape(job, threads, arguments.turns, peak)
    report(
        f"One epoch of training on {'dense random data' if arguments.random else 'MNIST'} in "
        f"{arguments.dtype}; mean cost after {EPOCHS * (arguments.turns + 1)} epochs",
        rows,
        arguments.save,
        dtype=arguments.dtype,
        turns=arguments.turns,
        **{"FMA peak of a thread, GFLOP/s": peak and peak / 1e9},
    )


def shape(job, threads, turns, peak):
    """Return the table's rows of one shape."""
    sizes, n = job.sizes, len(job.x)
    openblas = native.openblas()
    found = {}
    for count in threads:
        found["bpnet", count] = contestants.bpnet_turns(job, EPOCHS, count)
        if (loop := contestants.openblas_loop(job)) is not None:
            found["C loop over OpenBLAS", count] = contestants.turns(job, EPOCHS, loop)
        if count == 1 or openblas is not None:
            found["NumPy, whole mini-batches", count] = contestants.turns(
                job, EPOCHS, contestants.numpy_batches(job)
            )
            if len(threads) > 1:
                found["its products alone", count] = products(job), None

    def turn(run, count):
        if openblas is not None:
            openblas.scipy_openblas_set_num_threads64_(count)
        return run()

    seconds = alternate(
        {
            name: lambda run=run, count=name[1]: turn(run, count)
            for name, (run, _) in found.items()
        },
        turns,
    )
    if openblas is not None:
        openblas.scipy_openblas_set_num_threads64_(1)
    counted = {name: [statistics.mean(s[1:]) for s in seconds[name]] for name in found}
    rows = []
    for (system, count), (_, feedforward) in found.items():
        median = statistics.median(counted[system, count])
        rate = n * flops(sizes) / median
        base = counted.get(("C loop over OpenBLAS", count))
        rows.append(
            {
                "sizes": "-".join(map(str, sizes)),
                "mini-batch": job.mini_batch_size,
                "examples": n,
                "threads": count,
                "system": system,
                **summary(counted[system, count]),
                "times the C loop": base and median / statistics.median(base),
                "GFLOP/s": rate / 1e9,
                "of the peak, %": peak and 100 * rate / peak / count,
                "mean cost": feedforward
                and float(((feedforward(job.x) - job.y) ** 2).sum(dtype=np.float64) / 2 / n),
            }
        )
    return rows


def products(job):
    """Return a function that does the products of some epochs, and nothing else."""
    m, sizes = job.mini_batch_size, job.sizes
    a = [np.full((m, n), 0.5, job.dtype) for n in sizes]
    out = [np.empty((m, n), job.dtype) for n in sizes]
    weights, _ = job.start()
    nabla_w = [np.empty_like(w) for w in weights]

    def epoch():
        for _ in range(len(job.x) // m):
            for l, w in enumerate(weights):
                np.dot(a[l], w.T, out=out[l + 1])
                np.dot(a[l + 1].T, a[l], out=nabla_w[l])
                if l:
                    np.dot(a[l + 1], w, out=out[l])

    return contestants.timed(epoch, EPOCHS)


if __name__ == "__main__":
    main()
