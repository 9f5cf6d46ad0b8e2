"""How many digits are right when they are redrawn as people's pictures show them?

MNIST's test digits in each way of tests/redrawn.py, prepared by bpnet.pictures.digit and
classified by 784-100-10.
"""

import argparse
import pathlib
import sys

import numpy as np
from harness import report

import bpnet
from bpnet import mnist_loader, pictures

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

import redrawn


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--digits", type=int, default=1000, help="of each way (default: 1000)")
    parser.add_argument("--save", metavar="FILE", help="write the JSON line there, too")
    parser.add_argument("--data", help="where MNIST is (default: as the loader finds it)")
    arguments = parser.parse_args()
    training, _, (x, labels) = mnist_loader.load_data(arguments.data)
    net = bpnet.MLP([784, 100, 10], hidden="relu", dtype="float32", seed=1)
    net.train(training, 6, 10, lambda epoch: 0.1 * (1 - epoch / 6))
    chosen = np.random.RandomState(4).permutation(len(x))[: arguments.digits]
    digits = np.round(256 * x[chosen]).astype(np.uint8).reshape(-1, 28, 28)

    def row(name, inputs):
        answers = net.predict(inputs.reshape(-1, 784)).argmax(axis=1)
        return {"the digit is": name, "right, %": 100 * np.mean(answers == labels[chosen])}

    rows = [row("as it is in MNIST", x[chosen])]
    for way in (*redrawn.WAYS, *redrawn.HELD_OUT):
        rng = np.random.RandomState(5)
        found = np.array([prepared(way(digit, rng)) for digit in digits])
        rows.append(row(way.__name__.replace("_", " "), found))
    report(f"{len(digits)} digits, 784-100-10", rows, arguments.save, digits=len(digits))


def prepared(picture):
    """Return the digit, or none, which counts as misread."""
    try:
        return pictures.digit(picture)
    except ValueError:
        return np.zeros((28, 28))


if __name__ == "__main__":
    main()
