"""How much faster do two Python threads train eight networks than one thread does?

784-30-10, mini-batch 10, eta 3.0, seeds 1 to 8, each network with one core thread; all share
one ``bpnet.Dataset``, which is packed once.  The memory is that of the process with the list of
tuples, with the Dataset beside it, and at its peak.
"""

import statistics
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from harness import alternate, memory, options, peak_memory, printed, report, summary

import bpnet

SEEDS = range(1, 9)
WORKERS = (1, 2)


def main():
    parser = options(__doc__, turns=5)
    parser.add_argument("--dtype", default="float32", help="float32 (default) or float64")
    parser.add_argument("--epochs", type=int, default=5, help="of each network (default: 5)")
    arguments = parser.parse_args()
    training_data, _, test_data = bpnet.mnist_loader.load_data_wrapper(arguments.data)
    before = memory()
    dataset = bpnet.Dataset(training_data, dtype=arguments.dtype)
    after = memory()
    networks = {}

    def train(seed):
        net = bpnet.Network([784, 30, 10], seed=seed, dtype=arguments.dtype)
        net.SGD(dataset, arguments.epochs, 10, 3.0)
        return net

    def turn(workers):
        with ThreadPoolExecutor(workers) as pool:
            printed(lambda: networks.update({workers: list(pool.map(train, SEEDS))}))

    seconds = alternate(
        {workers: lambda workers=workers: turn(workers) for workers in WORKERS}, arguments.turns
    )
    peak = peak_memory()
    one = statistics.median(seconds[1])
    rows = []
    for workers in WORKERS:
        right = [100 * net.evaluate(test_data) / len(test_data) for net in networks[workers]]
        same = all(
            np.array_equal(w, v)
            for net, other in zip(networks[workers], networks[1])
            for w, v in zip(net.weights + net.biases, other.weights + other.biases)
        )
        rows.append(
            {
                "Python threads": workers,
                "dtype": arguments.dtype,
                **summary(seconds[workers], "8 networks, s"),
                "times faster": one / statistics.median(seconds[workers]),
                "accuracy, %": statistics.median(right),
                "least right": min(right),
                "most right": max(right),
                "same bits": "yes" if same else "NO",
            }
        )
    report(
        f"{len(SEEDS)} networks of 784-30-10, {arguments.epochs} epochs each on one Dataset of "
        f"{len(training_data)} examples, in one Python thread and in two",
        rows,
        arguments.save,
        turns=arguments.turns,
        epochs=arguments.epochs,
        memory_of_list_mb=before,
        memory_with_dataset_mb=after,
        peak_mb=peak,
    )


if __name__ == "__main__":
    main()
