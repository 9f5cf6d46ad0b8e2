"""How long is an epoch of the tutorial's job, in bpnet and in the NumPy reference?

784-30-10, mini-batch 10, eta 3.0, evaluated after each epoch; the list of tuples that
``load_data_wrapper`` gives, packed anew in every call.  Each contestant trains its own network
on, one epoch at a time and in turn, so that time and accuracy are of the same run.
"""

import argparse
import contextlib
import io
import statistics
import sys

import numpy as np
from harness import alternate, report, summary

from bpnet import Network, mnist_loader, reference


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=7, help="epochs timed (default: 7)")
    parser.add_argument("--data", help="where MNIST is (default: as the loader finds it)")
    arguments = parser.parse_args()
    training_data, _, test_data = mnist_loader.load_data_wrapper(arguments.data)

    networks = {
        ("reference", "float64"): reference_network(),
        ("bpnet", "float64"): Network([784, 30, 10], seed=1),
        ("bpnet", "float32"): Network([784, 30, 10], seed=1, dtype=np.float32),
    }
    correct = {name: [] for name in networks}

    def epoch(name):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            networks[name].SGD(list(training_data), 1, 10, 3.0, test_data=test_data)
        correct[name].append(int(printed.getvalue().split()[2]))

    # An SGD call packs the data before its first epoch; a long call shows the epochs alone.
    def long_call(name):
        with contextlib.redirect_stdout(io.StringIO()):
            networks[name].SGD(list(training_data), 11, 10, 3.0, test_data=test_data)

    seconds = alternate(
        {name: lambda name=name: epoch(name) for name in networks}, arguments.epochs
    )
    accuracy = {name: 100 * correct[name][-1] / len(test_data) for name in networks}
    fast = [name for name in networks if name[0] == "bpnet"]
    long_seconds = alternate({name: lambda name=name: long_call(name) for name in fast}, 3)

    base = statistics.median(seconds["reference", "float64"])
    rows = []
    for name in networks:
        call = statistics.median(seconds[name])
        each = (statistics.median(long_seconds[name]) - call) / 10 if name in fast else call
        rows.append(
            {
                "system": name[0],
                "dtype": name[1],
                "threads": 1,
                "1-epoch call, s": call,
                "least": summary(seconds[name])["least"],
                "most": summary(seconds[name])["most"],
                "epoch, s": each,
                "times the reference": base / each,
                "accuracy, %": accuracy[name],
            }
        )
    report(
        f"One epoch of 784-30-10, batch 10, on {len(training_data)} examples, then evaluation "
        f"on {len(test_data)}; accuracy after {arguments.epochs + 1} epochs",
        rows,
        training_examples=len(training_data),
        epochs=arguments.epochs,
    )


def reference_network():
    np.random.seed(1)
    return reference.Network([784, 30, 10])


if __name__ == "__main__":
    sys.exit(main())
