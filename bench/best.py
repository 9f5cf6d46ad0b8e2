"""What share of digits does ``bpnet train`` classify rightly, in what time, with each preset?

Accuracies are on the test digits, which the settings were not chosen by; the seconds are those
of the call that trains, a look at the validation digits after each epoch included.  What took
an hour need not be trained again: ``--trained FILE`` takes a network that ``bpnet train``
saved, and the seconds that its epochs took.
"""

import argparse
import itertools
import statistics
import time

from harness import report

import bpnet
from bpnet import cli, mnist_loader

SEEDS = {"hour": 1}  # and of each other preset 5
# Beside the presets, to draw what each second buys.
PLAIN = {**cli.train.PRESETS["best"], "distort": 0.0}
BESIDE = {
    "no hidden layer": {**PLAIN, "sizes": [784, 10]},
    "best, not distorted": PLAIN,
    "minute, not distorted": {**cli.train.PRESETS["minute"], "distort": 0.0, "lmbda": 2.0},
}
JOBS = {**cli.train.PRESETS, **BESIDE}
del JOBS["table"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--presets", nargs="+", choices=JOBS, default=[*JOBS], metavar="NAME")
    parser.add_argument("--seeds", type=int, help="from 1 on (default: 5; hour: 1)")
    parser.add_argument("--trained", metavar="FILE", nargs="+", default=[], help="see above")
    parser.add_argument("--save", metavar="FILE", help="write the JSON line there, too")
    parser.add_argument("--data", help="where MNIST is (default: as the loader finds it)")
    arguments = parser.parse_args()
    parts = mnist_loader.load_data(arguments.data)
    trained = [read(path) for path in arguments.trained]
    rows, curves = [], {}
    for preset in arguments.presets:
        seeds = arguments.seeds or SEEDS.get(preset, 5)
        for seed in range(1, seeds + 1):
            settings, net, seconds = next(
                (each[1:] for each in trained if (each[0], each[1]["seed"]) == (preset, seed)),
                None,
            ) or train(JOBS[preset], seed, *parts[:2])
            rows.append(row(preset, settings, net, seconds, *parts[1:]))
            curves.setdefault(preset, curve(net))
    medians = {
        preset: {
            name: statistics.median(row[name] for row in rows if row["preset"] == preset)
            for name in ("training, s", "validation, %", "test, %")
        }
        for preset in arguments.presets
    }
    question = "The presets of bpnet train; curves of the first seed: seconds, validation %"
    report(question, rows, arguments.save, medians=medians, curves=curves)


def train(settings, seed, training, validation):
    """Return the settings, the network that ``bpnet train`` trains by them, and the seconds."""
    outputs = 1 + max(training[1].max(), validation[1].max())
    sizes = [training[0].shape[1], *settings["sizes"][1:-1], int(outputs)]
    settings = {**settings, "seed": seed, "sizes": sizes}
    net = cli.train.new_network(settings)
    examples = cli.train.distorted(training, settings) if settings["distort"] else training
    start = time.perf_counter()
    cli.train.sgd(net, settings, examples, validation, verbose=False)
    return settings, net, time.perf_counter() - start


def read(path):
    """Return the preset of a network that ``bpnet train`` saved, and what train returns."""
    net = bpnet.load(path)
    same = [name for name, settings in JOBS.items() if {**net.notes, **settings} == net.notes]
    if not same:
        raise SystemExit(f"--trained must be of a preset, got {net.notes}: {path}")
    return same[0], net.notes, net, sum(record["seconds"] for record in net.history)


def row(preset, settings, net, seconds, validation, test):
    return {
        "preset": preset,
        "sizes": "-".join(map(str, settings["sizes"])),
        "dtype": settings["dtype"],
        "threads": settings["threads"],
        "seed": settings["seed"],
        "training, s": seconds,
        "validation, %": 100 * net.accuracy(validation) / len(validation[1]),
        "test, %": 100 * net.accuracy(test) / len(test[1]),
    }


def curve(net):
    """Return the seconds until each epoch ended, and the validation accuracy after it; but not
    of an epoch that ended less than 3 % later than one before it, if it is not the last."""
    ends = itertools.accumulate(record["seconds"] for record in net.history)
    shares = (100 * record["validation_accuracy"] for record in net.history)
    points = [[round(end, 2), round(share, 2)] for end, share in zip(ends, shares)]
    kept = points[:1]
    for point in points[1:-1]:
        if point[0] > 1.03 * kept[-1][0]:
            kept.append(point)
    return [*kept, points[-1]]


if __name__ == "__main__":
    main()
