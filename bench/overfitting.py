"""What helps a network that has learnt its training data by heart?

784-30-10 on the first 1,000 digits, cross-entropy, mini-batch 10, eta 0.5, 400 epochs, as in
the book's chapter 3; then one remedy after the other, and more data.  Costs and accuracies are
on the test digits; patience and the settings look at the validation digits alone.
"""

import argparse
import statistics

from harness import report

import bpnet
from bpnet import mnist_loader, network2

# (what, keywords of SGD, initial weights, examples)
REMEDIES = [
    ("nothing", {}, "large", 1000),
    ("better initial weights", {}, "default", 1000),
    ("and patience=20", {"patience": 20}, "default", 1000),
    ("and L2, lmbda=1", {"lmbda": 1.0}, "default", 1000),
    ("and L1, l1=0.3", {"l1": 0.3}, "default", 1000),
    ("nothing, 50,000 digits", {"epochs": 30}, "large", 50000),
    ("weights and L2, lmbda=5, 50,000 digits", {"lmbda": 5.0, "epochs": 30}, "default", 50000),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="from 1 on (default: 5)")
    parser.add_argument("--save", metavar="FILE", help="write the JSON line there, too")
    parser.add_argument("--data", help="where MNIST is (default: as the loader finds it)")
    arguments = parser.parse_args()
    (x, labels), validation, test = mnist_loader.load_data(arguments.data)
    validation, test = map(bpnet.Dataset, (validation, test))
    rows, curves = [], {}
    for what, keywords, start, n in REMEDIES:
        training = bpnet.Dataset((x[:n], labels[:n]))
        runs = [
            run(training, validation, test, start, seed, dict(keywords))
            for seed in range(1, arguments.seeds + 1)
        ]
        curves[what] = runs[0]["curve"]
        rows.append(
            {
                "remedy": what,
                "epochs": statistics.median(each["epochs"] for each in runs),
                "training accuracy, %": statistics.median(each["training"] for each in runs),
                "test accuracy, %": statistics.median(each["test"] for each in runs),
                "test cost": statistics.median(each["cost"] for each in runs),
                "seconds": statistics.median(each["seconds"] for each in runs),
            }
        )
    report(
        f"784-30-10, cross-entropy, float64, 1 thread: medians of seeds 1-{arguments.seeds}",
        rows,
        arguments.save,
        curves=curves,
    )


def run(training, validation, test, start, seed, keywords):
    """Train once; the curve is that of the test digits, which nothing is chosen by."""
    net = network2.Network([784, 30, 10], seed=seed)
    if start == "large":
        net.large_weight_initializer()
    curve = {"training": [], "test": [], "cost": []}

    def look(net, _):
        curve["training"].append(round(100 * net.accuracy(training) / len(training), 2))
        curve["test"].append(round(100 * net.accuracy(test) / len(test), 2))
        curve["cost"].append(round(net.total_cost(test, 0.0), 4))

    net.SGD(
        training,
        keywords.pop("epochs", 400),
        10,
        0.5,
        evaluation_data=validation,
        callback=look,
        verbose=False,
        **keywords,
    )
    return {
        "curve": curve,
        "epochs": len(net.history),
        "training": 100 * net.accuracy(training) / len(training),
        "test": 100 * net.accuracy(test) / len(test),
        "cost": net.total_cost(test, 0.0),
        "seconds": sum(record["seconds"] for record in net.history),
    }


if __name__ == "__main__":
    main()
