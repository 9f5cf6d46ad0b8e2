"""What share of digits does ``bpnet train`` classify rightly, in what time, with each preset?

Accuracies are on the test digits, which the settings were not chosen by; the seconds are those
of the call of SGD, a look at the validation digits after each epoch included.
"""

import argparse
import statistics
import time

from harness import report

from bpnet import cli, mnist_loader


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--presets", nargs="+", default=["tutorial", "best", "minute"])
    parser.add_argument("--seeds", type=int, default=5, help="from 1 on (default: 5)")
    parser.add_argument("--save", metavar="FILE", help="write the JSON line there, too")
    parser.add_argument("--data", help="where MNIST is (default: as the loader finds it)")
    arguments = parser.parse_args()
    training, validation, test = mnist_loader.load_data(arguments.data)
    rows = []
    for preset in arguments.presets:
        settings = cli.train.PRESETS[preset]
        examples = cli.train.expanded(*training) if settings["expand"] else training
        for seed in range(1, arguments.seeds + 1):
            net, seconds = train(settings, seed, examples, validation)
            rows.append(
                {
                    "preset": preset,
                    "sizes": "-".join(map(str, settings["sizes"])),
                    "dtype": settings["dtype"],
                    "threads": settings["threads"],
                    "seed": seed,
                    "training, s": seconds,
                    "validation, %": 100 * net.accuracy(validation) / len(validation[1]),
                    "test, %": 100 * net.accuracy(test) / len(test[1]),
                }
            )
    medians = {
        preset: {
            name: statistics.median(row[name] for row in rows if row["preset"] == preset)
            for name in ("training, s", "validation, %", "test, %")
        }
        for preset in arguments.presets
    }
    report("The presets of bpnet train", rows, arguments.save, medians=medians)


def train(settings, seed, examples, validation):
    """Return the network that ``bpnet train`` trains, and the seconds of SGD."""
    net = cli.train.new_network({**settings, "seed": seed})
    start = time.perf_counter()
    cli.train.sgd(net, settings, examples, validation, verbose=False)
    return net, time.perf_counter() - start


if __name__ == "__main__":
    main()
