"""How long is an epoch of the tutorial's job, in bpnet and in the NumPy reference?

784-30-10, mini-batch 10, eta 3.0, evaluated after each epoch; the list of tuples that
``load_data_wrapper`` gives.  Each contestant trains a network of its own, two epochs in each
turn, so that time and accuracy are of one run.  The second epoch's line comes an epoch after
the first's; what the first takes longer, the call takes to pack the data.
"""

import argparse
import contextlib
import io
import statistics
import time

import numpy as np
from harness import alternate, report

from bpnet import Network, mnist_loader, reference

EPOCHS = 2


class Lines(io.TextIOBase):
    """A stdout that remembers its lines and when they came."""

    def __init__(self):
        self.lines, self.times = [], [time.perf_counter()]

    def write(self, text):
        """Take one print's text, or the end of its line."""
        if text != "\n":
            self.lines.append(text)
            self.times.append(time.perf_counter())
        return len(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=7, help="of each contestant (default: 7)")
    parser.add_argument("--data", help="where MNIST is (default: as the loader finds it)")
    arguments = parser.parse_args()
    training_data, _, test_data = mnist_loader.load_data_wrapper(arguments.data)

    np.random.seed(1)
    networks = {
        ("reference", "float64"): reference.Network([784, 30, 10]),
        ("bpnet", "float64"): Network([784, 30, 10], seed=1),
        ("bpnet", "float32"): Network([784, 30, 10], seed=1, dtype=np.float32),
    }
    correct = {}

    def turn(name):
        lines = Lines()
        with contextlib.redirect_stdout(lines):
            networks[name].SGD(list(training_data), EPOCHS, 10, 3.0, test_data=test_data)
        correct[name] = int(lines.lines[-1].split()[2])
        return np.diff(lines.times).tolist()

    contestants = {name: lambda name=name: turn(name) for name in networks}
    seconds = alternate(contestants, arguments.turns)
    medians = {name: np.median(seconds[name], axis=0) for name in networks}
    base = medians["reference", "float64"][1]
    rows = []
    for name in networks:
        first, second = medians[name]
        epochs = [turn[1] for turn in seconds[name]]
        rows.append(
            {
                "system": name[0],
                "dtype": name[1],
                "threads": 1,
                "epoch, s": statistics.median(epochs),
                "least": min(epochs),
                "most": max(epochs),
                "packing, s": float(first - second),
                "times the reference": float(base / second),
                "accuracy, %": 100 * correct[name] / len(test_data),
            }
        )
    report(
        f"One epoch of 784-30-10, batch 10, on {len(training_data)} examples, then evaluation "
        f"on {len(test_data)}; accuracy after {EPOCHS * (arguments.turns + 1)} epochs",
        rows,
        training_examples=len(training_data),
        turns=arguments.turns,
    )


if __name__ == "__main__":
    main()
