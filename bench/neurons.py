"""How many neurons, and how many layers, does the digit recognizer need?

The settings of ``bpnet train --preset best``, with other hidden layers.  The seconds are those
of the call of SGD, a look at the validation digits after each epoch included, on the threads
that the preset names.
"""

import argparse
import statistics
import time

from harness import report

import bpnet
from bpnet import cli, mnist_loader

HIDDEN = [[], [5], [10], [30], [100], [200], [400], [800], [30, 30], [100, 100], [30, 30, 30]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="from 1 on (default: 3)")
    parser.add_argument("--save", metavar="FILE", help="write the JSON line there, too")
    parser.add_argument("--data", help="where MNIST is (default: as the loader finds it)")
    arguments = parser.parse_args()
    best = cli.train.PRESETS["best"]
    training, validation, test = (
        bpnet.Dataset(part, dtype=best["dtype"])
        for part in mnist_loader.load_data(arguments.data)
    )
    rows = []
    for hidden in HIDDEN:
        found = []
        for seed in range(1, arguments.seeds + 1):
            settings = {**best, "sizes": [784, *hidden, 10], "seed": seed}
            net = cli.train.new_network(settings)
            start = time.perf_counter()
            cli.train.sgd(net, settings, training, validation, verbose=False)
            found.append((net, time.perf_counter() - start))
        sizes = settings["sizes"]
        rows.append(
            {
                "sizes": "-".join(map(str, sizes)),
                "parameters": sum((m + 1) * n for m, n in zip(sizes, sizes[1:])),
                "training accuracy, %": percent(found, training),
                "validation accuracy, %": percent(found, validation),
                "test accuracy, %": percent(found, test),
                "seconds": statistics.median(seconds for _, seconds in found),
            }
        )
    report(
        f"{best['epochs']} epochs, medians of seeds 1-{arguments.seeds}",
        rows,
        arguments.save,
        settings=best,
    )


def percent(found, data):
    return statistics.median(100 * net.accuracy(data) / len(data) for net, _ in found)


if __name__ == "__main__":
    main()
