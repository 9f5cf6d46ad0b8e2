"""How many neurons, and how many layers, does the digit recognizer need?

The settings of ``bpnet train --preset best``, with other hidden layers.  The seconds are those
of training alone, on the threads that the preset names.
"""

import argparse
import statistics

from harness import report

import bpnet
from bpnet import mnist_loader, network2
from bpnet.cli_train import PRESETS

HIDDEN = [[], [5], [10], [30], [100], [200], [400], [800], [30, 30], [100, 100], [30, 30, 30]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="from 1 on (default: 3)")
    parser.add_argument("--save", metavar="FILE", help="write the JSON line there, too")
    parser.add_argument("--data", help="where MNIST is (default: as the loader finds it)")
    arguments = parser.parse_args()
    best = PRESETS["best"]
    training, validation, test = (
        bpnet.Dataset(part, dtype=best["dtype"])
        for part in mnist_loader.load_data(arguments.data)
    )
    rows = []
    for hidden in HIDDEN:
        sizes, found = [784, *hidden, 10], []
        for seed in range(1, arguments.seeds + 1):
            net = network2.Network(sizes, dtype=best["dtype"], seed=seed)
            train(net, training, best)
            found.append((net, sum(record["seconds"] for record in net.history)))
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


def train(net, training, settings):
    eta, epochs = settings["eta"], settings["epochs"]
    net.SGD(
        training,
        epochs,
        settings["mini_batch_size"],
        lambda epoch: eta * (1 - epoch / epochs),
        settings["lmbda"],
        mu=settings["mu"],
        verbose=False,
        n_threads=settings["threads"],
    )


def percent(found, data):
    return statistics.median(100 * net.accuracy(data) / len(data) for net, _ in found)


if __name__ == "__main__":
    main()
