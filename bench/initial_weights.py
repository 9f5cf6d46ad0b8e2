"""How much does a network's result depend on its initial weights?

The tutorial's job, 784-30-10, mini-batch 10, eta 3.0, 30 epochs, quadratic cost, float64: from
the tutorial's initial weights, N(0, 1), and from network2's, N(0, 1 / inputs), with the same
seeds.  Accuracies are on the test digits.
"""

import argparse
import statistics

from harness import report

import bpnet
from bpnet import mnist_loader, network2

EPOCHS = 30


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=30, help="from 1 on (default: 30)")
    parser.add_argument("--save", metavar="FILE", help="write the JSON line there, too")
    parser.add_argument("--data", help="where MNIST is (default: as the loader finds it)")
    arguments = parser.parse_args()
    training, _, test = map(bpnet.Dataset, mnist_loader.load_data(arguments.data))
    rows, curves = [], {}
    for start in ("large", "default"):
        found = [curve(start, seed, training, test) for seed in range(1, arguments.seeds + 1)]
        curves[start] = found
        ends = [each[-1] for each in found]
        rows.append(
            {
                "initial weights": start,
                "after 1 epoch, %": statistics.median(each[0] for each in found),
                "after 30, %": statistics.median(ends),
                "worst": min(ends),
                "best": max(ends),
                "under 90 %": sum(end < 90 for end in ends),
            }
        )
    report(
        f"Test accuracy of the tutorial's job, medians of seeds 1-{arguments.seeds}",
        rows,
        arguments.save,
        curves=curves,
    )


def curve(start, seed, training, test):
    """Return the test accuracy after each epoch, in %."""
    net = network2.Network([784, 30, 10], network2.QuadraticCost, seed=seed)
    if start == "large":
        net.large_weight_initializer()
    net.SGD(
        training,
        EPOCHS,
        10,
        3.0,
        evaluation_data=test,
        monitor_evaluation_accuracy=True,
        verbose=False,
    )
    return [round(100 * record["evaluation_accuracy"], 2) for record in net.history]


if __name__ == "__main__":
    main()
